#ifndef WEIR_TESTS_RAFT_SUPPORT_H
#define WEIR_TESTS_RAFT_SUPPORT_H

/*
 * One core, driven by hand.
 *
 * A test says what the node found on its disk, feeds events one by one, and looks at the actions
 * of the last one.  There is no cluster: the other members are what the test says.  After every
 * step the invariants are checked.  Nothing is done that the test does not do: no vote is stored
 * and no entry written by itself.
 *
 *   core_start("1v 2v 3v", (struct core_disk){.term = 2, .terms = "1 1 2"});
 *   core_time_out();
 *   assert_true(core_is(RAFT_PRE_CANDIDATE));
 *   assert_non_null(core_sent(RAFT_MESSAGE_PRE_VOTE, 2));
 *
 * Our own node is 1 unless the disk says otherwise.  Times are in nanoseconds; T is T_NS.
 */

#include <stdbool.h>
#include <stdint.h>

#include "raft/raft.h"
#include "tests/cmocka_wrapper.h"
#include "tests/raft/configurations.h"

enum {
    T_MS = 1,
    T_NS = T_MS * 1000 * 1000,
    HEARTBEAT_NS = T_NS / 10,
    ENTRY_BYTES = 100,  /* of every entry, where a test does not say otherwise */
    CHUNK_BYTES = 1000, /* of a snapshot */
    TERMS_MAX = 64,     /* entries named in one text */
    PEERS_MAX = CONFIGURATION_MEMBERS_MAX + 1,
};

/* What was on disk at start, and limits other than the usual ones; zero: nothing, or the usual. */
struct core_disk {
    uint64_t node_id;
    uint64_t term;
    uint64_t voted_for;
    const char *terms; /* of the entries in the log, "1 1 2", behind the snapshot; NULL: none */
    uint64_t compacted_index;
    uint64_t compacted_term;
    struct raft_snapshot snapshot; /* zero with a compacted log: what was compacted */
    uint32_t drift_per_mille;
    uint32_t inflight_messages_max;
    uint64_t inflight_bytes_max;
    uint32_t message_bytes_max;
    uint64_t uncommitted_bytes_max;
    uint64_t seed;
    bool leases;       /* the configuration says so */
    uint16_t lease_ms; /* with leases: how long they are; 0: T */
    bool lease_unsaid; /* and the configuration does not say how long */
};

/* What the core last told one peer: an answer to it repeats these. */
struct core_said {
    uint32_t session;
    uint64_t round;   /* of leadership */
    uint64_t attempt; /* of an election */
    uint64_t term;    /* that it asked votes for */
};

struct core {
    struct raft *raft;
    struct raft_actions actions; /* of the last step */
    uint64_t node_id;
    uint64_t now_ns;
    uint64_t vote_term; /* the vote last given out to be stored */
    uint64_t vote_for;
    struct core_said said[PEERS_MAX]; /* by node id */
};

/* The core under test: one at a time. */
extern struct core core[1];

/* The options that core_start would use.  Term runs and configuration are the fixture's own until
 * the next call. */
struct raft_options core_options(const char *members, struct core_disk disk);

void core_start(const char *members, struct core_disk disk);
void core_start_with(const struct raft_options *options);
/* Of every test that starts one: cmocka_unit_test_teardown(test, core_stop). */
int core_stop(void **state);
#define CORE_TEST(test) cmocka_unit_test_teardown(test, core_stop)
/* One test; its name is a sentence. */
#define TEST(name)      static void name(__attribute__((unused)) void **state)

/* core_start, with the fields of the disk. */
#define START(members, ...) core_start(members, (struct core_disk){__VA_ARGS__})
/* core_hear_append, with the fields of the message. */
#define HEAR_APPEND(...)    core_hear_append((struct append){__VA_ARGS__})

/* ---- events ---------------------------------------------------------------------------------- */

void core_step(struct raft_event event);
void core_tick(void);
/* Time passes, then a tick. */
void core_pass(uint64_t ns);
/* Time passes, and each tick comes when it is due, at most 1000 of them: so the core itself is not
 * late (raft_late). */
void core_silence(uint64_t ns);
/* Up to the deadline that the core names, then a tick. */
void core_time_out(void);
/* The vote that the core last gave out is durable. */
void core_store_vote(void);
void core_vote_stored(uint64_t term, uint64_t node_id);
/* Durable up to index, in the log's present epoch, or in another one. */
void core_stored(uint64_t index);
void core_stored_in(uint64_t index, uint64_t epoch);
void core_applied(uint64_t index);
void core_compacted(uint64_t index, struct raft_snapshot snapshot);
/* The leader appended `count` entries of its term, of ENTRY_BYTES each. */
void core_append(uint32_t count);
void core_append_bytes(uint32_t length_bytes);
/* What APPEND_CONFIGURATION of the last step asked for; returns what it was. */
struct configuration core_append_configuration(void);
void core_read(bool lease);
void core_configure(const char *members);
void core_transfer(uint64_t node_id);
void core_disconnect(uint64_t node_id);
void core_shorten(uint64_t node_id, uint64_t index);

/* ---- messages to the core -------------------------------------------------------------------- */

/* `message` with its receiver; no entries.  Fails the test if raft_message_check refuses it. */
void core_hear(struct raft_message message);

/* APPEND: entries of these terms ("3 3 4", or "" for none) behind the previous one. */
struct append {
    uint64_t from;
    uint64_t term;
    uint64_t previous_index;
    uint64_t previous_term;
    uint64_t commit;
    uint64_t round;
    uint32_t session;
    const char *terms;
    const char *configuration; /* of the last of them, or NULL */
};
void core_hear_append(struct append append);

/* The usual messages of peers, with the fields that decide. */
void core_hear_pre_vote(uint64_t from, uint64_t term, uint64_t last_index, uint64_t last_term);
void core_hear_vote(uint64_t from, uint64_t term, uint64_t last_index, uint64_t last_term);
void core_hear_heartbeat(uint64_t from, uint64_t term, uint64_t commit);
void core_hear_snapshot(uint64_t from, uint64_t term, struct raft_snapshot snapshot,
                        uint64_t offset, uint32_t length_bytes);

/* Answers to what the core last asked: the attempt, session and round are those of the last
 * message of the core to this peer. */
void core_hear_pre_vote_answer(uint64_t from, bool granted);
void core_hear_vote_answer(uint64_t from, bool granted);
void core_hear_granted(uint64_t from, uint64_t match_index);
void core_hear_refused(uint64_t from, uint64_t previous_index, uint64_t hint_index,
                       uint64_t hint_term);
void core_hear_heartbeat_answer(uint64_t from);
void core_hear_snapshot_answer(uint64_t from, struct raft_snapshot snapshot, uint64_t offset);

/* ---- the caller's part of a snapshot --------------------------------------------------------- */

/* `bytes` of it are there now. */
void core_chunk_written(struct raft_snapshot snapshot, uint64_t bytes, bool complete);
void core_installed(struct raft_snapshot snapshot);

/* ---- short cuts ------------------------------------------------------------------------------ */

/* Follows `leader` in `term`, with our log verified by it. */
void core_follow(uint64_t leader, uint64_t term);
/* Time-out, everybody's consent, our own vote stored. */
void core_stand(void);
/* The same, and all votes: leader; its no-op is not appended. */
void core_win(void);
/* The same, and the no-op is appended; nothing is stored. */
void core_lead(void);
/* The same, and the no-op is stored here and everywhere, and committed. */
void core_serve(void);
/* One more entry, stored here and by the members of the list (0 ends it). */
void core_replicate(const uint64_t *peers);

/* ---- looks ----------------------------------------------------------------------------------- */

bool core_is(enum raft_role role);
/* The first action of this kind in the last step; NULL: none. */
const struct raft_action *core_did(enum raft_action_kind kind);
/* The same; fails the test if there is none. */
const struct raft_action *core_action(enum raft_action_kind kind);
uint32_t core_count(enum raft_action_kind kind);
/* The place of the first action of this kind; fails the test if there is none. */
uint32_t core_place(enum raft_action_kind kind);
/* The first message of this kind to this node in the last step; NULL: none. */
const struct raft_message *core_sent(enum raft_message_kind kind, uint64_t to);
/* The same; fails the test if there is none. */
const struct raft_message *core_message(enum raft_message_kind kind, uint64_t to);
/* Messages of this kind in the last step, to anybody. */
uint32_t core_sent_count(enum raft_message_kind kind);
/* The last step had no action at all. */
bool core_silent(void);
/* The answer to an APPEND in the last step: granted up to match_index. */
bool core_granted(uint64_t match_index);
bool core_refused_append(void);
/* The vote (or pre-vote) asked for in the last step was given, refused. */
bool core_gave_vote(uint64_t to);
bool core_refused_vote(uint64_t to);
bool core_gave_pre_vote(uint64_t to);
/* The commit that the last step put out; 0: none. */
uint64_t core_committed(void);
/* Of a CONFIGURE or TRANSFER; RAFT_REFUSAL_NONE: was not refused. */
enum raft_refusal core_refusal(void);
/* What is known of a peer; fails the test if it is none. */
struct raft_peer_status core_peer(uint64_t node_id);
/* Fails the test unless the configuration in force is this one ("1v 2vo 3o"). */
void core_expect_members(const char *members);

#endif
