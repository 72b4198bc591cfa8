/* What is refused, in Redis's order and words; what a connection may say in which state. */

#include "tests/stages/validate_rig.h"

#include "raft/raft.h"
#include "stages/batch.h"
#include "tests/cmocka_wrapper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct rig rig;

static int start(void **state) {
    (void)state;
    rig_prepare(&rig);
    rig_start(&rig);
    return 0;
}

static int start_locked(void **state) {
    (void)state;
    rig_prepare(&rig);
    (void)snprintf(rig.options.password, sizeof(rig.options.password), "secret");
    rig_start(&rig);
    return 0;
}

static int stop(void **state) {
    (void)state;
    rig_stop(&rig);
    return 0;
}

/* ---- refusals ------------------------------------------------------------------------------ */

static void an_unknown_command_is_quoted(void **state) {
    (void)state;
    rig_expect(&rig, 0, "foo a b",
               "-ERR unknown command 'foo', with args beginning with: 'a' 'b' \r\n");
    const char empty[] = "*1\r\n$0\r\n\r\n";
    assert_string_equal(rig_send(&rig, 0, empty, sizeof(empty) - 1),
                        "-ERR unknown command '', with args beginning with: \r\n");
    const char odd[] = "*3\r\n$3\r\na\0b\r\n$3\r\nx\ry\r\n$2\r\n\n\n\r\n";
    assert_string_equal(rig_send(&rig, 0, odd, sizeof(odd) - 1),
                        "-ERR unknown command 'a', with args beginning with: 'x y' '  ' \r\n");
}

static void a_quotation_is_cut(void **state) {
    (void)state;
    char name[131];
    char argument[101];
    char line[400];
    char expected[600];
    memset(name, 'y', 130);
    name[130] = '\0';
    memset(argument, 'x', 100);
    argument[100] = '\0';
    (void)snprintf(line, sizeof(line), "%s %s zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz", name, argument);
    (void)snprintf(expected, sizeof(expected),
                   "-ERR unknown command '%.128s', with args beginning with: '%s' "
                   "'zzzzzzzzzzzzzzzzzzzzzzzzz' \r\n",
                   name, argument);
    rig_expect(&rig, 0, line, expected);
}

static void the_number_of_arguments_is_judged(void **state) {
    (void)state;
    rig_expect(&rig, 0, "get", "-ERR wrong number of arguments for 'get' command\r\n");
    rig_expect(&rig, 0, "SET a", "-ERR wrong number of arguments for 'set' command\r\n");
    rig_expect(&rig, 0, "ping a b", "-ERR wrong number of arguments for 'ping' command\r\n");
    rig_expect(&rig, 0, "client", "-ERR wrong number of arguments for 'client' command\r\n");
    rig_expect(&rig, 0, "CLIENT setname",
               "-ERR wrong number of arguments for 'client|setname' command\r\n");
    rig_expect(&rig, 0, "CLIENT nosuch x",
               "-ERR unknown subcommand 'nosuch'. Try CLIENT HELP.\r\n");
    rig_expect(&rig, 0, "config SETS a b", "-ERR unknown subcommand 'SETS'. Try CONFIG HELP.\r\n");
    assert_int_equal(rig.node.validate.refused, 7);
    assert_int_equal(rig.node.validate.commands, 7);
}

static void the_machine_refuses_the_form_before_the_log(void **state) {
    (void)state;
    rig_expect(&rig, 0, "set a b ex nonsense", "-ERR value is not an integer or out of range\r\n");
    rig_expect(&rig, 0, "set a b foo", "-ERR syntax error\r\n");
    assert_int_equal(rig.write_count, 0);
    assert_int_equal(rig.write_entry_bytes, 0);
}

static void bytes_that_are_not_resp_close_the_connection(void **state) {
    (void)state;
    const char bytes[] = "PING\r\n*1\r\nx\r\n";
    assert_string_equal(rig_send(&rig, 0, bytes, sizeof(bytes) - 1),
                        "+PONG\r\n-ERR Protocol error: expected '$', got 'x'\r\n");
    rig_expect(&rig, 0, "set a b", "");
    assert_int_equal(rig.write_count, 0);
}

static void a_full_memory_refuses_what_grows(void **state) {
    (void)state;
    rig.options.memory_bytes_max = 1000;
    rig.node.apply.memory_bytes = 999;
    rig_expect(&rig, 0, "set a b", "<WRITE>");
    rig.node.apply.memory_bytes = 1000;
    rig_expect(&rig, 0, "set a b", "-OOM command not allowed when used memory > 'maxmemory'.\r\n");
    rig_expect(&rig, 0, "get a\r\ndel a", "<READ><WRITE>");
    rig_expect(&rig, 0, "set a", "-ERR wrong number of arguments for 'set' command\r\n");
}

static void what_short_commands_may_make_long_is_refused_unless_it_fits(void **state) {
    (void)state;
    static const char oom[] = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";
    rig.options.memory_bytes_max = 1000000;
    rig.node.apply.memory_bytes = 400000;
    rig.node.apply.longest_bytes = 4096;
    rig_expect(&rig, 0, "setrange a 900000 x", oom);
    rig_expect(&rig, 0, "setbit a 7200000 1", oom);
    rig_expect(&rig, 0, "setbit a 720 1\r\ncopy a b\r\nset a b", "<WRITE><WRITE><WRITE>");
    /* Twice 200001 bytes are under way; then there is room for 195,000 more. */
    rig_expect(&rig, 0, "setrange a 200000 x", "<WRITE>");
    rig_expect(&rig, 0, "setrange b 100000 x", oom);
    rig_expect(&rig, 0, "copy a b", oom); /* as long as a may have become */
    rig_expect(&rig, 0, "set a b\r\ndel a", "<WRITE><WRITE>");
    rig.node.write.growth_bytes = rig.node.validate.growth_bytes; /* they are home */
    rig_expect(&rig, 0, "setrange b 100000 x", "<WRITE>");
    rig.node.apply.memory_bytes = 799000; /* with what is under way for b, 999 are left */
    rig_expect(&rig, 0, "incrbyfloat a 1e4900", oom);
    rig_expect(&rig, 0, "incr a", "<WRITE>");
    rig.options.memory_bytes_max = 0;
    rig_expect(&rig, 0, "setrange a 900000 x", "<WRITE>");
}

static void a_value_that_was_not_made_refuses_no_copy(void **state) {
    (void)state;
    static const char oom[] = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";
    static const char too_long[] =
        "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n";
    rig.options.memory_bytes_max = 10000000;
    rig.node.apply.memory_bytes = 400000;
    rig.node.apply.longest_bytes = 4096;
    rig_expect(&rig, 0, "setrange a 1048576 x", too_long); /* the rig's limit: 1 MiB */
    rig_expect(&rig, 0, "setrange a 9223372036854775807 x", too_long);
    rig_expect(&rig, 0, "setrange a 9223372036854775807 \"\"", "<WRITE>");
    rig_expect(&rig, 0, "setbit a 8388608 1",
               "-ERR bit offset is not an integer or out of range\r\n");
    rig.node.apply.memory_bytes = 9990000;
    rig_expect(&rig, 0, "copy a b", "<WRITE>"); /* none of these counts */

    rig.node.write.growth_bytes = rig.node.validate.growth_bytes;
    rig.node.apply.memory_bytes = 400000;
    rig_expect(&rig, 0, "setrange a 900000 x", "<WRITE>");
    rig.node.write.growth_bytes = rig.node.validate.growth_bytes;
    rig.node.apply.memory_bytes = 9000000;
    rig_expect(&rig, 0, "copy a b", "<WRITE>"); /* as long as it is made, not as it may need */
    rig.node.apply.memory_bytes = 9990000;
    rig_expect(&rig, 0, "copy a b", oom);
    memcpy(rig.node.write.long_batches, rig.node.validate.long_batches,
           sizeof(rig.node.write.long_batches));
    rig.node.write.growth_bytes = rig.node.validate.growth_bytes;
    rig_expect(&rig, 0, "copy a b", "<WRITE>"); /* all are home, and the value is not there */
    rig.node.apply.longest_bytes = 900001;
    rig_expect(&rig, 0, "copy a b", oom); /* or it is */
}

/* Sends "SET k <value of this many bytes>" this many times. */
static const char *send_sets(uint32_t count, size_t value_bytes) {
    char *bytes = malloc(count * (value_bytes + 64));
    assert_non_null(bytes);
    size_t length = 0;
    for (uint32_t i = 0; i < count; i++) {
        length += (size_t)snprintf(bytes + length, 64, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%zu\r\n",
                                   value_bytes);
        memset(bytes + length, 'v', value_bytes);
        memcpy(bytes + length + value_bytes, "\r\n", 2);
        length += value_bytes + 2;
    }
    const char *answer = rig_send(&rig, 0, bytes, length);
    free(bytes);
    return answer;
}

static void the_entry_has_a_limit(void **state) {
    (void)state;
    const char *too_large =
        "-ERR command too large: with it the log entry would exceed its limit\r\n";
    assert_string_equal(send_sets(1, (1 << 20) - 200), "<WRITE>");
    assert_true(rig.write_entry_bytes <= (1 << 20) - 40);
    assert_string_equal(send_sets(1, (1 << 20) - 40), too_large);
    assert_int_equal(rig.write_count, 0);
    /* The third of these does not fit beside the first two; a small one behind it does. */
    char expected[256];
    (void)snprintf(expected, sizeof(expected), "<WRITE><WRITE>%s", too_large);
    assert_string_equal(send_sets(3, 400000), expected);
    assert_int_equal(rig.write_count, 2);
}

static void reads_and_writes_are_counted(void **state) {
    (void)state;
    rig_expect(&rig, 0, "get a\r\nset a b\r\nping\r\nget b\r\nnosuch",
               "<READ><WRITE>+PONG\r\n<READ>-ERR unknown command 'nosuch', with args beginning "
               "with: \r\n");
    assert_int_equal(rig.read_count, 2);
    assert_int_equal(rig.write_count, 1);
    /* One record: 16 of header, two lengths, "ab", rounded up to 8; key hashes play no part. */
    assert_int_equal(rig.write_entry_bytes, 32);
}

static void a_command_of_many_arguments_is_judged(void **state) {
    (void)state;
    size_t count = 200001;
    char *bytes = malloc(count * 8 + 64);
    assert_non_null(bytes);
    size_t length = (size_t)snprintf(bytes, 64, "*%zu\r\n$4\r\nMSET\r\n", count);
    for (size_t i = 1; i < count; i++) {
        length += (size_t)snprintf(bytes + length, 16, "$1\r\na\r\n");
    }
    rig.options.log.entry_bytes_max = 1 << 20;
    assert_string_equal(rig_send(&rig, 0, bytes, length), "<WRITE>");
    free(bytes);
}

/* ---- states -------------------------------------------------------------------------------- */

static void a_locked_connection_hears_little(void **state) {
    (void)state;
    const char *locked = "-NOAUTH Authentication required.\r\n";
    rig_expect(&rig, 0, "get a", locked);
    rig_expect(&rig, 0, "ping", locked);
    rig_expect(&rig, 0, "client id", locked);
    rig_expect(&rig, 0, "shutdown", locked);
    assert_int_equal(rig.node.signals.shutdown_requested, 0);
    /* Unknown commands and wrong arities are told first, as Redis does. */
    rig_expect(&rig, 0, "ping a b", locked); /* its arity is -1, as far as tables can tell */
    rig_expect(&rig, 0, "nosuch", "-ERR unknown command 'nosuch', with args beginning with: \r\n");
    rig_expect(&rig, 0, "get", "-ERR wrong number of arguments for 'get' command\r\n");
    rig_expect(&rig, 0, "client nosuch", "-ERR unknown subcommand 'nosuch'. Try CLIENT HELP.\r\n");
    rig_expect(&rig, 0, "reset", "+RESET\r\n");
    assert_int_equal(rig.node.records[0].authenticated, 0);
}

static void only_the_right_password_opens(void **state) {
    (void)state;
    const char *wrong = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
    rig_expect(&rig, 0, "auth secre", wrong);
    rig_expect(&rig, 0, "auth secrett", wrong);
    rig_expect(&rig, 0, "auth Secret", wrong);
    rig_expect(&rig, 0, "auth \"\"", wrong);
    rig_expect(&rig, 0, "auth \"secret\\x00\"", wrong);
    rig_expect(&rig, 0, "auth other secret", wrong);
    rig_expect(&rig, 0, "auth DEFAULT secret", wrong);
    rig_expect(&rig, 0, "auth a b c", "-ERR syntax error\r\n");
    assert_int_equal(rig.node.validate.auth_failures, 7);
    rig_expect(&rig, 0, "get a", "-NOAUTH Authentication required.\r\n");
    rig_expect(&rig, 0, "auth secret\r\nget a", "+OK\r\n<READ>");
    assert_int_equal(rig.node.records[0].authenticated, 1);
    rig_expect(&rig, 1, "auth default secret\r\nget a", "+OK\r\n<READ>");
    /* A wrong password later takes nothing away; RESET does. */
    rig_expect(&rig, 1, "auth wrong", wrong);
    rig_expect(&rig, 1, "get a", "<READ>");
    rig_expect(&rig, 1, "reset\r\nget a", "+RESET\r\n-NOAUTH Authentication required.\r\n");
    assert_int_equal(rig.node.records[1].authenticated, 0);
}

static void a_password_too_long_is_wrong(void **state) {
    (void)state;
    char line[700] = "auth ";
    memset(line + 5, 's', 600);
    line[605] = '\0';
    rig_expect(&rig, 0, line, "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
}

static void auth_without_a_password_is_an_error(void **state) {
    (void)state;
    rig_expect(&rig, 0, "auth x",
               "-ERR AUTH <password> called without any password configured for the default user. "
               "Are you sure your configuration is correct?\r\n");
    rig_expect(&rig, 0, "auth default x", "+OK\r\n");
    rig_expect(&rig, 0, "auth other x",
               "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
}

static void a_new_connection_inherits_nothing(void **state) {
    (void)state;
    rig.node.replicate.role = RAFT_LEADER;
    rig_expect(&rig, 3, "hello 3 auth default secret setname me\r\nclient getname",
               "%7\r\n$6\r\nserver\r\n$4\r\nweir\r\n$7\r\nversion\r\n$5\r\n1.2.3\r\n$5\r\nproto"
               "\r\n:3\r\n$2\r\nid\r\n:4\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n"
               "$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n$2\r\nme\r\n");
    assert_string_equal(rig.node.records[3].name, "me");
    assert_int_equal(rig.node.records[3].resp_version, 3);
    rig_end(&rig, 3);
    assert_string_equal(rig.node.records[3].name, "");
    assert_int_equal(rig.node.records[3].authenticated, 0);
    assert_int_equal(rig.node.records[3].commands, 0);
    rig_expect(&rig, 3, "get a", "-NOAUTH Authentication required.\r\n");
    rig_expect(&rig, 3, "auth secret\r\nclient getname", "+OK\r\n$-1\r\n");
}

static void quit_drops_what_is_behind_it(void **state) {
    (void)state;
    rig_expect(&rig, 0, "set a b\r\nquit\r\nset c d\r\nping", "<WRITE>+OK\r\n");
    assert_int_equal(rig.write_count, 1);
    assert_true((rig.flags & BATCH_CLOSE_AFTER) != 0);
    rig_expect(&rig, 0, "set e f", "");
    assert_int_equal(rig.write_count, 0);
    rig_end(&rig, 0);
    rig_expect(&rig, 0, "ping", "+PONG\r\n");
    assert_true((rig.flags & BATCH_CLOSE_AFTER) == 0);
}

static void hello_stands_between_two_protocols(void **state) {
    (void)state;
    const char *answer = rig_say(&rig, 0,
                                 "client getname\r\nhello 3\r\nclient getname\r\nhello 2"
                                 "\r\nclient getname");
    assert_memory_equal(answer, "$-1\r\n%7\r\n", 9);
    assert_non_null(strstr(answer, "*0\r\n_\r\n*14\r\n"));
    assert_string_equal(answer + strlen(answer) - 9, "*0\r\n$-1\r\n");
}

static void shutdown_answers_nothing(void **state) {
    (void)state;
    rig_expect(&rig, 0, "shutdown foo", "-ERR syntax error\r\n");
    rig_expect(&rig, 0, "shutdown nosave save", "-ERR syntax error\r\n");
    rig_expect(&rig, 0, "shutdown abort now", "-ERR syntax error\r\n");
    rig_expect(&rig, 0, "shutdown nosave abort", "-ERR syntax error\r\n");
    rig_expect(&rig, 0, "shutdown nosave now foo", "-ERR syntax error\r\n");
    rig_expect(&rig, 0, "shutdown abort", "-ERR No shutdown in progress.\r\n");
    rig_expect(&rig, 0, "shutdown abort ABORT", "-ERR No shutdown in progress.\r\n");
    rig.options.durability = DURABILITY_NONE;
    rig_expect(&rig, 0, "shutdown save",
               "-ERR nothing can be saved: this node runs with durability none\r\n");
    assert_int_equal(rig.node.signals.shutdown_requested, 0);
    assert_int_equal(rig.wakes, 0);
    rig_expect(&rig, 0, "ping\r\nshutdown NOSAVE now nosave force\r\nset a b", "+PONG\r\n");
    assert_int_equal(rig.write_count, 0);
    assert_int_equal(rig.node.signals.shutdown_requested, 1);
    assert_int_equal(rig.wakes, 1);
    assert_true((rig.flags & BATCH_CLOSE_AFTER) != 0);
}

/* ---- long texts ---------------------------------------------------------------------------- */

/* Room for as many connections as a node has by default; more than one slice of a list. */
static int start_large(void **state) {
    (void)state;
    rig_prepare(&rig);
    rig.options.connections_max = 10000;
    rig_start(&rig);
    return 0;
}

/* How often `word` stands in what was answered last. */
static uint32_t answered(const char *word) {
    uint32_t count = 0;
    for (const char *at = strstr(rig.output, word); at != NULL; at = strstr(at + 1, word)) {
        count++;
    }
    return count;
}

static void lists_take_the_memory_that_they_need(void **state) {
    (void)state;
    enum { LISTS = 100, CROWD = 30 };
    char lines[4096] = "";
    size_t length = 0;
    for (uint32_t i = 0; i < LISTS; i++) {
        length += (size_t)snprintf(lines + length, sizeof(lines) - length, "client list%s",
                                   i + 1 < LISTS ? "\r\n" : "");
    }
    rig_crowd(&rig, CROWD);
    (void)rig_say(&rig, 0, lines);
    assert_int_equal(answered("TRYAGAIN"), 0);
    assert_int_equal(answered("id="), LISTS * CROWD);
    assert_int_equal(rig.node.validate.refused, 0);
}

static void others_pass_while_a_list_is_composed(void **state) {
    (void)state;
    enum { CROWD = 1000 };
    rig_crowd(&rig, CROWD);
    rig_put(&rig, 0, 0, "client list\r\nclient id\r\n");
    rig_put(&rig, 1, 0, "echo behind\r\nclient list\r\n");
    rig_put(&rig, 2, 0, "echo last\r\n");
    rig_put(&rig, 3, 1, "ping\r\n");
    assert_int_equal(rig_take(&rig), 3);
    assert_string_equal(rig.output, "+PONG\r\n");
    /* Its own order stands, and each list is whole. */
    static const struct {
        uint32_t lines;
        const char *begin;
        const char *end;
    } expected[] = {{CROWD, "$", "\r\n:1\r\n"},
                    {CROWD, "$6\r\nbehind\r\n", "\n\r\n"},
                    {0, "$4\r\nlast\r\n", "last\r\n"}};
    for (uint32_t next = 0; next < 3; next++) {
        uint32_t id = UINT32_MAX;
        uint32_t polls = 0;
        for (; id == UINT32_MAX && polls < 1000; polls++) {
            assert_false(next < 2 && stage_validate.drain(rig.shard, &rig.moment));
            id = rig_take(&rig);
        }
        assert_int_equal(id, next);
        assert_true(next == 2 || polls > 2);
        assert_int_equal(answered("id="), expected[next].lines);
        assert_int_equal(strncmp(rig.output, expected[next].begin, strlen(expected[next].begin)),
                         0);
        const char *end = rig.output + rig.output_bytes - strlen(expected[next].end);
        assert_string_equal(end, expected[next].end);
    }
}

static void lists_beyond_the_places_wait_and_all_come(void **state) {
    (void)state;
    enum { CROWD = 500, LISTS = RIG_BATCHES - 1 };
    rig_crowd(&rig, CROWD);
    for (uint32_t id = 0; id < LISTS; id++) {
        rig_put(&rig, id, id, "client list\r\nping\r\nclient list\r\n");
    }
    rig_put(&rig, LISTS, LISTS, "ping\r\n");
    assert_int_equal(rig_take(&rig), LISTS);
    uint32_t seen = 0;
    for (uint32_t polls = 0; seen != (1u << LISTS) - 1; polls++) {
        assert_true(polls < 10000);
        uint32_t id = rig_take(&rig);
        if (id != UINT32_MAX) {
            seen |= 1u << id;
            assert_int_equal(answered("id="), 2 * CROWD);
            assert_int_equal(answered("PONG"), 1);
        }
    }
}

/* Who comes while a list is composed is not in it: it has room for those who were there. */
static void a_list_has_who_was_there_when_it_began(void **state) {
    (void)state;
    rig_put(&rig, 0, 63, "client list\r\n");
    assert_int_equal(rig_take(&rig), UINT32_MAX);
    rig.node.read.accepted = 64 + 5000;
    for (uint32_t slot = 0; slot < 5000; slot++) {
        if (slot != 63) {
            rig.node.records[slot].open = 1;
            rig.node.records[slot].client_id = 65 + slot;
        }
    }
    uint32_t id = UINT32_MAX;
    for (uint32_t polls = 0; id == UINT32_MAX && polls < 1000; polls++) {
        id = rig_take(&rig);
    }
    assert_int_equal(id, 0);
    assert_int_equal(answered("id="), 1);
}

int main(void) {
#define LARGE(test)  cmocka_unit_test_setup_teardown(test, start_large, stop)
#define OPEN(test)   cmocka_unit_test_setup_teardown(test, start, stop)
#define LOCKED(test) cmocka_unit_test_setup_teardown(test, start_locked, stop)
    const struct CMUnitTest tests[] = {
        OPEN(an_unknown_command_is_quoted),
        OPEN(a_quotation_is_cut),
        OPEN(the_number_of_arguments_is_judged),
        OPEN(the_machine_refuses_the_form_before_the_log),
        OPEN(bytes_that_are_not_resp_close_the_connection),
        OPEN(a_full_memory_refuses_what_grows),
        OPEN(what_short_commands_may_make_long_is_refused_unless_it_fits),
        OPEN(a_value_that_was_not_made_refuses_no_copy),
        OPEN(the_entry_has_a_limit),
        OPEN(reads_and_writes_are_counted),
        OPEN(a_command_of_many_arguments_is_judged),
        LOCKED(a_locked_connection_hears_little),
        LOCKED(only_the_right_password_opens),
        LOCKED(a_password_too_long_is_wrong),
        OPEN(auth_without_a_password_is_an_error),
        LOCKED(a_new_connection_inherits_nothing),
        OPEN(quit_drops_what_is_behind_it),
        OPEN(hello_stands_between_two_protocols),
        OPEN(shutdown_answers_nothing),
        LARGE(lists_take_the_memory_that_they_need),
        LARGE(others_pass_while_a_list_is_composed),
        LARGE(lists_beyond_the_places_wait_and_all_come),
        LARGE(a_list_has_who_was_there_when_it_began),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
