/*
 * The log on a real file system through io_uring: what the simulated disk cannot vouch for.
 * WEIR_TEST_IO_FEATURES=none runs it without the features beyond the floor.
 */

#include "tests/storage/fixture.h"

#include "base/random.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[4096];
static struct io *io;

static uint32_t features_allowed(void) {
    const char *value = getenv("WEIR_TEST_IO_FEATURES");
    return value != NULL && strcmp(value, "none") == 0 ? 0 : IO_FEATURES_ALL;
}

/* The scratch directory is beside the build: a real disk, not a tmpfs, where there is one. */
static int scratch_make(void **state) {
    (void)state;
    const char *base = getenv("WEIR_BINARY_DIR");
    snprintf(path, sizeof(path), "%s/storage-test-XXXXXX", base == NULL ? "/tmp" : base);
    struct error_text error;
    const struct io_options options = {
        .submissions_max = 64, .completions_max = 128, .features_allowed = features_allowed()};
    return mkdtemp(path) == NULL || io_create(&io, &options, &error) != 0;
}

static int scratch_remove(void **state) {
    (void)state;
    if (fixture_open_count == 0) /* otherwise the test failed, and the door is still in use */
        io_destroy(io);
    DIR *directory = opendir(path);
    if (directory == NULL)
        return -1;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char name[8192];
        snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        if (entry->d_name[0] != '.')
            unlink(name);
    }
    closedir(directory);
    return rmdir(path);
}

static void a_new_directory_holds_entry_one(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, io, path, true);
    assert_int_equal(fixture_log_open(&fixture, NULL), 0);
    assert_true(log_first_index(fixture.log) == 1);
    assert_true(log_last_index(fixture.log) == 1);
    assert_true(log_durable_index(fixture.log) == 1);
    assert_true(log_term(fixture.log, 1) == 1);
    assert_null(log_entry(fixture.log, 1));
    fixture_log_stop(&fixture);
    fixture_close(&fixture);
}

static void what_was_durable_is_found_again(void **state) {
    (void)state;
    struct fixture fixture;
    struct random random;
    random_seed(&random, 7);
    fixture_open(&fixture, io, path, true);
    uint64_t expected = 1;
    /* Several lives, each long enough for segments to roll, writes to wrap and to queue. */
    for (int life = 0; life < 4; life++) {
        if (fixture_log_open(&fixture, NULL) != 0)
            fail_msg("%s", fixture.error.text);
        assert_true(log_last_index(fixture.log) == expected);
        for (int i = 0; i < 1000; i++) {
            const uint32_t bytes = random_chance(&random, 1, 50)
                                       ? (uint32_t)random_below(&random, 200 * 1024)
                                       : (uint32_t)random_below(&random, 500);
            fixture_append_surely(&fixture, bytes);
            if (random_chance(&random, 1, 10))
                log_flush(fixture.log);
            if (random_chance(&random, 1, 100))
                fixture_settle(&fixture);
            assert_true(fixture_entry_is_right(log_entry(fixture.log, log_last_index(fixture.log)),
                                               log_last_index(fixture.log)));
        }
        fixture_settle(&fixture);
        expected = log_last_index(fixture.log);
        struct log_counters counters;
        log_counters(fixture.log, &counters);
        assert_true(counters.segments > 2);
        assert_true(counters.entries == 1000);
        fixture_log_stop(&fixture);
    }
    fixture_close(&fixture);
}

static void a_lagging_reader_reads_from_disk(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, io, path, true);
    assert_int_equal(fixture_log_open(&fixture, NULL), 0);
    for (uint32_t i = 0; i < 3000; i++)
        fixture_append_surely(&fixture, i % 100 == 0 ? 100 * 1024 : i % 1000);
    fixture_settle(&fixture);
    const size_t buffer_bytes = 300 * 1024;
    uint8_t *buffer = aligned_alloc(4096, buffer_bytes);
    uint64_t next = 2;
    while (next <= log_last_index(fixture.log)) {
        uint64_t first_index;
        uint32_t count;
        size_t length_bytes;
        int error;
        log_read(fixture.log, next, buffer, buffer_bytes);
        while (!log_read_result(fixture.log, &first_index, &count, &length_bytes, &error))
            fixture_complete_one(&fixture);
        assert_int_equal(error, 0);
        assert_true(first_index == next && count > 0);
        const uint8_t *entry = buffer;
        for (uint32_t i = 0; i < count; i++) {
            assert_true(fixture_entry_is_right(entry, next++));
            entry += entry_stride_bytes(entry_header_read(entry).length_bytes);
        }
        assert_true((size_t)(entry - buffer) == length_bytes);
    }
    free(buffer);
    fixture_log_stop(&fixture);
    fixture_close(&fixture);
}

static void term_and_vote_are_found_again(void **state) {
    (void)state;
    struct fixture fixture;
    struct vote_file *file;
    struct vote_record record;
    fixture_open(&fixture, io, path, true);
    for (uint64_t term = 1; term < 5; term++) {
        assert_int_equal(vote_open(&file, io, fixture.port, fixture.directory, &fixture.identity,
                                   &record, &fixture.error),
                         0);
        assert_true(record.term == term && record.voted_for == (term == 1 ? 0 : term * 10));
        record = (struct vote_record){.term = term + 1, .voted_for = (term + 1) * 10};
        vote_store(file, &record);
        bool stored = false;
        int failed = 0;
        while (!stored) {
            const struct io_completion completion = io_wait(fixture.port);
            assert_true(vote_completion(file, &completion, &stored, &failed));
            assert_int_equal(failed, 0);
        }
        vote_close(file);
    }
    fixture_close(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_new_directory_holds_entry_one, scratch_make,
                                        scratch_remove),
        cmocka_unit_test_setup_teardown(what_was_durable_is_found_again, scratch_make,
                                        scratch_remove),
        cmocka_unit_test_setup_teardown(a_lagging_reader_reads_from_disk, scratch_make,
                                        scratch_remove),
        cmocka_unit_test_setup_teardown(term_and_vote_are_found_again, scratch_make,
                                        scratch_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
