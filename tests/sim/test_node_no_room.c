/*
 * Disks that are full: whoever leads, a majority, all.
 *
 * A disk here is full for its next segment: what is in the active one, and in the spare one that
 * there is already, stays.  So a scenario writes until the log has no room.
 */

#include "raft/raft.h"
#include "tests/sim/node_talk.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SECOND_NS           UINT64_C(1000000000)
#define ELECTION_TIMEOUT_NS UINT64_C(200000000)       /* stages/replicate_internal.h */
#define STALLED_NS          (5 * ELECTION_TIMEOUT_NS) /* likewise */

enum {
    /* One for each map; with label long more of them, and under a sanitizer one. */
    SEEDS = WEIR_SANITIZER_BUILD ? 1 : 3,
    MEMBERS = 3,
    LARGE_BYTES = 40 * 1024,
    /* Of which two segments of 1 MiB are full, and then some. */
    LARGE_MAX = 80,
    SNAPSHOT_LOG_BYTES = 256 * 1024,
    /* What an earlier process left, the file received, the same to be judged, a segment, and the
       file to be restored; twice, where a second attempt begins anew. */
    SNAPSHOT_OPENS = 7,
    /* An entry of its own takes two sectors: more than the 256 KiB that are kept. */
    EXPIRING = 400,
    EXPIRING_MS = 60,
    EXPIRING_FIRST_MS = 10000, /* when all is full */
    APART =
        100, /* small writes: each takes two sectors by itself, and a quarter of one with others */
};

static struct group group[1];
static struct talk writer[1];
static struct talk writers[4];
static struct talk reader[1];

static const char *const maps[] = {"fused", "pair", "split"};

static const struct node_replicate_figures *figures(uint32_t node) {
    return &sim_node_figures(group->nodes[node].node)->replicate;
}

static uint64_t term_of(uint32_t node) {
    return node_figure(&figures(node)->term);
}

static bool is_full(uint32_t node) {
    return node_figure(&figures(node)->log_full) == 1;
}

static uint32_t begin_with(uint64_t seed, uint64_t snapshot_log_bytes) {
    group_init(group, seed, MEMBERS, maps[seed % 3]);
    group->load_on = false;
    for (uint32_t i = 0; i < MEMBERS; i++) {
        if (snapshot_log_bytes != 0)
            group->nodes[i].options.snapshot_log_bytes = snapshot_log_bytes;
        group_start(group, i);
    }
    group_expect(group, group_settle(group, 5 * SECOND_NS), "somebody leads");
    return group_leader(group);
}

static uint32_t begin(uint64_t seed) {
    return begin_with(seed, 0);
}

/* No segment more is opened there, for want of a descriptor, or again. */
static void descriptors_used_up(uint32_t node, bool used_up) {
    world_disk_fail(group->world, group->nodes[node].host, WORLD_DISK_OPEN, 1,
                    used_up ? UINT32_MAX : 0, used_up ? -EMFILE : 0);
}

/* No segment more is allocated there, or again. */
static void disk_full(uint32_t node, bool full) {
    world_disk_fail(group->world, group->nodes[node].host, WORLD_DISK_ALLOCATE, 1,
                    full ? UINT32_MAX : 0, full ? -ENOSPC : 0);
}

static void end(void) {
    talk_close(writer);
    talk_close(reader);
    for (uint32_t i = 0; i < MEMBERS; i++)
        disk_full(i, false);
    group->load_on = false;
    group_expect(group, group_settle(group, 10 * SECOND_NS), "all have applied everything");
    group_free(group);
}

static void say_large(struct talk *talk) {
    static char value[LARGE_BYTES];
    char head[64];
    memset(value, 'v', sizeof(value));
    (void)snprintf(head, sizeof(head), "*3\r\n$3\r\nSET\r\n$5\r\nlarge\r\n$%d\r\n", LARGE_BYTES);
    talk_say(talk, head);
    talk_send(talk, value, sizeof(value));
    talk_say(talk, "\r\n");
}

/* Writes a large value; what was said within a second. */
static const char *write_large(void) {
    say_large(writer);
    return talk_hear(writer, 1, SECOND_NS);
}

/* Writes large values until one is refused, or not answered within a second; what was said. */
static const char *write_until_refused(uint32_t node) {
    talk_open(writer, group, node);
    for (uint32_t i = 0; i < LARGE_MAX; i++) {
        const char *reply = write_large();
        if (strncmp(reply, "+OK", 3) != 0)
            return reply;
    }
    return "there is always room";
}

static void run_until_leader_is_not(uint32_t leader, uint64_t limit_ns) {
    uint64_t until_ns = world_now_ns(group->world) + limit_ns;
    while (world_now_ns(group->world) < until_ns && group->finding[0] == '\0' &&
           (group_leader(group) == leader || group_leader(group) == UINT32_MAX)) {
        if (!group_step(group))
            return;
    }
}

/* Leadership moves by one election, without a time-out, and does not come back. */
static void a_leader_without_room_gives_leadership_away(uint64_t first_seed,
                                                        void (*take_room)(uint32_t node,
                                                                          bool full)) {
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        uint32_t leader = begin(first_seed + seed);
        uint64_t term = term_of(leader);
        take_room(leader, true);
        group_expect(group, strncmp(write_until_refused(leader), "-MISCONF ", 9) == 0,
                     "it refuses what it has no room for");
        group_run(group, STALLED_NS - ELECTION_TIMEOUT_NS);
        group_expect(group, group_leader(group) == leader, "not before the bound");
        run_until_leader_is_not(leader, 2 * ELECTION_TIMEOUT_NS);
        uint32_t next = group_leader(group);
        group_expect(group, next != leader && next != UINT32_MAX, "then another one leads");
        group_expect(group, term_of(next) == term + 1, "by one election");
        group->load_on = true;
        group_run(group, 4 * SECOND_NS);
        group_expect(group, group->counts.incr_acked >= 100, "and takes writes");
        group_expect(group, group_leader(group) == next && term_of(next) == term + 1,
                     "and goes on leading");
        group_expect(group, is_full(leader), "though the other is full still");
        take_room(leader, false);
        end();
    }
}

static void a_leader_whose_disk_is_full_gives_leadership_away(void **state) {
    (void)state;
    a_leader_without_room_gives_leadership_away(0, disk_full);
}

static void a_leader_without_descriptors_for_its_log_gives_leadership_away(void **state) {
    (void)state;
    a_leader_without_room_gives_leadership_away(600, descriptors_used_up);
}

/* It has found room before the bound: nothing changes. */
static void a_leader_whose_disk_is_full_for_a_moment_goes_on(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        uint32_t leader = begin(100 + seed);
        uint64_t term = term_of(leader);
        disk_full(leader, true);
        (void)write_until_refused(leader);
        group_run(group, STALLED_NS - 3 * ELECTION_TIMEOUT_NS);
        disk_full(leader, false);
        group_run(group, 3 * SECOND_NS);
        group_expect(group, group_leader(group) == leader && term_of(leader) == term,
                     "it leads in the same term");
        talk_expect(writer, "SET a 1", "+OK");
        end();
    }
}

/* Whoever leads last refuses writes, answers reads, and stays; it goes on when there is room. */
static void of_full_disks(uint64_t seed, uint32_t count) {
    uint32_t leader = begin(seed);
    uint64_t term = term_of(leader);
    for (uint32_t i = 0; i < count; i++)
        disk_full((leader + i) % MEMBERS, true);
    for (uint32_t i = 0; i < count; i++) { /* each of them is asked to lead once at the most */
        const char *reply = write_until_refused(leader);
        group_expect(group, strncmp(reply, "+OK", 3) != 0, "there is no room");
        talk_close(writer);
        run_until_leader_is_not(leader, 2 * STALLED_NS);
        leader = group_leader(group);
        group_expect(group, leader != UINT32_MAX, "somebody leads");
    }
    uint64_t last_term = term_of(leader);
    group_expect(group, last_term <= term + count, "nobody was asked twice");
    talk_open(writer, group, leader);
    talk_open(reader, group, leader);
    talk_expect(writer, "SET a 1", "-MISCONF ");
    for (uint32_t i = 0; i < 10; i++) {
        group_run(group, SECOND_NS);
        talk_expect(reader, "STRLEN large", ":40960");
        talk_expect(writer, "SET a 1", "-MISCONF ");
    }
    group_expect(group, group_leader(group) == leader && term_of(leader) == last_term,
                 "leadership does not go round");
    for (uint32_t i = 0; i < MEMBERS; i++)
        disk_full(i, false);
    group_run(group, 2 * SECOND_NS);
    leader = group_leader(group);
    group_expect(group, leader != UINT32_MAX, "somebody leads");
    talk_close(writer);
    talk_open(writer, group, leader);
    talk_expect(writer, "SET a 2", "+OK");
    end();
}

static void while_a_majority_is_full_writes_are_refused_and_reads_go_on(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        of_full_disks(200 + seed, 2);
        of_full_disks(300 + seed, 3);
    }
}

/* What it has taken before it knew waits; it leads on in its term, and all is done when there is
 * room. */
static void a_leader_with_room_whose_majority_is_full_serves_reads(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        uint32_t leader = begin(400 + seed);
        uint64_t term = term_of(leader);
        for (uint32_t i = 1; i < MEMBERS; i++)
            disk_full((leader + i) % MEMBERS, true);
        const char *reply = write_until_refused(leader);
        group_expect(group, strncmp(reply, "+OK", 3) != 0, "nobody commits it");
        for (uint32_t i = 1; i < MEMBERS; i++)
            group_expect(group, is_full((leader + i) % MEMBERS), "they have no room");
        group_expect(group, !is_full(leader), "it has");
        talk_open(reader, group, leader);
        for (uint32_t i = 0; i < 10; i++) {
            talk_expect(reader, "STRLEN large", ":40960");
            talk_expect(reader, "SET a 1", "-MISCONF ");
            group_run(group, SECOND_NS);
        }
        group_expect(group, group_leader(group) == leader && term_of(leader) == term,
                     "it has not stepped down");
        disk_full((leader + 1) % MEMBERS, false);
        group_run(group, SECOND_NS);
        talk_expect(reader, "SET a 2", "+OK");
        group_expect(group, group_leader(group) == leader && term_of(leader) == term,
                     "nor when there was room again");
        end();
    }
}

static void cut_off(uint32_t node, bool is_cut) {
    for (uint32_t i = 0; i < MEMBERS; i++) {
        group->cut[i][node] = is_cut;
        group->cut[node][i] = is_cut;
    }
}

/* What it is sent together takes less room than what the others were sent one by one: then its log
 * is the longer one. */
static void give_in_one_piece(uint32_t leader, uint32_t node) {
    cut_off(node, true);
    talk_open(writer, group, leader);
    for (uint32_t i = 0; i < APART; i++)
        talk_expect(writer, "INCR n", ":");
    talk_close(writer);
    cut_off(node, false);
    group_run(group, SECOND_NS);
}

/* So many connections write at a time, until some are not answered.  Then the leader's host stands
 * still. */
static void stop_in_the_middle(uint32_t leader, uint32_t together) {
    ASSERT(together <= ARRAY_COUNT(writers));
    for (uint32_t i = 0; i < together; i++)
        talk_open(&writers[i], group, leader);
    uint32_t answered = together;
    for (uint32_t i = 0; i < LARGE_MAX && answered == together; i += together) {
        answered = 0;
        for (uint32_t j = 0; j < together; j++)
            say_large(&writers[j]);
        for (uint32_t j = 0; j < together; j++)
            answered += talk_hear(&writers[j], 1, ELECTION_TIMEOUT_NS)[0] == '+';
    }
    group_expect(group, answered < together, "there is always room");
    for (uint32_t i = 0; i < together; i++)
        talk_close(&writers[i]);
    group->nodes[leader].paused = true;
}

/* Both have accepted what their logs could not take. */
static void a_full_majority_elects_a_leader_for_those_who_read(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(4 * SEEDS);
         seed++) {
        uint32_t leader = begin(900 + seed);
        for (uint32_t i = 1; i < MEMBERS; i++)
            disk_full((leader + i) % MEMBERS, true);
        if (seed % 2 == 0)
            give_in_one_piece(leader, (leader + 1) % MEMBERS);
        stop_in_the_middle(leader, (uint32_t)(1 + seed % 4));
        for (uint32_t i = 1; i < MEMBERS; i++)
            group_expect(group, is_full((leader + i) % MEMBERS), "they have no room");
        run_until_leader_is_not(leader, 10 * ELECTION_TIMEOUT_NS);
        uint32_t next = group_leader(group);
        group_expect(group, next != leader && next != UINT32_MAX, "another one leads");
        uint64_t term = term_of(next);
        talk_open(reader, group, next);
        talk_expect(reader, "STRLEN large", ":40960");
        talk_expect(reader, "SET a 1", "-MISCONF ");
        group_run(group, 5 * SECOND_NS);
        group_expect(group, group_leader(group) == next && term_of(next) == term, "and goes on");
        talk_expect(reader, "STRLEN large", ":40960");
        for (uint32_t i = 0; i < MEMBERS; i++)
            disk_full(i, false);
        group_run(group, SECOND_NS);
        talk_expect(reader, "SET a 2", "+OK");
        group_expect(group, group_leader(group) == next && term_of(next) == term,
                     "also when there is room");
        group->nodes[leader].paused = false;
        end();
    }
}

/* Each key's end is an entry that holds nothing but the time, in the room that is kept for what a
 * term begins with: not each of them is written while there is none. */
static void keys_that_end_leave_the_room_that_the_next_leader_needs(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        uint32_t leader = begin(1000 + seed);
        talk_open(reader, group, leader);
        for (uint32_t i = 0; i < EXPIRING; i++) {
            char line[64];
            (void)snprintf(line, sizeof(line), "SET k%u v PX %u", i,
                           EXPIRING_FIRST_MS + i * EXPIRING_MS);
            talk_expect(reader, line, "+OK");
        }
        for (uint32_t i = 0; i < MEMBERS; i++)
            disk_full(i, true);
        for (uint32_t i = 0; i < MEMBERS; i++) { /* each leads in turn, until all are full */
            (void)write_until_refused(leader);
            talk_close(writer);
            run_until_leader_is_not(leader, 2 * STALLED_NS);
            leader = group_leader(group);
        }
        group_run(group, SECOND_NS / 1000 * (EXPIRING_FIRST_MS + EXPIRING * EXPIRING_MS));
        leader = group_leader(group);
        group_expect(group, leader != UINT32_MAX, "somebody leads");
        uint32_t full = 0;
        for (uint32_t i = 0; i < MEMBERS; i++)
            full += is_full(i);
        group_expect(group, full > MEMBERS / 2, "while a majority is full");
        group->nodes[leader].paused = true;
        run_until_leader_is_not(leader, 10 * ELECTION_TIMEOUT_NS);
        uint32_t next = group_leader(group);
        group_expect(group, next != leader && next != UINT32_MAX, "another one leads");
        talk_close(reader);
        talk_open(reader, group, next);
        talk_expect(reader, "STRLEN large", ":40960");
        for (uint32_t i = 0; i < MEMBERS; i++)
            disk_full(i, false);
        group_run(group, 2 * SECOND_NS);
        talk_expect(reader, "SET a 1", "+OK");
        talk_expect(reader, "EXISTS k0", ":0");
        group->nodes[leader].paused = false;
        end();
    }
}

/* So many snapshots are taken that the log does not go back to what `behind` has. */
static void leave_behind(uint32_t leader, uint32_t behind) {
    uint64_t last = node_figure(&figures(behind)->last_index);
    cut_off(behind, true);
    talk_open(writer, group, leader);
    for (uint32_t i = 0; i < LARGE_MAX && node_figure(&figures(leader)->compacted_index) <= last;
         i++) {
        group_expect(group, strncmp(write_large(), "+OK", 3) == 0, "two of three have room");
        group_run(group, SECOND_NS / 20);
    }
    group_expect(group, node_figure(&figures(leader)->compacted_index) > last,
                 "it needs a snapshot");
    talk_close(writer);
}

/* One has no room for what it is sent, the other none for the snapshot that it needs. */
static void of_a_snapshot(uint64_t seed, void (*take_room)(uint32_t node, bool full)) {
    uint32_t leader = begin_with(seed, SNAPSHOT_LOG_BYTES);
    uint64_t term = term_of(leader);
    uint32_t behind = (leader + 1) % MEMBERS;
    uint32_t other = (leader + 2) % MEMBERS;
    leave_behind(leader, behind);
    take_room(behind, true);
    cut_off(behind, false);
    disk_full(other, true);
    (void)write_until_refused(leader);
    group_expect(group, is_full(other) && !is_full(behind) && !is_full(leader),
                 "the log of one has no room");
    talk_open(reader, group, leader);
    for (uint32_t i = 0; i < 10; i++) {
        talk_expect(reader, "STRLEN large", ":40960");
        talk_expect(reader, "SET a 1", "-MISCONF ");
        group_run(group, SECOND_NS);
    }
    group_expect(group, group_leader(group) == leader && term_of(leader) == term,
                 "it has not stepped down");
    take_room(behind, false);
    group_run(group, 2 * SECOND_NS);
    talk_expect(reader, "SET a 2", "+OK");
    group_expect(group, group_leader(group) == leader && term_of(leader) == term,
                 "nor when there was room again");
    group_expect(
        group,
        node_figure(&sim_node_figures(group->nodes[behind].node)->apply.snapshots_installed) >= 1,
        "for the snapshot");
    end();
}

static void a_member_without_room_for_the_snapshot_it_needs_says_so(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        of_a_snapshot(700 + seed, disk_full);
        of_a_snapshot(800 + seed, descriptors_used_up);
    }
}

/* From the n-th file on that it is to open for its snapshot there is no descriptor left. */
static void of_a_snapshot_without_descriptors(uint64_t seed, uint32_t nth) {
    uint32_t leader = begin_with(seed, SNAPSHOT_LOG_BYTES);
    uint32_t behind = (leader + 1) % MEMBERS;
    const struct sim_node *node = group->nodes[behind].node;
    leave_behind(leader, behind);
    world_disk_fail(group->world, group->nodes[behind].host, WORLD_DISK_OPEN, nth, UINT32_MAX,
                    -EMFILE);
    cut_off(behind, false);
    group_run(group, 2 * SECOND_NS);
    group_expect(group, sim_node_failure(node) == NULL, "it waits");
    descriptors_used_up(behind, false);
    group_run(group, 2 * SECOND_NS);
    group_expect(group, node_figure(&sim_node_figures(node)->apply.snapshots_installed) >= 1,
                 "it goes on when there are some");
    end();
}

static void a_member_waits_for_each_descriptor_that_its_snapshot_needs(void **state) {
    (void)state;
    for (uint32_t nth = 1; nth <= SNAPSHOT_OPENS; nth++)
        of_a_snapshot_without_descriptors(1100 + nth, nth);
}

/* The full one has the whole log, and could win as well. */
static void a_member_whose_disk_is_full_lets_another_one_lead(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        uint32_t full = begin(500 + seed);
        disk_full(full, true);
        (void)write_until_refused(full);
        talk_close(writer);
        run_until_leader_is_not(full, 2 * STALLED_NS);
        uint32_t leader = group_leader(group);
        group_expect(group, leader != full && leader != UINT32_MAX, "another one leads");
        group_run(group, SECOND_NS / 2);
        group_expect(group, is_full(full), "it is full");
        group_crash(group, leader);
        group_run(group, 2 * SECOND_NS);
        group_expect(group, group_leader(group) == MEMBERS - full - leader,
                     "whoever is left and has room leads");
        group_start(group, leader);
        end();
    }
}

/* It applies what its log holds, after a start, and no segment of it can be opened. */
static void a_member_stops_though_what_it_is_to_apply_waits_for_a_descriptor(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        uint32_t leader = begin(1200 + seed);
        uint32_t member = (leader + 1) % MEMBERS;
        struct group_node *node = &group->nodes[member];
        talk_open(writer, group, leader);
        for (uint32_t i = 0; i < LARGE_MAX / 4; i++)
            group_expect(group, strncmp(write_large(), "+OK", 3) == 0, "there is room");
        group_crash(group, member);
        group_start(group, member);
        descriptors_used_up(member, true);
        group_run(group, SECOND_NS);
        group_expect(group,
                     node_figure(&sim_node_figures(node->node)->apply.applied_index) <
                         node_figure(&figures(leader)->commit_index),
                     "it cannot apply what it has");
        group_expect(group, sim_node_failure(node->node) == NULL, "it waits");
        sim_node_stop(node->node);
        uint64_t until_ns = world_now_ns(group->world) + SECOND_NS;
        while (!sim_node_ended(node->node) && world_now_ns(group->world) < until_ns)
            (void)group_step(group);
        group_expect(group, sim_node_ended(node->node), "it ends");
        group_crash(group, member);
        descriptors_used_up(member, false);
        group_start(group, member);
        end();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_leader_whose_disk_is_full_gives_leadership_away),
        cmocka_unit_test(a_leader_without_descriptors_for_its_log_gives_leadership_away),
        cmocka_unit_test(a_leader_whose_disk_is_full_for_a_moment_goes_on),
        cmocka_unit_test(while_a_majority_is_full_writes_are_refused_and_reads_go_on),
        cmocka_unit_test(a_leader_with_room_whose_majority_is_full_serves_reads),
        cmocka_unit_test(a_member_whose_disk_is_full_lets_another_one_lead),
        cmocka_unit_test(a_member_without_room_for_the_snapshot_it_needs_says_so),
        cmocka_unit_test(a_member_waits_for_each_descriptor_that_its_snapshot_needs),
        cmocka_unit_test(a_member_stops_though_what_it_is_to_apply_waits_for_a_descriptor),
        cmocka_unit_test(a_full_majority_elects_a_leader_for_those_who_read),
        cmocka_unit_test(keys_that_end_leave_the_room_that_the_next_leader_needs),
    };
    return cmocka_run_group_tests_name("sim_node_no_room", tests, NULL, NULL);
}
