#ifndef WEIR_TOOLS_CHECK_HISTORY_H
#define WEIR_TOOLS_CHECK_HISTORY_H

/*
 * weir check-history: can what clients have recorded have happened?
 *
 *     weir check-history FILE... [--log DIR]... [--steps N] [--json]
 *
 * Each file is a history as text (sim/history.h), of one or more clients; weir bench --history
 * writes one. The clocks of all files are the same one (CLOCK_MONOTONIC of one machine). Client and
 * connection numbers are a file's own: in the merged history those of the second file count on
 * behind the first one's, and so on.
 *
 * Two checkers. Key by key (sim/linearizable.h): is there an order of each key's operations that
 * explains the replies? By replay (sim/replay_check.h), with --log: the data directories of a
 * majority of the voters, whose nodes have stopped. The log that would win an election among them
 * is replayed from its first entry. It decides what became of unknown writes, finds acknowledged
 * writes that are missing though nobody read them, and writes that nobody asked for; so the files
 * must hold everything that any client ever wrote.
 *
 * Exit status: 0, an order was found for everything. 1, there is none; the operations in question
 * are printed. 2, usage, or something could not be read: nothing was judged. 3, undecided: a bound
 * was reached, commands are not modelled, the log is not whole, or nothing was acknowledged.
 *
 * Blocks; allocates some two times the size of the files, and of the logs.
 */
int check_history_main(int argc, char **argv);

#endif
