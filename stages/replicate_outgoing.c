/*
 * What this node says to other members: messages of the core become records of their rings.
 *
 * Happy path: a SEND is laid out in the receiver's ring at once, its entries copied from the log's
 * memory, and write is told.
 *
 * Failure modes: a vote is on its way to the disk: the message is held (obligation 2).  The ring is
 * full, or too many are held, or the log is not what the core means, or the disk is read for
 * somebody else: the message is dropped.  Of an APPEND the core is told (SHORTENED, obligation 11),
 * and puts it out again when the member is next heard; or else the member would have to refuse what
 * comes behind the gap.  Its first entries are no longer in memory: they are read back from disk,
 * the message then has as many as were read, what the core puts out meanwhile for the same member
 * is dropped, and the core is told.  A read can end behind the entry before the first one, which is
 * needed for its chain, since it ends with a segment or with what is durable: then that one is
 * kept, and the message is made again.
 */

#include "base/assert.h"
#include "base/log.h"
#include "stages/replicate_internal.h"

/* Bytes of `count` entries from `first` on, as far as they are in memory; *known are so many. */
static uint64_t entries_in_memory(const struct replicate_shard *shard, uint64_t first,
                                  uint32_t count, uint32_t *known) {
    uint64_t bytes = 0;
    for (*known = 0; *known < count; (*known)++) {
        const uint8_t *entry = log_entry(shard->log, first + *known);
        if (entry == NULL) {
            break;
        }
        bytes += entry_stride_bytes(entry_header_read(entry).length_bytes);
    }
    return bytes;
}

/* The record's place in the ring, its head written; NULL if there is no room. */
static uint8_t *record_begin(struct record_ring *ring, enum peer_record kind, uint64_t bytes) {
    if (bytes + PEER_RECORD_HEAD_BYTES > record_ring_record_bytes_max(ring)) {
        return NULL;
    }
    uint8_t *record = record_ring_reserve(ring, (uint32_t)(bytes + PEER_RECORD_HEAD_BYTES));
    if (record != NULL) {
        bytes_put_u32(record, kind);
        bytes_put_u32(record + sizeof(uint32_t), 0);
        record += PEER_RECORD_HEAD_BYTES;
    }
    return record;
}

static void record_end(struct replicate_shard *shard, struct record_ring *ring, uint64_t bytes) {
    record_ring_commit(ring, (uint32_t)(bytes + PEER_RECORD_HEAD_BYTES));
    uint32_t note = 0;
    (void)ring_u32_enqueue(shard->to_write, &note, 1); /* one that does not fit is not missed */
}

static struct record_ring *ring_to(struct replicate_shard *shard,
                                   const struct raft_message *message) {
    struct peer_link *link = replicate_row(shard, message->to);
    if (link == NULL) {
        return NULL;
    }
    return link->out[raft_message_is_control(message->kind) ? PEER_CONTROL : PEER_DATA];
}

bool replicate_message_put(struct replicate_shard *shard, const struct raft_message *message,
                           const struct entry_tail *previous, const uint8_t *payload,
                           uint64_t payload_bytes) {
    struct record_ring *ring = ring_to(shard, message);
    uint8_t head[PEER_MESSAGE_HEAD_BYTES_MAX];
    uint32_t head_bytes = peer_message_encode(head, message, previous);
    uint64_t bytes = head_bytes + payload_bytes;
    uint8_t *record = ring == NULL ? NULL : record_begin(ring, PEER_RECORD_MESSAGE, bytes);
    if (record == NULL) {
        shard->peers->dropped++;
        return false;
    }
    memcpy(record, head, head_bytes);
    uint8_t *position = record + head_bytes;
    if (payload != NULL) {
        memcpy(position, payload, payload_bytes);
        position += payload_bytes;
    } else {
        for (uint32_t i = 0; i < message->entry_count; i++) {
            const uint8_t *entry = log_entry(shard->log, message->previous_index + 1 + i);
            uint32_t stride = entry_stride_bytes(entry_header_read(entry).length_bytes);
            memcpy(position, entry, stride);
            position += stride;
        }
    }
    ASSERT(position == record + bytes);
    record_end(shard, ring, bytes);
    return true;
}

void replicate_control_put(struct replicate_shard *shard, struct peer_link *link,
                           const uint8_t *body, uint32_t body_bytes) {
    ASSERT(shard->peers != NULL && body_bytes % 8 == 0);
    uint8_t *record = record_begin(link->out[PEER_CONTROL], PEER_RECORD_MESSAGE, body_bytes);
    if (record == NULL) {
        shard->peers->dropped++;
        return;
    }
    memcpy(record, body, body_bytes);
    record_end(shard, link->out[PEER_CONTROL], body_bytes);
}

/* ---- what was not sent --------------------------------------------------------------------- */

/* Nothing behind `index` was sent to the receiver.  Without a row nothing ever is. */
static void append_cut(struct replicate_shard *shard, const struct raft_message *message,
                       uint64_t index) {
    struct replicate_cuts *cuts = &shard->peers->cuts;
    const struct peer_link *link = peers_find(shard->links, message->to);
    ASSERT(message->kind == RAFT_MESSAGE_APPEND && index >= message->previous_index);
    if (link == NULL || raft_role(shard->raft) != RAFT_LEADER ||
        raft_term(shard->raft) != message->term) {
        return;
    }
    size_t row = (size_t)(link - shard->links->links);
    if (!cuts->is_cut[row]) {
        cuts->is_cut[row] = true;
        cuts->index[row] = index;
        cuts->count++;
    } else if (index < cuts->index[row]) {
        cuts->index[row] = index;
    }
}

static void append_drop(struct replicate_shard *shard, const struct raft_message *message) {
    shard->peers->dropped++;
    append_cut(shard, message, message->previous_index);
}

static bool is_cut(struct replicate_shard *shard, uint64_t node_id) {
    const struct replicate_cuts *cuts = &shard->peers->cuts;
    const struct peer_link *link = cuts->count == 0 ? NULL : peers_find(shard->links, node_id);
    return link != NULL && cuts->is_cut[link - shard->links->links];
}

void replicate_cuts_tell(struct replicate_shard *shard) {
    const struct replicate_cuts cuts = shard->peers->cuts;
    shard->peers->cuts = (struct replicate_cuts){0};
    uint32_t told = 0;
    for (uint32_t i = 0; told < cuts.count; i++) {
        ASSERT(i < PEERS_MAX);
        if (cuts.is_cut[i]) {
            struct raft_event event = {.kind = RAFT_EVENT_SHORTENED,
                                       .node_id = shard->links->links[i].node_id,
                                       .index = cuts.index[i]};
            replicate_step(shard, &event); /* which puts nothing out */
            told++;
        }
    }
    ASSERT(shard->peers->cuts.count == 0);
}

/* ---- entries that are only on disk --------------------------------------------------------- */

static bool still_meant(const struct replicate_shard *shard, const struct raft_message *message) {
    return raft_role(shard->raft) == RAFT_LEADER && raft_term(shard->raft) == message->term &&
           message->previous_index + 1 >= log_first_index(shard->log) && /* not removed */
           message->previous_index + message->entry_count <= log_last_index(shard->log);
}

/* The entry before the message's first, unless it has to be read: the log knows it, or it was. */
static bool before_known(const struct replicate_shard *shard, const struct raft_message *message,
                         struct entry_tail *previous) {
    const struct entry_tail *before = &shard->peers->before;
    if (log_tail_at(shard->log, message->previous_index, previous)) {
        return true;
    }
    if (before->index == 0 || before->index != message->previous_index ||
        before->term != message->previous_term) {
        return false; /* the same index and term are the same entry */
    }
    *previous = *before;
    return true;
}

static void append_send(struct replicate_shard *shard, const struct raft_message *message);

/* What was read, from the entry before the message's first on; returns the last index sent. */
static uint64_t send_read(struct replicate_shard *shard, struct raft_message *message,
                          uint64_t first_index, uint32_t count, size_t length_bytes) {
    const uint8_t *entries = shard->peers->buffer;
    struct entry_tail previous;
    if (before_known(shard, message, &previous)) {
        ASSERT(first_index == message->previous_index + 1);
    } else {
        struct entry_header header = entry_header_read(entries);
        ASSERT(first_index == message->previous_index && header.index == first_index);
        previous = (struct entry_tail){.index = header.index,
                                       .term = header.term,
                                       .log_time_ms = header.log_time_ms,
                                       .chain = header.chain};
        entries += entry_stride_bytes(header.length_bytes);
        count--;
        shard->peers->before = previous;
        if (count == 0 && message->entry_count > 0) {
            struct raft_message again = *message;
            append_send(shard, &again); /* from memory, or the disk from there on */
            return message->previous_index + message->entry_count;
        }
    }
    if (count < message->entry_count) {
        message->entry_count = count;
    }
    size_t bytes = 0;
    for (uint32_t i = 0; i < message->entry_count; i++) {
        bytes += entry_stride_bytes(entry_header_read(entries + bytes).length_bytes);
    }
    ASSERT(bytes <= length_bytes && previous.term == message->previous_term);
    bool sent = replicate_message_put(shard, message, &previous, entries, bytes);
    return message->previous_index + (sent ? message->entry_count : 0);
}

/* Where the disk is to be read from: the entry before is needed for its chain. */
static uint64_t read_from(const struct replicate_shard *shard, const struct raft_message *message) {
    struct entry_tail previous;
    return before_known(shard, message, &previous) ? message->previous_index + 1
                                                   : message->previous_index;
}

uint32_t replicate_send_from_disk(struct replicate_shard *shard) {
    struct replicate_peers *peers = shard->peers;
    if (peers == NULL || !peers->reading_wanted) {
        return 0;
    }
    struct raft_message *message = &peers->reading;
    if (shard->reader == READER_NOBODY && !shard->failed) {
        if (!still_meant(shard, message)) {
            peers->reading_wanted = false;
            append_cut(shard, message, message->previous_index);
            replicate_cuts_tell(shard);
            return 0;
        }
        shard->reader = READER_PEER;
        peers->read_from = read_from(shard, message);
        log_read(shard->log, peers->read_from, peers->buffer, peers->buffer_bytes);
    }
    uint64_t first_index;
    uint32_t count;
    size_t length_bytes;
    int error;
    if (shard->reader != READER_PEER ||
        !log_read_result(shard->log, &first_index, &count, &length_bytes, &error)) {
        return 0;
    }
    shard->reader = READER_NOBODY;
    peers->reading_wanted = false;
    bool sendable =
        still_meant(shard, message) && count > 0 && peers->read_from == read_from(shard, message);
    struct raft_message asked = *message; /* another one may take its place */
    uint64_t last_index = sendable ? send_read(shard, message, first_index, count, length_bytes)
                                   : message->previous_index;
    append_cut(shard, &asked, last_index); /* what was put out meanwhile was dropped */
    replicate_cuts_tell(shard);
    return sendable;
}

/* ---- sending ------------------------------------------------------------------------------- */

static void append_send(struct replicate_shard *shard, const struct raft_message *message) {
    struct replicate_peers *peers = shard->peers;
    if (peers->reading_wanted && peers->reading.to == message->to) {
        return; /* it comes behind what is being read back: the core is told when that is sent */
    }
    if (is_cut(shard, message->to) || replicate_incoming_busy(shard)) {
        append_drop(shard, message); /* or the log is not yet what the core means */
        return;
    }
    struct entry_tail previous;
    uint32_t known;
    uint64_t bytes =
        entries_in_memory(shard, message->previous_index + 1, message->entry_count, &known);
    if (known == message->entry_count && before_known(shard, message, &previous)) {
        if (!replicate_message_put(shard, message, &previous, NULL, bytes)) {
            append_cut(shard, message, message->previous_index);
        }
    } else if (!peers->reading_wanted) {
        peers->reading = *message;
        peers->reading_wanted = true;
    } else {
        append_drop(shard, message); /* somebody else's is being read back */
    }
}

void replicate_send(struct replicate_shard *shard, const struct raft_message *message) {
    struct replicate_peers *peers = shard->peers;
    ASSERT(peers != NULL && message->to != shard->node->options->identity.node_id);
    if (replicate_vote_pending(shard)) {
        if (peers->held_count < REPLICATE_HELD_MAX) {
            peers->held[peers->held_count++] = *message;
        } else if (message->kind == RAFT_MESSAGE_APPEND) {
            append_drop(shard, message);
        } else {
            peers->dropped++;
        }
    } else if (message->kind == RAFT_MESSAGE_APPEND) {
        append_send(shard, message);
    } else if (message->kind == RAFT_MESSAGE_SNAPSHOT) {
        replicate_snapshot_send(shard, message);
    } else {
        (void)replicate_message_put(shard, message, NULL, NULL, 0);
    }
}

void replicate_send_held(struct replicate_shard *shard) {
    if (shard->peers == NULL) {
        return;
    }
    uint32_t count = shard->peers->held_count;
    shard->peers->held_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct raft_message message = shard->peers->held[i];
        replicate_send(shard, &message);
    }
    replicate_cuts_tell(shard);
}

void replicate_reopen(struct replicate_shard *shard, uint64_t node_id) {
    struct peer_link *link = peers_find(shard->links, node_id);
    if (link == NULL) {
        return;
    }
    log_warn("peer_reopened", "peer=%lu what=\"entries do not get through\"", node_id);
    if (record_begin(link->out[PEER_CONTROL], PEER_RECORD_REOPEN, 0) != NULL) {
        record_end(shard, link->out[PEER_CONTROL], 0);
    }
}
