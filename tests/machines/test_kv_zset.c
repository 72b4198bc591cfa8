/*
 * Sorted sets: what the comparison with Redis (test_kv_zset_redis.c) does not see. What is refused
 * before it costs a quorum; limits of our own; replicas that differ in budgets, snapshots and
 * listeners; nothing long in one call.
 */

#include "machines/kv.h"
#include "tests/cmocka_wrapper.h"
#include "tests/machines/driver.h"
#include "tests/machines/kv_replicas.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct machine_moment at_1000 = {.index = 1, .log_time_ms = 1000, .clock_ms = 1000};

enum { WORDS_MAX = 2 * KV_ZSOURCES_MAX };

/* ---- What is refused ------------------------------------------------------------------------- */

static void a_wrong_form_is_refused_before_it_enters_the_log(void **state) {
    (void)state;
    static const char *const lines[] = {
        "ZADD k 1",
        "ZADD k NX XX 1 a",
        "ZADD k x a",
        "ZADD k INCR 1 a 2 b",
        "ZINCRBY k nan a",
        "ZINCRBY k NX a",
        "ZREMRANGEBYRANK k a 1",
        "ZREMRANGEBYSCORE k a 1",
        "ZREMRANGEBYLEX k a 1",
        "ZRANGESTORE d k 0 1 WITHSCORES",
        "ZRANGESTORE d k 0 1 LIMIT 0 1",
        "ZPOPMIN k -1",
        "ZPOPMAX k 1 1",
        "ZMPOP 0 k MIN",
        "ZMPOP 2 k MIN",
        "ZMPOP 1 k FOO",
        "ZMPOP 1 k MIN COUNT 0",
        "ZMPOP 1 k MIN COUNT 1 COUNT 1",
        "ZUNIONSTORE d 0 k",
        "ZINTERSTORE d 2 k",
        "ZDIFFSTORE d x k",
    };
    struct driver driver;
    driver_begin(&driver, &machine_kv, 2);
    driver.budget = 1;
    for (size_t i = 0; i < ARRAY_COUNT(lines); i++) {
        struct kv_model_text reply = {0};
        const uint64_t slices = driver.slices;
        driver_command(&driver, lines[i], &at_1000, &reply);
        assert_true(reply.length > 0 && reply.data[0] == '-');
        if (driver.slices != slices)
            fail_msg("\"%s\" was executed", lines[i]);
        kv_model_text_free(&reply);
    }
    driver_end(&driver);
}

static void a_member_is_no_longer_than_a_key(void **state) {
    (void)state;
    static char member[KV_KEY_BYTES_MAX + 1];
    memset(member, 'm', sizeof(member));
    struct kv_model_word words[] = {{"ZADD", 4}, {"k", 1}, {"1", 1}, {member, sizeof(member)}};
    static const char too_long[] = "-ERR member too long: the limit is 65536 bytes\r\n";
    struct kv_model_text reply = {0};
    struct driver driver;
    driver_begin(&driver, &machine_kv, 0);
    driver_execute(&driver, words, 4, &at_1000, &reply);
    assert_int_equal(reply.length, strlen(too_long));
    assert_memory_equal(reply.data, too_long, reply.length);
    words[3].length--;
    driver_execute(&driver, words, 4, &at_1000, &reply);
    assert_memory_equal(reply.data, ":1\r\n", 4);
    kv_model_text_free(&reply);
    driver_end(&driver);
}

/* A wrong score far behind is found by execute, which changes nothing then. */
static void a_wrong_score_changes_nothing_wherever_it_stands(void **state) {
    (void)state;
    enum { PAIRS = 200 };
    for (size_t wrong = 0; wrong < PAIRS; wrong += 66) {
        struct kv_model_word words[2 + 2 * PAIRS] = {{"ZADD", 4}, {"k", 1}};
        char members[PAIRS][8];
        struct kv_model_text reply = {0};
        struct driver driver;
        driver_begin(&driver, &machine_kv, 0);
        driver.budget = 3;
        for (size_t i = 0; i < PAIRS; i++) {
            const int length = snprintf(members[i], sizeof(members[i]), "m%zu", i);
            words[2 + 2 * i] =
                (struct kv_model_word){i == wrong ? "1e999" : "1", i == wrong ? 5 : 1};
            words[3 + 2 * i] = (struct kv_model_word){members[i], (size_t)length};
        }
        driver_execute(&driver, words, ARRAY_COUNT(words), &at_1000, &reply);
        assert_memory_equal(reply.data, "-ERR value is not a valid float\r\n", reply.length);
        driver_expect(&driver, "EXISTS k", &at_1000, ":0\r\n");
        words[2 + 2 * wrong] = (struct kv_model_word){"1", 1};
        driver_execute(&driver, words, ARRAY_COUNT(words), &at_1000, &reply);
        assert_memory_equal(reply.data, ":200\r\n", reply.length);
        kv_model_text_free(&reply);
        driver_end(&driver);
    }
}

/* ZUNION of `count` times the key k. */
static void union_of(struct driver *driver, uint32_t count, struct kv_model_text *reply) {
    static struct kv_model_word words[WORDS_MAX];
    char number[16];
    const int length = snprintf(number, sizeof(number), "%" PRIu32, count);
    words[0] = (struct kv_model_word){"ZUNION", 6};
    words[1] = (struct kv_model_word){number, (size_t)length};
    for (uint32_t i = 0; i < count; i++)
        words[2 + i] = (struct kv_model_word){"k", 1};
    driver_execute(driver, words, count + 2, &at_1000, reply);
}

static void fill(struct driver *driver, const char *key, uint32_t first, uint32_t count) {
    char line[64];
    for (uint32_t i = 0; i < count; i++) {
        snprintf(line, sizeof(line), "ZADD %s %" PRIu32 " member-%" PRIu32, key, i * 7 % count,
                 first + i);
        driver_command(driver, line, &at_1000, NULL);
    }
}

static void sources_and_results_that_are_too_many_are_refused(void **state) {
    (void)state;
    struct kv_model_text reply = {0};
    struct driver driver;
    driver_begin(&driver, &machine_kv, 0);
    driver_command(&driver, "ZADD k 1 a", &at_1000, NULL);
    union_of(&driver, KV_ZSOURCES_MAX, &reply);
    assert_memory_equal(reply.data, "*1\r\n$1\r\na\r\n", reply.length);
    union_of(&driver, KV_ZSOURCES_MAX + 1, &reply);
    assert_memory_equal(reply.data, "-ERR too many keys: the limit is 512\r\n", reply.length);
    fill(&driver, "k", 0, 5000); /* of 146 bytes each at most: 357 MiB 512 times */
    union_of(&driver, KV_ZSOURCES_MAX, &reply);
    assert_memory_equal(reply.data,
                        "-ERR Insufficient memory, the result may take more than 256 MiB\r\n",
                        reply.length);
    driver_maintain(&driver, 1000);
    const uint64_t before = machine_kv.memory_bytes(driver.machine);
    union_of(&driver, 20, &reply);
    assert_memory_equal(reply.data, "*5001\r\n", 7);
    driver_maintain(&driver, 1000);
    assert_int_equal(machine_kv.memory_bytes(driver.machine), before);
    kv_model_text_free(&reply);
    driver_end(&driver);
}

/* ---- Scores ---------------------------------------------------------------------------------- */

static void a_score_of_minus_0_is_stored_as_0(void **state) {
    (void)state;
    struct driver driver;
    driver_begin(&driver, &machine_kv, 0);
    driver_expect(&driver, "ZADD k -0 a", &at_1000, ":1\r\n");
    driver_expect(&driver, "ZSCORE k a", &at_1000, "$1\r\n0\r\n");
    driver_expect(&driver, "ZUNION 1 k WEIGHTS -1 WITHSCORES", &at_1000,
                  "*2\r\n$1\r\na\r\n$2\r\n-0\r\n"); /* not stored, as in Redis */
    driver_expect(&driver, "ZUNIONSTORE l 1 k WEIGHTS -1", &at_1000, ":1\r\n");
    driver_expect(&driver, "ZSCORE l a", &at_1000, "$1\r\n0\r\n");
    fill(&driver, "m", 0, 200); /* large; the first one's score is 0 */
    driver_expect(&driver, "ZUNIONSTORE m 1 m WEIGHTS -1", &at_1000, ":200\r\n");
    driver_expect(&driver, "ZSCORE m member-0", &at_1000, "$1\r\n0\r\n");
    driver_expect(&driver, "ZADD k -0 A", &at_1000, ":1\r\n"); /* equal scores: by the bytes */
    driver_expect(&driver, "ZRANGE k 0 -1", &at_1000, "*2\r\n$1\r\nA\r\n$1\r\na\r\n");
    driver_end(&driver);
}

static void what_is_not_a_number_is_an_error_or_0(void **state) {
    (void)state;
    struct driver driver;
    driver_begin(&driver, &machine_kv, 0);
    driver_expect(&driver, "ZADD k inf a", &at_1000, ":1\r\n");
    driver_expect(&driver, "ZADD l -inf a", &at_1000, ":1\r\n");
    driver_expect(&driver, "ZINCRBY k -inf a", &at_1000,
                  "-ERR resulting score is not a number (NaN)\r\n");
    driver_expect(&driver, "ZUNION 2 k l WITHSCORES", &at_1000, "*2\r\n$1\r\na\r\n$1\r\n0\r\n");
    driver_expect(&driver, "ZINTER 2 k l WEIGHTS 0 0 WITHSCORES", &at_1000,
                  "*2\r\n$1\r\na\r\n$1\r\n0\r\n");
    driver_end(&driver);
}

static void a_member_of_a_set_has_the_score_1(void **state) {
    (void)state;
    struct driver driver;
    driver_begin(&driver, &machine_kv, 0);
    driver_expect(&driver, "SADD s a eightlng", &at_1000, ":2\r\n");
    driver_expect(&driver, "ZADD k 5 a", &at_1000, ":1\r\n");
    driver_expect(&driver, "ZINTER 2 k s WITHSCORES", &at_1000, "*2\r\n$1\r\na\r\n$1\r\n6\r\n");
    driver_expect(&driver, "ZINTER 2 s k WEIGHTS 3 1 WITHSCORES", &at_1000,
                  "*2\r\n$1\r\na\r\n$1\r\n8\r\n");
    driver_expect(&driver, "ZUNIONSTORE d 1 s", &at_1000, ":2\r\n");
    driver_expect(&driver, "ZRANGE d 0 -1 WITHSCORES", &at_1000,
                  "*4\r\n$1\r\na\r\n$1\r\n1\r\n$8\r\neightlng\r\n$1\r\n1\r\n");
    driver_end(&driver);
}

/* ---- Random members -------------------------------------------------------------------------- */

/* How often each of the first ten members comes in a reply; they are digits. */
static void count_members(const struct kv_model_text *reply, uint32_t count[10]) {
    const char *at = memchr(reply->data, '\n', reply->length);
    assert_non_null(at);
    for (at++; at < reply->data + reply->length; at += 7) {
        assert_memory_equal(at, "$1\r\n", 4);
        count[at[4] - '0']++;
    }
}

static void random_members_are_drawn_alike(void **state) {
    (void)state;
    enum { DRAWS = 3000 };
    uint32_t together[10] = {0};
    uint32_t repeated[10] = {0};
    struct kv_model_text reply = {0};
    struct driver driver;
    driver_begin(&driver, &machine_kv, 0);
    driver.budget = 2;
    driver_command(&driver, "ZADD k 1 0 2 1 3 2 4 3 5 4 6 5 7 6 8 7 9 8 10 9", &at_1000, NULL);
    for (uint32_t i = 0; i < DRAWS; i++) {
        uint32_t once[10] = {0};
        driver_command(&driver, "ZRANDMEMBER k 3", &at_1000, &reply);
        count_members(&reply, once);
        for (uint32_t j = 0; j < 10; j++) {
            assert_true(once[j] <= 1);
            together[j] += once[j];
        }
        driver_command(&driver, "ZRANDMEMBER k -3", &at_1000, &reply);
        count_members(&reply, repeated);
    }
    /* 900 of each are expected; the deviation is 25 without repetitions, 28 with them. */
    for (uint32_t j = 0; j < 10; j++) {
        assert_in_range(together[j], 750, 1050);
        assert_in_range(repeated[j], 750, 1050);
    }
    driver_command(&driver, "ZRANDMEMBER k 20", &at_1000, &reply);
    assert_memory_equal(reply.data, "*10\r\n", 5);
    kv_model_text_free(&reply);
    driver_end(&driver);
}

/* ---- Replicas -------------------------------------------------------------------------------- */

static void replicas_are_equal_whatever_their_budgets(void **state) {
    (void)state;
    enum { COMMANDS = 4000 };
    const char *const *const lists[] = {kv_templates_zset, kv_templates_zset_large};
    for (size_t list = 0; list < ARRAY_COUNT(lists); list++) {
        struct driver whole;
        struct driver sliced;
        struct kv_templates stream;
        driver_begin(&whole, &machine_kv, KV_REPLICAS_PARTITION_BITS);
        driver_begin(&sliced, &machine_kv, KV_REPLICAS_PARTITION_BITS);
        sliced.budget = 1;
        sliced.follower = true;
        kv_templates_begin(&stream, lists[list], 7, 24, 300);
        for (uint64_t index = 1; index <= COMMANDS; index++) {
            stream.now_ms = 1000000 + index;
            const struct machine_moment moment = driver_moment(index, stream.now_ms);
            kv_templates_next(&stream);
            driver_execute(&whole, stream.words, stream.count, &moment, NULL);
            driver_execute(&sliced, stream.words, stream.count, &moment, NULL);
        }
        kv_replicas_assert_equal(&whole, &sliced, 1000000 + COMMANDS);
        kv_templates_end(&stream);
        driver_end(&whole);
        driver_end(&sliced);
    }
}

static void a_snapshot_and_the_rest_give_the_same_state(void **state) {
    (void)state;
    kv_replicas_snapshot_and_rest(kv_templates_zset, 300);
    kv_replicas_snapshot_and_rest(kv_templates_zset_large, 300);
}

static void a_snapshot_is_of_its_beginning(void **state) {
    (void)state;
    kv_replicas_snapshot_is_of_its_beginning(kv_templates_zset, 300);
    kv_replicas_snapshot_is_of_its_beginning(kv_templates_zset_large, 300);
}

/* A range of members means little where scores differ, but what it removes, or stores, must not
 * depend on the shape of a tree: one that was restored is packed. */
static void a_range_of_members_of_unlike_scores_is_the_same_after_a_restore(void **state) {
    (void)state;
    enum { MEMBERS = 1000, ROUNDS = 20 };
    const struct machine_moment moment = driver_moment(MEMBERS, 2000000);
    struct kv_model_text bytes = {0};
    struct random random;
    struct driver grown;
    struct driver restored;
    char line[64];
    random_seed(&random, 9);
    driver_begin(&grown, &machine_kv, KV_REPLICAS_PARTITION_BITS);
    driver_begin(&restored, &machine_kv, KV_REPLICAS_PARTITION_BITS);
    for (uint32_t i = 0; i < MEMBERS; i++) {
        snprintf(line, sizeof(line), "ZADD k %u %x", (unsigned)(random_u64(&random) % MEMBERS),
                 (unsigned)(random_u64(&random) & 0xffffff));
        driver_command(&grown, line, &moment, NULL);
    }
    driver_snapshot(&grown, &moment, &bytes);
    assert_int_equal(driver_restore(&restored, &bytes, &random), 0);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        const struct machine_moment later = driver_moment(MEMBERS + 1 + i, 2000000);
        const unsigned least = (unsigned)(random_u64(&random) % 14);
        snprintf(line, sizeof(line),
                 i % 2 == 0 ? "ZREMRANGEBYLEX k [%x (%x1" : "ZRANGESTORE l k [%x (%xf BYLEX", least,
                 least + 1);
        driver_command(&grown, line, &later, NULL);
        driver_command(&restored, line, &later, NULL);
        kv_replicas_assert_equal(&grown, &restored, 2000000);
    }
    kv_model_text_free(&bytes);
    driver_end(&grown);
    driver_end(&restored);
}

/* ---- Time ------------------------------------------------------------------------------------ */

static uint64_t cpu_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t slice_began_ns;
static uint64_t slice_longest_ns;

static void slice_measured(void *context) {
    (void)context;
    const uint64_t now_ns = cpu_ns();
    if (now_ns - slice_began_ns > slice_longest_ns)
        slice_longest_ns = now_ns - slice_began_ns;
    slice_began_ns = now_ns;
}

static const char *const long_lines[] = {
    "ZRANGE k 0 -1 WITHSCORES", "ZUNION 2 k l",
    "ZINTER 2 k l WITHSCORES",  "ZDIFF 2 k l",
    "ZINTERCARD 2 k l",         "ZUNIONSTORE m 2 k l WEIGHTS 1 2",
    "ZINTERSTORE m 2 k m",      "ZDIFFSTORE n 2 k l",
    "ZRANGESTORE n m 0 -1",     "ZRANDMEMBER k 9000",
    "ZRANDMEMBER k -20000",     "ZREMRANGEBYSCORE n -inf +inf",
    "ZPOPMIN m 100000",         "ZREMRANGEBYRANK k 10 -10",
};

/* 0.2 ms a slice. The shortest of three rounds counts, since others have the processor, too. */
static void a_long_command_is_cut_into_slices(void **state) {
    (void)state;
    uint64_t shortest_ns[ARRAY_COUNT(long_lines)];
    memset(shortest_ns, 0xff, sizeof(shortest_ns));
    for (uint32_t round = 0; round < 3; round++) {
        struct driver driver;
        driver_begin(&driver, &machine_kv, 0);
        fill(&driver, "k", 0, 10000);
        fill(&driver, "l", 5000, 10000);
        driver.budget = 2000;
        driver.between = slice_measured;
        for (size_t i = 0; i < ARRAY_COUNT(long_lines); i++) {
            const uint64_t slices = driver.slices;
            struct kv_model_text reply = {0};
            slice_longest_ns = 0;
            slice_began_ns = cpu_ns();
            driver_command(&driver, long_lines[i], &at_1000, &reply);
            assert_true(reply.data[0] != '-');
            assert_true(driver.slices - slices >= 4);
            shortest_ns[i] = slice_longest_ns < shortest_ns[i] ? slice_longest_ns : shortest_ns[i];
            kv_model_text_free(&reply);
        }
        driver_end(&driver);
    }
    for (size_t i = 0; i < ARRAY_COUNT(long_lines); i++) {
        printf("  %6" PRIu64 " us at most in a slice: %s\n", shortest_ns[i] / 1000, long_lines[i]);
        assert_true(WEIR_SANITIZER_BUILD || shortest_ns[i] < 1000000);
    }
}

/* What is O(log n) in Redis takes hardly longer with a hundred times as many members. */
static void asking_a_large_one_does_not_take_longer(void **state) {
    (void)state;
    static const char *const lines[] = {"ZRANK k member-77",
                                        "ZCOUNT k 20 (70",
                                        "ZSCORE k member-77",
                                        "ZRANGE k 500 505",
                                        "ZREVRANGEBYSCORE k 500 400 LIMIT 3 4",
                                        "ZADD k 3 member-77",
                                        "ZREMRANGEBYRANK k 900 900"};
    enum { CALLS = 200 };
    uint64_t small_ns[ARRAY_COUNT(lines)];
    for (uint32_t members = 1000; members <= 100000; members *= 100) {
        struct driver driver;
        driver_begin(&driver, &machine_kv, 0);
        fill(&driver, "k", 0, members);
        for (size_t i = 0; i < ARRAY_COUNT(lines); i++) {
            uint64_t shortest_ns = UINT64_MAX;
            for (uint32_t call = 0; call < CALLS; call++) {
                const uint64_t began_ns = cpu_ns();
                driver_command(&driver, lines[i], &at_1000, NULL);
                const uint64_t took_ns = cpu_ns() - began_ns;
                shortest_ns = took_ns < shortest_ns ? took_ns : shortest_ns;
                if (lines[i][1] == 'R' && lines[i][2] == 'E' && lines[i][3] == 'M')
                    driver_command(&driver, "ZADD k 3 back", &at_1000, NULL);
            }
            if (members == 1000) {
                small_ns[i] = shortest_ns;
                continue;
            }
            printf("  %6" PRIu64 " ns, of a thousand %6" PRIu64 " ns: %s\n", shortest_ns,
                   small_ns[i], lines[i]);
            assert_true(WEIR_SANITIZER_BUILD || shortest_ns < 4 * small_ns[i] + 2000);
        }
        driver_end(&driver);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_form_is_refused_before_it_enters_the_log),
        cmocka_unit_test(a_member_is_no_longer_than_a_key),
        cmocka_unit_test(a_wrong_score_changes_nothing_wherever_it_stands),
        cmocka_unit_test(sources_and_results_that_are_too_many_are_refused),
        cmocka_unit_test(a_score_of_minus_0_is_stored_as_0),
        cmocka_unit_test(what_is_not_a_number_is_an_error_or_0),
        cmocka_unit_test(a_member_of_a_set_has_the_score_1),
        cmocka_unit_test(random_members_are_drawn_alike),
        cmocka_unit_test(replicas_are_equal_whatever_their_budgets),
        cmocka_unit_test(a_snapshot_and_the_rest_give_the_same_state),
        cmocka_unit_test(a_snapshot_is_of_its_beginning),
        cmocka_unit_test(a_range_of_members_of_unlike_scores_is_the_same_after_a_restore),
        cmocka_unit_test(a_long_command_is_cut_into_slices),
        cmocka_unit_test(asking_a_large_one_does_not_take_longer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
