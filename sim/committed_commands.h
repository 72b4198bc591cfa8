#ifndef WEIR_SIM_COMMITTED_COMMANDS_H
#define WEIR_SIM_COMMITTED_COMMANDS_H

/*
 * From the entries of a log to what the replay checker takes (sim/replay_check.h): the writes of
 * machine kv in log order, each with its name, and for each entry one command without words that
 * says its time.
 *
 * The entries may come from a simulated cluster (sim/committed_log.h) or from the disk of a real
 * node (weir check-history --log). They have been verified (entry_check).
 *
 * A transaction is one command, of the words that sim/kv_model.h says.
 *
 * ONCE. Repetitions stand in the log too; apply knows that they are, by its table of sessions.
 * They are left out here by a table of its own: first the number's session, then whether it has
 * expired in log time, then whether the number was used, or is below the window of 128. It does not
 * know which session goes when more than 4,096 are open.
 *
 * Aborts if there is no memory. One thread.
 */

#include <stddef.h>
#include <stdint.h>

#include "sim/replay_check.h"

/* Whose a write under ONCE is: its operation, HISTORY_OPERATIONS_MAX: nobody's. */
typedef uint32_t committed_once(const void *context, uint64_t session, uint64_t sequence);

/* The entry at an index, whole, or NULL: it is passed over. Borrowed as long as the commands. */
typedef const uint8_t *committed_entry(const void *source, uint64_t index);

/* What the replay checker takes. */
struct committed_commands {
    struct replay_command *commands;
    size_t count;
    struct kv_model_word *words;    /* of all commands */
    char *numbers;                  /* those among them, of how many words a command has */
    struct replay_watched *watched; /* of all transactions */
    uint64_t once_repeated;         /* commands left out, since they had been applied before */
    uint64_t once_refused;          /* and since their session or number was not valid any more */
    uint64_t not_known;             /* and since their id is none of machine kv's: no log of kv */
};

/*
 * Collects the commands of the entries 1 to last_index that `entry` gives. `once` may be NULL: then
 * it is not said whose the writes under ONCE are. *out is then the caller's. Allocates.
 */
void committed_commands_collect(committed_entry *entry, const void *source, uint64_t last_index,
                                committed_once *once, const void *context,
                                struct committed_commands *out);

/* Frees what was collected. */
void committed_commands_free(struct committed_commands *commands);

#endif
