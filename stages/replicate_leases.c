/*
 * Leases in the configuration.
 *
 * Happy path: this node leads and serves, its option asks for leases (or against them), and the
 * configuration in force has them not (or has them): the core is asked for the same members with
 * the flag changed.  From the moment at which a voter has that entry it grants no vote for the
 * length of a lease, which the entry says, after its last answer to a leader; and a leader trusts
 * only answers of voters that have it.
 *
 * A lease is as long as this node's election time-out.  One of another length, of a leader with
 * another time-out or of this node's earlier life, is changed likewise, unless the option is
 * against leases.  So members may have different time-outs, or be restarted with another one, and
 * no leader trusts a promise that nobody has given.
 *
 * Failure modes: the core refuses (a change of members or a transfer is under way): asked again
 * after a second.  Two members have contrary options, or time-outs: each changes it while it leads;
 * what counts is always what the configuration in force says.
 */

#include "base/assert.h"
#include "base/log.h"
#include "stages/replicate_internal.h"

/* Until it is tried again. */
#define LEASES_RETRY_NS UINT64_C(1000000000)

static bool joint(const struct configuration *configuration) {
    for (uint32_t i = 0; i < configuration->member_count; i++) {
        if ((configuration->members[i].roles & CONFIGURATION_OUTGOING) != 0) {
            return true;
        }
    }
    return false;
}

bool replicate_leases_configure(struct replicate_shard *shard, uint64_t now_ns) {
    enum node_leases option = shard->node->options->leases;
    const struct configuration *current = raft_configuration(shard->raft);
    bool there = (current->flags & CONFIGURATION_LEASES) != 0;
    bool wanted = option == NODE_LEASES_KEEP ? there : option == NODE_LEASES_ON;
    uint16_t lease_ms = wanted ? (uint16_t)(shard->election_timeout_ns / RAFT_NS_PER_MS) : 0;
    ASSERT(!wanted || lease_ms != 0);
    node_figure_set(&shard->node->replicate.leases, there);
    if ((there == wanted && current->lease_ms == lease_ms) || !raft_serving(shard->raft) ||
        current->member_count == 1 || shard->configuration_term != 0 || joint(current) ||
        now_ns < shard->leases_due_ns) {
        return false;
    }
    shard->leases_due_ns = now_ns + LEASES_RETRY_NS;
    struct configuration changed = *current;
    changed.flags = wanted ? current->flags | CONFIGURATION_LEASES
                           : current->flags & ~(uint32_t)CONFIGURATION_LEASES;
    changed.lease_ms = lease_ms;
    struct raft_event event = {.kind = RAFT_EVENT_CONFIGURE, .configuration = &changed};
    log_info("leases", "wanted=%s lease_ms=%u term=%lu", wanted ? "on" : "off", lease_ms,
             raft_term(shard->raft));
    replicate_step(shard, &event);
    return true;
}
