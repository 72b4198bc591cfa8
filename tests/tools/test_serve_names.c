/*
 * The resolver of members' names, turn by turn, with a name server and a clock of the test's own.
 */

#include "tools/serve_names.h"

#include <string.h>

#include "tests/cmocka_wrapper.h"

#define MILLISECOND_NS UINT64_C(1000000)

static uint64_t now_ns;
static uint64_t look_up_ns; /* so long one takes */
static uint32_t look_ups;
static const char *known; /* hosts, with blanks between them; NULL: the name is not known */

static const char *look_up(void *context, const char *host, struct names_found *found) {
    (void)context;
    assert_string_equal(host, "two");
    look_ups++;
    now_ns += look_up_ns;
    if (known == NULL) {
        return "Name or service not known";
    }
    for (const char *at = known; *at != '\0';) {
        size_t length = strcspn(at, " ");
        memcpy(found->hosts[found->count++], at, length);
        at += length + strspn(at + length, " ");
    }
    return NULL;
}

static uint64_t clock_of_the_test(void *context) {
    (void)context;
    return now_ns;
}

static void wake(void *context) {
    (*(uint32_t *)context)++;
}

static const struct names_door door = {.look_up = look_up, .now_ns = clock_of_the_test};
static uint32_t woken;
static struct peer_name name;
static struct names_job job;
static char address[PEER_NAME_ADDRESS_BYTES];

static int begin(void **state) {
    (void)state;
    now_ns = 1000 * MILLISECOND_NS;
    look_up_ns = 0;
    look_ups = 0;
    known = NULL;
    woken = 0;
    name = (struct peer_name){
        .node_id = 2, .host = "two", .port = 7380, .wake = wake, .context = &woken};
    job = (struct names_job){.name = &name, .door = &door};
    memset(address, 0, sizeof(address));
    return 0;
}

/* Asks, lets the pause pass, and takes what is said; whether it is something new. */
static bool ask(bool has_failed) {
    assert_true(peer_name_ask(&name, has_failed));
    uint64_t due_ns = names_job_turn(&job);
    if (due_ns != UINT64_MAX) {
        assert_true(due_ns > now_ns && due_ns <= now_ns + NAME_PAUSE_NS_MAX);
        now_ns = due_ns;
        assert_true(names_job_turn(&job) == UINT64_MAX);
    }
    return peer_name_take(&name, address);
}

static void who_was_not_asked_looks_nothing_up(void **state) {
    (void)state;
    assert_true(names_job_turn(&job) == UINT64_MAX);
    assert_int_equal(look_ups, 0);
    assert_false(peer_name_take(&name, address));
}

static void a_question_wakes_the_resolver_once_until_it_is_answered(void **state) {
    (void)state;
    assert_true(peer_name_ask(&name, false));
    assert_false(peer_name_ask(&name, true));
    assert_false(peer_name_take(&name, address));
    bool has_failed = true;
    assert_true(peer_name_asked(&name, &has_failed));
    assert_false(has_failed);
    assert_int_equal(woken, 1);
}

static void a_name_that_is_not_known_is_answered_with_nothing(void **state) {
    (void)state;
    assert_false(ask(false));
    assert_string_equal(address, "");
    assert_int_equal(look_ups, 1);
    known = "10.0.0.2";
    assert_true(ask(false));
    assert_string_equal(address, "10.0.0.2:7380");
    known = NULL; /* and what is known stays */
    assert_false(ask(false));
    assert_string_equal(address, "10.0.0.2:7380");
}

static void an_address_that_changes_is_said(void **state) {
    (void)state;
    known = "10.0.0.2";
    assert_true(ask(false));
    assert_false(ask(true));
    known = "fd00::2";
    assert_true(ask(true));
    assert_string_equal(address, "[fd00::2]:7380");
}

/* The one said last stays as long as it is among them, unless nobody was there. */
static void of_several_addresses_the_next_one_is_tried_when_one_fails(void **state) {
    (void)state;
    known = "::1 127.0.0.1 127.0.0.2";
    assert_true(ask(false));
    assert_string_equal(address, "[::1]:7380");
    assert_true(ask(true));
    assert_string_equal(address, "127.0.0.1:7380");
    known = "127.0.0.2 127.0.0.1 ::1"; /* in whatever order */
    assert_false(ask(false));
    assert_true(ask(true));
    assert_string_equal(address, "[::1]:7380");
    assert_true(ask(true));
    assert_string_equal(address, "127.0.0.2:7380");
}

/* Also where each of them takes long. */
static void look_ups_are_few_while_they_bring_nothing_new(void **state) {
    (void)state;
    for (look_up_ns = 0; look_up_ns <= 10000 * MILLISECOND_NS;
         look_up_ns += 10000 * MILLISECOND_NS) {
        uint64_t last_ns = 0;
        look_ups = 0;
        for (uint32_t i = 0; i < 20; i++) {
            (void)ask(true);
            uint64_t began_ns = now_ns - look_up_ns;
            assert_true(i == 0 || began_ns - last_ns >= NAME_PAUSE_NS_MIN);
            assert_true(i < 6 || began_ns - last_ns == NAME_PAUSE_NS_MAX);
            last_ns = now_ns;
        }
        assert_int_equal(look_ups, 20);
    }
}

/* A member that was well for a while, and one that has just moved, are not waited for so long. */
static void the_pause_is_short_again_after_a_change_or_a_while(void **state) {
    (void)state;
    for (uint32_t i = 0; i < 8; i++) {
        (void)ask(true);
    }
    assert_true(job.pause_ns == NAME_PAUSE_NS_MAX);
    known = "10.0.0.2";
    assert_true(ask(true));
    assert_true(job.pause_ns == NAME_PAUSE_NS_MIN);
    for (uint32_t i = 0; i < 8; i++) {
        (void)ask(true);
    }
    assert_true(job.pause_ns == NAME_PAUSE_NS_MAX);
    now_ns += 2 * NAME_PAUSE_NS_MAX;
    (void)ask(true);
    assert_true(job.pause_ns == NAME_PAUSE_NS_MIN);
}

#define TEST(test) cmocka_unit_test_setup(test, begin)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(who_was_not_asked_looks_nothing_up),
        TEST(a_question_wakes_the_resolver_once_until_it_is_answered),
        TEST(a_name_that_is_not_known_is_answered_with_nothing),
        TEST(an_address_that_changes_is_said),
        TEST(of_several_addresses_the_next_one_is_tried_when_one_fails),
        TEST(look_ups_are_few_while_they_bring_nothing_new),
        TEST(the_pause_is_short_again_after_a_change_or_a_while),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
