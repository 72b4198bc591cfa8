/*
 * A bank on a cluster whose members are killed, cut off and started again, some from snapshots:
 * money goes from account to account by WATCH and EXEC, and there is never more or less of it.
 *
 * Everybody reads all accounts by one MGET: each sum is that of the beginning, so no EXEC was seen
 * half done. Each EXEC also counts itself: in the end no fewer were applied than were acknowledged,
 * and no more than might have been. And all members have the same: they decided each EXEC alike.
 */

#include "tests/sim/node_talk.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/decimal.h"

#define MS_NS     UINT64_C(1000000)
#define SECOND_NS UINT64_C(1000000000)

enum { TELLERS = 4, ACCOUNTS = 4, EACH = 100, SECONDS = 12, LINES_MAX = 12 };

/* A teller: what it waits for, and the lines of it that came. */
struct teller {
    struct talk talk;
    bool open;
    bool executing; /* the EXEC is sent */
    uint32_t from, to;
    uint32_t lines;
    char line[LINES_MAX][160];
    uint64_t since_ns; /* when it began to wait */
};

static struct group group[1];
static struct teller tellers[TELLERS];
static const char *const maps[] = {"fused", "split", "pair"};

static struct {
    uint64_t acknowledged;
    uint64_t maybe; /* had no answer, or -UNKNOWN */
    uint64_t aborted;
    uint64_t sums;
} tally;

static uint64_t now_ns(void) {
    return world_now_ns(group->world);
}

static void teller_close(struct teller *teller) {
    tally.maybe += teller->open && teller->executing;
    talk_close(&teller->talk);
    teller->open = false;
    teller->executing = false;
}

/* Reads two accounts, watched; and all of them. */
static void teller_begin(struct teller *teller) {
    char text[128];
    teller->from = (uint32_t)random_below(&group->random, ACCOUNTS);
    teller->to =
        (teller->from + 1 + (uint32_t)random_below(&group->random, ACCOUNTS - 1)) % ACCOUNTS;
    (void)snprintf(text, sizeof(text), "watch a%u a%u\r\nmget a0 a1 a2 a3\r\n", teller->from,
                   teller->to);
    talk_say(&teller->talk, text);
    teller->lines = 0;
    teller->since_ns = now_ns();
}

/* The accounts are known: one goes from one to the other. */
static void teller_execute(struct teller *teller) {
    char text[256];
    int64_t value[ACCOUNTS];
    int64_t sum = 0;
    for (uint32_t i = 0; i < ACCOUNTS; i++) {
        const char *line = teller->line[2 + i];
        group_expect(group, decimal_parse_i64(line, strlen(line), &value[i]) == 0, line);
        sum += value[i];
    }
    group_expect(group, sum == ACCOUNTS * EACH, "all the money is there");
    tally.sums++;
    /* Later than any two clocks of this world differ: log time may jump with a new leader. */
    (void)snprintf(
        text, sizeof(text),
        "multi\r\nset a%u %lld\r\nincr done\r\nset a%u %lld px 1000000000000\r\nexec\r\n",
        teller->from, (long long)value[teller->from] - 1, teller->to,
        (long long)value[teller->to] + 1);
    talk_say(&teller->talk, text);
    teller->executing = true;
    teller->lines = 0;
    teller->since_ns = now_ns();
}

static bool begins(const char *text, const char *with) {
    return strncmp(text, with, strlen(with)) == 0;
}

/* The answers to MULTI, what was queued, and EXEC are there, or enough to know. */
static void teller_executed(struct teller *teller) {
    const char *answer = teller->line[4];
    if (begins(answer, "*3")) {
        if (teller->lines < 8)
            return;
        tally.acknowledged++;
    } else if (begins(answer, "*-1")) {
        tally.aborted++;
    } else if (begins(answer, "-UNKNOWN")) {
        tally.maybe++;
    } else {
        group_expect(group, begins(answer, "-EXECABORT"), answer);
    }
    teller->executing = false;
    if (answer[0] == '-')
        teller_close(teller);
    else
        teller_begin(teller);
}

static void teller_turn(struct teller *teller) {
    if (!teller->open) {
        uint32_t leader = group_leader(group);
        if (leader == UINT32_MAX || group->nodes[leader].node == NULL)
            return;
        talk_open(&teller->talk, group, leader);
        teller->open = true;
        teller_begin(teller);
        return;
    }
    for (;;) {
        const char *line = talk_hear(&teller->talk, 1, 0);
        if (line[0] == '\0')
            break;
        if (teller->lines < LINES_MAX)
            (void)snprintf(teller->line[teller->lines++], sizeof(teller->line[0]), "%.*s",
                           (int)strcspn(line, "\n"), line);
        if (!teller->executing && line[0] == '-') {
            teller_close(teller); /* it does not lead any more */
            return;
        }
        if (!teller->executing && teller->lines == 2 + ACCOUNTS)
            teller_execute(teller);
        else if (teller->executing && teller->lines >= 5)
            teller_executed(teller);
        if (!teller->open)
            return;
    }
    if (now_ns() - teller->since_ns > SECOND_NS)
        teller_close(teller);
}

static void cut(uint32_t node, bool is_cut) {
    for (uint32_t i = 0; i < 3; i++) {
        if (i != node) {
            world_link_cut(group->world, group->hosts[node], group->hosts[i], is_cut);
            world_link_cut(group->world, group->hosts[i], group->hosts[node], is_cut);
        }
    }
}

static void run_for(uint64_t ns) {
    for (uint64_t until_ns = now_ns() + ns; now_ns() < until_ns && group_step(group);) {
        for (uint32_t i = 0; i < TELLERS; i++)
            teller_turn(&tellers[i]);
    }
}

/* One member at a time is cut off, or killed and started again; mostly the one that leads. */
static void faults(void) {
    for (uint32_t second = 0; second < SECONDS; second++) {
        uint32_t victim = group_leader(group);
        if (victim == UINT32_MAX || random_chance(&group->random, 1, 3))
            victim = (uint32_t)random_below(&group->random, 3);
        if (random_chance(&group->random, 1, 2)) {
            cut(victim, true);
            run_for(400 * MS_NS);
            cut(victim, false);
        } else {
            for (uint32_t i = 0; i < TELLERS; i++)
                if (tellers[i].open && tellers[i].talk.node == victim)
                    teller_close(&tellers[i]);
            group_crash(group, victim);
            run_for(400 * MS_NS);
            group_start(group, victim);
        }
        run_for(600 * MS_NS);
    }
}

static void expect_the_same_everywhere(void) {
    char first[512] = "";
    for (uint32_t i = 0; i < 3; i++) {
        static struct talk talk;
        talk_open(&talk, group, i);
        talk_expect(&talk, "client reads stale", "+OK");
        talk_say(&talk, "mget done a0 a1 a2 a3\r\n");
        const char *answer = talk_hear(&talk, 6, 2 * SECOND_NS);
        if (i == 0) {
            (void)snprintf(first, sizeof(first), "%s", answer);
            uint64_t done = 0;
            assert_int_equal(decimal_parse_u64(answer + 3, strcspn(answer + 3, "\n"), &done), 0);
            assert_true(done >= tally.acknowledged);
            assert_true(done <= tally.acknowledged + tally.maybe);
        }
        assert_string_equal(answer, first);
        talk_close(&talk);
    }
}

static void money_stays_whatever_becomes_of_members(void **state) {
    (void)state;
    for (uint64_t seed = 501; seed <= 503; seed++) {
        memset(&tally, 0, sizeof(tally));
        group_init_networked(group, seed, 3, maps[seed % 3]);
        for (uint32_t i = 0; i < 3; i++) {
            group->nodes[i].options.snapshot_log_bytes = 32 * 1024;
            group_start(group, i);
        }
        group->load_on = false;
        group_run(group, 2 * SECOND_NS);
        static struct talk talk;
        talk_open(&talk, group, group_leader(group));
        talk_expect(&talk, "mset a0 100 a1 100 a2 100 a3 100 done 0", "+OK");
        talk_close(&talk);
        faults();
        for (uint32_t i = 0; i < TELLERS; i++)
            teller_close(&tellers[i]);
        group_run(group, 3 * SECOND_NS);
        group_expect(group, group->finding[0] == '\0', group->finding);
        printf("  seed %" PRIu64 ": %" PRIu64 " executed, %" PRIu64 " aborted, %" PRIu64
               " unknown, %" PRIu64 " sums\n",
               seed, tally.acknowledged, tally.aborted, tally.maybe, tally.sums);
        assert_true(tally.acknowledged > 50 && tally.aborted > 10);
        expect_the_same_everywhere();
        group_free(group);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(money_stays_whatever_becomes_of_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
