/*
 * What a map becomes: which rings join which shards, which cores poll them, and how these wait.
 * Seen in the gauge file of a node, as a monitor sees it.
 */

#include "queues/wait.h"
#include "stages/pipeline.h"
#include "tests/sim/node_world.h"

#include <string.h>

static void gauges_open(const struct node_world *test, struct gauge_view *view) {
    const struct node *node = sim_node_figures(test->load.node);
    struct error_text error;
    assert_int_equal(gauge_view_open(view, node->gauges, node->gauges_bytes, &error), 0);
}

/* The counts, and how each core waits. */
static void expect_cores(const char *map, uint32_t cores, enum wait_policy_index policy) {
    struct node_world test;
    struct gauge_view view;
    node_world_init(&test, 1, false);
    test.options.map = map; /* of two CPUs */
    node_world_start(&test);
    gauges_open(&test, &view);
    assert_int_equal(view.counts.shards, STAGE_COUNT);
    assert_int_equal(view.counts.rings, 18);
    assert_int_equal(view.counts.cores, cores);
    for (uint32_t i = 0; i < cores; i++)
        assert_int_equal(view.core_rows[i].wait_policy, policy);
    node_world_stop(&test);
    node_world_free(&test);
}

static void test_a_thread_alone_parks_at_once(void **state) {
    (void)state;
    expect_cores("fused", 1, WAIT_FRUGAL);
    expect_cores("1:write+serialize+apply+replicate+validate+parse+read", 1, WAIT_FRUGAL);
}

static void test_a_thread_with_a_cpu_of_its_own_spins_before_it_parks(void **state) {
    (void)state;
    expect_cores("pair", 2, WAIT_BALANCED);
}

static void test_threads_that_share_a_cpu_park_at_once(void **state) {
    (void)state;
    expect_cores("split", STAGE_COUNT, WAIT_FRUGAL);
    expect_cores("0:read+parse+validate+serialize+write,0:replicate+apply", 2, WAIT_FRUGAL);
}

/* The ring between two shards, each given by stage and number, or NULL; those for members,
 * which are named so and not used here, do not count. */
static bool ring_find(const struct gauge_view *view, const uint32_t from[2], const uint32_t to[2],
                      struct gauge_ring_reading *ring) {
    bool found = false;
    for (uint32_t i = 0; i < view->counts.rings; i++) {
        struct gauge_ring_reading reading;
        gauge_view_ring(view, i, &reading);
        const struct gauge_shard_row *producer = &view->shard_rows[reading.producer_shard];
        const struct gauge_shard_row *consumer = &view->shard_rows[reading.consumer_shard];
        if (strstr(view->ring_rows[i].name, "_peers") == NULL && producer->stage == from[0] &&
            producer->number == from[1] && consumer->stage == to[0] && consumer->number == to[1]) {
            assert_false(found); /* one ring for each pair */
            found = true;
            *ring = reading;
        }
    }
    return found;
}

/* Every pair of shards of two stages that are joined has its ring; it is used if both are first. */
static void expect_link(const struct gauge_view *view, enum stage_id from, uint32_t from_shards,
                        enum stage_id to, uint32_t to_shards) {
    for (uint32_t producer = 0; producer < from_shards; producer++) {
        for (uint32_t consumer = 0; consumer < to_shards; consumer++) {
            struct gauge_ring_reading ring;
            assert_true(ring_find(view, (const uint32_t[]){from, producer},
                                  (const uint32_t[]){to, consumer}, &ring));
            assert_int_equal(ring.enqueued > 0, producer + consumer == 0);
        }
    }
}

static void run_with_second_shards(const char *map, uint64_t seed) {
    struct node_world test;
    struct gauge_view view;
    node_world_init(&test, seed, false);
    test.options.map = map;
    test.options.idle_shards = 1u << STAGE_PARSE | 1u << STAGE_SERIALIZE;
    node_world_start(&test);
    node_world_expect(&test, load_run(&test.load, 150), "commands are answered");
    node_world_expect(&test, load_drain(&test.load), "every command is answered");
    node_world_expect(&test, load_settle(&test.load), "what is there is what was answered");
    gauges_open(&test, &view);
    assert_int_equal(view.counts.shards, STAGE_COUNT + 2);
    assert_int_equal(view.counts.rings, 18 + 5 + 2 + 2); /* notes, and members */
    expect_link(&view, STAGE_READ, 1, STAGE_PARSE, 2);
    expect_link(&view, STAGE_PARSE, 2, STAGE_VALIDATE, 1);
    expect_link(&view, STAGE_VALIDATE, 1, STAGE_REPLICATE, 1);
    expect_link(&view, STAGE_APPLY, 1, STAGE_SERIALIZE, 2);
    expect_link(&view, STAGE_SERIALIZE, 2, STAGE_WRITE, 1);
    expect_link(&view, STAGE_WRITE, 1, STAGE_READ, 1);
    for (uint32_t i = 0; i < view.counts.shards; i++) {
        struct gauge_shard_reading where;
        gauge_view_shard(&view, i, &where);
        assert_true(where.core < view.counts.cores);
        assert_true(gauge_read(&view.shards[i].polls) > 0);
        assert_int_equal(gauge_read(&view.shards[i].items) > 0, where.number == 0);
    }
    node_world_stop(&test); /* all of them come to rest */
    node_world_free(&test);
}

static void test_each_pair_of_shards_has_its_ring_and_idle_ones_change_nothing(void **state) {
    (void)state;
    run_with_second_shards("fused", 1);
    run_with_second_shards("pair", 2);
    run_with_second_shards("split", 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_thread_alone_parks_at_once),
        cmocka_unit_test(test_a_thread_with_a_cpu_of_its_own_spins_before_it_parks),
        cmocka_unit_test(test_threads_that_share_a_cpu_park_at_once),
        cmocka_unit_test(test_each_pair_of_shards_has_its_ring_and_idle_ones_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
