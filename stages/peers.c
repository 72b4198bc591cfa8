/*
 * The rings between replicate and the connections to other members.  See stages/peers.h.  There is
 * no failure mode but the lack of memory at start.
 */

#include "stages/peers.h"

#include <sys/mman.h>

#include "base/assert.h"
#include "base/error.h"
#include "queues/atomic.h"
#include "queues/ring.h"

static uint64_t ring_capacity_for(uint64_t message_bytes_max) {
    /* Half of a ring is what its longest record may have, with its length. */
    uint64_t need = 2 * (message_bytes_max + PEER_RECORD_HEAD_BYTES + 2 * RECORD_RING_UNIT_BYTES);
    uint64_t capacity = PEER_CONTROL_RING_BYTES;
    while (capacity < need) {
        capacity *= 2;
    }
    return capacity;
}

int peers_create(struct peers *peers, uint64_t message_bytes_max) {
    ASSERT(message_bytes_max < RECORD_RING_CAPACITY_MAX_BYTES / 4);
    *peers = (struct peers){.data_ring_bytes = ring_capacity_for(message_bytes_max)};
    size_t lane_bytes[PEER_LANES] = {record_ring_bytes(PEER_CONTROL_RING_BYTES),
                                     record_ring_bytes(peers->data_ring_bytes)};
    size_t bytes = PEERS_MAX * 2 * (lane_bytes[PEER_CONTROL] + lane_bytes[PEER_DATA]);
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        return WEIR_ENOMEM;
    }
    peers->memory = memory;
    peers->memory_bytes = bytes;
    uint8_t *position = memory;
    for (uint32_t i = 0; i < PEERS_MAX; i++) {
        for (uint32_t lane = 0; lane < PEER_LANES; lane++) {
            uint64_t capacity =
                lane == PEER_CONTROL ? PEER_CONTROL_RING_BYTES : peers->data_ring_bytes;
            peers->links[i].in[lane] = record_ring_init(position, capacity, RING_SEQUENCE_FIRST);
            position += lane_bytes[lane];
            peers->links[i].out[lane] = record_ring_init(position, capacity, RING_SEQUENCE_FIRST);
            position += lane_bytes[lane];
        }
    }
    ASSERT(position == (uint8_t *)memory + bytes);
    return WEIR_OK;
}

void peers_destroy(struct peers *peers) {
    if (peers->memory != NULL) {
        munmap(peers->memory, peers->memory_bytes);
    }
    *peers = (struct peers){0};
}

struct peer_link *peers_find(struct peers *peers, uint64_t node_id) {
    ASSERT(node_id != 0);
    for (uint32_t i = 0; i < PEERS_MAX; i++) {
        if (peers->links[i].node_id == node_id) {
            return &peers->links[i];
        }
    }
    return NULL;
}

struct peer_link *peers_row(struct peers *peers, uint64_t node_id) {
    struct peer_link *link = peers_find(peers, node_id);
    for (uint32_t i = 0; link == NULL && i < PEERS_MAX; i++) {
        if (peers->links[i].node_id == 0) {
            link = &peers->links[i];
            link->node_id = node_id;
        }
    }
    return link;
}

void peers_incarnations_fill(struct peers *peers, const struct identity *own,
                             struct configuration *configuration) {
    ASSERT(own->node_id != 0 && own->incarnation != 0);
    for (uint32_t i = 0; i < configuration->member_count; i++) {
        struct configuration_member *member = &configuration->members[i];
        if (member->incarnation != 0) {
            continue;
        }
        if (member->node_id == own->node_id) {
            member->incarnation = own->incarnation;
        } else {
            const struct peer_link *link = peers_find(peers, member->node_id);
            member->incarnation = link == NULL ? 0 : atomic_load_relaxed_u64(&link->incarnation);
        }
    }
}
