#ifndef WEIR_TOOLS_STATUS_H
#define WEIR_TOOLS_STATUS_H

/*
 * weir status: what a node says of itself and of the other members.
 *
 *     weir status [--server HOST:PORT | --config FILE] [--json]
 *
 * It asks over the port for clients (INFO), as anybody could.  Blocks, at most some seconds; exit
 * status 0 (the node knows a leader), 1 (it does not answer, or knows none), 2 (usage).
 */
int status_main(int argc, char **argv);

#endif
