/*
 * Term and vote, and identity, on the simulated disk: cut at every step, with both slots, one or
 * none, and directories that are not what they should be.
 */

#include "tests/storage/fixture.h"

#include "base/bytes.h"
#include "sim/world.h"
#include "storage/identity_format.h"
#include "storage/vote_format.h"

#include <stdlib.h>
#include <string.h>

static const char path[] = "data";
static struct world *world;
static struct fixture fixture;

static void world_begin(uint64_t seed) {
    const struct world_options options = world_options_rough();
    world = world_create(seed, &options);
    world_node_add(world);
}

static void begin(uint64_t seed) {
    world_begin(seed);
    fixture_open(&fixture, world_io(world, 0), path, true);
}

static void restart(void) {
    fixture_open(&fixture, world_io(world, 0), path, false);
}

static void end(void) {
    world_destroy(world);
    fixture_open_count = 0;
}

static int open_vote(struct vote_file **file, struct vote_record *record) {
    return vote_open(file, fixture.io, fixture.port, fixture.directory, &fixture.identity, record,
                     &fixture.error);
}

/* Stores one record; 0 or the negative errno that ended it. */
static int store(struct vote_file *file, uint64_t term, uint64_t voted_for) {
    const struct vote_record record = {.term = term, .voted_for = voted_for};
    bool stored = false;
    int failed = 0;
    vote_store(file, &record);
    while (!stored && failed == 0) {
        assert_true(vote_busy(file));
        const struct io_completion completion = io_wait(fixture.port);
        assert_true(vote_completion(file, &completion, &stored, &failed));
    }
    assert_false(vote_busy(file));
    return failed;
}

/* S1: a vote that was stored is never forgotten; one that was not is there or is not, whole. */
static void a_power_cut_leaves_the_old_or_the_new_vote(void **state) {
    (void)state;
    uint32_t old_count = 0;
    uint32_t new_count = 0;
    uint32_t complete_count = 0;
    for (uint64_t cut = 0; complete_count < 60; cut++) {
        for (uint32_t round = 0; round < 30; round++) {
            struct vote_file *file;
            struct vote_record record;
            begin(cut * 30 + round);
            assert_int_equal(open_vote(&file, &record), 0);
            assert_int_equal(store(file, 5, 1), 0);
            world_disk_die_after(world, 0, cut);
            const int failed = store(file, 6, 2);
            vote_close(file);
            world_crash(world, 0, (enum world_power_cut)(round % 3));
            restart();
            /* Recovery is cut as well, and must not lose what it found. */
            world_disk_die_after(world, 0, round % 4);
            const int result = open_vote(&file, &record);
            if (result == 0)
                vote_close(file);
            else
                assert_int_equal(result, WEIR_EIO);
            world_crash(world, 0, WORLD_KEEP_RANDOM);
            restart();
            struct vote_record again;
            assert_int_equal(open_vote(&file, &again), 0);
            assert_true(again.term == 5 || again.term == 6);
            assert_true(again.voted_for == again.term - 4);
            assert_true(failed != 0 || again.term == 6);
            /* What was answered after the first start is the answer after the second. */
            assert_true(result != 0 || again.term == record.term);
            assert_int_equal(store(file, 7, 3), 0);
            vote_close(file);
            complete_count += failed == 0;
            old_count += again.term == 5;
            new_count += again.term == 6;
            end();
        }
    }
    assert_true(old_count > 20 && new_count > complete_count);
}

/* One slot damaged in any byte of its sector: the other one serves, and both are right again. */
static void one_damaged_slot_is_rewritten_from_the_other(void **state) {
    (void)state;
    for (uint64_t slot = 0; slot < 2; slot++) {
        for (uint64_t at = 0; at < SECTOR_BYTES; at += 37) {
            struct vote_file *file;
            struct vote_record record;
            begin(at);
            assert_int_equal(open_vote(&file, &record), 0);
            assert_int_equal(store(file, 9, 4), 0);
            vote_close(file);
            world_file_flip(world, 0, path, FILE_NAME_VOTE, slot * VOTE_SLOT_BYTES + at, 0x10);
            assert_int_equal(open_vote(&file, &record), 0);
            assert_true(record.term == 9 && record.voted_for == 4);
            vote_close(file);
            /* The other one may go now. */
            world_file_flip(world, 0, path, FILE_NAME_VOTE, (1 - slot) * VOTE_SLOT_BYTES + at,
                            0x10);
            assert_int_equal(open_vote(&file, &record), 0);
            assert_true(record.term == 9 && record.voted_for == 4);
            vote_close(file);
            end();
        }
    }
}

static void without_a_valid_slot_nothing_begins_anew(void **state) {
    (void)state;
    struct vote_file *file;
    struct vote_record record;
    static const uint8_t zeros[VOTE_FILE_BYTES] = {0};
    begin(1);
    world_file_flip(world, 0, path, FILE_NAME_VOTE, 50, 1);
    world_file_flip(world, 0, path, FILE_NAME_VOTE, VOTE_SLOT_BYTES + 50, 1);
    assert_int_equal(open_vote(&file, &record), WEIR_ECORRUPT);
    assert_non_null(strstr(fixture.error.text, "vote: at offset 0"));
    assert_non_null(strstr(fixture.error.text, "vote twice"));
    world_file_put(world, 0, path, FILE_NAME_VOTE, zeros, sizeof(zeros));
    assert_int_equal(open_vote(&file, &record), WEIR_ECORRUPT);
    world_file_put(world, 0, path, FILE_NAME_VOTE, zeros, 0);
    assert_int_equal(open_vote(&file, &record), WEIR_ECORRUPT);
    world_file_put(world, 0, path, FILE_NAME_VOTE, zeros, 100);
    assert_int_equal(open_vote(&file, &record), WEIR_ECORRUPT);
    end();
}

static void slots_that_contradict_each_other_are_corruption(void **state) {
    (void)state;
    const struct owner owner = {.cluster_id = 1, .node_id = 2, .incarnation = 3};
    uint8_t image[VOTE_FILE_BYTES] = {0};
    struct vote_slot chosen;
    int repair_slot;
    const char *reason;
    struct format_fault fault;
    const struct {
        struct vote_slot slots[2];
        int error;
        uint64_t term;
        int repair_slot;
    } cases[] = {
        {{{4, {7, 1}}, {4, {7, 1}}}, 0, 7, -1},
        {{{5, {8, 1}}, {4, {7, 1}}}, 0, 8, 1},
        {{{4, {7, 1}}, {5, {7, 2}}}, 0, 7, 0},
        {{{4, {7, 1}}, {4, {7, 2}}}, WEIR_ECORRUPT, 0, 0}, /* same sequence, two votes */
        {{{4, {7, 1}}, {4, {8, 1}}}, WEIR_ECORRUPT, 0, 0},
        {{{5, {6, 1}}, {4, {7, 1}}}, WEIR_ECORRUPT, 0, 0}, /* the term went back */
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        vote_slot_write(image, 0, &owner, &cases[i].slots[0]);
        vote_slot_write(image + VOTE_SLOT_BYTES, 1, &owner, &cases[i].slots[1]);
        assert_int_equal(vote_choose(image, &owner, &chosen, &repair_slot, &reason, &fault),
                         cases[i].error);
        if (cases[i].error != 0)
            continue;
        assert_true(chosen.record.term == cases[i].term);
        assert_int_equal(repair_slot, cases[i].repair_slot);
    }
    /* A slot copied over the other one. */
    memcpy(image + VOTE_SLOT_BYTES, image, SECTOR_BYTES);
    assert_int_equal(vote_choose(image, &owner, &chosen, &repair_slot, &reason, &fault),
                     WEIR_ECORRUPT);
    const struct owner other = {.cluster_id = 1, .node_id = 2, .incarnation = 4};
    assert_int_equal(vote_choose(image, &other, &chosen, &repair_slot, &reason, &fault),
                     WEIR_EIDENTITY);
}

static void a_failed_write_or_sync_is_final(void **state) {
    (void)state;
    for (uint32_t nth = 1; nth <= 2; nth++) {
        for (int sync = 0; sync < 2; sync++) {
            struct vote_file *file;
            struct vote_record record;
            begin(nth);
            assert_int_equal(open_vote(&file, &record), 0);
            world_disk_fail(world, 0, sync ? WORLD_DISK_SYNC : WORLD_DISK_WRITE, nth, 1, -5);
            assert_int_equal(store(file, 5, 1), -5);
            vote_close(file);
            end();
        }
    }
}

static void another_nodes_vote_is_refused(void **state) {
    (void)state;
    struct vote_file *file;
    struct vote_record record;
    begin(1);
    fixture.identity.node_id++;
    assert_int_equal(open_vote(&file, &record), WEIR_EIDENTITY);
    assert_non_null(strstr(fixture.error.text, "another node"));
    end();
}

/* ---- identity ----------------------------------------------------------------------------- */

static const struct configuration two = {
    .member_count = 2,
    .members = {{.node_id = 1, .roles = CONFIGURATION_VOTER},
                {.node_id = 2, .roles = CONFIGURATION_VOTER}},
};

static int create(struct io *io, int32_t directory, uint64_t node_id, struct identity *identity,
                  struct error_text *error) {
    return identity_create(io, directory, "blue", node_id, &two, identity, error);
}

static void members_agree_on_the_cluster_and_differ_in_incarnation(void **state) {
    (void)state;
    struct identity identities[2];
    struct error_text error;
    world_begin(1);
    world_node_add(world);
    uint8_t *entries[2];
    for (uint32_t node = 0; node < 2; node++) {
        struct io *io = world_io(world, node);
        int32_t directory;
        assert_int_equal(io_directory_open(io, path, true, &directory, &error), 0);
        assert_int_equal(create(io, directory, node + 1, &identities[node], &error), 0);
        uint64_t length;
        const uint8_t *log = world_file_bytes(world, node, path, "log-0000000000000001", &length);
        entries[node] = malloc(512);
        memcpy(entries[node], log + 4096 + 512, 512);
        io_close(io, directory);
    }
    assert_true(identities[0].cluster_id == identities[1].cluster_id);
    assert_true(identities[0].incarnation != identities[1].incarnation);
    assert_memory_equal(entries[0], entries[1], 512); /* entry 1 is the same on all */
    free(entries[0]);
    free(entries[1]);
    assert_true(identity_cluster_id("blue", &two) == identities[0].cluster_id);
    assert_true(identity_cluster_id("green", &two) != identities[0].cluster_id);
    struct configuration others = two;
    others.members[1].node_id = 3;
    assert_true(identity_cluster_id("blue", &others) != identities[0].cluster_id);
    end();
}

static void wrong_names_and_numbers_are_refused(void **state) {
    (void)state;
    static const char *const names[] = {
        "",     "a b",      "tab\t",
        "\x7f", "\xc3\xa4", "0123456789012345678901234567890123456789012345678901234567890123x"};
    struct identity identity;
    struct error_text error;
    int32_t directory;
    world_begin(1);
    struct io *io = world_io(world, 0);
    assert_int_equal(io_directory_open(io, path, true, &directory, &error), 0);
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        assert_int_equal(identity_create(io, directory, names[i], 1, &two, &identity, &error),
                         WEIR_EINVAL);
    assert_int_equal(create(io, directory, 3, &identity, &error), WEIR_EINVAL);
    assert_int_equal(create(io, directory, 0, &identity, &error), WEIR_EINVAL);
    assert_int_equal(identity_load(io, directory, &identity, &error), WEIR_ENOENT);
    assert_int_equal(create(io, directory, 2, &identity, &error), 0);
    assert_int_equal(create(io, directory, 2, &identity, &error), WEIR_EEXISTS);
    end();
}

static void every_flipped_byte_of_the_identity_is_refused(void **state) {
    (void)state;
    struct identity identity = {
        .cluster_name = "blue", .node_id = 1, .incarnation = 77, .members = two};
    identity.cluster_id = identity_cluster_id("blue", &two);
    static uint8_t image[IDENTITY_FILE_BYTES];
    struct identity back;
    struct format_fault fault;
    identity_format_write(image, &identity);
    assert_int_equal(identity_format_read(image, sizeof(image), &back, &fault), 0);
    assert_string_equal(back.cluster_name, "blue");
    assert_true(back.incarnation == 77 && back.members.member_count == 2);
    for (size_t i = 0; i < sizeof(image); i++) {
        image[i] ^= (uint8_t)(1 << i % 8);
        assert_int_not_equal(identity_format_read(image, sizeof(image), &back, &fault), 0);
        image[i] ^= (uint8_t)(1 << i % 8);
    }
    assert_int_not_equal(identity_format_read(image, sizeof(image) - 1, &back, &fault), 0);
    assert_int_not_equal(identity_format_read(image, 0, &back, &fault), 0);
}

/* D10: the disk is lost, the node is created anew under its old number: it is somebody else. */
static void files_of_an_earlier_life_are_refused(void **state) {
    (void)state;
    begin(1);
    uint64_t length;
    const uint8_t *bytes = world_file_bytes(world, 0, path, "log-0000000000000001", &length);
    uint8_t *old_log = malloc(length);
    memcpy(old_log, bytes, length);
    const struct configuration members = fixture.identity.members;
    struct error_text error;
    struct identity reborn;
    int32_t directory;
    assert_int_equal(io_directory_open(fixture.io, "other", true, &directory, &error), 0);
    assert_int_equal(identity_create(fixture.io, directory, "test", 1, &members, &reborn, &error),
                     0);
    world_file_put(world, 0, "other", "log-0000000000000001", old_log, length);
    free(old_log);
    fixture.directory = directory;
    fixture.identity = reborn;
    assert_int_equal(fixture_log_open(&fixture, NULL), WEIR_EIDENTITY);
    assert_non_null(strstr(fixture.error.text, "earlier life"));
    end();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_power_cut_leaves_the_old_or_the_new_vote),
        cmocka_unit_test(one_damaged_slot_is_rewritten_from_the_other),
        cmocka_unit_test(without_a_valid_slot_nothing_begins_anew),
        cmocka_unit_test(slots_that_contradict_each_other_are_corruption),
        cmocka_unit_test(a_failed_write_or_sync_is_final),
        cmocka_unit_test(another_nodes_vote_is_refused),
        cmocka_unit_test(members_agree_on_the_cluster_and_differ_in_incarnation),
        cmocka_unit_test(wrong_names_and_numbers_are_refused),
        cmocka_unit_test(every_flipped_byte_of_the_identity_is_refused),
        cmocka_unit_test(files_of_an_earlier_life_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
