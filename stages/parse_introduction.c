/*
 * Who it is that has opened a connection: HELLO, its answer and, where there is a secret, the
 * PROOF.  See stages/parse_peers.h for the states.
 *
 * Happy path: the HELLO is collected, judged and answered; with a secret the opener then proves
 * that it is there, and not somebody who repeats what was once said; then it is let in, and its
 * older connection of the same sort goes.
 *
 * Failure modes: bytes that are no HELLO, and a PROOF that is none, end the connection without a
 * word; another version, another secret and what the judgement refuses are answered first.  All are
 * counted, and said at a bounded rate.
 */

#include "stages/parse_peers_internal.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/mutant.h"

static const struct mac_key *secret_of(const struct parse_peers *peers) {
    return peers->node->options->peer_secret;
}

void parse_peer_begin(struct parse_peers *peers, struct parse_peer *peer) {
    static const struct peer_frame_span nothing = {NULL, 0};
    peer->is_member = false;
    peer->head_bytes = 0;
    peer_frame_reader_begin(&peer->reader, PEER_FRAME_HELLO, PEER_HELLO_FRAME_BYTES_MAX);
    if (secret_of(peers) != NULL) {
        peer_frame_reader_authenticate(&peer->reader, secret_of(peers), nothing);
    }
}

/* ---- the answer ---------------------------------------------------------------------------- */

/*
 * Puts the answer where read sends it from, and returns it.  It has a tag where there is a secret,
 * and the HELLO, which the tag is over, too, has that secret: otherwise `hello` is NULL.
 */
static const uint8_t *answer_send(struct parse_peers *peers, const struct parse_peer *peer,
                                  enum peer_handshake result, const struct peer_frame_span *hello,
                                  uint64_t to) {
    const struct identity *identity = &peers->node->options->identity;
    struct peer_answer answer = {.result = result,
                                 .version = PEER_PROTOCOL_VERSION,
                                 .cluster_id = identity->cluster_id,
                                 .from = identity->node_id,
                                 .incarnation = identity->incarnation,
                                 .to = to};
    uint8_t *frame = peers->peers->answers[parse_peer_slot(peers, peer)];
    struct peer_frame_writer writer;
    peer_frame_writer_begin(&writer);
    ASSERT(hello != NULL || peer_handshake_without_tag(result));
    if (hello != NULL && secret_of(peers) != NULL) {
        peer_nonces_take(&peers->nonces, answer.nonce);
        peer_frame_writer_authenticate(&writer, secret_of(peers), *hello);
    }
    peer_answer_write(frame + PEER_FRAME_HEADER_BYTES, &answer);
    const struct peer_frame_span span = {frame + PEER_FRAME_HEADER_BYTES, PEER_ANSWER_BYTES};
    (void)peer_frame_write(&writer, frame, PEER_FRAME_HELLO_ANSWER, &span, 1);
    struct peer_item item = {.kind = PEER_ITEM_ANSWER,
                             .lane = peer->lane,
                             .accepted = result == PEER_ACCEPTED,
                             .slot = parse_peer_slot(peers, peer)};
    parse_peer_item_send(peers, &item);
    return frame;
}

static void refuse(struct parse_peers *peers, struct parse_peer *peer, const char *reason) {
    node_figure_add(&peers->node->parse.peers_refused, 1);
    log_warn_limited("peer_refused", "reason=\"%s\"", reason);
    parse_peer_break(peers, peer);
}

static enum peer_handshake judge(const struct parse_peers *peers, const struct peer_hello *hello,
                                 const struct peer_link *link) {
    const struct identity *identity = &peers->node->options->identity;
    const struct peer_expected expected = {
        .cluster_id = identity->cluster_id,
        .node_id = identity->node_id,
        .peer = hello->from,
        .peer_known = link != NULL,
        .incarnation = link == NULL || MUTANT(WIPED_NODE_VOTES, true, false)
                           ? 0
                           : atomic_load_relaxed_u64(&link->incarnation),
        .own_incarnation = identity->incarnation,
    };
    return peer_hello_judge(hello, &expected);
}

/* One of both has another data directory than the other one knows: what an operator has to know is
 * which one it is. */
static void incarnation_tell(const struct parse_peers *peers, const struct peer_hello *hello,
                             const struct peer_link *link) {
    ASSERT(link != NULL && hello->incarnation != 0);
    uint64_t expected = atomic_load_relaxed_u64(&link->incarnation);
    uint64_t own = peers->node->options->identity.incarnation;
    if (expected != 0 && expected != hello->incarnation) {
        log_error_limited("member_wiped",
                          "peer=%lu known=%lx now=%lx what=\"this member comes with another data "
                          "directory than the one it joined with: it was wiped or replaced, and "
                          "gets no vote and no entry; remove it and add it again under a new id\"",
                          hello->from, expected, hello->incarnation);
    } else if (hello->known != 0 && hello->known != own) {
        log_error_limited("wiped",
                          "peer=%lu known=%lx own=%lx what=\"that member knows this node from an "
                          "earlier data directory: this one is not let in under the old id; remove "
                          "the member and add this node under a new id\"",
                          hello->from, hello->known, own);
    }
}

/* Whether there is room for one more of this member and sort: the one in use and its predecessor,
 * until that has ended; and strangers keep their slots, so that whoever comes can be answered. */
static bool has_room(const struct parse_peers *peers, uint32_t row, enum peer_lane lane) {
    uint32_t of_members = 0;
    uint32_t of_this = 0;
    for (uint32_t i = 0; i < peers->peers->connections_max; i++) {
        const struct parse_peer *peer = &peers->slots[i];
        if (peer->state != PEER_CLOSED && peer->is_member) {
            of_members++;
            of_this += peer->row == row && peer->lane == lane;
        }
    }
    return of_this < PEER_ACCEPTED_EACH &&
           of_members < peers->peers->connections_max - PEER_STRANGERS_MAX;
}

/* A member is let in; its older connection of the same sort goes. */
static void let_in(struct parse_peers *peers, struct parse_peer *peer) {
    struct parse_link *link = &peers->links[peer->row];
    uint32_t older = link->slots[peer->lane];
    link->slots[peer->lane] = parse_peer_slot(peers, peer);
    if (older != NO_SLOT) {
        node_figure_add(&peers->node->parse.peers_replaced, 1);
        parse_peer_break(peers, &peers->slots[older]);
    }
    parse_peer_state_set(peer, PEER_TALKING);
    peer->is_member = true;
    peer->head_bytes = 0;
    node_figure_add(&peers->node->parse.peers_introduced, 1);
    if (peer->lane == PEER_CONTROL) {
        parse_peer_connected(peers, peer->row, &peer->introduction);
    } else if (!parse_peer_data_connected(peers, peer->row, &peer->introduction)) {
        refuse(peers, peer, peer_handshake_name(PEER_REFUSED_BUSY)); /* it comes again */
        return;
    }
    log_info_limited("peer_connected", "peer=%lu for=%s", peers->peers->links[peer->row].node_id,
                     peer->lane == PEER_CONTROL ? "control" : "data");
}

/* ---- the HELLO ----------------------------------------------------------------------------- */

/* It is accepted: messages follow, or first a proof. */
static void accept_hello(struct parse_peers *peers, struct parse_peer *peer,
                         const struct peer_frame_span *hello, const uint8_t *answer_frame) {
    const struct peer_frame_span answer = {answer_frame, PEER_ANSWER_FRAME_BYTES};
    const struct record_ring *ring = peers->peers->links[peer->row].in[peer->lane];
    peer_frame_reader_accept(
        &peer->reader,
        peer_frame_seed(peer_frame_checksum(hello->data), peer_frame_checksum(answer.data)),
        PEER_FRAME_HEADER_BYTES + peers_message_bytes_max(ring));
    if (secret_of(peers) == NULL) {
        let_in(peers, peer);
        return;
    }
    peer_frame_keys_set(&peer->keys, secret_of(peers), hello, &answer);
    peer_frame_reader_authenticate_messages(&peer->reader, &peer->keys);
    parse_peer_state_set(peer, PEER_PROVING);
    peer->head_bytes = 0;
}

/* The HELLO is whole. */
static void greeted(struct parse_peers *peers, struct parse_peer *peer,
                    const struct peer_frame *frame) {
    struct peer_hello hello;
    const struct peer_frame_span bytes = {peer->head, frame->length_bytes};
    enum peer_hello_fault fault =
        peer_hello_read(frame->body, frame->body_bytes, secret_of(peers) != NULL, &hello);
    if (fault != PEER_HELLO_VALID) {
        if (fault == PEER_HELLO_FAULT_VERSION) {
            (void)answer_send(peers, peer, PEER_REFUSED_VERSION, NULL, 0);
        }
        refuse(peers, peer, peer_hello_fault_name(fault));
        return;
    }
    const struct peer_link *link = peers_find(peers->peers, hello.from);
    if (link != NULL && peers->links[link - peers->peers->links].is_given_up) {
        link = NULL;
    }
    enum peer_handshake result = judge(peers, &hello, link);
    peer->lane = hello.connection == PEER_CONNECTION_CONTROL ? PEER_CONTROL : PEER_DATA;
    peer->row = link == NULL ? NO_ROW : (uint32_t)(link - peers->peers->links);
    if (result == PEER_ACCEPTED && !has_room(peers, peer->row, peer->lane)) {
        result = PEER_REFUSED_BUSY;
    }
    const uint8_t *answer = answer_send(peers, peer, result, &bytes, hello.from);
    if (result == PEER_REFUSED_INCARNATION) {
        incarnation_tell(peers, &hello, link);
    }
    if (result != PEER_ACCEPTED) {
        refuse(peers, peer, peer_handshake_name(result));
        return;
    }
    peer->introduction = peer_introduction_of(&hello);
    accept_hello(peers, peer, &bytes, answer);
}

/* The HELLO is none; who may have meant well is told so. */
static void not_greeted(struct parse_peers *peers, struct parse_peer *peer,
                        enum peer_frame_fault fault) {
    if (fault == PEER_FRAME_FAULT_VERSION) {
        (void)answer_send(peers, peer, PEER_REFUSED_VERSION, NULL, 0);
    } else if (peer_frame_fault_of_secret(fault)) {
        node_figure_add(&peers->node->parse.peers_unauthenticated, 1);
        (void)answer_send(peers, peer, PEER_REFUSED_SECRET, NULL, 0);
    }
    refuse(peers, peer, peer_frame_fault_name(fault));
}

/* Collects a frame into `head` and judges it as far as it is there. */
static enum peer_frame_result frame_collect(struct parse_peers *peers, struct parse_peer *peer,
                                            struct peer_frame *frame) {
    enum peer_frame_result result =
        peer_frame_read(&peer->reader, peer->head, peer->head_bytes, frame);
    if (result != PEER_FRAME_MORE) {
        return result;
    }
    /* A length that cannot be is refused before the header is there. */
    uint32_t wanted = peer->head_bytes < PEER_FRAME_LENGTH_BYTES ? (uint32_t)PEER_FRAME_LENGTH_BYTES
                                                                 : frame->needed_bytes;
    peer->head_bytes += parse_peer_bytes_take(peers, peer, peer->head + peer->head_bytes,
                                              wanted - peer->head_bytes);
    return peer_frame_read(&peer->reader, peer->head, peer->head_bytes, frame);
}

/* ---- the PROOF ----------------------------------------------------------------------------- */

/* Whoever has opened it is there, and has the secret.  There was room when it was answered; whoever
 * came in between may have taken it. */
static void proved(struct parse_peers *peers, struct parse_peer *peer) {
    if (!has_room(peers, peer->row, peer->lane)) {
        refuse(peers, peer, peer_handshake_name(PEER_REFUSED_BUSY));
        return;
    }
    struct peer_item item = {
        .kind = PEER_ITEM_MEMBER, .lane = peer->lane, .slot = parse_peer_slot(peers, peer)};
    parse_peer_item_send(peers, &item);
    let_in(peers, peer);
}

static void not_proved(struct parse_peers *peers, struct parse_peer *peer,
                       enum peer_frame_fault fault) {
    node_figure_add(&peers->node->parse.peers_unauthenticated, 1);
    refuse(peers, peer, peer_frame_fault_name(fault));
}

void parse_peer_introduce(struct parse_peers *peers, struct parse_peer *peer) {
    struct peer_frame frame;
    bool proves = peer->state == PEER_PROVING;
    ASSERT(proves || peer->state == PEER_GREETING);
    switch (frame_collect(peers, peer, &frame)) {
    case PEER_FRAME_MORE: break;
    case PEER_FRAME_COMPLETE:
        peers->units -= secret_of(peers) != NULL ? PEER_TAG_UNITS : 0;
        if (proves) {
            proved(peers, peer);
        } else {
            greeted(peers, peer, &frame);
        }
        break;
    case PEER_FRAME_FAULTY:
        (proves ? not_proved : not_greeted)(peers, peer, (enum peer_frame_fault)frame.fault);
        break;
    }
}
