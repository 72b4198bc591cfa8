/*
 * The memory of batches: one mapping, receive buffers first, then each batch's tables.  There is no
 * failure mode but the lack of memory at start.
 */

#include <stdlib.h>
#include <sys/mman.h>

#include "base/bytes.h"
#include "stages/pipeline_internal.h"

/* The tables of one batch behind one another, each on a cache line. */
enum {
    SLOT_COMMANDS_BYTES = BATCH_COMMANDS_MAX * sizeof(struct batch_command),
    SLOT_ARGUMENTS_BYTES = BATCH_ARGUMENTS_MAX * sizeof(struct resp_argument),
    SLOT_HASHES_BYTES = BATCH_ARGUMENTS_MAX * sizeof(uint64_t),
    SLOT_PIECES_BYTES = BATCH_PIECES_MAX * sizeof(struct reply_piece),
    SLOT_TABLES_BYTES = SLOT_COMMANDS_BYTES + SLOT_ARGUMENTS_BYTES + SLOT_HASHES_BYTES +
                        SLOT_PIECES_BYTES + BATCH_REPLY_BYTES,
};
_Static_assert(SLOT_COMMANDS_BYTES % CACHE_LINE_BYTES == 0, "tables keep their lines apart");
_Static_assert(SLOT_ARGUMENTS_BYTES % CACHE_LINE_BYTES == 0, "tables keep their lines apart");
_Static_assert(SLOT_HASHES_BYTES % CACHE_LINE_BYTES == 0, "tables keep their lines apart");
_Static_assert(SLOT_PIECES_BYTES % CACHE_LINE_BYTES == 0, "tables keep their lines apart");

int pipeline_batches_create(struct pipeline *pipeline) {
    uint32_t buffers = pipeline->node->options->batch_count;
    pipeline->batch_total = buffers + PIPELINE_MARKERS + PIPELINE_ANSWERS;
    size_t buffers_bytes = (size_t)buffers * BATCH_BUFFER_BYTES;
    pipeline->slots_bytes = buffers_bytes + (size_t)pipeline->batch_total * SLOT_TABLES_BYTES;
    void *memory = mmap(NULL, pipeline->slots_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        return WEIR_ENOMEM;
    }
    pipeline->slots = memory;
    uint32_t hot = buffers < PIPELINE_HOT_BATCHES ? buffers : (uint32_t)PIPELINE_HOT_BATCHES;
    /* A wish.  A receive touches six pages of its batch: if small, six entries of the TLB. */
    (void)madvise(memory, (size_t)hot * BATCH_BUFFER_BYTES, MADV_HUGEPAGE);
    (void)madvise(pipeline->slots + buffers_bytes, (size_t)hot * SLOT_TABLES_BYTES, MADV_HUGEPAGE);
    pipeline->batches = calloc(pipeline->batch_total, sizeof(*pipeline->batches));
    if (pipeline->batches == NULL) {
        return WEIR_ENOMEM; /* pipeline_destroy unmaps the slots */
    }
    uint8_t *tables = pipeline->slots + buffers_bytes;
    for (uint32_t id = 0; id < pipeline->batch_total; id++) {
        struct batch *batch = &pipeline->batches[id];
        batch->id = id;
        batch->bytes = id < buffers ? pipeline->slots + (size_t)id * BATCH_BUFFER_BYTES : NULL;
        batch->command_slots = (struct batch_command *)(void *)tables;
        tables += SLOT_COMMANDS_BYTES;
        batch->argument_slots = (struct resp_argument *)(void *)tables;
        tables += SLOT_ARGUMENTS_BYTES;
        batch->key_hash_slots = (uint64_t *)(void *)tables;
        tables += SLOT_HASHES_BYTES;
        batch->piece_slots = (struct reply_piece *)(void *)tables;
        tables += SLOT_PIECES_BYTES;
        batch->reply_room = tables;
        tables += BATCH_REPLY_BYTES;
        batch->owner = STAGE_READ;
        batch->carry_block = BATCH_NO_BLOCK;
        batch->local_block = BATCH_NO_BLOCK;
        batch->reply_block = BATCH_NO_BLOCK;
        batch->next = BATCH_NO_BLOCK;
    }
    return WEIR_OK;
}
