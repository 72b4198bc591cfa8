/*
 * A run of operations.
 *
 * Happy path: the buckets of the next 32 operations are fetched, then their records, then the
 * operations are executed one after the other; by then the memory they touch has arrived.
 *
 * What else may happen: the budget ends (between operations, or in the middle of a long one, which
 * keeps its place in the cursor); a snapshot must have a record first, and the run waits; a reply
 * does not fit. An operation whose reply does not fit leaves no trace and can be called again: a
 * read writes none of it; a write is not begun without room for a short reply, and SET, whose GET
 * answers the old value, writes that before it changes anything.
 */

#include "machines/kv.h"

#define KV_HANDLER(row, execute, ...) [KV_ROW_##row] = execute,
static enum kv_step (*const kv_handlers[KV_ROWS])(struct kv_call *) = {KV_ROWS_ALL(KV_HANDLER)};

static void kv_prefetch(const struct kv *kv, const struct machine_run *run, uint32_t end) {
    const uint32_t bits = kv->options.partition_bits;
    for (uint32_t i = run->next; i < end; i++) {
        if (run->operations[i].key_count == 0)
            continue;
        const uint64_t hash = run->operations[i].key_hashes[0];
        kv_table_prefetch_bucket(&kv->partition[machine_partition(hash, bits)].space.table, hash);
    }
    for (uint32_t i = run->next; i < end; i++) {
        if (run->operations[i].key_count == 0)
            continue;
        const uint64_t hash = run->operations[i].key_hashes[0];
        kv_table_prefetch_record(&kv->partition[machine_partition(hash, bits)].space.table, hash);
    }
}

enum machine_progress kv_execute(struct machine *machine, struct machine_run *run) {
    struct kv *kv = (struct kv *)machine;
    ASSERT(run->next <= run->count && kv->restore == NULL);
    ASSERT(run->reply == NULL || run->reply->position != NULL);
    /* Only an operation that goes on may have found too little room: it counts what it needs. */
    ASSERT(run->reply == NULL || run->reply->overflow_bytes == 0 ||
           (run->next < run->count && run->operations[run->next].reply != NULL));
    struct kv_call call = {
        .kv = kv,
        .run = run,
        .reply = run->reply,
        .cursor = &run->cursor,
        .now_ms = run->moment.log_time_ms,
    };
    if (kv->log_time_ms < call.now_ms)
        kv->log_time_ms = call.now_ms;

    uint32_t fetched = run->next;
    while (run->next < run->count) {
        if (run->budget == 0)
            return MACHINE_MORE;
        if (run->next == fetched) {
            const uint32_t left = run->count - run->next;
            fetched += left < KV_PREFETCH_COUNT ? left : KV_PREFETCH_COUNT;
            kv_prefetch(kv, run, fetched);
        }
        struct machine_operation *operation = &run->operations[run->next];
        ASSERT_HOT(operation->row < KV_ROWS &&
                   kv_commands[operation->row].id == operation->command_id);
        const bool writes = (kv_commands[operation->row].flags & MACHINE_WRITE) != 0;
        if (machine_reply_start(run, writes) == MACHINE_REPLY_FULL)
            return MACHINE_REPLY_FULL;
        call.operation = operation;
        if (kv_handlers[operation->row](&call) == KV_MORE)
            return MACHINE_MORE;
        kv_spend(&call, 1);
        run->cursor = (struct machine_cursor){0};
        if (machine_reply_finish(run) == MACHINE_REPLY_FULL)
            return MACHINE_REPLY_FULL;
        run->next++;
    }
    return MACHINE_DONE;
}
