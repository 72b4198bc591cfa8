/* A record copied while its owners write is one that was published, never half of two. */

#include "stages/node_record.h"

#include "tests/cmocka_wrapper.h"
#include "tests/death.h"

#include <pthread.h>
#include <string.h>

enum { ROUNDS = 200000 };

/* A record all of whose fields tell the same number. */
static void record_fill(struct node_record *record, uint32_t number) {
    memset(record, 0, sizeof(*record));
    record->open = 1;
    record->generation = number;
    record->socket = (int32_t)number;
    record->client_id = number;
    record->opened_ms = number;
    memset(record->address, 'a' + (int)(number % 26), sizeof(record->address) - 1);
    memset(record->name, 'a' + (int)(number % 26), sizeof(record->name) - 1);
    memset(record->library_name, 'a' + (int)(number % 26), sizeof(record->library_name) - 1);
    memset(record->library_version, 'a' + (int)(number % 26), sizeof(record->library_version) - 1);
}

static void a_closed_slot_is_not_copied(void **state) {
    (void)state;
    struct node_record record = {0};
    struct node_record copy;
    assert_false(node_record_copy(&record, &copy));
    struct node_record value;
    record_fill(&value, 7);
    node_record_publish_open(&record, &value);
    assert_true(node_record_copy(&record, &copy));
    assert_int_equal(copy.client_id, 7);
    value.open = 0;
    node_record_publish_open(&record, &value);
    assert_false(node_record_copy(&record, &copy));
}

static void a_writer_that_never_ends_is_given_up(void **state) {
    (void)state;
    struct node_record value;
    record_fill(&value, 1);
    struct node_record record = {0};
    node_record_publish_open(&record, &value);
    record.names_sequence = 1;
    struct node_record copy;
    assert_false(node_record_copy(&record, &copy));
}

static void publish_unterminated(void *context) {
    struct node_record *value = context;
    memset(value->name, 'x', sizeof(value->name));
    struct node_record record = {0};
    node_record_publish_names(&record, value);
}

static void a_name_without_an_end_is_a_mistake(void **state) {
    (void)state;
    struct node_record value;
    record_fill(&value, 1);
    death_expect_abort(publish_unterminated, &value, "memchr");
}

static struct node_record shared;
static uint32_t writers_done;

static void *write_open(void *unused) {
    (void)unused;
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        struct node_record value;
        record_fill(&value, round);
        node_record_publish_open(&shared, &value);
    }
    atomic_store_release_u32(&writers_done, 1);
    return NULL;
}

static void *write_names(void *unused) {
    (void)unused;
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        struct node_record value;
        record_fill(&value, round);
        node_record_publish_names(&shared, &value);
        atomic_store_relaxed_u64(&shared.commands, round);
    }
    return NULL;
}

static void same_bytes(const char *text, size_t length) {
    for (size_t i = 1; i < length; i++) {
        assert_int_equal(text[i], text[0]);
    }
}

static void a_copy_is_never_half_of_two(void **state) {
    (void)state;
    struct node_record first;
    record_fill(&first, 0);
    node_record_publish_open(&shared, &first);
    node_record_publish_names(&shared, &first);
    pthread_t open_writer;
    pthread_t names_writer;
    assert_int_equal(pthread_create(&open_writer, NULL, write_open, NULL), 0);
    assert_int_equal(pthread_create(&names_writer, NULL, write_names, NULL), 0);
    uint32_t copies = 0;
    uint64_t commands = 0;
    while (atomic_load_acquire_u32(&writers_done) == 0 || copies == 0) {
        struct node_record copy;
        if (!node_record_copy(&shared, &copy)) {
            continue;
        }
        copies++;
        assert_int_equal(copy.client_id, copy.generation);
        assert_int_equal(copy.opened_ms, copy.generation);
        assert_int_equal(copy.address[0], 'a' + (int)(copy.generation % 26));
        same_bytes(copy.address, sizeof(copy.address) - 1);
        same_bytes(copy.name, sizeof(copy.name) - 1);
        assert_int_equal(copy.name[0], copy.library_name[0]);
        assert_int_equal(copy.name[0], copy.library_version[0]);
        same_bytes(copy.library_version, sizeof(copy.library_version) - 1);
        assert_true(copy.commands >= commands);
        commands = copy.commands;
    }
    assert_int_equal(pthread_join(open_writer, NULL), 0);
    assert_int_equal(pthread_join(names_writer, NULL), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_closed_slot_is_not_copied),
        cmocka_unit_test(a_writer_that_never_ends_is_given_up),
        cmocka_unit_test(a_name_without_an_end_is_a_mistake),
        cmocka_unit_test(a_copy_is_never_half_of_two),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
