/* The contract of files and directories. */

#include "tests/io/door_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { USER_A = 0xa, USER_B = 0xb };

/* Memory that any file's alignment accepts. */
static uint8_t *aligned(size_t length_bytes) {
    uint8_t *memory = aligned_alloc(4096, (length_bytes + 4095) / 4096 * 4096);
    assert_non_null(memory);
    memset(memory, 0xee, length_bytes);
    return memory;
}

static void directory_open_says_what_is_in_the_way(void **state) {
    struct door_fixture *fixture = *state;
    char path[512];
    int32_t directory = door_directory(fixture, path, "open");
    char below[600];
    struct error_text error = {0};
    int32_t handle = -7;
    snprintf(below, sizeof(below), "%s/missing", path);
    assert_int_equal(io_directory_open(fixture->io, below, false, &handle, &error), WEIR_ENOENT);
    assert_non_null(strstr(error.text, below));
    snprintf(below, sizeof(below), "%s/missing/child", path);
    assert_int_equal(io_directory_open(fixture->io, below, true, &handle, &error), WEIR_ENOENT);
    assert_int_equal(handle, -7);

    int32_t file = door_file_open(fixture, directory, "file", IO_OPEN_WRITE | IO_OPEN_CREATE);
    assert_true(file >= 0);
    snprintf(below, sizeof(below), "%s/file", path);
    assert_int_equal(io_directory_open(fixture->io, below, true, &handle, &error), WEIR_EEXISTS);
    io_close(fixture->io, file);
    io_close(fixture->io, directory);
}

static void directory_lock_is_exclusive_until_closed(void **state) {
    struct door_fixture *fixture = *state;
    char path[512];
    int32_t first = door_directory(fixture, path, "lock");
    int32_t second = door_directory(fixture, path, "lock");
    struct error_text error = {0};
    assert_int_equal(io_directory_lock(fixture->io, first, &error), 0);
    assert_int_equal(io_directory_lock(fixture->io, second, &error), WEIR_ELOCKED);
    assert_true(strlen(error.text) > 0);
    io_close(fixture->io, first);
    assert_int_equal(io_directory_lock(fixture->io, second, &error), 0);
    io_close(fixture->io, second);
}

struct listing {
    int files;
    int directories;
    int others;
    uint64_t size_bytes;
};

static void list_one(void *context, const char *name, uint64_t size_bytes,
                     enum io_entry_sort sort) {
    struct listing *listing = context;
    assert_int_not_equal(name[0], '.');
    listing->files += sort == IO_ENTRY_FILE;
    listing->directories += sort == IO_ENTRY_DIRECTORY;
    listing->others += sort == IO_ENTRY_OTHER;
    if (sort == IO_ENTRY_FILE)
        listing->size_bytes += size_bytes;
}

static void directory_list_names_every_entry(void **state) {
    struct door_fixture *fixture = *state;
    char path[512];
    int32_t directory = door_directory(fixture, path, "list");
    for (int i = 0; i < 3; i++) {
        char name[16];
        snprintf(name, sizeof(name), "file%d", i);
        int32_t file = door_file_open(fixture, directory, name, IO_OPEN_WRITE | IO_OPEN_CREATE);
        assert_true(file >= 0);
        io_file_allocate(fixture->port, file, 1000u * (uint32_t)(i + 1), USER_A);
        assert_int_equal(door_expect(fixture, IO_FILE_ALLOCATE, USER_A).result, 0);
        io_close(fixture->io, file);
    }
    fixture->kind->obstruct(path, "link", DOOR_SYMBOLIC_LINK);
    fixture->kind->obstruct(path, "directory", DOOR_DIRECTORY);
    struct listing listing = {0};
    assert_int_equal(io_directory_list(fixture->io, directory, list_one, &listing), 0);
    assert_int_equal(listing.files, 3);
    assert_int_equal(listing.directories, 1);
    assert_int_equal(listing.others, 1);
    assert_int_equal(listing.size_bytes, 6000);
    io_close(fixture->io, directory);
}

static void open_refuses_all_but_regular_files(void **state) {
    struct door_fixture *fixture = *state;
    char path[512];
    int32_t directory = door_directory(fixture, path, "refuse");
    fixture->kind->obstruct(path, "link", DOOR_SYMBOLIC_LINK);
    fixture->kind->obstruct(path, "directory", DOOR_DIRECTORY);
    fixture->kind->obstruct(path, "pipe", DOOR_PIPE);
    static const uint32_t FLAGS[] = {IO_OPEN_READ, IO_OPEN_WRITE, IO_OPEN_READ | IO_OPEN_DIRECT};
    for (size_t i = 0; i < sizeof(FLAGS) / sizeof(FLAGS[0]); i++) {
        assert_int_equal(door_file_open(fixture, directory, "link", FLAGS[i]), -ELOOP);
        assert_int_equal(door_file_open(fixture, directory, "directory", FLAGS[i]), -EINVAL);
        assert_int_equal(door_file_open(fixture, directory, "pipe", FLAGS[i]), -EINVAL);
        assert_int_equal(door_file_open(fixture, directory, "missing", FLAGS[i]), -ENOENT);
    }
    uint32_t create = IO_OPEN_WRITE | IO_OPEN_CREATE;
    assert_int_equal(door_file_open(fixture, directory, "link", create), -EEXIST);
    int32_t file = door_file_open(fixture, directory, "file", create);
    assert_true(file >= 0);
    assert_int_equal(door_file_open(fixture, directory, "file", create), -EEXIST);
    io_close(fixture->io, file);
    io_close(fixture->io, directory);
}

/* Writes three pieces, reads them back through another handle. */
static void write_and_read_back(struct door_fixture *fixture, const char *name, uint32_t flags,
                                enum io_sync sync) {
    char path[512];
    int32_t directory = door_directory(fixture, path, name);
    int32_t file =
        door_file_open(fixture, directory, "log", IO_OPEN_WRITE | IO_OPEN_CREATE | flags);
    assert_true(file >= 0);
    uint32_t unit = io_file_alignment_bytes(fixture->io, file);
    assert_true(unit >= 512 && unit <= 4096 && (unit & (unit - 1)) == 0);
    enum { PIECES = 3 };
    size_t length = (1 + 2 + 3) * (size_t)unit;
    uint8_t *bytes = aligned(length);
    for (size_t i = 0; i < length; i++)
        bytes[i] = door_pattern(i);
    struct iovec pieces[PIECES] = {
        {bytes, unit}, {bytes + unit, 2 * unit}, {bytes + 3 * unit, 3 * unit}};
    io_file_write(fixture->port, file, pieces, PIECES, unit, sync, USER_A);
    assert_int_equal(door_expect(fixture, IO_FILE_WRITE, USER_A).result, length);
    assert_int_equal(io_file_size_bytes(fixture->io, file), unit + length);
    if (sync == IO_NO_SYNC) {
        io_file_sync(fixture->port, file, USER_B);
        assert_int_equal(door_expect(fixture, IO_FILE_SYNC, USER_B).result, 0);
    }
    io_close(fixture->io, file);

    file = door_file_open(fixture, directory, "log", IO_OPEN_READ | flags);
    assert_true(file >= 0);
    uint8_t *back = aligned(2 * length);
    io_file_read(fixture->port, file, back, 2 * length, 0, USER_A);
    assert_int_equal(door_expect(fixture, IO_FILE_READ, USER_A).result, unit + length);
    for (size_t i = 0; i < unit; i++)
        assert_int_equal(back[i], 0); /* never written */
    assert_memory_equal(back + unit, bytes, length);
    io_file_read(fixture->port, file, back, unit, 16 * (uint64_t)unit, USER_A);
    assert_int_equal(door_expect(fixture, IO_FILE_READ, USER_A).result, 0); /* behind the end */
    io_close(fixture->io, file);
    io_close(fixture->io, directory);
    free(back);
    free(bytes);
}

static void synced_write_reads_back(void **state) {
    write_and_read_back(*state, "synced", 0, IO_SYNC);
}

static void direct_synced_write_reads_back(void **state) {
    write_and_read_back(*state, "direct", IO_OPEN_DIRECT, IO_SYNC);
}

static void rewritten_range_reads_back(void **state) {
    write_and_read_back(*state, "rewritten", IO_OPEN_DIRECT, IO_SYNC_REWRITE);
}

static void unsynced_write_reads_back(void **state) {
    write_and_read_back(*state, "unsynced", 0, IO_NO_SYNC);
}

static void unaligned_bytes_pass_through_the_page_cache(void **state) {
    struct door_fixture *fixture = *state;
    char path[512];
    int32_t directory = door_directory(fixture, path, "unaligned");
    int32_t file = door_file_open(fixture, directory, "f", IO_OPEN_WRITE | IO_OPEN_CREATE);
    struct iovec piece = {(void *)(uintptr_t) "hello, world", 12};
    io_file_write(fixture->port, file, &piece, 1, 509, IO_SYNC, USER_A);
    assert_int_equal(door_expect(fixture, IO_FILE_WRITE, USER_A).result, 12);
    struct iovec over = {(void *)(uintptr_t) "J", 1};
    io_file_write(fixture->port, file, &over, 1, 509, IO_NO_SYNC, USER_A);
    assert_int_equal(door_expect(fixture, IO_FILE_WRITE, USER_A).result, 1);
    char back[64] = {0};
    io_file_read(fixture->port, file, back, sizeof(back), 509, USER_A);
    assert_int_equal(door_expect(fixture, IO_FILE_READ, USER_A).result, 12);
    assert_string_equal(back, "Jello, world");
    io_close(fixture->io, file);
    io_close(fixture->io, directory);
}

static void write_to_a_file_opened_for_reading_fails(void **state) {
    struct door_fixture *fixture = *state;
    char path[512];
    int32_t directory = door_directory(fixture, path, "readonly");
    int32_t file = door_file_open(fixture, directory, "f", IO_OPEN_WRITE | IO_OPEN_CREATE);
    io_close(fixture->io, file);
    file = door_file_open(fixture, directory, "f", IO_OPEN_READ);
    assert_true(file >= 0);
    struct iovec piece = {(void *)(uintptr_t) "x", 1};
    io_file_write(fixture->port, file, &piece, 1, 0, IO_SYNC, USER_A);
    assert_int_equal(door_expect(fixture, IO_FILE_WRITE, USER_A).result, -EBADF);
    io_close(fixture->io, file);
    io_close(fixture->io, directory);
}

static void allocated_space_reads_as_zeros_and_keeps_what_was_there(void **state) {
    struct door_fixture *fixture = *state;
    enum { LENGTH = 64 * 1024 };
    char path[512];
    int32_t directory = door_directory(fixture, path, "allocate");
    int32_t file = door_file_open(fixture, directory, "f", IO_OPEN_WRITE | IO_OPEN_CREATE);
    struct iovec piece = {(void *)(uintptr_t) "kept", 4};
    io_file_write(fixture->port, file, &piece, 1, 0, IO_NO_SYNC, USER_A);
    assert_int_equal(door_expect(fixture, IO_FILE_WRITE, USER_A).result, 4);
    io_file_allocate(fixture->port, file, LENGTH, USER_B);
    assert_int_equal(door_expect(fixture, IO_FILE_ALLOCATE, USER_B).result, 0);
    assert_int_equal(io_file_size_bytes(fixture->io, file), LENGTH);
    io_file_allocate(fixture->port, file, 10, USER_B); /* never shorter */
    assert_int_equal(door_expect(fixture, IO_FILE_ALLOCATE, USER_B).result, 0);
    assert_int_equal(io_file_size_bytes(fixture->io, file), LENGTH);
    uint8_t *back = aligned(LENGTH);
    io_file_read(fixture->port, file, back, LENGTH, 0, USER_A);
    assert_int_equal(door_expect(fixture, IO_FILE_READ, USER_A).result, LENGTH);
    assert_memory_equal(back, "kept", 4);
    for (size_t i = 4; i < LENGTH; i++)
        assert_int_equal(back[i], 0);
    free(back);
    io_close(fixture->io, file);
    io_close(fixture->io, directory);
}

static void names_are_moved_replaced_and_removed(void **state) {
    struct door_fixture *fixture = *state;
    char path[512];
    int32_t directory = door_directory(fixture, path, "names");
    for (int i = 0; i < 2; i++) {
        const char *name = i == 0 ? "old" : "new";
        int32_t file = door_file_open(fixture, directory, name, IO_OPEN_WRITE | IO_OPEN_CREATE);
        struct iovec piece = {(void *)(uintptr_t)name, 3};
        io_file_write(fixture->port, file, &piece, 1, 0, IO_SYNC, USER_A);
        assert_int_equal(door_expect(fixture, IO_FILE_WRITE, USER_A).result, 3);
        io_close(fixture->io, file);
    }
    io_file_rename(fixture->port, directory, "missing", "old", USER_A);
    assert_int_equal(door_expect(fixture, IO_FILE_RENAME, USER_A).result, -ENOENT);
    io_file_rename(fixture->port, directory, "new", "old", USER_A);
    assert_int_equal(door_expect(fixture, IO_FILE_RENAME, USER_A).result, 0);
    io_directory_sync(fixture->port, directory, USER_B);
    assert_int_equal(door_expect(fixture, IO_DIRECTORY_SYNC, USER_B).result, 0);
    assert_int_equal(door_file_open(fixture, directory, "new", IO_OPEN_READ), -ENOENT);
    int32_t file = door_file_open(fixture, directory, "old", IO_OPEN_READ);
    assert_true(file >= 0);

    io_file_remove(fixture->port, directory, "old", USER_A);
    assert_int_equal(door_expect(fixture, IO_FILE_REMOVE, USER_A).result, 0);
    io_file_remove(fixture->port, directory, "old", USER_A);
    assert_int_equal(door_expect(fixture, IO_FILE_REMOVE, USER_A).result, -ENOENT);
    /* A name is not the file: what is open stays readable. */
    char back[4] = {0};
    io_file_read(fixture->port, file, back, 3, 0, USER_A);
    assert_int_equal(door_expect(fixture, IO_FILE_READ, USER_A).result, 3);
    assert_string_equal(back, "new");
    io_close(fixture->io, file);
    io_close(fixture->io, directory);
}

static void many_operations_at_once_complete_each_once(void **state) {
    struct door_fixture *fixture = *state;
    enum { COUNT = DOOR_OPERATIONS_MAX };
    char path[512];
    int32_t directory = door_directory(fixture, path, "many");
    int32_t file = door_file_open(fixture, directory, "f", IO_OPEN_WRITE | IO_OPEN_CREATE);
    uint8_t bytes[COUNT];
    struct iovec pieces[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        bytes[i] = door_pattern(i);
        pieces[i] = (struct iovec){&bytes[i], 1};
        io_file_write(fixture->port, file, &pieces[i], 1, i, IO_NO_SYNC, i);
    }
    assert_int_equal(io_outstanding(fixture->port), COUNT);
    uint64_t seen = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        struct io_completion completion = door_next(fixture);
        assert_int_equal(completion.result, 1);
        assert_false(seen & (UINT64_C(1) << completion.user));
        seen |= UINT64_C(1) << completion.user;
    }
    uint8_t back[COUNT];
    io_file_read(fixture->port, file, back, COUNT, 0, USER_A);
    assert_int_equal(io_wait(fixture->port).result, COUNT);
    assert_memory_equal(back, bytes, COUNT);
    io_close(fixture->io, file);
    io_close(fixture->io, directory);
}

const struct CMUnitTest door_file_tests[] = {
    cmocka_unit_test(directory_open_says_what_is_in_the_way),
    cmocka_unit_test(directory_lock_is_exclusive_until_closed),
    cmocka_unit_test(directory_list_names_every_entry),
    cmocka_unit_test(open_refuses_all_but_regular_files),
    cmocka_unit_test(synced_write_reads_back),
    cmocka_unit_test(direct_synced_write_reads_back),
    cmocka_unit_test(rewritten_range_reads_back),
    cmocka_unit_test(unsynced_write_reads_back),
    cmocka_unit_test(unaligned_bytes_pass_through_the_page_cache),
    cmocka_unit_test(write_to_a_file_opened_for_reading_fails),
    cmocka_unit_test(allocated_space_reads_as_zeros_and_keeps_what_was_there),
    cmocka_unit_test(names_are_moved_replaced_and_removed),
    cmocka_unit_test(many_operations_at_once_complete_each_once),
    {0},
};
