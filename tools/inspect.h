#ifndef WEIR_TOOLS_INSPECT_H
#define WEIR_TOOLS_INSPECT_H

/*
 * weir inspect: prints and verifies a data directory, and changes nothing.
 *
 *     weir inspect --data DIR [--entries] [--index A..B] [--json]
 *
 * Prints identity, term and vote, snapshots and log segments, on request every entry, and judges
 * each byte by the functions that the node itself starts with.  Damage is named by file and
 * offset, with its reason, what follows from it, and what to do.  Blocks; takes the directory's
 * lock, so the node must not be running.  Exit status: 0 (all is well), 1 (damage, or not to be
 * read), 2 (usage).
 */
int inspect_main(int argc, char **argv);

#endif
