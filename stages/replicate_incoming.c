/*
 * What other members say: records of their rings become events of the core.
 *
 * Happy path: control messages first, all that are there (those about digests are for
 * replicate_dispute.c, not the core); then data, one message of each member in turn.  An APPEND's
 * entries are copied into the log's memory in the step that accepts them, and the record is given
 * back.
 *
 * Failure modes: what cannot be done to the log at once (a vote is on its way to the disk, a
 * truncation is under way, the log's memory is full) waits in `incoming`, and with it all further
 * data: the rings fill, and TCP holds the senders back.  Control messages go on meanwhile, since
 * none of them touches the log: a commit that one of them tells is for what the core knows, not for
 * what still stands in the log in its place.  What finds no room on the disk does not wait, unless
 * it is committed: the core forgets it, and it will be sent again.  A message that no working
 * member sends is dropped, and said.
 */

#include "base/assert.h"
#include "base/log.h"
#include "stages/replicate_internal.h"

/* ---- the log follows the core -------------------------------------------------------------- */

bool replicate_log_behind(const struct replicate_shard *shard) {
    return log_truncating(shard->log) ||
           (shard->peers != NULL &&
            (shard->peers->incoming.truncate || shard->peers->incoming.count > 0));
}

bool replicate_incoming_busy(const struct replicate_shard *shard) {
    return replicate_log_behind(shard) || replicate_installing(shard);
}

void replicate_incoming_truncate(struct replicate_shard *shard, uint64_t index, uint64_t epoch) {
    struct replicate_incoming *incoming = &shard->peers->incoming;
    ASSERT(!incoming->truncate && incoming->count == 0);
    ASSERT(index >= shard->handed); /* nothing that is committed goes */
    incoming->truncate = true;
    incoming->index = index;
    incoming->epoch = epoch;
}

void replicate_incoming_append(struct replicate_shard *shard, uint32_t first, uint32_t count) {
    struct replicate_incoming *incoming = &shard->peers->incoming;
    ASSERT(incoming->count == 0 && count > 0 && incoming->entries != NULL);
    for (uint32_t i = 0; i < first; i++) {
        incoming->entries += entry_stride_bytes(entry_header_read(incoming->entries).length_bytes);
    }
    incoming->count = count;
}

/* What the node itself has to know of an entry. */
static void entry_noted(struct replicate_shard *shard, const uint8_t *entry) {
    struct entry_header header = entry_header_read(entry);
    if (header.kind == ENTRY_GENESIS) {
        shard->genesis = entry_genesis_read(entry + ENTRY_HEADER_BYTES);
        shard->has_genesis = true;
        shard->genesis_index = header.index;
    }
}

void replicate_incoming_drop(struct replicate_shard *shard) {
    struct replicate_incoming *incoming = &shard->peers->incoming;
    if (incoming->ring != NULL) {
        record_ring_consume(incoming->ring);
    }
    *incoming = (struct replicate_incoming){0};
}

static bool truncate_now(struct replicate_shard *shard) {
    struct replicate_incoming *incoming = &shard->peers->incoming;
    if (log_truncating(shard->log)) {
        return false; /* the one before */
    }
    log_truncate(shard->log, incoming->index);
    if (shard->genesis_index > incoming->index) {
        shard->has_genesis = false;
        shard->genesis_index = 0;
    }
    shard->log_epoch = incoming->epoch;
    shard->stored_again = true;
    incoming->truncate = false;
    return true;
}

/* Whoever fills the ring may wait for this. */
static void record_give_back(struct replicate_shard *shard, struct record_ring *ring) {
    uint32_t note = 0;
    record_ring_consume(ring);
    (void)ring_u32_enqueue(shard->to_parse, &note, 1); /* one that does not fit is not missed */
}

void replicate_memory_make(struct replicate_shard *shard) {
    if (shard->applied == shard->handed && shard->writing.head == BATCH_NO_BLOCK) {
        log_release(shard->log, log_durable_index(shard->log));
    }
}

void replicate_incoming_forget(struct replicate_shard *shard) {
    struct replicate_incoming *incoming = &shard->peers->incoming;
    if (!incoming->starved || incoming->count == 0) {
        return;
    }
    /* Of the log as it will be when what waits for the disk is done. */
    uint64_t last = incoming->truncate ? incoming->index : log_last_index(shard->log);
    struct raft_event event = {.kind = RAFT_EVENT_ROOM,
                               .full = true,
                               .index = last,
                               .epoch = incoming->truncate ? incoming->epoch : shard->log_epoch};
    ASSERT(raft_last_index(shard->raft) == last + incoming->count);
    replicate_step(shard, &event);
    ASSERT(raft_last_index(shard->raft) >= last);
    incoming->count = (uint32_t)(raft_last_index(shard->raft) - last);
    if (incoming->count == 0 && !incoming->truncate) {
        record_give_back(shard, incoming->ring);
        incoming->ring = NULL;
        incoming->entries = NULL;
    }
}

/* Goes on with what waits; true when nothing does any more. */
static bool incoming_run(struct replicate_shard *shard) {
    struct replicate_incoming *incoming = &shard->peers->incoming;
    incoming->starved = false;
    if (incoming->ring == NULL) {
        return true;
    }
    if (replicate_vote_pending(shard) || shard->failed) {
        return false;
    }
    if ((incoming->truncate && !truncate_now(shard)) || log_truncating(shard->log)) {
        incoming->starved = log_out_of_room(shard->log);
        return false;
    }
    while (incoming->count > 0) {
        size_t available_bytes = (size_t)(incoming->entries_end - incoming->entries);
        bool earlier = entry_header_read(incoming->entries).term < raft_term(shard->raft);
        int result = log_append_copy(shard->log, incoming->entries, available_bytes, earlier);
        if (result == WEIR_EFULL) {
            replicate_memory_make(shard);
            result = log_append_copy(shard->log, incoming->entries, available_bytes, earlier);
        }
        if (result == WEIR_ECORRUPT) {
            replicate_fail(shard, "the leader's entries do not continue this node's log, though "
                                  "their terms agree: one of the two logs is damaged; run 'weir "
                                  "inspect' on both");
            return false;
        }
        if (result != 0) {
            incoming->starved = result == WEIR_ENOSPC;
            return false; /* no memory: apply or the disk is behind.  Or the disk is full */
        }
        entry_noted(shard, incoming->entries);
        incoming->entries += entry_stride_bytes(entry_header_read(incoming->entries).length_bytes);
        incoming->count--;
    }
    record_give_back(shard, incoming->ring);
    incoming->ring = NULL;
    incoming->entries = NULL;
    return true;
}

/* ---- messages ------------------------------------------------------------------------------ */

static void message_refused(const struct peer_link *link, const char *reason) {
    log_warn_limited("peer_message_refused", "peer=%lu reason=\"%s\"", link->node_id, reason);
}

static struct peer_message_link link_expected(const struct replicate_shard *shard,
                                              const struct peer_link *link, enum peer_lane lane) {
    return (struct peer_message_link){.from = link->node_id,
                                      .to = shard->node->options->identity.node_id,
                                      .control = lane == PEER_CONTROL,
                                      .entry_bytes_max = shard->node->options->log.entry_bytes_max};
}

/* Takes a message that is not the core's. */
static void digest_read(struct replicate_shard *shard, struct peer_link *link, enum peer_lane lane,
                        const uint8_t *body, uint32_t body_bytes) {
    struct peer_message_link expected = link_expected(shard, link, lane);
    struct peer_digest said;
    enum peer_message_fault fault = peer_digest_decode(body, body_bytes, &expected, &said);
    if (fault != PEER_MESSAGE_VALID) {
        message_refused(link, peer_message_fault_name(fault));
        return;
    }
    replicate_dispute_heard(shard, link, &said);
}

/* Decodes a record's message; false, and said, if no working member sends it. */
static bool message_read(struct replicate_shard *shard, const struct peer_link *link,
                         enum peer_lane lane, const uint8_t *body, uint32_t body_bytes) {
    struct peer_message *decoded = &shard->peers->decoded;
    struct peer_message_link expected = link_expected(shard, link, lane);
    decoded->configurations = shard->peers->configurations;
    decoded->configurations_max = RAFT_MESSAGE_ENTRIES_MAX;
    enum peer_message_fault fault = peer_message_decode(body, body_bytes, &expected, decoded);
    if (fault != PEER_MESSAGE_VALID) {
        message_refused(link, peer_message_fault_name(fault));
        return false;
    }
    enum raft_message_fault numbers = raft_message_check(&decoded->message, decoded->entries);
    if (numbers != RAFT_MESSAGE_VALID) {
        message_refused(link, raft_message_fault_name(numbers));
        return false;
    }
    uint32_t position;
    enum entry_fault entry =
        peer_message_entries_check(decoded, expected.entry_bytes_max, &position);
    if (entry != ENTRY_VALID) {
        message_refused(link, entry_fault_name(entry));
        return false;
    }
    return true;
}

static void message_step(struct replicate_shard *shard) {
    const struct peer_message *decoded = &shard->peers->decoded;
    struct raft_event event = {.kind = RAFT_EVENT_MESSAGE,
                               .message = &decoded->message,
                               .entries =
                                   decoded->message.entry_count > 0 ? decoded->entries : NULL};
    replicate_step(shard, &event);
    replicate_lateness_heard(shard, &decoded->message);
}

/* The oldest record of a lane; false if there is none. */
static bool record_take(struct replicate_shard *shard, struct peer_link *link,
                        enum peer_lane lane) {
    struct replicate_incoming *incoming = &shard->peers->incoming;
    struct record_ring *ring = link->in[lane];
    uint32_t length_bytes;
    const uint8_t *record = record_ring_peek(ring, &length_bytes);
    if (record == NULL) {
        return false;
    }
    ASSERT(length_bytes >= PEER_RECORD_HEAD_BYTES);
    if (bytes_get_u32(record) == PEER_RECORD_CONNECTED) {
        struct peer_introduction introduction;
        ASSERT(length_bytes == PEER_RECORD_HEAD_BYTES + sizeof(introduction));
        memcpy(&introduction, record + PEER_RECORD_HEAD_BYTES, sizeof(introduction));
        replicate_standing_introduced(shard, link, lane, &introduction);
        if (lane == PEER_CONTROL) {
            replicate_members_introduced(shard, link, &introduction);
            replicate_address_announced(shard, link, &introduction.address);
        }
    } else if (!replicate_members_heard(shard, link, lane)) {
        shard->peers->dropped++; /* of a node that is not let in, or before this one is */
    } else if (bytes_get_u32(record) == PEER_RECORD_DISCONNECTED) {
        struct raft_event event = {.kind = RAFT_EVENT_DISCONNECTED, .node_id = link->node_id};
        replicate_step(shard, &event);
    } else if (peer_digest_is(record + PEER_RECORD_HEAD_BYTES,
                              length_bytes - PEER_RECORD_HEAD_BYTES)) {
        digest_read(shard, link, lane, record + PEER_RECORD_HEAD_BYTES,
                    length_bytes - PEER_RECORD_HEAD_BYTES);
    } else if (message_read(shard, link, lane, record + PEER_RECORD_HEAD_BYTES,
                            length_bytes - PEER_RECORD_HEAD_BYTES)) {
        const struct peer_message *decoded = &shard->peers->decoded;
        replicate_standing_heard(shard, link, lane, &decoded->message);
        if (decoded->message.kind == RAFT_MESSAGE_APPEND) {
            ASSERT(incoming->ring == NULL);
            incoming->ring = ring;
            incoming->entries = decoded->payload;
            incoming->entries_end =
                decoded->payload == NULL ? NULL : decoded->payload + decoded->payload_bytes;
            message_step(shard);
            (void)incoming_run(shard); /* gives the record back, now or later */
            return true;
        }
        message_step(shard);
    }
    record_give_back(shard, ring);
    return true;
}

uint32_t replicate_receive(struct replicate_shard *shard, uint32_t budget) {
    if (shard->links == NULL) {
        return 0;
    }
    uint32_t count = replicate_rows_turn(shard);
    uint32_t links = 0; /* behind the last row that is in use */
    for (uint32_t i = 0; i < PEERS_MAX; i++) {
        struct peer_link *link = &shard->links->links[i];
        links = link->node_id == 0 ? links : i + 1;
        while (link->node_id != 0 && count < budget && !shard->failed &&
               record_take(shard, link, PEER_CONTROL)) {
            count++;
        }
    }
    bool waited = shard->peers->incoming.ring != NULL;
    if (!incoming_run(shard)) {
        return count;
    }
    count += waited; /* a record was given back, which somebody has to learn */
    for (uint32_t idle = 0; idle < links && count < budget && !shard->failed;) {
        struct peer_link *link = &shard->links->links[shard->peers->next % links];
        shard->peers->next = (shard->peers->next + 1) % links;
        if (record_take(shard, link, PEER_DATA)) {
            count++;
            idle = 0;
            /* A vote that this message brought holds up what the next ones would do. */
            if (shard->peers->incoming.ring != NULL || replicate_vote_pending(shard)) {
                break;
            }
        } else {
            idle++;
        }
    }
    return count;
}
