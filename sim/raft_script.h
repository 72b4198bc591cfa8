#ifndef WEIR_SIM_RAFT_SCRIPT_H
#define WEIR_SIM_RAFT_SCRIPT_H

/*
 * The scenario language: a cluster of cores (sim/raft_cluster.h), driven line by line.
 *
 * A scenario is a text that reads as prose and is executed:
 *
 *     # A leader commits an entry once a majority has stored it.
 *     nodes 3
 *     elect 1 quietly
 *     propose 1 "a"
 *     > 1 takes "a" as 3@2
 *     > ...
 *     deliver 1->2
 *     expect 1 commit 2
 *
 *   #        a comment; so is an empty line
 *   >        a line that the command before it is expected to print
 *   else     a command, with words behind it; the last one may be "quietly", which prints nothing,
 *            or "briefly", which leaves out heartbeats and ticks of which nothing comes
 *
 * What a command prints is the trace of the cores' steps (sim/raft_cluster_text.c).  It is
 * recorded: a run compares it, and on demand writes it anew.  What must hold is said by `expect`,
 * which fails whatever is recorded; so does any violation that the cluster finds by itself.
 *
 * By itself the disk does what it is asked at once, and the machine applies what is committed;
 * messages wait to be delivered, and time stands still.  `help` lists the commands.
 *
 * One thread.  Nothing but memory: who reads and prints is the caller.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct script;

enum script_result {
    SCRIPT_DONE,
    SCRIPT_FAILED,  /* an expectation did not hold, or safety is violated */
    SCRIPT_MISTAKE, /* the line is not understood; nothing was changed */
};

/* A script without a cluster; its first command is `nodes`.  `print` gets each line that a command
 * prints, without its newline.  Aborts if there is no memory. */
struct script *script_create(void (*print)(void *context, const char *line), void *context);
void script_destroy(struct script *script);

/* Executes one line, which may be a comment or empty.  Of a mistake or a failure it prints what is
 * wrong, and what to do. */
enum script_result script_line(struct script *script, const char *line);

/* At the end of a scenario: SCRIPT_FAILED, having said why, if safety is violated and no
 * expectation spoke of that. */
enum script_result script_end(struct script *script);

/* How a file of a scenario went. */
struct script_report {
    uint32_t commands;
    uint32_t expectations;
    uint32_t failures;    /* expectations that did not hold, violations, mistakes */
    uint32_t differences; /* commands that printed something else than is recorded */
};

/*
 * Runs the scenario in a file; reports each failure and difference to `messages` as
 * "path:line: sentence".  If `rewrite`, what was printed is recorded in the file, unless something
 * failed.  Returns 0; WEIR_EIO if the file cannot be read or written, having said so.
 */
int script_file_run(const char *path, bool rewrite, FILE *messages, struct script_report *report);

#endif
