#ifndef WEIR_TOOLS_SERVE_H
#define WEIR_TOOLS_SERVE_H

/*
 * `weir serve`: runs a node until SIGTERM, SIGINT, SHUTDOWN, or a final failure.
 *
 * Everything that can be wrong with the host or the configuration is found before the first client
 * is let in, and said in one sentence: what, where, and what to do.
 */

/*
 * Runs the command.  argv[0] is the command's own name.  The log goes to standard error; the line
 * "event=ready" in it says that clients are served, and where.  Blocks until the node has stopped.
 *
 * Returns the exit status: 0, stopped on request, everything accepted is answered and stored;
 * 1, it could not start, or failed finally (a sentence says why); 2, wrong usage or configuration.
 */
int serve_main(int argc, char **argv);

#endif
