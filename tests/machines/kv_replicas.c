/* Both machines play the same stream, with budgets of their own; then their digests are asked. */

#include "tests/machines/kv_replicas.h"

#include "tests/cmocka_wrapper.h"

/* Executes commands first to last of the stream on both, with budgets of their own. */
static void play(struct driver *a, struct driver *b, struct kv_templates *stream, uint64_t first,
                 uint64_t last) {
    static const uint32_t budgets[] = {1, 40, 3000, UINT32_MAX};
    for (uint64_t index = first; index <= last; index++) {
        stream->now_ms = 1000000 + index * 3;
        const struct machine_moment moment = driver_moment(index, stream->now_ms);
        kv_templates_next(stream);
        a->budget = budgets[random_u64(&stream->random) % 4];
        driver_execute(a, stream->words, stream->count, &moment, NULL);
        if (b == NULL)
            continue;
        b->budget = budgets[random_u64(&stream->random) % 4];
        driver_execute(b, stream->words, stream->count, &moment, NULL);
    }
}

void kv_replicas_assert_equal(struct driver *a, struct driver *b, uint64_t log_time_ms) {
    driver_maintain(a, log_time_ms);
    driver_maintain(b, log_time_ms);
    for (uint32_t i = 0; i < 1u << KV_REPLICAS_PARTITION_BITS; i++)
        assert_int_equal(machine_kv.digest(a->machine, i), machine_kv.digest(b->machine, i));
    assert_int_equal(driver_digest_full(a), driver_digest_full(b));
}

void kv_replicas_snapshot_and_rest(const char *const *templates, uint32_t value_bytes_max) {
    enum { PREFIXES = 12, COMMANDS = 3000 };
    for (uint64_t prefix = 0; prefix < PREFIXES; prefix++) {
        const uint64_t cut = prefix * COMMANDS / PREFIXES + 1;
        const struct machine_moment moment = driver_moment(cut, 1000000 + cut * 3);
        struct driver whole;
        struct driver copy;
        struct kv_templates stream;
        struct kv_model_text bytes = {0};
        struct random random;
        random_seed(&random, prefix);
        kv_templates_begin(&stream, templates, 100 + prefix, 40, value_bytes_max);
        driver_begin(&whole, &machine_kv, KV_REPLICAS_PARTITION_BITS);
        driver_begin(&copy, &machine_kv, KV_REPLICAS_PARTITION_BITS);
        copy.follower = true;
        play(&whole, NULL, &stream, 1, cut);
        whole.budget = copy.budget = 5000;
        driver_snapshot(&whole, &moment, &bytes);
        assert_int_equal(driver_restore(&copy, &bytes, &random), 0);
        kv_replicas_assert_equal(&whole, &copy, moment.log_time_ms);
        play(&whole, &copy, &stream, cut + 1, COMMANDS);
        kv_replicas_assert_equal(&whole, &copy, 1000000 + COMMANDS * 3);
        kv_model_text_free(&bytes);
        kv_templates_end(&stream);
        driver_end(&whole);
        driver_end(&copy);
    }
}

/* A snapshot in progress. */
struct emitting {
    struct driver *driver;
    struct driver_sink sink;
    bool done;
};

static void emit(void *context) {
    struct emitting *emitting = context;
    const struct machine_sink sink = driver_sink_make(&emitting->sink);
    if (emitting->done)
        return;
    emitting->done = machine_kv.snapshot_emit(emitting->driver->machine, &sink, 60) != MACHINE_MORE;
    if (emitting->done)
        machine_kv.snapshot_end(emitting->driver->machine);
}

void kv_replicas_snapshot_is_of_its_beginning(const char *const *templates,
                                              uint32_t value_bytes_max) {
    struct driver driver;
    struct kv_templates stream;
    uint64_t index = 0;
    kv_templates_begin(&stream, templates, 5, 60, value_bytes_max);
    driver_begin(&driver, &machine_kv, KV_REPLICAS_PARTITION_BITS);
    for (uint32_t round = 0; round < 40; round++) {
        struct driver copy;
        struct random random;
        struct kv_model_text bytes = {0};
        struct emitting emitting = {.driver = &driver, .sink = {.bytes = &bytes}};
        random_seed(&random, round);
        play(&driver, NULL, &stream, index + 1, index + 300);
        index += 300;
        const struct machine_moment moment = driver_moment(index, 1000000 + index * 3);
        driver_maintain(&driver, moment.log_time_ms);
        const uint64_t digest = driver_digest_full(&driver);
        assert_int_equal(machine_kv.snapshot_begin(driver.machine, &moment), 0);
        driver.between = emit;
        driver.context = &emitting;
        while (!emitting.done) {
            index++;
            play(&driver, NULL, &stream, index, index);
            emit(&emitting);
        }
        driver.between = NULL;
        driver_begin(&copy, &machine_kv, KV_REPLICAS_PARTITION_BITS);
        assert_int_equal(driver_restore(&copy, &bytes, &random), 0);
        assert_int_equal(driver_digest_full(&copy), digest);
        kv_model_text_free(&bytes);
        driver_end(&copy);
    }
    kv_templates_end(&stream);
    driver_end(&driver);
}
