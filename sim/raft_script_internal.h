#ifndef WEIR_SIM_RAFT_SCRIPT_INTERNAL_H
#define WEIR_SIM_RAFT_SCRIPT_INTERNAL_H

/*
 * What the files of the scenario language share.  sim/raft_script.h says what it is.
 *
 *   raft_script.c           lines, words, the table of commands
 *   raft_script_commands.c  nodes, time, disks, clients
 *   raft_script_network.c   messages and links
 *   raft_script_looks.c     status, log, messages
 *   raft_script_expect.c    expectations
 *   raft_script_file.c      scenarios in files, recorded output
 */

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "sim/raft_cluster.h"
#include "sim/raft_script.h"

/* Sizes of a line and of what it may name. */
enum {
    SCRIPT_WORDS_MAX = 64,
    SCRIPT_LINE_BYTES_MAX = 1024,
    SCRIPT_SAVED_MAX = 32,
    SCRIPT_NUMBERS_MAX = 256,
};

/* A message put aside under a name. */
struct script_saved {
    char name[32];
    struct cluster_message *message; /* NULL: this place is free */
};

struct script {
    void (*print)(void *context, const char *line);
    void *context;
    struct cluster *cluster;        /* NULL before `nodes` */
    bool quiet;                     /* the command prints nothing of its steps */
    bool brief;                     /* no heartbeats and ticks of which nothing comes */
    char event[CLUSTER_LINE_BYTES]; /* brief: the event at hand, if it is not printed yet */
    bool violation_expected;
    uint32_t expectations;
    const char *refused; /* why the last request was refused, or NULL */
    struct script_saved saved[SCRIPT_SAVED_MAX];

    /* The line at hand. */
    char text[SCRIPT_LINE_BYTES_MAX];
    uint32_t word_count;
    char *words[SCRIPT_WORDS_MAX];
    bool quoted[SCRIPT_WORDS_MAX]; /* it stood in quotes */
};

/* One command. */
struct script_command {
    const char *name;
    const char *arguments; /* as in the help */
    const char *help;
    uint32_t words_min; /* with its name */
    bool needs_cluster;
    enum script_result (*run)(struct script *script);
};

/* Prints a line, also if the command is quiet. */
void script_say(struct script *script, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Prints what is wrong with the line; returns SCRIPT_MISTAKE. */
enum script_result script_mistake(struct script *script, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Prints what does not hold; returns SCRIPT_FAILED. */
enum script_result script_failure(struct script *script, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Read a word; false if it is not that.  A node must exist in the cluster. */
bool script_number(const char *word, uint64_t *number);
bool script_node(const struct script *script, const char *word, uint64_t *id);
bool script_link(const struct script *script, const char *word, uint64_t *from, uint64_t *to);
/* "1,2,3", or "none"; at most SCRIPT_NUMBERS_MAX. */
bool script_numbers(const char *word, uint64_t *numbers, uint32_t *count);
/* "3@2". */
bool script_place(const char *word, uint64_t *index, uint64_t *term);

/* The value of the word "name=value" of this line, or NULL. */
const char *script_option(const struct script *script, const char *name);
/* The same as a number, [min, max]; unchanged without it.  False, having said so, if it is none. */
bool script_option_number(struct script *script, const char *name, uint64_t min, uint64_t max,
                          uint64_t *number);
/* True if the word stands in this line. */
bool script_has(const struct script *script, const char *word);

/* The node that a word names; false, having said so, if it is none that runs. */
bool script_running(struct script *script, const char *word, uint64_t *id);

/* ---- the commands; what each does stands in raft_script.c's table ----------------------- */

/* nodes: a new cluster */
enum script_result script_nodes(struct script *script);
/* elect */
enum script_result script_elect(struct script *script);
/* tick */
enum script_result script_tick(struct script *script);
/* advance */
enum script_result script_advance(struct script *script);
/* run */
enum script_result script_run(struct script *script);
/* settle */
enum script_result script_settle(struct script *script);
/* clock */
enum script_result script_clock(struct script *script);
/* restart, wipe, pause, resume */
enum script_result script_life(struct script *script);
/* crash */
enum script_result script_crash(struct script *script);
/* disk */
enum script_result script_disk(struct script *script);
/* hold-votes, hold-writes, hold-disk, hold-apply, hold-append, release */
enum script_result script_hold(struct script *script);
/* store-vote */
enum script_result script_store_vote(struct script *script);
/* stored */
enum script_result script_stored(struct script *script);
/* report-stored */
enum script_result script_report_stored(struct script *script);
/* report-snapshot */
enum script_result script_report_snapshot(struct script *script);
/* apply */
enum script_result script_apply(struct script *script);
/* propose */
enum script_result script_propose(struct script *script);
/* read */
enum script_result script_read(struct script *script);
/* configure */
enum script_result script_configure(struct script *script);
/* transfer */
enum script_result script_transfer(struct script *script);
/* snapshot */
enum script_result script_snapshot(struct script *script);
/* compact */
enum script_result script_compact(struct script *script);

/* deliver */
enum script_result script_deliver(struct script *script);
/* drop */
enum script_result script_drop(struct script *script);
/* duplicate */
enum script_result script_duplicate(struct script *script);
/* save */
enum script_result script_save(struct script *script);
/* replay */
enum script_result script_replay(struct script *script);
/* hold, cut, open */
enum script_result script_links(struct script *script);
/* partition */
enum script_result script_partition(struct script *script);
/* heal */
enum script_result script_heal(struct script *script);
/* disconnect */
enum script_result script_disconnect(struct script *script);
/* inject */
enum script_result script_inject(struct script *script);

/* status */
enum script_result script_status(struct script *script);
/* log */
enum script_result script_log(struct script *script);
/* messages */
enum script_result script_messages(struct script *script);
/* peers */
enum script_result script_peers(struct script *script);

/* expect */
enum script_result script_expect(struct script *script);

#endif
