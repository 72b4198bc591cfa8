/* See scripted_members.h. */

#include "tests/sim/scripted_members.h"

#include <stdio.h>
#include <string.h>

#include "stages/peer_message.h"

#define PATIENCE_NS UINT64_C(2000000000)
#define STEP_NS     1000 /* of the node; work takes time */

enum { ENTRY_BYTES_MAX = 320 * 1024 };

/* ---- messages ------------------------------------------------------------------------------ */

static void record_put(struct scripted *scripted, uint64_t from, enum peer_lane lane,
                       enum peer_record kind, const void *first, uint32_t first_bytes,
                       const void *second, uint32_t second_bytes) {
    struct peer_link *link = peers_find(sim_node_peers(scripted->node), from);
    assert_non_null(link);
    uint32_t length_bytes = PEER_RECORD_HEAD_BYTES + first_bytes + second_bytes;
    uint8_t *room = record_ring_reserve(link->in[lane], length_bytes);
    assert_non_null(room);
    memset(room, 0, PEER_RECORD_HEAD_BYTES);
    bytes_put_u32(room, kind);
    memcpy(room + PEER_RECORD_HEAD_BYTES, first, first_bytes);
    if (second_bytes > 0) {
        memcpy(room + PEER_RECORD_HEAD_BYTES + first_bytes, second, second_bytes);
    }
    record_ring_commit(link->in[lane], length_bytes);
    sim_node_wake(scripted->node);
}

void scripted_introduce(struct scripted *scripted, uint64_t id, enum peer_lane lane,
                        const struct peer_introduction *introduction) {
    record_put(scripted, id, lane, PEER_RECORD_CONNECTED, introduction, sizeof(*introduction), NULL,
               0);
}

static enum peer_lane lane_of(enum raft_message_kind kind) {
    return raft_message_is_control(kind) ? PEER_CONTROL : PEER_DATA;
}

void scripted_say(struct scripted *scripted, const struct raft_message *message) {
    uint8_t head[PEER_MESSAGE_HEAD_BYTES_MAX];
    struct raft_message said = *message;
    said.to = 1;
    assert_int_not_equal(said.kind, RAFT_MESSAGE_APPEND);
    uint32_t length_bytes = peer_message_encode(head, &said, NULL);
    record_put(scripted, said.from, lane_of(said.kind), PEER_RECORD_MESSAGE, head, length_bytes,
               NULL, 0);
}

uint32_t scripted_append_head(uint8_t out[PEER_MESSAGE_HEAD_BYTES_MAX], uint64_t from,
                              uint64_t term, const struct scripted_entries *entries,
                              uint64_t commit) {
    struct raft_message message = {.kind = RAFT_MESSAGE_APPEND,
                                   .session = 1,
                                   .from = from,
                                   .to = 1,
                                   .term = term,
                                   .round = 1,
                                   .previous_index = entries->previous.index,
                                   .previous_term = entries->previous.term,
                                   .commit = commit,
                                   .entry_count = entries->count};
    return peer_message_encode(out, &message, &entries->previous);
}

void scripted_append(struct scripted *scripted, uint64_t from, uint64_t term,
                     const struct scripted_entries *entries, uint64_t commit) {
    uint8_t head[PEER_MESSAGE_HEAD_BYTES_MAX];
    uint32_t length_bytes = scripted_append_head(head, from, term, entries, commit);
    record_put(scripted, from, PEER_DATA, PEER_RECORD_MESSAGE, head, length_bytes, entries->bytes,
               entries->length_bytes);
}

/* What a member that follows says to it. */
static void follow(struct scripted *scripted, uint64_t id, const struct raft_message *heard) {
    struct raft_message answer = {.from = id,
                                  .term = heard->term,
                                  .round = heard->round,
                                  .session = heard->session,
                                  .granted = true};
    switch (heard->kind) {
    case RAFT_MESSAGE_PRE_VOTE: answer.kind = RAFT_MESSAGE_PRE_VOTE_ANSWER; break;
    case RAFT_MESSAGE_VOTE: answer.kind = RAFT_MESSAGE_VOTE_ANSWER; break;
    case RAFT_MESSAGE_HEARTBEAT: answer.kind = RAFT_MESSAGE_HEARTBEAT_ANSWER; break;
    case RAFT_MESSAGE_APPEND:
        answer.kind = RAFT_MESSAGE_APPEND_ANSWER;
        answer.match_index = heard->previous_index + heard->entry_count;
        break;
    default: return;
    }
    scripted_say(scripted, &answer);
}

/* Whether it continues what the member was sent; the first one continues what it had before. */
static void look_for_gap(struct scripted *scripted, uint64_t id, const struct raft_message *heard) {
    uint64_t *reached = &scripted->reached[id];
    uint64_t last_index = heard->previous_index + heard->entry_count;
    bool is_first = scripted->heard[id][RAFT_MESSAGE_APPEND] == 1;
    if (heard->previous_index > *reached && !is_first) {
        scripted->gaps[id]++;
    } else if (last_index > *reached) {
        *reached = last_index;
    }
}

static bool ring_take(struct scripted *scripted, struct peer_link *link, enum peer_lane lane) {
    static struct configuration configurations[RAFT_MESSAGE_ENTRIES_MAX];
    static struct peer_message decoded;
    struct peer_message_link expected = {.from = 1,
                                         .to = link->node_id,
                                         .control = lane == PEER_CONTROL,
                                         .entry_bytes_max = ENTRY_BYTES_MAX};
    bool any = false;
    uint32_t length_bytes;
    const uint8_t *record;
    if (lane == PEER_DATA && scripted->is_stalled[link->node_id]) {
        return false;
    }
    while ((record = record_ring_peek(link->out[lane], &length_bytes)) != NULL) {
        any = true;
        if (bytes_get_u32(record) == PEER_RECORD_MESSAGE) {
            decoded.configurations = configurations;
            decoded.configurations_max = RAFT_MESSAGE_ENTRIES_MAX;
            assert_int_equal(peer_message_decode(record + PEER_RECORD_HEAD_BYTES,
                                                 length_bytes - PEER_RECORD_HEAD_BYTES, &expected,
                                                 &decoded),
                             PEER_MESSAGE_VALID);
            struct raft_message heard = decoded.message;
            heard.configuration = NULL; /* borrowed */
            scripted->heard[link->node_id][heard.kind]++;
            scripted->last[link->node_id][heard.kind] = heard;
            if (heard.kind == RAFT_MESSAGE_APPEND) {
                look_for_gap(scripted, link->node_id, &heard);
            }
            if (scripted->follows[link->node_id]) {
                follow(scripted, link->node_id, &heard);
            }
        }
        record_ring_consume(link->out[lane]);
    }
    return any;
}

static struct record_ring *data_ring(struct scripted *scripted, uint64_t id) {
    struct peer_link *link = peers_find(sim_node_peers(scripted->node), id);
    assert_non_null(link);
    return link->out[PEER_DATA];
}

void scripted_ring_fill(struct scripted *scripted, uint64_t id) {
    struct record_ring *ring = data_ring(scripted, id);
    assert_true(scripted->is_stalled[id]);
    for (uint32_t bytes = 1u << 18; bytes >= PEER_RECORD_HEAD_BYTES; bytes /= 2) {
        uint8_t *record;
        while ((record = record_ring_reserve(ring, bytes - PEER_RECORD_HEAD_BYTES / 2)) != NULL) {
            bytes_put_u32(record, PEER_RECORD_REOPEN); /* what nobody reads as a message */
            record_ring_commit(ring, bytes - PEER_RECORD_HEAD_BYTES / 2);
        }
    }
}

uint32_t scripted_ring_bytes(struct scripted *scripted, uint64_t id) {
    return (uint32_t)record_ring_used_bytes(data_ring(scripted, id));
}

/* ---- time ---------------------------------------------------------------------------------- */

static bool client_hears(struct scripted *scripted) {
    size_t used = strlen(scripted->reply);
    size_t got = scripted->client == NULL
                     ? 0
                     : world_client_receive(scripted->client, scripted->reply + used,
                                            sizeof(scripted->reply) - 1 - used);
    scripted->reply[used + got] = '\0';
    return got > 0;
}

static void step(struct scripted *scripted, uint64_t until_ns) {
    struct peers *peers = sim_node_peers(scripted->node);
    bool worked = sim_node_step(scripted->node);
    scripted->rounds += worked;
    for (uint64_t id = 2; id <= SCRIPTED_MEMBERS && !scripted->is_networked; id++) {
        struct peer_link *link = peers_find(peers, id);
        worked |= ring_take(scripted, link, PEER_CONTROL);
        worked |= ring_take(scripted, link, PEER_DATA);
    }
    worked |= client_hears(scripted);
    (void)world_step_until(scripted->world,
                           worked ? world_now_ns(scripted->world) + STEP_NS : until_ns);
    if (sim_node_failure(scripted->node) != NULL && !scripted->may_fail) {
        fail_msg("the node failed: %s", sim_node_failure(scripted->node));
    }
}

void scripted_run(struct scripted *scripted, uint64_t ns) {
    uint64_t until_ns = world_now_ns(scripted->world) + ns;
    while (world_now_ns(scripted->world) < until_ns) {
        step(scripted, until_ns);
    }
}

const struct raft_message *scripted_hear(struct scripted *scripted, uint64_t id,
                                         enum raft_message_kind kind) {
    uint64_t until_ns = world_now_ns(scripted->world) + PATIENCE_NS;
    uint64_t heard = scripted->heard[id][kind];
    while (scripted->heard[id][kind] == heard) {
        if (world_now_ns(scripted->world) >= until_ns) {
            fail_msg("member %u hears no %s", (unsigned)id, raft_message_kind_name(kind));
        }
        step(scripted, until_ns);
    }
    return &scripted->last[id][kind];
}

/* ---- the node ------------------------------------------------------------------------------ */

const struct node *scripted_figures(const struct scripted *scripted) {
    return sim_node_figures(scripted->node);
}

static void start(struct scripted *scripted) {
    struct error_text error = {.text = ""};
    if (sim_node_start(&scripted->node, scripted->world, scripted->host, &scripted->options,
                       &error) != 0) {
        fail_msg("the node does not start: %s", error.text);
    }
    for (uint64_t id = 2; id <= SCRIPTED_MEMBERS && !scripted->is_networked; id++) {
        struct peer_introduction introduction = {.incarnation = id};
        assert_non_null(peers_row(sim_node_peers(scripted->node), id));
        record_put(scripted, id, PEER_CONTROL, PEER_RECORD_CONNECTED, &introduction,
                   sizeof(introduction), NULL, 0);
    }
}

static void world_begin(struct scripted *scripted, uint64_t seed, const char *map) {
    struct node_world quiet; /* for its log that leads nowhere */
    node_world_init(&quiet, seed, false);
    node_world_free(&quiet);
    memset(scripted, 0, sizeof(*scripted));
    struct world_options options = world_options_calm();
    scripted->world = world_create(seed, &options);
    for (uint32_t i = 0; i < SCRIPTED_MEMBERS; i++) {
        scripted->hosts[i] = world_node_add(scripted->world);
    }
    scripted->host = scripted->hosts[0];
    scripted->options = (struct sim_node_options){
        .map = map, .member_count = SCRIPTED_MEMBERS, .schedule_seed = seed};
}

void scripted_begin(struct scripted *scripted, uint64_t seed) {
    static const char *const maps[] = {"fused", "pair", "split"};
    world_begin(scripted, seed, maps[seed % 3]);
    start(scripted);
    scripted_run(scripted, 100 * 1000 * 1000); /* until its table of them is durable */
}

void scripted_begin_networked(struct scripted *scripted, uint64_t seed, const char *map) {
    world_begin(scripted, seed, map);
    scripted->is_networked = true;
    scripted->options.member_hosts = scripted->hosts;
    start(scripted);
}

static void process_end(struct scripted *scripted) {
    if (scripted->client != NULL) {
        world_client_reset(scripted->client);
        scripted->client = NULL;
    }
    world_disk_die_after(scripted->world, scripted->host, 0);
    world_disk_stall(scripted->world, scripted->host, false);
    sim_node_stop(scripted->node);
    while (!sim_node_ended(scripted->node)) {
        if (!sim_node_step(scripted->node) && !world_step(scripted->world)) {
            fail_msg("the node does not end");
        }
    }
    sim_node_destroy(scripted->node);
    world_kill(scripted->world, scripted->host);
}

void scripted_restart(struct scripted *scripted) {
    process_end(scripted);
    start(scripted);
}

void scripted_end(struct scripted *scripted) {
    process_end(scripted);
    world_destroy(scripted->world);
}

void scripted_elect(struct scripted *scripted) {
    scripted->follows[2] = true;
    (void)scripted_hear(scripted, 2, RAFT_MESSAGE_APPEND);
    for (uint32_t i = 0; i < 1000 && !sim_node_serving(scripted->node); i++) {
        scripted_run(scripted, 1000 * 1000);
    }
    assert_true(sim_node_serving(scripted->node));
}

/* ---- entries ------------------------------------------------------------------------------- */

void scripted_entries_begin(struct scripted_entries *entries, const struct entry_tail *previous) {
    struct entry_tail tail = *previous; /* may be that of these entries */
    memset(entries, 0, sizeof(*entries));
    entries->previous = tail;
    entries->tail = tail;
}

void scripted_entry(struct scripted_entries *entries, enum entry_kind kind, uint64_t term,
                    uint64_t log_time_ms, uint32_t argument_bytes) {
    static const uint8_t zeros[SCRIPTED_ENTRIES_BYTES];
    uint8_t *entry = entries->bytes + entries->length_bytes;
    struct entry_header header = {.length_bytes = ENTRY_HEADER_BYTES,
                                  .kind = (uint8_t)kind,
                                  .version = ENTRY_VERSION,
                                  .term = term,
                                  .log_time_ms = log_time_ms};
    assert_true(entries->length_bytes + argument_bytes + 256 <= sizeof(entries->bytes));
    if (kind == ENTRY_GENESIS) {
        struct entry_genesis genesis = {.hash_seed = 1, .partition_count = 8};
        entry_genesis_write(entry + ENTRY_HEADER_BYTES, &genesis);
        header.length_bytes += ENTRY_GENESIS_BODY_BYTES;
    } else if (kind == ENTRY_COMMANDS) {
        struct entry_argument argument = {.data = zeros, .length_bytes = argument_bytes};
        header.command_count = 1;
        header.length_bytes +=
            entry_command_write(entry + ENTRY_HEADER_BYTES, 1, &argument, 1, NULL, 0);
    }
    entry_seal(entry, &header, &entries->tail);
    entries->length_bytes += entry_stride_bytes(header.length_bytes);
    entries->count++;
}

/* ---- its client ---------------------------------------------------------------------------- */

void scripted_tell(struct scripted *scripted, const char *line) {
    if (scripted->client == NULL) {
        scripted->client = world_client_connect(scripted->world, scripted->host, SIM_NODE_PORT);
        assert_non_null(scripted->client);
    }
    scripted->reply[0] = '\0';
    assert_int_equal(world_client_send(scripted->client, line, strlen(line)), strlen(line));
    assert_int_equal(world_client_send(scripted->client, "\r\n", 2), 2);
}

const char *scripted_ask(struct scripted *scripted, const char *line) {
    scripted_tell(scripted, line);
    uint64_t until_ns = world_now_ns(scripted->world) + PATIENCE_NS / 2;
    while (strchr(scripted->reply, '\n') == NULL && world_now_ns(scripted->world) < until_ns) {
        step(scripted, until_ns);
    }
    return scripted->reply;
}
