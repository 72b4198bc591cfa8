#ifndef WEIR_TESTS_SIM_SCRIPTED_MEMBERS_H
#define WEIR_TESTS_SIM_SCRIPTED_MEMBERS_H

/*
 * One whole node of a cluster of three, whose other two members, 2 and 3, are the test: it says
 * what they say, message by message, and sees what they would hear.  So a test can bring the node
 * into one state and no other, in a few milliseconds of a CPU, where a cluster of real nodes gets
 * there by chance.
 *
 * The bytes are those that real members exchange (stages/peer_message.h), put into the rings behind
 * which the connections are.
 */

#include "entry/entry.h"
#include "raft/raft.h"
#include "sim/node.h"
#include "stages/peer_message.h"
#include "storage/log.h"
#include "tests/sim/node_world.h"

enum {
    SCRIPTED_MEMBERS = 3,
    SCRIPTED_KINDS = RAFT_MESSAGE_TIMEOUT_NOW + 1,
    SCRIPTED_ENTRIES_BYTES = 512 * 1024,
    SCRIPTED_REPLY_BYTES = 4096,
};

struct scripted {
    struct world *world;
    uint32_t host;
    struct sim_node_options options;
    struct sim_node *node; /* id 1 */
    bool is_networked;     /* its rings are its own: what it says to members is not heard */
    uint32_t hosts[SCRIPTED_MEMBERS];
    /* By id: grants votes, and acknowledges all it is sent, by itself. */
    bool follows[SCRIPTED_MEMBERS + 1];
    bool may_fail; /* the node; otherwise its failure is the test's */
    /* By id: its connection for data stands still, and what is for it stays in the ring. */
    bool is_stalled[SCRIPTED_MEMBERS + 1];
    /* By id: up to where it was sent entries, one after the other, and how many APPENDs stood
     * behind a gap: entries that were said to be sent before, and never came. */
    uint64_t reached[SCRIPTED_MEMBERS + 1];
    uint64_t gaps[SCRIPTED_MEMBERS + 1];
    /* By id and kind: how many it was sent, and the last one. */
    uint64_t heard[SCRIPTED_MEMBERS + 1][SCRIPTED_KINDS];
    struct raft_message last[SCRIPTED_MEMBERS + 1][SCRIPTED_KINDS];
    uint64_t rounds; /* of cores of the node, so far */
    struct world_client *client;
    char reply[SCRIPTED_REPLY_BYTES];
};

/* Entries of an APPEND, made one after the other behind `tail`. */
struct scripted_entries {
    struct entry_tail previous;
    struct entry_tail tail;
    uint32_t count;
    uint32_t length_bytes;
    uint8_t bytes[SCRIPTED_ENTRIES_BYTES];
};

/* A calm world and a node that has just been introduced to both. */
void scripted_begin(struct scripted *scripted, uint64_t seed);

/* The same with connections: nobody is introduced, and what is said comes to SIM_NODE_PEER_PORT. */
void scripted_begin_networked(struct scripted *scripted, uint64_t seed, const char *map);
void scripted_end(struct scripted *scripted);

/* Its process ends as one that is killed, and another one starts. */
void scripted_restart(struct scripted *scripted);

/* Fills what is left of the ring of data for that member, which is stalled. */
void scripted_ring_fill(struct scripted *scripted, uint64_t id);
/* Bytes that wait for it there. */
uint32_t scripted_ring_bytes(struct scripted *scripted, uint64_t id);

/* Lets the node run for so long; members that follow do so meanwhile. */
void scripted_run(struct scripted *scripted, uint64_t ns);

/* Runs until that member was sent one more message of that kind; fails the test after 2 s. */
const struct raft_message *scripted_hear(struct scripted *scripted, uint64_t id,
                                         enum raft_message_kind kind);

/* That member opens a connection of that sort, and says so much of itself. */
void scripted_introduce(struct scripted *scripted, uint64_t id, enum peer_lane lane,
                        const struct peer_introduction *introduction);

/* Says it over the connection that it belongs to; `to` is the node. */
void scripted_say(struct scripted *scripted, const struct raft_message *message);

/* The body of an APPEND with these entries, as the leader `from` of `term`: what precedes them. */
uint32_t scripted_append_head(uint8_t out[PEER_MESSAGE_HEAD_BYTES_MAX], uint64_t from,
                              uint64_t term, const struct scripted_entries *entries,
                              uint64_t commit);

/* Says an APPEND with these entries, as the leader `from` of `term`. */
void scripted_append(struct scripted *scripted, uint64_t from, uint64_t term,
                     const struct scripted_entries *entries, uint64_t commit);

/* No entries yet, to go behind this one. */
void scripted_entries_begin(struct scripted_entries *entries, const struct entry_tail *previous);
/* One more: ENTRY_NOOP, ENTRY_GENESIS, or ENTRY_COMMANDS with one argument of so many bytes. */
void scripted_entry(struct scripted_entries *entries, enum entry_kind kind, uint64_t term,
                    uint64_t log_time_ms, uint32_t argument_bytes);

/* Lets the node be elected, with the vote of member 2, which follows from now on, and let clients
 * in. */
void scripted_elect(struct scripted *scripted);

/* A client says a line, and is answered within a second; the words of the answer. */
const char *scripted_ask(struct scripted *scripted, const char *line);
/* It says it, and whatever comes is not heard. */
void scripted_tell(struct scripted *scripted, const char *line);

const struct node *scripted_figures(const struct scripted *scripted);

#endif
