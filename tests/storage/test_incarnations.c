/*
 * The table of incarnations on the simulated disk: cut at every step, flipped in every byte, of
 * another node, of other members.
 */

#include "tests/storage/fixture.h"

#include "base/bytes.h"
#include "sim/world.h"
#include "storage/incarnations.h"
#include "storage/incarnations_format.h"

#include <string.h>

static const char path[] = "data";
static struct world *world;
static struct io *io;
static struct io_port *port;
static int32_t directory;
static struct identity identity;
static struct configuration table;
static struct error_text error;
static struct incarnation_file *file;
static bool known;

static const struct configuration three = {
    .member_count = 3,
    .members = {{.node_id = 1, .roles = CONFIGURATION_VOTER},
                {.node_id = 4, .roles = CONFIGURATION_VOTER},
                {.node_id = 9, .roles = CONFIGURATION_VOTER}},
};

static void door_open(bool create) {
    io = world_io(world, 0);
    assert_int_equal(io_directory_open(io, path, create, &directory, &error), 0);
    assert_int_equal(io_port_create(io, &port, 16), 0);
}

static void begin(uint64_t seed) {
    const struct world_options options = world_options_rough();
    world = world_create(seed, &options);
    world_node_add(world);
    door_open(true);
    assert_int_equal(identity_create(io, directory, "blue", 4, &three, &identity, &error), 0);
    table = three;
    table.members[0].incarnation = 111;
    table.members[1].incarnation = identity.incarnation;
    table.members[2].incarnation = 999;
}

static void end(void) {
    world_destroy(world);
}

static int open_table(struct configuration *found) {
    error = (struct error_text){.text = ""};
    return incarnations_open(&file, io, port, directory, &identity, &known, found, &error);
}

/* Stores the table in a blank file; 0 or the negative errno that ended it. */
static int store(void) {
    bool stored = false;
    int failed = 0;
    incarnations_store(file, &table);
    while (!stored && failed == 0) {
        assert_true(incarnations_busy(file));
        const struct io_completion completion = io_wait(port);
        assert_true(incarnations_completion(file, &completion, &stored, &failed));
    }
    assert_false(incarnations_busy(file));
    return failed;
}

static void begin_stored(uint64_t seed) {
    struct configuration found;
    begin(seed);
    assert_int_equal(open_table(&found), 0);
    assert_false(known);
    assert_int_equal(store(), 0);
    incarnations_close(file);
}

static void assert_refused(int result, const char *words) {
    struct configuration found;
    assert_int_equal(open_table(&found), result);
    if (strstr(error.text, words) == NULL || strstr(error.text, "wiped") == NULL)
        fail_msg("\"%s\" is not in: %s", words, error.text);
}

static void a_table_with_any_byte_altered_is_refused(void **state) {
    (void)state;
    begin_stored(1);
    for (uint64_t at = 0; at < INCARNATIONS_FILE_BYTES; at += at < SECTOR_BYTES ? 1 : 97) {
        world_file_flip(world, 0, path, FILE_NAME_INCARNATIONS, at, 0x20);
        assert_refused(WEIR_ECORRUPT, at < SECTOR_BYTES
                                          ? "incarnations: at offset 0: the checksum does not match"
                                          : "there is something behind the first sector");
        world_file_flip(world, 0, path, FILE_NAME_INCARNATIONS, at, 0x20);
    }
    struct configuration found;
    assert_int_equal(open_table(&found), 0);
    assert_true(known);
    incarnations_close(file);
    end();
}

static void a_table_of_another_length_is_refused(void **state) {
    (void)state;
    static const uint8_t zeros[INCARNATIONS_FILE_BYTES + 1] = {0};
    begin_stored(2);
    static const size_t lengths[] = {0, 512, 4095, 4097};
    for (size_t i = 0; i < ARRAY_COUNT(lengths); i++) {
        world_file_put(world, 0, path, FILE_NAME_INCARNATIONS, zeros, lengths[i]);
        assert_refused(WEIR_ECORRUPT, "the file's length is not 4096 bytes");
    }
    end();
}

static void another_nodes_table_and_one_of_other_members_are_refused(void **state) {
    (void)state;
    begin_stored(3);
    const struct identity own = identity;
    identity.node_id = 9;
    assert_refused(WEIR_EIDENTITY, "another node");
    identity = own;
    identity.incarnation++;
    assert_refused(WEIR_EIDENTITY, "incarnations: at offset 16");
    identity = own;
    identity.members.members[2].node_id = 10;
    assert_refused(WEIR_ECORRUPT, "its members are not those of the identity");
    end();
}

/* Whose checksum is right, though no weir writes such a thing. */
static void a_table_that_is_never_written_is_refused(void **state) {
    (void)state;
    enum { VERSION = 8, COUNT = 12, FIRST = 40 };
    static const struct {
        uint32_t offset;
        uint64_t value;
        int error;
        const char *words;
    } cases[] = {
        {VERSION, 2 | UINT64_C(3) << 32, WEIR_EVERSION, "cannot read"},
        {COUNT, 0, WEIR_ECORRUPT, "out of range"},
        {COUNT, 17, WEIR_ECORRUPT, "out of range"},
        {FIRST, 4, WEIR_ECORRUPT, "out of order"},
        {FIRST + 8, 0, WEIR_ECORRUPT, "an incarnation is 0"},
        {FIRST + 24, 5, WEIR_ECORRUPT, "its own incarnation"},
    };
    begin(4);
    const struct owner owner = owner_of(&identity);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        uint8_t image[INCARNATIONS_FILE_BYTES];
        incarnations_format_write(image, &owner, &table);
        if (cases[i].offset == COUNT)
            bytes_put_u32(image + COUNT, (uint32_t)cases[i].value);
        else
            bytes_put_u64(image + cases[i].offset, cases[i].value);
        sector_seal(image, 0);
        world_file_put(world, 0, path, FILE_NAME_INCARNATIONS, image, sizeof(image));
        assert_refused(cases[i].error, cases[i].words);
    }
    end();
}

static void a_failed_write_or_sync_is_final(void **state) {
    (void)state;
    for (uint32_t sync = 0; sync < 2; sync++) {
        struct configuration found;
        begin(5 + sync);
        assert_int_equal(open_table(&found), 0);
        world_disk_fail(world, 0, sync ? WORLD_DISK_SYNC : WORLD_DISK_WRITE, 1, 1, -5);
        assert_int_equal(store(), -5);
        incarnations_close(file);
        end();
    }
}

/* Blank, as if nothing had been said, or the whole table; and the whole one once it was stored. */
static void a_power_cut_leaves_it_blank_or_whole(void **state) {
    (void)state;
    uint32_t blank_count = 0;
    uint32_t whole_count = 0;
    uint32_t complete_count = 0;
    for (uint64_t cut = 0; complete_count < 60; cut++) {
        for (uint32_t round = 0; round < 30; round++) {
            struct configuration found = {0};
            begin(cut * 30 + round);
            assert_int_equal(open_table(&found), 0);
            world_disk_die_after(world, 0, cut);
            const int failed = store();
            incarnations_close(file);
            world_crash(world, 0, (enum world_power_cut)(round % 3));
            door_open(false);
            if (open_table(&found) != 0)
                fail_msg("%s", error.text);
            assert_true(failed != 0 || known);
            for (uint32_t i = 0; known && i < table.member_count; i++) {
                assert_true(found.members[i].node_id == table.members[i].node_id);
                assert_true(found.members[i].incarnation == table.members[i].incarnation);
            }
            if (!known)
                assert_int_equal(store(), 0); /* and it can be filled later */
            incarnations_close(file);
            complete_count += failed == 0;
            blank_count += !known;
            whole_count += known;
            end();
        }
    }
    assert_true(blank_count > 10 && whole_count > complete_count);
}

static void only_first_members_of_a_cluster_have_a_table(void **state) {
    (void)state;
    static const struct configuration one = {
        .member_count = 1, .members = {{.node_id = 1, .roles = CONFIGURATION_VOTER}}};
    const struct world_options options = world_options_calm();
    world = world_create(7, &options);
    for (uint32_t node = 0; node < 2; node++) {
        uint64_t length;
        world_node_add(world);
        io = world_io(world, node);
        assert_int_equal(io_directory_open(io, path, true, &directory, &error), 0);
        if (node == 0) {
            assert_int_equal(identity_create(io, directory, "blue", 1, &one, &identity, &error), 0);
        } else {
            assert_int_equal(
                identity_create_joining(io, directory, "blue", 9, &three, &identity, &error),
                WEIR_EINVAL);
            assert_non_null(strstr(error.text, "choose an id that was never used"));
            assert_int_equal(
                identity_create_joining(io, directory, "blue", 10, &three, &identity, &error), 0);
        }
        assert_false(incarnations_needed(&identity));
        assert_null(world_file_bytes(world, node, path, FILE_NAME_INCARNATIONS, &length));
        struct identity again;
        assert_int_equal(identity_load(io, directory, &again, &error), 0);
        assert_true(again.incarnation == identity.incarnation);
    }
    assert_true(identity.cluster_id == identity_cluster_id("blue", &three));
    end();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_with_any_byte_altered_is_refused),
        cmocka_unit_test(a_table_of_another_length_is_refused),
        cmocka_unit_test(another_nodes_table_and_one_of_other_members_are_refused),
        cmocka_unit_test(a_table_that_is_never_written_is_refused),
        cmocka_unit_test(a_failed_write_or_sync_is_final),
        cmocka_unit_test(a_power_cut_leaves_it_blank_or_whole),
        cmocka_unit_test(only_first_members_of_a_cluster_have_a_table),
    };
    return cmocka_run_group_tests_name("storage_incarnations", tests, NULL, NULL);
}
