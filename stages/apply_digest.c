/*
 * Whether this replica is still what the log makes of it.
 *
 * Happy path: at each multiple of DIGEST_INTERVAL the digest of every partition is noted here, and
 * put into the box for replicate; the leader's come by in the log some entries later, and are
 * compared with those noted.  The same comparison is made by every replica, by a node that replays
 * its log after a restart, and by the leader itself.
 *
 * Failure modes: the index compared is one that this process has not come by (it began with a
 * newer snapshot) or left long ago: not compared.  The digests differ: each partition that does is
 * told in the log, with both values and the range of entries.  Either this node errs, or the leader
 * has, and the members decide which (replicate_dispute.c); a node without other members fails at
 * once.
 *
 *     trusted ──differs──> in doubt ──most members have the same, or a later one agrees──> trusted
 *                             └──they have not──> diverged: the node fails
 *
 * In doubt commands are executed as before: it may be this node that is right, and if the leader
 * has erred every correct member is in doubt.  But no snapshot is made: it would outlive the doubt.
 * Once diverged the machine is asked and told nothing more: reads are refused, and the outcome of
 * writes is unknown.
 */

#include <stdio.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/checksum.h"
#include "base/log.h"
#include "stages/apply_internal.h"

/* Partitions that are told one by one; the sentence has the number of all of them. */
enum { DIGEST_TOLD_MAX = 16 };

static uint32_t partition_count(const struct apply_shard *shard) {
    uint32_t most = UINT32_C(1) << shard->operations->partition_bits_max;
    uint32_t count = shard->genesis.partition_count;
    return count < most ? count : most;
}

static struct digest_record *kept_at(struct apply_shard *shard, uint64_t index) {
    return &shard->digests.kept[index / DIGEST_INTERVAL % APPLY_DIGESTS_KEPT];
}

uint32_t apply_digest_note(struct apply_shard *shard) {
    struct apply_digests *digests = &shard->digests;
    uint64_t index = shard->tail.index;
    digests->changed |= shard->work.header.kind == ENTRY_COMMANDS;
    if (index % DIGEST_INTERVAL != 0 || shard->machine == NULL || digests->diverged) {
        return 0;
    }
    struct digest_record *record = kept_at(shard, index);
    ASSERT(record->index < index);
    record->index = index;
    record->count = partition_count(shard);
    ASSERT(record->count <= ENTRY_PARTITIONS_MAX);
    for (uint32_t i = 0; i < record->count; i++) {
        record->digests[i] = shard->operations->digest(shard->machine, i);
    }
    digest_hashes_put(&shard->node->digest_hashes, index,
                      checksum_64(record->digests, 8 * (size_t)record->count, 0));
    if (digests->changed && digest_box_put(&shard->node->digests, record)) {
        digests->changed = false;
        apply_note_send(shard);
    }
    return APPLY_DIGEST_UNITS;
}

/* What differs, if anything does. */
static struct digest_difference differences(const struct digest_record *own,
                                            const struct entry_digest *logged,
                                            uint64_t agreed_index) {
    struct digest_difference difference = {0};
    for (uint32_t i = 0; i < own->count; i++) {
        uint64_t value = bytes_get_u64(logged->digests + 8 * (size_t)i);
        if (value == own->digests[i]) {
            continue;
        }
        if (difference.count == 0) {
            difference = (struct digest_difference){.agreed_index = agreed_index,
                                                    .own = own->digests[i],
                                                    .logged = value,
                                                    .first = i,
                                                    .partitions = own->count};
        }
        if (difference.count++ < DIGEST_TOLD_MAX) {
            log_error("digest_mismatch",
                      "partition=%u own=%016lx logged=%016lx agreed_index=%lu index=%lu", i,
                      own->digests[i], value, agreed_index, own->index);
        }
    }
    return difference;
}

static void diverge(struct apply_shard *shard, const char *sentence) {
    shard->digests.diverged = true;
    log_error("replica_diverged", "what=\"%s\"", sentence);
    node_fail(shard->node, sentence);
}

/* Digests at an index are not those in the log. */
static void differ(struct apply_shard *shard, const struct digest_difference *difference,
                   uint64_t index) {
    struct apply_digests *digests = &shard->digests;
    ASSERT(difference->count > 0 && difference->agreed_index < index);
    if (pipeline_peers(shard->pipeline) != NULL) {
        digests->differs_index = index;
        digests->untold = (struct digest_doubt){.index = index, .difference = *difference};
        return;
    }
    char text[ERROR_TEXT_BYTES];
    snprintf(
        text, sizeof(text),
        "the data differ from what the leader logged, in %u of %u partitions: partition %u has "
        "digest %016lx here and %016lx in the log, and differs since an entry in (%lu, %lu]; "
        "this node stops: see 'When replicas differ' in docs/operations.md",
        difference->count, difference->partitions, difference->first, difference->own,
        difference->logged, difference->agreed_index, index);
    diverge(shard, text);
}

uint32_t apply_digest_compare(struct apply_shard *shard) {
    struct apply_digests *digests = &shard->digests;
    struct entry_digest logged = entry_digest_read(shard->work.entry + ENTRY_HEADER_BYTES);
    const struct digest_record *own = kept_at(shard, logged.index);
    if (own->index != logged.index || digests->diverged) {
        return 0;
    }
    if (logged.count != own->count) {
        char text[ERROR_TEXT_BYTES];
        snprintf(text, sizeof(text),
                 "the log has digests of %u partitions at index %lu, and this node %u: it runs "
                 "another machine than the leader did",
                 logged.count, logged.index, own->count);
        diverge(shard, text);
        return APPLY_DIGEST_UNITS;
    }
    uint64_t settled = atomic_load_relaxed_u64(&shard->node->signals.digest_settled);
    uint64_t agreed = digests->agreed_index;
    if (settled > agreed && settled < logged.index) {
        agreed = settled; /* there they were those of most members */
    }
    struct digest_difference difference = differences(own, &logged, agreed);
    if (difference.count == 0) {
        digests->agreed_index = logged.index;
        node_figure_set(&shard->node->apply.digest_index, logged.index);
        node_figure_add(&shard->node->apply.digests_agreed, 1);
    } else {
        differ(shard, &difference, logged.index);
    }
    return APPLY_DIGEST_UNITS;
}

void apply_digest_turn(struct apply_shard *shard) {
    struct apply_digests *digests = &shard->digests;
    if (digests->untold.index != 0 &&
        digest_doubt_put(&shard->node->digest_doubts, &digests->untold)) {
        digests->untold.index = 0;
        apply_note_send(shard);
    }
    if (!shard->work.active) {
        (void)apply_digest_rejected(shard);
    }
}

bool apply_digest_rejected(struct apply_shard *shard) {
    ASSERT(!shard->work.entry_open);
    if (atomic_load_relaxed_u32(&shard->node->signals.digest_doubt) == DIGEST_REJECTED) {
        shard->digests.diverged = true;
    }
    return shard->digests.diverged;
}

bool apply_digest_in_doubt(const struct apply_shard *shard) {
    const struct node_signals *signals = &shard->node->signals;
    return shard->digests.diverged ||
           atomic_load_relaxed_u32(&signals->digest_doubt) != DIGEST_TRUSTED ||
           shard->digests.differs_index > atomic_load_relaxed_u64(&signals->digest_settled);
}

bool apply_look_digest(const void *state, uint64_t *index, uint64_t *digest) {
    const struct apply_shard *shard = state;
    if (shard->machine == NULL || shard->work.active || shard->digests.diverged) {
        return false;
    }
    uint64_t digests[ENTRY_PARTITIONS_MAX];
    uint32_t count = partition_count(shard);
    ASSERT(count <= ENTRY_PARTITIONS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        digests[i] = shard->operations->digest(shard->machine, i);
    }
    *index = shard->tail.index;
    *digest = checksum_64(digests, 8 * (size_t)count, 0);
    return true;
}

void apply_digest_refuse(struct batch *batch) {
    for (uint32_t i = 0; i < batch->command_count; i++) {
        struct batch_command *command = &batch->commands[i];
        if (command->fate == FATE_WRITE) {
            command->fate = FATE_UNKNOWN;
            command->refusal = REFUSAL_NONE;
        } else if (command->fate == FATE_READ) {
            command->fate = FATE_REFUSED;
            command->refusal = REFUSAL_NOT_LEADER;
        }
    }
}
