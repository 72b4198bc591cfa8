/*
 * A node that applies a repetition under ONCE once more, and clients that notice.
 *
 * The defect stands at the linker's seam: the table of sessions says that the number is new, and is
 * not told of it again.
 */

#include "stages/sessions.h"
#include "tests/sim/clients_session.h"

static bool planted;
static bool applying_again;
static uint64_t applied_again;

enum session_verdict __real_sessions_use(struct sessions *sessions, uint32_t slot,
                                         const struct session_moment *moment, uint64_t sequence,
                                         uint64_t hash, const uint8_t **reply,
                                         uint32_t *reply_bytes);
enum session_verdict __wrap_sessions_use(struct sessions *sessions, uint32_t slot,
                                         const struct session_moment *moment, uint64_t sequence,
                                         uint64_t hash, const uint8_t **reply,
                                         uint32_t *reply_bytes);
bool __real_sessions_remember(struct sessions *sessions, uint32_t slot, uint64_t sequence,
                              uint64_t hash, const uint8_t *reply, uint32_t reply_bytes);
bool __wrap_sessions_remember(struct sessions *sessions, uint32_t slot, uint64_t sequence,
                              uint64_t hash, const uint8_t *reply, uint32_t reply_bytes);

enum session_verdict __wrap_sessions_use(struct sessions *sessions, uint32_t slot,
                                         const struct session_moment *moment, uint64_t sequence,
                                         uint64_t hash, const uint8_t **reply,
                                         uint32_t *reply_bytes) {
    const enum session_verdict verdict =
        __real_sessions_use(sessions, slot, moment, sequence, hash, reply, reply_bytes);
    applying_again = planted && verdict == SESSION_REPEATED;
    applied_again += applying_again;
    return applying_again ? SESSION_NEW : verdict;
}

bool __wrap_sessions_remember(struct sessions *sessions, uint32_t slot, uint64_t sequence,
                              uint64_t hash, const uint8_t *reply, uint32_t reply_bytes) {
    return applying_again ||
           __real_sessions_remember(sessions, slot, sequence, hash, reply, reply_bytes);
}

/* The verdict on clients that repeat much, over power cuts. */
static enum history_verdict run(uint64_t seed) {
    struct session session;
    struct kv_model_text text = {0};
    session_begin(&session, seed, false);
    world_disk_delay(session.node.world, session.node.host, SECOND_NS / 1000, SECOND_NS / 50);
    struct cluster_clients_options options = session_usual(seed, &session.node);
    options.once_share = 900;
    options.reset_share = 1000;
    options.batches_max = 8;
    session_clients(&session, &options);
    for (uint32_t i = 0; i < 2; i++) {
        session_run(&session, SECOND_NS);
        session_power_cut(&session);
    }
    session_run(&session, 2 * SECOND_NS);
    session_drain(&session);
    const enum history_verdict verdict = session_judge(session.clients, session.log, &text);
    kv_model_text_free(&text);
    session_end(&session);
    return verdict;
}

static void a_repetition_that_is_applied_once_more_is_found(void **state) {
    (void)state;
    uint32_t found = 0;
    for (uint64_t seed = 71; seed <= 76; seed++) {
        planted = false;
        assert_int_equal(run(seed), HISTORY_RIGHT);
        planted = true;
        found += run(seed) == HISTORY_WRONG;
    }
    print_message("%llu repetitions were applied once more; found in %u of 6 runs\n",
                  (unsigned long long)applied_again, found);
    assert_true(found >= 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_repetition_that_is_applied_once_more_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
