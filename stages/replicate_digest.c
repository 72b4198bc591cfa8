/*
 * Digests in the log.
 *
 * Happy path: apply has put the digests at an index into the box, and this node leads: they are
 * appended as an entry, by which every replica sees whether it still is like the leader.
 *
 * Failure modes: not the leader, or one that had not begun to lead when that index was appended:
 * the record is dropped.  No room in the log, or among what is uncommitted: tried again; apply
 * goes on meanwhile.
 */

#include "base/assert.h"
#include "stages/replicate_internal.h"

bool replicate_digest_entry(struct replicate_shard *shard, uint64_t now_ns, uint64_t *due_ns) {
    struct digest_box *box = &shard->node->digests;
    const struct digest_record *record = digest_box_look(box);
    if (record == NULL) {
        return false;
    }
    uint64_t index;
    uint64_t term;
    uint32_t length_bytes = ENTRY_HEADER_BYTES + entry_digest_bytes(record->count);
    int result = raft_propose(shard->raft, 1, length_bytes, &index, &term);
    if (!shard->serving || record->index < shard->led_from ||
        (result != WEIR_OK && result != WEIR_EFULL)) {
        digest_box_clear(box);
        return false;
    }
    if (shard->encode.batch != NULL || replicate_incoming_busy(shard)) {
        return false; /* entries are coming, and their end finds us here again */
    }
    uint8_t *entry = result == WEIR_OK ? log_reserve(shard->log, length_bytes, true) : NULL;
    if (entry == NULL) {
        *due_ns = now_ns; /* try again soon */
        return false;
    }
    ASSERT(record->index < index);
    entry_digest_write(entry + ENTRY_HEADER_BYTES, record->index, record->digests, record->count);
    replicate_dispute_logged(shard, record->index);
    digest_box_clear(box);
    struct entry_header header = {.length_bytes = length_bytes,
                                  .kind = ENTRY_DIGEST,
                                  .version = ENTRY_VERSION,
                                  .term = term,
                                  .log_time_ms = replicate_log_time(shard, now_ns)};
    uint64_t appended = replicate_append(shard, &header);
    ASSERT(appended == index);
    return true;
}
