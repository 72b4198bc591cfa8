/*
 * Sets: replies and errors in Redis's order of checks; and chance, by chi-square.
 */

#include "base/bytes.h"
#include "tests/cmocka_wrapper.h"
#include "tests/machines/driver.h"
#include "tests/machines/kv_replicas.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { PARTITION_BITS = 2 };

static const struct machine_moment at_1000 = {.index = 1, .log_time_ms = 1000, .clock_ms = 1000};

/* ---- Replies and errors ---------------------------------------------------------------------- */

#define WRONG_TYPE  "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
#define NOT_INTEGER "-ERR value is not an integer or out of range\r\n"
#define SYNTAX      "-ERR syntax error\r\n"

struct line {
    const char *command;
    const char *reply;
};

static void expect_lines(const struct line *lines, size_t count) {
    struct driver driver;
    driver_begin(&driver, &machine_kv, PARTITION_BITS);
    for (size_t i = 0; i < count; i++)
        driver_expect(&driver, lines[i].command, &at_1000, lines[i].reply);
    driver_end(&driver);
}

static void forms_are_judged_before_keys_as_redis_does(void **state) {
    (void)state;
    static const struct line lines[] = {
        {"SET str 1", "+OK\r\n"},
        {"SADD s a b c", ":3\r\n"},
        {"SPOP s -1", "-ERR value is out of range, must be positive\r\n"},
        {"SPOP str x", "-ERR value is out of range, must be positive\r\n"},
        {"SPOP nokey -1", "-ERR value is out of range, must be positive\r\n"},
        {"SPOP s x y", SYNTAX},
        {"SRANDMEMBER str x", NOT_INTEGER},
        {"SRANDMEMBER s 1 2", SYNTAX},
        {"SRANDMEMBER s -1048577",
         "-ERR value is out of range, value must between -1048576 and 9223372036854775807\r\n"},
        {"SINTERCARD 0 str", "-ERR numkeys should be greater than 0\r\n"},
        {"SINTERCARD x str", "-ERR numkeys should be greater than 0\r\n"},
        {"SINTERCARD 2 str", "-ERR Number of keys can't be greater than number of args\r\n"},
        {"SINTERCARD 1 str LIMIT", SYNTAX},
        {"SINTERCARD 1 str FOO 1", SYNTAX},
        {"SINTERCARD 1 str LIMIT -1", "-ERR LIMIT can't be negative\r\n"},
        {"SINTERCARD 1 str LIMIT x", "-ERR LIMIT can't be negative\r\n"},
        {"SSCAN str x", "-ERR invalid cursor\r\n"},
        {"SSCAN s 000000000000000000000000000000000000000000000000000000000000000000 FOO",
         "-ERR invalid cursor\r\n"}, /* 66 digits; Redis takes it for 0 */
        {"SSCAN str 0 FOO", WRONG_TYPE},
        {"SSCAN nokey 0 FOO", "*2\r\n$1\r\n0\r\n*0\r\n"},
        {"SSCAN s 0 FOO", SYNTAX},
        {"SSCAN s 0 COUNT 0", SYNTAX},
        {"SSCAN s 0 COUNT x", NOT_INTEGER},
        {"SSCAN s 0 TYPE string", SYNTAX},
        {"SADD s", "-ERR wrong number of arguments for 'sadd' command\r\n"},
    };
    expect_lines(lines, ARRAY_COUNT(lines));
}

static void a_key_of_another_type_is_refused(void **state) {
    (void)state;
    static const char *const commands[] = {
        "SADD str a",
        "SREM str a",
        "SISMEMBER str a",
        "SMISMEMBER str a",
        "SMEMBERS str",
        "SCARD str",
        "SPOP str",
        "SPOP str 0",
        "SRANDMEMBER str",
        "SRANDMEMBER str 0",
        "SMOVE str s a",
        "SMOVE s str a",
        "SMOVE s str absent",
        "SINTER str",
        "SINTER nokey str",
        "SINTERSTORE d nokey str",
        "SUNION s str",
        "SUNIONSTORE d s str",
        "SDIFF nokey str",
        "SDIFFSTORE d nokey str",
        "SSCAN str 0",
        "SINTERCARD 1 str",
        "SINTERCARD 2 no str",
    };
    struct driver driver;
    driver_begin(&driver, &machine_kv, PARTITION_BITS);
    driver_expect(&driver, "SET str 1", &at_1000, "+OK\r\n");
    driver_expect(&driver, "SADD s a", &at_1000, ":1\r\n");
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++)
        driver_expect(&driver, commands[i], &at_1000, WRONG_TYPE);
    driver_expect(&driver, "SMOVE nokey str a", &at_1000, ":0\r\n");
    driver_expect(&driver, "GET s", &at_1000, WRONG_TYPE);
    driver_expect(&driver, "EXISTS d", &at_1000, ":0\r\n");
    driver_end(&driver);
}

static void sets_do_what_they_are_for(void **state) {
    (void)state;
    static const struct line lines[] = {
        {"SADD s a b a", ":2\r\n"},
        {"SADD s a", ":0\r\n"},
        {"TYPE s", "+set\r\n"},
        {"SCARD s", ":2\r\n"},
        {"SCARD no", ":0\r\n"},
        {"SISMEMBER s a", ":1\r\n"},
        {"SISMEMBER s x", ":0\r\n"},
        {"SISMEMBER no x", ":0\r\n"},
        {"SMISMEMBER s a x b", "*3\r\n:1\r\n:0\r\n:1\r\n"},
        {"SMISMEMBER no a", "*1\r\n:0\r\n"},
        {"SMEMBERS s", "*2\r\n$1\r\na\r\n$1\r\nb\r\n"},
        {"SMEMBERS no", "*0\r\n"},
        {"SADD t b c", ":2\r\n"},
        {"SINTER s t", "*1\r\n$1\r\nb\r\n"},
        {"SINTER s no", "*0\r\n"},
        {"SUNION s t no", "*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n"},
        {"SUNION no", "*0\r\n"},
        {"SDIFF s t", "*1\r\n$1\r\na\r\n"},
        {"SDIFF no s", "*0\r\n"},
        {"SINTERCARD 2 s t", ":1\r\n"},
        {"SINTERCARD 2 s s LIMIT 1", ":1\r\n"},
        {"SINTERCARD 2 s s limit 0", ":2\r\n"},
        {"SINTERCARD 2 s no", ":0\r\n"},
        {"SET str 1 EX 100", "+OK\r\n"},
        {"SUNIONSTORE str s t", ":3\r\n"},
        {"TTL str", ":-1\r\n"},
        {"SCARD str", ":3\r\n"},
        {"SDIFFSTORE s s t", ":1\r\n"},
        {"SMEMBERS s", "*1\r\n$1\r\na\r\n"},
        {"SINTERSTORE s s t", ":0\r\n"},
        {"EXISTS s", ":0\r\n"},
        {"SINTERSTORE str no t", ":0\r\n"},
        {"EXISTS str", ":0\r\n"},
        {"SMOVE t u b", ":1\r\n"},
        {"SMOVE t u b", ":0\r\n"},
        {"SMOVE u u b", ":1\r\n"},
        {"SMOVE u u x", ":0\r\n"},
        {"SMOVE t u c", ":1\r\n"},
        {"EXISTS t", ":0\r\n"},
        {"SMEMBERS u", "*2\r\n$1\r\nb\r\n$1\r\nc\r\n"},
        {"SREM u x b", ":1\r\n"},
        {"SREM no x", ":0\r\n"},
        {"SRANDMEMBER u", "$1\r\nc\r\n"},
        {"SRANDMEMBER u -3", "*3\r\n$1\r\nc\r\n$1\r\nc\r\n$1\r\nc\r\n"},
        {"SRANDMEMBER u 3", "*1\r\n$1\r\nc\r\n"},
        {"SRANDMEMBER u 0", "*0\r\n"},
        {"SRANDMEMBER no", "$-1\r\n"},
        {"SRANDMEMBER no 2", "*0\r\n"},
        {"SPOP u 0", "*0\r\n"},
        {"SPOP u", "$1\r\nc\r\n"},
        {"EXISTS u", ":0\r\n"},
        {"SPOP u", "$-1\r\n"},
        {"SPOP u 2", "*0\r\n"},
        {"SADD u z", ":1\r\n"},
        {"SSCAN u 0", "*2\r\n$1\r\n0\r\n*1\r\n$1\r\nz\r\n"},
        {"SSCAN u 77 MATCH y* COUNT 5", "*2\r\n$1\r\n0\r\n*0\r\n"},
        {"SSCAN u 0 match ?", "*2\r\n$1\r\n0\r\n*1\r\n$1\r\nz\r\n"},
        {"SPOP u 2", "*1\r\n$1\r\nz\r\n"},
        {"EXISTS u", ":0\r\n"},
        {"SADD  ", ":1\r\n"},
        {"SMEMBERS ", "*1\r\n$0\r\n\r\n"},
    };
    expect_lines(lines, ARRAY_COUNT(lines));
}

static void a_member_that_is_too_long_is_refused_or_not_found(void **state) {
    (void)state;
    struct driver driver;
    struct kv_model_text reply = {0};
    static char text[65537];
    memset(text, 'a', sizeof(text));
    driver_begin(&driver, &machine_kv, PARTITION_BITS);
    const struct kv_model_word add[] = {{"SADD", 4}, {"s", 1}, {"b", 1}, {text, 65537}};
    const struct kv_model_word fits[] = {{"SADD", 4}, {"s", 1}, {"b", 1}, {text, 65536}};
    const struct kv_model_word ask[] = {{"SISMEMBER", 9}, {"s", 1}, {text, 65537}};
    const struct kv_model_word remove[] = {{"SREM", 4}, {"s", 1}, {text, 65537}, {"b", 1}};
    static const char refused[] = "-ERR member too long: the limit is 65536 bytes\r\n";
    driver_execute(&driver, add, 4, &at_1000, &reply);
    assert_int_equal(reply.length, strlen(refused));
    assert_memory_equal(reply.data, refused, reply.length);
    driver_expect(&driver, "EXISTS s", &at_1000, ":0\r\n");
    driver_execute(&driver, fits, 4, &at_1000, &reply);
    assert_memory_equal(reply.data, ":2\r\n", 4);
    driver_execute(&driver, ask, 3, &at_1000, &reply);
    assert_memory_equal(reply.data, ":0\r\n", 4);
    driver_execute(&driver, remove, 4, &at_1000, &reply);
    assert_memory_equal(reply.data, ":1\r\n", 4);
    driver_expect(&driver, "SCARD s", &at_1000, ":1\r\n");
    kv_model_text_free(&reply);
    driver_end(&driver);
}

/* ---- Memory ---------------------------------------------------------------------------------- */

/* What a command of keys a, b, c ... may need, when nothing that is there is longer than 1000. */
static uint64_t growth_of(const char *name, uint32_t key_count, uint64_t *value_bytes) {
    struct machine_argument arguments[16];
    struct machine_name_index names;
    assert_true(key_count <= ARRAY_COUNT(arguments));
    for (uint32_t i = 0; i < key_count; i++)
        arguments[i] = (struct machine_argument){(const uint8_t *)"abcdefghijklmnop" + i, 1};
    machine_name_index_build(&names, &machine_kv);
    const int32_t row =
        machine_name_find(&names, &machine_kv, (const uint8_t *)name, (uint32_t)strlen(name));
    assert_true(row >= 0);
    assert_true((machine_kv.commands[row].flags & MACHINE_AMPLIFIES) != 0);
    return machine_kv.growth_bytes((uint32_t)row, arguments, key_count, 1000, value_bytes);
}

static void what_is_stored_is_told_before_the_log(void **state) {
    (void)state;
    uint64_t value_bytes;
    assert_int_equal(growth_of("sinterstore", 4, &value_bytes), 1000);
    assert_int_equal(value_bytes, 0);
    assert_int_equal(growth_of("sunionstore", 4, &value_bytes), 3000);
    /* Not 3000: many unions in a row would be told to need 3 to the so manieth. */
    assert_int_equal(value_bytes, 0);
    assert_int_equal(growth_of("sdiffstore", 4, &value_bytes), 1000);
    /* With so many, what is taken away is gathered first. */
    assert_int_equal(growth_of("sdiffstore", 12, &value_bytes), 11000);
    assert_int_equal(value_bytes, 0);
}

/* ---- Chance ---------------------------------------------------------------------------------- */

static void add_numbers(struct driver *driver, const char *key, uint32_t count) {
    char line[64];
    for (uint32_t i = 0; i < count; i++) {
        snprintf(line, sizeof(line), "SADD %s %" PRIu32, key, i);
        driver_command(driver, line, &at_1000, NULL);
    }
}

/* The number of a reply that is one bulk string. */
static uint32_t number_of(const struct kv_model_text *reply) {
    const char *text = memchr(reply->data, '\n', reply->length);
    uint32_t number = 0;
    assert_non_null(text);
    for (text++; *text != '\r'; text++)
        number = number * 10 + (uint32_t)(*text - '0');
    return number;
}

static void assert_even(const uint32_t *observed, uint32_t cells, uint32_t draws) {
    const double expected = (double)draws / cells;
    const double freedom = cells - 1;
    double sum = 0;
    for (uint32_t i = 0; i < cells; i++)
        sum += (observed[i] - expected) * (observed[i] - expected) / expected;
    if ((sum - freedom) * (sum - freedom) >= 25 * 2 * freedom)
        fail_msg("chi-square is %f, of %f degrees of freedom", sum, freedom);
}

static void spop_and_srandmember_choose_all_alike(void **state) {
    (void)state;
    static const uint32_t sizes[] = {2, 100, 300};
    for (size_t s = 0; s < ARRAY_COUNT(sizes); s++) {
        struct driver driver;
        struct kv_model_text reply = {0};
        uint32_t popped[300] = {0};
        uint32_t shown[300] = {0};
        const uint32_t draws = sizes[s] * 50;
        char line[64];
        driver_begin(&driver, &machine_kv, PARTITION_BITS);
        add_numbers(&driver, "s", sizes[s]);
        for (uint32_t i = 0; i < draws; i++) {
            struct machine_moment moment = driver_moment(2 + i, 1000);
            moment.random = i * UINT64_C(0x9e3779b97f4a7c15);
            driver_command(&driver, "SPOP s", &moment, &reply);
            const uint32_t number = number_of(&reply);
            popped[number]++;
            snprintf(line, sizeof(line), "SADD s %" PRIu32, number);
            driver_command(&driver, line, &moment, NULL);
            driver_command(&driver, "SRANDMEMBER s", &moment, &reply);
            shown[number_of(&reply)]++;
        }
        assert_even(popped, sizes[s], draws);
        assert_even(shown, sizes[s], draws);
        kv_model_text_free(&reply);
        driver_end(&driver);
    }
}

static void two_spops_of_one_entry_choose_apart(void **state) {
    (void)state;
    struct driver driver;
    struct kv_model_text reply = {0};
    uint32_t same = 0;
    driver_begin(&driver, &machine_kv, 0);
    add_numbers(&driver, "{t}a", 500);
    add_numbers(&driver, "{t}b", 500);
    for (uint32_t i = 0; i < 100; i++) {
        const struct machine_moment moment = driver_moment(2 + i, 1000);
        driver_command(&driver, "SPOP {t}a", &moment, &reply);
        const uint32_t number = number_of(&reply);
        driver_command(&driver, "SPOP {t}b", &moment, &reply);
        same += number == number_of(&reply);
    }
    assert_true(same < 10);
    kv_model_text_free(&reply);
    driver_end(&driver);
}

/* ---- Replicas -------------------------------------------------------------------------------- */

static void a_snapshot_and_the_rest_of_the_log_are_the_whole_log(void **state) {
    (void)state;
    kv_replicas_snapshot_and_rest(kv_templates_set, 200);
}

static void a_snapshot_that_is_written_during_commands_is_of_its_beginning(void **state) {
    (void)state;
    kv_replicas_snapshot_is_of_its_beginning(kv_templates_set, 200);
}

/* What is under way is no reason to refuse a union: its length was told as that of a value which
 * the next one finds, so a pipeline of ten seemed to need terabytes. */
static void a_pipeline_of_unions_does_not_ask_for_more_with_each(void **state) {
    (void)state;
    static const char *const rows[] = {"sunionstore", "zunionstore"};
    const struct machine_argument arguments[] = {{(const uint8_t *)"a", 1},
                                                 {(const uint8_t *)"2", 1},
                                                 {(const uint8_t *)"b", 1},
                                                 {(const uint8_t *)"c", 1}};
    for (uint32_t row = 0; row < machine_kv.command_count; row++)
        for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
            if (strcmp(machine_kv.commands[row].name, rows[i]) != 0)
                continue;
            uint64_t value_bytes = 1;
            const uint64_t growth = machine_kv.growth_bytes(row, arguments, ARRAY_COUNT(arguments),
                                                            1000000, &value_bytes);
            assert_true(growth >= 2 * 1000000);
            assert_int_equal(value_bytes, 0);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pipeline_of_unions_does_not_ask_for_more_with_each),
        cmocka_unit_test(forms_are_judged_before_keys_as_redis_does),
        cmocka_unit_test(a_key_of_another_type_is_refused),
        cmocka_unit_test(a_member_that_is_too_long_is_refused_or_not_found),
        cmocka_unit_test(sets_do_what_they_are_for),
        cmocka_unit_test(what_is_stored_is_told_before_the_log),
        cmocka_unit_test(spop_and_srandmember_choose_all_alike),
        cmocka_unit_test(two_spops_of_one_entry_choose_apart),
        cmocka_unit_test(a_snapshot_and_the_rest_of_the_log_are_the_whole_log),
        cmocka_unit_test(a_snapshot_that_is_written_during_commands_is_of_its_beginning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
