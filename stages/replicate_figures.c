/*
 * What replicate publishes of other members: for INFO, and so for weir status.
 *
 * One glance each, of single words: a reader may see one member's index of a moment before
 * another's.  Nothing is decided by them.
 */

#include <string.h>

#include "base/assert.h"
#include "stages/replicate_internal.h"

enum { FIGURES_NS = 1000 * 1000 }; /* a busy poll is far shorter; heartbeats come every 20 ms */

static enum node_peer_state state_of(const char *name) {
    static const struct {
        const char *name;
        enum node_peer_state state;
    } states[] = {{"probe", NODE_PEER_PROBE},
                  {"replicate", NODE_PEER_REPLICATE},
                  {"snapshot", NODE_PEER_SNAPSHOT}};
    for (size_t i = 0; i < ARRAY_COUNT(states); i++) {
        if (strcmp(states[i].name, name) == 0) {
            return states[i].state;
        }
    }
    UNREACHABLE("a state of raft/progress.h");
}

static enum node_peer_role role_of(const struct configuration *configuration, uint64_t node_id) {
    const struct configuration_member *member = configuration_find(configuration, node_id);
    if (member == NULL) {
        return NODE_PEER_OUTSIDE;
    }
    return (member->roles & CONFIGURATION_VOTER) != 0 ? NODE_PEER_VOTER : NODE_PEER_LEARNER;
}

void replicate_figures_publish(struct replicate_shard *shard) {
    struct raft_peer_status known[CONFIGURATION_MEMBERS_MAX];
    if (shard->now_ns < shard->figures_ns + FIGURES_NS) {
        return;
    }
    shard->figures_ns = shard->now_ns;
    uint32_t count = raft_peers(shard->raft, known, CONFIGURATION_MEMBERS_MAX);
    const struct configuration *configuration = raft_configuration(shard->raft);
    for (uint32_t row = 0; row < PEERS_MAX; row++) {
        const struct peer_link *link = &shard->links->links[row];
        struct node_peer_figures *figures = &shard->node->peer_figures[row];
        const struct raft_peer_status *status = NULL;
        if (link->node_id == 0) {
            node_figure_set(&figures->node_id, 0);
            node_figure_set(&figures->role, NODE_PEER_OUTSIDE);
            continue;
        }
        for (uint32_t i = 0; i < count; i++) {
            if (known[i].node_id == link->node_id) {
                status = &known[i];
            }
        }
        uint64_t heard_ns = node_figure(&link->heard_ns);
        uint64_t answered_ns = status == NULL ? 0 : status->answered_ns;
        node_figure_set(&figures->node_id, link->node_id);
        node_figure_set(&figures->incarnation, node_figure(&link->incarnation));
        node_figure_set(&figures->role, role_of(configuration, link->node_id));
        node_figure_set(&figures->state,
                        status == NULL ? NODE_PEER_UNKNOWN : state_of(status->state));
        node_figure_set(&figures->match_index, status == NULL ? 0 : status->match_index);
        node_figure_set(&figures->heard_ns, heard_ns > answered_ns ? heard_ns : answered_ns);
    }
}
