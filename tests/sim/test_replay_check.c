/* Replay in log order: by hand, and against all permutations. */

#include <stdio.h>
#include <string.h>

#include "tests/cmocka_wrapper.h"
#include "tests/sim/history_brute.h"
#include "tests/sim/history_by_hand.h"
#include "tests/sim/history_maker.h"

static enum history_verdict judge(const struct by_hand_row *rows, size_t count, const char *text) {
    struct by_hand made;
    by_hand_begin(&made);
    by_hand_rows(&made, rows, count);
    const enum history_verdict verdict = by_hand_replay(&made, text);
    by_hand_end(&made);
    return verdict;
}

/* ---- Wrong ----------------------------------------------------------------------------------- */

static void an_acknowledged_write_that_is_not_in_the_log_is_lost(void **state) {
    (void)state;
    const struct by_hand_row rows[] = {{1, 10, 20, "SET x 1", "+OK"}};
    WRONG(rows, "an acknowledged write is not in the log");
}

static void a_write_is_in_the_log_once(void **state) {
    (void)state;
    const struct by_hand_row rows[] = {{1, 10, 20, "INCR x", ":1"}, LOG("INCR x"), LOG("INCR x")};
    WRONG(rows, "twice");
}

static void an_unknown_write_is_in_the_log_once_at_most(void **state) {
    (void)state;
    const struct by_hand_row rows[] = {{1, 10, N, "INCR x", "?"}, LOG("INCR x"), LOG("INCR x")};
    WRONG(rows, "twice");
}

static void a_refused_write_is_not_in_the_log(void **state) {
    (void)state;
    const struct by_hand_row rows[] = {{1, 10, 20, "SET x 1", "!"}, LOG("SET x 1")};
    WRONG(rows, "a refused write is in the log");
}

static void what_nobody_asked_for_is_not_in_the_log(void **state) {
    (void)state;
    const struct by_hand_row rows[] = {
        {1, 10, 20, "SET x 1", "+OK"}, LOG("SET x 1"), LOG("SET x 2")};
    WRONG(rows, "nobody asked for");
}

static void a_reply_is_that_of_its_place(void **state) {
    (void)state;
    const struct by_hand_row rows[] = {{1, 10, 20, "INCRBY x 2", ":2"},
                                       {2, 10, 20, "INCRBY x 3", ":3"},
                                       LOG("INCRBY x 2"),
                                       LOG("INCRBY x 3")};
    WRONG(rows, "the model's reply there: :5");
}

static void the_log_keeps_the_order_of_time(void **state) {
    (void)state;
    const struct by_hand_row rows[] = {{1, 10, 20, "SET x 1", "+OK"},
                                       {2, 30, 40, "SET y 1", "+OK"},
                                       LOG("SET y 1"),
                                       LOG("SET x 1")};
    WRONG(rows, "invoked after its return");
}

static void the_log_keeps_the_order_of_a_connection(void **state) {
    (void)state;
    const struct by_hand_row rows[] = {{1, 10, 50, "SET x 1", "+OK"},
                                       {1, 11, 50, "SET y 1", "+OK"},
                                       LOG("SET y 1"),
                                       LOG("SET x 1")};
    WRONG(rows, "a later one of its connection");
}

static void an_unknown_write_stands_behind_what_returned_before_it(void **state) {
    (void)state;
    const struct by_hand_row rows[] = {
        {1, 10, 20, "SET x 1", "+OK"}, {2, 30, N, "SET x 2", "?"}, LOG("SET x 2"), LOG("SET x 1")};
    WRONG(rows, NULL);
}

static void a_read_fits_between_its_invocation_and_its_return(void **state) {
    (void)state;
    const struct by_hand_row stale[] = {{1, 10, 20, "SET x 1", "+OK"},
                                        {1, 30, 40, "SET x 2", "+OK"},
                                        {2, 50, 60, "GET x", "$1"},
                                        LOG("SET x 1"),
                                        LOG("SET x 2")};
    const struct by_hand_row early[] = {
        {1, 30, 40, "SET x 1", "+OK"}, {2, 10, 20, "GET x", "$1"}, LOG("SET x 1")};
    WRONG(stale, "a read fits nowhere");
    WRONG(early, "a read fits nowhere");
}

static void reads_of_two_keys_agree_on_one_order(void **state) {
    (void)state;
    /* Each key alone is linearizable: only the log sees this. */
    const struct by_hand_row rows[] = {{1, 10, 100, "SET x 1", "+OK"},
                                       {2, 10, 100, "SET y 1", "+OK"},
                                       {3, 20, 30, "MGET x y", "[1 nil]"},
                                       {4, 20, 30, "MGET x y", "[nil 1]"},
                                       LOG("SET x 1"),
                                       LOG("SET y 1")};
    WRONG(rows, "[20, 30] ok: MGET");
    struct by_hand made;
    by_hand_begin(&made);
    for (size_t i = 0; i < 4; i++)
        (void)by_hand_add(&made, rows[i].connection, rows[i].invoked_ns, rows[i].returned_ns,
                          rows[i].command, rows[i].reply);
    assert_int_equal(by_hand_linearizable(&made, NULL), HISTORY_RIGHT);
    by_hand_end(&made);
}

/* ---- Collections and transactions ------------------------------------------------------------ */

#define TRANSFER "EXEC 4 HINCRBY a f -1 4 HINCRBY b f 1"

static void half_of_a_transaction_is_not_seen(void **state) {
    (void)state;
    const struct by_hand_row rows[] = {{1, 10, 100, TRANSFER, "[:-1 :1]"},
                                       {2, 20, 30, "EXEC 3 HGET a f 3 HGET b f", "[-1 nil]"},
                                       LOG(TRANSFER)};
    WRONG(rows, "a read fits nowhere");
    const struct by_hand_row whole[] = {{1, 10, 100, TRANSFER, "[:-1 :1]"},
                                        {2, 20, 30, "EXEC 3 HGET a f 3 HGET b f", "[-1 1]"},
                                        {3, 20, 90, "EXEC 3 HGET a f 3 HGET b f", "[nil nil]"},
                                        LOG("exec 4 hincrby a f -1 4 hincrby b f 1")};
    RIGHT(whole);
}

static void every_command_of_a_transaction_counts(void **state) {
    (void)state;
    const struct by_hand_row lost[] = {
        {1, 10, 20, TRANSFER, "[:-1 :1]"}, {2, 30, 40, "HGET b f", "nil"}, LOG(TRANSFER)};
    const struct by_hand_row twice[] = {{1, 10, 20, TRANSFER, "[:-1 :2]"}, LOG(TRANSFER)};
    const struct by_hand_row fewer[] = {{1, 10, 20, TRANSFER, "[:-1]"}, LOG(TRANSFER)};
    WRONG(lost, "a read fits nowhere");
    WRONG(twice, "not that of its place");
    WRONG(fewer, "not that of its place");
}

static void what_is_popped_twice_is_found(void **state) {
    (void)state;
    const struct by_hand_row rows[] = {{1, 10, 20, "RPUSH l v1", ":1"},
                                       {1, 21, 22, "RPUSH l v2", ":2"},
                                       {2, 30, 40, "LPOP l", "$v1"},
                                       {2, 50, 60, "LLEN l", ":0"},
                                       LOG("RPUSH l v1"),
                                       LOG("RPUSH l v2"),
                                       LOG("LPOP l")};
    WRONG(rows, "a read fits nowhere");
}

static void a_random_member_is_one_that_is_there(void **state) {
    (void)state;
    const struct by_hand_row none[] = {{1, 10, 20, "SADD s 1 2", ":2"},
                                       {2, 30, 40, "SPOP s", "$3"},
                                       LOG("SADD s 1 2"),
                                       LOG("SPOP s")};
    const struct by_hand_row again[] = {{1, 10, 20, "SADD s 1 2", ":2"},
                                        {2, 30, 40, "SPOP s", "$1"},
                                        {3, 50, 60, "SISMEMBER s 1", ":1"},
                                        LOG("SADD s 1 2"),
                                        LOG("SPOP s")};
    const struct by_hand_row unseen[] = {{1, 10, 20, "SADD s 1 2 3", ":3"},
                                         {2, 30, N, "SPOP s", "?"},
                                         {3, 50, 60, "SISMEMBER s 1", ":0"},
                                         {3, 61, 62, "SISMEMBER s 2", ":1"},
                                         {3, 63, 64, "SCARD s", ":2"},
                                         {4, 70, 80, "SREM s 1", ":0"},
                                         {4, 81, 82, "SMEMBERS s", "[3 2]"},
                                         LOG("SADD s 1 2 3"),
                                         LOG("SPOP s"),
                                         LOG("SREM s 1")};
    WRONG(none, "none of them");
    WRONG(again, "a read fits nowhere");
    RIGHT(unseen);
}

static void a_watched_key_that_changed_forbids_the_transaction(void **state) {
    (void)state;
    const struct by_hand_row rows[] = {{1, 10, 20, "WATCH k", "+OK"},
                                       {2, 30, 40, "SET k 2", "+OK"},
                                       {1, 50, 60, "EXEC 2 WATCH k 3 SET k 1", "[+OK]"},
                                       LOG("SET k 2"),
                                       LOG("EXEC 2 WATCH k 3 SET k 1")};
    WRONG(rows, "no place for its WATCH");
    /* Nor if what was read behind the WATCH is older than the change. */
    const struct by_hand_row read[] = {{1, 10, 20, "WATCH k", "+OK"},
                                       {2, 10, 40, "SET k 2", "+OK"},
                                       {1, 21, 30, "GET k", "nil"},
                                       {1, 50, 60, "EXEC 2 WATCH k 3 SET k 1", "[+OK]"},
                                       LOG("SET k 2"),
                                       LOG("EXEC 2 WATCH k 3 SET k 1")};
    WRONG(read, NULL);
    const struct by_hand_row before[] = {{2, 10, 40, "SET k 2", "+OK"},
                                         {1, 10, 20, "WATCH k", "+OK"},
                                         {1, 50, 60, "EXEC 2 WATCH k 3 SET k 1", "[+OK]"},
                                         LOG("SET k 2"),
                                         LOG("EXEC 2 WATCH k 3 SET k 1")};
    RIGHT(before);
}

static void a_transaction_that_was_not_executed_has_a_reason(void **state) {
    (void)state;
    const struct by_hand_row none[] = {{2, 1, 2, "SET k 2", "+OK"},
                                       {1, 10, 20, "WATCH k", "+OK"},
                                       {2, 12, 22, "SET x 3", "+OK"},
                                       {1, 50, 60, "EXEC 2 WATCH k 3 SET k 1", "*-1"},
                                       LOG("SET k 2"),
                                       LOG("SET x 3"),
                                       LOG("EXEC 2 WATCH k 3 SET k 1")};
    const struct by_hand_row one[] = {{2, 1, 2, "SET k 2", "+OK"},
                                      {1, 10, 20, "WATCH k", "+OK"},
                                      {2, 12, 22, "SET k 3", "+OK"},
                                      {1, 50, 60, "EXEC 2 WATCH k 3 SET k 1", "*-1"},
                                      {1, 61, 62, "GET k", "$3"},
                                      LOG("SET k 2"),
                                      LOG("SET k 3"),
                                      LOG("EXEC 2 WATCH k 3 SET k 1")};
    WRONG(none, "nothing that it watched had changed");
    RIGHT(one);
}

static void a_pipelined_read_sees_the_write_before_it(void **state) {
    (void)state;
    const struct by_hand_row rows[] = {
        {1, 10, 50, "SET x 1", "+OK"}, {1, 11, 50, "GET x", "nil"}, LOG("SET x 1")};
    WRONG(rows, "a read fits nowhere");
}

static void replies_come_in_the_order_of_their_connection(void **state) {
    (void)state;
    const struct by_hand_row rows[] = {{1, 10, 50, "GET x", "nil"}, {1, 11, 49, "GET x", "nil"}};
    WRONG(rows, "out of its order");
}

static void half_an_mset_is_seen_by_nobody(void **state) {
    (void)state;
    const struct by_hand_row rows[] = {{1, 10, 50, "MSET x 1 y 1", "+OK"},
                                       {2, 20, 30, "MGET x y", "[1 nil]"},
                                       LOG("MSET x 1 y 1")};
    WRONG(rows, NULL);
}

static void a_listing_tells_every_key(void **state) {
    (void)state;
    const struct by_hand_row rows[] = {
        {1, 10, 20, "MSET x 1 y 1", "+OK"}, {2, 30, 40, "KEYS *", "[x]"}, LOG("MSET x 1 y 1")};
    WRONG(rows, NULL);
}

static void a_key_is_gone_at_its_deadline_of_log_time(void **state) {
    (void)state;
    /* By hand the log's entries are a second apart. */
    const struct by_hand_row rows[] = {{1, 10, 20, "SET x 1 PX 999", "+OK"},
                                       {1, 30, 40, "SET y 1", "+OK"},
                                       {2, 50, 60, "GET x", "$1"},
                                       LOG("SET x 1 PX 999"),
                                       LOG("SET y 1")};
    const struct by_hand_row ttl[] = {{1, 10, 20, "SET x 1 PX 999", "+OK"},
                                      {2, 50, 60, "PTTL x", ":1000"},
                                      LOG("SET x 1 PX 999")};
    WRONG(rows, "the model's reply at the last such place: $-1");
    WRONG(ttl, "the model's reply at the last such place: :999");
}

static void log_time_does_not_go_back(void **state) {
    (void)state;
    struct by_hand made;
    by_hand_begin(&made);
    (void)by_hand_add(&made, 1, 10, 20, "SET x 1", "+OK");
    (void)by_hand_add(&made, 1, 30, 40, "SET x 2", "+OK");
    by_hand_log(&made, "SET x 1");
    by_hand_log(&made, "SET x 2");
    made.log[1].log_time_ms = made.log[0].log_time_ms - 1;
    assert_int_equal(by_hand_replay(&made, "log time went back"), HISTORY_WRONG);
    by_hand_end(&made);
}

static void words_are_those_of_the_operation_that_is_said(void **state) {
    (void)state;
    struct by_hand made;
    by_hand_begin(&made);
    const uint32_t number = by_hand_add(&made, 1, 10, 20, "SET x 1", "+OK");
    by_hand_log(&made, "SET x 2");
    made.log[0].operation = number;
    assert_int_equal(by_hand_replay(&made, "other words"), HISTORY_WRONG);
    struct replay_report report;
    made.log[0].operation = 7;
    assert_int_equal(replay_check(&made.history, made.log, 1, 1 << 20, &report), WEIR_EINVAL);
    by_hand_end(&made);
}

/* ---- Right ----------------------------------------------------------------------------------- */

static void an_unknown_write_is_decided_by_the_log(void **state) {
    (void)state;
    struct by_hand made;
    struct replay_report report;
    by_hand_begin(&made);
    (void)by_hand_add(&made, 1, 10, N, "SET x 1", "?");
    (void)by_hand_add(&made, 2, 10, N, "SET x 2", "?");
    (void)by_hand_add(&made, 3, 20, 30, "SET x 3", "+OK");
    (void)by_hand_add(&made, 4, 40, 50, "GET x", "$2");
    by_hand_log(&made, "SET x 3");
    by_hand_log(&made, "SET x 2");
    assert_int_equal(replay_check(&made.history, made.log, 2, 1 << 20, &report), 0);
    assert_int_equal(report.verdict, HISTORY_RIGHT);
    assert_int_equal(report.unknown_applied, 1);
    assert_int_equal(report.unknown_absent, 1);
    assert_int_equal(report.writes, 1);
    assert_int_equal(report.reads, 1);
    const uint8_t never[] = {1, 0, 0, 0};
    assert_memory_equal(report.never_applied, never, sizeof(never));
    replay_free(&report);
    by_hand_end(&made);
}

static void reads_stand_between_writes_where_they_fit(void **state) {
    (void)state;
    const struct by_hand_row rows[] = {{1, 10, 100, "SET x 1", "+OK"},
                                       {1, 11, 100, "SET x 2", "+OK"},
                                       {2, 12, 30, "GET x", "nil"},
                                       {2, 31, 90, "GET x", "$1"},
                                       {3, 20, 30, "GET x", "$1"},
                                       {3, 31, 90, "MGET x y", "[2 nil]"},
                                       LOG("SET x 1"),
                                       LOG("set x 2")};
    RIGHT(rows);
}

static void time_and_listings_are_judged_as_far_as_they_can_be(void **state) {
    (void)state;
    const struct by_hand_row rows[] = {
        {1, 10, 20, "SET x 1 PX 1500", "+OK"},
        {2, 21, 22, "PTTL x", ":1234"},
        {1, 30, 40, "SET y 1", "+OK"},
        {2, 50, 55, "KEYS *", "[y x]"},
        {2, 56, 57, "SCAN 0", "*2\r\n$2\r\n17\r\n*1\r\n$1\r\nq"},
        {2, 58, 59, "SCAN 0", "*2\r\n$1\r\n0\r\n*2\r\n$1\r\ny\r\n$1\r\nx"},
        {1, 60, 70, "SET z 1", "+OK"},
        {2, 80, 90, "PTTL x", ":-2"},
        {2, 91, 92, "TTL y", ":-1"},
        {2, 93, 94, "DBSIZE", ":2"},
        LOG("SET x 1 PX 1500"),
        LOG("SET y 1"),
        LOG("SET z 1")};
    RIGHT(rows);
}

static void a_form_that_is_refused_with_an_error_goes_through_no_log(void **state) {
    (void)state;
    const struct by_hand_row rows[] = {
        {1, 10, 20, "INCRBY x y", "-ERR value is not an integer or out of range"},
        {1, 30, 40, "SET x a", "+OK"},
        {1, 50, 60, "INCR x", "-ERR value is not an integer or out of range"},
        LOG("SET x a"),
        LOG("INCR x")};
    RIGHT(rows);
}

static void the_same_words_are_told_apart_by_their_replies(void **state) {
    (void)state;
    const struct by_hand_row rows[] = {{1, 10, 100, "INCR x", ":2"},
                                       {2, 10, 100, "INCR x", ":1"},
                                       {3, 10, N, "INCR x", "?"},
                                       {4, 110, 120, "GET x", "$3"},
                                       LOG("INCR x"),
                                       LOG("INCR x"),
                                       LOG("INCR x")};
    RIGHT(rows);
}

static void a_place_that_was_given_to_another_is_given_back(void **state) {
    (void)state;
    /* The first INCR is 2's, though 1's returned first: 2 has set x back before 1's. */
    const struct by_hand_row rows[] = {{1, 10, 90, "INCR x", ":1"},
                                       {2, 10, 100, "INCR x", ":1"},
                                       {2, 11, 101, "MSET x 0 y 1", "+OK"},
                                       {3, 110, 120, "GET x", "$1"},
                                       LOG("INCR x"),
                                       LOG("MSET x 0 y 1"),
                                       LOG("INCR x")};
    RIGHT(rows);
    /* Twice in one history. */
    const struct by_hand_row twice[] = {{1, 10, 90, "INCR x", ":1"},
                                        {2, 10, 100, "INCR x", ":1"},
                                        {2, 11, 101, "SET x 0", "+OK"},
                                        {1, 110, 190, "INCR z", ":1"},
                                        {2, 110, 200, "INCR z", ":1"},
                                        {2, 111, 201, "SET z 0", "+OK"},
                                        {3, 210, 220, "MGET x z", "[1 1]"},
                                        LOG("INCR x"),
                                        LOG("SET x 0"),
                                        LOG("INCR x"),
                                        LOG("INCR z"),
                                        LOG("SET z 0"),
                                        LOG("INCR z")};
    RIGHT(twice);
    /* Nor need it be what fails: the second INCR could not be 2's where it had not got the first,
       an unknown one took its place, and 2's second had none in the end. */
    const struct by_hand_row later[] = {{1, 10, 90, "INCR x", ":1"},
                                        {2, 10, 100, "INCR x", ":1"},
                                        {2, 11, 101, "INCR x", ":2"},
                                        {3, 10, N, "INCR x", "?"},
                                        {4, 10, N, "SET x 0", "?"},
                                        {5, 10, 102, "SET y 1", "+OK"},
                                        LOG("INCR x"),
                                        LOG("INCR x"),
                                        LOG("SET x 0"),
                                        LOG("INCR x"),
                                        LOG("SET y 1")};
    RIGHT(later);
    /* And not where it had returned before. */
    const struct by_hand_row lost[] = {{1, 10, 90, "INCR x", ":1"},
                                       {2, 10, 100, "INCR x", ":1"},
                                       {2, 11, 101, "MSET x 0 y 1", "+OK"},
                                       {3, 110, 120, "GET x", "$1"},
                                       LOG("INCR x"),
                                       LOG("MSET x 0 y 1")};
    UNDECIDED(lost, "an acknowledged write is not in the log");
}

/* ---- Undecided ------------------------------------------------------------------------------- */

static void a_choice_that_leads_nowhere_is_undecided(void **state) {
    (void)state;
    const struct by_hand_row rows[] = {{1, 10, 100, "SET x 1", "+OK"},
                                       {2, 10, 101, "SET x 1", "+OK"},
                                       {2, 11, 102, "SET y 1", "+OK"},
                                       {3, 110, 120, "GET x", "$7"},
                                       LOG("SET x 1"),
                                       LOG("SET x 1"),
                                       LOG("SET y 1")};
    UNDECIDED(rows, "might have been another operation's");
    /* Where one cannot be better than the other, there is no choice. */
    const struct by_hand_row no_choice[] = {{1, 10, 100, "SET x 1", "+OK"},
                                            {2, 10, 101, "SET x 1", "+OK"},
                                            {3, 10, N, "SET x 1", "?"},
                                            {3, 110, 120, "GET x", "$7"},
                                            LOG("SET x 1"),
                                            LOG("SET x 1"),
                                            LOG("SET x 1")};
    WRONG(no_choice, "a read fits nowhere");
}

/* ---- Against all permutations ---------------------------------------------------------------- */

static void make_small(struct made *made, uint64_t seed) {
    struct random random;
    random_seed(&random, seed);
    const struct maker_options options = {
        .seed = seed,
        .operations = 2 + (uint32_t)random_below(&random, 6),
        .connections = 1 + (uint32_t)random_below(&random, 4),
        .keys = 2,
        .unknown_per_mille = 150,
        .refused_per_mille = 50,
        .gap_ns = 1 + (uint32_t)random_below(&random, 8),
        .span_ns = (uint32_t)random_below(&random, 12),
        .few_values = random_chance(&random, 1, 2),
    };
    made_create(made, &options);
    made_execute(made);
    for (uint32_t i = 0; i < made->count && random_chance(&random, 1, 2); i++) {
        struct made_operation *one = &made->operations[random_below(&random, made->count)];
        struct made_operation *other = &made->operations[random_below(&random, made->count)];
        if (one == other || one->outcome != HISTORY_OK || other->outcome != HISTORY_OK ||
            one->reply.data[0] == '+' || one->reply.data[0] != other->reply.data[0])
            continue;
        one->reply.length = 0;
        kv_model_text_append(&one->reply, other->reply.data, other->reply.length);
    }
    made_record(made, true);
    if (made->log_count > 1 && random_chance(&random, 1, 4)) {
        const size_t at = random_below(&random, made->log_count - 1);
        const struct replay_command command = made->log[at];
        made->log[at] = made->log[at + 1];
        made->log[at + 1] = command;
        made->log[at].log_time_ms = made->log[at + 1].log_time_ms = 1;
    }
    for (size_t i = 0; i < made->log_count; i++)
        made->log[i].log_time_ms = 1;
    if (made->log_count > 0 && random_chance(&random, 1, 10))
        made->log_count--;
}

static void replay_and_all_permutations_say_the_same(void **state) {
    (void)state;
    enum { HISTORIES = WEIR_SANITIZER_BUILD ? 15000 : 100000, VERDICT_MIN = HISTORIES / 10 };
    uint32_t right = 0;
    uint32_t wrong = 0;
    uint32_t undecided = 0;
    for (uint64_t seed = 1; seed <= HISTORIES; seed++) {
        struct made made;
        struct replay_report report;
        make_small(&made, seed);
        bool expected = brute_check(&made.history, made.log, made.log_count);
        right += expected;
        wrong += !expected;
        for (uint32_t said = 0; said < 2; said++) {
            for (size_t i = 0; said == 1 && i < made.log_count; i++)
                made.log[i].operation = REPLAY_OPERATION_UNSAID;
            if (said == 1)
                expected = brute_check(&made.history, made.log, made.log_count);
            assert_int_equal(
                replay_check(&made.history, made.log, made.log_count, 1 << 20, &report), 0);
            const bool agrees = report.verdict == (expected ? HISTORY_RIGHT : HISTORY_WRONG) ||
                                (said == 1 && report.verdict == HISTORY_UNDECIDED);
            if (!agrees) {
                struct kv_model_text text = {0};
                history_dump(&text, &made.history);
                print_message("seed %u: %s, all permutations say %s\n%.*s%.*s", (unsigned)seed,
                              history_verdict_name(report.verdict), expected ? "ok" : "violated",
                              (int)text.length, text.data, (int)report.text.length,
                              report.text.data);
                fail();
            }
            undecided += report.verdict == HISTORY_UNDECIDED;
            replay_free(&report);
        }
        made_destroy(&made);
    }
    print_message("%u histories: %u right, %u wrong; %u undecided when nobody says whose\n",
                  HISTORIES, right, wrong, undecided);
    assert_in_range(right, VERDICT_MIN, HISTORIES);
    assert_in_range(wrong, VERDICT_MIN, HISTORIES);
    assert_in_range(undecided, 0, HISTORIES / 50);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_acknowledged_write_that_is_not_in_the_log_is_lost),
        cmocka_unit_test(a_write_is_in_the_log_once),
        cmocka_unit_test(an_unknown_write_is_in_the_log_once_at_most),
        cmocka_unit_test(a_refused_write_is_not_in_the_log),
        cmocka_unit_test(what_nobody_asked_for_is_not_in_the_log),
        cmocka_unit_test(a_reply_is_that_of_its_place),
        cmocka_unit_test(the_log_keeps_the_order_of_time),
        cmocka_unit_test(the_log_keeps_the_order_of_a_connection),
        cmocka_unit_test(an_unknown_write_stands_behind_what_returned_before_it),
        cmocka_unit_test(a_read_fits_between_its_invocation_and_its_return),
        cmocka_unit_test(reads_of_two_keys_agree_on_one_order),
        cmocka_unit_test(half_of_a_transaction_is_not_seen),
        cmocka_unit_test(every_command_of_a_transaction_counts),
        cmocka_unit_test(what_is_popped_twice_is_found),
        cmocka_unit_test(a_random_member_is_one_that_is_there),
        cmocka_unit_test(a_watched_key_that_changed_forbids_the_transaction),
        cmocka_unit_test(a_transaction_that_was_not_executed_has_a_reason),
        cmocka_unit_test(a_pipelined_read_sees_the_write_before_it),
        cmocka_unit_test(replies_come_in_the_order_of_their_connection),
        cmocka_unit_test(half_an_mset_is_seen_by_nobody),
        cmocka_unit_test(a_listing_tells_every_key),
        cmocka_unit_test(a_key_is_gone_at_its_deadline_of_log_time),
        cmocka_unit_test(log_time_does_not_go_back),
        cmocka_unit_test(words_are_those_of_the_operation_that_is_said),
        cmocka_unit_test(an_unknown_write_is_decided_by_the_log),
        cmocka_unit_test(reads_stand_between_writes_where_they_fit),
        cmocka_unit_test(time_and_listings_are_judged_as_far_as_they_can_be),
        cmocka_unit_test(a_form_that_is_refused_with_an_error_goes_through_no_log),
        cmocka_unit_test(the_same_words_are_told_apart_by_their_replies),
        cmocka_unit_test(a_place_that_was_given_to_another_is_given_back),
        cmocka_unit_test(a_choice_that_leads_nowhere_is_undecided),
        cmocka_unit_test(replay_and_all_permutations_say_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
