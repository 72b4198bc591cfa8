/* Where clients reach members, as the log says: what a snapshot may not bring, then the table. */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "queues/atomic.h"
#include "stages/addresses.h"
#include "tests/cmocka_wrapper.h"

static struct addresses table;

static int empty(void **state) {
    (void)state;
    memset(&table, 0, sizeof(table));
    return 0;
}

static void set(uint64_t node_id, const char *host, uint16_t port) {
    struct entry_address address = {.node_id = node_id, .port = port};
    snprintf(address.host, sizeof(address.host), "%s", host);
    addresses_set(&table, &address);
}

static bool is(uint64_t node_id, const char *host, uint16_t port) {
    struct entry_address found;
    return addresses_find(&table, node_id, &found) && strcmp(found.host, host) == 0 &&
           found.port == port && found.node_id == node_id;
}

static uint8_t record[ADDRESSES_RECORD_BYTES_MAX];

static void a_record_cut_at_any_byte_or_with_another_length_is_refused(void **state) {
    (void)state;
    set(1, "one", 1);
    set(2, "two.example", 2);
    uint32_t bytes = addresses_record_bytes(&table);
    addresses_record_write(&table, record);
    size_t taken = 0;
    for (size_t cut = ADDRESSES_RECORD_HEADER_BYTES; cut < bytes; cut++) {
        assert_int_equal(addresses_restore(&table, record, cut, &taken), WEIR_ECORRUPT);
        assert_false(is(1, "one", 1)); /* it is empty then */
    }
    for (uint32_t count = 0; count < 20; count++) {
        bytes_put_u32(record + 44, count);
        assert_int_equal(addresses_restore(&table, record, bytes, &taken),
                         count == 2 ? WEIR_OK : WEIR_ECORRUPT);
    }
    bytes_put_u32(record + 44, 2);
    bytes_put_u32(record + 40, bytes - 8);
    assert_int_equal(addresses_restore(&table, record, bytes, &taken), WEIR_ECORRUPT);
    bytes_put_u32(record + 40, bytes + 8);
    assert_int_equal(addresses_restore(&table, record, bytes, &taken), WEIR_ECORRUPT);
}

static void who_was_never_named_is_not_found(void **state) {
    (void)state;
    struct entry_address found;
    assert_false(addresses_find(&table, 1, &found));
    set(2, "two", 2);
    assert_false(addresses_find(&table, 1, &found));
    assert_int_equal(addresses_record_bytes(&(struct addresses){0}), 0);
}

static void the_latest_one_of_a_member_counts(void **state) {
    (void)state;
    set(1, "one", 1);
    set(2, "two", 2);
    set(1, "another", 65535);
    assert_true(is(1, "another", 65535));
    assert_true(is(2, "two", 2));
}

static void when_there_is_no_room_the_one_written_the_longest_ago_goes(void **state) {
    (void)state;
    for (uint64_t id = 1; id <= ADDRESSES_MAX; id++) {
        set(id, "host", (uint16_t)id);
    }
    set(1, "host", 100); /* now 2 is the oldest */
    set(77, "new", 1);
    struct entry_address found;
    assert_false(addresses_find(&table, 2, &found));
    assert_true(is(1, "host", 100));
    assert_true(is(77, "new", 1));
}

static void a_record_brings_back_all_and_which_is_the_oldest(void **state) {
    (void)state;
    for (uint64_t id = 1; id <= ADDRESSES_MAX; id++) {
        set(id, id % 2 == 0 ? "fd00::1" : "a.name", (uint16_t)id);
    }
    set(1, "host", 100);
    uint32_t bytes = addresses_record_bytes(&table);
    addresses_record_write(&table, record);
    assert_true(addresses_record_is(record, bytes));
    (void)empty(NULL);
    set(9, "before", 9);
    size_t taken = 0;
    assert_int_equal(addresses_restore(&table, record, bytes, &taken), WEIR_OK);
    assert_int_equal(taken, bytes);
    assert_true(is(1, "host", 100) && is(2, "fd00::1", 2) && is(9, "a.name", 9));
    uint8_t again[ADDRESSES_RECORD_BYTES_MAX];
    addresses_record_write(&table, again);
    assert_memory_equal(again, record, bytes);
    set(77, "new", 1);
    struct entry_address found;
    assert_false(addresses_find(&table, 2, &found));
}

static void a_row_that_a_restored_record_emptied_is_in_no_record(void **state) {
    (void)state;
    set(1, "one", 1);
    uint32_t bytes = addresses_record_bytes(&table);
    addresses_record_write(&table, record);
    set(2, "two", 2);
    set(3, "three", 3);
    size_t taken = 0;
    assert_int_equal(addresses_restore(&table, record, bytes, &taken), WEIR_OK);
    uint8_t again[ADDRESSES_RECORD_BYTES_MAX];
    assert_int_equal(addresses_record_bytes(&table), bytes);
    addresses_record_write(&table, again);
    assert_memory_equal(again, record, bytes);
}

enum { CHANGES = 500000 };
static uint32_t done;

/* Every address that it writes has a host that follows from its port. */
static void *writer(void *argument) {
    (void)argument;
    for (uint32_t i = 1; i <= CHANGES; i++) {
        char host[16];
        uint16_t port = (uint16_t)(i % UINT16_MAX + 1);
        snprintf(host, sizeof(host), "host%u", port);
        set(2, host, port);
    }
    atomic_store_release_u32(&done, 1);
    return NULL;
}

static void a_reader_never_sees_half_of_one(void **state) {
    (void)state;
    pthread_t thread;
    uint32_t seen = 0;
    done = 0;
    assert_int_equal(pthread_create(&thread, NULL, writer, NULL), 0);
    for (uint32_t over = 0; over == 0 || seen == 0;) {
        over = atomic_load_acquire_u32(&done); /* at least one look comes after the end */
        struct entry_address found;
        if (addresses_find(&table, 2, &found)) {
            char host[16];
            snprintf(host, sizeof(host), "host%u", found.port);
            assert_string_equal(found.host, host);
            seen++;
        }
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(seen > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_record_cut_at_any_byte_or_with_another_length_is_refused, empty),
        cmocka_unit_test_setup(who_was_never_named_is_not_found, empty),
        cmocka_unit_test_setup(the_latest_one_of_a_member_counts, empty),
        cmocka_unit_test_setup(a_row_that_a_restored_record_emptied_is_in_no_record, empty),
        cmocka_unit_test_setup(when_there_is_no_room_the_one_written_the_longest_ago_goes, empty),
        cmocka_unit_test_setup(a_record_brings_back_all_and_which_is_the_oldest, empty),
        cmocka_unit_test_setup(a_reader_never_sees_half_of_one, empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
