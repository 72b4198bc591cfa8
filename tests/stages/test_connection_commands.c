/* What the commands about connections tell, and that telling much neither fails nor takes long. */

#include "tests/stages/validate_rig.h"

#include "stages/batch.h"
#include "stages/pipeline.h"
#include "tests/cmocka_wrapper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct rig rig;

static const struct node_config_item items[] = {{.name = "maxclients", .value = "64"},
                                                {.name = "maxmemory", .value = "0"},
                                                {.name = "save", .value = ""},
                                                {.name = "appendonly", .value = "yes"}};

static int start(void **state) {
    (void)state;
    rig_prepare(&rig);
    rig.options.config_items = items;
    rig.options.config_item_count = sizeof(items) / sizeof(items[0]);
    rig_start(&rig);
    return 0;
}

static int stop(void **state) {
    (void)state;
    rig_stop(&rig);
    return 0;
}

static void has(const char *answer, const char *part) {
    if (answer == NULL || strstr(answer, part) == NULL) {
        fail_msg("\"%s\" lacks \"%s\"", answer == NULL ? "(nothing)" : answer, part);
    }
}

static void ping_and_echo_return_what_was_said(void **state) {
    (void)state;
    rig_expect(&rig, 0, "ping", "+PONG\r\n");
    rig_expect(&rig, 0, "ping hello", "$5\r\nhello\r\n");
    rig_expect(&rig, 0, "ECHO \"\"", "$0\r\n\r\n");
    rig_expect(&rig, 0, "echo", "-ERR wrong number of arguments for 'echo' command\r\n");
    assert_int_equal(rig.block, BATCH_NO_BLOCK);
}

static void there_is_one_database(void **state) {
    (void)state;
    rig_expect(&rig, 0, "select x", "-ERR value is not an integer or out of range\r\n");
    rig_expect(&rig, 0, "select 1", "-ERR DB index is out of range\r\n");
    rig_expect(&rig, 0, "select -1", "-ERR DB index is out of range\r\n");
    rig_expect(&rig, 0, "select 99999999999",
               "-ERR value is out of range, value must between -2147483648 and 2147483647\r\n");
    rig_expect(&rig, 0, "select 0", "+OK\r\n");
}

static void hello_refuses_what_it_does_not_know(void **state) {
    (void)state;
    rig_expect(&rig, 0, "hello x", "-ERR Protocol version is not an integer or out of range\r\n");
    rig_expect(&rig, 0, "hello 1", "-NOPROTO unsupported protocol version\r\n");
    rig_expect(&rig, 0, "hello 4", "-NOPROTO unsupported protocol version\r\n");
    rig_expect(&rig, 0, "hello 3 foo", "-ERR Syntax error in HELLO option 'foo'\r\n");
    rig_expect(&rig, 0, "hello 3 auth x", "-ERR Syntax error in HELLO option 'auth'\r\n");
    rig_expect(&rig, 0, "hello 3 setname \"a b\"",
               "-ERR Client names cannot contain spaces, newlines or special characters.\r\n");
    rig_expect(&rig, 0, "client getname", "$-1\r\n");
    assert_int_equal(rig.node.records[0].resp_version, 2);
    /* Without a version the protocol stays. */
    has(rig_say(&rig, 0, "hello"), "*14\r\n");
}

static void a_client_names_itself(void **state) {
    (void)state;
    rig_expect(&rig, 5, "client id", ":6\r\n");
    rig_expect(&rig, 5, "client setname me", "+OK\r\n");
    rig_expect(&rig, 5, "client getname", "$2\r\nme\r\n");
    assert_string_equal(rig.node.records[5].name, "me");
    rig_expect(&rig, 5, "client setname \"\"\r\nclient getname", "+OK\r\n$-1\r\n");
    rig_expect(&rig, 5,
               "client setname 123456789012345678901234567890123456789012345678901234567"
               "8901234",
               "-ERR Client names cannot be longer than 63 bytes\r\n");
    rig_expect(&rig, 5, "client setinfo lib-name redis-py", "+OK\r\n");
    rig_expect(&rig, 5, "client setinfo LIB-VER 5.0", "+OK\r\n");
    rig_expect(&rig, 5, "client setinfo foo bar", "-ERR Unrecognized option 'foo'\r\n");
    rig_expect(&rig, 5, "client setinfo lib-name \"a b\"",
               "-ERR lib-name cannot contain spaces, newlines or special characters.\r\n");
    assert_string_equal(rig.node.records[5].library_name, "redis-py");
    assert_string_equal(rig.node.records[5].library_version, "5.0");
}

static void client_info_tells_what_is_so(void **state) {
    (void)state;
    rig_expect(&rig, 2, "client setname me\r\nget a", "+OK\r\n<READ>");
    rig.moment.wall_ms += 5000;
    const char *answer = rig_say(&rig, 2, "client info");
    has(answer,
        "id=3 addr=127.0.0.1:40002 laddr=127.0.0.1:7379 fd=0 name=me age=5 idle=0 flags=N db=0 ");
    has(answer, " cmd=client|info user=default "); /* what it is doing, as in Redis */
    has(answer, " resp=2 ");
    has(answer, " tot-cmds=2\n");
    has(rig_say(&rig, 2, "hello 3\r\nclient info"), "txt:id=3 ");
    /* Of others, what they did last. */
    rig.moment.wall_ms += 5000;
    rig_expect(&rig, 2, "get a", "<READ>");
    rig.moment.wall_ms += 2000;
    answer = rig_say(&rig, 1, "client list");
    has(answer, " idle=2 flags=N db=0 sub=0 psub=0 ssub=0 multi=-1 qbuf=0 ");
    has(answer, " tot-mem=0 events=r cmd=get ");
    has(answer, " idle=0 flags=N db=0 sub=0 psub=0 ssub=0 multi=-1 qbuf=0 ");
    has(answer, " tot-mem=0 events=r cmd=client|list ");
}

static void reply_takes_replies_away_and_gives_them_back(void **state) {
    (void)state;
    rig_expect(&rig, 0, "client reply x", "-ERR syntax error\r\n");
    rig_expect(&rig, 0, "client reply on", "+OK\r\n");
    /* One command is skipped, whatever its reply is; the one behind it is answered. */
    rig_expect(&rig, 0, "client reply skip\r\nget a\r\nget b", "<READ>");
    rig_expect(&rig, 0, "client reply skip\r\nnosuch\r\nping", "+PONG\r\n");
    rig_expect(&rig, 0, "client reply skip\r\nget\r\nping", "+PONG\r\n");
    rig_expect(&rig, 0, "client reply skip\r\nclient reply x\r\nping", "+PONG\r\n");
    rig_expect(&rig, 0, "client reply skip\r\nclient reply skip\r\nping\r\necho a", "$1\r\na\r\n");
    rig_expect(&rig, 0, "client reply skip\r\nclient reply on\r\nping", "+OK\r\n+PONG\r\n");
    rig_expect(&rig, 0, "client reply skip\r\nclient list\r\nping", "+PONG\r\n");
    rig_expect(&rig, 0, "client reply skip\r\nreset\r\nping", "+PONG\r\n");
    rig_expect(&rig, 0, "client reply off\r\nclient reply skip\r\nreset", "+RESET\r\n");
    /* The next command is the next, in whatever batch it comes. */
    rig_expect(&rig, 0, "client reply skip", "");
    rig_expect(&rig, 1, "ping", "+PONG\r\n");
    rig_expect(&rig, 0, "ping\r\nping", "+PONG\r\n");
    rig_expect(&rig, 0, "client reply off\r\nping\r\nset a b", "");
    assert_int_equal(rig.write_count, 1); /* it is done all the same */
    rig_expect(&rig, 0, "client reply skip\r\nping\r\nhello 3", "");
    rig_expect(&rig, 0, "client reply on\r\nping", "+OK\r\n+PONG\r\n");
    rig_expect(&rig, 0, "client reply off\r\nping\r\nreset\r\nping", "+RESET\r\n+PONG\r\n");
    rig_expect(&rig, 0, "client reply off\r\nquit", "");
    rig_end(&rig, 0);
    rig_expect(&rig, 0, "ping", "+PONG\r\n"); /* who gets the slot next knows nothing of it */
}

static void a_client_is_spared_and_says_so(void **state) {
    (void)state;
    rig_expect(&rig, 0, "client no-evict x", "-ERR syntax error\r\n");
    rig_expect(&rig, 0, "client no-touch x", "-ERR syntax error\r\n");
    rig_expect(&rig, 0, "client getredir", ":-1\r\n");
    rig_expect(&rig, 0, "client no-evict on", "+OK\r\n");
    assert_int_equal(rig.node.records[0].no_evict, 1);
    has(rig_say(&rig, 0, "client info"), " flags=e ");
    rig_expect(&rig, 0, "client no-touch ON\r\nreadonly", "+OK\r\n+OK\r\n");
    has(rig_say(&rig, 0, "client info"), " flags=reT ");
    rig_expect(&rig, 0, "reset", "+RESET\r\n"); /* as in Redis, RESET leaves them */
    has(rig_say(&rig, 0, "client info"), " flags=eT ");
    rig_expect(&rig, 0, "client no-evict OFF\r\nclient no-touch off", "+OK\r\n+OK\r\n");
    has(rig_say(&rig, 0, "client info"), " flags=N ");
    rig_expect(&rig, 0, "client no-evict on", "+OK\r\n");
    rig_end(&rig, 0);
    assert_int_equal(rig.node.records[0].no_evict, 0);
}

/* What read was told to end: the slots, as a text. */
static const char *kills(void) {
    static char text[128];
    struct home_item item;
    text[0] = '\0';
    while (ring_home_dequeue(rig.to_read, &item, 1) == 1) {
        assert_int_equal(item.kind, HOME_KILL);
        assert_int_equal(item.generation, rig.generations[item.value]);
        assert_int_equal(rig.node.records[item.value].killed, item.generation);
        (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%u ", item.value);
    }
    return text;
}

static void a_kill_without_sense_is_refused(void **state) {
    (void)state;
    rig_expect(&rig, 0, "client kill",
               "-ERR wrong number of arguments for 'client|kill' command\r\n");
    rig_expect(&rig, 0, "client kill id", "-ERR No such client\r\n"); /* an address */
    rig_expect(&rig, 0, "client kill 1.2.3.4:5", "-ERR No such client\r\n");
    rig_expect(&rig, 0, "client kill id 0", "-ERR client-id should be greater than 0\r\n");
    rig_expect(&rig, 0, "client kill id x", "-ERR client-id should be greater than 0\r\n");
    rig_expect(&rig, 0, "client kill type x", "-ERR Unknown client type 'x'\r\n");
    rig_expect(&rig, 0, "client kill user x", "-ERR No such user 'x'\r\n");
    rig_expect(&rig, 0, "client kill skipme x", "-ERR syntax error\r\n");
    rig_expect(&rig, 0, "client kill foo x", "-ERR syntax error\r\n");
    rig_expect(&rig, 0, "client kill id 1 foo", "-ERR syntax error\r\n");
    rig_expect(&rig, 0, "client kill id 99", ":0\r\n");
    rig_expect(&rig, 0, "client kill type pubsub", ":0\r\n");
    assert_string_equal(kills(), "");
}

static void a_kill_means_whom_all_its_filters_mean(void **state) {
    (void)state;
    for (uint32_t slot = 0; slot < 6; slot++) {
        rig_expect(&rig, slot, "ping", "+PONG\r\n");
    }
    rig_expect(&rig, 0, "client kill id 2 addr 127.0.0.1:40003", ":0\r\n");
    rig_expect(&rig, 0, "client kill id 2", ":1\r\n");
    assert_string_equal(kills(), "1 ");
    rig_expect(&rig, 0, "client kill id 2", ":0\r\n"); /* it is gone, whatever read has done yet */
    assert_null(strstr(rig_say(&rig, 0, "client list"), "id=2 "));
    rig_expect(&rig, 1, "set a b", ""); /* and nothing more of it is heard */
    assert_int_equal(rig.write_count, 0);
    rig_expect(&rig, 0, "client kill 127.0.0.1:40002", "+OK\r\n");
    assert_string_equal(kills(), "2 ");
    rig_expect(&rig, 0, "client kill type NORMAL user default laddr 127.0.0.1:7379", ":3\r\n");
    assert_string_equal(kills(), "3 4 5 ");
    rig_expect(&rig, 0, "ping", "+PONG\r\n");
    rig_end(&rig, 1);
    rig_expect(&rig, 1, "ping", "+PONG\r\n"); /* who gets the slot next lives */
}

static void who_kills_itself_is_answered_first(void **state) {
    (void)state;
    rig_expect(&rig, 0, "ping", "+PONG\r\n");
    rig_expect(&rig, 1, "ping", "+PONG\r\n");
    rig_expect(&rig, 0, "client kill skipme yes id 1\r\nping", ":0\r\n+PONG\r\n");
    rig_expect(&rig, 0, "ping\r\nclient kill skipme no type normal\r\nset a b", "+PONG\r\n:2\r\n");
    assert_int_equal(rig.flags & BATCH_CLOSE_AFTER, BATCH_CLOSE_AFTER);
    assert_int_equal(rig.write_count, 0);
    assert_string_equal(kills(), "1 ");
    rig_expect(&rig, 2, "client kill 127.0.0.1:40002\r\nping", "+OK\r\n");
    assert_int_equal(rig.flags & BATCH_CLOSE_AFTER, BATCH_CLOSE_AFTER);
}

static void a_kill_of_more_than_read_has_been_told_waits(void **state) {
    (void)state;
    rig_crowd(&rig, 20);
    rig_put(&rig, 0, 0, "client kill type normal\r\n");
    uint32_t killed = 0;
    uint32_t polls = 0;
    while (rig_take(&rig) == UINT32_MAX) {
        struct home_item told[RIG_BATCHES];
        assert_true(++polls < 10);
        killed += ring_home_dequeue(rig.to_read, told, RIG_BATCHES);
    }
    assert_string_equal(rig.output, ":19\r\n");
    assert_true(killed < 19 && polls > 1);
}

static void a_pause_is_a_word_that_grows_only(void **state) {
    (void)state;
    rig_expect(&rig, 0, "client pause x", "-ERR timeout is not an integer or out of range\r\n");
    rig_expect(&rig, 0, "client pause -1", "-ERR timeout is negative\r\n");
    rig_expect(&rig, 0, "client pause x foo", "-ERR CLIENT PAUSE mode must be WRITE or ALL\r\n");
    rig_expect(&rig, 0, "client Pause 1 all all",
               "-ERR unknown subcommand or wrong number of arguments for 'Pause'. Try CLIENT "
               "HELP.\r\n");
    assert_int_equal(rig.node.signals.pause, 0);
    rig_expect(&rig, 0, "client pause 0", "+OK\r\n");
    assert_int_equal(node_pause(&rig.node, 1), NODE_PAUSE_NONE);
    rig_expect(&rig, 0, "client pause 10 WRITE", "+OK\r\n");
    assert_int_equal(node_pause(&rig.node, 10000000), NODE_PAUSE_WRITE);
    assert_int_equal(node_pause(&rig.node, 10000001), NODE_PAUSE_NONE); /* it began at 1 */
    rig_expect(&rig, 0, "client pause 5 ALL", "+OK\r\n");
    assert_int_equal(node_pause(&rig.node, 10000000), NODE_PAUSE_ALL);
    rig_expect(&rig, 0, "client pause 20 write", "+OK\r\n");
    assert_int_equal(node_pause(&rig.node, 20000000), NODE_PAUSE_ALL);
    rig.moment.monotonic_ns = 30000000; /* it is over, and forgotten */
    rig_expect(&rig, 0, "client pause 1 write", "+OK\r\n");
    assert_int_equal(node_pause(&rig.node, 30000001), NODE_PAUSE_WRITE);
    rig_expect(&rig, 0, "client pause 9223372036854775807", "+OK\r\n");
    assert_int_equal(node_pause(&rig.node, UINT64_C(1) << 61), NODE_PAUSE_ALL);
    rig_expect(&rig, 0, "client unpause", "+OK\r\n");
    assert_int_equal(node_pause(&rig.node, 30000001), NODE_PAUSE_NONE);
    struct home_item item;
    assert_int_equal(ring_home_dequeue(rig.to_read, &item, 1), 1);
    assert_int_equal(item.kind, HOME_PAUSE_OVER);
}

static void a_pause_is_taken_back_in_a_transaction_too(void **state) {
    (void)state;
    rig_expect(&rig, 0, "multi\r\nclient pause 10\r\nclient unpause\r\nexec",
               "+OK\r\n+QUEUED\r\n+QUEUED\r\n<READ>");
    assert_int_equal(node_pause(&rig.node, 1), NODE_PAUSE_NONE);
    struct home_item item;
    assert_int_equal(ring_home_dequeue(rig.to_read, &item, 1), 1);
    assert_int_equal(item.kind, HOME_PAUSE_OVER);
}

static void client_list_selects(void **state) {
    (void)state;
    for (uint32_t slot = 0; slot < 5; slot++) {
        rig_expect(&rig, slot, "ping", "+PONG\r\n");
    }
    rig_end(&rig, 3);
    const char *answer = rig_say(&rig, 0, "client list");
    has(answer, "id=1 addr=127.0.0.1:40000 ");
    has(answer, "\nid=5 addr=127.0.0.1:40004 ");
    assert_null(strstr(answer, "id=4 "));
    answer = rig_say(&rig, 0, "client list id 2 99 5");
    has(answer, "\r\nid=2 ");
    has(answer, "\nid=5 ");
    assert_null(strstr(answer, "id=1 "));
    rig_expect(&rig, 0, "client list id 99", "$0\r\n\r\n");
    rig_expect(&rig, 0, "client list type pubsub", "$0\r\n\r\n");
    has(rig_say(&rig, 0, "client list type NORMAL"), "\nid=5 ");
    rig_expect(&rig, 0, "client list type x", "-ERR Unknown client type 'x'\r\n");
    rig_expect(&rig, 0, "client list id x", "-ERR Invalid client ID\r\n");
    /* A number that nobody has is no error, whatever number it is. */
    rig_expect(&rig, 0, "client list id 0 -1", "$0\r\n\r\n");
    rig_expect(&rig, 0, "client list id", "-ERR syntax error\r\n");
    rig_expect(&rig, 0, "client list foo", "-ERR syntax error\r\n");
}

static void a_long_list_takes_several_polls(void **state) {
    (void)state;
    const uint32_t connections = 10000;
    struct node_record *few = rig.node.records;
    struct node_record *many =
        aligned_alloc(CACHE_LINE_BYTES, connections * sizeof(struct node_record));
    assert_non_null(many);
    memset(many, 0, connections * sizeof(struct node_record));
    for (uint32_t slot = 0; slot < connections; slot++) {
        many[slot].open = 1;
        many[slot].client_id = slot + 1;
        many[slot].generation = 1;
    }
    rig.node.records = many;
    rig.options.connections_max = connections;
    rig.node.read.accepted = connections;
    rig.node.read.connections = connections;
    /* All are looked at; only three are shown. */
    const char *answer =
        rig_say(&rig, 0, "get a\r\nclient list id 1 5000 10000\r\nset c d\r\nclient id");
    assert_true(rig.polls > 50);
    has(answer, "<READ>$");
    has(answer, "id=5000 ");
    has(answer, "\nid=10000 ");
    has(answer, "\r\n<WRITE>:1\r\n");
    rig.node.records = few;
    rig.options.connections_max = RIG_CONNECTIONS;
    free(many);
}

static void config_get_takes_patterns(void **state) {
    (void)state;
    rig_expect(&rig, 0, "config get save", "*2\r\n$4\r\nsave\r\n$0\r\n\r\n");
    /* Who gives a name gets it back as it was given; who gives a pattern, the name as it is. */
    rig_expect(&rig, 0, "config get APPENDONLY", "*2\r\n$10\r\nAPPENDONLY\r\n$3\r\nyes\r\n");
    rig_expect(&rig, 0, "config get APPENDONL?", "*2\r\n$10\r\nappendonly\r\n$3\r\nyes\r\n");
    rig_expect(&rig, 0, "config get SAV* SAVE", "*2\r\n$4\r\nsave\r\n$0\r\n\r\n");
    rig_expect(&rig, 0, "config get SAVE save", "*2\r\n$4\r\nSAVE\r\n$0\r\n\r\n");
    rig_expect(&rig, 0, "config get max* maxmem* nosuch",
               "*4\r\n$10\r\nmaxclients\r\n$2\r\n64\r\n$9\r\nmaxmemory\r\n$1\r\n0\r\n");
    rig_expect(&rig, 0, "config get nosuch", "*0\r\n");
    has(rig_say(&rig, 0, "hello 3\r\nconfig get s?ve"), "%1\r\n$4\r\nsave\r\n$0\r\n\r\n");
    rig_expect(&rig, 0, "config get",
               "-ERR wrong number of arguments for 'config|get' command\r\n");
}

static void config_set_changes_all_or_nothing(void **state) {
    (void)state;
    rig_expect(&rig, 0, "config set a",
               "-ERR wrong number of arguments for 'config|set' command\r\n");
    rig_expect(&rig, 0, "config set maxmemory 1 b", "-ERR syntax error\r\n");
    rig_expect(&rig, 0, "config set SAVE 1",
               "-ERR CONFIG SET failed (possibly related to argument 'SAVE') - can't set immutable "
               "config\r\n");
    rig_expect(&rig, 0, "config set maxmemory x nosuch 2 save 1",
               "-ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'\r\n");
    rig_expect(&rig, 0, "config set maxmemory 5 MAXMEMORY 6",
               "-ERR CONFIG SET failed (possibly related to argument 'MAXMEMORY') - duplicate "
               "parameter\r\n");
    rig_expect(&rig, 0, "config set maxmemory 5 MaxClients 1.5",
               "-ERR CONFIG SET failed (possibly related to argument 'maxclients') - argument "
               "couldn't be parsed into an integer\r\n");
    rig_expect(
        &rig, 0, "config set maxmemory 5tb",
        "-ERR CONFIG SET failed (possibly related to argument 'maxmemory') - argument must be "
        "a memory value\r\n");
    rig_expect(
        &rig, 0, "config set maxmemory 18446744073709551615",
        "-ERR CONFIG SET failed (possibly related to argument 'maxmemory') - argument must be "
        "a memory value\r\n");
    rig_expect(&rig, 0, "config set maxclients 65",
               "-ERR CONFIG SET failed (possibly related to argument 'maxclients') - The operating "
               "system is not able to handle the specified number of clients, try with 64\r\n");
    rig_expect(&rig, 0, "config get maxm*", "*2\r\n$9\r\nmaxmemory\r\n$1\r\n0\r\n");
    assert_int_equal(rig.node.settings.memory_bytes_max, 0);
    rig_expect(&rig, 0, "config set maxmemory 2KB maxclients 7", "+OK\r\n");
    rig_expect(&rig, 0, "config get max*",
               "*4\r\n$10\r\nmaxclients\r\n$1\r\n7\r\n$9\r\nmaxmemory\r\n$4\r\n2048\r\n");
    rig.node.apply.memory_bytes = 2048;
    has(rig_say(&rig, 0, "set a b"), "-OOM ");
    rig_expect(&rig, 0, "config set maxmemory \"\"\r\nset a b", "+OK\r\n<WRITE>");
}

static void time_is_the_moment(void **state) {
    (void)state;
    rig_expect(&rig, 0, "time", "*2\r\n$10\r\n1700000000\r\n$6\r\n123000\r\n");
}

static void command_describes_both_tables(void **state) {
    (void)state;
    char expected[32];
    (void)snprintf(expected, sizeof(expected), ":%u\r\n", 25 + rig.options.machine->command_count);
    rig_expect(&rig, 0, "command count", expected);
    rig_expect(&rig, 0, "command info get nosuch",
               "*2\r\n*10\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n*0"
               "\r\n*0\r\n*1\r\n*6\r\n$5\r\nflags\r\n*1\r\n+RO\r\n$12\r\nbegin_search\r\n*4\r\n"
               "$4\r\ntype\r\n$5\r\nindex\r\n$4\r\nspec\r\n*2\r\n$5\r\nindex\r\n:1\r\n$9\r\n"
               "find_keys\r\n*4\r\n$4\r\ntype\r\n$5\r\nrange\r\n$4\r\nspec\r\n*6\r\n$7\r\nlastkey"
               "\r\n:0\r\n$7\r\nkeystep\r\n:1\r\n$5\r\nlimit\r\n:0\r\n*0\r\n*-1\r\n");
    rig_expect(&rig, 0, "command info CLIENT|id get|x |",
               "*3\r\n*10\r\n$9\r\nclient|id\r\n:2\r\n*0\r\n:0\r\n:0\r\n:0\r\n*0\r\n*0"
               "\r\n*0\r\n*0\r\n*-1\r\n*-1\r\n");
    rig_expect(&rig, 0, "command info once",
               "*1\r\n*10\r\n$4\r\nonce\r\n:-4\r\n*2\r\n+write\r\n+movablekeys\r\n:0\r\n:0\r\n:0"
               "\r\n*0\r\n*0\r\n*0\r\n*0\r\n");
    rig_expect(&rig, 0, "command docs nosuch", "*0\r\n");
    rig_expect(&rig, 0, "command list filterby pattern p?ng", "*1\r\n$4\r\nping\r\n");
    /* Subcommands are listed, too. */
    rig_expect(&rig, 0, "command list filterby pattern conf*e*",
               "*4\r\n$10\r\nconfig|get\r\n$11\r\nconfig|help\r\n$16\r\nconfig|resetstat\r\n"
               "$10\r\nconfig|set\r\n");
    rig_expect(&rig, 0, "command list filterby module m", "*0\r\n");
    rig_expect(&rig, 0, "command list foo", "-ERR syntax error\r\n");
    has(rig_say(&rig, 0, "command list"), "\r\n$3\r\nget\r\n");
}

static void keys_of_a_command_are_found(void **state) {
    (void)state;
    rig_expect(&rig, 0, "command getkeys get",
               "-ERR wrong number of arguments for 'command|getkeys' command\r\n");
    rig_expect(&rig, 0, "command getkeys nosuch a", "-ERR Invalid command specified\r\n");
    rig_expect(&rig, 0, "command getkeys client nosuch", "-ERR Invalid command specified\r\n");
    rig_expect(&rig, 0, "command getkeys client id", "-ERR The command has no key arguments\r\n");
    rig_expect(&rig, 0, "command getkeys dbsize a", "-ERR The command has no key arguments\r\n");
    rig_expect(&rig, 0, "command getkeys get a b",
               "-ERR Invalid number of arguments specified for command\r\n");
    rig_expect(&rig, 0, "command getkeys zunion 3 a b",
               "-ERR Invalid arguments specified for command\r\n");
    rig_expect(&rig, 0, "command getkeys Mset a 1 b 2", "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
    rig_expect(&rig, 0, "command getkeys zunion 2 a b", "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
    rig_expect(&rig, 0, "command getkeys watch a b", "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
    rig_expect(&rig, 0, "command getkeys once 1 2 set k v", "*1\r\n$1\r\nk\r\n");
    rig_expect(&rig, 0, "command getkeys once 1 2 once",
               "-ERR Invalid number of arguments specified for command\r\n");
}

static void docs_tell_the_arguments(void **state) {
    (void)state;
    has(rig_say(&rig, 0, "hello 3\r\ncommand docs auth"),
        "%1\r\n$4\r\nauth\r\n%4\r\n$7\r\nsummary\r\n$29\r\nAuthenticates the connection.\r\n"
        "$5\r\nsince\r\n$5\r\n1.0.0\r\n$5\r\ngroup\r\n$10\r\nconnection\r\n$9\r\narguments\r\n"
        "*2\r\n%3\r\n$4\r\nname\r\n$8\r\nusername\r\n$4\r\ntype\r\n$6\r\nstring\r\n$5\r\nflags\r\n"
        "~1\r\n+optional\r\n%2\r\n$4\r\nname\r\n$8\r\npassword\r\n$4\r\ntype\r\n$6\r\nstring\r\n");
    const char *answer = rig_say(&rig, 0, "command docs config");
    has(answer, "$11\r\nsubcommands\r\n%4\r\n$10\r\nconfig|get\r\n%4\r\n");
    has(answer, "~2\r\n+optional\r\n+multiple\r\n");
}

static void a_reply_larger_than_its_block_moves(void **state) {
    (void)state;
    /* Replies of all sorts before and behind the one that makes the block grow. */
    const char *answer = rig_say(&rig, 0,
                                 "client id\r\nhello 2\r\ncommand docs\r\nset a b foo\r\n"
                                 "client id\r\ncommand\r\ntime");
    assert_memory_equal(answer, ":1\r\n*14\r\n$6\r\nserver\r\n", 21);
    has(answer, "-ERR syntax error\r\n:1\r\n*");
    has(answer, "*2\r\n$10\r\n1700000000\r\n$6\r\n123000\r\n");
    assert_int_not_equal(rig.block, BATCH_NO_BLOCK);
}

static void info_tells_what_the_figures_say(void **state) {
    (void)state;
    rig.node.apply.record_count = 7;
    rig.node.apply.memory_bytes = 1536;
    rig.node.replicate.role = 3;
    rig.options.started_wall_ms = rig.moment.wall_ms - 90000;
    const char *answer = rig_say(&rig, 0, "info");
    has(answer, "# Server\r\nredis_version:7.0.15\r\n");
    has(answer, "weir_version:1.2.3\r\n");
    has(answer, "uptime_in_seconds:90\r\n");
    has(answer, "used_memory:1536\r\nused_memory_human:1.50K\r\n");
    has(answer, "\r\nloading:0\r\n");
    has(answer, "role:master\r\n");
    has(answer, "raft_role:leader\r\n");
    has(answer, "machine:kv\r\n");
    has(answer, "map:0:read+parse+");
    has(answer, "# Keyspace\r\ndb0:keys=7\r\n");
    answer = rig_say(&rig, 0, "info keyspace MEMORY");
    has(answer, "\r\n# Memory\r\n");
    has(answer, "\r\n\r\n# Keyspace\r\n");
    assert_null(strstr(answer, "# Server"));
    rig_expect(&rig, 0, "info nosuch", "$0\r\n\r\n");
    has(rig_say(&rig, 0, "hello 3\r\ninfo cpu"), "=11\r\ntxt:# CPU\r\n\r\n");
}

static void too_many_arguments_are_refused(void **state) {
    (void)state;
    char line[1024] = "command info";
    for (uint32_t i = 0; i < 126; i++) {
        memcpy(line + strlen(line), " get", 5);
    }
    has(rig_say(&rig, 0, line), "*126\r\n*10\r\n");
    memcpy(line + strlen(line), " get", 5);
    rig_expect(&rig, 0, line,
               "-ERR too many arguments: commands about the connection or the server take at most "
               "127\r\n");
}

static void help_names_only_what_there_is(void **state) {
    (void)state;
    const char *containers[] = {"client", "cluster", "command", "config"};
    for (size_t i = 0; i < 4; i++) {
        char line[32];
        (void)snprintf(line, sizeof(line), "%s help", containers[i]);
        const char *answer = rig_say(&rig, 0, line);
        has(answer, "HELP\r\n+    Prints this help.\r\n");
        assert_null(strstr(answer, "UNBLOCK"));
        assert_null(strstr(answer, "REWRITE"));
    }
}

static void a_full_arena_refuses_as_overload(void **state) {
    (void)state;
    /* A list of so many connections would need more text than the arena has. */
    rig.options.connections_max = 1000000;
    rig.node.read.connections = 1000000;
    rig_expect(&rig, 0, "ping\r\nclient list\r\nset a b",
               "+PONG\r\n-TRYAGAIN the server is overloaded: nothing was done, try again\r\n"
               "<WRITE>");
    rig.options.connections_max = RIG_CONNECTIONS;
    rig.node.read.connections = 1;
    has(rig_say(&rig, 0, "client list"), "id=1 ");
}

int main(void) {
#define RIGGED(test) cmocka_unit_test_setup_teardown(test, start, stop)
    const struct CMUnitTest tests[] = {
        RIGGED(ping_and_echo_return_what_was_said),
        RIGGED(there_is_one_database),
        RIGGED(hello_refuses_what_it_does_not_know),
        RIGGED(a_client_names_itself),
        RIGGED(client_info_tells_what_is_so),
        RIGGED(reply_takes_replies_away_and_gives_them_back),
        RIGGED(a_client_is_spared_and_says_so),
        RIGGED(a_kill_without_sense_is_refused),
        RIGGED(a_kill_means_whom_all_its_filters_mean),
        RIGGED(who_kills_itself_is_answered_first),
        RIGGED(a_kill_of_more_than_read_has_been_told_waits),
        RIGGED(a_pause_is_a_word_that_grows_only),
        RIGGED(a_pause_is_taken_back_in_a_transaction_too),
        RIGGED(client_list_selects),
        RIGGED(a_long_list_takes_several_polls),
        RIGGED(config_get_takes_patterns),
        RIGGED(config_set_changes_all_or_nothing),
        RIGGED(time_is_the_moment),
        RIGGED(command_describes_both_tables),
        RIGGED(keys_of_a_command_are_found),
        RIGGED(docs_tell_the_arguments),
        RIGGED(a_reply_larger_than_its_block_moves),
        RIGGED(info_tells_what_the_figures_say),
        RIGGED(too_many_arguments_are_refused),
        RIGGED(help_names_only_what_there_is),
        RIGGED(a_full_arena_refuses_as_overload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
