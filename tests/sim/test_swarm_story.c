/*
 * The story of a run: it changes nothing, has what happened in the order in which it happened, and
 * ends with how things stand.
 */

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/decimal.h"
#include "base/log.h"
#include "sim/swarm.h"
#include "tests/cmocka_wrapper.h"

#define SECOND_NS (UINT64_C(1000) * 1000 * 1000)

enum { STORY_BYTES = 1 << 22 };

static struct swarm_plan plan[1];
static struct swarm_result result[1];
static char story[STORY_BYTES]; /* lines, each with its newline */
static size_t story_bytes;

static void line_add(void *context, const char *text) {
    (void)context;
    const size_t length = strlen(text);
    assert_true(story_bytes + length + 2 < sizeof(story));
    memcpy(story + story_bytes, text, length);
    story[story_bytes + length] = '\n';
    story_bytes += length + 1;
    story[story_bytes] = '\0';
}

static const struct swarm_watch listens = {.line = line_add};

static void run_and_listen(void) {
    story_bytes = 0;
    story[0] = '\0';
    swarm_run(plan, &listens, result);
}

/* Three nodes, a calm world, no faults. */
static void plan_by_hand(uint64_t seed) {
    swarm_plan_draw(plan, seed, 3);
    plan->node_count = plan->founder_count;
    plan->world = world_options_calm();
    plan->clients = cluster_clients_options_default();
    plan->safety_ns = 6 * SECOND_NS;
    plan->snapshot_log_bytes = 0;
    plan->leases = false;
    plan->action_count = 0;
}

/* Whoever leads after two seconds hears the others and is not heard, for two seconds. */
static void cut_the_leader_off(void) {
    plan->actions[plan->action_count++] = (struct swarm_action){.fault = SWARM_PARTITION,
                                                                .from_ns = 2 * SECOND_NS,
                                                                .to_ns = 4 * SECOND_NS,
                                                                .leader = true,
                                                                .links = {6, 0, 0}};
}

/* Where this stands in the story behind `from`, with what follows; NULL: nowhere. */
static const char *story_find(const char *from, const char *words) {
    const char *found = strstr(from, words);
    return found == NULL ? NULL : found + strlen(words);
}

/* The number that begins here; behind it at *end. */
static uint64_t story_number(const char *at, const char **end) {
    uint64_t number = 0;
    size_t digits = strspn(at, "0123456789");
    assert_int_equal(decimal_parse_u64(at, digits, &number), 0);
    *end = at + digits;
    return number;
}

static void a_story_changes_nothing_of_the_run(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= (WEIR_SANITIZER_BUILD ? 1 : 4); seed++) {
        struct swarm_result unheard;
        swarm_plan_draw(plan, seed, 0);
        swarm_run(plan, NULL, &unheard);
        run_and_listen();
        assert_int_equal(unheard.trace_hash, result->trace_hash);
        assert_int_equal(unheard.step, result->step);
        assert_int_equal(unheard.counts.ok, result->counts.ok);
        assert_true(story_bytes > 0);
    }
}

static void the_story_tells_an_election_from_its_cause_to_its_end(void **state) {
    (void)state;
    static const char *const expected[] = {
        "begins #1: partition",       " asks whether to campaign in term ",
        "  pre-vote? term ",          "  pre-vote answer: yes, term ",
        " campaigns in term ",        "  vote? term ",
        "  vote answer: yes, term ",  " leads in term ",
        "  first append, term ",      "  first answer, term ",
        "ends #1: partition",         "---- liveness: healed are",
        "---- peace: all are healed",
    };
    plan_by_hand(1);
    cut_the_leader_off();
    run_and_listen();
    assert_false(result->failed);
    const char *at = story;
    for (size_t i = 0; i < ARRAY_COUNT(expected); i++) {
        const char *next = story_find(at, expected[i]);
        if (next == NULL) {
            fail_msg("not in the story, or too early: %s\n%.4000s", expected[i], at);
        }
        at = next;
    }
    assert_non_null(strstr(story, " leads no more, follows in term "));
}

/* What the old leader sent went nowhere, and the story says so; and each client has its part. */
static void each_second_tells_what_went_over_each_way_and_what_each_client_got(void **state) {
    (void)state;
    plan_by_hand(1);
    cut_the_leader_off();
    run_and_listen();
    const char *cut = story_find(story, "begins #1: partition ");
    assert_non_null(cut);
    char from = cut[0]; /* "1>2 1>3": the ways that were cut */
    char lost[32];
    (void)snprintf(lost, sizeof(lost), "\n                  %c>", from);
    const char *second = story_find(cut, "==== since ");
    assert_non_null(second);
    second = story_find(second, "==== since "); /* wholly within the partition */
    assert_non_null(second);
    const char *way = story_find(second, lost);
    assert_non_null(way);
    assert_true(strstr(way, "; only 0 of ") < strchr(way, '\n'));
    assert_non_null(strstr(way, "; only 0 of "));
    uint64_t entries = 0;
    for (const char *at = story; (at = story_find(at, " append (")) != NULL;) {
        entries += story_number(at, &at);
    }
    /* All but some were sent to both other nodes. */
    assert_true(entries > result->counts.committed && entries < 3 * result->counts.committed);
    const char *clients = story_find(story, "clients: ok/refused/unknown");
    assert_non_null(clients);
    for (uint32_t i = 0; i < plan->clients.clients; i++) {
        char client[16];
        (void)snprintf(client, sizeof(client), "  #%u ", i);
        assert_non_null(strstr(clients, client));
    }
    uint64_t ok = 0;
    for (const char *at = story; (at = story_find(at, "  #")) != NULL;) {
        (void)story_number(at, &at);
        ok += *at == ' ' ? story_number(at + 1, &at) : 0;
    }
    /* The last second is not told. */
    assert_true(ok <= result->counts.ok && ok > result->counts.ok / 2);
}

static void what_cannot_be_read_of_the_messages_is_nothing(void **state) {
    (void)state;
    plan_by_hand(2);
    plan->snapshot_log_bytes = 20000;
    cut_the_leader_off();
    run_and_listen();
    assert_null(strstr(story, "not understood"));
}

static void a_follower_that_was_away_is_sent_a_snapshot_from_its_beginning_to_its_end(
    void **state) {
    (void)state;
    plan_by_hand(3);
    plan->snapshot_log_bytes = 10000;
    plan->clients.value_bytes_max = 2000;
    plan->clients.long_share = 500;
    plan->safety_ns = 10 * SECOND_NS;
    plan->actions[plan->action_count++] = (struct swarm_action){
        .fault = SWARM_KILL, .from_ns = SECOND_NS / 2, .to_ns = 8 * SECOND_NS, .node = 2};
    run_and_listen();
    assert_false(result->failed);
    const char *begins = story_find(story, "bytes: begins\n");
    assert_non_null(begins);
    assert_non_null(strstr(begins, "bytes: has it all\n"));
}

/* Who asks for next to nothing gets nothing, which is a finding: the story says how things stood,
 * and nothing comes behind. */
static void the_story_of_a_run_that_breaks_ends_with_how_things_stand(void **state) {
    (void)state;
    plan_by_hand(1);
    cut_the_leader_off();
    plan->clients.rate = 1;
    run_and_listen();
    assert_true(result->failed);
    const char *broken = story_find(story, "BROKEN: a healed quorum answered 0 operations");
    assert_non_null(broken);
    const char *stands = story_find(broken, "---- how things stand\n");
    assert_non_null(stands);
    assert_non_null(strstr(stands, "in force: no fault\n"));
    const char *leader = story_find(stands, " is up, leader: term ");
    assert_non_null(leader);
    assert_non_null(strstr(leader, "its log: 1..1 of term 1, "));
    assert_null(strstr(stands, "loses power"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_read_of_the_messages_is_nothing),
        cmocka_unit_test(the_story_of_a_run_that_breaks_ends_with_how_things_stand),
        cmocka_unit_test(a_story_changes_nothing_of_the_run),
        cmocka_unit_test(the_story_tells_an_election_from_its_cause_to_its_end),
        cmocka_unit_test(each_second_tells_what_went_over_each_way_and_what_each_client_got),
        cmocka_unit_test(a_follower_that_was_away_is_sent_a_snapshot_from_its_beginning_to_its_end),
    };
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    assert_true(nowhere >= 0);
    log_descriptor_set(nowhere); /* what nodes say of the faults that befall them */
    return cmocka_run_group_tests_name("sim_swarm_story", tests, NULL, NULL);
}
