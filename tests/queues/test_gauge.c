/* The gauge file: its layout, the sum rule of time, and readers that nobody can hurt. */

#include "queues/gauge.h"

#include "base/random.h"
#include "queues/ring.h"

#include "tests/cmocka_wrapper.h"
#include "tests/death.h"
#include "tests/queues/ring_fixture.h"

static const struct gauge_counts usual_counts = {.stages = 3, .rings = 5, .cores = 2, .shards = 4};
static const struct gauge_identity usual_identity = {
    .cluster_id = UINT64_C(0x1122334455667788),
    .node_id = 7,
    .pid = 4242,
    .start_wall_ms = UINT64_C(1700000000000),
    .start_monotonic_ns = UINT64_C(99000000000),
};
static const char *const read_own_names[GAUGE_OWN_COUNT] = {"accepted", "refused", NULL, "bytes"};

/* A file as a runner makes it, in memory of exactly its size. The caller frees it. */
static void *usual_file(struct gauge_file *file, size_t *bytes) {
    *bytes = gauge_bytes(&usual_counts);
    void *memory = aligned_zero(*bytes);
    memset(memory, 0xa5, *bytes);
    gauge_init(file, memory, &usual_counts, &usual_identity);
    gauge_describe_stage(file, 0, "read", read_own_names);
    gauge_describe_stage(file, 1, "parse", NULL);
    gauge_describe_stage(file, 2, "write", NULL);
    gauge_describe_ring(file, 0, "read_parse", 64, 4, 0, 1);
    gauge_describe_ring(file, 1, "parse_write", 128, 16, 1, 3);
    gauge_describe_core(file, 0, "core0", 0, 1);
    gauge_describe_core(file, 1, "core1", GAUGE_NONE, 2);
    gauge_describe_shard(file, 0, 0, 0);
    gauge_describe_shard(file, 1, 1, 0);
    gauge_describe_shard(file, 2, 1, 1);
    gauge_describe_shard(file, 3, 2, 0);
    gauge_state_set(file, GAUGE_RUNNING);
    return memory;
}

/* ----------------------------------------------------------------------------------------------
 * What is refused.
 */

static void expect_refused(const void *memory, size_t bytes, int expected) {
    struct gauge_view view;
    struct gauge_view before;
    struct error_text text = {{0}};
    memset(&view, 0x5a, sizeof(view));
    memcpy(&before, &view, sizeof(view));
    assert_int_equal(gauge_view_open(&view, memory, bytes, &text), expected);
    assert_true(strlen(text.text) > 20);
    assert_memory_equal(&view, &before, sizeof(view));
}

static void counts_over_their_limits_have_no_size(void **state) {
    (void)state;
    const struct gauge_counts wrong[] = {
        {.stages = GAUGE_STAGES_MAX + 1},
        {.rings = GAUGE_RINGS_MAX + 1},
        {.cores = GAUGE_CORES_MAX + 1},
        {.shards = GAUGE_SHARDS_MAX + 1},
        {.rings = UINT32_MAX},
    };
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        assert_int_equal(gauge_bytes(&wrong[i]), 0);
    }
}

static void a_file_cut_or_extended_is_refused(void **state) {
    (void)state;
    struct gauge_file file;
    size_t bytes;
    void *memory = usual_file(&file, &bytes);
    for (size_t length = 0; length < bytes; length += 8) {
        void *cut = aligned_zero(length + 1);
        memcpy(cut, memory, length);
        bool has_header = length >= sizeof(struct gauge_header);
        expect_refused(cut, length, has_header ? WEIR_ECORRUPT : WEIR_EINVAL);
        free(cut);
    }
    void *longer = aligned_zero(bytes + 64);
    memcpy(longer, memory, bytes);
    expect_refused(longer, bytes + 64, WEIR_ECORRUPT);
    free(longer);
    free(memory);
}

static void a_header_that_is_not_ours_is_refused(void **state) {
    (void)state;
    static const struct {
        size_t offset;
        int expected;
    } fields[] = {
        {offsetof(struct gauge_header, magic), WEIR_EINVAL},
        {offsetof(struct gauge_header, version), WEIR_EVERSION},
        {offsetof(struct gauge_header, header_bytes), WEIR_EVERSION},
        {offsetof(struct gauge_header, file_bytes), WEIR_ECORRUPT},
        {offsetof(struct gauge_header, stage_count), WEIR_ECORRUPT},
        {offsetof(struct gauge_header, ring_count), WEIR_ECORRUPT},
        {offsetof(struct gauge_header, core_count), WEIR_ECORRUPT},
        {offsetof(struct gauge_header, shard_count), WEIR_ECORRUPT},
    };
    static const uint32_t hostile[] = {0, 6, 65537, 0x7fffffff, 0x80000000, UINT32_MAX};
    struct gauge_file file;
    size_t bytes;
    uint8_t *memory = usual_file(&file, &bytes);
    for (size_t f = 0; f < ARRAY_COUNT(fields); f++) {
        for (size_t h = 0; h < ARRAY_COUNT(hostile); h++) {
            uint32_t right;
            memcpy(&right, memory + fields[f].offset, sizeof(right));
            assert_int_not_equal(right, hostile[h]);
            memcpy(memory + fields[f].offset, &hostile[h], sizeof(right));
            expect_refused(memory, bytes, fields[f].expected);
            memcpy(memory + fields[f].offset, &right, sizeof(right));
        }
    }
    struct gauge_view view;
    assert_int_equal(gauge_view_open(&view, memory, bytes, NULL), WEIR_OK);
    free(memory);
}

static void rows_that_point_nowhere_are_refused(void **state) {
    (void)state;
    struct gauge_file file;
    size_t bytes;
    void *memory = usual_file(&file, &bytes);
    uint32_t *const links[] = {
        &file.ring_rows[1].producer_shard, &file.ring_rows[4].consumer_shard,
        &file.ring_rows[0].capacity,       &file.ring_rows[4].capacity,
        &file.shard_rows[3].stage,
    };
    for (size_t i = 0; i < ARRAY_COUNT(links); i++) {
        uint32_t right = *links[i];
        *links[i] = 0xfffffffe;
        expect_refused(memory, bytes, WEIR_ECORRUPT);
        *links[i] = right;
    }
    file.shard_rows[0].stage = GAUGE_NONE;
    expect_refused(memory, bytes, WEIR_ECORRUPT);
    free(memory);
}

static void describe_a_ring_that_is_not_there(void *context) {
    gauge_describe_ring(context, 5, "a_b", 64, 4, 0, 1);
}

static void describe_a_ring_from_nowhere(void *context) {
    gauge_describe_ring(context, 0, "a_b", 64, 4, 4, 1);
}

static void describe_a_shard_of_no_stage(void *context) {
    gauge_describe_shard(context, 0, 3, 0);
}

static void charge_idle_to_a_shard(void *context) {
    struct gauge_file *file = context;
    gauge_charge(&file->cores[0], &file->shards[0], GAUGE_IDLE, 1);
}

static void charge_backwards(void *context) {
    struct gauge_file *file = context;
    gauge_core_start(&file->cores[0], 10);
    gauge_charge(&file->cores[0], NULL, GAUGE_IDLE, 9);
}

static void misuse_aborts(void **state) {
    (void)state;
    struct gauge_file file;
    size_t bytes;
    void *memory = usual_file(&file, &bytes);
    death_expect_abort(describe_a_ring_that_is_not_there, &file, "ring <");
    death_expect_abort(describe_a_ring_from_nowhere, &file, "producer_shard");
    death_expect_abort(describe_a_shard_of_no_stage, &file, "stage <");
    if (WEIR_ASSERT_HOT) {
        death_expect_abort(charge_idle_to_a_shard, &file, "GAUGE_IDLE");
        death_expect_abort(charge_backwards, &file, "now_ns");
    }
    free(memory);
}

/* ----------------------------------------------------------------------------------------------
 * What is read.
 */

static void a_reader_needs_nothing_but_the_file(void **state) {
    (void)state;
    struct gauge_file file;
    struct gauge_view view;
    size_t bytes;
    void *memory = usual_file(&file, &bytes);
    assert_int_equal(gauge_view_open(&view, memory, bytes, NULL), WEIR_OK);
    assert_memory_equal(&view.counts, &usual_counts, sizeof(usual_counts));
    assert_memory_equal(&view.identity, &usual_identity, sizeof(usual_identity));
    assert_int_equal(gauge_view_state(&view), GAUGE_RUNNING);
    struct gauge_ring_reading ring;
    gauge_view_ring(&view, 1, &ring);
    assert_string_equal(ring.name, "parse_write");
    assert_int_equal(ring.capacity, 128);
    assert_int_equal(ring.item_bytes, 16);
    assert_int_equal(ring.producer_shard, 1);
    assert_int_equal(ring.consumer_shard, 3);
    gauge_view_ring(&view, 4, &ring);
    assert_string_equal(ring.name, "");
    assert_int_equal(ring.producer_shard, GAUGE_NONE);
    struct gauge_shard_reading shard;
    gauge_set(&file.shards[2].core, 1 + 1);
    gauge_view_shard(&view, 2, &shard);
    assert_string_equal(shard.stage_name, "parse");
    assert_int_equal(shard.number, 1);
    assert_int_equal(shard.core, 1);
    gauge_view_shard(&view, 3, &shard);
    assert_int_equal(shard.core, GAUGE_NONE);
    char name[GAUGE_NAME_BYTES];
    gauge_name_copy(name, view.stage_rows[0].own_names[3]);
    assert_string_equal(name, "bytes");
    gauge_name_copy(name, view.stage_rows[0].own_names[2]);
    assert_string_equal(name, "");
    free(memory);
}

static void every_block_begins_a_cache_line_and_ends_inside_the_file(void **state) {
    (void)state;
    struct gauge_file file;
    size_t bytes;
    uint8_t *memory = usual_file(&file, &bytes);
    for (uint32_t i = 0; i < usual_counts.rings; i++) {
        assert_int_equal((uintptr_t)&file.rings[i].producer % CACHE_LINE_BYTES, 0);
        assert_int_equal((uintptr_t)&file.rings[i].consumer % CACHE_LINE_BYTES, 0);
    }
    assert_int_equal((uintptr_t)file.cores % CACHE_LINE_BYTES, 0);
    assert_int_equal((uintptr_t)file.shards % CACHE_LINE_BYTES, 0);
    assert_ptr_equal(memory + bytes, &file.shards[usual_counts.shards]);
    assert_ptr_equal(&file.rings[usual_counts.rings], file.cores);
    assert_ptr_equal(&file.cores[usual_counts.cores], file.shards);
    free(memory);
}

static void a_name_is_cut_and_made_printable(void **state) {
    (void)state;
    struct gauge_file file;
    size_t bytes;
    char long_name[200];
    char name[GAUGE_NAME_BYTES];
    void *memory = usual_file(&file, &bytes);
    memset(long_name, 'x', sizeof(long_name));
    long_name[sizeof(long_name) - 1] = '\0';
    gauge_describe_ring(&file, 0, long_name, 64, 4, 0, 1);
    gauge_name_copy(name, file.ring_rows[0].name);
    assert_int_equal(strlen(name), GAUGE_NAME_BYTES - 1);
    memset(file.ring_rows[0].name, '\x1b', GAUGE_NAME_BYTES); /* no end, and escapes */
    gauge_name_copy(name, file.ring_rows[0].name);
    assert_int_equal(strlen(name), GAUGE_NAME_BYTES - 1);
    assert_int_equal(strspn(name, "?"), GAUGE_NAME_BYTES - 1);
    free(memory);
}

static void depth_and_high_water_are_those_of_the_ring(void **state) {
    (void)state;
    struct gauge_file file;
    struct gauge_view view;
    struct gauge_ring_reading reading;
    size_t bytes;
    uint32_t items[64] = {0};
    void *memory = usual_file(&file, &bytes);
    assert_int_equal(gauge_view_open(&view, memory, bytes, NULL), WEIR_OK);
    struct ring_setup setup = {
        .name = "read_parse", .capacity = 64, .item_bytes = 4, .gauge = &file.rings[0]};
    struct ring *ring = ring_init(aligned_zero(ring_bytes(64, 4)), &setup);
    ring_u32_enqueue(ring, items, 40);
    gauge_view_ring(&view, 0, &reading);
    assert_int_equal(reading.depth, 40);
    assert_int_equal(reading.high_water, 40);
    ring_u32_dequeue(ring, items, 30);
    gauge_view_ring(&view, 0, &reading);
    assert_int_equal(reading.depth, 10);
    assert_int_equal(reading.high_water, 40);
    assert_int_equal(reading.dequeued, 30);
    assert_int_equal(reading.drains, 1);
    ring_u32_enqueue(ring, items, 60); /* 54 fit */
    ring_u32_dequeue(ring, items, 10);
    gauge_view_ring(&view, 0, &reading);
    assert_int_equal(reading.depth, ring_depth(ring));
    assert_int_equal(reading.refusals, 1);
    assert_int_equal(reading.high_water, 64);
    free(ring);
    free(memory);
}

static void counters_that_make_no_sense_are_brought_into_range(void **state) {
    (void)state;
    struct gauge_file file;
    struct gauge_view view;
    struct gauge_ring_reading ring;
    struct gauge_shard_reading shard;
    size_t bytes;
    void *memory = usual_file(&file, &bytes);
    assert_int_equal(gauge_view_open(&view, memory, bytes, NULL), WEIR_OK);
    file.rings[0].consumer.dequeued = 5; /* ahead of enqueued, as after a crash */
    gauge_view_ring(&view, 0, &ring);
    assert_int_equal(ring.depth, 0);
    file.rings[0].producer.enqueued = UINT64_MAX;
    file.rings[0].consumer.high_water = UINT64_MAX;
    gauge_view_ring(&view, 0, &ring);
    assert_int_equal(ring.depth, 64);
    assert_int_equal(ring.high_water, 64);
    /* Changed by its owner after it was validated. */
    file.ring_rows[0].producer_shard = 1000;
    file.shard_rows[0].stage = 1000;
    file.shards[0].core = 3;
    gauge_view_ring(&view, 0, &ring);
    gauge_view_shard(&view, 0, &shard);
    assert_int_equal(ring.producer_shard, GAUGE_NONE);
    assert_int_equal(shard.stage, GAUGE_NONE);
    assert_int_equal(shard.core, GAUGE_NONE);
    assert_string_equal(shard.stage_name, "");
    free(memory);
}

static void damage_anywhere_is_refused_or_read_in_range(void **state) {
    (void)state;
    struct gauge_file file;
    size_t bytes;
    uint8_t *good = usual_file(&file, &bytes);
    uint8_t *bad = aligned_zero(bytes);
    struct random random;
    uint32_t refused = 0;
    random_seed(&random, 3);
    for (int round = 0; round < 20000; round++) {
        memcpy(bad, good, bytes);
        /* Half of the damage falls on the header and the rows, where something depends on it. */
        size_t range = round % 2 == 0 ? bytes : sizeof(struct gauge_header);
        for (uint64_t i = 1 + random_below(&random, 8); i > 0; i--) {
            bad[random_below(&random, range)] = (uint8_t)random_u64(&random);
        }
        struct gauge_view view;
        if (gauge_view_open(&view, bad, bytes, NULL) != WEIR_OK) {
            refused++;
            continue;
        }
        for (uint32_t i = 0; i < view.counts.rings; i++) {
            struct gauge_ring_reading ring;
            gauge_view_ring(&view, i, &ring);
            assert_true(ring.depth <= ring.capacity && ring.high_water <= ring.capacity);
            assert_true(strlen(ring.name) < GAUGE_NAME_BYTES);
        }
        for (uint32_t i = 0; i < view.counts.shards; i++) {
            struct gauge_shard_reading shard;
            gauge_view_shard(&view, i, &shard);
            assert_true(shard.stage < view.counts.stages);
            assert_true(shard.core < view.counts.cores || shard.core == GAUGE_NONE);
        }
    }
    assert_true(refused > 5000 && refused < 20000);
    free(bad);
    free(good);
}

/* ----------------------------------------------------------------------------------------------
 * Time and latency.
 */

static void every_nanosecond_belongs_to_one_regime(void **state) {
    (void)state;
    struct gauge_file file;
    size_t bytes;
    void *memory = usual_file(&file, &bytes);
    struct random random;
    uint64_t now_ns[2] = {1000, 5000};
    uint64_t over_cores[GAUGE_REGIME_COUNT] = {0};
    uint64_t over_shards[GAUGE_REGIME_COUNT] = {0};
    random_seed(&random, 9);
    gauge_core_start(&file.cores[0], now_ns[0]);
    gauge_core_start(&file.cores[1], now_ns[1]);
    for (int i = 0; i < 10000; i++) {
        uint64_t c = random_below(&random, 2);
        uint64_t step_ns = random_below(&random, 5000);
        enum gauge_regime regime = (enum gauge_regime)random_below(&random, GAUGE_REGIME_COUNT);
        /* Any core may poll any shard: they move. */
        struct gauge_shard *shard = &file.shards[random_below(&random, usual_counts.shards)];
        now_ns[c] += step_ns;
        struct gauge_shard *charged = regime == GAUGE_IDLE ? NULL : shard;
        assert_int_equal(gauge_charge(&file.cores[c], charged, regime, now_ns[c]), step_ns);
    }
    for (uint32_t c = 0; c < usual_counts.cores; c++) {
        uint64_t sum = 0;
        for (int r = 0; r < GAUGE_REGIME_COUNT; r++) {
            sum += file.cores[c].regime_ns[r];
            over_cores[r] += file.cores[c].regime_ns[r];
        }
        assert_int_equal(sum, now_ns[c] - (c == 0 ? 1000 : 5000));
        assert_int_equal(file.cores[c].charged_until_ns, now_ns[c]);
    }
    for (uint32_t s = 0; s < usual_counts.shards; s++) {
        for (int r = 0; r < GAUGE_SHARD_REGIMES; r++) {
            over_shards[r] += file.shards[s].regime_ns[r];
        }
    }
    for (int r = 0; r < GAUGE_SHARD_REGIMES; r++) {
        assert_true(over_shards[r] > 0);
        assert_int_equal(over_shards[r], over_cores[r]);
    }
    free(memory);
}

static void the_longest_poll_is_kept_with_its_shard(void **state) {
    (void)state;
    struct gauge_core core = {0};
    struct gauge_shard shards[2];
    memset(shards, 0, sizeof(shards));
    gauge_poll_done(&core, &shards[0], 0, 100);
    gauge_poll_done(&core, &shards[1], 1, 300);
    gauge_poll_done(&core, &shards[0], 0, 200);
    assert_int_equal(core.longest_poll_ns, 300);
    assert_int_equal(core.longest_poll_of, 2);
    assert_int_equal(shards[0].longest_poll_ns, 200);
    assert_int_equal(shards[1].longest_poll_ns, 300);
}

static void latencies_fall_into_powers_of_two(void **state) {
    (void)state;
    assert_int_equal(gauge_latency_bucket(0), 0);
    assert_int_equal(gauge_latency_bucket(1023), 0);
    for (uint32_t b = 1; b < GAUGE_LATENCY_BUCKETS; b++) {
        assert_int_equal(gauge_latency_bucket(UINT64_C(1) << (b + 9)), b);
        assert_int_equal(gauge_latency_bucket((UINT64_C(1) << (b + 10)) - 1), b);
    }
    assert_int_equal(gauge_latency_bucket(UINT64_MAX), GAUGE_LATENCY_BUCKETS - 1);
    struct gauge_shard shard;
    memset(&shard, 0, sizeof(shard));
    gauge_latency(&shard, 3000, 10);
    gauge_latency(&shard, 1000, 2);
    assert_int_equal(shard.latency_count, 12);
    assert_int_equal(shard.latency_sum_ns, 32000);
    assert_int_equal(shard.latency_max_ns, 3000);
    assert_int_equal(shard.latency_buckets[2], 10);
    assert_int_equal(shard.latency_buckets[0], 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_over_their_limits_have_no_size),
        cmocka_unit_test(a_file_cut_or_extended_is_refused),
        cmocka_unit_test(a_header_that_is_not_ours_is_refused),
        cmocka_unit_test(rows_that_point_nowhere_are_refused),
        cmocka_unit_test(misuse_aborts),
        cmocka_unit_test(a_reader_needs_nothing_but_the_file),
        cmocka_unit_test(every_block_begins_a_cache_line_and_ends_inside_the_file),
        cmocka_unit_test(a_name_is_cut_and_made_printable),
        cmocka_unit_test(depth_and_high_water_are_those_of_the_ring),
        cmocka_unit_test(counters_that_make_no_sense_are_brought_into_range),
        cmocka_unit_test(damage_anywhere_is_refused_or_read_in_range),
        cmocka_unit_test(every_nanosecond_belongs_to_one_regime),
        cmocka_unit_test(the_longest_poll_is_kept_with_its_shard),
        cmocka_unit_test(latencies_fall_into_powers_of_two),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
