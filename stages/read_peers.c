/*
 * Connections that other members have opened.  See stages/read_peers.h for their states.
 *
 * Happy path of a poll: what parse says comes first (buffers go back to the kernel, answers are
 * sent); then completions: bytes go to parse, new connections are opened.
 *
 * Failure modes: no room for one that has not said who it is: it is closed, and the oldest such one
 * goes (a member for which there is no room is told so, by parse).  No buffer: the connection is
 * armed again when one of its group is back.  An answer that does not go out at once ends the
 * connection.
 */

#include "stages/read_peers.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/log.h"
#include "stages/pipeline.h"

#define NO_SLOT UINT32_MAX

enum {
    TAKE_MAX = 32,
    LISTEN_BACKLOG = 64,
    ACCEPT_PAUSE_NS = 100 * 1000 * 1000, /* after an error of accept */
    USER_TIMER = 0,                      /* low bits of `user`; the slot is above */
    USER_ACCEPT = 1,
    USER_RECEIVE = 2,
    USER_ANSWER = 3,
    USER_KIND_BITS = 2,
};

enum slot_state {
    SLOT_FREE = 0,
    SLOT_STRANGER,
    SLOT_MEMBER,
    SLOT_ENDING,
    SLOT_TOLD,
    SLOT_STATES,
};

static const bool slot_moves[SLOT_STATES][SLOT_STATES] = {
    [SLOT_FREE][SLOT_STRANGER] = true,   [SLOT_STRANGER][SLOT_MEMBER] = true,
    [SLOT_STRANGER][SLOT_ENDING] = true, [SLOT_MEMBER][SLOT_ENDING] = true,
    [SLOT_ENDING][SLOT_TOLD] = true,     [SLOT_TOLD][SLOT_FREE] = true,
};

struct slot {
    uint64_t deadline_ns; /* a STRANGER's */
    int32_t socket;
    uint32_t in_flight; /* buffers under way */
    uint8_t state;      /* enum slot_state */
    uint8_t lane;       /* whose buffers it receives into: control until it is MEMBER */
    uint8_t lane_next;  /* ... when it is armed the next time */
    bool armed;         /* a receive is outstanding */
    bool stopping;      /* ... and was asked to stop */
    bool paused;        /* at its limit of buffers */
    bool hungry;        /* found no buffer */
    bool answering;     /* its answer is being sent */
    bool close_after;   /* ... and it ends then */
    bool greeted;       /* a STRANGER that has said who it is, and has yet to prove it */
};

struct read_peers {
    struct peers *peers;
    struct node *node;
    struct io *io;
    struct io_port *port;
    struct ring *to_parse;
    struct ring *from_parse;
    int32_t listener;
    uint32_t open_count;        /* slots that are not FREE */
    uint32_t taken[PEER_LANES]; /* buffers not in the kernel's hands */
    uint64_t timer_ns;          /* what the timer is set to; 0: nothing */
    uint64_t accept_ns;         /* no accepting before this, after an error */
    bool accepting;
    bool draining;
    struct iovec pieces[PEER_ACCEPTED_MAX]; /* borrowed by the sending of answers */
    struct slot slots[PEER_ACCEPTED_MAX];
};

static void state_set(struct slot *slot, enum slot_state state) {
    ASSERT(slot_moves[slot->state][state]);
    slot->state = (uint8_t)state;
}

static uint64_t user_of(uint32_t number, uint32_t kind) {
    return (uint64_t)number << USER_KIND_BITS | kind;
}

static uint32_t buffers_each(enum peer_lane lane) {
    return lane == PEER_CONTROL ? PEER_CONTROL_BUFFERS_EACH : PEER_DATA_BUFFERS_EACH;
}

static uint32_t group_of(uint32_t lane) {
    return lane == PEER_CONTROL ? PEER_GROUP_CONTROL : PEER_GROUP_DATA;
}

static void item_send(struct read_peers *peers, const struct peer_item *item) {
    uint32_t taken = ring_peer_enqueue(peers->to_parse, item, 1);
    ASSERT(taken == 1); /* as long as all that can be under way */
}

/* ---- receiving ----------------------------------------------------------------------------- */

static void receive_arm(struct read_peers *peers, uint32_t number) {
    struct slot *slot = &peers->slots[number];
    ASSERT(!slot->armed && (slot->state == SLOT_STRANGER || slot->state == SLOT_MEMBER));
    slot->armed = true;
    slot->stopping = false;
    slot->paused = false;
    slot->hungry = false;
    io_receive_start(peers->port, slot->socket, group_of(slot->lane),
                     user_of(number, USER_RECEIVE));
}

static void receive_stop(struct read_peers *peers, uint32_t number) {
    struct slot *slot = &peers->slots[number];
    if (slot->armed && !slot->stopping) {
        slot->stopping = true;
        io_receive_stop(peers->port, slot->socket, user_of(number, USER_RECEIVE));
    }
}

/* Tells parse that there will be no more, once that is so. */
static void tell_if_rested(struct read_peers *peers, uint32_t number) {
    struct slot *slot = &peers->slots[number];
    if (slot->state == SLOT_ENDING && !slot->armed && !slot->answering) {
        state_set(slot, SLOT_TOLD);
        struct peer_item item = {.kind = PEER_ITEM_END, .slot = number};
        item_send(peers, &item);
    }
}

static void slot_end(struct read_peers *peers, uint32_t number) {
    struct slot *slot = &peers->slots[number];
    if (slot->state == SLOT_STRANGER || slot->state == SLOT_MEMBER) {
        state_set(slot, SLOT_ENDING);
        receive_stop(peers, number);
    }
    tell_if_rested(peers, number);
}

/* Receives again if nothing speaks against it. */
static void receive_go_on(struct read_peers *peers, uint32_t number) {
    struct slot *slot = &peers->slots[number];
    if (slot->armed || (slot->state != SLOT_STRANGER && slot->state != SLOT_MEMBER)) {
        return;
    }
    slot->lane = slot->lane_next;
    if (slot->paused && slot->in_flight * 2 > buffers_each(slot->lane)) {
        return;
    }
    if (slot->hungry && peers->taken[slot->lane] == peers->peers->buffers[slot->lane].count) {
        return;
    }
    receive_arm(peers, number);
}

static void on_receive(struct read_peers *peers, const struct io_completion *completion) {
    uint32_t number = (uint32_t)(completion->user >> USER_KIND_BITS);
    ASSERT(number < peers->peers->connections_max);
    struct slot *slot = &peers->slots[number];
    ASSERT(slot->armed);
    if (completion->flags & IO_HAS_BUFFER) {
        ASSERT(completion->result > 0);
        /* Which group it is of: the lane changes between two receives only. */
        if (slot->state == SLOT_STRANGER || slot->state == SLOT_MEMBER) {
            struct peer_item item = {.kind = PEER_ITEM_BYTES,
                                     .lane = slot->lane,
                                     .slot = number,
                                     .buffer = completion->buffer,
                                     .length_bytes = (uint32_t)completion->result};
            slot->in_flight++;
            peers->taken[slot->lane]++;
            item_send(peers, &item);
            if (slot->in_flight >= buffers_each(slot->lane)) {
                slot->paused = true;
                receive_stop(peers, number);
            }
        } else {
            io_buffer_return(peers->io, group_of(slot->lane), completion->buffer);
        }
    }
    if ((completion->flags & IO_MORE) == 0) {
        slot->armed = false;
        slot->hungry = completion->result == IO_RECEIVE_NO_BUFFERS;
        if (completion->result > 0 || slot->hungry || completion->result == -ECANCELED) {
            tell_if_rested(peers, number);
            receive_go_on(peers, number);
        } else {
            slot_end(peers, number); /* end of stream, or broken */
        }
    }
}

/* ---- accepting ----------------------------------------------------------------------------- */

/* Of two strangers, whether the first has to go sooner: who has said something goes last, so that
 * those who say nothing keep nobody out. */
static bool goes_before(const struct slot *slot, const struct slot *other) {
    return slot->greeted != other->greeted ? other->greeted
                                           : slot->deadline_ns < other->deadline_ns;
}

/* A free slot; a stranger is asked to go if there are too many of them. */
static uint32_t slot_find(struct read_peers *peers) {
    uint32_t found = NO_SLOT;
    uint32_t first = NO_SLOT;
    uint32_t strangers = 0;
    for (uint32_t i = 0; i < peers->peers->connections_max; i++) {
        const struct slot *slot = &peers->slots[i];
        if (slot->state == SLOT_FREE && found == NO_SLOT) {
            found = i;
        }
        if (slot->state == SLOT_STRANGER) {
            strangers++;
            if (first == NO_SLOT || goes_before(slot, &peers->slots[first])) {
                first = i;
            }
        }
    }
    if (strangers >= PEER_STRANGERS_MAX) {
        node_figure_add(&peers->node->read.peers_rejected, 1);
        slot_end(peers, first);
    }
    return found;
}

static void on_accept(struct read_peers *peers, const struct io_completion *completion,
                      uint64_t now_ns) {
    if ((completion->flags & IO_MORE) == 0) {
        peers->accepting = false;
    }
    if (completion->result < 0) {
        if (completion->result != -ECANCELED) {
            node_figure_add(&peers->node->read.accept_errors, 1);
            log_warn_limited("peer_accept_failed", "errno=%d", -completion->result);
            peers->accept_ns = peers->accepting ? 0 : now_ns + ACCEPT_PAUSE_NS;
        }
        return;
    }
    node_figure_add(&peers->node->read.peers_accepted, 1);
    uint32_t number = peers->draining ? NO_SLOT : slot_find(peers);
    if (number == NO_SLOT) {
        node_figure_add(&peers->node->read.peers_rejected, 1);
        log_warn_limited("peer_refused", "reason=\"too many connections\" limit=%u",
                         peers->peers->connections_max);
        io_close(peers->io, completion->result);
        return;
    }
    struct slot *slot = &peers->slots[number];
    *slot = (struct slot){.socket = completion->result,
                          .deadline_ns = now_ns + PEER_HANDSHAKE_NS,
                          .lane = PEER_CONTROL,
                          .lane_next = PEER_CONTROL};
    state_set(slot, SLOT_STRANGER);
    peers->open_count++;
    node_figure_set(&peers->node->read.peers_connections, peers->open_count);
    struct peer_item item = {.kind = PEER_ITEM_OPEN, .slot = number};
    item_send(peers, &item);
    receive_arm(peers, number);
}

static void accept_if_due(struct read_peers *peers, uint64_t now_ns) {
    if (!peers->accepting && !peers->draining && now_ns >= peers->accept_ns) {
        peers->accepting = true;
        peers->accept_ns = 0;
        io_accept_start(peers->port, peers->listener, USER_ACCEPT);
    }
}

/* Ends strangers who are late, and sets the timer for the next one. */
static void look_at_time(struct read_peers *peers, uint64_t now_ns) {
    uint64_t next_ns = peers->accept_ns;
    for (uint32_t i = 0; i < peers->peers->connections_max; i++) {
        struct slot *slot = &peers->slots[i];
        if (slot->state != SLOT_STRANGER) {
            continue;
        }
        if (slot->deadline_ns <= now_ns) {
            node_figure_add(&peers->node->read.peers_rejected, 1);
            slot_end(peers, i);
        } else if (next_ns == 0 || slot->deadline_ns < next_ns) {
            next_ns = slot->deadline_ns;
        }
    }
    if (next_ns != 0 && (peers->timer_ns == 0 || next_ns < peers->timer_ns) && !peers->draining) {
        peers->timer_ns = next_ns;
        io_timer_set(peers->port, next_ns, USER_TIMER);
    }
}

/* ---- what parse says ----------------------------------------------------------------------- */

static void on_buffer(struct read_peers *peers, const struct peer_item *item) {
    struct slot *slot = &peers->slots[item->slot];
    ASSERT(slot->in_flight > 0 && peers->taken[item->lane] > 0);
    io_buffer_return(peers->io, group_of(item->lane), item->buffer);
    peers->taken[item->lane]--;
    slot->in_flight--;
    receive_go_on(peers, item->slot);
    for (uint32_t i = 0; i < peers->peers->connections_max; i++) {
        if (peers->slots[i].hungry) {
            receive_go_on(peers, i);
        }
    }
}

/* From the next receive on into the buffers of its sort. */
static void member_set(struct read_peers *peers, const struct peer_item *item) {
    struct slot *slot = &peers->slots[item->slot];
    state_set(slot, SLOT_MEMBER);
    slot->lane_next = item->lane;
    if (item->lane != slot->lane) {
        receive_stop(peers, item->slot); /* the lane changes when it has ended */
    }
}

static void on_member(struct read_peers *peers, const struct peer_item *item) {
    if (peers->slots[item->slot].state == SLOT_STRANGER) { /* or it has ended meanwhile */
        member_set(peers, item);
    }
}

static void on_answer(struct read_peers *peers, const struct peer_item *item) {
    struct slot *slot = &peers->slots[item->slot];
    if (slot->state != SLOT_STRANGER) {
        return; /* it has ended meanwhile */
    }
    ASSERT(!slot->answering);
    slot->answering = true;
    if (item->accepted && peers->node->options->peer_secret != NULL) {
        slot->greeted = true;
    } else if (item->accepted) {
        member_set(peers, item);
    }
    peers->pieces[item->slot] = (struct iovec){.iov_base = peers->peers->answers[item->slot],
                                               .iov_len = PEER_ANSWER_FRAME_BYTES};
    io_send(peers->port, slot->socket, &peers->pieces[item->slot], 1, IO_SEND_TRY,
            user_of(item->slot, USER_ANSWER));
}

static void on_answered(struct read_peers *peers, const struct io_completion *completion) {
    uint32_t number = (uint32_t)(completion->user >> USER_KIND_BITS);
    struct slot *slot = &peers->slots[number];
    ASSERT(slot->answering);
    slot->answering = false;
    if (completion->result != PEER_ANSWER_FRAME_BYTES || slot->close_after) {
        slot_end(peers, number);
    }
    tell_if_rested(peers, number);
}

static void on_close(struct read_peers *peers, uint32_t number) {
    struct slot *slot = &peers->slots[number];
    if (slot->answering) {
        slot->close_after = true;
    } else {
        slot_end(peers, number);
    }
}

static void on_ended(struct read_peers *peers, uint32_t number) {
    struct slot *slot = &peers->slots[number];
    ASSERT(slot->in_flight == 0);
    state_set(slot, SLOT_FREE);
    slot->hungry = false;
    io_shutdown(peers->io, slot->socket); /* what the answer said still goes out */
    io_close(peers->io, slot->socket);
    peers->open_count--;
    node_figure_set(&peers->node->read.peers_connections, peers->open_count);
}

static uint32_t take_items(struct read_peers *peers, uint32_t budget) {
    struct peer_item items[TAKE_MAX];
    uint32_t count =
        ring_peer_dequeue(peers->from_parse, items, budget < TAKE_MAX ? budget : TAKE_MAX);
    for (uint32_t i = 0; i < count; i++) {
        ASSERT(items[i].slot < peers->peers->connections_max);
        switch (items[i].kind) {
        case PEER_ITEM_BUFFER: on_buffer(peers, &items[i]); break;
        case PEER_ITEM_ANSWER: on_answer(peers, &items[i]); break;
        case PEER_ITEM_MEMBER: on_member(peers, &items[i]); break;
        case PEER_ITEM_CLOSE: on_close(peers, items[i].slot); break;
        case PEER_ITEM_ENDED: on_ended(peers, items[i].slot); break;
        default: UNREACHABLE("what parse says");
        }
    }
    return count;
}

static uint32_t take_completions(struct read_peers *peers, uint64_t now_ns, uint32_t budget) {
    struct io_completion completions[TAKE_MAX];
    uint32_t count = io_take(peers->port, completions, budget < TAKE_MAX ? budget : TAKE_MAX);
    for (uint32_t i = 0; i < count; i++) {
        switch (completions[i].user & ((1u << USER_KIND_BITS) - 1)) {
        case USER_RECEIVE: on_receive(peers, &completions[i]); break;
        case USER_ACCEPT: on_accept(peers, &completions[i], now_ns); break;
        case USER_ANSWER: on_answered(peers, &completions[i]); break;
        case USER_TIMER:
            if (completions[i].result == 0) {
                peers->timer_ns = 0;
            }
            break;
        default: UNREACHABLE("a completion of a member's connection");
        }
    }
    return count;
}

uint32_t read_peers_poll(struct read_peers *peers, uint64_t now_ns, uint32_t budget) {
    uint32_t work = take_items(peers, budget) + take_completions(peers, now_ns, budget);
    accept_if_due(peers, now_ns);
    if (work > 0) {
        look_at_time(peers, now_ns);
    }
    return work;
}

bool read_peers_drain(struct read_peers *peers) {
    if (!peers->draining) {
        peers->draining = true;
        if (peers->accepting) {
            io_accept_stop(peers->port, peers->listener);
        }
        io_timer_stop(peers->port);
        for (uint32_t i = 0; i < peers->peers->connections_max; i++) {
            slot_end(peers, i);
        }
    }
    return peers->open_count == 0 && io_outstanding(peers->port) == 0;
}

/* ---- making it ----------------------------------------------------------------------------- */

int read_peers_create(struct read_peers **out, struct pipeline *pipeline, struct io *io,
                      struct error_text *error) {
    *out = NULL;
    struct peers *links = pipeline_peers_served(pipeline);
    if (links == NULL) {
        return WEIR_OK;
    }
    struct read_peers *peers = calloc(1, sizeof(*peers));
    if (peers == NULL) {
        error_text_set(error, "no memory for the connections of members");
        return WEIR_ENOMEM;
    }
    peers->peers = links;
    peers->node = pipeline_node(pipeline);
    peers->io = io;
    peers->listener = -1;
    peers->to_parse = pipeline_peer_ring(pipeline, STAGE_READ, 0, STAGE_PARSE, 0);
    peers->from_parse = pipeline_peer_ring(pipeline, STAGE_PARSE, 0, STAGE_READ, 0);
    *out = peers;
    return WEIR_OK;
}

int read_peers_start(struct read_peers *peers, struct error_text *error) {
    const struct peers *links = peers->peers;
    /* An accept and its successor, a timer and two that it replaced; of each connection a receive
       and an answer; a mailbox place for each buffer. */
    uint32_t operations = 5 + 2 * links->connections_max + links->buffers[PEER_CONTROL].count +
                          links->buffers[PEER_DATA].count;
    int result = io_port_create(peers->io, &peers->port, operations);
    if (result != WEIR_OK) {
        error_text_set(error, "no memory for the connections of members");
        return result;
    }
    for (uint32_t lane = 0; lane < PEER_LANES && result == WEIR_OK; lane++) {
        const struct peer_buffers *buffers = &links->buffers[lane];
        result = io_buffers_register(peers->io, group_of(lane), buffers->memory,
                                     buffers->buffer_bytes, buffers->count, buffers->count, error);
    }
    if (result == WEIR_OK) {
        result = io_listen(peers->io, peers->node->options->peer_listen_address, LISTEN_BACKLOG,
                           &peers->listener, error);
    }
    if (result == WEIR_OK) {
        node_figure_set(&peers->node->read.peer_listen_port,
                        io_listen_port(peers->io, peers->listener));
    }
    return result;
}

void read_peers_destroy(struct read_peers *peers) {
    if (peers == NULL) {
        return;
    }
    if (peers->listener >= 0) {
        io_close(peers->io, peers->listener);
    }
    if (peers->port != NULL) {
        io_port_destroy(peers->port);
    }
    free(peers);
}
