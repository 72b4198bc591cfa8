/*
 * The rings between replicate and the connections to other members.  See stages/peers.h.  There is
 * no failure mode but the lack of memory at start.
 */

#include "stages/peers.h"

#include <string.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/log.h"
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

/* Cuts a piece off the front of the memory; counts only, while there is none yet. */
static uint8_t *piece(uint8_t *memory, size_t *used_bytes, size_t length_bytes) {
    uint8_t *begin = memory == NULL ? NULL : memory + *used_bytes;
    *used_bytes += ALIGN_UP(length_bytes, (size_t)CACHE_LINE_BYTES);
    return begin;
}

static uint32_t power_of_two_from(uint32_t at_least) {
    uint32_t power = 1;
    while (power < at_least) {
        power *= 2;
    }
    return power;
}

static void buffers_lay_out(struct peer_buffers *buffers, uint8_t *memory, size_t *used_bytes) {
    buffers->memory = piece(memory, used_bytes, (size_t)buffers->count * buffers->buffer_bytes);
}

static struct record_ring *ring_lay_out(uint8_t *memory, size_t *used_bytes, uint64_t capacity) {
    uint8_t *place = piece(memory, used_bytes, record_ring_bytes(capacity));
    return place == NULL ? NULL : record_ring_init(place, capacity, RING_SEQUENCE_FIRST);
}

/* Gives everything its place; returns how many bytes that takes. */
static size_t lay_out(struct peers *peers, uint8_t *memory) {
    size_t used_bytes = 0;
    for (uint32_t i = 0; i < PEERS_MAX; i++) {
        for (uint32_t lane = 0; lane < PEER_LANES; lane++) {
            uint64_t capacity =
                lane == PEER_CONTROL ? PEER_CONTROL_RING_BYTES : peers->data_ring_bytes;
            peers->links[i].in[lane] = ring_lay_out(memory, &used_bytes, capacity);
            peers->links[i].out[lane] = ring_lay_out(memory, &used_bytes, capacity);
        }
    }
    buffers_lay_out(&peers->buffers[PEER_CONTROL], memory, &used_bytes);
    buffers_lay_out(&peers->buffers[PEER_DATA], memory, &used_bytes);
    buffers_lay_out(&peers->answers_received, memory, &used_bytes);
    peers->answers = (uint8_t(*)[PEER_ANSWER_FRAME_BYTES])(void *)piece(
        memory, &used_bytes, (size_t)peers->connections_max * PEER_ANSWER_FRAME_BYTES);
    return used_bytes;
}

int peers_create(struct peers *peers, uint64_t message_bytes_max, uint32_t others,
                 bool has_secret) {
    ASSERT(message_bytes_max < RECORD_RING_CAPACITY_MAX_BYTES / 4);
    ASSERT(others > 0 && others <= PEERS_MAX);
    uint32_t of_data = others * PEER_ACCEPTED_EACH;
    uint32_t of_control = of_data + PEER_STRANGERS_MAX;
    /* With a secret what follows the proof on a connection for data can be there before it is
       known for one. */
    uint32_t into_control = has_secret ? of_data + of_control : of_control;
    *peers = (struct peers){
        .connections_max = of_data + of_control,
        .data_ring_bytes = ring_capacity_for(message_bytes_max),
        .buffers =
            {
                [PEER_CONTROL] = {.count =
                                      power_of_two_from(into_control * PEER_CONTROL_BUFFERS_EACH),
                                  .buffer_bytes = PEER_CONTROL_BUFFER_BYTES},
                [PEER_DATA] = {.count = power_of_two_from(of_data * PEER_DATA_BUFFERS_EACH),
                               .buffer_bytes = PEER_DATA_BUFFER_BYTES},
            },
        .answers_received = {.count = power_of_two_from(2 * PEER_LANES * others),
                             .buffer_bytes = PEER_ANSWER_BUFFER_BYTES},
    };
    size_t bytes = lay_out(peers, NULL);
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        *peers = (struct peers){0};
        return WEIR_ENOMEM;
    }
    peers->memory = memory;
    peers->memory_bytes = bytes;
    size_t laid_out = lay_out(peers, memory);
    ASSERT(laid_out == bytes && peers->connections_max <= PEER_ACCEPTED_MAX);
    return WEIR_OK;
}

uint32_t peers_message_bytes_max(const struct record_ring *ring) {
    uint64_t bytes = record_ring_record_bytes_max(ring) - PEER_RECORD_HEAD_BYTES;
    return (uint32_t)(bytes < UINT32_MAX / 2 ? bytes : UINT32_MAX / 2 + 1);
}

uint64_t peers_inflight_bytes_max(const struct peers *peers) {
    ASSERT(peers->data_ring_bytes >= PEER_CONTROL_RING_BYTES);
    return peers->data_ring_bytes / PEER_INFLIGHT_SHARE;
}

uint32_t peers_items_max(const struct peers *peers) {
    /* Each buffer once; OPEN and END, or else ANSWER, MEMBER, CLOSE and ENDED, of each
       connection. */
    return peers->buffers[PEER_CONTROL].count + peers->buffers[PEER_DATA].count +
           4 * peers->connections_max;
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
        /* A glance: all else of a row was there before the cores started. */
        if (atomic_load_relaxed_u64(&peers->links[i].node_id) == node_id) {
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
            atomic_store_relaxed_u64(&link->node_id, node_id);
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

struct peer_introduction peer_introduction_of(const struct peer_hello *hello) {
    struct peer_introduction introduction = {.incarnation = hello->incarnation,
                                             .known = hello->known,
                                             .own = hello->own,
                                             .told = hello->told};
    ASSERT(introduction.incarnation != 0);
    if (entry_address_parse(hello->address, strlen(hello->address), &introduction.address)) {
        introduction.address.node_id = hello->from;
    } else if (hello->address[0] != '\0') {
        log_warn_limited("address_refused",
                         "peer=%lu what=\"what it advertises to clients is not host:port\"",
                         hello->from);
    }
    return introduction;
}
