/* CLUSTER of one member and of three, READONLY, and the errors of a node that does not lead. */

#include "tests/stages/validate_rig.h"

#include "raft/raft.h"
#include "stages/batch.h"
#include "stages/refusal.h"
#include "tests/cmocka_wrapper.h"
#include "wire/reply_encode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ID_BYTES = 40 };

static struct rig rig;

/* Three members, of which this is the first; the third has no known address. */
static int start(void **state) {
    (void)state;
    rig_prepare(&rig);
    rig.options.identity = (struct identity){
        .cluster_id = 0xabcd, .node_id = 1, .incarnation = 77, .members = {.member_count = 3}};
    for (uint32_t i = 0; i < 3; i++) {
        rig.options.identity.members.members[i] =
            (struct configuration_member){.node_id = i + 1, .roles = CONFIGURATION_VOTER};
    }
    rig.options.endpoints[0] = (struct node_endpoint){.node_id = 1, .host = "10.0.0.1"};
    rig.options.endpoints[1] =
        (struct node_endpoint){.node_id = 2, .host = "two.example", .port = 7002};
    rig.options.endpoint_count = 2;
    rig_start(&rig);
    rig.node.read.listen_port = 7001;
    rig.node.replicate.role = RAFT_LEADER;
    rig.node.replicate.leader = 1;
    rig.node.replicate.term = 5;
    rig.node.apply.applied_index = 9;
    return 0;
}

static int stop(void **state) {
    (void)state;
    rig_stop(&rig);
    return 0;
}

static void leads(uint64_t leader) {
    rig.node.replicate.leader = leader;
    rig.node.replicate.role = leader == 1 ? RAFT_LEADER : RAFT_FOLLOWER;
}

static void has(const char *answer, const char *part) {
    if (answer == NULL || strstr(answer, part) == NULL) {
        fail_msg("\"%s\" lacks \"%s\"", answer == NULL ? "(nothing)" : answer, part);
    }
}

static void lacks(const char *answer, const char *part) {
    assert_non_null(answer);
    if (strstr(answer, part) != NULL) {
        fail_msg("\"%s\" has \"%s\"", answer, part);
    }
}

/* A command that replicate refused, as apply answers it. */
static const char *refused(const char *line, uint32_t key_count) {
    static uint8_t stream[1024];
    static char text[1024];
    static struct resp_argument arguments[8];
    struct batch batch = {.arguments = arguments};
    struct batch_command command = {.base = (uint8_t *)(uintptr_t)line,
                                    .key_count = key_count,
                                    .fate = FATE_REFUSED,
                                    .refusal = REFUSAL_NOT_LEADER};
    for (const char *at = line; *at != '\0'; at += at[0] == ' ') {
        size_t length = strcspn(at, " ");
        assert_true(command.argument_count < 8);
        arguments[command.argument_count++] =
            (struct resp_argument){.offset = (uint32_t)(at - line), .length = (uint32_t)length};
        at += length;
    }
    directory_find(rig.directory, (const uint8_t *)line, arguments[0].length, &command.table,
                   &command.row);
    assert_int_not_equal(command.table, TABLE_NONE);
    struct reply_writer writer;
    reply_begin(&writer, stream, sizeof(stream));
    refusal_write(&writer, &batch, &command, rig.directory, &rig.node);
    assert_int_equal(writer.overflow_bytes, 0);
    struct reply_piece table[8];
    struct reply_pieces pieces;
    reply_pieces_begin(&pieces, table, 8);
    assert_true(reply_encode_in_place(stream, reply_used_bytes(&writer), 2, &pieces));
    size_t used = 0;
    for (uint32_t i = 0; i < pieces.count; i++) {
        assert_true(used + pieces.piece[i].length < sizeof(text));
        memcpy(text + used, pieces.piece[i].data, pieces.piece[i].length);
        used += pieces.piece[i].length;
    }
    text[used] = '\0';
    return text;
}

#define CLUSTER_DOWN "-CLUSTERDOWN this node does not lead: nothing was done\r\n"

static void without_a_known_leader_the_cluster_is_down(void **state) {
    (void)state;
    leads(0);
    assert_string_equal(refused("set a b", 1), CLUSTER_DOWN);
    assert_string_equal(refused("get a", 1), CLUSTER_DOWN);
    assert_string_equal(refused("flushall", 0), CLUSTER_DOWN);
}

static void without_the_leaders_address_the_cluster_is_down(void **state) {
    (void)state;
    leads(3);
    assert_string_equal(refused("set a b", 1), CLUSTER_DOWN);
    rig.options.endpoints[2] = (struct node_endpoint){.node_id = 3, .host = "", .port = 7003};
    rig.options.endpoint_count = 3;
    assert_string_equal(refused("set a b", 1), CLUSTER_DOWN);
}

static void an_address_in_the_log_does_but_a_configured_one_counts_more(void **state) {
    (void)state;
    struct entry_address logged = {.node_id = 3, .host = "three.example", .port = 7003};
    addresses_set(&rig.node.addresses, &logged);
    leads(3);
    assert_string_equal(refused("set a b", 1), "-MOVED 15495 three.example:7003\r\n");
    rig.options.endpoints[2] = (struct node_endpoint){.node_id = 3, .host = "", .port = 7004};
    rig.options.endpoint_count = 3;
    assert_string_equal(refused("set a b", 1), "-MOVED 15495 three.example:7003\r\n");
    rig.options.endpoints[2].host = "proxy.example";
    assert_string_equal(refused("set a b", 1), "-MOVED 15495 proxy.example:7004\r\n");
}

static void nobody_is_sent_back_to_the_node_that_refused(void **state) {
    (void)state;
    leads(1); /* it leads again by now, or its disk has failed */
    assert_string_equal(refused("set a b", 1), CLUSTER_DOWN);
    assert_string_equal(refused("flushall", 0), CLUSTER_DOWN);
}

static void a_command_with_a_key_is_sent_to_the_leader(void **state) {
    (void)state;
    leads(2);
    assert_string_equal(refused("set foo b", 1), "-MOVED 12182 two.example:7002\r\n");
    assert_string_equal(refused("get x{foo}{bar}", 1), "-MOVED 12182 two.example:7002\r\n");
    assert_string_equal(refused("mset bar 1 foo 2", 2), "-MOVED 5061 two.example:7002\r\n");
    rig.options.endpoints[1].host = "fd00::2";
    assert_string_equal(refused("get bar", 1), "-MOVED 5061 fd00::2:7002\r\n");
}

static void without_a_key_a_write_is_refused_and_a_read_told_who_leads(void **state) {
    (void)state;
    leads(3); /* no address is needed */
    assert_string_equal(refused("flushall", 0),
                        "-READONLY You can't write against a read only replica.\r\n");
    assert_string_equal(refused("once.open", 0),
                        "-READONLY You can't write against a read only replica.\r\n");
    assert_string_equal(refused("dbsize", 0), CLUSTER_DOWN);
    leads(2);
    assert_string_equal(refused("dbsize", 0),
                        "-CLUSTERDOWN this node does not lead: nothing was done; the leader is at "
                        "two.example:7002\r\n");
}

static void what_cluster_does_not_know_it_refuses(void **state) {
    (void)state;
    rig_expect(&rig, 0, "cluster", "-ERR wrong number of arguments for 'cluster' command\r\n");
    rig_expect(&rig, 0, "cluster countkeysinslot 1",
               "-ERR unknown subcommand 'countkeysinslot'. Try CLUSTER HELP.\r\n");
    rig_expect(&rig, 0, "cluster keyslot",
               "-ERR wrong number of arguments for 'cluster|keyslot' command\r\n");
    rig_expect(&rig, 0, "cluster slots x",
               "-ERR wrong number of arguments for 'cluster|slots' command\r\n");
    rig_expect(&rig, 0, "readonly x", "-ERR wrong number of arguments for 'readonly' command\r\n");
}

static void keyslot_takes_keys_up_to_the_longest(void **state) {
    (void)state;
    enum { LONGEST = 64 * 1024 };
    static char line[LONGEST + 64];
    int prefix = snprintf(line, sizeof(line), "*3\r\n$7\r\ncluster\r\n$7\r\nkeyslot\r\n$%d\r\n",
                          LONGEST + 1);
    memset(line + prefix, 'x', LONGEST + 1);
    memcpy(line + prefix + LONGEST + 1, "\r\n", 3);
    assert_string_equal(rig_send(&rig, 0, line, (size_t)prefix + LONGEST + 3),
                        "-ERR key too long: the limit is 65536 bytes\r\n");
    prefix =
        snprintf(line, sizeof(line), "*3\r\n$7\r\ncluster\r\n$7\r\nkeyslot\r\n$%d\r\n", LONGEST);
    memset(line + prefix, 'x', LONGEST);
    memcpy(line + prefix + LONGEST, "\r\n", 3);
    assert_int_equal(rig_send(&rig, 0, line, (size_t)prefix + LONGEST + 2)[0], ':');
    rig_expect(&rig, 0, "cluster keyslot 123456789", ":12739\r\n");
    rig_expect(&rig, 0, "cluster keyslot \"\"", ":0\r\n");
    rig_expect(&rig, 0, "cluster keyslot {a}{b}", ":15495\r\n");
}

static void ids_are_forty_digits_and_follow_the_incarnation(void **state) {
    (void)state;
    char first[ID_BYTES + 1] = "";
    const char *answer = rig_say(&rig, 0, "cluster myid");
    assert_memory_equal(answer, "$40\r\n000000000000abcd", 21);
    memcpy(first, answer + 5, ID_BYTES);
    assert_int_equal(strspn(first, "0123456789abcdef"), ID_BYTES);
    assert_string_equal(first + 32, "00000001");
    has(rig_say(&rig, 0, "cluster nodes"), first);
    rig.options.identity.incarnation++;
    assert_memory_not_equal(rig_say(&rig, 0, "cluster myid") + 5, first, ID_BYTES);
}

static void the_leader_has_all_slots(void **state) {
    (void)state;
    const char *answer = rig_say(&rig, 0, "cluster nodes");
    has(answer, " 10.0.0.1:7001@0 myself,master - 0 0 5 connected 0-16383\n");
    has(answer, " two.example:7002@0 slave 000000000000abcd");
    has(answer, " :0@0 slave,noaddr 000000000000abcd");
    has(answer, "00000001 0 0 5 disconnected\n");
    answer = rig_say(&rig, 0, "cluster slots");
    has(answer, "*1\r\n*5\r\n:0\r\n:16383\r\n*4\r\n$8\r\n10.0.0.1\r\n:7001\r\n$40\r\n");
    has(answer, "*0\r\n*4\r\n$11\r\ntwo.example\r\n:7002\r\n$40\r\n");
    has(answer, "*4\r\n$1\r\n?\r\n:0\r\n$40\r\n");
    answer = rig_say(&rig, 0, "cluster info");
    has(answer, "cluster_state:ok\r\ncluster_slots_assigned:16384\r\n");
    has(answer, "cluster_known_nodes:3\r\ncluster_size:1\r\ncluster_current_epoch:5\r\n");
}

/* redis-benchmark --cluster wants two masters with slots, and connects to where they are. */
static void nodes_has_the_leader_twice_and_only_once_as_there(void **state) {
    (void)state;
    char id[ID_BYTES + 1] = "";
    memcpy(id, rig_say(&rig, 0, "cluster myid") + 5, ID_BYTES);
    const char *answer = rig_say(&rig, 0, "cluster nodes");
    const char *second = strchr(answer, '\n') + 1;
    assert_memory_not_equal(second, id, ID_BYTES);
    assert_memory_equal(second, id, ID_BYTES - 1);
    static const char line[] = " 10.0.0.1:7001@0 master,noaddr - 0 0 5 disconnected 0-16383\n";
    assert_memory_equal(second + ID_BYTES, line, sizeof(line) - 1);
    assert_memory_equal(second + ID_BYTES + sizeof(line) - 1, id, ID_BYTES);
    leads(3); /* where it is, is not known */
    lacks(rig_say(&rig, 0, "cluster nodes"), "master,noaddr - 0 0 5 disconnected 0-16383\n0");
    rig.options.endpoints[0].host = "";
    leads(1);
    lacks(rig_say(&rig, 0, "cluster nodes"), "noaddr - ");
}

static void another_leader_comes_first(void **state) {
    (void)state;
    leads(2);
    has(rig_say(&rig, 0, "cluster slots"),
        "*1\r\n*5\r\n:0\r\n:16383\r\n*4\r\n$11\r\ntwo.example\r\n:7002\r\n");
    const char *answer = rig_say(&rig, 0, "cluster nodes");
    has(answer, " 10.0.0.1:7001@0 myself,slave 000000000000abcd");
    has(answer, " two.example:7002@0 master - 0 0 5 disconnected 0-16383\n");
}

/* Once it is known in which life the leader is, its id is another: in all lines. */
static void replicas_name_their_leader_as_it_is_named(void **state) {
    (void)state;
    char id[ID_BYTES + 1] = "";
    leads(2);
    node_figure_set(&rig.node.peer_figures[0].node_id, 2);
    node_figure_set(&rig.node.peer_figures[0].incarnation, 77);
    const char *answer = rig_say(&rig, 0, "cluster nodes");
    const char *line = strstr(answer, " two.example:7002@0 master - ");
    assert_non_null(line);
    memcpy(id, line - ID_BYTES, ID_BYTES);
    const char *mine = strstr(answer, "myself,slave ");
    assert_non_null(mine);
    assert_memory_equal(mine + strlen("myself,slave "), id, ID_BYTES);
}

static void without_a_leader_nobody_has_slots(void **state) {
    (void)state;
    leads(0);
    rig_expect(&rig, 0, "cluster slots", "*0\r\n");
    has(rig_say(&rig, 0, "cluster info"), "cluster_state:fail\r\ncluster_slots_assigned:0\r\n");
    const char *answer = rig_say(&rig, 0, "cluster nodes");
    has(answer, "myself,slave - 0 0 5 connected\n");
    lacks(answer, "16383");
    answer = rig_say(&rig, 0, "cluster shards");
    has(answer, "$5\r\nslots\r\n*0\r\n$5\r\nnodes\r\n*3\r\n");
    lacks(answer, "master");
    leads(9); /* no member: it was removed */
    rig_expect(&rig, 0, "cluster slots", "*0\r\n");
}

/* Between two leaders: python3-redis dies of a cluster without a master. */
static void while_no_leader_is_known_the_last_one_has_the_slots(void **state) {
    (void)state;
    leads(0);
    node_figure_set(&rig.node.replicate.leader_last, 2);
    has(rig_say(&rig, 0, "cluster slots"),
        "*1\r\n*5\r\n:0\r\n:16383\r\n*4\r\n$11\r\ntwo.example\r\n:7002\r\n");
    has(rig_say(&rig, 0, "cluster nodes"), " two.example:7002@0 master - ");
    has(rig_say(&rig, 0, "cluster shards"), "$4\r\nrole\r\n$6\r\nmaster\r\n");
    has(rig_say(&rig, 0, "cluster info"), "cluster_state:fail\r\ncluster_slots_assigned:0\r\n");
    node_figure_set(&rig.node.replicate.leader_last, 9); /* it was removed since */
    rig_expect(&rig, 0, "cluster slots", "*0\r\n");
}

static void shards_are_maps_in_resp_3(void **state) {
    (void)state;
    has(rig_say(&rig, 0, "cluster shards"),
        "*1\r\n*4\r\n$5\r\nslots\r\n*2\r\n:0\r\n:16383\r\n$5\r\nnodes\r\n*3\r\n*14\r\n");
    const char *answer = rig_say(&rig, 0, "hello 3\r\ncluster shards");
    has(answer, "*1\r\n%2\r\n$5\r\nslots\r\n*2\r\n:0\r\n:16383\r\n$5\r\nnodes\r\n*3\r\n%7\r\n");
    has(answer, "$4\r\nport\r\n:7001\r\n$2\r\nip\r\n$8\r\n10.0.0.1\r\n$8\r\nendpoint\r\n");
    has(answer, "$4\r\nrole\r\n$6\r\nmaster\r\n$18\r\nreplication-offset\r\n:9\r\n"
                "$6\r\nhealth\r\n$6\r\nonline\r\n%5\r\n");
    has(rig_say(&rig, 0, "cluster slots"), ":7001\r\n$40\r\n");
    has(rig_say(&rig, 0, "cluster slots"), "%0\r\n");
    has(rig_say(&rig, 0, "cluster info"), "txt:cluster_state:ok\r\n");
}

static void a_node_that_listens_everywhere_names_no_host_of_its_own(void **state) {
    (void)state;
    rig.options.endpoints[0].host = "";
    has(rig_say(&rig, 0, "cluster slots"), "*4\r\n$0\r\n\r\n:7001\r\n");
    has(rig_say(&rig, 0, "cluster nodes"), " :7001@0 myself,master - ");
}

static void the_longest_lines_fit(void **state) {
    (void)state;
    char host[NODE_HOST_BYTES_MAX + 1];
    memset(host, 'h', NODE_HOST_BYTES_MAX);
    host[NODE_HOST_BYTES_MAX] = '\0';
    rig.options.identity.cluster_id = UINT64_MAX;
    rig.options.identity.members.member_count = CONFIGURATION_MEMBERS_MAX;
    rig.options.endpoint_count = CONFIGURATION_MEMBERS_MAX;
    for (uint32_t i = 0; i < CONFIGURATION_MEMBERS_MAX; i++) {
        uint64_t id = UINT64_MAX - CONFIGURATION_MEMBERS_MAX + i;
        rig.options.identity.members.members[i] =
            (struct configuration_member){.node_id = id, .roles = CONFIGURATION_VOTER};
        rig.options.endpoints[i] =
            (struct node_endpoint){.node_id = id, .host = host, .port = UINT16_MAX};
    }
    rig.options.identity.node_id = UINT64_MAX - 1;
    rig.node.replicate.term = UINT64_MAX;
    leads(UINT64_MAX - 1);
    has(rig_say(&rig, 0, "cluster nodes"), "myself,master - 0 0 18446744073709551615 connected");
    has(rig_say(&rig, 0, "cluster shards"), "*16\r\n");
    has(rig_say(&rig, 0, "cluster info"), "cluster_my_epoch:18446744073709551615\r\n");
}

static void readonly_is_noted_and_shown_until_it_is_taken_back(void **state) {
    (void)state;
    has(rig_say(&rig, 0, "client info"), " flags=N ");
    rig_expect(&rig, 0, "readonly\r\nget a\r\nset a b", "+OK\r\n<READ><WRITE>");
    has(rig_say(&rig, 0, "client info"), " flags=r ");
    rig_expect(&rig, 0, "readwrite", "+OK\r\n");
    has(rig_say(&rig, 0, "client info"), " flags=N ");
    rig_expect(&rig, 0, "readonly\r\nreset", "+OK\r\n+RESET\r\n");
    has(rig_say(&rig, 0, "client info"), " flags=N ");
}

static void another_mode_of_reads_is_refused_and_changes_nothing(void **state) {
    (void)state;
    rig_expect(&rig, 0, "client reads",
               "-ERR wrong number of arguments for 'client|reads' command\r\n");
    rig_expect(&rig, 0, "client reads fresh", "-ERR reads are quorum, lease or stale\r\n");
    rig_expect(&rig, 0, "client reads \"\"", "-ERR reads are quorum, lease or stale\r\n");
    rig_expect(&rig, 0, "client reads stale x",
               "-ERR wrong number of arguments for 'client|reads' command\r\n");
    has(rig_say(&rig, 0, "client info"), " reads=quorum ");
}

static void reads_are_the_nodes_until_a_connection_chooses_its_own(void **state) {
    (void)state;
    rig.options.reads = READ_LEASE;
    has(rig_say(&rig, 0, "client info"), " reads=lease ");
    rig_expect(&rig, 0, "CLIENT READS Stale", "+OK\r\n");
    has(rig_say(&rig, 0, "client list"), " reads=stale ");
    has(rig_say(&rig, 1, "client info"), " reads=lease ");
    rig_expect(&rig, 0, "client reads quorum", "+OK\r\n");
    has(rig_say(&rig, 0, "client info"), " reads=quorum ");
    rig_expect(&rig, 0, "reset", "+RESET\r\n");
    has(rig_say(&rig, 0, "client info"), " reads=lease ");
}

/* Whoever decides does not look at the connection, which may have gone on since. */
static void each_command_carries_the_mode_that_it_was_said_in(void **state) {
    (void)state;
    rig_expect(&rig, 0,
               "client reads stale\r\nget a\r\nclient reads lease\r\nget a\r\nreset\r\nget a",
               "+OK\r\n<READ>+OK\r\n<READ>+RESET\r\n<READ>");
    const struct batch *batch = &rig.batches[0];
    assert_int_equal(batch->commands[1].reads, READ_STALE);
    assert_true(batch->commands[1].reads_anywhere);
    assert_int_equal(batch->commands[3].reads, READ_LEASE);
    assert_false(batch->commands[3].reads_anywhere);
    assert_int_equal(batch->commands[5].reads, READ_QUORUM);
    assert_int_equal(batch->reads, READ_QUORUM); /* the strictest counts for all */
    rig_expect(&rig, 0, "readonly\r\nget a", "+OK\r\n<READ>");
    assert_int_equal(batch->commands[1].reads, READ_QUORUM);
    assert_true(batch->commands[1].reads_anywhere);
    rig_expect(&rig, 0, "client reads stale", "+OK\r\n");
    rig_expect(&rig, 0, "get a\r\nget b", "<READ><READ>");
    assert_int_equal(batch->reads, READ_STALE);
}

static void hello_tells_who_leads(void **state) {
    (void)state;
    has(rig_say(&rig, 0, "hello 2"), "$6\r\nmaster\r\n");
    leads(2);
    has(rig_say(&rig, 0, "hello 2"), "$7\r\nreplica\r\n");
}

static void info_says_that_cluster_is_answered(void **state) {
    (void)state;
    rig_expect(&rig, 0, "info cluster", "$30\r\n# Cluster\r\ncluster_enabled:1\r\n\r\n");
    has(rig_say(&rig, 0, "info server"), "redis_mode:standalone\r\n");
}

int main(void) {
#define RIGGED(test) cmocka_unit_test_setup_teardown(test, start, stop)
    const struct CMUnitTest tests[] = {
        RIGGED(without_a_known_leader_the_cluster_is_down),
        RIGGED(without_the_leaders_address_the_cluster_is_down),
        RIGGED(an_address_in_the_log_does_but_a_configured_one_counts_more),
        RIGGED(nobody_is_sent_back_to_the_node_that_refused),
        RIGGED(a_command_with_a_key_is_sent_to_the_leader),
        RIGGED(without_a_key_a_write_is_refused_and_a_read_told_who_leads),
        RIGGED(what_cluster_does_not_know_it_refuses),
        RIGGED(keyslot_takes_keys_up_to_the_longest),
        RIGGED(ids_are_forty_digits_and_follow_the_incarnation),
        RIGGED(the_leader_has_all_slots),
        RIGGED(nodes_has_the_leader_twice_and_only_once_as_there),
        RIGGED(another_leader_comes_first),
        RIGGED(replicas_name_their_leader_as_it_is_named),
        RIGGED(without_a_leader_nobody_has_slots),
        RIGGED(while_no_leader_is_known_the_last_one_has_the_slots),
        RIGGED(shards_are_maps_in_resp_3),
        RIGGED(a_node_that_listens_everywhere_names_no_host_of_its_own),
        RIGGED(the_longest_lines_fit),
        RIGGED(readonly_is_noted_and_shown_until_it_is_taken_back),
        RIGGED(another_mode_of_reads_is_refused_and_changes_nothing),
        RIGGED(reads_are_the_nodes_until_a_connection_chooses_its_own),
        RIGGED(each_command_carries_the_mode_that_it_was_said_in),
        RIGGED(hello_tells_who_leads),
        RIGGED(info_says_that_cluster_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
