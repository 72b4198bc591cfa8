/* The record of a transaction: what is written is read back, and anything else is refused. */

#include "entry/transaction.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "tests/cmocka_wrapper.h"

enum { RECORD_BYTES_MAX = 1024, ENTRY_BYTES_MAX = 2048 };

/* What a transaction is made of; the tests spoil one of these. */
struct parts {
    uint32_t command_count;
    uint32_t watch_count;
    _Alignas(8) uint8_t watches[RECORD_BYTES_MAX];
    uint32_t watch_bytes;
    _Alignas(8) uint8_t commands[RECORD_BYTES_MAX];
    uint32_t command_bytes;
    _Alignas(8) uint8_t replies[RECORD_BYTES_MAX];
    uint32_t reply_bytes;
};

static void parts_add_command(struct parts *parts, uint16_t id, const char *first,
                              const char *second) {
    const struct entry_argument arguments[2] = {
        {(const uint8_t *)first, (uint32_t)strlen(first)},
        {(const uint8_t *)second, (uint32_t)strlen(second)},
    };
    const uint64_t hash = 77;
    parts->command_bytes += entry_command_write(parts->commands + parts->command_bytes, id,
                                                arguments, 2, &hash, id < 1000 ? 1 : 0);
    parts->command_count++;
}

static void parts_make(struct parts *parts) {
    memset(parts, 0, sizeof(*parts));
    const struct entry_watch watches[2] = {
        {.index = 5, .key_hash = 9, .key = (const uint8_t *)"abc", .key_bytes = 3, .present = true},
        {.index = 7, .key_hash = 8, .key = NULL, .key_bytes = 0, .present = false},
    };
    for (uint32_t i = 0; i < 2; i++)
        parts->watch_bytes += entry_watch_write(parts->watches + parts->watch_bytes, &watches[i]);
    parts->watch_count = 2;
    parts_add_command(parts, 2, "key", "value");
    parts_add_command(parts, ENTRY_COMMAND_ID_REPLY, "ping", "x");
    parts_add_command(parts, 3, "key", "");
    bytes_put_u32(parts->replies, 3);
    memcpy(parts->replies + 8, "abc", 3);
    parts->reply_bytes = 16;
}

/* Makes one entry of it; `fault` is what entry_check says. */
static const uint8_t *entry_of(const struct parts *parts, bool session, enum entry_fault *fault) {
    static _Alignas(8) uint8_t entry[ENTRY_BYTES_MAX];
    uint8_t head[ENTRY_TRANSACTION_HEAD_BYTES];
    entry_transaction_head(head, parts->command_count, parts->watch_count);
    const struct entry_argument arguments[ENTRY_TRANSACTION_ARGUMENTS] = {
        {head, sizeof(head)},
        {parts->watches, parts->watch_bytes},
        {parts->commands, parts->command_bytes},
        {parts->replies, parts->reply_bytes},
    };
    memset(entry, 0, sizeof(entry));
    uint8_t *record = entry + ENTRY_HEADER_BYTES;
    const uint32_t bytes =
        session ? entry_command_write_session(record, ENTRY_COMMAND_ID_EXEC, 3, 4, arguments,
                                              ENTRY_TRANSACTION_ARGUMENTS, NULL, 0)
                : entry_command_write(record, ENTRY_COMMAND_ID_EXEC, arguments,
                                      ENTRY_TRANSACTION_ARGUMENTS, NULL, 0);
    struct entry_tail tail = entry_tail_origin();
    const struct entry_header header = {.length_bytes = ENTRY_HEADER_BYTES + bytes,
                                        .kind = ENTRY_COMMANDS,
                                        .version = ENTRY_VERSION,
                                        .command_count = 1,
                                        .term = 1};
    entry_seal(entry, &header, &tail);
    tail = entry_tail_origin();
    *fault = entry_check(entry, sizeof(entry), sizeof(entry), &tail);
    return entry;
}

static void expect_refused(const struct parts *parts, const char *what) {
    enum entry_fault fault;
    (void)entry_of(parts, false, &fault);
    if (fault != ENTRY_FAULT_BODY)
        fail_msg("%s is not refused", what);
}

static void what_is_not_a_transaction_is_refused(void **state) {
    (void)state;
    struct parts parts;
    parts_make(&parts);
    parts.command_count++;
    expect_refused(&parts, "a command too few");
    parts_make(&parts);
    parts.command_count--;
    expect_refused(&parts, "a command too many");
    parts_make(&parts);
    parts.watch_count++;
    expect_refused(&parts, "a watched key too few");
    parts_make(&parts);
    parts.watch_count--;
    expect_refused(&parts, "a watched key too many");
    parts_make(&parts);
    bytes_put_u64(parts.watches, 0);
    expect_refused(&parts, "a key watched after no entry");
    parts_make(&parts);
    bytes_put_u32(parts.watches + 16, 4000);
    expect_refused(&parts, "a key longer than what is there");
    parts_make(&parts);
    bytes_put_u32(parts.watches + 16, UINT32_MAX);
    expect_refused(&parts, "a key longer than memory");
    parts_make(&parts);
    bytes_put_u32(parts.watches + 20, 2);
    expect_refused(&parts, "a key that was there twice");
    parts_make(&parts);
    parts.watches[ENTRY_WATCH_HEADER_BYTES + 3] = 1;
    expect_refused(&parts, "a byte behind a key");
    parts_make(&parts);
    bytes_put_u16(parts.commands, ENTRY_COMMAND_ID_EXEC);
    expect_refused(&parts, "a transaction in one");
    parts_make(&parts);
    bytes_put_u16(parts.commands, ENTRY_COMMAND_ID_OPEN);
    expect_refused(&parts, "an ONCE.OPEN in one");
    parts_make(&parts);
    parts.commands[2] = ENTRY_COMMAND_SESSION;
    expect_refused(&parts, "a session in one");
    parts_make(&parts);
    parts.reply_bytes = 0;
    expect_refused(&parts, "no reply where one is promised");
    parts_make(&parts);
    parts.reply_bytes = 32;
    expect_refused(&parts, "a reply too many");
    parts_make(&parts);
    bytes_put_u32(parts.replies, 9);
    expect_refused(&parts, "a reply that is not whole");
    parts_make(&parts);
    bytes_put_u32(parts.replies, 0);
    expect_refused(&parts, "a reply without bytes");
    parts_make(&parts);
    parts.command_bytes -= 4;
    expect_refused(&parts, "commands of an odd length");
}

static void a_transaction_is_taken_apart_as_it_was_put_together(void **state) {
    (void)state;
    for (uint32_t session = 0; session < 2; session++) {
        struct parts parts;
        parts_make(&parts);
        enum entry_fault fault;
        struct entry_cursor cursor;
        entry_cursor_begin(&cursor, entry_of(&parts, session != 0, &fault));
        assert_int_equal(fault, ENTRY_VALID);
        assert_int_equal(entry_cursor_id(&cursor), ENTRY_COMMAND_ID_EXEC);
        struct entry_command command;
        assert_true(entry_cursor_next(&cursor, &command));
        assert_int_equal(entry_cursor_id(&cursor), 0);
        struct entry_transaction transaction;
        entry_transaction_read(&command, &transaction);
        assert_int_equal(transaction.watch_count, 2);
        struct entry_watch watch;
        const uint32_t first = entry_watch_read(transaction.watches, &watch);
        assert_true(watch.index == 5 && watch.key_hash == 9 && watch.present);
        assert_memory_equal(watch.key, "abc", watch.key_bytes);
        assert_int_equal(first + entry_watch_read(transaction.watches + first, &watch),
                         transaction.watch_bytes);
        assert_true(watch.index == 7 && watch.key_bytes == 0 && !watch.present);
        struct entry_cursor inside = entry_transaction_cursor(&transaction);
        static const uint16_t ids[] = {2, ENTRY_COMMAND_ID_REPLY, 3};
        for (uint32_t i = 0; i < 3; i++) {
            assert_true(entry_cursor_next(&inside, &command));
            assert_int_equal(command.id, ids[i]);
            /* Hashes are read where they stand. */
            assert_int_equal((uintptr_t)command.key_hashes % 8, 0);
        }
        assert_false(entry_cursor_next(&inside, &command));
        assert_int_equal(bytes_get_u32(transaction.replies), 3);
        assert_memory_equal(transaction.replies + ENTRY_REPLY_HEADER_BYTES, "abc", 3);
    }
}

static void a_watched_key_is_settled_when_its_watch_has_run(void **state) {
    (void)state;
    _Alignas(8) uint8_t bytes[64];
    struct entry_watch watch = {.key = (const uint8_t *)"k", .key_bytes = 1};
    const uint32_t length = entry_watch_write(bytes, &watch);
    assert_int_equal(length, 32);
    assert_int_equal(entry_watch_settle(bytes, 12, true), length);
    entry_watch_read(bytes, &watch);
    assert_true(watch.index == 12 && watch.present && watch.key[0] == 'k');
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_a_transaction_is_refused),
        cmocka_unit_test(a_transaction_is_taken_apart_as_it_was_put_together),
        cmocka_unit_test(a_watched_key_is_settled_when_its_watch_has_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
