/* The kv machine: each command's replies, time, memory and slices, one behaviour a test. */

#include "machines/kv.h"
#include "tests/cmocka_wrapper.h"
#include "tests/machines/driver.h"

#include "base/checksum.h"
#include "base/decimal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct machine_moment at_1000 = {.index = 1, .log_time_ms = 1000, .clock_ms = 1000};

static void a_value_is_set_and_got(void **state) {
    (void)state;
    struct driver driver;
    driver_begin(&driver, &machine_kv, 4);
    driver_expect(&driver, "GET a", &at_1000, "$-1\r\n");
    driver_expect(&driver, "set a 1", &at_1000, "+OK\r\n");
    driver_expect(&driver, "gEt a", &at_1000, "$1\r\n1\r\n");
    driver_expect(&driver, "set a 2 NX", &at_1000, "$-1\r\n");
    driver_expect(&driver, "set a 2 XX GET", &at_1000, "$1\r\n1\r\n");
    driver_expect(&driver, "MSET b 1 c 2 b 3", &at_1000, "+OK\r\n");
    driver_expect(&driver, "MGET a b nothing c", &at_1000,
                  "*4\r\n$1\r\n2\r\n$1\r\n3\r\n$-1\r\n$1\r\n2\r\n");
    driver_expect(&driver, "DEL a b nothing b", &at_1000, ":2\r\n");
    driver_expect(&driver, "DBSIZE", &at_1000, ":1\r\n");
    driver_end(&driver);
}

static void a_key_is_absent_from_its_deadline_on(void **state) {
    (void)state;
    struct driver driver;
    driver_begin(&driver, &machine_kv, 0);
    driver_expect(&driver, "SET a 1 PX 500", &at_1000, "+OK\r\n");
    const struct machine_moment before = {.index = 2, .log_time_ms = 1499, .clock_ms = 9999};
    driver_expect(&driver, "GET a", &before, "$1\r\n1\r\n");
    driver_expect(&driver, "PTTL a", &before, ":1\r\n");
    assert_int_equal(machine_kv.next_deadline_ms(driver.machine), 1500);
    const struct machine_moment after = driver_moment(3, 1500);
    driver_expect(&driver, "GET a", &after, "$-1\r\n");
    driver_expect(&driver, "DBSIZE", &after, ":0\r\n");
    driver_expect(&driver, "KEYS *", &after, "*0\r\n");
    driver_expect(&driver, "SET a 2 NX KEEPTTL", &after, "+OK\r\n");
    driver_expect(&driver, "TTL a", &after, ":-1\r\n");
    driver_end(&driver);
}

static void put(struct driver *driver, uint64_t number, const char *value, uint64_t index) {
    char key[32];
    const struct kv_model_word words[3] = {
        {"set", 3},
        {key, (size_t)snprintf(key, sizeof(key), "key:%" PRIu64, number)},
        {value, strlen(value)},
    };
    const struct machine_moment moment = driver_moment(index, 1000);
    driver_execute(driver, words, 3, &moment, NULL);
}

/* ---- Growth ---------------------------------------------------------------------------------- */

/* A record of a four-byte key, which is its number; its hash stands apart. */
static struct kv_record *numbered(struct memory *memory, uint32_t number, uint64_t hash) {
    struct kv_record *record = memory_take(memory, sizeof(*record) + 4);
    *record = (struct kv_record){.hash_low = (uint32_t)hash, .key_word = 4};
    memcpy(record->bytes, &number, 4);
    return record;
}

/* A split is the longest step of an insertion, and counted as what it looks at. */
static void a_table_grows_to_a_million_without_a_long_step(void **state) {
    (void)state;
    struct machine_host host;
    struct driver driver;
    driver_begin(&driver, &machine_kv, 0);
    host = driver.host;
    struct memory memory;
    struct kv_table table = {0};
    memory_begin(&memory, &host, NULL);
    struct random random;
    random_seed(&random, 5);
    uint64_t splits = 0;
    uint32_t units_max = 0;
    enum { COUNT = 1000000 };
    struct kv_record **records = calloc(COUNT, sizeof(struct kv_record *));
    uint64_t *hashes = calloc(COUNT, sizeof(uint64_t));
    assert_non_null(records);
    assert_non_null(hashes);
    for (uint32_t i = 0; i < COUNT; i++) {
        hashes[i] = random_u64(&random);
        records[i] = numbered(&memory, i, hashes[i]);
        const uint32_t units = kv_table_insert(&table, &memory, hashes[i], records[i]);
        splits += units / KV_SEGMENT_RECORDS_MAX;
        units_max = units > units_max ? units : units_max;
    }
    assert_true(units_max <= 2 * KV_SEGMENT_RECORDS_MAX);
    assert_int_equal(splits + 1, table.segment_count);
    /* 9 to 18 bytes of table a record: segments are between half and all of 8/9 full. */
    assert_true((uint64_t)table.segment_count * MEMORY_PAGE_BYTES < (uint64_t)COUNT * 20);
    for (uint32_t i = 0; i < COUNT; i++)
        assert_non_null(kv_table_find(&table, hashes[i], records[i]->bytes, 4));
    for (uint32_t i = 0; i < COUNT; i++)
        kv_table_remove(&table, &memory, kv_table_slot_of(&table, hashes[i], records[i]));
    assert_int_equal(table.count, 0);
    /* Merging keeps up with removing, as far as the directory's spread lets it. */
    assert_true(table.segment_count <= splits >> 3);
    struct memory_retired retired = {0};
    uint32_t budget = UINT32_MAX;
    memory_retire(&memory, &retired);
    assert_false(memory_retired_give(&retired, &host, &budget));
    free(records);
    free(hashes);
    driver_end(&driver);
}

/* Walks the whole order while records come and go: those that stay are met. */
static void a_walk_meets_all_that_stays_while_the_table_changes(void **state) {
    (void)state;
    struct driver driver;
    driver_begin(&driver, &machine_kv, 0);
    struct memory memory;
    struct kv_table table = {0};
    memory_begin(&memory, &driver.host, NULL);
    struct random random;
    random_seed(&random, 6);
    enum { STAY = 3000, COME = 60000 };
    struct kv_record **comers = calloc(COME, sizeof(struct kv_record *));
    uint64_t *hashes = calloc(COME, sizeof(uint64_t));
    assert_non_null(comers);
    assert_non_null(hashes);
    for (uint32_t i = 0; i < STAY + COME; i++) {
        const uint64_t hash = random_u64(&random);
        struct kv_record *record = numbered(&memory, i, hash);
        if (i < STAY) {
            kv_table_insert(&table, &memory, hash, record);
            continue;
        }
        comers[i - STAY] = record;
        hashes[i - STAY] = hash;
    }
    for (uint32_t round = 0; round < 6; round++) {
        static uint8_t met[STAY];
        memset(met, 0, sizeof(met));
        uint64_t position = 0;
        uint32_t moved = 0;
        while (position != KV_POSITION_END) {
            struct kv_record *records[KV_SEGMENT_RECORDS_MAX];
            const uint32_t count = kv_table_walk(&table, &position, records);
            for (uint32_t i = 0; i < count; i++) {
                uint32_t number;
                memcpy(&number, records[i]->bytes, 4);
                if (number < STAY)
                    met[number] = 1;
            }
            /* In even rounds 80 come a step, in odd ones they go. */
            for (uint32_t i = 0; i < 80 && moved < COME; i++, moved++) {
                if (round % 2 == 0)
                    kv_table_insert(&table, &memory, hashes[moved], comers[moved]);
                else
                    kv_table_remove(&table, &memory,
                                    kv_table_slot_of(&table, hashes[moved], comers[moved]));
            }
        }
        for (; moved < COME; moved++) {
            if (round % 2 == 0)
                kv_table_insert(&table, &memory, hashes[moved], comers[moved]);
            else
                kv_table_remove(&table, &memory,
                                kv_table_slot_of(&table, hashes[moved], comers[moved]));
        }
        for (uint32_t i = 0; i < STAY; i++)
            assert_int_equal(met[i], 1);
    }
    struct memory_retired retired = {0};
    uint32_t budget = UINT32_MAX;
    memory_retire(&memory, &retired);
    memory_retired_give(&retired, &driver.host, &budget);
    free(comers);
    free(hashes);
    driver_end(&driver);
}

static void scan_returns_every_key_that_stays(void **state) {
    (void)state;
    struct driver driver;
    driver_begin(&driver, &machine_kv, 3);
    enum { STAY = 2000 };
    for (uint64_t i = 0; i < STAY; i++)
        put(&driver, i, "x", i + 1);
    static uint8_t met[STAY];
    memset(met, 0, sizeof(met));
    char cursor[32] = "0";
    uint64_t calls = 0;
    do {
        struct kv_model_text reply = {0};
        char line[64];
        snprintf(line, sizeof(line), "SCAN %s COUNT 7", cursor);
        driver_command(&driver, line, &at_1000, &reply);
        kv_model_text_append(&reply, "", 1);
        const char *at = strstr(reply.data, "\r\n$") + 3;
        at = strstr(at, "\r\n") + 2;
        snprintf(cursor, sizeof(cursor), "%.*s", (int)strcspn(at, "\r"), at);
        for (at = strstr(at, "key:"); at != NULL; at = strstr(at + 4, "key:")) {
            uint64_t number;
            if (decimal_parse_u64(at + 4, strcspn(at + 4, "\r"), &number) == 0 && number < STAY)
                met[number] = 1;
        }
        kv_model_text_free(&reply);
        /* The table grows meanwhile from 2000 to some 20000 keys. */
        for (uint64_t i = 0; i < 60; i++)
            put(&driver, STAY + calls * 60 + i, "x", i + 1);
        calls++;
    } while (strcmp(cursor, "0") != 0 && calls < 100000);
    assert_true(calls < 100000);
    for (uint64_t i = 0; i < STAY; i++)
        assert_int_equal(met[i], 1);
    driver_end(&driver);
}

/* ---- Slices ---------------------------------------------------------------------------------- */

/* Each slice of a long command costs about its budget: 1000 units are 100 us, here at most a few
 * milliseconds under any sanitizer, where the whole would be seconds. */
static void long_commands_are_done_in_slices(void **state) {
    (void)state;
    struct driver driver;
    driver_begin(&driver, &machine_kv, 2);
    enum { PAIRS = 500000 };
    struct kv_model_word *words = calloc(1 + 2 * PAIRS, sizeof(*words));
    char(*keys)[16] = calloc(PAIRS, sizeof(*keys));
    assert_true(words != NULL && keys != NULL);
    words[0] = (struct kv_model_word){"mset", 4};
    for (size_t i = 0; i < PAIRS; i++) {
        words[1 + 2 * i] =
            (struct kv_model_word){keys[i], (size_t)snprintf(keys[i], sizeof(keys[i]), "k%zu", i)};
        words[2 + 2 * i] = (struct kv_model_word){"value", 5};
    }
    driver.budget = 1000;
    driver_execute(&driver, words, 1 + 2 * PAIRS, &at_1000, NULL);
    assert_true(driver.slices >= PAIRS / 1000);
    driver_expect(&driver, "DBSIZE", &at_1000, ":500000\r\n");

    driver.slices = 0;
    struct kv_model_text reply = {0};
    driver_command(&driver, "KEYS *9999", &at_1000, &reply);
    assert_true(driver.slices >= PAIRS / 1000);
    assert_memory_equal(reply.data, "*50\r\n", 5);
    kv_model_text_free(&reply);

    driver.slices = 0;
    driver_command(&driver, "SCAN 0 COUNT 1000000 MATCH *9999", &at_1000, &reply);
    assert_true(driver.slices >= PAIRS / 1000);
    kv_model_text_free(&reply);

    driver.slices = 0;
    words[0] = (struct kv_model_word){"del", 3};
    for (size_t i = 0; i < PAIRS; i++)
        words[1 + i] = (struct kv_model_word){keys[i], strlen(keys[i])};
    driver_execute(&driver, words, 1 + PAIRS, &at_1000, NULL);
    assert_true(driver.slices >= PAIRS / 1000);
    driver_expect(&driver, "DBSIZE", &at_1000, ":0\r\n");
    free(words);
    free(keys);
    driver_end(&driver);
}

static void a_long_value_is_copied_in_slices(void **state) {
    (void)state;
    enum { LENGTH = 8 << 20 };
    struct driver driver;
    driver_begin(&driver, &machine_kv, 0);
    char *value = malloc(LENGTH);
    assert_non_null(value);
    memset(value, 'v', LENGTH);
    driver.budget = 1000;
    const struct kv_model_word set[3] = {{"set", 3}, {"a", 1}, {value, LENGTH}};
    driver_execute(&driver, set, 3, &at_1000, NULL);
    assert_true(driver.slices >= LENGTH / 110000); /* 25 pieces of 4 KiB a slice */
    driver.slices = 0;
    struct kv_model_text reply = {0};
    driver_command(&driver, "GET a", &at_1000, &reply);
    assert_true(driver.slices >= LENGTH / 110000); /* 25 pieces of 4 KiB a slice */
    assert_int_equal(reply.length, LENGTH + 12);
    assert_memory_equal(reply.data + 10, value, LENGTH);
    driver_expect(&driver, "APPEND a xyz", &at_1000, ":8388611\r\n");
    driver.slices = 0;
    driver_expect(&driver, "APPEND a xyz", &at_1000, ":8388614\r\n");
    assert_true(driver.slices == 1); /* it has room now */
    driver_command(&driver, "SET a short GET", &at_1000, &reply);
    assert_int_equal(reply.length, LENGTH + 6 + 12);
    driver_expect(&driver, "GET a", &at_1000, "$5\r\nshort\r\n");
    kv_model_text_free(&reply);
    free(value);
    driver_end(&driver);
}

/* ---- Time and memory ------------------------------------------------------------------------- */

static void maintain_removes_what_is_due_and_nothing_shows_it(void **state) {
    (void)state;
    struct driver driver;
    driver_begin(&driver, &machine_kv, 2);
    for (uint64_t i = 0; i < 20000; i++) {
        char line[64];
        snprintf(line, sizeof(line), "SET k%" PRIu64 " v PX %" PRIu64, i, 1 + i * 7919 % 20000);
        driver_command(&driver, line, &at_1000, NULL);
    }
    const struct machine_moment half = driver_moment(2, 11000);
    uint64_t digests[4];
    driver_expect(&driver, "DBSIZE", &half, ":10000\r\n");
    for (uint32_t i = 0; i < 4; i++)
        digests[i] = machine_kv.digest(driver.machine, i);
    const uint64_t full = driver_digest_full(&driver);
    assert_int_equal(machine_kv.record_count(driver.machine), 20000);
    driver.budget = 100;
    assert_true(driver_maintain(&driver, 11000) > 10000 / 100);
    assert_int_equal(machine_kv.record_count(driver.machine), 10000);
    assert_int_equal(machine_kv.next_deadline_ms(driver.machine), 11001);
    driver_expect(&driver, "DBSIZE", &half, ":10000\r\n");
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(machine_kv.digest(driver.machine, i), digests[i]);
    assert_int_equal(driver_digest_full(&driver), full);
    driver_maintain(&driver, 30000);
    assert_int_equal(machine_kv.record_count(driver.machine), 0);
    assert_int_equal(machine_kv.next_deadline_ms(driver.machine), UINT64_MAX);
    driver_end(&driver);
}

static void flushall_gives_all_memory_back_in_slices(void **state) {
    (void)state;
    struct driver driver;
    driver_begin(&driver, &machine_kv, 3);
    const uint64_t base_bytes = machine_kv.memory_bytes(driver.machine);
    for (uint64_t round = 0; round < 2; round++) {
        for (uint64_t i = 0; i < 100000; i++)
            put(&driver, i, "a value of some length, so that it is worth something", i + 1);
        assert_true(machine_kv.memory_bytes(driver.machine) <= driver.pages_bytes);
        driver.budget = 100;
        driver.slices = 0;
        driver_expect(&driver, "FLUSHALL", &at_1000, "+OK\r\n");
        assert_int_equal(driver.slices, 1);
        driver_expect(&driver, "DBSIZE", &at_1000, ":0\r\n");
        put(&driver, 1, "after", 1); /* the new content is not what is given back */
        assert_true(driver_maintain(&driver, 1000) > 20);
        driver_expect(&driver, "GET key:1", &at_1000, "$5\r\nafter\r\n");
        driver_expect(&driver, "FLUSHDB ASYNC", &at_1000, "+OK\r\n");
        driver_maintain(&driver, 1000);
        assert_int_equal(machine_kv.memory_bytes(driver.machine), base_bytes);
        assert_int_equal(driver.pages_bytes, base_bytes);
        driver.budget = UINT32_MAX;
    }
    driver_end(&driver);
}

static void a_key_costs_what_we_say(void **state) {
    (void)state;
    struct driver driver;
    driver_begin(&driver, &machine_kv, 4);
    char value[65];
    memset(value, 'v', 64);
    value[64] = 0;
    enum { COUNT = 300000 };
    for (uint64_t i = 0; i < COUNT; i++) {
        char key[17];
        snprintf(key, sizeof(key), "key:%012" PRIu64, i);
        const struct kv_model_word words[3] = {{"set", 3}, {key, 16}, {value, 64}};
        driver_execute(&driver, words, 3, &at_1000, NULL);
    }
    const uint64_t bytes = machine_kv.memory_bytes(driver.machine) / COUNT;
    printf("  %" PRIu64 " bytes a key of 16 with 64\n", bytes);
    assert_true(bytes <= 117); /* 0.7 of Redis's 167 */
    driver_end(&driver);
}

/* A machine tells what a reply needs before it changes anything; a write to which nobody listens is
 * applied all the same. */
static void replies_that_do_not_fit(void **state) {
    (void)state;
    struct driver driver;
    driver_begin(&driver, &machine_kv, 0);
    driver_expect(&driver, "SET a 0123456789", &at_1000, "+OK\r\n");
    struct machine_argument arguments[3] = {
        {(const uint8_t *)"a", 1}, {(const uint8_t *)"1", 1}, {(const uint8_t *)"GET", 3}};
    const uint64_t hash = machine_key_hash(arguments[0].data, 1, driver.options.hash_seed);
    struct machine_operation operations[2] = {
        {.arguments = arguments,
         .key_hashes = &hash,
         .argument_count = 3,
         .key_count = 1,
         .command_id = kv_commands[KV_ROW_SET].id,
         .row = KV_ROW_SET},
        {.arguments = arguments,
         .key_hashes = &hash,
         .argument_count = 1,
         .key_count = 1,
         .command_id = kv_commands[KV_ROW_GET].id,
         .row = KV_ROW_GET},
    };
    uint8_t region[512];
    struct reply_writer writer;
    struct machine_run run = {
        .operations = operations, .count = 2, .moment = at_1000, .reply = &writer, .budget = 1000};
    reply_begin(&writer, region, MACHINE_WRITE_REPLY_BYTES - 1);
    assert_int_equal(machine_kv.execute(driver.machine, &run), MACHINE_REPLY_FULL);
    assert_int_equal(run.next, 0);
    assert_int_equal(writer.overflow_bytes, MACHINE_WRITE_REPLY_BYTES);
    assert_null(operations[0].reply);
    assert_int_equal(reply_used_bytes(&writer), 0);
    driver_expect(&driver, "GET a", &at_1000, "$10\r\n0123456789\r\n");

    run.reply = NULL;
    run.count = 1;
    assert_int_equal(machine_kv.execute(driver.machine, &run), MACHINE_DONE);
    driver_expect(&driver, "GET a", &at_1000, "$1\r\n1\r\n");

    run.reply = &writer;
    run.count = 2;
    reply_begin(&writer, region, 16);
    assert_int_equal(machine_kv.execute(driver.machine, &run), MACHINE_REPLY_FULL);
    assert_int_equal(run.next, 1);
    assert_int_equal(writer.overflow_bytes, 19);
    reply_begin(&writer, region, 19);
    assert_int_equal(machine_kv.execute(driver.machine, &run), MACHINE_DONE);
    assert_int_equal(operations[1].reply_bytes, 19);
    assert_int_equal(region[16], '1');
    driver_end(&driver);
}

/* A reply found too large in the first slice of many is counted to its end. */
static void a_long_reply_that_does_not_fit_is_measured_in_slices(void **state) {
    (void)state;
    enum { KEYS = 5 };
    struct driver driver;
    driver_begin(&driver, &machine_kv, 0);
    driver_expect(&driver, "SET a 0123456789", &at_1000, "+OK\r\n");
    struct machine_argument arguments[KEYS];
    uint64_t hashes[KEYS];
    for (size_t i = 0; i < KEYS; i++) {
        arguments[i] = (struct machine_argument){(const uint8_t *)"a", 1};
        hashes[i] = machine_key_hash(arguments[i].data, 1, driver.options.hash_seed);
    }
    struct machine_operation operation = {.arguments = arguments,
                                          .key_hashes = hashes,
                                          .argument_count = KEYS,
                                          .key_count = KEYS,
                                          .command_id = kv_commands[KV_ROW_MGET].id,
                                          .row = KV_ROW_MGET};
    uint8_t region[512];
    struct reply_writer writer;
    struct machine_run run = {
        .operations = &operation, .count = 1, .moment = at_1000, .reply = &writer};
    reply_begin(&writer, region, 16);
    uint32_t slices = 0;
    enum machine_progress progress;
    do {
        run.budget = 1;
        progress = machine_kv.execute(driver.machine, &run);
        slices++;
    } while (progress == MACHINE_MORE);
    assert_true(slices > 2);
    assert_int_equal(progress, MACHINE_REPLY_FULL);
    const uint64_t needed_bytes = writer.overflow_bytes;
    reply_begin(&writer, region, needed_bytes);
    run.budget = 1000;
    assert_int_equal(machine_kv.execute(driver.machine, &run), MACHINE_DONE);
    assert_int_equal(operation.reply_bytes, needed_bytes);
    driver_end(&driver);
}

/* ---- Tables ---------------------------------------------------------------------------------- */

static void a_tag_decides_the_partition_and_nothing_else(void **state) {
    (void)state;
    const char *const tagged[] = {"{user}a", "b{user}", "{user}"};
    uint64_t first = machine_key_hash((const uint8_t *)tagged[0], 7, 9);
    for (size_t i = 1; i < 3; i++) {
        const uint64_t hash =
            machine_key_hash((const uint8_t *)tagged[i], (uint32_t)strlen(tagged[i]), 9);
        assert_int_equal(hash >> 48, first >> 48);
        assert_int_not_equal(hash, first);
    }
    /* Not a tag: empty, not closed, closed before it is opened. */
    const char *const untagged[] = {"{}a", "{user", "}user{", "a"};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(
            machine_key_hash((const uint8_t *)untagged[i], (uint32_t)strlen(untagged[i]), 9),
            hash_key(untagged[i], strlen(untagged[i]), 9));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_is_set_and_got),
        cmocka_unit_test(a_key_is_absent_from_its_deadline_on),
        cmocka_unit_test(a_table_grows_to_a_million_without_a_long_step),
        cmocka_unit_test(a_walk_meets_all_that_stays_while_the_table_changes),
        cmocka_unit_test(scan_returns_every_key_that_stays),
        cmocka_unit_test(long_commands_are_done_in_slices),
        cmocka_unit_test(a_long_value_is_copied_in_slices),
        cmocka_unit_test(maintain_removes_what_is_due_and_nothing_shows_it),
        cmocka_unit_test(flushall_gives_all_memory_back_in_slices),
        cmocka_unit_test(a_key_costs_what_we_say),
        cmocka_unit_test(replies_that_do_not_fit),
        cmocka_unit_test(a_long_reply_that_does_not_fit_is_measured_in_slices),
        cmocka_unit_test(a_tag_decides_the_partition_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
