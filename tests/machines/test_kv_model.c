/*
 * The model of sim/kv_model.h, of the commands that test_kv_property.c does not make: the same
 * commands to machine and model, the same replies. Of a set's members that went unseen it may say
 * that it does not know, but not of most.
 */

#include "base/assert.h"
#include "tests/cmocka_wrapper.h"
#include "tests/machines/driver.h"
#include "tests/machines/kv_templates.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const string_templates[] = {
    "SET @k @e",         "SET @k @e",         "SET @k @v PX @m",     "GET @k",
    "STRLEN @k",         "PERSIST @k",        "GETSET @k @e",        "GETDEL @k",
    "GETEX @k",          "GETEX @k PERSIST",  "SETNX @k @e",         "CAS @k @e @e",
    "CAS @k  @e ABSENT", "CAS @k @e  DELETE", "CAS @k @e @e ABSENT", "GETRANGE @k @i @i",
    "GETRANGE @k @i @i", "SETRANGE @k @i @e", "SETRANGE @k @o @v",   "INCRBY @k @i",
    "DECRBY @k @i",      "UNLINK @k",         "UNLINK @k @k",        "TOUCH @k @k",
    "RENAME @k @k",      "COPY @k @k",        "COPY @k @k REPLACE",  NULL,
};

/* Scores are integers, and without options; @e may be a field that is no number. */
static const char *const collection_templates[] = {
    "HSET @k @e @e",
    "HSET @k @e @i @e @e",
    "HSETNX @k @e @i",
    "HGET @k @e",
    "HDEL @k @e",
    "HDEL @k @e @e",
    "HLEN @k",
    "HEXISTS @k @e",
    "HINCRBY @k @e @i",
    "HINCRBY @k @e 7",
    "~HGETALL @k",
    "LPUSH @k @e @e",
    "RPUSH @k @e",
    "LPOP @k",
    "RPOP @k",
    "LLEN @k",
    "LRANGE @k @i @i",
    "LRANGE @k 0 -1",
    "LRANGE @k -3 2",
    "LMOVE @k @k LEFT RIGHT",
    "LMOVE @k @k RIGHT LEFT",
    "LMOVE @k @k LEFT LEFT",
    "SADD @k @e @e",
    "SADD @k @e",
    "SREM @k @e",
    "SREM @k @e @e",
    "SISMEMBER @k @e",
    "SCARD @k",
    "SPOP @k",
    "~SMEMBERS @k",
    "ZADD @k 3 @e",
    "ZADD @k -2 @e 5 @e",
    "ZINCRBY @k 4 @e",
    "ZINCRBY @k -4 @e",
    "ZREM @k @e",
    "ZSCORE @k @e",
    "ZCARD @k",
    "ZRANGE @k 0 -1",
    "ZRANGE @k -2 1",
    "ZPOPMIN @k",
    "DEL @k",
    "DEL @k @k",
    "TYPE @k",
    "EXISTS @k @k",
    "RENAME @k @k",
    "COPY @k @k REPLACE",
    "PEXPIRE @k @m",
    "PERSIST @k",
    "MGET @k @k",
    "SUNIONSTORE @k @k @k",
    NULL,
};

/* Keys of one type: of a vague set it is not known whether it is there. */
static const char *const set_templates[] = {
    "SADD @k @e @e", "SADD @k @w",      "SREM @k @e",      "SREM @k @w",
    "SREM @k @e @e", "SISMEMBER @k @e", "SISMEMBER @k @w", "SCARD @k",
    "SPOP @k",       "~SMEMBERS @k",    "DEL @k",          NULL,
};

/* Whether the model's reply is the machine's, whose order is of no account if it is unordered. */
static bool replies_agree(const struct kv_templates *stream, struct kv_model_text *machine,
                          const struct kv_model_text *model) {
    if (stream->is_unordered && *machine->data == '*' && *model->data == '*') {
        if (stream->words[0].data[0] == 'H')
            kv_model_sort_pairs(machine);
        else
            kv_model_sort_array(machine);
    }
    return machine->length == model->length &&
           memcmp(machine->data, model->data, model->length) == 0;
}

/* As kv_templates_begin takes them. */
struct templates_room {
    uint64_t seed;
    uint32_t keys;
    uint32_t bytes_max;
};

/* `seen_share`: in a hundred, how much of what SPOP took the model is told. */
static uint64_t compare(const char *const *templates, struct templates_room room,
                        uint64_t seen_share) {
    struct driver driver;
    struct kv_templates stream;
    struct kv_model_text here = {0};
    struct kv_model_text there = {0};
    uint64_t not_known = 0;
    driver_begin(&driver, &machine_kv, 2);
    struct kv_model *model = kv_model_new(driver.options.value_bytes_max);
    kv_templates_begin(&stream, templates, room.seed, room.keys, room.bytes_max);
    for (uint64_t index = 1; index <= 20000; index++) {
        stream.now_ms = 1000000 + index * 3;
        kv_templates_next(&stream);
        if (stream.count > 2 && strstr(stream.words[0].data, "POP") != NULL)
            continue; /* a count, which the model does not know */
        const struct machine_moment moment = driver_moment(index, stream.now_ms);
        driver_execute(&driver, stream.words, stream.count, &moment, &here);
        const bool is_told =
            stream.words[0].data[1] != 'P' || random_chance(&stream.random, seen_share, 100);
        const struct kv_model_word seen = {here.data, is_told ? here.length : 0};
        kv_model_execute_seen(model, stream.words, stream.count, stream.now_ms, stream.now_ms, seen,
                              &there);
        if (*there.data == '?')
            not_known++;
        else if (!replies_agree(&stream, &here, &there))
            fail_msg("%" PRIu64 ": %s %s: machine %.*s model %.*s", index, stream.words[0].data,
                     stream.words[1].data, (int)here.length, here.data, (int)there.length,
                     there.data);
    }
    for (size_t i = 0; i < stream.template_count; i++)
        assert_true(stream.made[i] >= 100);
    kv_templates_end(&stream);
    kv_model_free(model);
    kv_model_text_free(&here);
    kv_model_text_free(&there);
    driver_end(&driver);
    return not_known;
}

static void the_model_knows_collections_as_the_machine(void **state) {
    (void)state;
    assert_int_equal(compare(collection_templates, (struct templates_room){4, 24, 60}, 100), 0);
}

static void the_model_knows_most_of_a_set_whose_pops_nobody_saw(void **state) {
    (void)state;
    const uint64_t not_known = compare(set_templates, (struct templates_room){5, 24, 60}, 80);
    print_message("not known: %" PRIu64 "\n", not_known);
    assert_true(not_known > 500 && not_known < 10000);
}

static void the_model_answers_as_the_machine(void **state) {
    (void)state;
    assert_int_equal(compare(string_templates, (struct templates_room){3, 16, 3000}, 100), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_model_answers_as_the_machine),
        cmocka_unit_test(the_model_knows_collections_as_the_machine),
        cmocka_unit_test(the_model_knows_most_of_a_set_whose_pops_nobody_saw),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
