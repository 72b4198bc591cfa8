/*
 * Whose data are right when members differ.
 *
 * Happy path: apply has found other digests at an index than the log has, or another member says
 * other ones than this node had there.  From then on this node tells every other member what it
 * had, and asks what they had (stages/peer_digest.h).  Each member decides for itself, by what the
 * voters of the configuration in force say:
 *
 *     NONE ──a difference──> OPEN ──most have this node's──> SETTLED ──told some time──> NONE
 *                             ├──most have another one, or nobody has most──> LOST: the node fails
 *                             └──nobody differs any more, or later digests agree──> NONE
 *
 * So it is the minority that stops, be it the leader.  In a joint configuration most are most of
 * both sets of voters.
 *
 * Failure modes: a message is lost, a member is down or has not come so far: repeated until it is
 * decided.  SETTLED repeats, too, for a while: those who err must hear of it, and if they do not,
 * the next digests in the log begin it anew.  A member has no digests of that index any more (it
 * began with a newer snapshot, or it is long ago): it says so.  If all have spoken then and there
 * is no majority, that is said once, and the node goes on; the next difference takes its place.
 * This node's machine is replaced by a snapshot: it differs no more.
 *
 * Meanwhile commands are executed and answered: whoever differs may be right, and if the leader
 * has erred every correct member does.  Snapshots are neither taken (apply_digest.c) nor sent: they
 * would bring wrong data to others.
 *
 * One index at a time: who errs at one differs at all later ones, since a digest is of all that was
 * written before.
 */

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mutant.h"
#include "stages/replicate_internal.h"

/* Between two rounds of telling and asking: 80 bytes to each member. */
#define DISPUTE_REPEAT_NS UINT64_C(250000000)
/* Rounds of telling once it is settled: 10 s, some election time-outs and reconnections. */
enum { DISPUTE_SETTLED_ROUNDS = 40 };

/* What the voters have made of it. */
enum verdict {
    VERDICT_OPEN,
    VERDICT_NONE_KNOWS, /* open, though all have spoken: some have no digests of that index */
    VERDICT_OWN,
    VERDICT_OTHER,
    VERDICT_NOBODY,
};

static struct peer_digest own_digest(const struct replicate_dispute *dispute) {
    return (struct peer_digest){.known = true,
                                .index = dispute->index,
                                .hash = dispute->hash,
                                .difference = dispute->difference};
}

/* Puts one into the member's ring, or loses it. */
static void digest_send(struct replicate_shard *shard, struct peer_link *link,
                        const struct peer_digest *digest) {
    uint8_t body[PEER_DIGEST_BYTES];
    peer_digest_encode(body, shard->node->options->identity.node_id, link->node_id, digest);
    replicate_control_put(shard, link, body, sizeof(body));
}

/* ---- who says what --------------------------------------------------------------------------- */

/* What a member has said; NULL: it has not.  This node itself has, in `own`. */
static const struct replicate_voice *voice_of(const struct replicate_shard *shard, uint64_t node_id,
                                              const struct replicate_voice *own) {
    if (node_id == shard->node->options->identity.node_id) {
        return own;
    }
    const struct peer_link *link = peers_find(shard->links, node_id);
    if (link == NULL) {
        return NULL;
    }
    const struct replicate_voice *voice = &shard->dispute.voices[link - shard->links->links];
    return voice->spoken ? voice : NULL;
}

/* Whether most of the members with this role have these digests; also if there is none. */
static bool most_have(const struct replicate_shard *shard, uint8_t role, uint64_t hash,
                      const struct replicate_voice *own) {
    const struct configuration *members = raft_configuration(shard->raft);
    uint32_t count = 0;
    uint32_t having = 0;
    for (uint32_t i = 0; i < members->member_count; i++) {
        if ((members->members[i].roles & role) == 0) {
            continue;
        }
        const struct replicate_voice *voice = voice_of(shard, members->members[i].node_id, own);
        count++;
        having += voice != NULL && voice->known && voice->hash == hash;
    }
    ASSERT(having <= count);
    return count == 0 || having > count / 2;
}

static bool majority_has(const struct replicate_shard *shard, uint64_t hash,
                         const struct replicate_voice *own) {
    return most_have(shard, CONFIGURATION_VOTER, hash, own) &&
           most_have(shard, CONFIGURATION_OUTGOING, hash, own);
}

/* True if this node alone has a vote. */
static bool votes_alone(const struct replicate_shard *shard) {
    const struct configuration *members = raft_configuration(shard->raft);
    bool is_voter = false;
    for (uint32_t i = 0; i < members->member_count; i++) {
        if ((members->members[i].roles & (CONFIGURATION_VOTER | CONFIGURATION_OUTGOING)) != 0) {
            if (members->members[i].node_id != shard->node->options->identity.node_id) {
                return false;
            }
            is_voter = true;
        }
    }
    return is_voter;
}

/* The voters' decision; *other is one that has what most have, if that is not what this node has;
 * or if nobody is right, one that differs. */
static enum verdict judge(const struct replicate_shard *shard,
                          const struct replicate_voice **other) {
    const struct replicate_dispute *dispute = &shard->dispute;
    const struct configuration *members = raft_configuration(shard->raft);
    const struct replicate_voice own = {
        .spoken = true, .known = true, .hash = dispute->hash, .difference = dispute->difference};
    *other = NULL;
    if (votes_alone(shard) && dispute->difference.count > 0) {
        return VERDICT_NOBODY; /* there is nobody to ask whether the log is wrong */
    }
    if (majority_has(shard, dispute->hash, &own)) {
        return VERDICT_OWN;
    }
    const struct replicate_voice *differing = NULL; /* of others, one that knows where */
    uint32_t silent = 0;
    uint32_t without = 0;
    for (uint32_t i = 0; i < members->member_count; i++) {
        const struct replicate_voice *voice = voice_of(shard, members->members[i].node_id, &own);
        if (voice != NULL && voice->known) {
            bool knows = voice->difference.count > 0;
            differing = voice != &own && (differing == NULL || knows) ? voice : differing;
            if (majority_has(shard, voice->hash, &own)) {
                *other = *other == NULL || knows ? voice : *other;
            }
        }
        if ((members->members[i].roles & (CONFIGURATION_VOTER | CONFIGURATION_OUTGOING)) != 0) {
            silent += voice == NULL;
            without += voice != NULL && !voice->known;
        }
    }
    if (*other != NULL) {
        return VERDICT_OTHER;
    }
    if (silent > 0 || without > 0) {
        return silent > 0 ? VERDICT_OPEN : VERDICT_NONE_KNOWS;
    }
    *other = differing;
    return VERDICT_NOBODY;
}

/* Whether anybody, the log included, has other digests than this node. */
static bool anybody_differs(const struct replicate_shard *shard) {
    const struct replicate_dispute *dispute = &shard->dispute;
    const struct configuration *members = raft_configuration(shard->raft);
    for (uint32_t i = 0; i < members->member_count; i++) {
        const struct replicate_voice *voice = voice_of(shard, members->members[i].node_id, NULL);
        if (voice != NULL && voice->known && voice->hash != dispute->hash) {
            return true;
        }
    }
    return dispute->difference.count > 0;
}

/* ---- its course ------------------------------------------------------------------------------ */

static const uint8_t transitions[] = {
    [DISPUTE_NONE] = 1 << DISPUTE_OPEN,
    [DISPUTE_OPEN] = 1 << DISPUTE_SETTLED | 1 << DISPUTE_LOST | 1 << DISPUTE_NONE,
    [DISPUTE_SETTLED] = 1 << DISPUTE_NONE,
    [DISPUTE_LOST] = 0,
};

static void move(struct replicate_shard *shard, enum replicate_dispute_state to) {
    struct replicate_dispute *dispute = &shard->dispute;
    ASSERT(transitions[dispute->state] & 1 << to);
    dispute->state = to;
    uint32_t doubt = to == DISPUTE_OPEN   ? DIGEST_DISPUTED
                     : to == DISPUTE_LOST ? DIGEST_REJECTED
                                          : DIGEST_TRUSTED;
    atomic_store_relaxed_u32(&shard->node->signals.digest_doubt, doubt);
    node_figure_set(&shard->node->replicate.digest_undecided,
                    to == DISPUTE_OPEN ? dispute->index : 0);
}

/* Up to here nothing is in doubt any more. */
static void settle_up_to(struct replicate_shard *shard, uint64_t index) {
    struct replicate_dispute *dispute = &shard->dispute;
    if (index > dispute->settled_index) {
        dispute->settled_index = index;
        atomic_store_relaxed_u64(&shard->node->signals.digest_settled, index);
    }
}

/* Whether another index may take the place of the one there is. */
static bool may_open(const struct replicate_dispute *dispute) {
    return dispute->state == DISPUTE_NONE || dispute->state == DISPUTE_SETTLED ||
           (dispute->state == DISPUTE_OPEN && dispute->is_hopeless);
}

static void begin(struct replicate_shard *shard, uint64_t index, uint64_t hash,
                  const struct digest_difference *difference) {
    struct replicate_dispute *dispute = &shard->dispute;
    ASSERT(may_open(dispute) && index > dispute->settled_index);
    if (dispute->state != DISPUTE_NONE) {
        move(shard, DISPUTE_NONE);
    }
    dispute->index = index;
    dispute->hash = hash;
    dispute->difference = difference == NULL ? (struct digest_difference){0} : *difference;
    dispute->is_hopeless = false;
    dispute->due_ns = shard->now_ns;
    dispute->rounds_left = DISPUTE_SETTLED_ROUNDS;
    memset(dispute->voices, 0, sizeof(dispute->voices));
    move(shard, DISPUTE_OPEN);
    node_figure_add(&shard->node->replicate.digest_disputes, 1);
    log_warn("digest_disputed", "index=%lu own=%016lx differs_from=%s", index, hash,
             difference == NULL ? "member" : "log");
}

/* The place where this node differs from the log, or else the others do. */
static void where_write(const struct replicate_dispute *dispute,
                        const struct replicate_voice *other, char *out, size_t size) {
    const struct digest_difference *difference = &dispute->difference;
    if (difference->count > 0) {
        snprintf(out, size,
                 "it differs from the log in %u of %u partitions: partition %u has digest %016lx "
                 "here and %016lx in the log, and differs since an entry in (%lu, %lu]",
                 difference->count, difference->partitions, difference->first, difference->own,
                 difference->logged, difference->agreed_index, dispute->index);
    } else if (other != NULL && other->difference.count > 0) {
        difference = &other->difference;
        snprintf(out, size,
                 "they differ in %u of %u partitions: partition %u has digest %016lx here and "
                 "%016lx there, and differs since an entry in (%lu, %lu]",
                 difference->count, difference->partitions, difference->first, difference->logged,
                 difference->own, difference->agreed_index, dispute->index);
    } else {
        snprintf(out, size, "in which partitions say the logs of others, at index %lu",
                 dispute->index);
    }
}

static void lose(struct replicate_shard *shard, enum verdict verdict,
                 const struct replicate_voice *other) {
    char where[ERROR_TEXT_BYTES / 2];
    char text[ERROR_TEXT_BYTES];
    where_write(&shard->dispute, other, where, sizeof(where));
    snprintf(text, sizeof(text),
             "%s; %s; this node stops: see 'When replicas differ' in docs/operations.md",
             verdict == VERDICT_OTHER ? "most members have other data than this node"
             : votes_alone(shard)     ? "the data differ from what the leader logged"
                                      : "members differ, and no majority has the same data",
             where);
    move(shard, DISPUTE_LOST);
    log_error("replica_diverged", "what=\"%s\"", text);
    node_fail(shard->node, text);
}

/* Nothing that is or was said makes this node doubt any more. */
static void withdraw(struct replicate_shard *shard, const char *reason) {
    log_info("digest_agreed_again", "index=%lu reason=\"%s\"", shard->dispute.index, reason);
    move(shard, DISPUTE_NONE);
}

static void decide(struct replicate_shard *shard) {
    struct replicate_dispute *dispute = &shard->dispute;
    const struct replicate_voice *other = NULL;
    if (dispute->state != DISPUTE_OPEN) {
        return;
    }
    bool is_as_logged = dispute->difference.count == 0;
    enum verdict verdict = MUTANT(TRUSTS_LEADER_DIGEST, is_as_logged ? VERDICT_OWN : VERDICT_OTHER,
                                  judge(shard, &other));
    switch (verdict) {
    case VERDICT_OWN:
        settle_up_to(shard, dispute->index);
        move(shard, DISPUTE_SETTLED);
        node_figure_add(&shard->node->replicate.digests_upheld, 1);
        log_warn("digest_upheld", "index=%lu what=\"most members have this node's data\"",
                 dispute->index);
        break;
    case VERDICT_OTHER:
    case VERDICT_NOBODY: lose(shard, verdict, other); break;
    case VERDICT_NONE_KNOWS:
        if (!dispute->is_hopeless) {
            dispute->is_hopeless = true;
            log_warn("digest_undecided",
                     "index=%lu what=\"too few members have digests of it any more: it cannot be "
                     "decided who is right; this node goes on, and takes no snapshot until later "
                     "digests agree\"",
                     dispute->index);
        }
        break;
    case VERDICT_OPEN: break;
    }
    if (dispute->state == DISPUTE_OPEN && !anybody_differs(shard)) {
        withdraw(shard, "nobody differs any more");
    }
}

/* ---- from others ----------------------------------------------------------------------------- */

static void voice_note(struct replicate_shard *shard, const struct peer_link *link,
                       const struct peer_digest *said) {
    struct replicate_dispute *dispute = &shard->dispute;
    struct replicate_voice *voice = &dispute->voices[link - shard->links->links];
    if (said->known && said->hash != dispute->hash &&
        (!voice->known || voice->hash != said->hash)) {
        log_error("replica_differs", "peer=%lu index=%lu own=%016lx there=%016lx", link->node_id,
                  said->index, dispute->hash, said->hash);
    }
    *voice = (struct replicate_voice){
        .spoken = true, .known = said->known, .hash = said->hash, .difference = said->difference};
}

void replicate_dispute_heard(struct replicate_shard *shard, struct peer_link *link,
                             const struct peer_digest *said) {
    struct replicate_dispute *dispute = &shard->dispute;
    if (dispute->state == DISPUTE_LOST || shard->failed || replicate_installing(shard)) {
        return;
    }
    struct peer_digest own = {.index = said->index};
    own.known = digest_hashes_find(&shard->node->digest_hashes, said->index, &own.hash);
    if (!own.known && shard->applied < said->index) {
        return; /* it will be asked again */
    }
    bool is_current = dispute->state != DISPUTE_NONE && dispute->index == said->index;
    if (!is_current && own.known && said->known && own.hash != said->hash &&
        said->index > dispute->settled_index && may_open(dispute)) {
        begin(shard, said->index, own.hash, NULL);
        is_current = true;
    }
    if (is_current) {
        voice_note(shard, link, said);
        own.difference = dispute->difference;
    }
    if (said->asks) {
        if (!own.known) {
            own.difference = (struct digest_difference){0};
        }
        digest_send(shard, link, &own);
    }
    decide(shard);
}

/* ---- the turn -------------------------------------------------------------------------------- */

/* Takes what apply has found, if there is a place for it; whether there was something. */
static bool doubt_take(struct replicate_shard *shard) {
    struct replicate_dispute *dispute = &shard->dispute;
    const struct digest_doubt *doubt = digest_doubt_look(&shard->node->digest_doubts);
    if (doubt == NULL) {
        return false;
    }
    uint64_t hash;
    if (doubt->index > dispute->settled_index &&
        digest_hashes_find(&shard->node->digest_hashes, doubt->index, &hash)) {
        if (dispute->state == DISPUTE_OPEN && dispute->index == doubt->index) {
            dispute->difference = doubt->difference; /* of which a member has told first */
            dispute->due_ns = shard->now_ns;
        } else if (may_open(dispute)) {
            begin(shard, doubt->index, hash, &doubt->difference);
        } else {
            return false; /* one after the other */
        }
    }
    digest_doubt_clear(&shard->node->digest_doubts);
    return true;
}

/* Later digests were the same as in the log, and it was not this node that logged them. */
static bool agreed_later(const struct replicate_shard *shard) {
    const struct replicate_dispute *dispute = &shard->dispute;
    uint64_t agreed = node_figure(&shard->node->apply.digest_index);
    return dispute->difference.count > 0 && agreed > dispute->index &&
           agreed > dispute->logged_index;
}

static void tell_all(struct replicate_shard *shard) {
    struct replicate_dispute *dispute = &shard->dispute;
    const struct configuration *members = raft_configuration(shard->raft);
    struct peer_digest own = own_digest(dispute);
    own.asks = true;
    for (uint32_t i = 0; i < members->member_count; i++) {
        uint64_t node_id = members->members[i].node_id;
        struct peer_link *link = node_id == shard->node->options->identity.node_id
                                     ? NULL
                                     : peers_find(shard->links, node_id);
        if (link != NULL) {
            digest_send(shard, link, &own);
        }
    }
}

bool replicate_dispute_open(const struct replicate_shard *shard) {
    return shard->dispute.state == DISPUTE_OPEN || shard->dispute.state == DISPUTE_LOST ||
           digest_doubt_look(&shard->node->digest_doubts) != NULL;
}

void replicate_dispute_logged(struct replicate_shard *shard, uint64_t index) {
    ASSERT(index > 0 && index % DIGEST_INTERVAL == 0);
    shard->dispute.logged_index = index;
}

uint32_t replicate_dispute_turn(struct replicate_shard *shard, uint64_t now_ns, uint64_t *due_ns) {
    struct replicate_dispute *dispute = &shard->dispute;
    if (shard->links == NULL || dispute->state == DISPUTE_LOST || shard->members.passive) {
        return 0;
    }
    uint32_t work = doubt_take(shard);
    if (dispute->state == DISPUTE_NONE) {
        return work;
    }
    uint64_t hash;
    if (!digest_hashes_find(&shard->node->digest_hashes, dispute->index, &hash) ||
        hash != dispute->hash) {
        withdraw(shard, "the data were replaced, or it is long ago");
        return work + 1;
    }
    if (dispute->state == DISPUTE_OPEN && agreed_later(shard)) {
        settle_up_to(shard, node_figure(&shard->node->apply.digest_index));
        withdraw(shard, "later digests are those in the log");
        return work + 1;
    }
    if (dispute->due_ns <= now_ns) {
        tell_all(shard);
        dispute->due_ns = now_ns + DISPUTE_REPEAT_NS;
        work++;
        if (dispute->state == DISPUTE_SETTLED && --dispute->rounds_left == 0) {
            move(shard, DISPUTE_NONE);
            return work;
        }
        decide(shard);
    }
    *due_ns = dispute->due_ns < *due_ns ? dispute->due_ns : *due_ns;
    return work;
}
