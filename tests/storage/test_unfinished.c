/*
 * A creation of a data directory that is cut, by SIGKILL or with the power, at every step of the
 * disk, is made anew or whole, also if that is cut again; and a directory that was used and has
 * lost its identity is never taken for one.
 */

#include "tests/storage/fixture.h"

#include "base/bytes.h"
#include "sim/world.h"
#include "storage/files.h"
#include "storage/format.h"

#include <stdlib.h>
#include <string.h>

static const char path[] = "data";
static const char first_segment[] = "log-0000000000000001";
static struct world *world;

static const struct configuration one = {
    .member_count = 1,
    .members = {{.node_id = 1, .roles = CONFIGURATION_VOTER}},
};
static const struct configuration two = {
    .member_count = 2,
    .members = {{.node_id = 1, .roles = CONFIGURATION_VOTER},
                {.node_id = 2, .roles = CONFIGURATION_VOTER}},
};

static void world_begin(uint64_t seed) {
    const struct world_options options = world_options_rough();
    world = world_create(seed, &options);
    world_node_add(world);
}

static int32_t directory_open(void) {
    struct error_text error;
    int32_t directory = -1;
    if (io_directory_open(world_io(world, 0), path, true, &directory, &error) != 0)
        fail_msg("%s", error.text);
    return directory;
}

static int create(int32_t directory, const struct configuration *members, struct identity *identity,
                  struct error_text *error) {
    return identity_create(world_io(world, 0), directory, "blue", 1, members, identity, error);
}

/* ---- cut at every step -------------------------------------------------------------------- */

struct counts {
    uint32_t whole;
    uint32_t empty;
    uint32_t unfinished;
    uint32_t complete; /* the disk was never cut */
};

/* Three power cuts, and SIGKILL, which leaves what was written and not synced. */
static void cut(uint32_t sort) {
    if (sort == 3)
        world_kill(world, 0);
    else
        world_crash(world, 0, (enum world_power_cut)sort);
}

static void entry_1_is_there(void) {
    struct fixture fixture;
    fixture_open(&fixture, world_io(world, 0), path, false);
    if (fixture_log_open(&fixture, NULL) != 0)
        fail_msg("%s", fixture.error.text);
    assert_true(log_last_index(fixture.log) == 1);
    fixture_log_stop(&fixture);
}

/* One creation that is cut after so many steps; then again, after others; then one that is not. */
static void create_and_cut(const uint64_t steps[2], uint32_t sort,
                           const struct configuration *members, struct counts *counts) {
    struct error_text error;
    struct identity identity;
    struct identity found;
    const uint64_t cluster_id = identity_cluster_id("blue", members);
    bool was_whole = false;
    uint64_t incarnation = 0;
    for (uint32_t i = 0; i < 3; i++) {
        int32_t directory = directory_open();
        int result = identity_load(world_io(world, 0), directory, &found, &error);
        counts->whole += result == 0;
        counts->unfinished += result == WEIR_ENOENT && found.cluster_id != 0;
        counts->empty += result == WEIR_ENOENT && found.cluster_id == 0;
        if (result != 0 && result != WEIR_ENOENT)
            fail_msg("start %u, cut after %llu and %llu steps: %s", i, (unsigned long long)steps[0],
                     (unsigned long long)steps[1], error.text);
        assert_true(found.cluster_id == 0 || found.cluster_id == cluster_id);
        assert_true(!was_whole || (result == 0 && found.incarnation == incarnation));
        if (result == 0) {
            was_whole = true;
            incarnation = found.incarnation;
            continue;
        }
        world_disk_die_after(world, 0, i < 2 ? steps[i] : UINT64_MAX);
        if (create(directory, members, &identity, &error) == 0) {
            was_whole = true;
            incarnation = identity.incarnation;
            counts->complete += i == 0;
        }
        if (i < 2)
            cut(sort);
    }
    assert_true(was_whole);
    entry_1_is_there();
}

static void a_creation_that_was_cut_is_made_anew_or_whole(void **state) {
    (void)state;
    struct counts counts = {0};
    uint64_t seed = 1;
    for (uint64_t step = 0; counts.complete < 40; step++) {
        for (uint32_t round = 0; round < 24; round++, seed++) {
            const uint64_t steps[2] = {step, (step * 5 + round * 7) % 29};
            world_begin(seed);
            create_and_cut(steps, round % 4, round % 8 < 4 ? &one : &two, &counts);
            world_destroy(world);
            fixture_open_count = 0;
        }
    }
    assert_true(counts.whole > 100 && counts.empty > 100 && counts.unfinished > 100);
}

/* ---- what was used ------------------------------------------------------------------------ */

static void remove_name(int32_t directory, const char *name) {
    struct io *io = world_io(world, 0);
    struct io_port *port;
    struct error_text error;
    assert_int_equal(io_port_create(io, &port, FILES_OPERATIONS_MAX), 0);
    assert_int_equal(files_remove(port, directory, name, &error), 0);
    io_port_destroy(port);
}

/* What tells of a life, or is not what a creation leaves. */
static void store_term_2(int32_t directory, const struct identity *identity) {
    struct io *io = world_io(world, 0);
    struct io_port *port;
    struct vote_file *file;
    struct vote_record record;
    struct error_text error;
    bool stored = false;
    int failed = 0;
    assert_int_equal(io_port_create(io, &port, FILES_OPERATIONS_MAX), 0);
    assert_int_equal(vote_open(&file, io, port, directory, identity, &record, &error), 0);
    record.term = 2;
    vote_store(file, &record);
    while (!stored) {
        const struct io_completion completion = io_wait(port);
        assert_true(vote_completion(file, &completion, &stored, &failed) && failed == 0);
    }
    vote_close(file);
    io_port_destroy(port);
}

static void know_an_incarnation(int32_t directory, const struct identity *identity) {
    (void)directory;
    (void)identity;
    world_file_flip(world, 0, path, FILE_NAME_INCARNATIONS, 40, 1);
}

static void begin_a_second_segment(int32_t directory, const struct identity *identity) {
    (void)directory;
    (void)identity;
    world_file_put(world, 0, path, "log-0000000000000002", (const uint8_t *)"", 1);
}

static void take_a_snapshot(int32_t directory, const struct identity *identity) {
    (void)directory;
    (void)identity;
    world_file_put(world, 0, path, "snapshot-0000000000000001", (const uint8_t *)"x", 1);
}

static void begin_a_snapshot(int32_t directory, const struct identity *identity) {
    (void)directory;
    (void)identity;
    world_file_put(world, 0, path, FILE_NAME_SNAPSHOT_PARTIAL, (const uint8_t *)"x", 1);
}

static void write_behind_entry_1(int32_t directory, const struct identity *identity) {
    (void)directory;
    (void)identity;
    world_file_flip(world, 0, path, first_segment, 4096 + 4096 + 9, 1);
}

static void lose_the_vote(int32_t directory, const struct identity *identity) {
    (void)identity;
    remove_name(directory, FILE_NAME_VOTE);
}

static void damage_a_slot(int32_t directory, const struct identity *identity) {
    (void)directory;
    (void)identity;
    world_file_flip(world, 0, path, FILE_NAME_VOTE, 4096 + 50, 1);
}

static void damage_the_segments_header(int32_t directory, const struct identity *identity) {
    (void)directory;
    (void)identity;
    world_file_flip(world, 0, path, first_segment, 30, 1);
}

static void a_directory_that_was_used_is_refused(void **state) {
    (void)state;
    static void (*const uses[])(int32_t, const struct identity *) = {
        NULL, /* nothing: this one was not */
        store_term_2,
        know_an_incarnation,
        begin_a_second_segment,
        take_a_snapshot,
        begin_a_snapshot,
        write_behind_entry_1,
        lose_the_vote,
        damage_a_slot,
        damage_the_segments_header,
    };
    for (size_t i = 0; i < ARRAY_COUNT(uses); i++) {
        struct identity identity;
        struct identity found;
        struct error_text error;
        uint64_t length_bytes = 0;
        world_begin(i);
        const int32_t directory = directory_open();
        assert_int_equal(create(directory, &two, &identity, &error), 0);
        if (uses[i] != NULL)
            uses[i](directory, &identity);
        remove_name(directory, FILE_NAME_IDENTITY);
        const int loaded = identity_load(world_io(world, 0), directory, &found, &error);
        assert_int_equal(loaded, uses[i] == NULL ? WEIR_ENOENT : WEIR_ECORRUPT);
        assert_non_null(strstr(error.text, uses[i] == NULL ? "interrupted" : "it was used"));
        const int created = create(directory, &two, &found, &error);
        assert_int_equal(created, uses[i] == NULL ? 0 : WEIR_EEXISTS);
        assert_non_null(world_file_bytes(world, 0, path, first_segment, &length_bytes));
        world_destroy(world);
    }
}

static void what_belongs_to_others_stays(void **state) {
    (void)state;
    struct identity identity;
    struct error_text error;
    uint64_t length_bytes = 0;
    world_begin(1);
    const int32_t directory = directory_open();
    world_file_put(world, 0, path, "notes", (const uint8_t *)"mine", 4);
    world_file_put(world, 0, path, FILE_NAME_IDENTITY_PARTIAL, (const uint8_t *)"x", 1);
    assert_int_equal(create(directory, &one, &identity, &error), 0);
    assert_non_null(world_file_bytes(world, 0, path, "notes", &length_bytes));
    assert_true(length_bytes == 4);
    world_destroy(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_directory_that_was_used_is_refused),
        cmocka_unit_test(what_belongs_to_others_stays),
        cmocka_unit_test(a_creation_that_was_cut_is_made_anew_or_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
