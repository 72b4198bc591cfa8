/*
 * The store of a transaction: a block of the validate shard's arena, which grows.
 *
 *     | head | watched keys | commands | replies |        (entry/transaction.h)
 *
 * Happy path: what is added fits behind what is there.  Otherwise a block twice as large is taken,
 * and what is there is moved to it, in slices; the batch stays the shard's present work meanwhile.
 *
 * Failure modes: all stores together have as much as they may, or the arena has no such block.
 */

#include <string.h>

#include "base/assert.h"
#include "stages/validate_internal.h"

uint8_t *validate_store_at(const struct validate_shard *shard,
                           const struct validate_transaction *transaction) {
    ASSERT(transaction->has_block);
    return arena_memory(shard->arena, transaction->block) + sizeof(struct validate_block);
}

uint32_t validate_store_used(const struct validate_transaction *transaction) {
    return ENTRY_TRANSACTION_HEAD_BYTES + transaction->watch_bytes + transaction->command_bytes +
           transaction->reply_bytes;
}

static uint64_t store_capacity(const struct validate_shard *shard, uint32_t block) {
    return arena_block_bytes(shard->arena, block) - sizeof(struct validate_block);
}

void validate_transaction_reset(struct validate_shard *shard, uint32_t slot) {
    struct validate_transaction *transaction = &shard->transactions[slot];
    if (transaction->has_block) {
        shard->store_bytes -= arena_block_bytes(shard->arena, transaction->block);
        arena_give(shard->arena, transaction->block);
    }
    *transaction = (struct validate_transaction){0};
}

/* A larger block; false if there is none. */
static bool store_take(struct validate_shard *shard, uint64_t wanted, uint32_t *block) {
    *block = arena_take(shard->arena, wanted + sizeof(struct validate_block));
    if (*block == BATCH_NO_BLOCK) {
        return false;
    }
    uint64_t bytes = arena_block_bytes(shard->arena, *block);
    if (shard->store_bytes + bytes > VALIDATE_STORE_BYTES_MAX) {
        arena_give(shard->arena, *block);
        return false;
    }
    shard->store_bytes += bytes;
    return true;
}

enum store_room validate_store_reserve(struct validate_shard *shard,
                                       struct validate_transaction *transaction, uint32_t bytes) {
    struct validate_store *store = &shard->work.store;
    uint32_t used = validate_store_used(transaction);
    if (transaction->has_block && !store->moving &&
        store_capacity(shard, transaction->block) >= (uint64_t)used + bytes) {
        return STORE_READY;
    }
    if (!store->moving) {
        if (!store_take(shard, (uint64_t)used + bytes, &store->block)) {
            return STORE_NONE;
        }
        store->moving = true;
        store->moved = transaction->has_block ? 0 : used;
    }
    uint8_t *to = arena_memory(shard->arena, store->block) + sizeof(struct validate_block);
    while (store->moved < used) {
        if (shard->units <= 0) {
            return STORE_LATER;
        }
        uint32_t left = used - store->moved;
        uint32_t slice = left < STAGE_SLICE_BYTES ? left : (uint32_t)STAGE_SLICE_BYTES;
        memcpy(to + store->moved, validate_store_at(shard, transaction) + store->moved, slice);
        store->moved += slice;
        validate_spend(shard, stage_bytes_units(slice));
    }
    if (transaction->has_block) {
        shard->store_bytes -= arena_block_bytes(shard->arena, transaction->block);
        arena_give(shard->arena, transaction->block);
    }
    transaction->block = store->block;
    transaction->has_block = true;
    store->moving = false;
    return STORE_READY;
}

bool validate_store_suits(const struct validate_shard *shard,
                          const struct validate_transaction *transaction, uint64_t more) {
    uint32_t bytes = entry_command_bytes(ENTRY_TRANSACTION_ARGUMENTS, 0,
                                         validate_store_used(transaction) + more, true);
    return bytes != 0 && bytes <= shard->entry_body_bytes_max;
}
