/*
 * Connections to other members.  See stages/write_peers.h for their states.
 *
 * Happy path of a poll: completions are taken; then each connection that has nothing in flight and
 * something in its ring gets one send for as many records as fit, those for control first.
 *
 * Failure modes: every one of them ends the connection, which is opened again after a pause.
 */

#include "stages/write_peers_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/log.h"
#include "stages/peer_message.h"

enum {
    TAKE_MAX = 64,
    /* No further record once a send has so many bytes. */
    SEND_BYTES = 128 * 1024,
    CHECKSUM_BYTES_PER_UNIT = 512,
    /* Of a message's tag in one poll, so that a long one holds up nobody: 6 us. */
    TAG_AHEAD_BYTES = 64 * 1024,
    SEND_UNITS = 10,
    SOCKET_UNITS = 100, /* closing one is a system call */
    USER_TIMER = 0,     /* low bits of `user`; the connection is above */
    USER_CONNECT = 1,
    USER_RECEIVE = 2,
    USER_SEND = 3,
    USER_KIND_BITS = 2,
};

static const bool link_moves[LINK_STATES][LINK_STATES] = {
    [LINK_IDLE][LINK_CONNECTING] = true,     [LINK_CONNECTING][LINK_IDLE] = true,
    [LINK_CONNECTING][LINK_GREETING] = true, [LINK_CONNECTING][LINK_ENDING] = true,
    [LINK_GREETING][LINK_TALKING] = true,    [LINK_GREETING][LINK_ENDING] = true,
    [LINK_TALKING][LINK_ENDING] = true,      [LINK_ENDING][LINK_IDLE] = true,
};

static const struct mac_key *secret_of(const struct write_peers *peers) {
    return peers->node->options->peer_secret;
}

void write_link_state_set(struct write_link *link, enum link_state state) {
    ASSERT(link_moves[link->state][state]);
    link->state = (uint8_t)state;
}

static uint64_t user_of(const struct write_peers *peers, const struct write_link *link,
                        uint32_t kind) {
    return (uint64_t)(link - peers->links) << USER_KIND_BITS | kind;
}

const char *write_link_lane_name(const struct write_link *link) {
    return link->lane == PEER_CONTROL ? "control" : "data";
}

/* ---- ending -------------------------------------------------------------------------------- */

/* The member's connection for data does not get through: a new one might. */
static void data_reopen(struct write_peers *peers, const struct write_link *control,
                        uint64_t now_ns) {
    for (uint32_t i = 0; i < peers->link_count; i++) {
        struct write_link *link = &peers->links[i];
        if (link->peer == control->peer && link->lane == PEER_DATA && link->state == LINK_TALKING) {
            link->pause_ns = 0;
            write_link_end(peers, link, now_ns);
        }
    }
}

/* Forgets what waits to be sent; nothing of it is borrowed. */
static void ring_drop(struct write_peers *peers, struct write_link *link, uint64_t now_ns) {
    uint32_t position = record_ring_first(link->ring);
    uint32_t length_bytes;
    const uint8_t *record;
    bool reopen = false;
    ASSERT(!link->sending);
    while ((record = record_ring_walk(link->ring, &position, &length_bytes)) != NULL) {
        reopen |= bytes_get_u32(record) == PEER_RECORD_REOPEN;
        node_figure_add(&peers->node->write.peer_dropped, 1);
    }
    record_ring_consume_to(link->ring, position);
    if (reopen) {
        data_reopen(peers, link, now_ns);
    }
}

/* Pauses, longer each time; how long exactly is left to chance, so that not all come at once.  A
 * name is asked for again meanwhile: the member may have moved. */
static void link_pause(struct write_peers *peers, struct write_link *link, uint64_t now_ns) {
    ring_drop(peers, link, now_ns);
    if (link->place->name != NULL && !peers->draining) {
        (void)peer_name_ask(link->place->name, !link->talked);
    }
    uint64_t half_ns = link->pause_ns / 2;
    link->deadline_ns = now_ns + half_ns + random_below(&peers->random, half_ns + 1);
    link->pause_ns = link->pause_ns < PEER_PAUSE_NS_MIN ? PEER_PAUSE_NS_MIN : 2 * link->pause_ns;
    if (link->pause_ns > PEER_PAUSE_NS_MAX) {
        link->pause_ns = PEER_PAUSE_NS_MAX;
    }
}

/* Closes once nothing is in flight. */
static void link_close_if_rested(struct write_peers *peers, struct write_link *link,
                                 uint64_t now_ns) {
    if (link->state != LINK_ENDING || link->sending || link->armed) {
        return;
    }
    io_close(peers->io, link->socket);
    peers->units -= SOCKET_UNITS;
    write_link_state_set(link, LINK_IDLE);
    link_pause(peers, link, now_ns);
}

void write_link_end(struct write_peers *peers, struct write_link *link, uint64_t now_ns) {
    if (link->state == LINK_ENDING) {
        return;
    }
    if (link->state == LINK_TALKING) {
        peers->talking--;
        node_figure_set(&peers->node->write.peers_open, peers->talking);
        if (now_ns - link->talking_ns >= PEER_PAUSE_NS_MAX) {
            link->pause_ns = 0; /* it has been well for a while */
        }
    }
    write_link_state_set(link, LINK_ENDING);
    peer_frame_keys_clear(&link->keys);   /* what is being sent has its tags */
    io_shutdown(peers->io, link->socket); /* a send in flight ends by this, and so does a receive */
    peers->units -= SOCKET_UNITS;
    if (link->armed && !link->stopping) {
        link->stopping = true;
        io_receive_stop(peers->port, link->socket, user_of(peers, link, USER_RECEIVE));
    }
    link_close_if_rested(peers, link, now_ns);
}

void write_link_fail(struct write_peers *peers, struct write_link *link, uint64_t now_ns,
                     const char *reason) {
    if (link->state == LINK_ENDING) {
        return;
    }
    node_figure_add(&peers->node->write.peers_failed, 1);
    log_warn_limited("peer_lost", "peer=%lu for=%s reason=\"%s\"", link->peer->node_id,
                     write_link_lane_name(link), reason);
    write_link_end(peers, link, now_ns);
}

/* ---- opening ------------------------------------------------------------------------------- */

/* Whether it is known where to connect to; what is newer has been learnt then. */
static bool place_learn(struct write_place *place) {
    if (place->name != NULL && peer_name_take(place->name, place->address)) {
        ASSERT(place->address[0] != '\0');
    }
    return place->address[0] != '\0';
}

static void link_connect(struct write_peers *peers, struct write_link *link, uint64_t now_ns) {
    link->talked = false;
    if (!place_learn(link->place)) {
        /* The resolver says why, if it is not only that it has not been asked before. */
        node_figure_add(&peers->node->write.peers_unresolved, 1);
        link_pause(peers, link, now_ns);
        return;
    }
    ring_drop(peers, link, now_ns);
    memcpy(link->address, link->place->address, sizeof(link->address)); /* borrowed below */
    write_link_state_set(link, LINK_CONNECTING);
    link->stopping = false;
    link->deadline_ns = now_ns + PEER_CONNECT_NS;
    io_connect_start(peers->port, link->address, user_of(peers, link, USER_CONNECT));
}

/* Sends pieces [piece, pieces_count). */
void write_link_send(struct write_peers *peers, struct write_link *link) {
    ASSERT(!link->sending && link->piece < link->pieces_count);
    link->sending = true;
    peers->units -= SEND_UNITS;
    io_send(peers->port, link->socket, link->pieces + link->piece, link->pieces_count - link->piece,
            IO_SEND_WAIT, user_of(peers, link, USER_SEND));
}

static void receive_arm(struct write_peers *peers, struct write_link *link) {
    link->armed = true;
    link->stopping = false;
    io_receive_start(peers->port, link->socket, PEER_GROUP_ANSWER,
                     user_of(peers, link, USER_RECEIVE));
}

static void on_connect(struct write_peers *peers, struct write_link *link,
                       const struct io_completion *completion, uint64_t now_ns) {
    ASSERT(link->state == LINK_CONNECTING);
    if (completion->result < 0) {
        write_link_state_set(link, LINK_IDLE);
        node_figure_add(&peers->node->write.peers_failed, 1);
        if (!link->warned && !peers->draining) {
            link->warned = true;
            log_warn_limited("peer_unreachable", "peer=%lu address=%s for=%s errno=%d",
                             link->peer->node_id, link->address, write_link_lane_name(link),
                             -completion->result);
        }
        link_pause(peers, link, now_ns);
        return;
    }
    link->socket = completion->result;
    if (link->stopping) {
        write_link_end(peers, link, now_ns); /* too late, or the node stops */
        return;
    }
    write_link_state_set(link, LINK_GREETING);
    link->deadline_ns = now_ns + PEER_CONNECT_NS;
    receive_arm(peers, link);
    write_link_greet(peers, link);
}

static void on_receive(struct write_peers *peers, struct write_link *link,
                       const struct io_completion *completion, uint64_t now_ns) {
    ASSERT(link->armed);
    if (completion->flags & IO_HAS_BUFFER) {
        const struct peer_buffers *buffers = &peers->peers->answers_received;
        ASSERT(completion->result > 0 && completion->buffer < buffers->count);
        write_link_answered(peers, link,
                            buffers->memory + (size_t)completion->buffer * buffers->buffer_bytes,
                            (uint32_t)completion->result, now_ns);
        io_buffer_return(peers->io, PEER_GROUP_ANSWER, completion->buffer);
    }
    if (completion->flags & IO_MORE) {
        return;
    }
    link->armed = false;
    if (link->state == LINK_ENDING) {
        link_close_if_rested(peers, link, now_ns);
    } else if (completion->result > 0 || completion->result == IO_RECEIVE_NO_BUFFERS) {
        receive_arm(peers, link); /* buffers are back as soon as they were looked at */
    } else {
        write_link_fail(peers, link, now_ns, completion->result == 0 ? "it has closed" : "broken");
    }
}

/* ---- sending ------------------------------------------------------------------------------- */

/* Does a part of the work for the tag of a long message; false: there is more of it to do. */
static bool tag_is_ready(struct write_peers *peers, struct write_link *link,
                         const struct peer_frame_span *body) {
    if (secret_of(peers) == NULL || body->length_bytes <= TAG_AHEAD_BYTES) {
        return true;
    }
    uint32_t left_bytes = peer_frame_write_ahead(&link->writer, body, TAG_AHEAD_BYTES);
    peers->units -= TAG_AHEAD_BYTES / PEER_TAG_BYTES_PER_UNIT;
    return left_bytes == 0;
}

/* What the tags of messages have cost that were not done ahead. */
static void tags_charge(struct write_peers *peers, uint32_t count, uint64_t bytes) {
    if (secret_of(peers) != NULL) {
        peers->units -=
            (int32_t)(count * PEER_TAG_UNITS +
                      (bytes < SEND_BYTES ? bytes : SEND_BYTES) / PEER_TAG_BYTES_PER_UNIT);
    }
}

/* What a member that is there answers at once. */
static bool asks(const uint8_t *body) {
    return body[0] == RAFT_MESSAGE_HEARTBEAT || body[0] == RAFT_MESSAGE_VOTE ||
           body[0] == RAFT_MESSAGE_PRE_VOTE;
}

/* Makes pieces of the records that are there, up to the limits of a send; whether there are any. */
static bool pieces_make(struct write_peers *peers, struct write_link *link, uint64_t now_ns) {
    uint32_t position = record_ring_first(link->ring);
    uint32_t before = position;
    uint32_t length_bytes;
    uint32_t count = 0;
    uint64_t bytes = 0;
    const uint8_t *record;
    bool reopen = false;
    while (count < SEND_RECORDS_MAX && bytes < SEND_BYTES &&
           (record = record_ring_walk(link->ring, &position, &length_bytes)) != NULL) {
        if (bytes_get_u32(record) != PEER_RECORD_MESSAGE) {
            ASSERT(bytes_get_u32(record) == PEER_RECORD_REOPEN);
            reopen = true;
            before = position;
            continue;
        }
        const struct peer_frame_span body = {record + PEER_RECORD_HEAD_BYTES,
                                             length_bytes - PEER_RECORD_HEAD_BYTES};
        if (!tag_is_ready(peers, link, &body)) {
            peers->unfinished = true;
            position = before;
            break;
        }
        before = position;
        if (asks(body.data) && node_figure(&link->peer->heard_ns) >= link->asked_ns) {
            link->asked_ns = now_ns;
        }
        uint8_t *header = link->headers[count];
        bytes += peer_frame_write(&link->writer, header, PEER_FRAME_MESSAGE, &body, 1);
        link->pieces[2 * count] =
            (struct iovec){.iov_base = header, .iov_len = PEER_FRAME_HEADER_BYTES};
        link->pieces[2 * count + 1] =
            (struct iovec){.iov_base = (void *)(uintptr_t)body.data, .iov_len = body.length_bytes};
        count++;
    }
    link->piece = 0;
    link->pieces_count = 2 * count;
    link->until = position;
    peers->units -= (int32_t)(bytes / CHECKSUM_BYTES_PER_UNIT);
    tags_charge(peers, count, bytes);
    node_figure_add(&peers->node->write.peer_messages, count);
    node_figure_add(&peers->node->write.peer_bytes, bytes);
    if (count == 0) {
        record_ring_consume_to(link->ring, position);
    }
    if (reopen) {
        data_reopen(peers, link, now_ns);
    }
    return count > 0;
}

/* So many bytes of the pieces are sent; true if all are. */
static bool pieces_advance(struct write_link *link, uint32_t sent_bytes) {
    while (link->piece < link->pieces_count && sent_bytes > 0) {
        struct iovec *piece = &link->pieces[link->piece];
        if (sent_bytes < piece->iov_len) {
            piece->iov_base = (uint8_t *)piece->iov_base + sent_bytes;
            piece->iov_len -= sent_bytes;
            return false;
        }
        sent_bytes -= (uint32_t)piece->iov_len;
        link->piece++;
    }
    ASSERT(sent_bytes == 0);
    return link->piece == link->pieces_count;
}

static void on_sent(struct write_peers *peers, struct write_link *link,
                    const struct io_completion *completion, uint64_t now_ns) {
    ASSERT(link->sending);
    link->sending = false;
    if (link->state == LINK_ENDING) {
        link_close_if_rested(peers, link, now_ns);
    } else if (completion->result < 0 && completion->result != -EAGAIN) {
        write_link_fail(peers, link, now_ns, "sending failed");
    } else if (completion->result < 0 || !pieces_advance(link, (uint32_t)completion->result)) {
        write_link_send(peers, link);
    } else {
        record_ring_consume_to(link->ring, link->until);
    }
}

/* ---- the turn ------------------------------------------------------------------------------ */

static uint32_t take_completions(struct write_peers *peers, uint64_t now_ns) {
    struct io_completion completion;
    uint32_t done = 0;
    while (done < TAKE_MAX && peers->units > 0 && io_take(peers->port, &completion, 1) == 1) {
        struct write_link *link = &peers->links[completion.user >> USER_KIND_BITS];
        switch (completion.user & ((1u << USER_KIND_BITS) - 1)) {
        case USER_CONNECT: on_connect(peers, link, &completion, now_ns); break;
        case USER_RECEIVE: on_receive(peers, link, &completion, now_ns); break;
        case USER_SEND: on_sent(peers, link, &completion, now_ns); break;
        case USER_TIMER:
            if (completion.result == 0) {
                peers->timer_ns = 0;
            }
            break;
        default: UNREACHABLE("a completion of a connection to a member");
        }
        peers->units -= SEND_UNITS;
        done++;
    }
    return done;
}

/* Sends what there is; or ends a control connection that nobody seems to hear. */
static uint64_t talk_look(struct write_peers *peers, struct write_link *link, uint64_t now_ns) {
    bool is_control = link->lane == PEER_CONTROL;
    bool heard = node_figure(&link->peer->heard_ns) >= link->asked_ns;
    if (is_control && !heard && now_ns - link->asked_ns >= PEER_SILENCE_NS) {
        data_reopen(peers, link, now_ns);
        write_link_fail(peers, link, now_ns, "it answers nothing");
        return link->state == LINK_IDLE ? link->deadline_ns : UINT64_MAX;
    }
    if (!link->sending && link->owes_proof) {
        write_link_prove(peers, link);
    } else if (!link->sending && peers->units > 0 && pieces_make(peers, link, now_ns)) {
        write_link_send(peers, link);
    }
    heard = node_figure(&link->peer->heard_ns) >= link->asked_ns;
    return is_control && !heard ? link->asked_ns + PEER_SILENCE_NS : UINT64_MAX;
}

/* What is due happens; returns when something will be, UINT64_MAX: never. */
static uint64_t link_look(struct write_peers *peers, struct write_link *link, uint64_t now_ns) {
    bool due = link->deadline_ns <= now_ns;
    switch (link->state) {
    case LINK_IDLE:
        if (due && !peers->draining) {
            link_connect(peers, link, now_ns);
        }
        break;
    case LINK_CONNECTING:
        if (due && !link->stopping) {
            link->stopping = true;
            io_connect_stop(peers->port, user_of(peers, link, USER_CONNECT));
        }
        return link->stopping ? UINT64_MAX : link->deadline_ns;
    case LINK_GREETING:
        if (due) {
            write_link_fail(peers, link, now_ns, "no answer");
        }
        break;
    case LINK_TALKING: return talk_look(peers, link, now_ns);
    default: return UINT64_MAX;
    }
    return link->state == LINK_ENDING ? UINT64_MAX : link->deadline_ns;
}

static void look_at_all(struct write_peers *peers, uint64_t now_ns) {
    uint64_t next_ns = UINT64_MAX;
    for (uint32_t i = 0; i < peers->link_count; i++) {
        uint64_t due_ns = link_look(peers, &peers->links[i], now_ns);
        next_ns = due_ns < next_ns ? due_ns : next_ns;
    }
    if (next_ns != UINT64_MAX && !peers->draining &&
        (peers->timer_ns == 0 || next_ns < peers->timer_ns)) {
        peers->timer_ns = next_ns;
        io_timer_set(peers->port, next_ns, USER_TIMER);
    }
}

uint32_t write_peers_poll(struct write_peers *peers, uint64_t now_ns, int32_t *units) {
    uint32_t notes[TAKE_MAX];
    peers->units = *units;
    uint32_t work = take_completions(peers, now_ns);
    work += ring_u32_dequeue(peers->from_replicate, notes, TAKE_MAX);
    if (work > 0 || !peers->begun || peers->unfinished) {
        peers->begun = true;
        work += peers->unfinished;
        peers->unfinished = false;
        look_at_all(peers, now_ns);
        work += peers->units <= 0; /* somebody may not have had its turn */
    }
    *units = peers->units;
    return work;
}

bool write_peers_drain(struct write_peers *peers, uint64_t now_ns) {
    if (!peers->draining) {
        peers->draining = true;
        io_timer_stop(peers->port);
        for (uint32_t i = 0; i < peers->link_count; i++) {
            struct write_link *link = &peers->links[i];
            if (link->state == LINK_CONNECTING && !link->stopping) {
                link->stopping = true;
                io_connect_stop(peers->port, user_of(peers, link, USER_CONNECT));
            } else if (link->state == LINK_GREETING || link->state == LINK_TALKING) {
                write_link_end(peers, link, now_ns);
            }
        }
    }
    return io_outstanding(peers->port) == 0;
}

/* ---- making it ----------------------------------------------------------------------------- */

static void place_make(struct write_place *place, const struct node_peer *peer) {
    ASSERT((peer->name == NULL) != (peer->address == NULL));
    ASSERT(peer->address == NULL || strlen(peer->address) < sizeof(place->address));
    place->name = peer->name;
    if (peer->address != NULL) {
        memcpy(place->address, peer->address, strlen(peer->address));
    }
}

static void links_make(struct write_peers *peers) {
    const struct node_options *options = peers->node->options;
    for (uint32_t i = 0; i < options->peer_count; i++) {
        place_make(&peers->places[i], &options->peers[i]);
    }
    for (uint32_t lane = 0; lane < PEER_LANES; lane++) {
        for (uint32_t i = 0; i < options->peer_count; i++) {
            struct write_link *link = &peers->links[peers->link_count++];
            link->peer = peers_find(peers->peers, options->peers[i].node_id);
            ASSERT(link->peer != NULL);
            link->place = &peers->places[i];
            link->lane = (uint8_t)lane;
            link->ring = link->peer->out[lane];
        }
    }
}

/* What authentication takes. */
static int tags_create(struct write_peers *peers, struct io *io, struct error_text *error) {
    peer_nonces_begin(&peers->nonces, io);
    for (uint32_t i = 0; i < peers->link_count; i++) {
        int result = gmac_create(&peers->links[i].keys.messages, error);
        if (result != WEIR_OK) {
            return result;
        }
    }
    return WEIR_OK;
}

int write_peers_create(struct write_peers **out, struct pipeline *pipeline, struct io *io,
                       struct error_text *error) {
    *out = NULL;
    struct peers *rings = pipeline_peers_served(pipeline);
    if (rings == NULL) {
        return WEIR_OK;
    }
    struct write_peers *peers = calloc(1, sizeof(*peers));
    if (peers == NULL) {
        error_text_set(error, "no memory for the connections to members");
        return WEIR_ENOMEM;
    }
    uint64_t seed;
    io_entropy(io, &seed, sizeof(seed));
    random_seed(&peers->random, seed);
    peers->peers = rings;
    peers->node = pipeline_node(pipeline);
    peers->io = io;
    peers->from_replicate = pipeline_ring(pipeline, STAGE_REPLICATE, 0, STAGE_WRITE, 0);
    links_make(peers);
    int result = secret_of(peers) == NULL ? WEIR_OK : tags_create(peers, io, error);
    if (result != WEIR_OK) {
        write_peers_destroy(peers);
        return result;
    }
    *out = peers;
    return WEIR_OK;
}

int write_peers_start(struct write_peers *peers, struct error_text *error) {
    const struct peer_buffers *buffers = &peers->peers->answers_received;
    /* Of each connection an attempt or a receive, and a send; a mailbox place for each buffer; the
       timer and two that it replaced. */
    uint32_t operations = 2 * peers->link_count + buffers->count + 3;
    int result = io_port_create(peers->io, &peers->port, operations);
    if (result != WEIR_OK) {
        error_text_set(error, "no memory for the connections to members");
        return result;
    }
    return io_buffers_register(peers->io, PEER_GROUP_ANSWER, buffers->memory, buffers->buffer_bytes,
                               buffers->count, buffers->count, error);
}

void write_peers_destroy(struct write_peers *peers) {
    if (peers == NULL) {
        return;
    }
    if (peers->port != NULL) {
        io_port_destroy(peers->port);
    }
    for (uint32_t i = 0; i < peers->link_count; i++) {
        gmac_destroy(&peers->links[i].keys.messages);
    }
    free(peers);
}
