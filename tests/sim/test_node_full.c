/*
 * Members whose log's memory is full of entries that nobody has committed: what they are sent and
 * have accepted does not fit, and whoever has accepted what is not in its log does not campaign.
 *
 * It takes many leaders in a row, each of which is elected, appends, and hears of no acceptance.
 * Bytes and entries that are uncommitted are bounded; but on a follower with a quick disk each
 * entry that comes by itself is a write of its own, of whole blocks.
 */

#include "raft/raft.h"
#include "tests/sim/node_talk.h"

#include <string.h>

#define SECOND_NS UINT64_C(1000000000)

enum {
    TALKS = 8,
    ENTRIES_EACH = 24, /* of a leader: no more batches than a node has */
    LEADERS = 100, /* every second one only sends what the one before had */
    /* Of a simulated node's log memory of 1 MiB: a header sector and one of data each. */
    MEMORY_WRITES = 1024,
    SEEDS = WEIR_SANITIZER_BUILD ? 1 : 3, /* one for each map */
};

static struct group group[1];
static struct talk talks[TALKS];
static const char *const maps[] = {"fused", "pair", "split"};

static void begin(uint64_t seed) {
    group_init(group, seed, 3, maps[seed % ARRAY_COUNT(maps)]);
    group->load_on = false;
    for (uint32_t i = 0; i < 3; i++)
        group_start(group, i);
    group_expect(group, group_settle(group, 5 * SECOND_NS), "somebody leads");
}

/* Whether the leader knows where the log of the other one agrees with its own, and sends ahead. */
static bool sends_ahead(uint32_t leader, uint32_t other) {
    struct raft_peer_status peers[3];
    uint32_t count = raft_peers(sim_node_raft(group->nodes[leader].node), peers, 3);
    for (uint32_t i = 0; i < count; i++) {
        if (peers[i].node_id == other + 1)
            return strcmp(peers[i].state, "replicate") == 0;
    }
    return false;
}

/* Runs on.  What others say on their data connections to whoever leads is lost meanwhile: that they
 * have an entry.  But that they have all that the leader had before its term is heard: only then
 * are they sent more than the first message; it has entries, and is lost. */
static void run_without_acceptances(uint64_t ns) {
    for (uint64_t until_ns = world_now_ns(group->world) + ns;
         world_now_ns(group->world) < until_ns && group->finding[0] == '\0';) {
        uint32_t leader = group_leader(group);
        memset(group->clogged, 0, sizeof(group->clogged));
        memset(group->entries_lost, true, sizeof(group->entries_lost));
        for (uint32_t i = 0; i < 3 && leader < 3; i++) {
            bool ahead = sends_ahead(leader, i);
            group->clogged[i][leader] = ahead;
            group->entries_lost[leader][i] = !ahead;
        }
        if (!group_step(group))
            return;
    }
}

/* The leader appends some entries, one by one, and steps down. */
static void lead_in_vain(uint32_t leader) {
    for (uint32_t i = 0; i < TALKS; i++)
        talk_open(&talks[i], group, leader);
    for (uint32_t i = 0; i < ENTRIES_EACH && group_leader(group) == leader; i++) {
        talk_say(&talks[i % TALKS], "INCR n\r\n");
        run_without_acceptances(SECOND_NS / 100);
    }
    for (uint32_t i = 0; i < TALKS; i++)
        talk_close(&talks[i]);
    for (uint32_t i = 0; i < 50 && group_leader(group) == leader; i++)
        run_without_acceptances(SECOND_NS / 20);
}

/* One leader after the other, until as many entries are uncommitted as no log's memory has. */
static void lead_in_vain_in_turn(void) {
    for (uint32_t i = 0; i < LEADERS; i++) {
        uint32_t leader = group_leader(group);
        for (uint32_t j = 0; j < 60 && leader == UINT32_MAX; j++) {
            run_without_acceptances(SECOND_NS / 20);
            leader = group_leader(group);
        }
        group_expect(group, leader != UINT32_MAX, "somebody leads");
        lead_in_vain(leader);
    }
}

static void members_that_are_full_of_what_nobody_committed_elect_a_leader(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        begin(1400 + seed);
        lead_in_vain_in_turn();
        const struct node_replicate_figures *figures =
            &sim_node_figures(group->nodes[0].node)->replicate;
        group_expect(group,
                     node_figure(&figures->last_index) >
                         node_figure(&figures->commit_index) + MEMORY_WRITES,
                     "they are full");
        memset(group->clogged, 0, sizeof(group->clogged)); /* from now on all is heard again */
        memset(group->entries_lost, 0, sizeof(group->entries_lost));
        group_expect(group, group_settle(group, 20 * SECOND_NS), "all have applied everything");
        group->load_on = true;
        group_run(group, 2 * SECOND_NS);
        group_expect(group, group->counts.incr_acked > 50, "it goes on");
        group_free(group);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_that_are_full_of_what_nobody_committed_elect_a_leader),
    };
    return cmocka_run_group_tests_name("sim_node_full", tests, NULL, NULL);
}
