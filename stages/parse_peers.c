/*
 * What other members send.  See stages/parse_peers.h for the states of a connection.
 *
 * Happy path: read's items are taken, buffers are queued at their connections; each connection's
 * bytes fill the record that is being put together, and a buffer that is read goes back.
 *
 * Failure modes: no HELLO, one that is refused, a frame that is not as it was sent: the connection
 * is closed, and said at a bounded rate.  No room in a ring: the connection waits.
 */

#include "stages/parse_peers_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mutant.h"

enum {
    TAKE_MAX = 64,
    BUFFER_LANE_BIT = 31, /* of a buffer's name: its lane; below, its index */
    /* Checksums are an order faster than copies to memory that was not touched before. */
    CHECKSUM_BYTES_PER_UNIT = 512,
    ITEM_UNITS = 2,
    /* By which a poll may exceed its units: a buffer copied and hashed, its part of a tag, and what
       comes with it.  So it does not depend on the length of a frame. */
    UNITS_OVER_MAX = PEER_DATA_BUFFER_BYTES / STAGE_UNIT_BYTES +
                     PEER_DATA_BUFFER_BYTES / CHECKSUM_BYTES_PER_UNIT +
                     PEER_DATA_BUFFER_BYTES / PEER_TAG_BYTES_PER_UNIT + PEER_TAG_UNITS + 16,
};

static const bool peer_moves[PEER_STATES][PEER_STATES] = {
    [PEER_CLOSED][PEER_GREETING] = true,  [PEER_GREETING][PEER_TALKING] = true,
    [PEER_GREETING][PEER_PROVING] = true, [PEER_GREETING][PEER_BROKEN] = true,
    [PEER_GREETING][PEER_CLOSED] = true,  [PEER_PROVING][PEER_TALKING] = true,
    [PEER_PROVING][PEER_BROKEN] = true,   [PEER_PROVING][PEER_CLOSED] = true,
    [PEER_TALKING][PEER_BROKEN] = true,   [PEER_TALKING][PEER_CLOSED] = true,
    [PEER_BROKEN][PEER_CLOSED] = true,
};

void parse_peer_state_set(struct parse_peer *peer, enum parse_peer_state state) {
    ASSERT(peer_moves[peer->state][state]);
    peer->state = (uint8_t)state;
}

uint32_t parse_peer_slot(const struct parse_peers *peers, const struct parse_peer *peer) {
    return (uint32_t)(peer - peers->slots);
}

void parse_peer_item_send(struct parse_peers *peers, const struct peer_item *item) {
    uint32_t taken = ring_peer_enqueue(peers->to_read, item, 1);
    ASSERT(taken == 1); /* as long as all that can be under way */
}

void parse_replicate_wake(struct parse_peers *peers) {
    uint32_t note = 0;
    peers->units -= 1;
    (void)ring_u32_enqueue(peers->to_replicate, &note, 1); /* one that does not fit is not missed */
}

/* ---- buffers ------------------------------------------------------------------------------- */

static void buffer_queue(struct parse_peers *peers, struct parse_peer *peer,
                         const struct peer_item *item) {
    uint32_t name = (uint32_t)item->lane << BUFFER_LANE_BIT | item->buffer;
    peers->waiting[item->lane][item->buffer] =
        (struct waiting){.next = NO_BUFFER, .length_bytes = item->length_bytes};
    if (peer->first == NO_BUFFER) {
        peer->first = name;
        peer->offset_bytes = 0;
    } else {
        peers->waiting[peer->last >> BUFFER_LANE_BIT][peer->last & INT32_MAX].next = name;
    }
    peer->last = name;
    peers->held++;
}

/* The first buffer goes back to read. */
static void buffer_home(struct parse_peers *peers, struct parse_peer *peer) {
    uint32_t lane = peer->first >> BUFFER_LANE_BIT;
    uint32_t index = peer->first & INT32_MAX;
    struct peer_item item = {.kind = PEER_ITEM_BUFFER,
                             .lane = (uint8_t)lane,
                             .slot = parse_peer_slot(peers, peer),
                             .buffer = index};
    peer->first = peers->waiting[lane][index].next;
    peer->offset_bytes = 0;
    ASSERT(peers->held > 0);
    peers->held--;
    parse_peer_item_send(peers, &item);
}

/* What of the first buffer is not read yet; *length_bytes is at least 1. */
static const uint8_t *bytes_here(const struct parse_peers *peers, const struct parse_peer *peer,
                                 uint32_t *length_bytes) {
    uint32_t lane = peer->first >> BUFFER_LANE_BIT;
    uint32_t index = peer->first & INT32_MAX;
    const struct peer_buffers *buffers = &peers->peers->buffers[lane];
    ASSERT(index < buffers->count);
    *length_bytes = peers->waiting[lane][index].length_bytes - peer->offset_bytes;
    return buffers->memory + (size_t)index * buffers->buffer_bytes + peer->offset_bytes;
}

/* Takes up to `wanted_bytes` of what is here into `out`, at most a buffer; returns how many. */
uint32_t parse_peer_bytes_take(struct parse_peers *peers, struct parse_peer *peer, uint8_t *out,
                               uint32_t wanted_bytes) {
    uint32_t here_bytes;
    const uint8_t *bytes = bytes_here(peers, peer, &here_bytes);
    uint32_t taken = wanted_bytes < here_bytes ? wanted_bytes : here_bytes;
    memcpy(out, bytes, taken);
    peers->units -= (int32_t)(1 + stage_bytes_units(taken));
    peer->offset_bytes += taken;
    if (taken == here_bytes) {
        buffer_home(peers, peer);
    }
    return taken;
}

static void buffers_drop(struct parse_peers *peers, struct parse_peer *peer) {
    while (peer->first != NO_BUFFER) {
        buffer_home(peers, peer);
    }
}

/* ---- what replicate is told of connections ------------------------------------------------- */

static bool owes(const struct parse_link *link) {
    return link->owes_disconnected || link->owes_connected;
}

static bool record_put(struct record_ring *ring, enum peer_record kind,
                       const struct peer_introduction *introduction) {
    uint32_t length_bytes = PEER_RECORD_HEAD_BYTES;
    length_bytes += introduction == NULL ? 0 : (uint32_t)sizeof(*introduction);
    uint8_t *record = record_ring_reserve(ring, length_bytes);
    if (record == NULL) {
        return false;
    }
    bytes_put_u32(record, kind);
    bytes_put_u32(record + sizeof(uint32_t), 0);
    if (introduction != NULL) {
        memcpy(record + PEER_RECORD_HEAD_BYTES, introduction, sizeof(*introduction));
    }
    record_ring_commit(ring, length_bytes);
    return true;
}

/* Tells what is owed, if there is room.  Of a connection under way nothing is reserved then. */
static void link_pay(struct parse_peers *peers, uint32_t row) {
    struct parse_link *link = &peers->links[row];
    struct record_ring *ring = peers->peers->links[row].in[PEER_CONTROL];
    if (!owes(link)) {
        return;
    }
    if (link->owes_disconnected && record_put(ring, PEER_RECORD_DISCONNECTED, NULL)) {
        link->owes_disconnected = false;
        link->is_told = false;
    }
    if (!link->owes_disconnected && link->owes_connected &&
        record_put(ring, PEER_RECORD_CONNECTED, &link->introduction)) {
        link->owes_connected = false;
        link->is_told = true;
    }
    peers->owing -= !owes(link);
    parse_replicate_wake(peers);
}

bool parse_peer_data_connected(struct parse_peers *peers, uint32_t row,
                               const struct peer_introduction *introduction) {
    parse_replicate_wake(peers);
    return record_put(peers->peers->links[row].in[PEER_DATA], PEER_RECORD_CONNECTED, introduction);
}

void parse_peer_connected(struct parse_peers *peers, uint32_t row,
                          const struct peer_introduction *introduction) {
    struct parse_link *link = &peers->links[row];
    peers->owing += !owes(link);
    link->owes_connected = true;
    link->introduction = *introduction;
    link_pay(peers, row);
}

static void link_disconnected(struct parse_peers *peers, uint32_t row) {
    struct parse_link *link = &peers->links[row];
    bool owed = owes(link);
    link->owes_connected = false;
    link->owes_disconnected = link->is_told;
    peers->owing += (uint32_t)owes(link) - (uint32_t)owed;
    link_pay(peers, row);
}

/* The connection is not its member's any more, if it was; what it had begun is forgotten. */
static void detach(struct parse_peers *peers, struct parse_peer *peer) {
    peer->room = NULL; /* the next to reserve begins there again */
    peer_frame_keys_clear(&peer->keys);
    if (peer->state != PEER_TALKING) {
        return;
    }
    struct parse_link *link = &peers->links[peer->row];
    if (link->slots[peer->lane] == parse_peer_slot(peers, peer)) {
        link->slots[peer->lane] = NO_SLOT;
        if (peer->lane == PEER_CONTROL) {
            link_disconnected(peers, peer->row);
        }
    }
}

void parse_peer_break(struct parse_peers *peers, struct parse_peer *peer) {
    detach(peers, peer);
    parse_peer_state_set(peer, PEER_BROKEN);
    buffers_drop(peers, peer);
    struct peer_item item = {.kind = PEER_ITEM_CLOSE, .slot = parse_peer_slot(peers, peer)};
    parse_peer_item_send(peers, &item);
}

/* ---- messages ------------------------------------------------------------------------------ */

static void frame_broken(struct parse_peers *peers, struct parse_peer *peer,
                         enum peer_frame_fault fault) {
    /* What is whole, and is none of a member's, has no body. */
    const char *reason =
        fault == PEER_FRAME_VALID ? "a message without a body" : peer_frame_fault_name(fault);
    node_figure_add(&peers->node->parse.peers_broken, 1);
    node_figure_add(&peers->node->parse.peers_unauthenticated, peer_frame_fault_of_secret(fault));
    log_warn_limited("peer_broken", "peer=%lu reason=\"%s\"",
                     peers->peers->links[peer->row].node_id, reason);
    parse_peer_break(peers, peer);
}

/* The header is whole: what it announces gets its place.  False if there is none now. */
static bool record_begin(struct parse_peers *peers, struct parse_peer *peer) {
    struct record_ring *ring = peers->peers->links[peer->row].in[peer->lane];
    uint8_t *record = record_ring_reserve(ring, PEER_RECORD_HEAD_BYTES + peer->body_bytes);
    if (record == NULL) {
        return false;
    }
    bytes_put_u32(record, PEER_RECORD_MESSAGE);
    bytes_put_u32(record + sizeof(uint32_t), 0);
    peer->room = record + PEER_RECORD_HEAD_BYTES;
    peer->filled_bytes = 0;
    peer_frame_hash_begin(&peer->reader, peer->head, &peer->hash);
    return true;
}

/* More of the body.  It is hashed, and its tag computed, as the bytes come: of a long one that
 * would take long. */
static void record_fill(struct parse_peers *peers, struct parse_peer *peer) {
    struct peer_frame frame;
    uint8_t *place = peer->room + peer->filled_bytes;
    uint32_t taken =
        parse_peer_bytes_take(peers, peer, place, peer->body_bytes - peer->filled_bytes);
    checksum_update(&peer->hash, place, taken);
    peers->units -= (int32_t)(1 + taken / CHECKSUM_BYTES_PER_UNIT);
    peer->filled_bytes += taken;
    if (peers->node->options->peer_secret != NULL) {
        peers->units -= (int32_t)(taken / PEER_TAG_BYTES_PER_UNIT);
        if (peer->filled_bytes < peer->body_bytes) {
            (void)peer_frame_read_parts(&peer->reader, peer->head, peer->room, peer->filled_bytes,
                                        &frame);
        }
    }
}

/* The body is whole: judged, and handed on if it is as it was sent. */
static void record_end(struct parse_peers *peers, struct parse_peer *peer) {
    struct peer_frame frame;
    peers->units -= peers->node->options->peer_secret != NULL ? PEER_TAG_UNITS : 0;
    if (peer_frame_read_hashed(&peer->reader, peer->head, peer->room, checksum_end(&peer->hash),
                               &frame) != PEER_FRAME_COMPLETE) {
        frame_broken(peers, peer, (enum peer_frame_fault)frame.fault);
        return;
    }
    record_ring_commit(peers->peers->links[peer->row].in[peer->lane],
                       PEER_RECORD_HEAD_BYTES + peer->body_bytes);
    if (peer->lane == PEER_CONTROL) {
        node_figure_set(&peers->peers->links[peer->row].heard_ns, peers->now_ns);
    }
    node_figure_add(&peers->node->parse.peer_messages, 1);
    node_figure_add(&peers->node->parse.peer_bytes, frame.length_bytes);
    peer->room = NULL;
    peer->head_bytes = 0;
    parse_replicate_wake(peers);
}

/* Reads on in messages: false if it has to wait for room. */
static bool talk_go_on(struct parse_peers *peers, struct parse_peer *peer) {
    if (owes(&peers->links[peer->row])) {
        return false; /* what is owed comes first */
    }
    if (peer->head_bytes < PEER_FRAME_HEADER_BYTES) {
        peer->head_bytes += parse_peer_bytes_take(peers, peer, peer->head + peer->head_bytes,
                                                  PEER_FRAME_HEADER_BYTES - peer->head_bytes);
        if (peer->head_bytes < PEER_FRAME_HEADER_BYTES) {
            return true;
        }
        struct peer_frame frame;
        enum peer_frame_result result =
            peer_frame_read_parts(&peer->reader, peer->head, NULL, 0, &frame);
        if (result != PEER_FRAME_MORE) {
            frame_broken(peers, peer, (enum peer_frame_fault)frame.fault);
            return true;
        }
        peer->body_bytes = frame.needed_bytes - PEER_FRAME_HEADER_BYTES;
    }
    if (peer->room == NULL && !record_begin(peers, peer)) {
        return false;
    }
    if (peer->first != NO_BUFFER) {
        record_fill(peers, peer);
    }
    if (peer->filled_bytes == peer->body_bytes) {
        record_end(peers, peer);
    }
    return true;
}

/* As much as can be done with a connection's bytes. */
static void peer_go_on(struct parse_peers *peers, struct parse_peer *peer) {
    while (peer->first != NO_BUFFER && peers->units > 0) {
        switch (peer->state) {
        case PEER_GREETING:
        case PEER_PROVING: parse_peer_introduce(peers, peer); break;
        case PEER_TALKING:
            if (!talk_go_on(peers, peer)) {
                peers->blocked = true;
                return;
            }
            break;
        default: UNREACHABLE("no other state keeps bytes");
        }
    }
}

/* ---- items --------------------------------------------------------------------------------- */

static void on_item(struct parse_peers *peers, const struct peer_item *item) {
    ASSERT(item->slot < peers->peers->connections_max);
    struct parse_peer *peer = &peers->slots[item->slot];
    struct peer_item ended = {.kind = PEER_ITEM_ENDED, .slot = item->slot};
    peers->units -= ITEM_UNITS;
    switch (item->kind) {
    case PEER_ITEM_OPEN:
        parse_peer_state_set(peer, PEER_GREETING);
        peer->row = NO_ROW;
        peer->lane = PEER_CONTROL;
        peer->room = NULL;
        peer->first = NO_BUFFER;
        peers->open_count++;
        parse_peer_begin(peers, peer);
        break;
    case PEER_ITEM_BYTES:
        buffer_queue(peers, peer, item);
        if (peer->state == PEER_BROKEN) {
            buffers_drop(peers, peer);
        }
        break;
    case PEER_ITEM_END:
        buffers_drop(peers, peer);
        detach(peers, peer);
        parse_peer_state_set(peer, PEER_CLOSED);
        peers->open_count--;
        parse_peer_item_send(peers, &ended);
        break;
    default: UNREACHABLE("what read says");
    }
}

/* Takes items; what a connection can read of its bytes is read before the next item, which may be
 * its end. */
static uint32_t take_items(struct parse_peers *peers, uint32_t budget) {
    uint32_t done = 0;
    struct peer_item item;
    while (done < budget && peers->units > 0 &&
           ring_peer_dequeue(peers->from_read, &item, 1) == 1) {
        struct parse_peer *peer = &peers->slots[item.slot];
        on_item(peers, &item);
        if (item.kind == PEER_ITEM_BYTES && peer->first != NO_BUFFER) {
            peer_go_on(peers, peer);
        }
        done++;
    }
    return done;
}

/* Connections that were left with bytes: those for control, then those for data in turn. */
static void serve_held(struct parse_peers *peers) {
    uint32_t count = peers->peers->connections_max;
    for (uint32_t pass = 0; pass < PEER_LANES; pass++) {
        for (uint32_t i = 0; i < count && peers->held > 0 && peers->units > 0; i++) {
            struct parse_peer *peer = &peers->slots[(peers->next + i) % count];
            bool is_data = peer->state == PEER_TALKING && peer->lane == PEER_DATA;
            if (peer->state != PEER_CLOSED && is_data == (pass == PEER_DATA)) {
                peer_go_on(peers, peer);
            }
        }
    }
    peers->next = (peers->next + 1) % count;
}

struct stage_result parse_peers_poll(struct parse_peers *peers, uint64_t now_ns, uint32_t budget) {
    uint32_t notes[TAKE_MAX];
    peers->now_ns = now_ns;
    peers->units = PARSE_PEERS_UNITS;
    peers->blocked = false;
    uint32_t work = ring_u32_dequeue(peers->from_replicate, notes, TAKE_MAX);
    if (work > 0 || peers->looks_at_rows) {
        parse_rows_turn(peers);
    }
    for (uint32_t row = 0; peers->owing > 0 && row < PEERS_MAX; row++) {
        link_pay(peers, row);
    }
    if (peers->held > 0) {
        serve_held(peers);
    }
    work += take_items(peers, budget);
    ASSERT(peers->units >= -UNITS_OVER_MAX);
    if (peers->units <= 0 || (work == 0 && peers->units < PARSE_PEERS_UNITS)) {
        work++; /* there may be more */
    }
    return (struct stage_result){.work = work,
                                 .units = (uint32_t)(PARSE_PEERS_UNITS - peers->units),
                                 .blocked = peers->blocked};
}

bool parse_peers_drain(const struct parse_peers *peers) {
    return peers->open_count == 0 && ring_ready(peers->from_read, 1) == 0;
}

/* ---- making it ----------------------------------------------------------------------------- */

/* What authentication takes. */
static int tags_create(struct parse_peers *peers, struct io *io, struct error_text *error) {
    peer_nonces_begin(&peers->nonces, io);
    for (uint32_t i = 0; i < peers->peers->connections_max; i++) {
        int result = gmac_create(&peers->slots[i].keys.messages, error);
        if (result != WEIR_OK) {
            return result;
        }
    }
    return WEIR_OK;
}

int parse_peers_create(struct parse_peers **out, struct pipeline *pipeline, uint32_t shard,
                       struct io *io, struct error_text *error) {
    *out = NULL;
    struct peers *links = pipeline_peers_served(pipeline);
    if (links == NULL || shard != 0) {
        return WEIR_OK;
    }
    struct parse_peers *peers = calloc(1, sizeof(*peers));
    bool is_made = peers != NULL;
    for (uint32_t lane = 0; is_made && lane < PEER_LANES; lane++) {
        peers->waiting[lane] = calloc(links->buffers[lane].count, sizeof(*peers->waiting[lane]));
        is_made = peers->waiting[lane] != NULL;
    }
    if (!is_made) {
        error_text_set(error, "no memory for the connections of members");
        parse_peers_destroy(peers);
        return WEIR_ENOMEM;
    }
    peers->peers = links;
    peers->node = pipeline_node(pipeline);
    int result =
        peers->node->options->peer_secret == NULL ? WEIR_OK : tags_create(peers, io, error);
    if (result != WEIR_OK) {
        parse_peers_destroy(peers);
        return result;
    }
    peers->from_read = pipeline_peer_ring(pipeline, STAGE_READ, 0, STAGE_PARSE, 0);
    peers->to_read = pipeline_peer_ring(pipeline, STAGE_PARSE, 0, STAGE_READ, 0);
    peers->from_replicate = pipeline_ring(pipeline, STAGE_REPLICATE, 0, STAGE_PARSE, 0);
    peers->to_replicate = pipeline_ring(pipeline, STAGE_PARSE, 0, STAGE_REPLICATE, 0);
    for (uint32_t i = 0; i < PEERS_MAX; i++) {
        for (uint32_t lane = 0; lane < PEER_LANES; lane++) {
            peers->links[i].slots[lane] = NO_SLOT;
        }
    }
    *out = peers;
    return WEIR_OK;
}

void parse_peers_destroy(struct parse_peers *peers) {
    if (peers == NULL) {
        return;
    }
    for (uint32_t lane = 0; lane < PEER_LANES; lane++) {
        free(peers->waiting[lane]);
    }
    for (uint32_t i = 0; i < PEER_ACCEPTED_MAX; i++) {
        gmac_destroy(&peers->slots[i].keys.messages);
    }
    free(peers);
}
