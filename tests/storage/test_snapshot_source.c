/* Pieces of a snapshot file, read for members: what is not there, empty pieces, and all others. */

#include <string.h>

#include "base/error.h"
#include "sim/world.h"
#include "storage/files.h"
#include "storage/snapshot_format.h"
#include "storage/snapshot_source.h"
#include "tests/cmocka_wrapper.h"
#include "tests/storage/fixture.h"

enum { INDEX = 12, PAYLOAD_BYTES = 5000, PIECE_BYTES = 4096 };

static const char path[] = "data";
static struct world *world;
static struct fixture fixture;
static struct snapshot_source *source;
static _Alignas(4096) uint8_t file[SNAPSHOT_HEADER_BYTES + 2 * SNAPSHOT_PAYLOAD_BYTES_MAX];
static uint64_t file_bytes;

static int begin(void **state) {
    (void)state;
    struct world_options options = world_options_calm();
    world = world_create(1, &options);
    fixture_open(&fixture, world_io(world, world_node_add(world)), path, true);
    struct owner owner = owner_of(&fixture.identity);
    const struct snapshot_meta meta = {
        .tail = {.index = INDEX, .term = 2, .log_time_ms = 5, .chain = 7},
        .configuration = {.member_count = 1,
                          .members = {{.node_id = 9, .roles = CONFIGURATION_VOTER}}},
        .genesis = {.hash_seed = 42, .partition_count = 4},
        .machine_name = "test",
        .machine_version = 1,
    };
    const uint64_t seed = snapshot_header_write(file, &owner, &meta);
    const struct snapshot_block header = {.payload_bytes = PAYLOAD_BYTES, .last = true};
    memset(file + SNAPSHOT_HEADER_BYTES + SNAPSHOT_BLOCK_HEADER_BYTES, 'x', PAYLOAD_BYTES);
    (void)snapshot_block_seal(file + SNAPSHOT_HEADER_BYTES, &header, seed);
    file_bytes = SNAPSHOT_HEADER_BYTES + snapshot_block_stride(PAYLOAD_BYTES);
    char name[FILE_NAME_BYTES];
    snapshot_name(name, INDEX);
    world_file_put(world, 0, path, name, file, file_bytes);
    assert_int_equal(snapshot_source_create(&source, fixture.io, fixture.port, fixture.directory,
                                            &fixture.identity, PIECE_BYTES),
                     0);
    return 0;
}

static int end(void **state) {
    (void)state;
    snapshot_source_destroy(source);
    fixture_close(&fixture);
    world_destroy(world);
    return 0;
}

static struct snapshot_source_piece piece_of(uint64_t index, uint64_t offset, uint32_t length) {
    struct snapshot_source_piece piece;
    snapshot_source_read(source, index, offset, length);
    while (!snapshot_source_result(source, &piece)) {
        const struct io_completion completion = io_wait(fixture.port);
        assert_true(snapshot_source_completion(source, &completion));
    }
    assert_true(snapshot_source_idle(source));
    return piece;
}

static void a_file_that_is_not_there_is_an_error_and_the_next_read_works(void **state) {
    (void)state;
    assert_null(piece_of(INDEX + 1, 0, 8).bytes);
    assert_non_null(piece_of(INDEX, 0, 8).bytes);
}

/* Whoever was sent everything, and does not say that it is installed, is asked again like this. */
static void an_empty_piece_reads_the_header_only(void **state) {
    (void)state;
    for (uint32_t i = 0; i < 2; i++) { /* opened for it, and open already */
        const struct snapshot_source_piece piece = piece_of(INDEX, file_bytes, 0);
        assert_non_null(piece.bytes);
        assert_int_equal(piece.file_bytes, file_bytes);
        assert_int_equal(piece.configuration->members[0].node_id, 9);
    }
    assert_null(piece_of(INDEX + 1, file_bytes, 0).bytes);
}

static void pieces_make_up_the_file(void **state) {
    (void)state;
    for (uint64_t offset = 0; offset < file_bytes; offset += PIECE_BYTES) {
        const struct snapshot_source_piece piece = piece_of(INDEX, offset, PIECE_BYTES);
        assert_memory_equal(piece.bytes, file + offset, PIECE_BYTES);
    }
    const struct snapshot_source_piece piece = piece_of(INDEX, 3, 5);
    static const uint8_t zeros[3];
    assert_memory_equal(piece.bytes, file + 3, 5);
    assert_memory_equal(piece.bytes + 5, zeros, sizeof(zeros));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_file_that_is_not_there_is_an_error_and_the_next_read_works, begin, end),
        cmocka_unit_test_setup_teardown(an_empty_piece_reads_the_header_only, begin, end),
        cmocka_unit_test_setup_teardown(pieces_make_up_the_file, begin, end),
    };
    return cmocka_run_group_tests_name("storage_snapshot_source", tests, NULL, NULL);
}
