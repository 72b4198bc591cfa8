#ifndef WEIR_TOOLS_TOP_H
#define WEIR_TOOLS_TOP_H

/*
 * weir top: where the time of a running (or crashed) node goes.
 *
 * Reads the node's gauge file, which the node's cores write without knowing of readers, and prints
 * one row a stage: its core, the items it took, the mean number it took at a time, how many wait
 * before it, and how its core's time was spent on it.  With an interval the figures are those of
 * that interval, otherwise those since the node's start.
 *
 * Runs on the calling thread; blocks for the interval.  Exit status: 0, 1 (no such node, or its
 * file is damaged), 2 (usage).
 */
int top_main(int argc, char **argv);

#endif
