/* See node_world.h. */

#include "tests/sim/node_world.h"

#include "base/decimal.h"
#include "base/log.h"
#include "raft/raft.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void node_world_init(struct node_world *test, uint64_t seed, bool is_rough) {
    *test = (struct node_world){.seed = seed};
    if (getenv("WEIR_SIM_LOG") == NULL) {
        /* Faults are ordered here by the hundred, and each has its lines. */
        static int nowhere = -1;
        if (nowhere < 0)
            nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
        assert_true(nowhere >= 0);
        log_descriptor_set(nowhere);
    }
    struct world_options options = is_rough ? world_options_rough() : world_options_calm();
    test->world = world_create(seed, &options);
    test->host = world_node_add(test->world);
    test->options = (struct sim_node_options){.map = "fused", .schedule_seed = seed};
    const struct load_options load_options = {.clients = 6,
                                              .value_bytes_max = is_rough ? 4000 : 16000,
                                              .large_share = 6,
                                              .cut_chance = is_rough ? 40 : 0};
    load_init(&test->load, test->world, test->host, seed + 1, &load_options);
}

int node_world_try_start(struct node_world *test, struct error_text *error) {
    test->options.schedule_seed = test->seed * 1000 + test->starts++;
    return sim_node_start(&test->load.node, test->world, test->host, &test->options, error);
}

static void check_nothing_went_back(struct node_world *test) {
    const struct node *node = sim_node_figures(test->load.node);
    node_world_expect(test, node_figure(&node->replicate.last_index) >= test->durable_index,
                      "the last index does not go back");
    node_world_expect(test, node_figure(&node->replicate.log_time_ms) >= test->log_time_ms,
                      "log time does not go back");
    node_world_expect(test, node_figure(&node->apply.snapshot_index) >= test->snapshot_index,
                      "a complete snapshot stays");
    node_world_expect(test, node_figure(&node->replicate.term) > test->term,
                      "each start has a term of its own");
}

void node_world_start(struct node_world *test) {
    struct error_text error = {.text = ""};
    int status = node_world_try_start(test, &error);
    if (status != 0)
        fail_msg("seed %llu, map %s: does not start: %s", (unsigned long long)test->seed,
                 test->options.map, error.text);
    while (!sim_node_serving(test->load.node) && load_step(&test->load)) {
    }
    node_world_expect(test, sim_node_serving(test->load.node), "the node serves");
    check_nothing_went_back(test);
}

/* Remembers what the process was sure of. */
static void note_promises(struct node_world *test) {
    const struct node *node = sim_node_figures(test->load.node);
    test->durable_index = node_figure(&node->replicate.durable_index);
    test->log_time_ms = node_figure(&node->apply.log_time_ms);
    test->snapshot_index = node_figure(&node->apply.snapshot_index);
    if (node_figure(&node->replicate.role) == RAFT_LEADER)
        test->term = node_figure(&node->replicate.term);
}

void node_world_end(struct node_world *test) {
    node_world_expect(test, load_end(&test->load), "the process ends");
    note_promises(test);
    sim_node_destroy(test->load.node);
    test->load.node = NULL;
}

void node_world_stop(struct node_world *test) {
    test->load.refusals_expected = true;
    sim_node_stop(test->load.node);
    node_world_expect(test, load_end(&test->load), "the process stops");
    test->load.refusals_expected = false;
    if (sim_node_failure(test->load.node) != NULL)
        fail_msg("seed %llu: %s", (unsigned long long)test->seed,
                 sim_node_failure(test->load.node));
    note_promises(test);
    sim_node_destroy(test->load.node);
    test->load.node = NULL;
}

void node_world_power_cut(struct node_world *test, enum world_power_cut cut) {
    test->load.refusals_expected = true;
    if (test->load.node != NULL) {
        if (!sim_node_ended(test->load.node) && sim_node_failure(test->load.node) == NULL) {
            world_disk_die_after(test->world, test->host, 0);
            sim_node_stop(test->load.node);
        }
        node_world_end(test);
    }
    world_crash(test->world, test->host, cut);
    test->load.refusals_expected = false;
}

void node_world_rest(struct node_world *test, uint64_t ns) {
    const uint64_t until_ns = world_now_ns(test->world) + ns;
    while (world_now_ns(test->world) < until_ns && !sim_node_ended(test->load.node))
        if (!sim_node_step(test->load.node))
            (void)world_step_until(test->world, until_ns);
}

void node_world_free(struct node_world *test) {
    load_free(&test->load);
    world_destroy(test->world);
}

void node_world_expect(struct node_world *test, bool is_so, const char *what) {
    if (is_so && test->load.finding[0] == '\0')
        return;
    fail_msg("seed %llu, map %s: not so: %s; finding: %s", (unsigned long long)test->seed,
             test->options.map, what, test->load.finding[0] == '\0' ? "none" : test->load.finding);
}

/* ---- the disk ---------------------------------------------------------------------------- */

struct disk_hash {
    struct node_world *test;
    uint64_t sum;
};

static void hash_file(void *context, const char *name, uint64_t size_bytes,
                      enum io_entry_sort sort) {
    struct disk_hash *hash = context;
    uint64_t length_bytes = 0;
    (void)size_bytes;
    assert_int_equal(sort, IO_ENTRY_FILE);
    const uint8_t *bytes = world_file_bytes(hash->test->world, hash->test->host, sim_node_directory,
                                            name, &length_bytes);
    assert_non_null(bytes);
    /* A sum: the directory lists in no order. */
    hash->sum += checksum_64(bytes, length_bytes, checksum_64(name, strlen(name), 0));
}

uint64_t node_world_disk_hash(struct node_world *test) {
    struct disk_hash hash = {.test = test};
    struct error_text error;
    int32_t directory = -1;
    struct io *io = world_io(test->world, test->host);
    assert_int_equal(io_directory_open(io, sim_node_directory, false, &directory, &error), 0);
    assert_int_equal(io_directory_list(io, directory, hash_file, &hash), 0);
    io_close(io, directory);
    io_destroy(io);
    return hash.sum;
}

/* ---- seeds ------------------------------------------------------------------------------- */

uint64_t node_world_environment(const char *name, uint64_t usual) {
    const char *text = getenv(name);
    uint64_t number = usual;
    if (text != NULL && decimal_parse_u64(text, strlen(text), &number) != 0)
        fail_msg("%s is \"%s\", which is no number", name, text);
    return number;
}

uint64_t node_world_seed_first(uint64_t first) {
    uint64_t alone = node_world_environment("WEIR_SIM_SEED", 0);
    return alone != 0 ? alone : first;
}

uint64_t node_world_seed_last(uint64_t last) {
    uint64_t alone = node_world_environment("WEIR_SIM_SEED", 0);
    uint64_t times = node_world_environment("WEIR_SIM_SEEDS", 1);
    return alone != 0 ? alone : last * times;
}
