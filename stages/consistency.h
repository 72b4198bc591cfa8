#ifndef WEIR_STAGES_CONSISTENCY_H
#define WEIR_STAGES_CONSISTENCY_H

/*
 * How current a read must be.  From the strictest on:
 *
 *   quorum   linearizable.  The leader asks a quorum, after the read has come, whether it still
 *            leads; the read then sees everything acknowledged before it was sent.
 *   lease    linearizable as long as no two members' clocks differ in rate by more than
 *            REPLICATE_CLOCK_DRIFT_PER_MILLE.  The leader answers alone while its lease holds, by a
 *            clock read after the read was taken from its ring.  Without a lease (the cluster has
 *            not turned leases on, or it has run out): as quorum.
 *   stale    whatever the node that was asked has applied, leader or not: perhaps of long ago, but
 *            never of another history.  A connection sees its own acknowledged writes there.
 *
 * A connection has the node's mode until it chooses its own (CLIENT READS).  READONLY permits, on a
 * node that does not lead, what stale permits.  In every mode the commands of a connection take
 * effect in its order.
 */

#include <stdint.h>

/* Stricter ones are smaller: of several the least counts. */
enum read_mode {
    READ_QUORUM = 0,
    READ_LEASE,
    READ_STALE,
    READ_MODES,
};

/* "quorum", "lease" or "stale".  Pure. */
static inline const char *read_mode_name(uint32_t mode) {
    static const char *const names[READ_MODES] = {
        [READ_QUORUM] = "quorum", [READ_LEASE] = "lease", [READ_STALE] = "stale"};
    return mode < READ_MODES ? names[mode] : "unknown";
}

#endif
