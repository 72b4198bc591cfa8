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
 * told in the log, with both values and the range of entries, and the node fails.  From that moment
 * the machine is asked and told nothing more: reads are refused, the outcome of writes is unknown,
 * and no snapshot is made of it.
 *
 * Who is right is not decided here: a node that differs from its log stops, also if it was the
 * leader that erred.
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
    if (digests->changed && digest_box_put(&shard->node->digests, record)) {
        digests->changed = false;
        apply_note_send(shard);
    }
    return APPLY_DIGEST_UNITS;
}

/* The first partition that differs in *first; returns how many do. */
static uint32_t differences(const struct digest_record *own, const struct entry_digest *logged,
                            uint64_t agreed_index, uint32_t *first) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < own->count; i++) {
        uint64_t value = bytes_get_u64(logged->digests + 8 * (size_t)i);
        if (value == own->digests[i]) {
            continue;
        }
        *first = count == 0 ? i : *first;
        if (count++ < DIGEST_TOLD_MAX) {
            log_error("digest_mismatch",
                      "partition=%u own=%016lx logged=%016lx agreed_index=%lu index=%lu", i,
                      own->digests[i], value, agreed_index, own->index);
        }
    }
    return count;
}

static void diverge(struct apply_shard *shard, const char *sentence) {
    shard->digests.diverged = true;
    log_error("replica_diverged", "what=\"%s\"", sentence);
    node_fail(shard->node, sentence);
}

uint32_t apply_digest_compare(struct apply_shard *shard) {
    struct apply_digests *digests = &shard->digests;
    struct entry_digest logged = entry_digest_read(shard->work.entry + ENTRY_HEADER_BYTES);
    const struct digest_record *own = kept_at(shard, logged.index);
    if (own->index != logged.index || digests->diverged) {
        return 0;
    }
    char text[ERROR_TEXT_BYTES];
    if (logged.count != own->count) {
        snprintf(text, sizeof(text),
                 "the log has digests of %u partitions at index %lu, and this node %u: it runs "
                 "another machine than the leader did",
                 logged.count, logged.index, own->count);
        diverge(shard, text);
        return APPLY_DIGEST_UNITS;
    }
    uint32_t first = 0;
    uint32_t count = differences(own, &logged, digests->agreed_index, &first);
    if (count == 0) {
        digests->agreed_index = logged.index;
        node_figure_set(&shard->node->apply.digest_index, logged.index);
        node_figure_add(&shard->node->apply.digests_agreed, 1);
        return APPLY_DIGEST_UNITS;
    }
    snprintf(
        text, sizeof(text),
        "the data differ from what the leader logged, in %u of %u partitions: partition %u has "
        "digest %016lx here and %016lx in the log, and differs since an entry in (%lu, %lu]; "
        "this node stops: see 'When replicas differ' in docs/operations.md",
        count, own->count, first, own->digests[first],
        bytes_get_u64(logged.digests + 8 * (size_t)first), digests->agreed_index, logged.index);
    diverge(shard, text);
    return APPLY_DIGEST_UNITS;
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
