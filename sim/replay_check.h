#ifndef WEIR_SIM_REPLAY_CHECK_H
#define WEIR_SIM_REPLAY_CHECK_H

/*
 * Can a history have happened, given the log that the cluster committed?
 *
 * The log says in which order the writes took effect, and when. A plain model (sim/kv_model.h)
 * executes it from the beginning, and the history is laid beside it:
 *
 *   - Each acknowledged write is in the log exactly once, in its connection's order, and its reply
 *     is the model's at that place.
 *   - A refused write is not in the log, and nothing is there that nobody asked for.
 *   - An unknown write is in the log at most once. That decides it: `applied` says which were.
 *   - Each read that was answered has a place between two commands of the log where the model gives
 *     its reply.
 *   - What had returned before another was invoked stands before it. What one connection asked
 *     stands in its order, and its replies came in that order.
 *
 * All keys are judged at once, and all commands of kv, with deadlines by the log's time. Of a TTL
 * the reply may be less than the model's, since the node's clock goes on between entries; of a SCAN
 * that is not complete only the form is known, and it is not judged.
 *
 * Transactions. EXEC is one command, and its reply an array: nothing can stand between two of its
 * commands. A WATCH is a read that changes nothing, of the connection whose next EXEC it is for. If
 * that was executed, the WATCH has to stand behind its keys' last change before the EXEC. If
 * it was answered null, one of the keys has to have changed since the first place that the WATCH
 * can have; or to have been absent then and now: it may have come and gone. The log says, too,
 * after which entry a key was watched; that must explain the same answer, and decides what nobody
 * was answered. Where an absent key leaves that open, a history that does not fit is undecided.
 *
 * What SPOP took is known from its reply, if there is one (sim/kv_model.h).
 *
 * The search for places is exact. All connections are walked at once. A connection's next operation
 * is due when no other's next one had returned before it was invoked. A write has its place where
 * its command is reached in the log. A read is given the first place from which on it is due and
 * its reply fits: a later one could only push away operations behind it, never help any, since the
 * order of writes is given and reads change nothing.
 *
 * Whose command is it? The caller may say; otherwise it is found by its words. Of several
 * operations with the same words that could stand here, an acknowledged one is taken before an
 * unknown one, and of these the one that returned first. That is right unless another one's
 * connection goes on before that return. If it was so, and an operation that was passed over has no
 * place in the end, the log is walked again with the place that it might have had, some times. If
 * no place is found for everything, yet another choice might have found one: the history is
 * undecided, and the text says so. Unique values in the generator prevent that.
 *
 * What it can see: everything that clients can notice, and acknowledged writes that are missing
 * though nobody read them. What it cannot: a history that is right, by a log that is not the one
 * that other nodes have (compare their logs and digests), and reads that asked to be stale.
 *
 * Cost: for each command of the log, the connections that are under way; the model searches its
 * keys from the front. Some thousand operations take milliseconds; a million over a thousand
 * connections is not what it is for. Allocates at the beginning, frees everything but the report.
 * One thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "sim/history.h"

/* It is not known whose command it is. */
#define REPLAY_OPERATION_UNSAID UINT32_MAX

/* A key that a transaction of the log watched, borrowed: after which entry, and whether it was
 * there then. */
struct replay_watched {
    struct kv_model_word key;
    uint64_t index;
    bool present;
};

/* One command of the log, in log order; or, without words, an entry that only says what time it
 * is. The words are borrowed. */
struct replay_command {
    uint64_t entry_index;              /* for the text */
    uint64_t log_time_ms;              /* never goes back */
    const struct kv_model_word *words; /* with the name */
    uint32_t word_count;
    uint32_t operation; /* its number in the history, or REPLAY_OPERATION_UNSAID */
    const struct replay_watched *watched; /* of an EXEC; NULL: nothing is known of it */
    uint32_t watched_count;
};

/* What was found. */
struct replay_report {
    enum history_verdict verdict;
    uint64_t writes;          /* acknowledged ones that have their place */
    uint64_t reads;           /* likewise */
    uint64_t unknown_applied; /* unknown writes that are in the log */
    uint64_t unknown_absent;  /* and those that are not */
    uint64_t not_judged;      /* refused, unanswered and stale reads, part of a SCAN */
    uint64_t choices;         /* commands of which it is not clear whose they are */
    /* Of each operation: 1 if it is a write and in the log. Owned by the caller: replay_free. */
    uint8_t *applied;
    /* Of each operation: 1 if it is an unknown write and not in the log, which helps
       linearizable_check. Meaningful if the verdict is right. Likewise. */
    uint8_t *never_applied;
    /* Of each operation that has a place in the order that was found: its rank, from 1; otherwise
       0. Likewise. */
    uint32_t *places;
    struct kv_model_text text; /* what is wrong, in a few lines. Likewise. */
};

/*
 * Judges a history by a log, which is whole: from the first command ever, to a place at or behind
 * the last acknowledged write. value_bytes_max: the longest string that APPEND may build.
 * Errors, with *report zeroed: WEIR_EINVAL (a command names an operation that is not there, or has
 * more than HISTORY_WORDS_MAX words), WEIR_ENOMEM.
 */
int replay_check(const struct history *history, const struct replay_command *commands, size_t count,
                 uint64_t value_bytes_max, struct replay_report *report);

/* Frees what a report owns. */
void replay_free(struct replay_report *report);

#endif
