/*
 * Sets against a model whose sets are arrays of bool: random commands, with random budgets and
 * snapshots in between, while a follower without replies, and a replica that is restored from a
 * snapshot again and again, so that its tables lie otherwise, must have the same digests.
 */

#include "base/bytes.h"
#include "tests/cmocka_wrapper.h"
#include "tests/machines/driver.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS = 14, MEMBERS_MAX = 1500, TEXT_BYTES = 200, WORDS_MAX = 40, PARTITION_BITS = 2 };

/* ---- A world --------------------------------------------------------------------------------- */

/* A leader; a follower with other budgets and no replies; a replica that is restored from every
 * snapshot; and the model. */
struct world {
    struct driver leader;
    struct driver follower;
    struct driver replica;
    struct random random;
    uint32_t member_count;
    bool model[KEYS][MEMBERS_MAX];
    uint64_t index;

    struct kv_model_word words[WORDS_MAX];
    size_t count;
    char memory[WORDS_MAX][TEXT_BYTES + 40];
    struct kv_model_text reply;

    bool snapshotting;
    uint64_t digest_full;
    struct kv_model_text snapshot;
    struct driver_sink sink;
    uint64_t completed;
};

static uint32_t below(struct world *world, uint32_t limit) {
    return (uint32_t)random_below(&world->random, limit);
}

static uint32_t any_budget(struct world *world) {
    static const uint32_t limits[] = {2, 30, 1000, UINT32_MAX};
    return below(world, limits[below(world, 4)]) + 1;
}

__attribute__((format(printf, 2, 3))) static void word(struct world *world, const char *format,
                                                       ...) {
    assert_true(world->count < WORDS_MAX);
    char *memory = world->memory[world->count];
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(memory, sizeof(world->memory[0]), format, arguments);
    va_end(arguments);
    assert_true(length >= 0 && (size_t)length < sizeof(world->memory[0]));
    world->words[world->count++] = (struct kv_model_word){memory, (size_t)length};
}

static void word_key(struct world *world, uint32_t key) {
    word(world, key % 3 == 0 ? "{tag}%" PRIu32 : "k%" PRIu32, key);
}

/* Numbers, short texts, and long ones. */
static void word_member(struct world *world, uint32_t member) {
    static const char filler[] = "a member that is so long that some hundreds of it do not fit in "
                                 "the first region of a reply, and a hundred not in a record";
    switch (member % 3) {
    case 0: word(world, "%" PRIu32, member); break;
    case 1: word(world, "member:%" PRIu32, member); break;
    default: word(world, "%s:%" PRIu32, filler, member); break;
    }
}

static void world_begin(struct world *world, uint64_t seed, uint32_t member_count) {
    memset(world, 0, sizeof(*world));
    driver_begin(&world->leader, &machine_kv, PARTITION_BITS);
    driver_begin(&world->follower, &machine_kv, PARTITION_BITS);
    driver_begin(&world->replica, &machine_kv, PARTITION_BITS);
    world->follower.follower = world->replica.follower = true;
    world->member_count = member_count;
    random_seed(&world->random, seed);
    world->sink =
        (struct driver_sink){.bytes = &world->snapshot, .random = &world->random, .chance = 2};
}

static void world_end(struct world *world) {
    driver_end(&world->leader);
    driver_end(&world->follower);
    driver_end(&world->replica);
    kv_model_text_free(&world->reply);
    kv_model_text_free(&world->snapshot);
}

static struct machine_moment world_moment(const struct world *world) {
    return (struct machine_moment){.index = world->index,
                                   .log_time_ms = 1000,
                                   .clock_ms = 1000,
                                   .random = world->index * UINT64_C(0x9e3779b97f4a7c15)};
}

/* ---- Snapshots ------------------------------------------------------------------------------- */

static void snapshot_begin(struct world *world) {
    const struct machine_moment moment = world_moment(world);
    driver_maintain(&world->leader, moment.log_time_ms);
    world->digest_full = driver_digest_full(&world->leader);
    world->snapshot.length = 0;
    assert_int_equal(machine_kv.snapshot_begin(world->leader.machine, &moment), 0);
    world->snapshotting = true;
}

static void snapshot_slice(struct world *world) {
    const struct machine_sink sink = driver_sink_make(&world->sink);
    if (machine_kv.snapshot_emit(world->leader.machine, &sink, any_budget(world)) == MACHINE_MORE)
        return;
    machine_kv.snapshot_end(world->leader.machine);
    world->snapshotting = false;
    world->completed++;
    struct driver copy;
    driver_begin(&copy, &machine_kv, PARTITION_BITS);
    assert_int_equal(driver_restore(&copy, &world->snapshot, &world->random), 0);
    assert_int_equal(driver_digest_full(&copy), world->digest_full);
    driver_end(&copy);
}

static void world_between(void *context) {
    struct world *world = context;
    world->leader.budget = any_budget(world);
    if (world->snapshotting)
        snapshot_slice(world);
}

/* The replica begins anew from a snapshot of now: its tables then lie in another way. */
static void replica_restore(struct world *world) {
    const struct machine_moment moment = world_moment(world);
    struct kv_model_text bytes = {0};
    driver_snapshot(&world->replica, &moment, &bytes);
    driver_end(&world->replica);
    driver_begin(&world->replica, &machine_kv, PARTITION_BITS);
    world->replica.follower = true;
    assert_int_equal(driver_restore(&world->replica, &bytes, &world->random), 0);
    kv_model_text_free(&bytes);
}

/* ---- One command ----------------------------------------------------------------------------- */

static void begin(struct world *world, const char *name) {
    world->count = 0;
    word(world, "%s", name);
}

static void execute(struct world *world) {
    world->index++;
    const struct machine_moment moment = world_moment(world);
    /* Many replies do not fit at first: nothing may have changed then. */
    world->leader.region_bytes = 300 + below(world, 30000);
    world->leader.region = realloc(world->leader.region, world->leader.region_bytes);
    assert_non_null(world->leader.region);
    world->leader.budget = any_budget(world);
    world->follower.budget = any_budget(world);
    world->replica.budget = any_budget(world);
    driver_execute(&world->leader, world->words, world->count, &moment, &world->reply);
    driver_execute(&world->follower, world->words, world->count, &moment, NULL);
    driver_execute(&world->replica, world->words, world->count, &moment, NULL);
}

static void expect_integer(struct world *world, uint64_t number) {
    char text[32];
    const int length = snprintf(text, sizeof(text), ":%" PRIu64 "\r\n", number);
    if (world->reply.length != (size_t)length ||
        memcmp(world->reply.data, text, (size_t)length) != 0)
        fail_msg("%s: expected %s got %.*s", world->words[0].data, text, (int)world->reply.length,
                 world->reply.data);
}

/* Reads "$17\r\n" or "*17\r\n" at *at. */
static uint64_t read_head(const struct world *world, size_t *at, char kind) {
    uint64_t number = 0;
    if (*at >= world->reply.length || world->reply.data[*at] != kind)
        fail_msg("%s %s: no %c but %.*s", world->words[0].data, world->words[1].data, kind,
                 (int)world->reply.length, world->reply.data);
    for (++*at; world->reply.data[*at] != '\r'; ++*at)
        number = number * 10 + (uint64_t)(world->reply.data[*at] - '0');
    *at += 2;
    return number;
}

/* Reads a member, which is the number at its end. */
static uint32_t read_member(const struct world *world, size_t *at) {
    const uint64_t length = read_head(world, at, '$');
    const char *text = world->reply.data + *at;
    uint64_t begin_at = length;
    while (begin_at > 0 && text[begin_at - 1] >= '0' && text[begin_at - 1] <= '9')
        begin_at--;
    uint32_t number = 0;
    for (uint64_t i = begin_at; i < length; i++)
        number = number * 10 + (uint32_t)(text[i] - '0');
    *at += length + 2;
    assert_true(number < world->member_count);
    return number;
}

/* The members of an array at `at`, all different unless repeats are allowed. */
static uint64_t read_members(const struct world *world, size_t at, bool repeats,
                             bool members[MEMBERS_MAX]) {
    memset(members, 0, MEMBERS_MAX);
    const uint64_t count = read_head(world, &at, '*');
    for (uint64_t i = 0; i < count; i++) {
        const uint32_t member = read_member(world, &at);
        assert_true(repeats || !members[member]);
        members[member] = true;
    }
    assert_int_equal(at, world->reply.length);
    return count;
}

static uint64_t size_of(const bool *members) {
    uint64_t size = 0;
    for (uint32_t i = 0; i < MEMBERS_MAX; i++)
        size += members[i];
    return size;
}

/* ---- What is asked --------------------------------------------------------------------------- */

static void do_add(struct world *world, uint32_t key, bool removes) {
    uint64_t changed = 0;
    begin(world, removes ? "SREM" : "SADD");
    word_key(world, key);
    for (uint32_t i = below(world, WORDS_MAX - 3) + 1; i > 0; i--) {
        const uint32_t member = below(world, world->member_count);
        word_member(world, member);
        changed += world->model[key][member] == removes;
        world->model[key][member] = !removes;
    }
    execute(world);
    expect_integer(world, changed);
}

static void do_ask(struct world *world, uint32_t key) {
    bool members[MEMBERS_MAX];
    const uint32_t member = below(world, world->member_count);
    begin(world, "SISMEMBER");
    word_key(world, key);
    word_member(world, member);
    execute(world);
    expect_integer(world, world->model[key][member]);
    begin(world, "SCARD");
    word_key(world, key);
    execute(world);
    expect_integer(world, size_of(world->model[key]));
    begin(world, "SMEMBERS");
    word_key(world, key);
    execute(world);
    read_members(world, 0, false, members);
    assert_memory_equal(members, world->model[key], sizeof(members));
}

static void do_move(struct world *world, uint32_t key) {
    const uint32_t to = below(world, KEYS);
    const uint32_t member = below(world, world->member_count);
    const bool there = world->model[key][member];
    begin(world, "SMOVE");
    word_key(world, key);
    word_key(world, to);
    word_member(world, member);
    execute(world);
    expect_integer(world, there);
    if (there) {
        world->model[key][member] = false;
        world->model[to][member] = true;
    }
}

static void do_pop(struct world *world, uint32_t key) {
    bool *model = world->model[key];
    bool members[MEMBERS_MAX];
    const uint64_t size = size_of(model);
    begin(world, "SPOP");
    word_key(world, key);
    const bool one = below(world, 3) == 0;
    const uint64_t wanted = one ? 1 : below(world, (uint32_t)size + 3) / (below(world, 8) + 1);
    if (!one)
        word(world, "%" PRIu64, wanted);
    execute(world);
    if (one && size == 0) {
        assert_memory_equal(world->reply.data, "$-1\r\n", 5);
        return;
    }
    size_t at = 0;
    if (one) {
        memset(members, 0, sizeof(members));
        members[read_member(world, &at)] = true;
    } else {
        const uint64_t popped = read_members(world, 0, false, members);
        assert_int_equal(popped, wanted < size ? wanted : size);
    }
    for (uint32_t i = 0; i < MEMBERS_MAX; i++) {
        assert_true(!members[i] || model[i]);
        model[i] = model[i] && !members[i];
    }
}

static void do_random(struct world *world, uint32_t key) {
    const bool *model = world->model[key];
    bool members[MEMBERS_MAX];
    const uint64_t size = size_of(model);
    const uint64_t wanted = below(world, (uint32_t)size + 3);
    const bool repeats = below(world, 2) == 0 && size > 0 && wanted > 0;
    begin(world, "SRANDMEMBER");
    word_key(world, key);
    word(world, "%s%" PRIu64, repeats ? "-" : "", wanted);
    execute(world);
    const uint64_t count = read_members(world, 0, repeats, members);
    assert_int_equal(count, repeats || wanted < size ? wanted : size);
    for (uint32_t i = 0; i < MEMBERS_MAX; i++)
        assert_true(!members[i] || model[i]);
}

static void combine(char operation, bool *into, const bool *other) {
    for (uint32_t i = 0; i < MEMBERS_MAX; i++)
        into[i] = operation == 'I'   ? into[i] && other[i]
                  : operation == 'U' ? into[i] || other[i]
                                     : into[i] && !other[i];
}

static void do_algebra(struct world *world, uint32_t target) {
    static const char *const names[] = {"SINTER", "SUNION", "SDIFF"};
    static const uint32_t most[] = {3, 12, 12};
    bool expected[MEMBERS_MAX];
    bool members[MEMBERS_MAX];
    const uint32_t operation = below(world, 3);
    const uint32_t sources = below(world, most[operation]) + 1;
    const uint32_t kind = below(world, operation == 0 ? 3 : 2);
    char name[32];
    snprintf(name, sizeof(name), "%s%s", names[operation],
             kind == 0   ? ""
             : kind == 1 ? "STORE"
                         : "CARD");
    begin(world, name);
    if (kind == 1)
        word_key(world, target);
    if (kind == 2)
        word(world, "%" PRIu32, sources);
    for (uint32_t i = 0; i < sources; i++) {
        const uint32_t source = below(world, KEYS);
        word_key(world, source);
        if (i == 0)
            memcpy(expected, world->model[source], sizeof(expected));
        else
            combine(names[operation][1], expected, world->model[source]);
    }
    execute(world);
    if (kind == 0) {
        read_members(world, 0, false, members);
        assert_memory_equal(members, expected, sizeof(members));
        return;
    }
    expect_integer(world, size_of(expected));
    if (kind == 1)
        memcpy(world->model[target], expected, sizeof(expected));
}

/* Until the cursor is 0; what did not change meanwhile comes, and in a set that does not change,
 * each member once. */
static void do_scan(struct world *world, uint32_t key) {
    bool seen[MEMBERS_MAX] = {false};
    bool members[MEMBERS_MAX];
    uint64_t cursor = 0;
    do {
        begin(world, "SSCAN");
        word_key(world, key);
        word(world, "%" PRIu64, cursor);
        word(world, "COUNT");
        word(world, "%" PRIu32, below(world, 100) + 1);
        execute(world);
        size_t at = 0;
        assert_int_equal(read_head(world, &at, '*'), 2);
        const uint64_t length = read_head(world, &at, '$');
        cursor = 0;
        for (uint64_t i = 0; i < length; i++)
            cursor = cursor * 10 + (uint64_t)(world->reply.data[at + i] - '0');
        read_members(world, at + length + 2, false, members);
        for (uint32_t i = 0; i < MEMBERS_MAX; i++) {
            assert_false(seen[i] && members[i]);
            seen[i] |= members[i];
        }
    } while (cursor != 0);
    assert_memory_equal(seen, world->model[key], sizeof(seen));
}

static void do_key(struct world *world, uint32_t key) {
    const uint32_t other = below(world, KEYS);
    const uint64_t size = size_of(world->model[key]);
    switch (below(world, 3)) {
    case 0:
        begin(world, "DEL");
        word_key(world, key);
        execute(world);
        expect_integer(world, size > 0);
        memset(world->model[key], 0, MEMBERS_MAX);
        break;
    case 1:
        begin(world, "COPY");
        word_key(world, key);
        word_key(world, other);
        word(world, "REPLACE");
        execute(world);
        if (other == key)
            break;
        expect_integer(world, size > 0);
        if (size > 0)
            memcpy(world->model[other], world->model[key], MEMBERS_MAX);
        break;
    default:
        begin(world, "RENAME");
        word_key(world, key);
        word_key(world, other);
        execute(world);
        if (size == 0 || other == key)
            break;
        memcpy(world->model[other], world->model[key], MEMBERS_MAX);
        memset(world->model[key], 0, MEMBERS_MAX);
        break;
    }
}

static void world_check(struct world *world) {
    for (uint32_t i = 0; i < 1u << PARTITION_BITS; i++) {
        const uint64_t digest = machine_kv.digest(world->leader.machine, i);
        assert_int_equal(machine_kv.digest(world->follower.machine, i), digest);
        assert_int_equal(machine_kv.digest(world->replica.machine, i), digest);
    }
    const uint64_t full = driver_digest_full(&world->leader);
    assert_int_equal(driver_digest_full(&world->follower), full);
    assert_int_equal(driver_digest_full(&world->replica), full);
}

static void world_step(struct world *world) {
    const uint32_t key = below(world, KEYS);
    const uint32_t kind = below(world, 32);
    if (kind < 9)
        do_add(world, key, kind >= 7);
    else if (kind < 12)
        do_ask(world, key);
    else if (kind < 15)
        do_move(world, key);
    else if (kind < 19)
        do_pop(world, key);
    else if (kind < 22)
        do_random(world, key);
    else if (kind < 29)
        do_algebra(world, key);
    else if (kind < 31)
        do_scan(world, key);
    else
        do_key(world, key);
}

static void world_run(struct world *world, uint32_t steps) {
    world->leader.between = world_between;
    world->leader.context = world;
    for (uint32_t i = 0; i < steps; i++) {
        world_step(world);
        if (below(world, 50) == 0)
            world_check(world);
        if (below(world, 40) == 0)
            replica_restore(world);
        if (below(world, 20) == 0)
            driver_maintain(&world->follower, 1000);
        if (!world->snapshotting && below(world, 30) == 0)
            snapshot_begin(world);
        else if (world->snapshotting && below(world, 3) == 0)
            snapshot_slice(world);
    }
    world_check(world);
}

static void small_sets_are_what_the_model_says(void **state) {
    (void)state;
    static struct world world;
    world_begin(&world, 1, 60);
    world_run(&world, 3000);
    assert_true(world.completed >= 20);
    world_end(&world);
}

static void large_sets_are_what_the_model_says(void **state) {
    (void)state;
    static struct world world;
    world_begin(&world, 2, MEMBERS_MAX);
    world_run(&world, 2000);
    assert_true(world.completed >= 10);
    world_end(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_sets_are_what_the_model_says),
        cmocka_unit_test(large_sets_are_what_the_model_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
