/* weir init and weir inspect, run on the simulated disk through their own main functions. */

#include "tests/storage/fixture.h"

#include "base/bytes.h"
#include "sim/world.h"
#include "storage/identity_format.h"
#include "storage/incarnations_format.h"
#include "tools/init.h"
#include "tools/inspect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct world *world;
static char output[1 << 20];

static int world_make(void **state) {
    (void)state;
    const struct world_options options = world_options_calm();
    world = world_create(1, &options);
    world_enter(world, world_node_add(world));
    return 0;
}

static int world_end(void **state) {
    (void)state;
    world_enter(NULL, 0);
    world_destroy(world);
    fixture_open_count = 0;
    return 0;
}

/* Runs a command line, keeps what it printed on both streams; its exit status. */
static int run(int (*command)(int, char **), const char *line) {
    char text[1024];
    char *arguments[32];
    int count = 0;
    snprintf(text, sizeof(text), "%s", line);
    char *rest = text;
    for (char *word; (word = strsep(&rest, " ")) != NULL;)
        arguments[count++] = word;
    fflush(stdout);
    fflush(stderr);
    FILE *file = tmpfile();
    assert_non_null(file);
    const int saved_out = dup(1);
    const int saved_err = dup(2);
    dup2(fileno(file), 1);
    dup2(fileno(file), 2);
    const int status = command(count, arguments);
    fflush(stdout);
    fflush(stderr);
    dup2(saved_out, 1);
    dup2(saved_err, 2);
    close(saved_out);
    close(saved_err);
    rewind(file);
    const size_t length = fread(output, 1, sizeof(output) - 1, file);
    output[length] = '\0';
    fclose(file);
    return status;
}

static int inspect(const char *line) {
    return run(inspect_main, line);
}

static int init(const char *line) {
    return run(init_main, line);
}

static void assert_says(const char *text) {
    if (strstr(output, text) == NULL)
        fail_msg("\"%s\" is not in:\n%s", text, output);
}

/* A node's directory with some entries, cleanly stopped. */
static void log_write(struct fixture *fixture, uint32_t count, uint32_t bytes) {
    struct io *io = world_io(world, 0);
    fixture_open(fixture, io, "data", false);
    assert_int_equal(fixture_log_open(fixture, NULL), 0);
    for (uint32_t i = 0; i < count; i++)
        fixture_append_surely(fixture, bytes);
    fixture_settle(fixture);
    fixture_log_stop(fixture);
    fixture_close(fixture);
    io_destroy(io);
}

/* The same with one entry, a digest of two partitions. */
static void digest_write(uint64_t index, uint64_t first, uint64_t second) {
    struct fixture fixture;
    struct io *io = world_io(world, 0);
    fixture_open(&fixture, io, "data", false);
    assert_int_equal(fixture_log_open(&fixture, NULL), 0);
    const uint64_t digests[] = {first, second};
    const struct entry_header header = {.length_bytes = ENTRY_HEADER_BYTES + entry_digest_bytes(2),
                                        .kind = ENTRY_DIGEST,
                                        .term = fixture.term,
                                        .log_time_ms = log_tail(fixture.log)->log_time_ms};
    uint8_t *entry = log_reserve(fixture.log, header.length_bytes, true);
    assert_non_null(entry);
    entry_digest_write(entry + ENTRY_HEADER_BYTES, index, digests, 2);
    (void)log_append(fixture.log, &header);
    fixture_settle(&fixture);
    fixture_log_stop(&fixture);
    fixture_close(&fixture);
    io_destroy(io);
}

static void wrong_usage_is_told_apart(void **state) {
    (void)state;
    static const char *const init_lines[] = {
        "init",
        "init --data d",
        "init --data d --cluster c --id 1",
        "init --data d --cluster c --id 0 --members 1=h:1",
        "init --data d --cluster c --id x --members 1=h:1",
        "init --data d --cluster c --id 2 --members 1=h:1",
        "init --data d --cluster c --id 1 --members 1=h",
        "init --data d --cluster c --id 1 --members 1=:1",
        "init --data d --cluster c --id 1 --members 1=h:1,1=h:2",
        "init --data d --cluster c --id 1 --members 1=h:1,",
        "init --data d --cluster c --id 1 --members 1=h:1 --what x",
        "init --data d --cluster c --id 1 --members",
        "init data",
    };
    for (size_t i = 0; i < ARRAY_COUNT(init_lines); i++) {
        if (init(init_lines[i]) != 2)
            fail_msg("\"%s\" was taken: %s", init_lines[i], output);
    }
    static const char *const inspect_lines[] = {
        "inspect",
        "inspect --data",
        "inspect --data d --index 3",
        "inspect data",
        "inspect --data d --index 3..x",
        "inspect --all",
        "inspect --data d --index 4..3",
    };
    for (size_t i = 0; i < ARRAY_COUNT(inspect_lines); i++)
        assert_int_equal(inspect(inspect_lines[i]), 2);
    assert_int_equal(inspect("inspect --help"), 0);
    assert_int_equal(init("init --help"), 0);
}

static void init_creates_and_never_twice(void **state) {
    (void)state;
    assert_int_equal(init("init --data data --cluster blue --id 2 --members 3=c:1,1=a:1,2=b:1"), 0);
    assert_says("node 2 of cluster \"blue\"");
    assert_says("members      1 2 3");
    assert_int_equal(init("init --data data --cluster blue --id 2 --members 3=c:1,1=a:1,2=b:1"), 1);
    assert_says("already holds");
    assert_int_equal(inspect("inspect --data data"), 0);
    assert_says("members=1:voter,2:voter,3:voter");
    assert_says("members   state=\"none yet: this node has not met all members\"");
    assert_says("no damage");
}

static void the_table_of_incarnations_is_shown_and_its_damage(void **state) {
    (void)state;
    assert_int_equal(init("init --data data --cluster blue --id 2 --members 1=a:1,2=b:1"), 0);
    uint64_t length;
    const uint8_t *identity = world_file_bytes(world, 0, "data", FILE_NAME_IDENTITY, &length);
    assert_true(length == IDENTITY_FILE_BYTES);
    const struct owner owner = owner_get(identity + 16);
    const struct configuration table = {
        .member_count = 2,
        .members = {{.node_id = 1, .incarnation = 0xfeed},
                    {.node_id = 2, .incarnation = owner.incarnation}}};
    uint8_t image[INCARNATIONS_FILE_BYTES];
    incarnations_format_write(image, &owner, &table);
    world_file_put(world, 0, "data", FILE_NAME_INCARNATIONS, image, sizeof(image));
    assert_int_equal(inspect("inspect --data data"), 0);
    assert_says("member    id=1 incarnation=000000000000feed");
    assert_says("member    id=2 incarnation=");
    assert_says("no damage");
    world_file_flip(world, 0, "data", FILE_NAME_INCARNATIONS, 41, 1);
    assert_int_equal(inspect("inspect --data data"), 1);
    assert_says("incarnations");
    assert_says("the checksum does not match");
}

static void a_digest_is_shown_with_its_index_and_every_partition(void **state) {
    (void)state;
    struct fixture fixture;
    assert_int_equal(init("init --data data --cluster blue --id 1 --members 1=a:1"), 0);
    log_write(&fixture, 3, 100);
    digest_write(3, 0xfeed, 7);
    assert_int_equal(inspect("inspect --data data --index 5..5"), 0);
    assert_says("index=5 term=1 kind=digest commands=0 bytes=72");
    assert_says("digest_index=3 partitions=2 digest_0=000000000000feed digest_1=0000000000000007");
    assert_says("no damage");
}

static void a_directory_that_is_not_there_is_said_so(void **state) {
    (void)state;
    assert_int_equal(inspect("inspect --data nowhere"), 1);
    assert_says("nowhere");
}

static void everything_is_shown(void **state) {
    (void)state;
    struct fixture fixture;
    assert_int_equal(init("init --data data --cluster blue --id 1 --members 1=a:1"), 0);
    log_write(&fixture, 20, 100000);
    assert_int_equal(inspect("inspect --data data"), 0);
    assert_says("identity  cluster=blue");
    assert_says("vote      term=1 voted_for=0 state=ok");
    assert_says("segment   file=log-0000000000000001 generation=1 origin=first after=0");
    assert_says("segment   file=log-0000000000000002 generation=1 origin=next after=1");
    assert_says("sealed=yes");
    assert_says("allocated ahead");
    assert_null(strstr(output, "entry "));
    assert_int_equal(inspect("inspect --data data --index 1..3"), 0);
    assert_says("entry     index=1 term=1 kind=configuration commands=0");
    assert_says("entry     index=3 term=1 kind=commands commands=1");
    assert_null(strstr(output, "index=4 "));
    assert_int_equal(inspect("inspect --data data --entries --json"), 0);
    assert_says("{\"record\":\"entry\",\"index\":21,");
    assert_says("\"damage\":0}");
}

static void damage_is_named_with_file_offset_and_consequence(void **state) {
    (void)state;
    struct fixture fixture;
    assert_int_equal(init("init --data data --cluster blue --id 1 --members 1=a:1"), 0);
    log_write(&fixture, 20, 100000);
    world_file_flip(world, 0, "data", "log-0000000000000001", 300000, 8);
    world_file_flip(world, 0, "data", "log-0000000000000002", 200000, 8);
    world_file_flip(world, 0, "data", "vote", 20, 1);
    assert_int_equal(inspect("inspect --data data"), 1);
    /* Both, in one run, by the sector. */
    assert_says("damage    file=log-0000000000000001 offset=299520 reason=");
    assert_says("damage    file=log-0000000000000002 offset=199680 reason=");
    assert_says("the node does not start");
    assert_says("restore this node's data directory");
    assert_says("one slot will be rewritten");
    assert_says("damage found");
    assert_int_equal(inspect("inspect --data data --json"), 1);
    assert_says("\"damage\":2}");
    world_file_flip(world, 0, "data", "vote", 4096 + 20, 1);
    world_file_flip(world, 0, "data", "identity", 20, 1);
    assert_int_equal(inspect("inspect --data data"), 1);
    assert_says("damage    file=vote offset=0");
    assert_says("damage    file=identity offset=0");
    world_file_flip(world, 0, "data", "log-0000000000000001", 20, 1);
    assert_int_equal(inspect("inspect --data data"), 1);
    assert_says("the segment header's checksum does not match");
    world_obstruct(world, 0, "data", "log-0000000000000009", WORLD_DIRECTORY);
    assert_int_equal(inspect("inspect --data data"), 1);
}

static void a_vote_file_of_an_older_copy_is_named(void **state) {
    (void)state;
    struct fixture fixture;
    assert_int_equal(init("init --data data --cluster blue --id 1 --members 1=a:1"), 0);
    struct io *io = world_io(world, 0);
    fixture_open(&fixture, io, "data", false);
    assert_int_equal(fixture_log_open(&fixture, NULL), 0);
    fixture.term = 2; /* the vote file knows of term 1 */
    fixture_append_surely(&fixture, 100);
    fixture_settle(&fixture);
    fixture_log_stop(&fixture);
    fixture_close(&fixture);
    io_destroy(io);
    assert_int_equal(inspect("inspect --data data"), 1);
    assert_says("damage    file=vote offset=0 reason=\"its term is older than the log's last one");
    assert_says("never single ones");
}

static void a_running_node_is_not_inspected(void **state) {
    (void)state;
    assert_int_equal(init("init --data data --cluster blue --id 1 --members 1=a:1"), 0);
    struct io *io = world_io(world, 0);
    struct error_text error;
    int32_t directory;
    assert_int_equal(io_directory_open(io, "data", false, &directory, &error), 0);
    assert_int_equal(io_directory_lock(io, directory, &error), 0);
    assert_int_equal(inspect("inspect --data data"), 1);
    assert_says("data");
    io_close(io, directory);
    io_destroy(io);
    assert_int_equal(inspect("inspect --data data"), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(wrong_usage_is_told_apart, world_make, world_end),
        cmocka_unit_test_setup_teardown(init_creates_and_never_twice, world_make, world_end),
        cmocka_unit_test_setup_teardown(the_table_of_incarnations_is_shown_and_its_damage,
                                        world_make, world_end),
        cmocka_unit_test_setup_teardown(a_directory_that_is_not_there_is_said_so, world_make,
                                        world_end),
        cmocka_unit_test_setup_teardown(a_digest_is_shown_with_its_index_and_every_partition,
                                        world_make, world_end),
        cmocka_unit_test_setup_teardown(everything_is_shown, world_make, world_end),
        cmocka_unit_test_setup_teardown(damage_is_named_with_file_offset_and_consequence,
                                        world_make, world_end),
        cmocka_unit_test_setup_teardown(a_vote_file_of_an_older_copy_is_named, world_make,
                                        world_end),
        cmocka_unit_test_setup_teardown(a_running_node_is_not_inspected, world_make, world_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
