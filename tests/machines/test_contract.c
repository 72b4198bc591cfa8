/*
 * What machines/machine.h promises of every machine, asked of each built-in one through that
 * header alone. A machine of your own is added by one row of `subjects`.
 */

#include "base/assert.h"
#include "base/bytes.h"
#include "base/decimal.h"
#include "base/error.h"
#include "tests/cmocka_wrapper.h"
#include "tests/machines/driver.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A machine and lines that use it; "#" stands for a number from 0 to 99. */
struct subject {
    const struct machine_operations *operations;
    uint32_t partition_bits;
    const char *writes[6];
    const char *reads[6];
};

static const struct subject subjects[] = {
    {&machine_kv,
     2,
     {"SET k# value-of-#", "INCRBY n# #", "DEL k#", "APPEND k# more", "SET e# v PX 10#",
      "MSET a# 1 b# 2"},
     {"GET k#", "MGET a# k# n#", "STRLEN k#", "EXISTS k# a#", "TYPE n#", "PTTL e#"}},
    {&machine_kv,
     2,
     {"HSET h# # value-of-# more #", "HDEL h# # more", "RPUSH l# # b #", "LPOP l#",
      "SADD s# # member-#", "PEXPIRE h# 10#"},
     {"HGET h# #", "HLEN h#", "LRANGE l# 0 -1", "SISMEMBER s# #", "TYPE h#", "HSTRLEN h# more"}},
    {&machine_log,
     0,
     {"LOG.APPEND value-of-#", "LOG.APPEND #"},
     {"LOG.LEN", "LOG.GET #", "LOG.RANGE # 50", "LOG.RANGE 0 99999", "LOG.GET 100000"}},
};

enum { LINE_BYTES = 128 };

static void line_make(struct random *random, const char *const *lines, char line[LINE_BYTES]) {
    size_t count = 0;
    size_t length = 0;
    while (count < 6 && lines[count] != NULL)
        count++;
    const char *from = lines[random_below(random, count)];
    for (; *from != 0; from++) {
        if (*from == '#')
            length += decimal_format_u64(line + length, random_below(random, 100));
        else
            line[length++] = *from;
        ASSERT(length + DECIMAL_BYTES_MAX < LINE_BYTES);
    }
    line[length] = 0;
}

static void play_writes(struct driver *driver, const struct subject *subject, uint64_t seed,
                        uint64_t first, uint64_t count) {
    struct random random;
    random_seed(&random, seed);
    for (uint64_t i = 0; i < count; i++) {
        char line[LINE_BYTES];
        line_make(&random, subject->writes, line);
        const struct machine_moment moment = driver_moment(first + i, 1000 + (first + i) / 10);
        driver_command(driver, line, &moment, NULL);
    }
}

static void assert_same_state(struct driver *a, struct driver *b) {
    for (uint32_t i = 0; i < 1u << a->options.partition_bits; i++)
        assert_int_equal(a->operations->digest(a->machine, i),
                         b->operations->digest(b->machine, i));
    assert_int_equal(driver_digest_full(a), driver_digest_full(b));
}

/* The replies to many reads, one after the other. */
static void read_all(struct driver *driver, const struct subject *subject, uint64_t time_ms,
                     struct kv_model_text *replies) {
    struct random random;
    struct kv_model_text reply = {0};
    random_seed(&random, 77);
    replies->length = 0;
    for (uint32_t i = 0; i < 500; i++) {
        char line[LINE_BYTES];
        line_make(&random, subject->reads, line);
        const struct machine_moment moment = driver_moment(100000, time_ms);
        driver_command(driver, line, &moment, &reply);
        kv_model_text_append(replies, reply.data, reply.length);
    }
    kv_model_text_free(&reply);
}

#define FOR_EACH_SUBJECT(subject)                                                              \
    for (const struct subject *subject = subjects; subject < subjects + ARRAY_COUNT(subjects); \
         subject++)

static void command_tables_are_well_formed(void **state) {
    (void)state;
    FOR_EACH_SUBJECT(subject) {
        const struct machine_operations *operations = subject->operations;
        struct machine_name_index index;
        machine_name_index_build(&index, operations);
        assert_int_equal(operations->abi_version, MACHINE_ABI_VERSION);
        assert_ptr_equal(machine_find(operations->name), operations);
        for (uint32_t row = 0; row < operations->command_count; row++) {
            const struct machine_command *command = &operations->commands[row];
            char name[MACHINE_NAME_BYTES_MAX + 1];
            const size_t length = strlen(command->name);
            assert_in_range(length, 1, MACHINE_NAME_BYTES_MAX);
            for (size_t i = 0; i < length; i++) {
                assert_false(isupper((unsigned char)command->name[i]));
                name[i] = (char)toupper((unsigned char)command->name[i]);
            }
            assert_int_equal(
                machine_name_find(&index, operations, (uint8_t *)name, (uint32_t)length), row);
            assert_int_equal(machine_id_find(operations, command->id), row);
            assert_int_not_equal(command->id, 0);
            assert_int_not_equal(command->arity, 0);
            const uint32_t kind = command->flags & (MACHINE_READ | MACHINE_WRITE);
            assert_true(kind == MACHINE_READ || kind == MACHINE_WRITE);
            assert_true(kind == MACHINE_WRITE || (command->flags & MACHINE_GROWS) == 0);
            assert_true((command->first_key == 0) == (command->key_step == 0));
            assert_true(command->summary[0] != 0 && command->group[0] != 0 &&
                        command->since[0] != 0 && command->arguments != NULL);
        }
        assert_int_equal(machine_name_find(&index, operations, (const uint8_t *)"nonsense", 8), -1);
        assert_int_equal(machine_name_find(&index, operations, (const uint8_t *)"", 0), -1);
        assert_int_equal(machine_id_find(operations, UINT16_MAX), -1);
    }
    assert_null(machine_find("nonsense"));
}

static void equal_histories_give_equal_states_whatever_the_budget(void **state) {
    (void)state;
    FOR_EACH_SUBJECT(subject) {
        struct driver a;
        struct driver b;
        driver_begin(&a, subject->operations, subject->partition_bits);
        driver_begin(&b, subject->operations, subject->partition_bits);
        b.budget = 1;
        b.follower = true;
        play_writes(&a, subject, 3, 1, 3000);
        play_writes(&b, subject, 3, 1, 3000);
        assert_same_state(&a, &b);
        driver_end(&a);
        driver_end(&b);
    }
}

static void reads_change_nothing(void **state) {
    (void)state;
    FOR_EACH_SUBJECT(subject) {
        struct driver a;
        struct driver b;
        struct kv_model_text replies = {0};
        struct kv_model_text again = {0};
        driver_begin(&a, subject->operations, subject->partition_bits);
        driver_begin(&b, subject->operations, subject->partition_bits);
        play_writes(&a, subject, 4, 1, 1000);
        play_writes(&b, subject, 4, 1, 1000);
        read_all(&a, subject, 1100, &replies);
        a.budget = 1;
        read_all(&a, subject, 1100, &again);
        assert_int_equal(replies.length, again.length);
        assert_memory_equal(replies.data, again.data, replies.length);
        assert_same_state(&a, &b);
        kv_model_text_free(&replies);
        kv_model_text_free(&again);
        driver_end(&a);
        driver_end(&b);
    }
}

static void a_restored_machine_goes_on_like_the_first(void **state) {
    (void)state;
    FOR_EACH_SUBJECT(subject) {
        struct driver first;
        struct driver copy;
        struct random random;
        struct kv_model_text bytes = {0};
        struct kv_model_text replies = {0};
        struct kv_model_text again = {0};
        const struct machine_moment moment = driver_moment(2000, 1199);
        random_seed(&random, 8);
        driver_begin(&first, subject->operations, subject->partition_bits);
        driver_begin(&copy, subject->operations, subject->partition_bits);
        play_writes(&first, subject, 5, 1, 2000);
        driver_snapshot(&first, &moment, &bytes);
        assert_int_equal(driver_restore(&copy, &bytes, &random), 0);
        assert_same_state(&first, &copy);
        play_writes(&first, subject, 6, 2001, 2000);
        play_writes(&copy, subject, 6, 2001, 2000);
        assert_same_state(&first, &copy);
        read_all(&first, subject, 1400, &replies);
        read_all(&copy, subject, 1400, &again);
        assert_int_equal(replies.length, again.length);
        assert_memory_equal(replies.data, again.data, replies.length);
        kv_model_text_free(&bytes);
        kv_model_text_free(&replies);
        kv_model_text_free(&again);
        driver_end(&first);
        driver_end(&copy);
    }
}

/* The first error of a restore of these bytes, whose machine is then destroyed. */
static int restore_error(const struct subject *subject, const struct kv_model_text *bytes) {
    struct driver copy;
    struct random random;
    random_seed(&random, 9);
    driver_begin(&copy, subject->operations, subject->partition_bits);
    const int error = driver_restore(&copy, bytes, &random);
    driver_end(&copy);
    return error;
}

static void a_snapshot_that_is_not_whole_is_refused(void **state) {
    (void)state;
    FOR_EACH_SUBJECT(subject) {
        struct driver driver;
        struct kv_model_text bytes = {0};
        const struct machine_moment moment = driver_moment(300, 1000);
        driver_begin(&driver, subject->operations, subject->partition_bits);
        play_writes(&driver, subject, 5, 1, 300);
        driver_snapshot(&driver, &moment, &bytes);
        const size_t whole = bytes.length;
        assert_int_equal(restore_error(subject, &bytes), 0);
        for (size_t cut = 0; cut < whole; cut += 1 + cut / 16) {
            bytes.length = cut;
            assert_int_equal(restore_error(subject, &bytes), WEIR_ECORRUPT);
        }
        bytes.length = whole;
        kv_model_text_append(&bytes, "x", 1);
        assert_int_equal(restore_error(subject, &bytes), WEIR_ECORRUPT);
        bytes.length = whole;
        bytes.data[3] = (char)(bytes.data[3] ^ 1);
        assert_int_equal(restore_error(subject, &bytes), WEIR_ECORRUPT);
        size_t consumed;
        struct driver copy;
        driver_begin(&copy, subject->operations, subject->partition_bits);
        assert_int_equal(copy.operations->restore(copy.machine, UINT32_MAX, (uint8_t *)bytes.data,
                                                  whole, &consumed, 1000),
                         WEIR_EVERSION);
        driver_end(&copy);
        kv_model_text_free(&bytes);
        driver_end(&driver);
    }
}

static void destroy_gives_all_back_in_the_middle_of_anything(void **state) {
    (void)state;
    FOR_EACH_SUBJECT(subject) {
        struct driver driver;
        struct kv_model_text bytes = {0};
        struct driver_sink target = {.bytes = &bytes};
        const struct machine_sink sink = driver_sink_make(&target);
        const struct machine_moment moment = driver_moment(500, 1000);
        driver_begin(&driver, subject->operations, subject->partition_bits);
        play_writes(&driver, subject, 5, 1, 500);
        assert_in_range(driver.operations->memory_bytes(driver.machine), 1, driver.pages_bytes);
        assert_int_equal(driver.operations->snapshot_begin(driver.machine, &moment), 0);
        driver.operations->snapshot_emit(driver.machine, &sink, 10);
        driver_end(&driver);

        driver_begin(&driver, subject->operations, subject->partition_bits);
        play_writes(&driver, subject, 5, 1, 500);
        bytes.length = 0;
        driver_snapshot(&driver, &moment, &bytes);
        driver_end(&driver);
        size_t consumed;
        driver_begin(&driver, subject->operations, subject->partition_bits);
        assert_true(driver.operations->restore(driver.machine, driver.operations->version,
                                               (uint8_t *)bytes.data, bytes.length / 2, &consumed,
                                               UINT32_MAX) >= 0);
        driver_end(&driver);
        kv_model_text_free(&bytes);
    }
}

static void *no_pages(void *context, size_t length_bytes) {
    (void)context;
    (void)length_bytes;
    return NULL;
}

static void a_host_without_pages_is_told_at_creation(void **state) {
    (void)state;
    FOR_EACH_SUBJECT(subject) {
        struct machine *machine = NULL;
        const struct machine_host host = {NULL, no_pages, NULL};
        const struct machine_options options = {.value_bytes_max = 1000};
        assert_int_equal(subject->operations->create(&machine, &host, &options), WEIR_ENOMEM);
        assert_null(machine);
    }
}

static void versions_that_do_not_exist_are_refused(void **state) {
    (void)state;
    FOR_EACH_SUBJECT(subject) {
        struct driver driver;
        driver_begin(&driver, subject->operations, subject->partition_bits);
        const uint32_t version = driver.operations->version;
        assert_int_equal(driver.operations->upgrade(driver.machine, version, version), 0);
        assert_int_equal(driver.operations->upgrade(driver.machine, version, version + 1),
                         WEIR_EVERSION);
        driver_end(&driver);
    }
}

static void log_keeps_what_is_appended(void **state) {
    (void)state;
    struct driver driver;
    const struct machine_moment moment = driver_moment(1, 1000);
    driver_begin(&driver, &machine_log, 0);
    driver_expect(&driver, "LOG.LEN", &moment, ":0\r\n");
    driver_expect(&driver, "LOG.APPEND a", &moment, ":0\r\n");
    driver_expect(&driver, "log.append b", &moment, ":1\r\n");
    driver_expect(&driver, "LOG.APPEND ", &moment, ":2\r\n");
    driver_expect(&driver, "LOG.GET 1", &moment, "$1\r\nb\r\n");
    driver_expect(&driver, "LOG.GET 2", &moment, "$0\r\n\r\n");
    driver_expect(&driver, "LOG.GET 3", &moment, "$-1\r\n");
    driver_expect(&driver, "LOG.GET -1", &moment,
                  "-ERR value is not an integer or out of range\r\n");
    driver_expect(&driver, "LOG.RANGE 1 9", &moment, "*2\r\n$1\r\nb\r\n$0\r\n\r\n");
    driver_expect(&driver, "LOG.RANGE 2 1", &moment, "*0\r\n");
    driver_expect(&driver, "LOG.RANGE 0 x", &moment,
                  "-ERR value is not an integer or out of range\r\n");
    driver_expect(&driver, "LOG.LEN", &moment, ":3\r\n");
    driver_end(&driver);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(command_tables_are_well_formed),
        cmocka_unit_test(equal_histories_give_equal_states_whatever_the_budget),
        cmocka_unit_test(reads_change_nothing),
        cmocka_unit_test(a_restored_machine_goes_on_like_the_first),
        cmocka_unit_test(a_snapshot_that_is_not_whole_is_refused),
        cmocka_unit_test(destroy_gives_all_back_in_the_middle_of_anything),
        cmocka_unit_test(a_host_without_pages_is_told_at_creation),
        cmocka_unit_test(versions_that_do_not_exist_are_refused),
        cmocka_unit_test(log_keeps_what_is_appended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
