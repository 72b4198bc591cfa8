/* See node_group.h. */

#include "tests/sim/node_group.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"
#include "raft/raft.h"
#include "stages/peer_message.h"
#include "storage/files.h"

enum {
    CLIENT_TIMEOUT_NS = 1000 * 1000 * 1000,
    STEPS_MAX = 50 * 1000 * 1000,
    STEP_NS = 1000, /* of all nodes together */
};

static void finding(struct group *group, const char *text, uint64_t a, uint64_t b) {
    if (group->finding[0] == '\0') {
        snprintf(group->finding, sizeof(group->finding), "%s (%" PRIu64 ", %" PRIu64 ")", text, a,
                 b);
    }
}

/* ---- nodes --------------------------------------------------------------------------------- */

void group_init(struct group *group, uint64_t seed, uint32_t node_count, const char *map) {
    struct node_world quiet; /* for its log that leads nowhere */
    node_world_init(&quiet, seed, false);
    node_world_free(&quiet);
    memset(group, 0, sizeof(*group));
    group->seed = seed;
    group->node_count = node_count;
    group->delay_ns_max = 2 * 1000 * 1000;
    group->load_on = true;
    random_seed(&group->random, seed);
    struct world_options options = world_options_calm();
    options.clock_drift_ppm_max = 200;
    options.disk_delay_ns_min = 50 * 1000; /* slower than the network, so that much is not synced */
    options.disk_delay_ns_max = 6 * 1000 * 1000;
    group->world = world_create(seed, &options);
    for (uint32_t i = 0; i < node_count; i++) {
        group->nodes[i].host = world_node_add(group->world);
        group->nodes[i].options = (struct sim_node_options){
            .map = map, .member_count = node_count, .node_id = i + 1, .batch_count = 32};
    }
}

void group_init_networked(struct group *group, uint64_t seed, uint32_t node_count,
                          const char *map) {
    group_init(group, seed, node_count, map);
    group->is_networked = true;
    for (uint32_t i = 0; i < node_count; i++) {
        group->hosts[i] = group->nodes[i].host;
        group->nodes[i].options.member_hosts = group->hosts;
    }
}

void group_free(struct group *group) {
    for (uint32_t i = 0; i < group->node_count; i++) {
        if (group->nodes[i].node != NULL) {
            group_crash(group, i);
        }
    }
    while (group->records != NULL) {
        struct group_record *record = group->records;
        group->records = record->next;
        free(record);
    }
    world_destroy(group->world);
}

void group_start(struct group *group, uint32_t index) {
    struct group_node *node = &group->nodes[index];
    struct error_text error = {.text = ""};
    node->options.schedule_seed = group->seed * 1000 + node->starts++;
    if (sim_node_start(&node->node, group->world, node->host, &node->options, &error) != 0) {
        fail_msg("seed %" PRIu64 ": node %u does not start: %s", group->seed, index + 1,
                 error.text);
    }
    for (uint32_t i = 0; i < group->node_count; i++) { /* what an address book does */
        if (i != index) {
            assert_non_null(peers_row(sim_node_peers(node->node), i + 1));
        }
    }
}

static void client_drop(struct group_client *client) {
    if (client->connection != NULL) {
        world_client_reset(client->connection);
    }
    *client = (struct group_client){.node = client->node};
}

/* What is on its way to a process that ends, or from it, is lost with its connections. */
static void records_drop(struct group *group, uint32_t node) {
    struct group_record **link = &group->records;
    while (*link != NULL) {
        struct group_record *record = *link;
        if (record->from == node || record->to == node) {
            *link = record->next;
            free(record);
        } else {
            link = &record->next;
        }
    }
}

void group_crash(struct group *group, uint32_t index) {
    struct group_node *node = &group->nodes[index];
    node->applied_index = node_figure(&sim_node_figures(node->node)->apply.applied_index);
    for (uint32_t i = 0; i < GROUP_CLIENTS; i++) {
        if (group->clients[i].connection != NULL && group->clients[i].node == index) {
            group->counts.unknown += group->clients[i].busy;
            client_drop(&group->clients[i]);
        }
    }
    if (!sim_node_ended(node->node) && sim_node_failure(node->node) == NULL) {
        world_disk_die_after(group->world, node->host, 0);
        sim_node_stop(node->node);
    }
    while (!sim_node_ended(node->node)) {
        if (!sim_node_step(node->node) && !world_step(group->world)) {
            fail_msg("seed %" PRIu64 ": node %u does not end", group->seed, index + 1);
        }
    }
    sim_node_destroy(node->node);
    node->node = NULL;
    records_drop(group, index);
    for (uint32_t i = 0; i < GROUP_NODES_MAX; i++) {
        group->connected[index][i] = false;
        group->connected[i][index] = false;
    }
    world_crash(group->world, node->host, WORLD_KEEP_RANDOM);
}

struct wipe {
    struct io_port *port;
    int32_t directory;
    uint32_t count; /* removed in one listing, which may pass over some meanwhile */
};

static void file_wipe(void *context, const char *name, uint64_t size_bytes,
                      enum io_entry_sort sort) {
    struct wipe *wipe = context;
    struct error_text error;
    (void)size_bytes;
    assert_int_equal(sort, IO_ENTRY_FILE);
    assert_int_equal(files_remove(wipe->port, wipe->directory, name, &error), 0);
    wipe->count++;
}

void group_wipe(struct group *group, uint32_t index) {
    struct wipe wipe;
    struct error_text error;
    assert_null(group->nodes[index].node);
    struct io *io = world_io(group->world, group->nodes[index].host);
    assert_int_equal(io_directory_open(io, sim_node_directory, false, &wipe.directory, &error), 0);
    assert_int_equal(io_port_create(io, &wipe.port, FILES_OPERATIONS_MAX), 0);
    do {
        wipe.count = 0;
        assert_int_equal(io_directory_list(io, wipe.directory, file_wipe, &wipe), 0);
    } while (wipe.count > 0);
    assert_int_equal(files_directory_sync(wipe.port, wipe.directory, &error), 0);
    io_port_destroy(wipe.port);
    io_close(io, wipe.directory);
    io_destroy(io);
    group->nodes[index].applied_index = 0;
}

/* ---- records ------------------------------------------------------------------------------- */

static void record_post(struct group *group, const struct group_record *model,
                        const uint8_t *bytes) {
    struct group_record *record = malloc(sizeof(*record) + model->length_bytes);
    assert_non_null(record);
    *record = *model;
    memcpy(record->bytes, bytes, model->length_bytes);
    struct group_record **link = &group->records;
    while (*link != NULL && (*link)->due_ns <= record->due_ns) {
        link = &(*link)->next;
    }
    record->next = *link;
    *link = record;
}

static bool record_is_chunk(const uint8_t *bytes) {
    return bytes_get_u32(bytes) == PEER_RECORD_MESSAGE &&
           bytes[PEER_RECORD_HEAD_BYTES] == RAFT_MESSAGE_SNAPSHOT;
}

static bool record_has_entries(const uint8_t *bytes, uint32_t length_bytes) {
    return bytes[PEER_RECORD_HEAD_BYTES] == RAFT_MESSAGE_APPEND &&
           length_bytes > PEER_RECORD_HEAD_BYTES + PEER_MESSAGE_APPEND_BYTES;
}

/* A piece of a snapshot may be lost, or get a wrong byte; false if it is lost. */
static bool chunk_passes(struct group *group, uint8_t *bytes, uint32_t length_bytes) {
    group->counts.chunks++;
    if (random_chance(&group->random, group->chunk_loss_per_mille, 1000)) {
        group->counts.chunks_lost++;
        return false;
    }
    if (group->chunks_spoilt_next > 0) {
        group->chunks_spoilt_next--;
        group->counts.chunks_spoilt++;
        uint32_t back = 1 + (uint32_t)random_below(&group->random, 1000);
        bytes[length_bytes - back] ^= (uint8_t)(1 << random_below(&group->random, 8));
    }
    return true;
}

/* The latest due time of what is on its way there: a connection keeps its order. */
static uint64_t due_after(const struct group *group, const struct group_record *model) {
    uint64_t due_ns = model->due_ns;
    for (const struct group_record *record = group->records; record != NULL;
         record = record->next) {
        if (record->from == model->from && record->to == model->to && record->lane == model->lane &&
            record->due_ns > due_ns) {
            due_ns = record->due_ns;
        }
    }
    return due_ns;
}

static bool records_take(struct group *group, uint32_t from) {
    struct peers *peers = sim_node_peers(group->nodes[from].node);
    bool any = false;
    for (uint32_t i = 0; i < PEERS_MAX; i++) {
        for (uint32_t lane = 0; lane < PEER_LANES; lane++) {
            uint32_t length_bytes;
            const uint8_t *bytes;
            while ((bytes = record_ring_peek(peers->links[i].out[lane], &length_bytes)) != NULL) {
                struct group_record model = {.due_ns =
                                                 world_now_ns(group->world) +
                                                 random_below(&group->random, group->delay_ns_max),
                                             .from = from,
                                             .to = (uint32_t)peers->links[i].node_id - 1,
                                             .lane = lane,
                                             .length_bytes = length_bytes};
                any = true;
                group->counts.records++;
                if (bytes_get_u32(bytes) == PEER_RECORD_REOPEN) {
                    group->counts.reopened++;
                    group->clogged[from][model.to] &= !group->reopening_mends;
                }
                if (bytes_get_u32(bytes) != PEER_RECORD_MESSAGE || group->cut[from][model.to] ||
                    (lane == PEER_DATA && group->clogged[from][model.to]) ||
                    (group->entries_lost[from][model.to] &&
                     record_has_entries(bytes, length_bytes)) ||
                    random_chance(&group->random, group->loss_per_mille, 1000)) {
                    group->counts.lost++;
                } else if (!record_is_chunk(bytes) ||
                           chunk_passes(group, (uint8_t *)(uintptr_t)bytes, length_bytes)) {
                    model.due_ns = due_after(group, &model);
                    record_post(group, &model, bytes);
                    if (random_chance(&group->random, group->twice_per_mille, 1000)) {
                        model.due_ns += random_below(&group->random, 50 * 1000 * 1000);
                        record_post(group, &model, bytes);
                    }
                }
                record_ring_consume(peers->links[i].out[lane]);
            }
        }
    }
    return any;
}

/* The first record of a control connection: who opens it, and by which life it knows the other. */
static void introduce(struct group *group, uint32_t from, uint32_t to) {
    const struct peer_link *link = peers_find(sim_node_peers(group->nodes[from].node), to + 1);
    struct peer_introduction introduction = {
        .incarnation = sim_node_figures(group->nodes[from].node)->options->identity.incarnation,
        .known = link == NULL ? 0 : node_figure(&link->incarnation)};
    uint8_t bytes[PEER_RECORD_HEAD_BYTES + sizeof(introduction)] = {0};
    bytes_put_u32(bytes, PEER_RECORD_CONNECTED);
    memcpy(bytes + PEER_RECORD_HEAD_BYTES, &introduction, sizeof(introduction));
    struct group_record model = {.due_ns = world_now_ns(group->world) +
                                           random_below(&group->random, group->delay_ns_max),
                                 .from = from,
                                 .to = to,
                                 .lane = PEER_CONTROL,
                                 .length_bytes = sizeof(bytes)};
    model.due_ns = due_after(group, &model);
    record_post(group, &model, bytes);
    group->connected[from][to] = true;
}

static void connections_open(struct group *group) {
    for (uint32_t from = 0; from < group->node_count; from++) {
        for (uint32_t to = 0; to < group->node_count; to++) {
            if (from != to && !group->connected[from][to] && !group->cut[from][to] &&
                group->nodes[from].node != NULL && group->nodes[to].node != NULL &&
                peers_find(sim_node_peers(group->nodes[to].node), from + 1) != NULL &&
                peers_find(sim_node_peers(group->nodes[from].node), to + 1) != NULL) {
                introduce(group, from, to);
            }
        }
    }
}

static bool record_deliver(struct group *group, const struct group_record *record) {
    struct sim_node *node = group->nodes[record->to].node;
    if (node == NULL) {
        return true;
    }
    struct peer_link *link = peers_find(sim_node_peers(node), record->from + 1);
    if (link == NULL) {
        return true; /* who is not known has no connection */
    }
    uint8_t *room = record_ring_reserve(link->in[record->lane], record->length_bytes);
    if (room == NULL) {
        return false; /* its connection waits */
    }
    memcpy(room, record->bytes, record->length_bytes);
    record_ring_commit(link->in[record->lane], record->length_bytes);
    sim_node_wake(node);
    return true;
}

static bool records_deliver(struct group *group) {
    bool any = false;
    struct group_record **link = &group->records;
    while (*link != NULL && (*link)->due_ns <= world_now_ns(group->world)) {
        struct group_record *record = *link;
        if (record_deliver(group, record)) {
            *link = record->next;
            free(record);
            any = true;
        } else {
            link = &record->next;
        }
    }
    return any;
}

/* ---- clients ------------------------------------------------------------------------------- */

static void client_send(struct group *group, struct group_client *client) {
    client->key = (uint32_t)random_below(&group->random, GROUP_KEYS);
    client->incr =
        random_below(&group->random, 2) == 0 && group->sent[client->key] + 1 < GROUP_COUNT_MAX;
    char text[64];
    int length =
        snprintf(text, sizeof(text), "%s k%u\r\n", client->incr ? "INCR" : "GET", client->key);
    if (world_client_send(client->connection, text, (size_t)length) != (size_t)length) {
        client_drop(client);
        return;
    }
    group->sent[client->key] += client->incr;
    client->floor = group->acked[client->key];
    client->busy = true;
    client->text_bytes = 0;
    client->sent_ns = world_now_ns(group->world);
}

static void number_judge(struct group *group, const struct group_client *client, uint64_t number) {
    group->counts.incr_acked += client->incr;
    group->counts.gets += !client->incr;
    if (group->nodes[client->node].may_lie) {
        return;
    }
    if (number < client->floor) {
        finding(group, "a reply is older than what was acknowledged before", number, client->floor);
    }
    if (number > group->sent[client->key]) {
        finding(group, "a reply counts what nobody sent", number, group->sent[client->key]);
        return;
    }
    if (client->incr && group->replied[client->key][number]++ != 0) {
        finding(group, "two INCR had the same reply", client->key, number);
    }
    if (number > group->acked[client->key]) {
        group->acked[client->key] = number;
    }
}

/* The number up to the line's end. */
static uint64_t number_of(const char *text) {
    uint64_t number = UINT64_MAX;
    assert_int_equal(decimal_parse_u64(text, strcspn(text, "\r\n"), &number), 0);
    return number;
}

/* One complete reply, without its line end; a bulk has two lines. */
static void client_judge(struct group *group, struct group_client *client, const char *line) {
    client->busy = false;
    if (line[0] == ':') {
        number_judge(group, client, number_of(line + 1));
    } else if (strncmp(line, "$-1", 3) == 0) {
        number_judge(group, client, 0);
    } else if (line[0] == '$') {
        number_judge(group, client, number_of(strchr(line, '\n') + 1));
    } else if (strncmp(line, "-UNKNOWN", 8) == 0) {
        group->counts.unknown++;
        client_drop(client);
    } else if (strncmp(line, "-CLUSTERDOWN", 12) == 0 || strncmp(line, "-MOVED", 6) == 0) {
        if (client->incr) {
            group->sent[client->key]--; /* definitely not done */
        }
        group->counts.refused++;
        client_drop(client);
        client->node = (uint32_t)random_below(&group->random, group->node_count);
    } else {
        finding(group, line, client->key, client->incr);
    }
}

static bool reply_complete(const struct group_client *client) {
    const char *end = memchr(client->text, '\n', client->text_bytes);
    if (end == NULL) {
        return false;
    }
    if (client->text[0] != '$' || client->text[1] == '-') {
        return true;
    }
    return memchr(end + 1, '\n', client->text_bytes - (size_t)(end + 1 - client->text)) != NULL;
}

static bool client_step(struct group *group, struct group_client *client) {
    if (client->connection == NULL) {
        if (!group->load_on || group->nodes[client->node].node == NULL) {
            client->node = (uint32_t)random_below(&group->random, group->node_count);
            return false;
        }
        client->connection =
            world_client_connect(group->world, group->nodes[client->node].host, SIM_NODE_PORT);
        return false;
    }
    if (!client->busy) {
        if (group->load_on) {
            client_send(group, client);
        }
        return group->load_on;
    }
    size_t got = world_client_receive(client->connection, client->text + client->text_bytes,
                                      sizeof(client->text) - 1 - client->text_bytes);
    client->text_bytes += got;
    if (got > 0 && reply_complete(client)) {
        client->text[client->text_bytes] = '\0';
        client_judge(group, client, client->text);
    } else if (world_client_state(client->connection) != WORLD_CLIENT_OPEN ||
               world_now_ns(group->world) > client->sent_ns + CLIENT_TIMEOUT_NS) {
        group->counts.unknown += client->incr;
        client_drop(client);
        client->node = (uint32_t)random_below(&group->random, group->node_count);
    }
    return got > 0;
}

/* ---- all together -------------------------------------------------------------------------- */

uint32_t group_leader(const struct group *group) {
    uint32_t leader = UINT32_MAX;
    uint64_t term = 0;
    for (uint32_t i = 0; i < group->node_count; i++) {
        if (group->nodes[i].node == NULL) {
            continue;
        }
        const struct node_replicate_figures *figures =
            &sim_node_figures(group->nodes[i].node)->replicate;
        if (node_figure(&figures->role) == RAFT_LEADER && node_figure(&figures->term) > term) {
            leader = i;
            term = node_figure(&figures->term);
        }
    }
    return leader;
}

/* Nodes that have applied the same index have applied the same history. */
static void check_histories(struct group *group) {
    for (uint32_t i = 0; i < group->node_count; i++) {
        for (uint32_t j = 0; j < i; j++) {
            if (group->nodes[i].node == NULL || group->nodes[j].node == NULL) {
                continue;
            }
            const struct node_apply_figures *a = &sim_node_figures(group->nodes[i].node)->apply;
            const struct node_apply_figures *b = &sim_node_figures(group->nodes[j].node)->apply;
            if (node_figure(&a->applied_index) == node_figure(&b->applied_index) &&
                node_figure(&a->applied_chain) != node_figure(&b->applied_chain)) {
                finding(group, "two nodes have applied different entries", i + 1, j + 1);
            }
        }
    }
}

static void check_failures(struct group *group) {
    for (uint32_t i = 0; i < group->node_count; i++) {
        if (group->nodes[i].node != NULL && !group->nodes[i].may_fail &&
            sim_node_failure(group->nodes[i].node) != NULL) {
            finding(group, sim_node_failure(group->nodes[i].node), i + 1, 0);
        }
    }
}

static bool is_anybody_paused(const struct group *group) {
    for (uint32_t i = 0; i < group->node_count; i++) {
        if (group->nodes[i].paused) {
            return true;
        }
    }
    return false;
}

bool group_step(struct group *group) {
    bool worked = false;
    uint32_t first = (uint32_t)random_below(&group->random, group->node_count);
    for (uint32_t i = 0; i < group->node_count; i++) {
        struct group_node *node = &group->nodes[(first + i) % group->node_count];
        if (node->node == NULL || node->paused) {
            continue;
        }
        worked |= sim_node_step(node->node);
        if (!group->is_networked) {
            worked |= records_take(group, (first + i) % group->node_count);
        }
    }
    if (!group->is_networked) {
        connections_open(group);
    }
    worked |= records_deliver(group);
    for (uint32_t i = 0; i < GROUP_CLIENTS; i++) {
        worked |= client_step(group, &group->clients[i]);
    }
    check_histories(group);
    check_failures(group);
    if (worked) {
        /* Work takes time: who waits for its disk, busily, gets what it waits for. */
        (void)world_step_until(group->world, world_now_ns(group->world) + STEP_NS);
        return true;
    }
    uint64_t due_ns = group->records == NULL ? UINT64_MAX : group->records->due_ns;
    if (due_ns <= world_now_ns(group->world)) {
        due_ns = world_now_ns(group->world) + 1000 * 1000; /* its receiver is full */
    }
    if (due_ns == UINT64_MAX && world_next_ns(group->world) == UINT64_MAX) {
        if (!is_anybody_paused(group)) {
            return false;
        }
        due_ns = world_now_ns(group->world) + 1000 * 1000; /* it will go on some time */
    }
    (void)world_step_until(group->world, due_ns);
    return true;
}

void group_run(struct group *group, uint64_t ns) {
    uint64_t until_ns = world_now_ns(group->world) + ns;
    for (uint64_t steps = 0; world_now_ns(group->world) < until_ns && group->finding[0] == '\0';
         steps++) {
        if (steps > STEPS_MAX || !group_step(group)) {
            finding(group, "nothing moves on", world_now_ns(group->world), steps);
        }
    }
}

static bool settled(const struct group *group) {
    uint32_t leader = group_leader(group);
    if (leader == UINT32_MAX || !sim_node_serving(group->nodes[leader].node)) {
        return false;
    }
    uint64_t last = node_figure(&sim_node_figures(group->nodes[leader].node)->replicate.last_index);
    for (uint32_t i = 0; i < group->node_count; i++) {
        if (group->nodes[i].node != NULL && !group->nodes[i].paused &&
            node_figure(&sim_node_figures(group->nodes[i].node)->apply.applied_index) != last) {
            return false;
        }
    }
    return true;
}

bool group_settle(struct group *group, uint64_t limit_ns) {
    uint64_t until_ns = world_now_ns(group->world) + limit_ns;
    while (!settled(group) && world_now_ns(group->world) < until_ns && group->finding[0] == '\0') {
        if (!group_step(group)) {
            return settled(group);
        }
    }
    return settled(group);
}

void group_expect(struct group *group, bool is_so, const char *what) {
    if (!is_so || group->finding[0] != '\0') {
        fail_msg("seed %" PRIu64 ", map %s: not so: %s; finding: %s", group->seed,
                 group->nodes[0].options.map, what,
                 group->finding[0] == '\0' ? "none" : group->finding);
    }
}
