#ifndef WEIR_RAFT_MEMBERSHIP_H
#define WEIR_RAFT_MEMBERSHIP_H

/*
 * The configurations in the log (dissertation, chapter 4).
 *
 * A configuration is in force from the moment it is in the log, committed or not, and no longer
 * when it is truncated: then the one before it is in force again.  So those that may still be
 * truncated are kept, with the last one that cannot be, in a small stack, ascending by index:
 *
 *   [0] committed (or the snapshot's)   [1] joint   [2] simple ...   [count - 1] in force
 *
 * Changes (4.3): from C_old a leader appends the joint C_old,new; when that is committed, it
 * appends C_new; when that is committed, the change is over.  A change that does not alter the
 * voters (of learners only) needs no joint step, since both configurations have the same
 * majorities.  One change at a time: it begins only when the configuration in force is simple and
 * committed.
 *
 * Invariants: count >= 1; indices ascend strictly; each configuration is valid.
 * Owner: the core.  Nothing allocates.
 */

#include "raft/raft.h"

struct membership {
    uint32_t count; /* [1, RAFT_CONFIGURATIONS_MAX] */
    struct raft_configuration_entry stack[RAFT_CONFIGURATIONS_MAX];
};

/* Takes those found at start; count in [1, RAFT_CONFIGURATIONS_MAX]. */
void membership_init(struct membership *membership, const struct raft_configuration_entry *found,
                     uint32_t count);

/* A snapshot was installed, and nothing of the old log is left: only its configuration is. */
void membership_install(struct membership *membership, uint64_t index,
                        const struct configuration *configuration);

/* The entry at index, after all others, carries this configuration: it is in force now.  If the
 * stack is full, the oldest is forgotten: a leader appends one only when the one before it is
 * committed, so of any log at most the last can be truncated, known to be committed or not. */
void membership_append(struct membership *membership, uint64_t index,
                       const struct configuration *configuration);

/* Entries after index are gone.  True if that changed the configuration in force. */
bool membership_truncate(struct membership *membership, uint64_t index);

/* Entries up to index are committed: what is before the last of these is forgotten. */
void membership_commit(struct membership *membership, uint64_t index);

/* The one in force, and the index of its entry. */
const struct configuration *membership_current(const struct membership *membership);
uint64_t membership_index(const struct membership *membership);

/*
 * What to append for a change from the one in force (simple) to `wanted` (VOTER and LEARNER only):
 * the joint configuration, or `wanted` itself if the voters stay the same.  A learner that is not
 * wanted is gone at once.  Incarnations: of a member of both, that of `wanted` unless it is 0.  The
 * flags are those of `wanted`.
 *
 * Errors, nothing written: WEIR_EINVAL if `wanted` is not valid or joint, or is the same as the one
 * in force; if the joint one has more than CONFIGURATION_MEMBERS_MAX members; or if a voter of
 * either changes its known incarnation (it would be counted for what its lost disk had promised:
 * it has to be removed first, and to be added again later).
 */
int membership_change(const struct configuration *current, const struct configuration *wanted,
                      struct configuration *next);

/* What to append to leave a joint configuration: without the outgoing voters.  A member that was
 * only outgoing is gone. */
void membership_leave(const struct configuration *joint, struct configuration *next);

/* Asserts the invariants. */
void membership_check(const struct membership *membership);

#endif
