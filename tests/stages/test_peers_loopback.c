/*
 * Three whole nodes in one process, with their threads, that talk over 127.0.0.1 and io_uring: what
 * the simulated clusters do in a simulated world (tests/sim/test_node_cluster.c), once for real.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "stages/apply.h"
#include "stages/directory.h"
#include "stages/parse.h"
#include "stages/peers.h"
#include "stages/pipeline.h"
#include "stages/read.h"
#include "stages/replicate.h"
#include "stages/validate.h"
#include "tests/cmocka_wrapper.h"

enum {
    NODES = 3,
    PATIENCE_S = 60,
    /* Of elections: beside other tests a thread may stand still for longer than the usual 200. */
    PATIENT_MS = 1000,
    SEGMENT_BYTES = 4 * 1024 * 1024,
    WRITE_BYTES_MAX = 256 * 1024,
    ENTRY_BYTES_MAX = 1024 * 1024,
    ARENA_BYTES = 32 * 1024 * 1024,
    VALUE_BYTES = 300 * 1000, /* several receive buffers, and more than a send */
};

struct loop_node {
    char path[64];
    char peer_address[32];
    struct io *io;
    int32_t directory_handle;
    struct map map;
    struct node_options options;
    struct node *node;
    struct node_record *records;
    struct directory *directory;
    struct pipeline *pipeline;
    struct read_options read_options;
    struct parse_options parse_options;
    struct validate_options validate_options;
    struct replicate_options replicate_options;
    struct apply_options apply_options;
};

static struct loop_node nodes[NODES];
static struct mac_key secret;
static bool has_secret;
static char base_path[32] = "/var/tmp/weir-loop-XXXXXX";
static uint64_t deadline_ns;

/* A port that was free a moment ago. */
static uint16_t free_port(void) {
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, length), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    close(listener);
    return ntohs(address.sin_port);
}

static void expect(int status, const struct error_text *error) {
    if (status != 0) {
        fail_msg("%d: %s", status, error->text);
    }
}

static void options_build(struct loop_node *node, uint32_t index) {
    struct node_options *options = &node->options;
    options->machine = machine_find("kv");
    options->machine_options =
        (struct machine_options){.partition_bits = 3, .value_bytes_max = ENTRY_BYTES_MAX / 2};
    options->batch_count = 64;
    options->connections_max = 16;
    options->connection_batches_max = 4;
    resp_limits_default(&options->resp_limits);
    options->resp_limits.bulk_length_max = ENTRY_BYTES_MAX / 2;
    options->resp_limits.command_length_max = 2 * ENTRY_BYTES_MAX;
    options->carry_bytes_max = ARENA_BYTES;
    options->reply_bytes_max = ARENA_BYTES;
    options->backlog_bytes_max = ARENA_BYTES;
    options->backlog_connection_bytes_max = ARENA_BYTES;
    options->log = (struct log_options){.segment_bytes = SEGMENT_BYTES,
                                        .memory_bytes = SEGMENT_BYTES,
                                        .entry_bytes_max = ENTRY_BYTES_MAX,
                                        .write_bytes_max = WRITE_BYTES_MAX};
    options->io_features_allowed = IO_FEATURES_ALL;
    options->map_text = node->map.text;
    options->data_directory = node->path;
    options->version = "loopback";
    options->peer_listen_address = node->peer_address;
    options->peer_secret = has_secret ? &secret : NULL;
    options->election_timeout_ms = PATIENT_MS;
    for (uint32_t i = 0; i < NODES; i++) {
        if (i != index) {
            options->peers[options->peer_count++] =
                (struct node_peer){.node_id = i + 1, .address = nodes[i].peer_address};
        }
    }
}

static void node_start(uint32_t index, const char *map) {
    static const struct map_cpus cpus = {.count = 2, .cpu = {0, 1}};
    static const struct io_options io_options = {
        .submissions_max = 64, .completions_max = 128, .features_allowed = IO_FEATURES_ALL};
    struct loop_node *node = &nodes[index];
    struct error_text error = {.text = ""};
    struct configuration members = {.member_count = NODES};
    for (uint32_t i = 0; i < NODES; i++) {
        members.members[i] =
            (struct configuration_member){.node_id = i + 1, .roles = CONFIGURATION_VOTER};
    }
    snprintf(node->path, sizeof(node->path), "%s/%u", base_path, index + 1);
    expect(map_parse(&node->map, map, &cpus, &error), &error);
    expect(io_create(&node->io, &io_options, &error), &error);
    expect(io_directory_open(node->io, node->path, true, &node->directory_handle, &error), &error);
    expect(identity_create(node->io, node->directory_handle, "loop", index + 1, &members,
                           &node->options.identity, &error),
           &error);
    options_build(node, index);
    node->node = aligned_alloc(CACHE_LINE_BYTES, sizeof(*node->node));
    size_t records_bytes = node->options.connections_max * sizeof(struct node_record);
    node->records = aligned_alloc(CACHE_LINE_BYTES, records_bytes);
    assert_true(node->node != NULL && node->records != NULL);
    memset(node->node, 0, sizeof(*node->node));
    memset(node->records, 0, records_bytes);
    node->node->options = &node->options;
    node->node->records = node->records;
    expect(directory_create(&node->directory, node->options.machine, &error), &error);
    node->read_options.listen_address = "127.0.0.1:0";
    node->parse_options.directory = node->directory;
    node->validate_options.directory = node->directory;
    node->apply_options.directory = node->directory;
    struct pipeline_options options = {.node = node->node,
                                       .map = &node->map,
                                       .stage_options = {
                                           [STAGE_READ] = &node->read_options,
                                           [STAGE_PARSE] = &node->parse_options,
                                           [STAGE_VALIDATE] = &node->validate_options,
                                           [STAGE_REPLICATE] = &node->replicate_options,
                                           [STAGE_APPLY] = &node->apply_options,
                                       }};
    expect(pipeline_create(&node->pipeline, &options, &error), &error);
    expect(pipeline_start(node->pipeline, &error), &error);
    pipeline_run(node->pipeline);
}

static void node_stop(struct loop_node *node) {
    struct error_text error = {.text = ""};
    pipeline_stop(node->pipeline);
    expect(pipeline_join(node->pipeline, &error), &error);
    pipeline_destroy(node->pipeline);
    directory_destroy(node->directory);
    free(node->records);
    free(node->node);
    io_close(node->io, node->directory_handle);
    io_destroy(node->io);
}

/* ---- a client ------------------------------------------------------------------------------ */

/* Sends a request and reads the first line of its reply; false if there is none. */
static bool ask(const struct loop_node *node, const char *request, size_t length, char line[128]) {
    int client = socket(AF_INET, SOCK_STREAM, 0);
    struct timeval patience = {.tv_sec = PATIENCE_S};
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port =
                                      htons((uint16_t)node_figure(&node->node->read.listen_port))};
    assert_int_equal(setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    size_t sent = 0;
    size_t got = 0;
    if (connect(client, (struct sockaddr *)&address, sizeof(address)) == 0) {
        ssize_t count = 1;
        while (sent < length && count > 0) {
            count = send(client, request + sent, length - sent, MSG_NOSIGNAL);
            sent += count > 0 ? (size_t)count : 0;
        }
        while (count > 0 && got < 127 && (got == 0 || line[got - 1] != '\n')) {
            count = recv(client, line + got, 1, 0);
            got += count > 0 ? (size_t)count : 0;
        }
    }
    close(client);
    line[got] = '\0';
    return got > 0 && line[got - 1] == '\n';
}

/* Asks whoever answers, until one does what is asked. */
static void ask_any(const char *request, size_t length, char line[128]) {
    for (uint32_t i = 0; clock_monotonic_ns() < deadline_ns; i++) {
        const struct loop_node *node = &nodes[i % NODES];
        if (atomic_load_acquire_u32(&node->node->signals.serving) != 0 &&
            ask(node, request, length, line) && line[0] != '-') {
            return;
        }
        sched_yield();
    }
    fail_msg("nobody answers; the last said %s", line);
}

/* The leader is asked for a change of members until it has made it, whoever leads. */
static void change(enum change_edit_kind kind, uint64_t node_id) {
    const struct change_request request = {
        .kind = CHANGE_MEMBERS,
        .edit_count = 1,
        .edits = {{.kind = kind, .node_id = node_id, .incarnation = 7}}};
    const char *reason = "";
    for (uint32_t i = 0; clock_monotonic_ns() < deadline_ns; i++) {
        struct loop_node *node = &nodes[i % NODES];
        struct change_box *box = &node->node->changes;
        assert_true(change_ask(box, &request));
        pipeline_wake(node->pipeline);
        enum change_state state;
        while ((state = change_look(box, &reason)) < CHANGE_DONE) {
            sched_yield();
        }
        change_forget(box);
        if (state == CHANGE_DONE) {
            return;
        }
        sched_yield();
    }
    fail_msg("node %lu: %s", (unsigned long)node_id, reason);
}

/* All have applied what one has, and that is the same. */
static bool all_agree(void) {
    uint64_t index = node_figure(&nodes[0].node->apply.applied_index);
    uint64_t chain = node_figure(&nodes[0].node->apply.applied_chain);
    for (uint32_t i = 0; i < NODES; i++) {
        const struct node *node = nodes[i].node;
        if (node_figure(&node->apply.applied_index) != index ||
            node_figure(&node->apply.applied_chain) != chain ||
            node_figure(&node->replicate.last_index) != index) {
            return false;
        }
    }
    return true;
}

/* Bytes to a node's port for members; how many came back until it closed. */
static size_t say_to_peer_port(const struct loop_node *node, const void *bytes, size_t length) {
    int client = socket(AF_INET, SOCK_STREAM, 0);
    struct timeval patience = {.tv_sec = PATIENCE_S};
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        .sin_port = htons((uint16_t)node_figure(&node->node->read.peer_listen_port))};
    uint8_t answer[256];
    size_t got = 0;
    ssize_t count = 1;
    assert_int_equal(setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(send(client, bytes, length, MSG_NOSIGNAL), length);
    while (count > 0 && got < sizeof(answer)) {
        count = recv(client, answer + got, sizeof(answer) - got, 0);
        got += count > 0 ? (size_t)count : 0;
    }
    assert_true(count == 0 || errno == ECONNRESET); /* it has closed, and not we have waited */
    close(client);
    return got;
}

/* Strangers are refused and counted: other protocols without a word, and who has no secret, or
 * alone has one, with a refusal. */
static void knock(const struct loop_node *node) {
    const struct node_parse_figures *parse = &node->node->parse;
    static const char http[] = "GET / HTTP/1.1\r\nHost: weir\r\n\r\n";
    static const char resp[] = "*1\r\n$4\r\nPING\r\n";
    assert_int_equal(say_to_peer_port(node, http, sizeof(http) - 1), 0);
    assert_int_equal(say_to_peer_port(node, resp, sizeof(resp) - 1), 0);
    assert_int_equal(node_figure(&parse->peers_refused), 2);
    const struct identity *identity = &node->options.identity;
    struct peer_hello hello = {.connection = PEER_CONNECTION_DATA,
                               .cluster_id = identity->cluster_id,
                               .from = 2,
                               .incarnation = nodes[1].options.identity.incarnation,
                               .to = 1};
    uint8_t frame[PEER_HELLO_FRAME_BYTES_MAX];
    struct peer_frame_writer writer;
    peer_frame_writer_begin(&writer);
    if (!has_secret) {
        memset(hello.nonce, 1, sizeof(hello.nonce));
        peer_frame_writer_authenticate(&writer, &secret, (struct peer_frame_span){NULL, 0});
    }
    const struct peer_frame_span body = {frame + PEER_FRAME_HEADER_BYTES,
                                         peer_hello_write(frame + PEER_FRAME_HEADER_BYTES, &hello)};
    uint32_t length_bytes = peer_frame_write(&writer, frame, PEER_FRAME_HELLO, &body, 1);
    assert_int_equal(say_to_peer_port(node, frame, length_bytes), PEER_ANSWER_FRAME_BYTES);
    assert_int_equal(node_figure(&parse->peers_refused), 3);
    assert_int_equal(node_figure(&parse->peers_unauthenticated), 1);
    assert_int_equal(node_figure(&parse->peers_replaced), 0);
}

static void replicate_over_loopback(const char *const maps[NODES], bool with_secret) {
    char line[128] = "";
    has_secret = with_secret;
    mac_key_set(&secret, "of three nodes", strlen("of three nodes"));
    deadline_ns = clock_monotonic_ns() + PATIENCE_S * UINT64_C(1000000000);
    memset(nodes, 0, sizeof(nodes));
    snprintf(base_path, sizeof(base_path), "/var/tmp/weir-loop-XXXXXX");
    assert_non_null(mkdtemp(base_path));
    for (uint32_t i = 0; i < NODES; i++) {
        snprintf(nodes[i].peer_address, sizeof(nodes[i].peer_address), "127.0.0.1:%u", free_port());
    }
    for (uint32_t i = 0; i < NODES; i++) {
        node_start(i, maps[i]);
    }
    for (uint32_t i = 1; i <= 100; i++) {
        /* Both may be asked again: on a busy machine there may be an election, and -UNKNOWN. */
        char text[32];
        int length = snprintf(text, sizeof(text), "SET n %u\r\n", i);
        ask_any(text, (size_t)length, line);
        assert_string_equal(line, "+OK\r\n");
        ask_any("INCRBY n 0\r\n", 12, line);
        snprintf(text, sizeof(text), ":%u\r\n", i);
        assert_string_equal(line, text);
    }
    static char large[VALUE_BYTES + 64];
    int head = snprintf(large, sizeof(large), "*3\r\n$3\r\nSET\r\n$1\r\nv\r\n$%u\r\n", VALUE_BYTES);
    memset(large + head, 'x', VALUE_BYTES);
    memcpy(large + head + VALUE_BYTES, "\r\n", 2);
    for (uint32_t i = 0; i < 8; i++) {
        ask_any(large, (size_t)head + VALUE_BYTES + 2, line);
        assert_string_equal(line, "+OK\r\n");
    }
    /* More than each has rows for: they are asked back by one thread, and given up by another. */
    for (uint64_t id = 100; id < 100 + 2 * PEERS_MAX; id++) {
        change(CHANGE_ADD_LEARNER, id);
        change(CHANGE_REMOVE, id);
    }
    while (!all_agree() && clock_monotonic_ns() < deadline_ns) {
        sched_yield();
    }
    assert_true(all_agree());
    for (uint32_t i = 0; i < NODES; i++) {
        const struct node *node = nodes[i].node;
        assert_true(node_figure(&node->parse.peers_introduced) >= 2 * (NODES - 1));
        assert_int_equal(node_figure(&node->parse.peers_broken), 0);
        assert_int_equal(node_figure(&node->parse.peers_refused), 0);
        assert_int_equal(node_figure(&node->parse.peers_unauthenticated), 0);
    }
    knock(&nodes[0]);
    for (uint32_t i = 0; i < NODES; i++) {
        node_stop(&nodes[i]);
    }
    char command[64];
    snprintf(command, sizeof(command), "rm -r %s", base_path);
    assert_int_equal(system(command), 0);
}

static void nodes_on_one_thread_each_replicate(void **state) {
    (void)state;
    replicate_over_loopback((const char *const[NODES]){"fused", "fused", "fused"}, false);
}

static void nodes_of_any_map_replicate(void **state) {
    (void)state;
    replicate_over_loopback((const char *const[NODES]){"fused", "pair", "split"}, false);
}

static void nodes_with_a_secret_replicate(void **state) {
    (void)state;
    replicate_over_loopback((const char *const[NODES]){"fused", "pair", "split"}, true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_on_one_thread_each_replicate),
        cmocka_unit_test(nodes_of_any_map_replicate),
        cmocka_unit_test(nodes_with_a_secret_replicate),
    };
    return cmocka_run_group_tests_name("stages_peers_loopback", tests, NULL, NULL);
}
