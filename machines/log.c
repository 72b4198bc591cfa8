/*
 * log: an append-only list of values. The smallest machine that is of use, in one file: read this
 * one first to write your own.
 *
 *     LOG.APPEND value        appends, answers the value's index; the first is 0
 *     LOG.GET index           the value, or null
 *     LOG.RANGE first last    the values from first to last, both included, as far as they exist
 *     LOG.LEN                 how many there are
 *
 * One partition. Values never change, so a snapshot is simply the first n of them, whatever is
 * appended meanwhile. Long values are copied in slices (the cursor keeps the place).
 *
 * Snapshot format, version 1 (little-endian): u64 magic, u64 index, u64 log time, u64 running
 * digest, u64 number of values; then each value as u32 length and its bytes. Valid if there are
 * exactly as many values as said.
 */

#include "machines/memory.h"
#include "machines/vector.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/checksum.h"
#include "base/decimal.h"
#include "base/error.h"

#include <string.h>

enum {
    LOG_VERSION = 1,
    LOG_SLICE_BYTES = 4096,
    LOG_UNIT_BYTES = 100,
    LOG_HEAD_BYTES = 40,
    LOG_VALUE_BYTES_MAX = 1 << 29,
};

#define LOG_MAGIC UINT64_C(0x00316c6f67696577) /* "weigol1" and a zero byte */

/* What a snapshot is doing: writing the head, then values up to count. */
struct log_snapshot {
    bool active;
    uint64_t index;
    uint64_t log_time_ms;
    uint64_t digest;
    uint64_t count;
    uint64_t next;   /* value being written; UINT64_MAX: the head */
    uint64_t offset; /* in its length and bytes */
};

/* What a restore is doing. */
struct log_restore {
    bool active;
    uint8_t head[LOG_HEAD_BYTES];
    uint32_t have_bytes; /* of the head, or of a length */
    bool has_head;
    uint64_t count; /* values to come in all */
    uint8_t *value; /* being filled; NULL: its length is being gathered */
    uint32_t value_bytes;
    uint32_t filled_bytes;
};

struct log_machine {
    struct machine_host host;
    struct machine_options options;
    struct memory memory;
    struct memory_retired retired;
    struct vector values; /* word 0: address, word 1: length */
    uint64_t digest;
    uint64_t log_time_ms;
    struct log_snapshot snapshot;
    struct log_restore restore;
};

#define LOG_MACHINE_BYTES ALIGN_UP(sizeof(struct log_machine), (size_t)MEMORY_PAGE_BYTES)

enum log_row { LOG_ROW_APPEND, LOG_ROW_GET, LOG_ROW_RANGE, LOG_ROW_LEN, LOG_ROWS };

static const struct machine_command log_commands[LOG_ROWS] = {
    [LOG_ROW_APPEND] = {.name = "log.append",
                        .summary = "Append a value and answer its index",
                        .arguments = "value",
                        .group = "log",
                        .since = "0.1.0",
                        .id = 1,
                        .arity = 2,
                        .flags = MACHINE_WRITE | MACHINE_GROWS | MACHINE_FAST},
    [LOG_ROW_GET] = {.name = "log.get",
                     .summary = "Get the value at an index",
                     .arguments = "index",
                     .group = "log",
                     .since = "0.1.0",
                     .id = 2,
                     .arity = 2,
                     .flags = MACHINE_READ | MACHINE_FAST},
    [LOG_ROW_RANGE] = {.name = "log.range",
                       .summary = "Get the values from one index to another, both included",
                       .arguments = "first last",
                       .group = "log",
                       .since = "0.1.0",
                       .id = 3,
                       .arity = 3,
                       .flags = MACHINE_READ},
    [LOG_ROW_LEN] = {.name = "log.len",
                     .summary = "Get the number of values",
                     .arguments = "",
                     .group = "log",
                     .since = "0.1.0",
                     .id = 4,
                     .arity = 1,
                     .flags = MACHINE_READ | MACHINE_FAST},
};

/* ---- Life ------------------------------------------------------------------------------------ */

static int log_create(struct machine **out, const struct machine_host *host,
                      const struct machine_options *options) {
    ASSERT(options->partition_bits == 0 && options->value_bytes_max <= LOG_VALUE_BYTES_MAX);
    struct log_machine *log = host->pages_take(host->context, LOG_MACHINE_BYTES);
    if (log == NULL)
        return WEIR_ENOMEM;
    log->host = *host;
    log->options = *options;
    memory_begin(&log->memory, &log->host, NULL);
    *out = (struct machine *)log;
    return 0;
}

static enum machine_progress log_destroy(struct machine *machine, uint32_t budget) {
    struct log_machine *log = (struct log_machine *)machine;
    if (log->memory.blocks != NULL)
        memory_retire(&log->memory, &log->retired);
    if (memory_retired_give(&log->retired, &log->host, &budget))
        return MACHINE_MORE;
    const struct machine_host host = log->host;
    host.pages_give(host.context, log, LOG_MACHINE_BYTES);
    return MACHINE_DONE;
}

static enum machine_progress log_maintain(struct machine *machine, uint64_t log_time_ms,
                                          uint32_t budget) {
    struct log_machine *log = (struct log_machine *)machine;
    (void)budget;
    if (log->log_time_ms < log_time_ms)
        log->log_time_ms = log_time_ms;
    return MACHINE_DONE;
}

static uint64_t log_next_deadline_ms(const struct machine *machine) {
    (void)machine;
    return UINT64_MAX;
}

static uint64_t log_memory_bytes(const struct machine *machine) {
    return LOG_MACHINE_BYTES + ((const struct log_machine *)machine)->memory.used_bytes;
}

static uint64_t log_record_count(const struct machine *machine) {
    return ((const struct log_machine *)machine)->values.count;
}

static int log_upgrade(struct machine *machine, uint32_t from_version, uint32_t to_version) {
    (void)machine;
    return from_version == LOG_VERSION && to_version == LOG_VERSION ? 0 : WEIR_EVERSION;
}

/* ---- Commands -------------------------------------------------------------------------------- */

static void log_spend(uint32_t *budget, uint64_t units) {
    *budget -= units < *budget ? (uint32_t)units : *budget;
}

static uint32_t log_slice(uint64_t left) {
    return left < LOG_SLICE_BYTES ? (uint32_t)left : LOG_SLICE_BYTES;
}

/* An object of one byte at least, so that every value has an address. */
static size_t log_object_bytes(uint32_t value_bytes) {
    return value_bytes > 0 ? value_bytes : 1;
}

/* An index; false after Redis's error (NULL: nobody listens). Negative ones are no index. */
static bool log_index(const struct machine_argument *argument, uint64_t *index,
                      struct reply_writer *error) {
    static const char text[] = "ERR value is not an integer or out of range";
    int64_t value;
    if (decimal_parse_i64((const char *)argument->data, argument->length_bytes, &value) == 0 &&
        value >= 0) {
        *index = (uint64_t)value;
        return true;
    }
    if (error != NULL)
        reply_error(error, text, strlen(text));
    return false;
}

/* Words of the cursor: 0 the object, 1 bytes filled + 1, 2 the digest so far. */
static enum machine_progress log_append(struct log_machine *log, struct machine_run *run,
                                        const struct machine_operation *operation) {
    const struct machine_argument *value = &operation->arguments[0];
    uint64_t *word = run->cursor.word;
    if (word[1] == 0) {
        uint8_t head[16];
        bytes_put_u64(head, run->moment.index);
        bytes_put_u64(head + 8, value->length_bytes);
        word[0] = (uintptr_t)memory_take(&log->memory, log_object_bytes(value->length_bytes));
        word[1] = 1;
        word[2] = checksum_64(head, sizeof(head), log->digest);
    }
    while (word[1] - 1 < value->length_bytes) {
        if (run->budget == 0)
            return MACHINE_MORE;
        const uint64_t offset = word[1] - 1;
        const uint32_t slice = log_slice(value->length_bytes - offset);
        memcpy((uint8_t *)(uintptr_t)word[0] + offset, value->data + offset, slice);
        word[2] = checksum_64(value->data + offset, slice, word[2]);
        word[1] += slice;
        log_spend(&run->budget, 1 + slice / LOG_UNIT_BYTES);
    }
    log->digest = word[2];
    const uint64_t index = log->values.count;
    *vector_push(&log->values, &log->memory) =
        (struct vector_element){{word[0], value->length_bytes}};
    if (run->reply != NULL)
        reply_integer(run->reply, (int64_t)index);
    return MACHINE_DONE;
}

/* Replies one value, a long one in slices. Words of the cursor: 5 where, 6 bytes written. */
static enum machine_progress log_reply(struct machine_run *run,
                                       const struct vector_element *value) {
    const uint8_t *data = (const uint8_t *)(uintptr_t)value->word[0];
    const uint64_t length_bytes = value->word[1];
    uint64_t *word = run->cursor.word;
    if (word[5] == 0) {
        word[5] = (uintptr_t)reply_bulk_reserve(run->reply, length_bytes);
        word[6] = 0;
        if (word[5] == 0)
            return MACHINE_DONE; /* counted as overflow */
    }
    while (word[6] < length_bytes) {
        if (run->budget == 0)
            return MACHINE_MORE;
        const uint32_t slice = log_slice(length_bytes - word[6]);
        memcpy((uint8_t *)(uintptr_t)word[5] + word[6], data + word[6], slice);
        word[6] += slice;
        log_spend(&run->budget, 1 + slice / LOG_UNIT_BYTES);
    }
    reply_bulk_commit(run->reply, length_bytes);
    word[5] = word[6] = 0;
    return MACHINE_DONE;
}

static enum machine_progress log_get(struct log_machine *log, struct machine_run *run,
                                     const struct machine_operation *operation) {
    uint64_t index;
    if (run->reply == NULL || !log_index(&operation->arguments[0], &index, run->reply))
        return MACHINE_DONE;
    if (index < log->values.count)
        return log_reply(run, vector_at(&log->values, index));
    reply_null(run->reply);
    return MACHINE_DONE;
}

/* Words of the cursor: 0 values written, 1 whether the array's head is. */
static enum machine_progress log_range(struct log_machine *log, struct machine_run *run,
                                       const struct machine_operation *operation) {
    uint64_t first;
    uint64_t last;
    if (run->reply == NULL || !log_index(&operation->arguments[0], &first, run->reply) ||
        !log_index(&operation->arguments[1], &last, run->reply))
        return MACHINE_DONE;
    const uint64_t end = last < log->values.count ? last + 1 : log->values.count;
    const uint64_t count = first < end ? end - first : 0;
    uint64_t *word = run->cursor.word;
    if (word[1] == 0)
        reply_array(run->reply, count);
    word[1] = 1;
    for (; word[0] < count; word[0]++) {
        if (run->budget == 0 ||
            log_reply(run, vector_at(&log->values, first + word[0])) == MACHINE_MORE)
            return MACHINE_MORE;
        log_spend(&run->budget, 1);
    }
    return MACHINE_DONE;
}

static enum machine_progress log_operation(struct log_machine *log, struct machine_run *run,
                                           const struct machine_operation *operation) {
    switch ((enum log_row)operation->row) {
    case LOG_ROW_APPEND: return log_append(log, run, operation);
    case LOG_ROW_GET: return log_get(log, run, operation);
    case LOG_ROW_RANGE: return log_range(log, run, operation);
    case LOG_ROW_LEN:
        if (run->reply != NULL)
            reply_integer(run->reply, (int64_t)log->values.count);
        return MACHINE_DONE;
    case LOG_ROWS: break;
    }
    UNREACHABLE("a row that is none");
}

static enum machine_progress log_execute(struct machine *machine, struct machine_run *run) {
    struct log_machine *log = (struct log_machine *)machine;
    ASSERT(!log->restore.active && run->next <= run->count);
    if (log->log_time_ms < run->moment.log_time_ms)
        log->log_time_ms = run->moment.log_time_ms;
    while (run->next < run->count) {
        struct machine_operation *operation = &run->operations[run->next];
        if (run->budget == 0)
            return MACHINE_MORE;
        const bool writes = (log_commands[operation->row].flags & MACHINE_WRITE) != 0;
        if (machine_reply_start(run, writes) == MACHINE_REPLY_FULL)
            return MACHINE_REPLY_FULL;
        if (log_operation(log, run, operation) == MACHINE_MORE)
            return MACHINE_MORE;
        log_spend(&run->budget, 1);
        run->cursor = (struct machine_cursor){0};
        if (machine_reply_finish(run) == MACHINE_REPLY_FULL)
            return MACHINE_REPLY_FULL;
        run->next++;
    }
    return MACHINE_DONE;
}

static enum machine_verdict log_validate(uint32_t row, const struct machine_argument *arguments,
                                         uint32_t argument_count,
                                         const struct machine_options *options,
                                         struct reply_writer *error) {
    (void)options;
    uint64_t index;
    if (row == LOG_ROW_GET || row == LOG_ROW_RANGE)
        for (uint32_t i = 0; i < argument_count; i++)
            if (!log_index(&arguments[i], &index, error))
                return MACHINE_REFUSE;
    return MACHINE_ACCEPT;
}

/* ---- Snapshot -------------------------------------------------------------------------------- */

static int log_snapshot_begin(struct machine *machine, const struct machine_moment *moment) {
    struct log_machine *log = (struct log_machine *)machine;
    ASSERT(!log->snapshot.active);
    log->snapshot = (struct log_snapshot){.active = true,
                                          .index = moment->index,
                                          .log_time_ms = log->log_time_ms,
                                          .digest = log->digest,
                                          .count = log->values.count,
                                          .next = UINT64_MAX};
    return 0;
}

static void log_snapshot_head(const struct log_snapshot *snapshot, uint8_t *head) {
    bytes_put_u64(head, LOG_MAGIC);
    bytes_put_u64(head + 8, snapshot->index);
    bytes_put_u64(head + 16, snapshot->log_time_ms);
    bytes_put_u64(head + 24, snapshot->digest);
    bytes_put_u64(head + 32, snapshot->count);
}

/* Copies at most `room` bytes of what comes next to `to`; how many. 0: all is written. */
static uint32_t log_snapshot_copy(struct log_machine *log, uint8_t *to, uint32_t room) {
    struct log_snapshot *snapshot = &log->snapshot;
    uint8_t head[LOG_HEAD_BYTES];
    const uint8_t *from = head;
    uint64_t head_bytes = LOG_HEAD_BYTES;
    uint64_t value_bytes = 0;
    if (snapshot->next == snapshot->count)
        return 0;
    if (snapshot->next == UINT64_MAX) {
        log_snapshot_head(snapshot, head);
    } else {
        const struct vector_element *value = vector_at(&log->values, snapshot->next);
        value_bytes = value->word[1];
        head_bytes = sizeof(uint32_t);
        bytes_put_u32(head, (uint32_t)value_bytes);
        if (snapshot->offset >= head_bytes)
            from = (const uint8_t *)(uintptr_t)value->word[0];
    }
    const uint64_t total = head_bytes + value_bytes;
    const bool in_head = snapshot->offset < head_bytes;
    const uint64_t begin = in_head ? snapshot->offset : snapshot->offset - head_bytes;
    const uint64_t left = (in_head ? head_bytes : value_bytes) - begin;
    const uint32_t length = left < room ? (uint32_t)left : room;
    memcpy(to, from + begin, length);
    snapshot->offset += length;
    if (snapshot->offset == total) {
        snapshot->next++; /* from UINT64_MAX to 0 */
        snapshot->offset = 0;
    }
    return length;
}

static enum machine_progress log_snapshot_emit(struct machine *machine,
                                               const struct machine_sink *sink, uint32_t budget) {
    struct log_machine *log = (struct log_machine *)machine;
    ASSERT(log->snapshot.active);
    while (log->snapshot.next != log->snapshot.count) {
        uint8_t *to = budget > 0 ? sink->reserve(sink->context, MACHINE_SINK_BYTES_MAX) : NULL;
        if (to == NULL)
            return MACHINE_MORE;
        uint32_t used = 0;
        uint32_t copied;
        do {
            copied = log_snapshot_copy(log, to + used, MACHINE_SINK_BYTES_MAX - used);
            used += copied;
            log_spend(&budget, 1 + copied / LOG_UNIT_BYTES);
        } while (copied > 0 && used < MACHINE_SINK_BYTES_MAX && budget > 0);
        sink->commit(sink->context, used);
    }
    return MACHINE_DONE;
}

static void log_snapshot_end(struct machine *machine) {
    struct log_machine *log = (struct log_machine *)machine;
    ASSERT(log->snapshot.active);
    log->snapshot.active = false;
}

/* ---- Restore --------------------------------------------------------------------------------- */

/* Takes bytes into `to` until `wanted` are there; how many it took. */
static size_t log_gather(uint8_t *to, uint32_t *have, uint32_t wanted, const uint8_t *bytes,
                         size_t length_bytes) {
    const size_t left = wanted - *have;
    size_t length = left < length_bytes ? left : length_bytes;
    length = length < LOG_SLICE_BYTES ? length : LOG_SLICE_BYTES;
    memcpy(to + *have, bytes, length);
    *have += (uint32_t)length;
    return length;
}

static int log_restore_head(struct log_machine *log) {
    struct log_restore *restore = &log->restore;
    if (bytes_get_u64(restore->head) != LOG_MAGIC)
        return WEIR_ECORRUPT;
    log->log_time_ms = bytes_get_u64(restore->head + 16);
    log->digest = bytes_get_u64(restore->head + 24);
    restore->count = bytes_get_u64(restore->head + 32);
    restore->has_head = true;
    restore->have_bytes = 0;
    return 0;
}

static int log_restore_length(struct log_machine *log) {
    struct log_restore *restore = &log->restore;
    restore->value_bytes = bytes_get_u32(restore->head);
    if (restore->value_bytes > LOG_VALUE_BYTES_MAX || log->values.count == restore->count)
        return WEIR_ECORRUPT;
    restore->value = memory_take(&log->memory, log_object_bytes(restore->value_bytes));
    restore->filled_bytes = 0;
    restore->have_bytes = 0;
    return 0;
}

static void log_restore_value(struct log_machine *log) {
    struct log_restore *restore = &log->restore;
    if (restore->value == NULL || restore->filled_bytes < restore->value_bytes)
        return;
    *vector_push(&log->values, &log->memory) =
        (struct vector_element){{(uintptr_t)restore->value, restore->value_bytes}};
    restore->value = NULL;
}

static int log_restore(struct machine *machine, uint32_t version, const uint8_t *bytes,
                       size_t length_bytes, size_t *consumed, uint32_t budget) {
    struct log_machine *log = (struct log_machine *)machine;
    struct log_restore *restore = &log->restore;
    *consumed = 0;
    if (version != LOG_VERSION)
        return WEIR_EVERSION;
    ASSERT(restore->active || log->values.count == 0);
    restore->active = true;
    while (*consumed < length_bytes) {
        if (budget == 0)
            return MACHINE_MORE;
        const uint8_t *from = bytes + *consumed;
        const size_t left = length_bytes - *consumed;
        size_t took;
        int error = 0;
        if (restore->value != NULL) {
            took = log_gather(restore->value, &restore->filled_bytes, restore->value_bytes, from,
                              left);
        } else {
            const uint32_t wanted = restore->has_head ? sizeof(uint32_t) : LOG_HEAD_BYTES;
            took = log_gather(restore->head, &restore->have_bytes, wanted, from, left);
            if (restore->have_bytes == wanted)
                error = restore->has_head ? log_restore_length(log) : log_restore_head(log);
        }
        if (error != 0)
            return error;
        log_restore_value(log);
        *consumed += took;
        log_spend(&budget, 1 + took / LOG_UNIT_BYTES);
    }
    return MACHINE_DONE;
}

static int log_restore_end(struct machine *machine) {
    struct log_machine *log = (struct log_machine *)machine;
    struct log_restore *restore = &log->restore;
    if (!restore->active || !restore->has_head || restore->value != NULL ||
        restore->have_bytes != 0 || log->values.count != restore->count)
        return WEIR_ECORRUPT;
    restore->active = false;
    return 0;
}

/* ---- Digests --------------------------------------------------------------------------------- */

static uint64_t log_digest(const struct machine *machine, uint32_t partition) {
    ASSERT(partition == 0);
    return ((const struct log_machine *)machine)->digest;
}

/* The values in their order. Words of the cursor: 0 value, 1 offset in it, 2 the digest so far. */
static enum machine_progress log_digest_full(struct machine *machine, struct machine_cursor *cursor,
                                             uint32_t budget, uint64_t *digest) {
    const struct log_machine *log = (const struct log_machine *)machine;
    uint64_t *word = cursor->word;
    while (word[0] < log->values.count) {
        if (budget == 0)
            return MACHINE_MORE;
        const struct vector_element *value = vector_at(&log->values, word[0]);
        if (word[1] == 0)
            word[2] = checksum_64(&value->word[1], sizeof(uint64_t), word[2]);
        const uint32_t slice = log_slice(value->word[1] - word[1]);
        const uint8_t *data = (const uint8_t *)(uintptr_t)value->word[0];
        word[2] = checksum_64(data + word[1], slice, word[2]);
        word[1] += slice;
        log_spend(&budget, 1 + slice / LOG_UNIT_BYTES);
        if (word[1] == value->word[1]) {
            word[0]++;
            word[1] = 0;
        }
    }
    *digest = word[2];
    return MACHINE_DONE;
}

const struct machine_operations machine_log = {
    .abi_version = MACHINE_ABI_VERSION,
    .version = LOG_VERSION,
    .name = "log",
    .commands = log_commands,
    .command_count = LOG_ROWS,
    .partition_bits_max = 0,
    .key_bytes_max = 0,
    .create = log_create,
    .destroy = log_destroy,
    .validate = log_validate,
    .key_positions = NULL,
    .execute = log_execute,
    .maintain = log_maintain,
    .next_deadline_ms = log_next_deadline_ms,
    .snapshot_begin = log_snapshot_begin,
    .snapshot_emit = log_snapshot_emit,
    .snapshot_end = log_snapshot_end,
    .restore = log_restore,
    .restore_end = log_restore_end,
    .digest = log_digest,
    .digest_full = log_digest_full,
    .memory_bytes = log_memory_bytes,
    .record_count = log_record_count,
    .upgrade = log_upgrade,
};
