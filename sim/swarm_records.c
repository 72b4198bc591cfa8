/* Moves what nodes have for each other, while there are no connections for that: with a delay, in
 * order, or not at all over a way that is cut. */

#include "sim/swarm_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"

struct swarm_record {
    struct swarm_record *next;
    uint64_t due_ns;
    uint32_t from;
    uint32_t to;
    uint32_t lane;
    uint32_t length_bytes;
    uint8_t bytes[];
};

static void take(struct swarm *swarm, uint32_t from, struct peer_link *link, uint32_t lane,
                 const uint8_t *bytes, uint32_t length_bytes) {
    uint32_t to = (uint32_t)link->node_id - 1;
    const struct world_options *options = &swarm->plan->world;
    uint64_t due_ns = world_now_ns(swarm->world) +
                      random_below(&swarm->random, options->network_delay_ns_max + 1);
    bool healed = swarm->nodes[from].healed && swarm->nodes[to].healed;
    const struct swarm_way *way = &swarm->ways[from][to];
    if (bytes_get_u32(bytes) != PEER_RECORD_MESSAGE ||
        (!healed && (way->count[SWARM_WAY_CUT] > 0 || way->count[SWARM_WAY_CLOG] > 0))) {
        return;
    }
    if (!healed && way->count[SWARM_WAY_SLOW] > 0) {
        due_ns += random_below(&swarm->random, way->amount[SWARM_WAY_SLOW] * SWARM_MS_NS);
    }
    struct swarm_record *record = malloc(sizeof(*record) + length_bytes);
    ASSERT(record != NULL);
    for (const struct swarm_record *each = swarm->records; each != NULL; each = each->next) {
        if (each->from == from && each->to == to && each->lane == lane && each->due_ns > due_ns) {
            due_ns = each->due_ns;
        }
    }
    *record = (struct swarm_record){
        .due_ns = due_ns, .from = from, .to = to, .lane = lane, .length_bytes = length_bytes};
    memcpy(record->bytes, bytes, length_bytes);
    struct swarm_record **at = &swarm->records;
    while (*at != NULL && (*at)->due_ns <= due_ns) {
        at = &(*at)->next;
    }
    record->next = *at;
    *at = record;
}

static bool deliver(struct swarm *swarm, const struct swarm_record *record) {
    struct swarm_node *node = &swarm->nodes[record->to];
    if (node->process != SWARM_UP) {
        return true;
    }
    struct peer_link *link = peers_find(sim_node_peers(node->node), record->from + 1);
    uint8_t *room =
        link == NULL ? NULL : record_ring_reserve(link->in[record->lane], record->length_bytes);
    if (room != NULL) {
        memcpy(room, record->bytes, record->length_bytes);
        record_ring_commit(link->in[record->lane], record->length_bytes);
        sim_node_wake(node->node);
    }
    return true;
}

bool swarm_records_step(struct swarm *swarm) {
    bool any = false;
    for (uint32_t i = 0; i < swarm->plan->node_count && swarm->plan->node_count > 1; i++) {
        if (swarm->nodes[i].node == NULL) {
            continue;
        }
        struct peers *peers = sim_node_peers(swarm->nodes[i].node);
        for (uint32_t p = 0; p < PEERS_MAX && peers->links[p].node_id != 0; p++) {
            for (uint32_t lane = 0; lane < PEER_LANES; lane++) {
                uint32_t length_bytes;
                const uint8_t *bytes;
                while ((bytes = record_ring_peek(peers->links[p].out[lane], &length_bytes)) !=
                       NULL) {
                    take(swarm, i, &peers->links[p], lane, bytes, length_bytes);
                    record_ring_consume(peers->links[p].out[lane]);
                    any = true;
                }
            }
        }
    }
    while (swarm->records != NULL && swarm->records->due_ns <= world_now_ns(swarm->world)) {
        struct swarm_record *record = swarm->records;
        swarm->records = record->next;
        (void)deliver(swarm, record);
        free(record);
        any = true;
    }
    return any;
}

uint64_t swarm_records_due_ns(const struct swarm *swarm) {
    return swarm->records == NULL ? UINT64_MAX : swarm->records->due_ns;
}

void swarm_records_drop(struct swarm *swarm) {
    while (swarm->records != NULL) {
        struct swarm_record *record = swarm->records;
        swarm->records = record->next;
        free(record);
    }
}
