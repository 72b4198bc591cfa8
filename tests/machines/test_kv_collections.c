/*
 * Collections as such, by the commands of hashes: types and encodings, the step from compact to
 * large, what takes long, snapshots in the middle of it.
 */

#include "base/error.h"
#include "machines/kv_collection.h"
#include "machines/kv_item.h"
#include "tests/cmocka_wrapper.h"
#include "tests/machines/driver.h"
#include "tests/machines/kv_replicas.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct machine_moment at_1000 = {.index = 1, .log_time_ms = 1000, .clock_ms = 1000};

static const char wrong_type[] =
    "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";

/* ---- Types ----------------------------------------------------------------------------------- */

static void a_command_about_strings_refuses_a_hash(void **state) {
    (void)state;
    static const char *const lines[] = {
        "GET h",         "STRLEN h",       "SET h a GET",     "SET h a NX GET", "GETSET h a",
        "GETDEL h",      "GETEX h",        "GETEX h EX 0",    "APPEND h a",     "GETRANGE h 0 1",
        "SUBSTR h 0 1",  "SETRANGE h 0 a", "SETRANGE h 0 ",   "INCR h",         "DECR h",
        "INCRBY h 1",    "DECRBY h 1",     "INCRBYFLOAT h 1", "SETBIT h 1 1",   "GETBIT h 1",
        "BITCOUNT h",    "BITCOUNT h 1 a", "BITPOS h 1",      "BITPOS h 1 a",   "BITOP AND d s h",
        "BITOP NOT d h", "CAS h a b",      "CAS h a  DELETE",
    };
    struct driver driver;
    driver_begin(&driver, &machine_kv, 2);
    driver_expect(&driver, "HSET h f a", &at_1000, ":1\r\n");
    driver_expect(&driver, "SET s a", &at_1000, "+OK\r\n");
    for (size_t i = 0; i < ARRAY_COUNT(lines); i++)
        driver_expect(&driver, lines[i], &at_1000, wrong_type);
    static const char lcs[] = "-ERR The specified keys must contain string values\r\n";
    driver_expect(&driver, "LCS h s", &at_1000, lcs);
    driver_expect(&driver, "LCS s h FOO", &at_1000, lcs);
    driver_expect(&driver, "HGET h f", &at_1000, "$1\r\na\r\n");
    driver_end(&driver);
}

static void a_command_about_hashes_refuses_a_string(void **state) {
    (void)state;
    static const char *const lines[] = {"HGET s f", "HSET s f a", "HDEL s f", "HLEN s"};
    struct driver driver;
    driver_begin(&driver, &machine_kv, 2);
    driver_expect(&driver, "SET s a", &at_1000, "+OK\r\n");
    for (size_t i = 0; i < ARRAY_COUNT(lines); i++)
        driver_expect(&driver, lines[i], &at_1000, wrong_type);
    driver_expect(&driver, "GET s", &at_1000, "$1\r\na\r\n");
    driver_end(&driver);
}

static void what_sets_a_key_does_not_ask_what_it_was(void **state) {
    (void)state;
    static const char *const lines[] = {"SET h a",         "SETEX h 10 a",     "PSETEX h 10 a",
                                        "MSET h a s b",    "COPY s h REPLACE", "RENAME s h",
                                        "BITOP AND h s s", "SET h a XX"};
    struct driver driver;
    driver_begin(&driver, &machine_kv, 2);
    for (size_t i = 0; i < ARRAY_COUNT(lines); i++) {
        driver_command(&driver, "FLUSHALL", &at_1000, NULL);
        driver_command(&driver, "SET s a", &at_1000, NULL);
        driver_expect(&driver, "HSET h f a", &at_1000, ":1\r\n");
        driver_expect(&driver, "MGET s h", &at_1000, "*2\r\n$1\r\na\r\n$-1\r\n");
        driver_expect(&driver, "SETNX h a", &at_1000, ":0\r\n");
        driver_expect(&driver, "MSETNX h a", &at_1000, ":0\r\n");
        driver_expect(&driver, "CAS h  a ABSENT", &at_1000, ":0\r\n");
        driver_expect(&driver, "TYPE h", &at_1000, "+hash\r\n");
        driver_command(&driver, lines[i], &at_1000, NULL);
        driver_expect(&driver, "TYPE h", &at_1000, "+string\r\n");
        driver_expect(&driver, "GET h", &at_1000, "$1\r\na\r\n");
    }
    driver_end(&driver);
}

static void scan_finds_the_keys_of_a_type(void **state) {
    (void)state;
    struct driver driver;
    driver_begin(&driver, &machine_kv, 2);
    driver_command(&driver, "HSET h f a", &at_1000, NULL);
    driver_command(&driver, "SET s a", &at_1000, NULL);
    driver_expect(&driver, "SCAN 0 COUNT 1000000 TYPE hash", &at_1000,
                  "*2\r\n$1\r\n0\r\n*1\r\n$1\r\nh\r\n");
    driver_expect(&driver, "SCAN 0 COUNT 1000000 TYPE String", &at_1000,
                  "*2\r\n$1\r\n0\r\n*1\r\n$1\r\ns\r\n");
    driver_expect(&driver, "SCAN 0 COUNT 1000000 TYPE zset", &at_1000, "*2\r\n$1\r\n0\r\n*0\r\n");
    driver_expect(&driver, "SCAN 0 COUNT 1000000 TYPE stream", &at_1000, "*2\r\n$1\r\n0\r\n*0\r\n");
    driver_end(&driver);
}

/* ---- Encodings ------------------------------------------------------------------------------- */

/* HSET of one field, f<number>, whose value is `value_bytes` long. */
static void hset(struct driver *driver, const char *key, uint64_t number, size_t value_bytes) {
    char field[32];
    char *value = malloc(value_bytes + 1);
    memset(value, 'v', value_bytes + 1);
    const int length = snprintf(field, sizeof(field), "f%llu", (unsigned long long)number);
    const struct kv_model_word words[] = {
        {"HSET", 4}, {key, strlen(key)}, {field, (size_t)length}, {value, value_bytes}};
    driver_execute(driver, words, ARRAY_COUNT(words), &at_1000, NULL);
    free(value);
}

static void a_hash_grows_beyond_what_is_compact_and_back_to_nothing(void **state) {
    (void)state;
    static const size_t value_bytes[] = {0, 1, 40, 300, 5000};
    for (size_t i = 0; i < ARRAY_COUNT(value_bytes); i++) {
        struct driver driver;
        char line[64];
        char reply[64];
        driver_begin(&driver, &machine_kv, 2);
        for (uint64_t n = 0; n < 300; n++) {
            hset(&driver, "h", n, value_bytes[i]);
            snprintf(reply, sizeof(reply), ":%llu\r\n", (unsigned long long)n + 1);
            driver_expect(&driver, "HLEN h", &at_1000, reply);
        }
        driver_expect(&driver, "EXPIRE h 1000", &at_1000, ":1\r\n");
        for (uint64_t n = 0; n < 300; n++) {
            driver_expect(&driver, "EXPIRETIME h", &at_1000, ":1001\r\n");
            snprintf(line, sizeof(line), "HDEL h f%llu nothing", (unsigned long long)n);
            driver_expect(&driver, line, &at_1000, ":1\r\n");
            driver_expect(&driver, line, &at_1000, ":0\r\n");
        }
        driver_expect(&driver, "EXISTS h", &at_1000, ":0\r\n");
        driver_expect(&driver, "TYPE h", &at_1000, "+none\r\n");
        driver_maintain(&driver, 1000);
        driver_end(&driver);
    }
}

/* ---- Snapshots ------------------------------------------------------------------------------- */

static void a_snapshot_in_which_a_bit_is_turned_is_refused(void **state) {
    (void)state;
    struct driver driver;
    struct random random;
    struct kv_model_text bytes = {0};
    driver_begin(&driver, &machine_kv, 0);
    for (uint64_t n = 0; n < 20; n++)
        hset(&driver, "compact", n, n);
    hset(&driver, "large", 100, 5000);
    for (uint64_t n = 0; n < 30; n++)
        hset(&driver, "large", n, n % 3);
    driver_snapshot(&driver, &at_1000, &bytes);
    random_seed(&random, 1);
    /* The head is not judged: a turned bit of a running digest is found by other replicas. */
    uint32_t accepted = 0;
    const size_t head_bytes = 40 + 24 + 8 * KV_GONE_CELLS;
    assert_true(bytes.length > head_bytes + 5000 && bytes.length < head_bytes + 6000);
    for (size_t at = head_bytes; at < bytes.length; at += 1 + (at & 1)) {
        struct driver copy;
        const char bit = (char)(1 << random_below(&random, 8));
        driver_begin(&copy, &machine_kv, 0);
        bytes.data[at] = (char)(bytes.data[at] ^ bit);
        const int error = driver_restore(&copy, &bytes, &random);
        bytes.data[at] = (char)(bytes.data[at] ^ bit);
        driver_end(&copy);
        if (error == 0)
            accepted++;
        else
            assert_int_equal(error, WEIR_ECORRUPT);
    }
    /* The index of a key's last change is for WATCH alone, and in no digest: 4 bytes of each. */
    assert_in_range(accepted, 0, 2 * 4);
    kv_model_text_free(&bytes);
    driver_end(&driver);
}

/* Its memory would be taken before its bytes are there, and its length has no room in a record. */
static void a_snapshot_with_a_value_longer_than_any_is_refused(void **state) {
    (void)state;
    for (uint32_t type = KV_TYPE_LIST; type <= KV_TYPE_HASH; type += KV_TYPE_HASH - KV_TYPE_LIST) {
        struct driver driver;
        struct driver copy;
        struct kv_model_text bytes = {0};
        uint8_t item[KV_ITEM_BYTES + 3 + KV_PACKED_LENGTH_BYTES_MAX] = {0};
        uint8_t *at = item + KV_ITEM_BYTES;
        size_t consumed;
        driver_begin(&driver, &machine_kv, 0);
        driver_begin(&copy, &machine_kv, 0);
        driver_snapshot(&driver, &at_1000, &bytes);
        bytes.length -= KV_ITEM_BYTES; /* its tail */
        bytes_put_u64(item, KV_DEADLINE_NONE);
        bytes_put_u64(item + 8, UINT64_C(1) << 40);
        bytes_put_u32(item + 16, 1);
        bytes_put_u32(item + 24, type | KV_ITEM_LARGE);
        *at++ = 'k';
        if (type == KV_TYPE_HASH)
            at += kv_packed_put(at, (const uint8_t *)"f", 1);
        at += kv_packed_put_length(at, (uint32_t)KV_VALUE_BYTES_MAX + 1);
        kv_model_text_append(&bytes, (const char *)item, (size_t)(at - item));
        assert_int_equal(machine_kv.restore(copy.machine, machine_kv.version,
                                            (const uint8_t *)bytes.data, bytes.length, &consumed,
                                            UINT32_MAX),
                         WEIR_ECORRUPT);
        kv_model_text_free(&bytes);
        driver_end(&driver);
        driver_end(&copy);
    }
}

/* A snapshot in progress, and the changes made meanwhile. */
struct emitting {
    struct driver *driver;
    struct driver_sink sink;
    bool done;
};

static void emit(void *context) {
    struct emitting *emitting = context;
    const struct machine_sink sink = driver_sink_make(&emitting->sink);
    if (!emitting->done)
        emitting->done =
            machine_kv.snapshot_emit(emitting->driver->machine, &sink, 100) != MACHINE_MORE;
}

/* Adds, changes or removes a field of one of two hashes; seldom one with a long value. */
static void change(struct driver *driver, struct random *random, uint64_t fields, bool both) {
    char line[64];
    const uint64_t number = random_below(random, fields);
    const char *key = both && random_below(random, 8) == 0 ? "other" : "large";
    if (random_below(random, 3) == 0) {
        snprintf(line, sizeof(line), "HDEL %s f%llu", key, (unsigned long long)number);
        driver_command(driver, line, &at_1000, NULL);
    } else {
        const size_t value_bytes = random_below(random, 100) == 0 ? 20000 : 8;
        hset(driver, key, number, value_bytes + random_below(random, 60));
    }
}

/* Two large hashes, of which the first takes most changes. Every second snapshot is given up in the
 * middle. */
static void a_large_hash_is_changed_while_it_is_written(void **state) {
    (void)state;
    enum { FIELDS = 4000, ROUNDS = 12 };
    struct driver driver;
    struct random random;
    uint64_t commands = 0;
    uint64_t waits = 0;
    random_seed(&random, 3);
    driver_begin(&driver, &machine_kv, 1);
    for (uint64_t n = 0; n < FIELDS; n++) {
        hset(&driver, "large", n, n % 500 == 0 ? 30000 : n % 40);
        hset(&driver, "other", n, n % 10);
    }
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct kv_model_text bytes = {0};
        struct emitting emitting = {.driver = &driver, .sink = {.bytes = &bytes}};
        const uint64_t digest = driver_digest_full(&driver);
        const bool both = round % 4 < 2;
        const uint32_t given_up = round % 2 == 0 ? UINT32_MAX : 100 * round;
        assert_int_equal(machine_kv.snapshot_begin(driver.machine, &at_1000), 0);
        driver.between = emit;
        driver.context = &emitting;
        for (uint32_t i = 0; !emitting.done && i < given_up; i++) {
            const uint64_t slices = driver.slices;
            change(&driver, &random, FIELDS * 5 / 4, both);
            waits += both ? 0 : driver.slices - slices - 1;
            commands += !both;
            emit(&emitting);
        }
        driver.between = NULL;
        machine_kv.snapshot_end(driver.machine);
        driver_maintain(&driver, 1000);
        if (emitting.done) {
            struct driver copy;
            driver_begin(&copy, &machine_kv, 1);
            assert_int_equal(driver_restore(&copy, &bytes, &random), 0);
            assert_int_equal(driver_digest_full(&copy), digest);
            driver_end(&copy);
        }
        kv_model_text_free(&bytes);
    }
    printf("  %llu changes waited %llu times\n", (unsigned long long)commands,
           (unsigned long long)waits);
    /* Who changes the hash that is being written waits only while the stage is full, which emit is
     * slow to drain here, or for a long value; who changes the other one, for all of the first. */
    assert_true(commands > 500 && waits < commands);
    driver_end(&driver);
}

/* ---- Memory ---------------------------------------------------------------------------------- */

enum { WAY_COUNT = 40000, WAY_ROUNDS = 8, WAY_LEFT_BYTES = 512 * 1024 };

/* Sets s and t, a hash h0, a list l: each takes a megabyte or more. */
static void way_fill(struct driver *driver) {
    char line[512];
    for (uint32_t first = 0; first < WAY_COUNT; first += 10) {
        static const char *const begins[] = {"SADD s", "SADD t", "HSET h0", "RPUSH l"};
        for (size_t i = 0; i < ARRAY_COUNT(begins); i++) {
            int length = snprintf(line, sizeof(line), "%s", begins[i]);
            for (uint32_t j = 0; j < 10; j++)
                length += snprintf(line + length, sizeof(line) - (size_t)length,
                                   i == 2 ? " %u long-enough" : " %u", first + j);
            driver_command(driver, line, &at_1000, NULL);
        }
    }
    driver_command(driver, "SADD small 1", &at_1000, NULL);
    driver_maintain(driver, 1000);
}

/* Many commands may be executed before maintain is called again. So what one takes for its own
 * work, or replaces by a copy, does not wait for that; and is given back in slices. */
static void what_a_command_takes_on_its_way_it_gives_back(void **state) {
    (void)state;
    static const char *const lines[] = {
        "SORT_RO l LIMIT 0 1",
        "SORT l LIMIT 0 1",
        "SORT l LIMIT 0 1 STORE few",
        "SDIFF s t small small small small small small small small small",
        "SDIFFSTORE few s t small small small small small small small small small",
        "SUNION s t small small small small small small small small small",
        "ZUNION 2 s t",
        "ZINTER 2 s t",
    };
    struct driver driver;
    char line[64];
    driver_begin(&driver, &machine_kv, KV_REPLICAS_PARTITION_BITS);
    way_fill(&driver);
    driver.budget = 2000;
    const uint64_t before = machine_kv.memory_bytes(driver.machine);
    for (size_t i = 0; i < ARRAY_COUNT(lines); i++)
        for (uint32_t round = 0; round < WAY_ROUNDS; round++) {
            driver_command(&driver, lines[i], &at_1000, NULL);
            const uint64_t after = machine_kv.memory_bytes(driver.machine);
            if (after > before + WAY_LEFT_BYTES)
                fail_msg("%s: %llu KiB left", lines[i], (unsigned long long)(after - before) >> 10);
        }
    for (uint32_t round = 0; round < 2 * WAY_ROUNDS; round++) {
        snprintf(line, sizeof(line), "RENAME h%u h%u", round, round + 1);
        driver_expect(&driver, line, &at_1000, "+OK\r\n");
        const uint64_t after = machine_kv.memory_bytes(driver.machine);
        if (after > before + WAY_LEFT_BYTES)
            fail_msg("%s: %llu KiB left", line, (unsigned long long)(after - before) >> 10);
    }
    snprintf(line, sizeof(line), "HLEN h%u", (unsigned)(2 * WAY_ROUNDS));
    driver_expect(&driver, line, &at_1000, ":40000\r\n");
    driver_end(&driver);
}

/* ---- Replicas -------------------------------------------------------------------------------- */

static void a_snapshot_and_the_rest_of_the_log_give_the_same_as_the_log(void **state) {
    (void)state;
    kv_replicas_snapshot_and_rest(kv_templates_hash, 6000);
}

static void a_snapshot_is_of_its_beginning_whatever_is_changed_meanwhile(void **state) {
    (void)state;
    kv_replicas_snapshot_is_of_its_beginning(kv_templates_hash, 20000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_about_strings_refuses_a_hash),
        cmocka_unit_test(a_command_about_hashes_refuses_a_string),
        cmocka_unit_test(what_sets_a_key_does_not_ask_what_it_was),
        cmocka_unit_test(scan_finds_the_keys_of_a_type),
        cmocka_unit_test(a_hash_grows_beyond_what_is_compact_and_back_to_nothing),
        cmocka_unit_test(a_snapshot_in_which_a_bit_is_turned_is_refused),
        cmocka_unit_test(a_snapshot_with_a_value_longer_than_any_is_refused),
        cmocka_unit_test(a_large_hash_is_changed_while_it_is_written),
        cmocka_unit_test(what_a_command_takes_on_its_way_it_gives_back),
        cmocka_unit_test(a_snapshot_and_the_rest_of_the_log_give_the_same_as_the_log),
        cmocka_unit_test(a_snapshot_is_of_its_beginning_whatever_is_changed_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
