/*
 * INFO of replication: who leads, and how far the others are, as this node knows it; under Redis's
 * names where they mean the same, but offsets are indices of the log.
 */

#include "stages/connection_replication.h"

#include "base/assert.h"
#include "raft/raft.h"
#include "stages/peers.h"

#define SECOND_NS UINT64_C(1000000000)

static const char *state_name(uint64_t state) {
    static const char *const names[] = {[NODE_PEER_UNKNOWN] = "unknown",
                                        [NODE_PEER_PROBE] = "probe",
                                        [NODE_PEER_REPLICATE] = "replicate",
                                        [NODE_PEER_SNAPSHOT] = "snapshot"};
    ASSERT(state < ARRAY_COUNT(names));
    return names[state];
}

static const char *role_name(uint64_t role) {
    static const char *const names[] = {[NODE_PEER_OUTSIDE] = "outside",
                                        [NODE_PEER_VOTER] = "voter",
                                        [NODE_PEER_LEARNER] = "learner"};
    ASSERT(role < ARRAY_COUNT(names));
    return names[role];
}

/* Nanoseconds since the member was heard; UINT64_MAX: it was not. */
static uint64_t silence_ns(const struct connection_run *run,
                           const struct node_peer_figures *figures) {
    uint64_t heard_ns = node_figure(&figures->heard_ns);
    uint64_t now_ns = run->moment->monotonic_ns;
    if (heard_ns == 0) {
        return UINT64_MAX;
    }
    return now_ns > heard_ns ? now_ns - heard_ns : 0;
}

/* Where clients reach a member, or "?" and 0. */
static struct entry_address place_of(const struct connection_run *run, uint64_t node_id) {
    struct entry_address place = {.host = "?"};
    struct entry_address found;
    if (node_endpoint_find(run->node, node_id, &found) && found.host[0] != '\0') {
        place = found;
    }
    return place;
}

static uint64_t lag_of(const struct connection_run *run, uint64_t match_index) {
    uint64_t last_index = node_figure(&run->node->replicate.last_index);
    return last_index > match_index ? last_index - match_index : 0;
}

/* ---- the leader's view --------------------------------------------------------------------- */

static uint64_t up_ms(const struct connection_run *run) {
    uint64_t started_ms = run->node->options->started_wall_ms;
    return run->moment->wall_ms > started_ms ? run->moment->wall_ms - started_ms : 0;
}

/* Redis's line of a replica.  `lag` is seconds since it was heard, as there; of one that was never
 * heard, since the node started. */
static void slave_add(struct connection_run *run, uint32_t number,
                      const struct node_peer_figures *figures) {
    uint64_t node_id = node_figure(&figures->node_id);
    uint64_t silent_ns = silence_ns(run, figures);
    struct entry_address place = place_of(run, node_id);
    bool online = node_figure(&figures->state) == NODE_PEER_REPLICATE && silent_ns < SECOND_NS;
    uint64_t lag_s = silent_ns == UINT64_MAX ? up_ms(run) / 1000 : silent_ns / SECOND_NS;
    connection_text_add(&run->text, "slave%u:ip=%s,port=%u,state=%s,offset=%lu,lag=%lu\r\n", number,
                        place.host, place.port, online ? "online" : "wait_bgsave",
                        node_figure(&figures->match_index), lag_s);
}

static void leader_add(struct connection_run *run) {
    uint32_t number = 0;
    /* Each of them has one connection of each sort. */
    uint64_t connected = node_figure(&run->node->write.peers_open) / PEER_LANES;
    connection_text_add(&run->text, "connected_slaves:%lu\r\n", connected);
    for (uint32_t row = 0; row < PEERS_MAX; row++) {
        const struct node_peer_figures *figures = &run->node->peer_figures[row];
        if (node_figure(&figures->role) != NODE_PEER_OUTSIDE) {
            slave_add(run, number++, figures);
        }
    }
}

/* ---- a follower's -------------------------------------------------------------------------- */

static void follower_add(struct connection_run *run) {
    uint64_t leader = node_figure(&run->node->replicate.leader);
    uint64_t silent_ns = UINT64_MAX;
    for (uint32_t row = 0; leader != 0 && row < PEERS_MAX; row++) {
        if (node_figure(&run->node->peer_figures[row].node_id) == leader) {
            silent_ns = silence_ns(run, &run->node->peer_figures[row]);
        }
    }
    connection_text_add(&run->text, "connected_slaves:0\r\n");
    if (leader != 0) {
        struct entry_address place = place_of(run, leader);
        connection_text_add(&run->text, "master_host:%s\r\nmaster_port:%u\r\n", place.host,
                            place.port);
    }
    connection_text_add(&run->text, "master_link_status:%s\r\n",
                        silent_ns < SECOND_NS ? "up" : "down");
    if (silent_ns != UINT64_MAX) {
        connection_text_add(&run->text, "master_last_io_seconds_ago:%lu\r\n",
                            silent_ns / SECOND_NS);
    }
    connection_text_add(&run->text, "slave_repl_offset:%lu\r\nslave_read_only:1\r\n",
                        node_figure(&run->node->replicate.durable_index));
}

void connection_replication_add(struct connection_run *run) {
    bool leads = node_figure(&run->node->replicate.role) == RAFT_LEADER;
    connection_text_add(&run->text, "role:%s\r\n", leads ? "master" : "slave");
    if (leads) {
        leader_add(run);
    } else {
        follower_add(run);
    }
    connection_text_add(&run->text, "master_repl_offset:%lu\r\n",
                        node_figure(&run->node->replicate.last_index));
}

/* ---- what is ours -------------------------------------------------------------------------- */

/* Of a member: role, how far it is (which only the leader knows), and how long it is silent. */
static void member_add(struct connection_run *run, uint32_t number,
                       const struct node_peer_figures *figures) {
    uint64_t state = node_figure(&figures->state);
    uint64_t silent_ns = silence_ns(run, figures);
    connection_text_add(&run->text, "raft_peer_%u:id=%lu,role=%s", number,
                        node_figure(&figures->node_id), role_name(node_figure(&figures->role)));
    if (state != NODE_PEER_UNKNOWN) {
        uint64_t match_index = node_figure(&figures->match_index);
        connection_text_add(&run->text, ",state=%s,match=%lu,lag=%lu", state_name(state),
                            match_index, lag_of(run, match_index));
    }
    if (silent_ns == UINT64_MAX) {
        connection_text_add(&run->text, ",contact_ms=never\r\n");
    } else {
        connection_text_add(&run->text, ",contact_ms=%lu\r\n", silent_ns / (SECOND_NS / 1000));
    }
}

void connection_members_add(struct connection_run *run) {
    uint32_t number = 0;
    for (uint32_t row = 0; row < PEERS_MAX; row++) {
        if (node_figure(&run->node->peer_figures[row].node_id) != 0) {
            member_add(run, number++, &run->node->peer_figures[row]);
        }
    }
}

static void lateness_line_add(struct connection_run *run, const char *name,
                              const struct lateness *lateness) {
    enum { US_NS = 1000, NINETY_NINE_PER_MILLE = 990 };
    connection_text_add(&run->text, "%s:count=%lu,late_p99_us=%lu,late_max_us=%lu\r\n", name,
                        lateness_count(lateness),
                        lateness_bound_ns(lateness, NINETY_NINE_PER_MILLE) / US_NS,
                        gauge_read(&lateness->max_ns) / US_NS);
}

void connection_heartbeats_add(struct connection_run *run) {
    const struct node_replicate_figures *figures = &run->node->replicate;
    lateness_line_add(run, "raft_heartbeats_sent", &figures->heartbeats_sent);
    lateness_line_add(run, "raft_heartbeats_heard", &figures->heartbeats_heard);
}
