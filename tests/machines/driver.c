/*
 * Happy path: a command is looked up, its keys are hashed, validate accepts it, execute runs it
 * slice by slice, and the reply is encoded. A reply that does not fit gets a longer region. What is
 * a test's own mistake is asserted.
 */

#include "tests/machines/driver.h"

#include "base/assert.h"
#include "wire/reply_encode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { DRIVER_PAGE_BYTES = 4096, DRIVER_KEYS_MAX = 2 << 20 };

static void *driver_pages_take(void *context, size_t length_bytes) {
    struct driver *driver = context;
    ASSERT(length_bytes > 0 && length_bytes % DRIVER_PAGE_BYTES == 0);
    void *pages =
        mmap(NULL, length_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT(pages != MAP_FAILED);
    driver->pages_bytes += length_bytes;
    driver->page_calls++;
    return pages;
}

static void driver_pages_give(void *context, void *pages, size_t length_bytes) {
    struct driver *driver = context;
    ASSERT(driver->pages_bytes >= length_bytes);
    driver->pages_bytes -= length_bytes;
    const int error = munmap(pages, length_bytes);
    ASSERT(error == 0);
}

void driver_begin(struct driver *driver, const struct machine_operations *operations,
                  uint32_t partition_bits) {
    *driver = (struct driver){.operations = operations, .budget = UINT32_MAX};
    driver->options = (struct machine_options){
        .partition_bits = partition_bits, .hash_seed = 42, .value_bytes_max = 16 << 20};
    driver->host = (struct machine_host){driver, driver_pages_take, driver_pages_give};
    machine_name_index_build(&driver->names, operations);
    driver->region_bytes = 1 << 16;
    driver->region = malloc(driver->region_bytes);
    ASSERT(driver->region != NULL);
    const int error = operations->create(&driver->machine, &driver->host, &driver->options);
    ASSERT(error == 0);
}

void driver_end(struct driver *driver) {
    while (driver->operations->destroy(driver->machine, 64) == MACHINE_MORE)
        continue;
    ASSERT(driver->pages_bytes == 0);
    free(driver->region);
}

struct machine_moment driver_moment(uint64_t index, uint64_t time_ms) {
    return (struct machine_moment){
        .index = index, .log_time_ms = time_ms, .clock_ms = time_ms, .random = index};
}

/* The stream in the driver's region as RESP 2. */
static void driver_encode(struct driver *driver, size_t used_bytes, struct kv_model_text *reply) {
    struct reply_piece table[64];
    struct reply_pieces pieces;
    reply_pieces_begin(&pieces, table, 64);
    reply->length = 0;
    const bool encoded = reply_encode_in_place(driver->region, used_bytes, RESP_VERSION_2, &pieces);
    ASSERT(encoded);
    for (uint32_t i = 0; i < pieces.count; i++)
        kv_model_text_append(reply, pieces.piece[i].data, pieces.piece[i].length);
}

static void driver_error(const char *text, struct kv_model_text *reply) {
    if (reply == NULL)
        return;
    reply->length = 0;
    kv_model_text_append(reply, text, strlen(text));
}

/* Runs the operation in slices until it is done; a reply that does not fit gets more room. */
static void driver_run(struct driver *driver, struct machine_operation *operation,
                       const struct machine_moment *moment, bool wants_reply,
                       struct kv_model_text *reply) {
    struct reply_writer writer;
    reply_begin(&writer, driver->region, driver->region_bytes);
    struct machine_run run = {.operations = operation,
                              .count = 1,
                              .moment = *moment,
                              .reply = wants_reply ? &writer : NULL};
    for (;;) {
        run.budget = driver->budget;
        driver->slices++;
        const enum machine_progress progress = driver->operations->execute(driver->machine, &run);
        driver->units += driver->budget - run.budget;
        if (progress == MACHINE_REPLY_FULL) {
            ASSERT(reply_used_bytes(&writer) == 0 && writer.overflow_bytes > driver->region_bytes);
            driver->region_bytes = writer.overflow_bytes * 2;
            driver->region = realloc(driver->region, driver->region_bytes);
            ASSERT(driver->region != NULL);
            reply_begin(&writer, driver->region, driver->region_bytes);
            continue;
        }
        if (progress == MACHINE_DONE)
            break;
        if (driver->between != NULL)
            driver->between(driver->context);
    }
    ASSERT(run.next == 1);
    if (wants_reply) {
        ASSERT(operation->reply == driver->region &&
               operation->reply_bytes == reply_used_bytes(&writer));
        if (reply != NULL)
            driver_encode(driver, reply_used_bytes(&writer), reply);
    }
}

void driver_execute(struct driver *driver, const struct kv_model_word *words, size_t count,
                    const struct machine_moment *moment, struct kv_model_text *reply) {
    const int32_t row =
        machine_name_find(&driver->names, driver->operations, (const uint8_t *)words[0].data,
                          (uint32_t)words[0].length);
    ASSERT(row >= 0);
    const struct machine_command *command = &driver->operations->commands[row];
    const bool is_write = (command->flags & MACHINE_WRITE) != 0;
    const int64_t arity = command->arity;
    if (driver->follower && !is_write)
        return;
    if (arity >= 0 ? (int64_t)count != arity : (int64_t)count < -arity) {
        char text[128];
        snprintf(text, sizeof(text), "-ERR wrong number of arguments for '%s' command\r\n",
                 command->name);
        driver_error(text, reply);
        return;
    }
    struct machine_argument *arguments = calloc(count, sizeof(*arguments));
    uint64_t *hashes = calloc(count, sizeof(*hashes));
    ASSERT(arguments != NULL && hashes != NULL);
    const uint32_t argument_count = (uint32_t)count - 1;
    for (size_t i = 0; i < argument_count; i++)
        arguments[i] = (struct machine_argument){(const uint8_t *)words[i + 1].data,
                                                 (uint32_t)words[i + 1].length};
    struct machine_keys keys;
    machine_keys_find(driver->operations, (uint32_t)row, arguments, argument_count, &keys);
    for (uint32_t i = 0; i < machine_keys_count(&keys); i++) {
        const struct machine_argument *key = &arguments[machine_keys_at(&keys, i)];
        hashes[i] = machine_key_hash(key->data, key->length_bytes, driver->options.hash_seed);
    }
    struct machine_operation operation = {.arguments = arguments,
                                          .key_hashes = hashes,
                                          .argument_count = argument_count,
                                          .key_count = machine_keys_count(&keys),
                                          .command_id = command->id,
                                          .row = (uint16_t)row};
    struct reply_writer error;
    reply_begin(&error, driver->region, driver->region_bytes);
    if (driver->operations->validate((uint32_t)row, arguments, argument_count, &driver->options,
                                     &error) == MACHINE_ACCEPT)
        driver_run(driver, &operation, moment, !driver->follower, reply);
    else if (reply != NULL)
        driver_encode(driver, reply_used_bytes(&error), reply);
    free(arguments);
    free(hashes);
}

void driver_command(struct driver *driver, const char *line, const struct machine_moment *moment,
                    struct kv_model_text *reply) {
    struct kv_model_word words[32];
    size_t count = 0;
    for (const char *at = line;;) {
        const size_t length = strcspn(at, " ");
        ASSERT(count < 32);
        words[count++] = (struct kv_model_word){at, length};
        if (at[length] == 0)
            break;
        at += length + 1;
    }
    driver_execute(driver, words, count, moment, reply);
}

void driver_expect(struct driver *driver, const char *line, const struct machine_moment *moment,
                   const char *expected) {
    struct kv_model_text reply = {0};
    driver_command(driver, line, moment, &reply);
    if (reply.length != strlen(expected) || memcmp(reply.data, expected, reply.length) != 0) {
        fprintf(stderr, "%s\n  expected %s  got %.*s", line, expected, (int)reply.length,
                reply.data);
        UNREACHABLE("another reply was expected");
    }
    kv_model_text_free(&reply);
}

uint64_t driver_maintain(struct driver *driver, uint64_t log_time_ms) {
    uint64_t calls = 1;
    while (driver->operations->maintain(driver->machine, log_time_ms, driver->budget) ==
           MACHINE_MORE) {
        calls++;
        if (driver->between != NULL)
            driver->between(driver->context);
    }
    return calls;
}

uint64_t driver_digest_full(struct driver *driver) {
    struct machine_cursor cursor = {0};
    uint64_t digest = 0;
    while (driver->operations->digest_full(driver->machine, &cursor, driver->budget, &digest) ==
           MACHINE_MORE)
        continue;
    return digest;
}

/* ---- Snapshots ------------------------------------------------------------------------------- */

static uint8_t *driver_sink_reserve(void *context, uint32_t length_bytes) {
    struct driver_sink *sink = context;
    ASSERT(length_bytes > 0 && length_bytes <= MACHINE_SINK_BYTES_MAX);
    if (sink->random != NULL && random_chance(sink->random, sink->chance, 8))
        return NULL;
    return sink->buffer;
}

static void driver_sink_commit(void *context, uint32_t length_bytes) {
    struct driver_sink *sink = context;
    kv_model_text_append(sink->bytes, sink->buffer, length_bytes);
}

struct machine_sink driver_sink_make(struct driver_sink *sink) {
    return (struct machine_sink){sink, driver_sink_reserve, driver_sink_commit};
}

void driver_snapshot(struct driver *driver, const struct machine_moment *moment,
                     struct kv_model_text *bytes) {
    struct driver_sink target = {.bytes = bytes};
    const struct machine_sink sink = driver_sink_make(&target);
    const int error = driver->operations->snapshot_begin(driver->machine, moment);
    ASSERT(error == 0);
    while (driver->operations->snapshot_emit(driver->machine, &sink, driver->budget) ==
           MACHINE_MORE)
        continue;
    driver->operations->snapshot_end(driver->machine);
}

int driver_restore(struct driver *driver, const struct kv_model_text *bytes,
                   struct random *random) {
    for (size_t at = 0; at < bytes->length;) {
        const size_t cut = random_chance(random, 1, 4) ? 7 : 100000;
        size_t length = random_below(random, cut) + 1;
        length = length < bytes->length - at ? length : bytes->length - at;
        /* A copy of its own: reading past the piece is then seen by the sanitizer. */
        uint8_t *piece = malloc(length);
        ASSERT(piece != NULL);
        memcpy(piece, bytes->data + at, length);
        size_t consumed;
        const int result =
            driver->operations->restore(driver->machine, driver->operations->version, piece, length,
                                        &consumed, (uint32_t)random_below(random, 200) + 1);
        free(piece);
        if (result < 0)
            return result;
        ASSERT(consumed <= length && (result == MACHINE_MORE || consumed == length));
        at += consumed;
    }
    return driver->operations->restore_end(driver->machine);
}
