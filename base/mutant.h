#ifndef WEIR_BASE_MUTANT_H
#define WEIR_BASE_MUTANT_H

/*
 * Planted defects.
 *
 * A test that was never seen to fail proves nothing.  MUTANT(NAME, wrong, right) is `right` in
 * everything that is built, but for the libraries weir_*_mutants, which are the same sources with
 * WEIR_MUTANTS defined (cmake/mutants.cmake).  These are linked by programs of two sorts: tests of
 * the core (tests/raft/mutants), and `weir-mutants`, which is `weir sim` with all defects in it
 * (tests/sim/mutants).  There one defect, or none, is chosen when the program begins, and the macro
 * looks at that.  In every other build it is a constant and leaves no trace: no symbol, no branch;
 * tests/sim/test_mutants_trace looks.
 *
 * Not for more than one thread: the choice is made before there is a second one.
 */

#include <stdbool.h>

/* Every defect: its name here, on the command line, and what it breaks. */
#define MUTANTS(X)                                                                                \
    X(VOTES_TWICE, "votes-twice", "gives a second candidate of the same term its vote")           \
    X(FORGETS_VOTE_IN_TERM, "forgets-vote-in-term",                                               \
      "forgets its vote when it steps down in the same term")                                     \
    X(VOTES_FOR_SHORTER_LOG, "votes-for-shorter-log",                                             \
      "votes for a shorter log of the same last term")                                            \
    X(COUNTS_STALE_VOTE, "counts-stale-vote", "counts a vote of an earlier election")             \
    X(COMMITS_OLD_TERM, "commits-old-term", "commits an entry of an older term by counting")      \
    X(COMMITS_UNVERIFIED, "commits-unverified",                                                   \
      "commits what the leader's messages have not covered")                                      \
    X(COUNTS_UNDURABLE, "counts-undurable", "counts the leader's own entry before it is durable") \
    X(APPEND_ABA, "append-aba", "believes a report of stored entries of an older epoch")          \
    X(TRUNCATES_ALWAYS, "truncates-always", "truncates a log that is longer than a late message") \
    X(ACKNOWLEDGES_BEYOND, "acknowledges-beyond",                                                 \
      "acknowledges more than the messages have covered")                                         \
    X(ACKNOWLEDGES_CUT_SHORT, "acknowledges-cut-short",                                           \
      "acknowledges entries that its full log could not take")                                    \
    X(STAYS_FULL, "stays-full", "refuses writes for ever once its disk was full")                 \
    X(KEEPS_CONFLICT, "keeps-conflict", "keeps an entry that conflicts with the leader's")        \
    X(READS_UNCONFIRMED, "reads-unconfirmed",                                                     \
      "answers a read without confirming that it still leads")                                    \
    X(COUNTS_LEARNER, "counts-learner", "counts learners for a majority")                         \
    X(KEEPS_CONFIGURATION, "keeps-configuration",                                                 \
      "keeps a configuration whose entry was truncated")                                          \
    X(KEEPS_LOG_UNDER_SNAPSHOT, "keeps-log-under-snapshot",                                       \
      "keeps a log that has another entry in the snapshot's place")                               \
    X(LEAVES_JOINT_EARLY, "leaves-joint-early",                                                   \
      "leaves a joint configuration before it is committed")                                      \
    X(LEASE_OVER_TRANSFER, "lease-over-transfer",                                                 \
      "trusts its lease after it has begun to hand over")                                         \
    X(BREAKS_PROMISE, "breaks-promise", "votes although it has promised a leader not to")         \
    X(GOES_BELOW_MATCH, "goes-below-match", "goes back below what a peer has, by a late refusal") \
    X(ONE_MAJORITY, "one-majority", "takes one majority for enough in a joint configuration")     \
    X(LEASE_OF_EARLIER, "lease-of-earlier",                                                       \
      "trusts a lease that an earlier configuration allowed")                                     \
    X(PROMISE_OF_TERM, "promise-of-term",                                                         \
      "forgets its promise to a leader when another term was taken")                              \
    X(WAITS_FOR_OLD_SNAPSHOT, "waits-for-old-snapshot",                                           \
      "waits for an old leader's newer snapshot when the new one sends an older")                 \
    X(READS_BEFORE_TERM, "reads-before-term",                                                     \
      "reads at the commit index before an entry of its term is committed")                       \
    X(CHANGES_BEFORE_TERM, "changes-before-term",                                                 \
      "changes members before an entry of its term is committed")                                 \
    X(LEADS_ALONE, "leads-alone", "leads on though no quorum answers")                            \
    X(BELIEVES_HEARTBEAT, "believes-heartbeat",                                                   \
      "believes a heartbeat about an entry that it does not have")                                \
    X(CAMPAIGNS_UNDURABLE, "campaigns-undurable", "campaigns with entries that are not durable")  \
    X(TAKES_OLDER_VOTE, "takes-older-vote", "takes an older record for its vote")                 \
    X(CONFIRMS_BY_OLD_ANSWER, "confirms-by-old-answer",                                           \
      "takes an answer to an earlier message for a confirmation")                                 \
    X(LEASE_OF_BEHIND, "lease-of-behind",                                                         \
      "trusts for its lease a voter whose log may end in another configuration")                  \
    X(LEADS_UNDER_LEASE, "leads-under-lease",                                                     \
      "leads alone at its start although an earlier leader may hold a lease")                     \
    X(LEASE_OF_LOST_LOG, "lease-of-lost-log",                                                     \
      "counts for its lease a voter that has lost its log")                                       \
    X(PROMISE_OF_TIMEOUT, "promise-of-timeout",                                                   \
      "keeps a promise for its own time-out, not for as long as a lease is")                      \
    X(STANDS_UNDER_PROMISE, "stands-under-promise",                                               \
      "votes for itself before its promise to a leader is over")                                  \
    X(LEASE_OUTLIVES, "lease-outlives", "trusts a lease for ever once it had it")                 \
    X(PRE_VOTE_LIVELOCK, "pre-vote-livelock",                                                     \
      "does not learn a newer term from a refused pre-vote")                                      \
    X(FORGETS_VOTE, "forgets-vote", "forgets at its start for whom it has voted")                 \
    X(ACKNOWLEDGES_BEFORE_SYNC, "acknowledges-before-sync",                                       \
      "takes entries for durable when they are written and not synced")                           \
    X(GOES_ON_AFTER_SYNC, "goes-on-after-sync",                                                   \
      "goes on after a sync has failed, as if the next one made up for it")                       \
    X(CHECKSUM_UNVERIFIED, "checksum-unverified",                                                 \
      "takes what is on the disk without looking at checksums")                                   \
    X(FRAME_UNVERIFIED, "frame-unverified",                                                       \
      "takes what comes from a member without looking at checksums")                              \
    X(READS_BEFORE_APPLIED, "reads-before-applied",                                               \
      "executes a confirmed read before its index is applied")                                    \
    X(APPLIES_TWICE, "applies-twice",                                                             \
      "applies the last entries before its snapshot again after a restart")                       \
    X(FORGETS_SESSIONS, "forgets-sessions", "leaves client sessions out of its snapshots")        \
    X(WIPED_NODE_VOTES, "wiped-node-votes",                                                       \
      "votes and acknowledges as a known member although its disk is empty")                      \
    X(EXPIRES_BY_CLOCK, "expires-by-clock", "takes keys for expired by its own clock")            \
    X(TRUSTS_LEADER_DIGEST, "trusts-leader-digest",                                               \
      "takes the leader's digests for right whatever most members have")                          \
    X(EXEC_LOSES_COMMAND, "exec-loses-command",                                                   \
      "does not execute the first of a transaction's commands")                                   \
    X(WATCH_IGNORES_CHANGE, "watch-ignores-change",                                               \
      "executes a transaction although what it watched has changed")                              \
    X(WATCH_TOO_LATE, "watch-too-late", "watches a key from one entry later on")                  \
    X(REPEATS_ONCE, "repeats-once", "executes a repetition under ONCE once more")                 \
    X(REORDERS_REPLIES, "reorders-replies",                                                       \
      "hands two replies of a connection on in the wrong order")

/* One of them, or none. */
enum mutant {
    MUTANT_NONE,
#define MUTANT_NUMBER(number, name, sentence) MUTANT_##number,
    MUTANTS(MUTANT_NUMBER)
#undef MUTANT_NUMBER
        MUTANT_COUNT,
};

#ifdef WEIR_MUTANTS
/* The defect of this process; MUTANT_NONE until mutant_choose. */
extern enum mutant mutant_chosen;

#define MUTANT_IS(name) (mutant_chosen == MUTANT_##name)
#else
/* A constant; and the name must be one. */
#define MUTANT_IS(name) ((int)MUTANT_##name < (int)MUTANT_NONE)
#endif

/* `wrong` if this defect was chosen, otherwise `right`.  One of the two is evaluated. */
#define MUTANT(name, wrong, right) (MUTANT_IS(name) ? (wrong) : (right))

/* ---- base/mutant.c, which only programs with defects link ---- */

/* Chooses a defect by its name on the command line; false: there is none of that name. */
bool mutant_choose(const char *name);

/* The name and the sentence of a defect but MUTANT_NONE. */
const char *mutant_name(enum mutant mutant);
const char *mutant_sentence(enum mutant mutant);

#endif
