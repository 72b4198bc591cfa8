/*
 * The introduction on a connection that this node has opened: HELLO, the answer and, where there is
 * a secret, the PROOF.  See stages/write_peers.h for the states.
 *
 * Happy path: the HELLO is sent; the answer is collected, and says that the member takes messages;
 * with a secret its tag says that it is the member, and the PROOF, that this is one.
 *
 * Failure modes: a refusal, an answer that is none, or one of somebody without the secret: said at
 * a bounded rate, and the connection ends.
 */

#include "stages/write_peers_internal.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/mutant.h"

static const struct mac_key *secret_of(const struct write_peers *peers) {
    return peers->node->options->peer_secret;
}

_Static_assert((int)ENTRY_ADDRESS_BYTES_MAX == (int)PEER_ADDRESS_BYTES_MAX, "an address fits");

/* As this node knows the other one; 0: not at all. */
static uint64_t incarnation_of(const struct write_link *link) {
    /* Partner: the release in replicate_members.c, behind which nothing is told of another one. */
    return MUTANT(WIPED_NODE_VOTES, 0, atomic_load_acquire_u64(&link->peer->incarnation));
}

/* As it has told it: what is read before the life was told by that one or one before it. */
static struct peer_standing standing_of(const struct write_link *link) {
    const struct peer_standing *told = &link->peer->told;
    /* Partner: the releases of told_set in replicate_standing.c, which come the other way round. */
    struct peer_standing standing = {.term = atomic_load_acquire_u64(&told->term)};
    standing.index = atomic_load_acquire_u64(&told->index);
    standing.life = atomic_load_relaxed_u64(&told->life);
    return standing;
}

void write_link_greet(struct write_peers *peers, struct write_link *link) {
    const struct identity *identity = &peers->node->options->identity;
    struct peer_hello hello = {.connection = link->lane == PEER_CONTROL ? PEER_CONNECTION_CONTROL
                                                                        : PEER_CONNECTION_DATA,
                               .cluster_id = identity->cluster_id,
                               .from = identity->node_id,
                               .incarnation = identity->incarnation,
                               .to = link->peer->node_id,
                               .known = incarnation_of(link),
                               .own = peers->node->standing,
                               .told = standing_of(link)};
    struct entry_address own;
    if (node_endpoint_configured(peers->node, identity->node_id, &own) && own.host[0] != '\0' &&
        own.port != 0) {
        (void)entry_address_text(&own, hello.address);
    }
    peer_frame_writer_begin(&link->writer);
    if (secret_of(peers) != NULL) {
        peer_nonces_take(&peers->nonces, hello.nonce);
        peer_frame_writer_authenticate(&link->writer, secret_of(peers),
                                       (struct peer_frame_span){NULL, 0});
    }
    uint32_t body_bytes = peer_hello_write(link->hello + PEER_FRAME_HEADER_BYTES, &hello);
    const struct peer_frame_span span = {link->hello + PEER_FRAME_HEADER_BYTES, body_bytes};
    link->hello_bytes = peer_frame_write(&link->writer, link->hello, PEER_FRAME_HELLO, &span, 1);
    link->pieces[0] = (struct iovec){.iov_base = link->hello, .iov_len = link->hello_bytes};
    link->piece = 0;
    link->pieces_count = 1;
    link->until = record_ring_first(link->ring); /* nothing of the ring is borrowed */
    link->answer_bytes = 0;
    write_link_send(peers, link);
}

/* The member takes messages from here on. */
static void talk_begin(struct write_peers *peers, struct write_link *link,
                       const struct peer_frame *answer, uint64_t now_ns) {
    const struct peer_frame_span frames[2] = {{link->hello, link->hello_bytes},
                                              {link->answer, answer->length_bytes}};
    write_link_state_set(link, LINK_TALKING);
    peer_frame_writer_accepted(&link->writer,
                               peer_frame_seed(peer_frame_checksum(link->hello), answer->checksum));
    link->owes_proof = secret_of(peers) != NULL;
    if (link->owes_proof) {
        peer_frame_keys_set(&link->keys, secret_of(peers), &frames[0], &frames[1]);
        peer_frame_writer_authenticate_messages(&link->writer, &link->keys);
    }
    link->talking_ns = now_ns;
    link->talked = true;
    link->warned = false;
    link->asked_ns = 0;
    peers->talking++;
    node_figure_add(&peers->node->write.peers_opened, 1);
    node_figure_set(&peers->node->write.peers_open, peers->talking);
}

/* The answer is whole, and has a tag or not. */
static void answered(struct write_peers *peers, struct write_link *link,
                     const struct peer_frame *frame, bool has_tag, uint64_t now_ns) {
    const struct identity *identity = &peers->node->options->identity;
    struct peer_answer answer;
    enum peer_hello_fault fault =
        peer_answer_read(frame->body, frame->body_bytes, has_tag, &answer);
    const struct peer_expected expected = {.cluster_id = identity->cluster_id,
                                           .node_id = identity->node_id,
                                           .peer = link->peer->node_id,
                                           .incarnation = incarnation_of(link)};
    enum peer_handshake result =
        fault == PEER_HELLO_VALID ? peer_answer_judge(&answer, &expected) : PEER_REFUSED_VERSION;
    if (result != PEER_ACCEPTED) {
        node_figure_add(&peers->node->write.peers_refused, 1);
        log_warn_limited("peer_refuses", "peer=%lu address=%s for=%s reason=\"%s\"",
                         link->peer->node_id, link->address, write_link_lane_name(link),
                         fault == PEER_HELLO_VALID ? peer_handshake_name(result)
                                                   : peer_hello_fault_name(fault));
        write_link_end(peers, link, now_ns);
        return;
    }
    talk_begin(peers, link, frame, now_ns);
}

/* An answer without a tag, though there is a secret: a refusal may come so, and is told the
 * operator; whatever it says, the connection ends. */
static void answered_without_tag(struct write_peers *peers, struct write_link *link,
                                 uint64_t now_ns) {
    struct peer_frame_reader reader;
    struct peer_frame frame;
    struct peer_answer answer;
    peer_frame_reader_begin(&reader, PEER_FRAME_HELLO_ANSWER, PEER_ANSWER_FRAME_BYTES);
    if (peer_frame_read(&reader, link->answer, link->answer_bytes, &frame) == PEER_FRAME_COMPLETE &&
        peer_answer_read(frame.body, frame.body_bytes, false, &answer) == PEER_HELLO_VALID &&
        peer_handshake_without_tag(answer.result)) {
        answered(peers, link, &frame, false, now_ns);
        return;
    }
    write_link_fail(peers, link, now_ns, peer_frame_fault_name(PEER_FRAME_FAULT_NO_TAG));
}

void write_link_answered(struct write_peers *peers, struct write_link *link, const uint8_t *bytes,
                         uint32_t length_bytes, uint64_t now_ns) {
    if (link->state == LINK_ENDING) {
        return;
    }
    if (link->state != LINK_GREETING || length_bytes > sizeof(link->answer) - link->answer_bytes) {
        write_link_fail(peers, link, now_ns, "it says more than an answer");
        return;
    }
    memcpy(link->answer + link->answer_bytes, bytes, length_bytes);
    link->answer_bytes += length_bytes;
    struct peer_frame_reader reader;
    struct peer_frame frame;
    peer_frame_reader_begin(&reader, PEER_FRAME_HELLO_ANSWER, PEER_ANSWER_FRAME_BYTES);
    if (secret_of(peers) != NULL) {
        peer_frame_reader_authenticate(&reader, secret_of(peers),
                                       (struct peer_frame_span){link->hello, link->hello_bytes});
    }
    switch (peer_frame_read(&reader, link->answer, link->answer_bytes, &frame)) {
    case PEER_FRAME_MORE: break;
    case PEER_FRAME_FAULTY:
        if (frame.fault == PEER_FRAME_FAULT_NO_TAG) {
            answered_without_tag(peers, link, now_ns);
            break;
        }
        write_link_fail(peers, link, now_ns,
                        peer_frame_fault_name((enum peer_frame_fault)frame.fault));
        break;
    case PEER_FRAME_COMPLETE:
        answered(peers, link, &frame, secret_of(peers) != NULL, now_ns);
        break;
    }
}

void write_link_prove(struct write_peers *peers, struct write_link *link) {
    uint32_t length_bytes =
        peer_frame_write(&link->writer, link->headers[0], PEER_FRAME_PROOF, NULL, 0);
    link->owes_proof = false;
    link->pieces[0] = (struct iovec){.iov_base = link->headers[0], .iov_len = length_bytes};
    link->piece = 0;
    link->pieces_count = 1;
    link->until = record_ring_first(link->ring); /* nothing of the ring is borrowed */
    peers->units -= PEER_TAG_UNITS;
    write_link_send(peers, link);
}
