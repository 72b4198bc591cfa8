/*
 * What the simulator found by chance, each brought about by hand: one node of a cluster of three,
 * whose other members are the test (tests/sim/scripted_members.h).  docs/simulation.md has the
 * list.
 */

#include "tests/sim/scripted_members.h"
#include "wire/peer_hello.h"

#include <errno.h>
#include <string.h>

#define MILLISECOND_NS UINT64_C(1000000)

enum { SEEDS = 3 /* one for each map */ };

static struct scripted scripted[1];
static struct scripted_entries entries[1];

static uint64_t applied(void) {
    return node_figure(&scripted_figures(scripted)->apply.applied_index);
}

static uint64_t term(void) {
    return node_figure(&scripted_figures(scripted)->replicate.term);
}

static uint64_t last_index(void) {
    return log_last_index(sim_node_log(scripted->node));
}

/* A vote for a new term is on its way to a disk that stands still.  The message that brought the
 * term replaces an entry and says that its own is committed: the old one must not be taken for
 * it. */
static void a_follower_applies_nothing_that_a_waiting_truncation_removes(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        scripted_begin(scripted, seed);
        scripted_entries_begin(entries, log_tail(sim_node_log(scripted->node)));
        scripted_entry(entries, ENTRY_GENESIS, 2, 1000, 0);
        struct entry_tail genesis = entries->tail;
        scripted_entry(entries, ENTRY_NOOP, 2, 5000, 0);
        scripted_append(scripted, 2, 2, entries, 2);
        scripted_run(scripted, 50 * MILLISECOND_NS);
        assert_int_equal(applied(), 2);
        scripted_entries_begin(entries, &genesis);
        scripted_entry(entries, ENTRY_NOOP, 3, 7000, 0);
        world_disk_stall(scripted->world, scripted->host, true);
        scripted_append(scripted, 3, 3, entries, 3);
        scripted_run(scripted, 50 * MILLISECOND_NS);
        assert_int_equal(raft_commit_index(sim_node_raft(scripted->node)), 3);
        assert_int_equal(applied(), 2);
        world_disk_stall(scripted->world, scripted->host, false);
        scripted_run(scripted, 50 * MILLISECOND_NS);
        assert_int_equal(applied(), 3);
        assert_int_equal(node_figure(&scripted_figures(scripted)->apply.log_time_ms), 7000);
        scripted_end(scripted);
    }
}

/* A leader of before starts again with an entry that is then replaced: its log looks on the disk
 * for the one before, and has no end meanwhile; and there is a key with a deadline. */
static void a_follower_asks_for_no_log_time_while_its_log_is_cut(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        scripted_begin(scripted, seed);
        scripted_elect(scripted);
        assert_string_equal(scripted_ask(scripted, "set k v px 60000"), "+OK\r\n");
        scripted_run(scripted, 20 * MILLISECOND_NS);
        assert_int_equal(applied(), last_index());
        scripted_entries_begin(entries, log_tail(sim_node_log(scripted->node)));
        uint64_t kept = entries->tail.index;
        uint64_t next = term() + 1;
        scripted->follows[2] = false;
        scripted_tell(scripted, "set k w");
        scripted_run(scripted, 20 * MILLISECOND_NS);
        assert_int_equal(log_durable_index(sim_node_log(scripted->node)), kept + 1);
        scripted_restart(scripted);
        scripted_append(scripted, 3, next, entries, kept); /* nothing but what is committed */
        scripted_run(scripted, 50 * MILLISECOND_NS);
        assert_int_equal(applied(), kept);
        assert_int_equal(last_index(), kept + 1);
        assert_true(sim_node_serving(scripted->node));
        scripted_entry(entries, ENTRY_NOOP, next, entries->tail.log_time_ms, 0);
        world_disk_delay(scripted->world, scripted->host, 5 * MILLISECOND_NS, 6 * MILLISECOND_NS);
        scripted_append(scripted, 3, next, entries, kept + 1);
        struct raft_message heartbeat = {
            .kind = RAFT_MESSAGE_HEARTBEAT, .from = 3, .term = next, .session = 1};
        uint32_t cut = 0;
        for (uint32_t i = 0; i < 100; i++) {
            cut += log_truncating(sim_node_log(scripted->node));
            scripted_say(scripted, &heartbeat); /* a reason to look what is to be done */
            scripted_run(scripted, MILLISECOND_NS);
        }
        assert_true(cut > 10);
        assert_int_equal(applied(), kept + 1);
        scripted_end(scripted);
    }
}

/* Whoever leads says what time it is: a follower has nothing to do when a deadline passes. */
static void a_follower_sleeps_though_a_key_has_expired(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        scripted_begin(scripted, seed);
        scripted_elect(scripted);
        assert_string_equal(scripted_ask(scripted, "set k v px 60"), "+OK\r\n");
        scripted_run(scripted, 20 * MILLISECOND_NS);
        scripted->follows[2] = false;
        scripted_entries_begin(entries, log_tail(sim_node_log(scripted->node)));
        scripted_entry(entries, ENTRY_NOOP, term() + 1, entries->tail.log_time_ms, 0);
        scripted_append(scripted, 3, term() + 1, entries, entries->tail.index);
        scripted_run(scripted, 60 * MILLISECOND_NS);
        assert_int_equal(applied(), entries->tail.index);
        uint64_t rounds = scripted->rounds;
        scripted_run(scripted, 100 * MILLISECOND_NS);
        assert_in_range(scripted->rounds - rounds, 0, 4);
        scripted_end(scripted);
    }
}

/* Its disk takes so long that the log's memory is full, and the last entry that it was sent waits
 * outside the log, when it is told to lead: were it elected, the first entry of its term would come
 * in the place of that one. */
static void who_has_accepted_what_is_not_in_its_log_does_not_campaign(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        scripted_begin(scripted, seed);
        scripted_entries_begin(entries, log_tail(sim_node_log(scripted->node)));
        scripted_entry(entries, ENTRY_GENESIS, 2, 1000, 0);
        scripted_append(scripted, 2, 2, entries, 2);
        scripted_run(scripted, 20 * MILLISECOND_NS);
        world_disk_delay(scripted->world, scripted->host, 5000 * MILLISECOND_NS,
                         5000 * MILLISECOND_NS);
        for (uint32_t i = 0; i < 12 && sim_node_in_step(scripted->node); i++) {
            scripted_entries_begin(entries, &entries->tail);
            scripted_entry(entries, ENTRY_COMMANDS, 2, 1000, 300 * 1024);
            scripted_append(scripted, 2, 2, entries, 2);
            scripted_run(scripted, 20 * MILLISECOND_NS);
        }
        assert_false(sim_node_in_step(scripted->node));
        uint64_t last = last_index();
        assert_int_equal(last, entries->tail.index - 1);
        scripted->follows[2] = true;
        scripted->follows[3] = true;
        struct raft_message lead = {.kind = RAFT_MESSAGE_TIMEOUT_NOW, .from = 2, .term = 2};
        scripted_say(scripted, &lead);
        scripted_run(scripted, 1000 * MILLISECOND_NS); /* nor when it hears nothing any more */
        assert_int_equal(scripted->heard[3][RAFT_MESSAGE_VOTE], 0);
        assert_int_equal(term(), 2);
        assert_int_equal(last_index(), last);
        scripted_end(scripted);
    }
}

/* The entry before the one that a member lacks is on the disk only, and that one is in memory only,
 * since its write has not come back. */
static void an_entry_behind_one_that_is_only_on_disk_is_sent(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        scripted_begin(scripted, seed);
        scripted->follows[3] = true;
        scripted_elect(scripted);
        assert_string_equal(scripted_ask(scripted, "set k v"), "+OK\r\n");
        scripted_run(scripted, 20 * MILLISECOND_NS);
        uint64_t known = last_index();
        assert_int_equal(applied(), known);
        uint64_t heard = scripted->heard[3][RAFT_MESSAGE_APPEND];
        world_disk_delay(scripted->world, scripted->host, 90 * MILLISECOND_NS, 90 * MILLISECOND_NS);
        scripted_tell(scripted, "set k w");
        while (last_index() == known) {
            scripted_run(scripted, MILLISECOND_NS / 100);
        }
        world_disk_delay(scripted->world, scripted->host, MILLISECOND_NS, MILLISECOND_NS);
        if (scripted->heard[3][RAFT_MESSAGE_APPEND] == heard) {
            (void)scripted_hear(scripted, 3, RAFT_MESSAGE_APPEND);
        }
        assert_int_equal(scripted->last[3][RAFT_MESSAGE_APPEND].previous_index, known);
        assert_int_equal(scripted->last[3][RAFT_MESSAGE_APPEND].entry_count, 1);
        assert_int_equal(log_durable_index(sim_node_log(scripted->node)), known);
        scripted_end(scripted);
    }
}

/* Who writes after a pause waits for the members' disks, and for no read of the leader's. */
static void an_entry_after_a_pause_is_sent_though_the_disk_stands_still(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        scripted_begin(scripted, seed);
        scripted->follows[3] = true;
        scripted_elect(scripted);
        assert_string_equal(scripted_ask(scripted, "set k v"), "+OK\r\n");
        scripted_run(scripted, 20 * MILLISECOND_NS);
        world_disk_stall(scripted->world, scripted->host, true);
        assert_string_equal(scripted_ask(scripted, "set k w"), "+OK\r\n");
        scripted_end(scripted);
    }
}

/* A member starts again with a log of which it knows little to be committed, serves, and is elected
 * at once. What it reads back, to apply it, has a client's write behind it, which was committed
 * meanwhile, and whose answer waits for it. */
static void who_leads_before_it_has_replayed_answers_what_is_written(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        scripted_begin(scripted, seed);
        scripted_elect(scripted);
        for (uint32_t i = 0; i < 10; i++) {
            assert_string_equal(scripted_ask(scripted, "set k v"), "+OK\r\n");
        }
        scripted_run(scripted, 20 * MILLISECOND_NS);
        uint64_t last = last_index();
        scripted_entries_begin(entries, log_tail(sim_node_log(scripted->node)));
        uint64_t next = term() + 1;
        scripted_restart(scripted);
        scripted_append(scripted, 3, next, entries, 2); /* the genesis record, and no more */
        scripted_run(scripted, 50 * MILLISECOND_NS);
        assert_int_equal(applied(), 2);
        assert_int_equal(last_index(), last);
        assert_true(sim_node_serving(scripted->node));
        scripted->is_stalled[2] = true; /* it votes, and entries do not reach it yet */
        struct raft_message lead = {.kind = RAFT_MESSAGE_TIMEOUT_NOW, .from = 3, .term = next};
        scripted_say(scripted, &lead);
        scripted_run(scripted, 10 * MILLISECOND_NS);
        assert_int_equal(raft_role(sim_node_raft(scripted->node)), RAFT_LEADER);
        assert_int_equal(log_durable_index(sim_node_log(scripted->node)), last + 1);
        assert_int_equal(applied(), 2);
        world_disk_delay(scripted->world, scripted->host, 30 * MILLISECOND_NS, 30 * MILLISECOND_NS);
        scripted->is_stalled[2] = false; /* now its first entry is committed: it begins to read */
        scripted_run(scripted, MILLISECOND_NS);
        world_disk_delay(scripted->world, scripted->host, MILLISECOND_NS, MILLISECOND_NS);
        scripted_tell(scripted, "set k w");
        scripted_run(scripted, 20 * MILLISECOND_NS);
        assert_int_equal(raft_commit_index(sim_node_raft(scripted->node)), last + 2);
        assert_int_equal(applied(), 2);
        scripted_run(scripted, 20 * MILLISECOND_NS);
        assert_int_equal(applied(), last + 2);
        assert_string_equal(scripted->reply, "+OK\r\n");
        assert_string_equal(scripted_ask(scripted, "set k w"), "+OK\r\n");
        assert_int_equal(term(), next + 1);
        scripted_end(scripted);
    }
}

/* Flips a byte of each sector of the log behind the file's header. */
static void damage_log(void) {
    enum { FILES_MAX = 32, HEADER_SECTORS = 2 };
    struct world_file files[FILES_MAX];
    uint32_t count =
        world_files(scripted->world, scripted->host, sim_node_directory, files, FILES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t end = files[i].synced_sector_end;
        for (uint64_t sector = HEADER_SECTORS;
             strncmp(files[i].name, "log-", 4) == 0 && sector < end; sector++) {
            (void)world_sector_damage(scripted->world, scripted->host, sim_node_directory,
                                      files[i].name, WORLD_DAMAGE_FLIPPED, sector, 0);
        }
    }
}

/* A member needs what the leader cannot read back: whoever leads then must not go on as if nothing
 * was wrong, or that member never catches up. */
static void a_leader_that_cannot_read_its_log_for_a_member_stops(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 2 * SEEDS; seed++) {
        scripted_begin(scripted, seed);
        scripted_elect(scripted);
        assert_string_equal(scripted_ask(scripted, "set k v"), "+OK\r\n");
        assert_string_equal(scripted_ask(scripted, "set k w"), "+OK\r\n");
        scripted_run(scripted, 20 * MILLISECOND_NS);
        if (seed % 2 == 0) {
            damage_log();
        } else {
            world_disk_fail(scripted->world, scripted->host, WORLD_DISK_READ, 1, 1000, -EIO);
        }
        const struct raft_message *sent = &scripted->last[3][RAFT_MESSAGE_APPEND];
        struct raft_message refusal = {.kind = RAFT_MESSAGE_APPEND_ANSWER,
                                       .from = 3,
                                       .to = 1,
                                       .term = term(),
                                       .session = sent->session,
                                       .round = sent->round,
                                       .previous_index = sent->previous_index,
                                       .hint_index = 1,
                                       .hint_term = 1};
        scripted->may_fail = true;
        scripted_say(scripted, &refusal);
        scripted_run(scripted, 50 * MILLISECOND_NS);
        assert_non_null(sim_node_failure(scripted->node));
        assert_non_null(strstr(sim_node_failure(scripted->node), "cannot be read back"));
        scripted_end(scripted);
    }
}

/* A client of its own says a line. */
static struct world_client *line_say(struct world_client *client, const char *line) {
    if (client == NULL) {
        client = world_client_connect(scripted->world, scripted->host, SIM_NODE_PORT);
        assert_non_null(client);
    }
    assert_int_equal(world_client_send(client, line, strlen(line)), strlen(line));
    scripted_run(scripted, 5 * MILLISECOND_NS);
    return client;
}

/* A connection's write is committed, and not handed on yet, since somebody else's read waits for a
 * quorum.  Its own read then waits for what was committed behind that write; and what needs nothing
 * and comes after the read is answered after it. */
static void nothing_overtakes_a_read_that_waits_for_others_writes(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        scripted_begin(scripted, seed);
        scripted->follows[3] = true;
        scripted_elect(scripted);
        assert_string_equal(scripted_ask(scripted, "set k v"), "+OK\r\n");
        scripted_run(scripted, 20 * MILLISECOND_NS);
        scripted->follows[2] = false;
        scripted->follows[3] = false;
        (void)line_say(NULL, "get k\r\n");
        struct world_client *client = line_say(NULL, "set k w\r\n");
        (void)line_say(NULL, "set l w\r\n");
        uint64_t last = last_index();
        struct raft_message stored = {.kind = RAFT_MESSAGE_APPEND_ANSWER,
                                      .from = 3,
                                      .to = 1,
                                      .term = term(),
                                      .session = scripted->last[3][RAFT_MESSAGE_APPEND].session,
                                      .granted = true,
                                      .match_index = last};
        scripted_say(scripted, &stored);
        scripted_run(scripted, 5 * MILLISECOND_NS);
        assert_int_equal(raft_commit_index(sim_node_raft(scripted->node)), last);
        assert_true(applied() < last);
        (void)line_say(client, "get k\r\n");
        (void)line_say(client, "ping\r\n");
        scripted->follows[3] = true;
        scripted_run(scripted, 150 * MILLISECOND_NS);
        char replies[64] = "";
        (void)world_client_receive(client, replies, sizeof(replies) - 1);
        assert_string_equal(replies, "+OK\r\n$1\r\nw\r\n+PONG\r\n");
        scripted_end(scripted);
    }
}

/* ---- over connections ---------------------------------------------------------------------- */

/* A connection that a member has opened. */
struct wire {
    struct world_client *client;
    struct peer_frame_writer writer;
};

static void wire_open(struct wire *wire, uint64_t id, enum peer_connection connection) {
    const struct peer_hello hello = {.connection = connection,
                                     .cluster_id =
                                         scripted_figures(scripted)->options->identity.cluster_id,
                                     .from = id,
                                     .incarnation = id,
                                     .to = 1};
    uint8_t frame[PEER_HELLO_FRAME_BYTES_MAX];
    uint8_t answer[PEER_ANSWER_FRAME_BYTES];
    uint32_t body_bytes = peer_hello_write(frame + PEER_FRAME_HEADER_BYTES, &hello);
    const struct peer_frame_span span = {frame + PEER_FRAME_HEADER_BYTES, body_bytes};
    peer_frame_writer_begin(&wire->writer);
    uint32_t frame_bytes = peer_frame_write(&wire->writer, frame, PEER_FRAME_HELLO, &span, 1);
    wire->client = world_client_connect(scripted->world, scripted->host, SIM_NODE_PEER_PORT);
    assert_non_null(wire->client);
    assert_int_equal(world_client_send(wire->client, frame, frame_bytes), frame_bytes);
    scripted_run(scripted, 20 * MILLISECOND_NS);
    assert_int_equal(world_client_receive(wire->client, answer, sizeof(answer)), sizeof(answer));
    peer_frame_writer_accepted(
        &wire->writer, peer_frame_seed(peer_frame_checksum(frame), peer_frame_checksum(answer)));
}

/* Sends bytes while the node takes them; false if it does not, for 10 ms. */
static bool wire_send(struct wire *wire, const uint8_t *bytes, size_t length_bytes) {
    for (uint32_t idle = 0; length_bytes > 0; idle++) {
        size_t sent = world_client_send(wire->client, bytes, length_bytes);
        bytes += sent;
        length_bytes -= sent;
        if (sent > 0) {
            idle = 0;
        } else if (idle > 10) {
            return false;
        } else {
            scripted_run(scripted, MILLISECOND_NS);
        }
    }
    return true;
}

static bool wire_append(struct wire *wire, uint64_t term_then) {
    uint8_t head[PEER_MESSAGE_HEAD_BYTES_MAX];
    uint8_t header[PEER_FRAME_HEADER_BYTES];
    uint32_t head_bytes = scripted_append_head(head, 2, term_then, entries, entries->tail.index);
    const struct peer_frame_span spans[] = {{head, head_bytes},
                                            {entries->bytes, entries->length_bytes}};
    (void)peer_frame_write(&wire->writer, header, PEER_FRAME_MESSAGE, spans, 2);
    return wire_send(wire, header, sizeof(header)) && wire_send(wire, head, head_bytes) &&
           wire_send(wire, entries->bytes, entries->length_bytes);
}

/* Its vote is on its way to a disk that stands still, and what it is sent fills the ring behind its
 * connection, and then that.  When the disk goes on and the ring is emptied, nobody says anything
 * more: whoever reads the connection has to be told that there is room again. */
static void what_waits_behind_a_full_ring_goes_on_when_there_is_room(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        scripted_begin_networked(scripted, seed, "split");
        struct wire control[2];
        struct wire data;
        wire_open(&control[0], 2, PEER_CONNECTION_CONTROL);
        wire_open(&control[1], 3, PEER_CONNECTION_CONTROL);
        wire_open(&data, 2, PEER_CONNECTION_DATA);
        scripted_run(scripted, 20 * MILLISECOND_NS); /* until its table of them is durable */
        scripted_entries_begin(entries, log_tail(sim_node_log(scripted->node)));
        scripted_entry(entries, ENTRY_GENESIS, 2, 1000, 0);
        assert_true(wire_append(&data, 2));
        scripted_run(scripted, 20 * MILLISECOND_NS);
        assert_true(sim_node_serving(scripted->node)); /* which wakes all */
        scripted_entries_begin(entries, &entries->tail);
        scripted_entry(entries, ENTRY_NOOP, 3, 1000, 0);
        world_disk_stall(scripted->world, scripted->host, true);
        uint64_t whole = 0; /* the last entry that was sent, all of it */
        for (uint32_t i = 0; i < 1000 && wire_append(&data, 3); i++) {
            whole = entries->tail.index;
            scripted_entries_begin(entries, &entries->tail);
            for (uint32_t entry = 0; entry < RAFT_MESSAGE_ENTRIES_MAX; entry++) {
                scripted_entry(entries, ENTRY_NOOP, 3, 1000, 0);
            }
        }
        assert_true(whole > 100 * RAFT_MESSAGE_ENTRIES_MAX);
        assert_int_equal(last_index(), 2);
        world_disk_stall(scripted->world, scripted->host, false);
        scripted_run(scripted, 150 * MILLISECOND_NS); /* less than an election time-out */
        assert_int_equal(last_index(), whole);
        scripted_end(scripted);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_follower_applies_nothing_that_a_waiting_truncation_removes),
        cmocka_unit_test(a_follower_asks_for_no_log_time_while_its_log_is_cut),
        cmocka_unit_test(a_follower_sleeps_though_a_key_has_expired),
        cmocka_unit_test(who_has_accepted_what_is_not_in_its_log_does_not_campaign),
        cmocka_unit_test(an_entry_behind_one_that_is_only_on_disk_is_sent),
        cmocka_unit_test(who_leads_before_it_has_replayed_answers_what_is_written),
        cmocka_unit_test(an_entry_after_a_pause_is_sent_though_the_disk_stands_still),
        cmocka_unit_test(a_leader_that_cannot_read_its_log_for_a_member_stops),
        cmocka_unit_test(nothing_overtakes_a_read_that_waits_for_others_writes),
        cmocka_unit_test(what_waits_behind_a_full_ring_goes_on_when_there_is_room),
    };
    return cmocka_run_group_tests_name("sim_node_found", tests, NULL, NULL);
}
