/*
 * What a leader believes of a peer, against the peer itself.
 *
 * A leader's log of one random history, a follower with another; between them a network that
 * loses, repeats and reorders.  The leader is progress.c and a few lines; the follower is the
 * paper's AppendEntries on a plain array, and makes entries durable when it likes.
 *
 *   always     match <= what the follower has durable and equal; match only grows; next > match;
 *              what is in flight is what a plain list of messages says
 *   afterwards when nothing is lost any more, the follower has the leader's log after a few
 *              heartbeats
 */

#include "raft/progress.h"

#include "tests/raft/quick.h"

enum {
    LOG_MAX = 64,
    RING = 4,
    BYTES_MAX = 120, /* in flight */
    ENTRY_BYTES = 10,
    MESSAGE_ENTRIES_MAX = 5,
    NETWORK_MAX = 12,
    WALKS = 4000,
    STEPS = 150,
    HEARTBEATS_TO_HEAL = 3 * LOG_MAX,
};

/* An APPEND, or its answer. */
struct packet {
    bool answer;
    bool granted;
    uint64_t previous;
    uint64_t count;
    uint64_t match;
    uint64_t hint;
};

struct world {
    uint64_t leader[LOG_MAX + 1]; /* terms; [0] = 0 */
    uint64_t leader_last;
    uint64_t follower[LOG_MAX + 1];
    uint64_t follower_last;
    uint64_t durable;
    uint64_t verified;
    struct packet network[NETWORK_MAX];
    uint32_t network_count;
    struct progress peer;
    struct progress_inflight ring[RING];
    /* The twin: every message in flight, oldest first. */
    struct progress_inflight list[STEPS + 1];
    uint32_t list_count;
};

static struct world world;

static void put(struct packet packet) {
    if (world.network_count < NETWORK_MAX) {
        world.network[world.network_count++] = packet;
    }
}

/* ---- the twin of what is in flight ----------------------------------------------------------- */

static void list_check(void) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < world.list_count; i++) {
        bytes += world.list[i].bytes;
    }
    assert_int_equal(world.peer.inflight_count, world.list_count);
    assert_int_equal(world.peer.inflight_bytes, bytes);
}

static void list_drop_first(uint32_t count) {
    for (uint32_t i = count; i < world.list_count; i++) {
        world.list[i - count] = world.list[i];
    }
    world.list_count -= count;
}

/* After every answer: what is granted is not in flight, and outside REPLICATE nothing is. */
static void list_follow(void) {
    uint32_t granted = 0;
    while (granted < world.list_count && world.list[granted].last_index <= world.peer.match) {
        granted++;
    }
    list_drop_first(world.peer.state == PROGRESS_REPLICATE ? granted : world.list_count);
}

/* ---- the leader ------------------------------------------------------------------------------ */

static void leader_send(struct quick *quick, bool question) {
    uint64_t open = world.leader_last + 1 - world.peer.next;
    uint64_t count = question ? 0 : quick_between(quick, 0, MESSAGE_ENTRIES_MAX);
    count = count < open ? count : open;
    put((struct packet){.previous = world.peer.next - 1, .count = count});
    if (world.peer.state == PROGRESS_REPLICATE && count > 0) {
        world.list[world.list_count++] = (struct progress_inflight){
            .last_index = world.peer.next - 1 + count, .bytes = count * ENTRY_BYTES};
    }
    progress_sent(&world.peer, world.peer.next - 1 + count, (uint32_t)count, count * ENTRY_BYTES);
    list_check();
}

static void leader_replicate(struct quick *quick) {
    bool news = world.peer.next <= world.leader_last || world.peer.state == PROGRESS_PROBE;
    bool expected =
        world.peer.state == PROGRESS_PROBE ? !world.peer.probe_sent : world.list_count < RING;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < world.list_count; i++) {
        bytes += world.list[i].bytes;
    }
    expected = expected && bytes < BYTES_MAX;
    assert_int_equal(progress_may_send(&world.peer, BYTES_MAX), expected);
    if (news && expected) {
        leader_send(quick, false);
    }
}

static void leader_heard(struct quick *quick) {
    bool ask = progress_heard(&world.peer);
    list_check();
    assert_int_equal(ask, world.peer.state == PROGRESS_REPLICATE &&
                              world.peer.next > world.peer.match + 1);
    if (ask) {
        leader_send(quick, true);
    }
    leader_replicate(quick);
}

static void leader_take(struct quick *quick, const struct packet *packet) {
    uint64_t match = world.peer.match;
    bool probed = world.peer.state == PROGRESS_PROBE && packet->match + 1 >= world.peer.next;
    if (packet->granted) {
        assert_int_equal(progress_granted(&world.peer, packet->match), packet->match > match);
        assert_int_equal(world.peer.match, packet->match > match ? packet->match : match);
        assert_true(!probed || world.peer.state == PROGRESS_REPLICATE);
    } else {
        uint64_t next = world.peer.next;
        bool taken = progress_refused(&world.peer, packet->previous, packet->hint);
        assert_int_equal(world.peer.match, match);
        if (taken) {
            assert_int_equal(world.peer.state, PROGRESS_PROBE);
            assert_true(world.peer.next <= packet->previous);
            assert_true(packet->hint < match || world.peer.next <= packet->hint + 1);
        } else {
            assert_int_equal(world.peer.next, next);
        }
    }
    list_follow();
    list_check();
    leader_replicate(quick);
}

/* ---- the follower: figure 3.1, AppendEntries, receiver -------------------------------------- */

static void follower_answer(void) {
    uint64_t match = world.durable < world.verified ? world.durable : world.verified;
    put((struct packet){.answer = true, .granted = true, .match = match});
}

static void follower_take(const struct packet *packet) {
    uint64_t previous = packet->previous;
    if (previous > world.follower_last || world.follower[previous] != world.leader[previous]) {
        uint64_t hint = previous - 1 < world.follower_last ? previous - 1 : world.follower_last;
        put((struct packet){.answer = true, .previous = previous, .hint = hint});
        return;
    }
    for (uint64_t i = previous + 1; i <= previous + packet->count; i++) {
        if (i > world.follower_last || world.follower[i] != world.leader[i]) {
            world.follower[i] = world.leader[i];
            world.follower_last = i;
            world.durable = world.durable < i ? world.durable : i - 1;
        }
    }
    if (world.verified < previous + packet->count) {
        world.verified = previous + packet->count;
    }
    follower_answer();
}

/* ---- walks ----------------------------------------------------------------------------------- */

static void check_truth(void) {
    const struct progress *peer = &world.peer;
    progress_check(peer, world.leader_last);
    assert_true(peer->match <= world.durable);
    for (uint64_t i = 1; i <= peer->match; i++) {
        assert_int_equal(world.follower[i], world.leader[i]);
    }
}

/* Two histories that are equal up to some place. */
static void begin(struct quick *quick) {
    world = (struct world){0};
    world.leader_last = quick_between(quick, 0, LOG_MAX / 2);
    world.follower_last = quick_between(quick, 0, LOG_MAX / 2);
    uint64_t equal = quick_between(quick, 0, LOG_MAX / 2);
    uint64_t term = 1;
    for (uint64_t i = 1; i <= LOG_MAX; i++) {
        term += random_below(&quick->random, 4) == 0 ? 1 : 0;
        world.leader[i] = term;
        world.follower[i] = i <= equal ? term : term + 1000;
    }
    world.durable = world.follower_last;
    world.peer.inflight = world.ring;
    world.peer.inflight_capacity = RING;
    progress_begin(&world.peer, 2, 9, 1, world.leader_last + 1, 0);
    leader_replicate(quick);
}

static void deliver(struct quick *quick, uint32_t at, bool keep) {
    struct packet packet = world.network[at];
    if (!keep) {
        world.network[at] = world.network[--world.network_count];
    }
    if (packet.answer) {
        leader_take(quick, &packet);
    } else {
        follower_take(&packet);
    }
}

static void step(struct quick *quick) {
    uint64_t dice = random_below(&quick->random, 100);
    uint32_t at = (uint32_t)random_below(&quick->random, world.network_count + 1);
    if (dice < 60 && at < world.network_count) {
        deliver(quick, at, random_chance(&quick->random, 1, 10));
    } else if (dice < 68 && at < world.network_count) {
        world.network[at] = world.network[--world.network_count];
    } else if (dice < 80) {
        if (world.leader_last < LOG_MAX) {
            world.leader_last++;
        }
        leader_replicate(quick);
    } else if (dice < 90) {
        world.durable = quick_between(quick, world.durable, world.follower_last);
        follower_answer();
    } else if (dice < 97) {
        leader_heard(quick);
    } else {
        uint64_t next = world.peer.state == PROGRESS_PROBE ? world.peer.next : world.peer.match + 1;
        progress_probe(&world.peer); /* the connection was lost */
        assert_int_equal(world.peer.next, next);
        list_follow();
        list_check();
        leader_replicate(quick);
    }
}

/* Heartbeats and whatever they cause, in order, without loss. */
static void heal(struct quick *quick) {
    for (uint32_t i = 0; i < HEARTBEATS_TO_HEAL && world.peer.match < world.leader_last; i++) {
        leader_heard(quick);
        while (world.network_count > 0) {
            world.durable = world.follower_last;
            struct packet packet = world.network[0];
            world.network_count--;
            memmove(&world.network[0], &world.network[1],
                    world.network_count * sizeof(world.network[0]));
            if (packet.answer) {
                leader_take(quick, &packet);
            } else {
                follower_take(&packet);
                world.durable = world.follower_last;
                follower_answer();
            }
            check_truth();
        }
    }
    assert_int_equal(world.peer.match, world.leader_last);
}

static void a_leader_believes_only_what_is_true(void **state) {
    (void)state;
    struct quick quick = quick_begin("progress against the peer itself");
    uint64_t matched = 0;
    uint64_t full = 0;
    for (uint32_t walk = 0; walk < WALKS; walk++) {
        begin(&quick);
        for (uint32_t i = 0; i < STEPS; i++) {
            uint64_t match = world.peer.match;
            step(&quick);
            check_truth();
            assert_true(world.peer.match >= match);
            matched += world.peer.match > match ? 1 : 0;
            full += world.list_count == RING ? 1 : 0;
            quick.cases++;
        }
        heal(&quick);
    }
    assert_true(matched > 4 * WALKS); /* the walks do get somewhere */
    assert_true(full > WALKS);
    quick_end(&quick, (uint64_t)WALKS * STEPS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_leader_believes_only_what_is_true),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
