/*
 * Program order and reality.
 *
 * Random commands with random cuts of the byte stream, over several connections, through nodes of
 * every map. Each pass is one node, one deck of cards and one judge:
 *
 *     solo      one connection, every command of kv       against the plain model
 *     disjoint  keys of its own for each connection       against the plain model
 *     shared    the same keys for all                     the model fed in log order, real time
 *     log       machine log, one list for all             likewise
 *
 * Where the judge does not need the whole log (solo, disjoint) the node takes one snapshot after
 * the other while it is driven, and must start from the last one.
 *
 * usage: test_property WEIR [--rounds N] [--seed N] [--seconds N] [--minimum N] [--map MAP]
 *                           [--keep]
 *
 * --rounds: how often each connection draws its whole deck. --seconds: further seeds until then.
 * --minimum: fail if a card was executed less often, all maps together. The seed is printed; the
 * same seed gives each connection the same commands and cuts.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "base/decimal.h"
#include "tests/property/cards.h"
#include "tests/property/doctor.h"
#include "tests/property/driver.h"
#include "tests/property/judge.h"
#include "tests/property/node_log.h"
#include "tests/support/node_process.h"

/* What need not be equal on every map, and how it is judged all the same. Nothing else. */
static const struct {
    const char *what;
    const char *reason;
    const char *judged;
} exceptions[] = {
    {"TIME, INFO", "tell the time and the node's figures", "type and form"},
    {"CLIENT ID, HELLO's id", "numbers are given as connections are accepted", "an integer"},
    {"CLIENT INFO, CLIENT LIST", "ages, addresses, ids, and who happens to be there",
     "one text, in RESP 3 a verbatim one"},
    {"CLUSTER INFO, NODES, SLOTS, SHARDS, MYID", "term, port and incarnation", "type and form"},
    {"HELLO's server and version", "are the build's", "two strings"},
    {"COMMAND, COMMAND COUNT", "are the machine's", "type"},
    {"COMMAND LIST, DOCS", "of everything are the machine's", "type; with names, to the word"},
    {"HELP", "is words", "type"},
    {"TTL, PTTL", "the leader's clock, and log time where the log is not read",
     "between the least and the most that the operation's own duration allows"},
    {"ONCE.OPEN", "an index of the log", "above all ids before"},
    {"ONCE of a brief session", "log time says when it is gone", "gone, or as if it were not"},
    {"KEYS: order", "that of the hash seed", "sorted, then equal"},
    {"SCAN: cursor and share", "the hash table's layout",
     "a part of the model's keys; all of them if it says that it is through"},
};

static const char *const maps[] = {"fused", "pair", "split",
                                   "0:read+parse,1:validate+replicate,0:apply,1:serialize+write"};
static const char *const map_names[] = {"fused", "pair", "split", "odd"};

static const struct pass {
    const char *name;
    enum deck_kind kind;
    uint32_t connections;
    const char *machine;
    const char *durability[ARRAY_COUNT(maps)]; /* on each map */
} passes[] = {
    {"solo", DECK_SOLO, 1, "kv", {"none", "write", "fsync", "none"}},
    {"disjoint", DECK_DISJOINT, 6, "kv", {"fsync", "none", "write", "write"}},
    {"shared", DECK_SHARED, 5, "kv", {"write", "fsync", "fsync", "write"}},
    {"log", DECK_LOG, 4, "log", {"fsync", "write", "write", "fsync"}},
};

enum { STOP_LIMIT_S = 120, REPLY_LIMIT_S = 60, ROUNDS_OF_SOLO = 3 };

#define SNAPSHOT_LOG_BYTES "32kb"

struct test {
    const char *program;
    const char *map; /* only this one, or NULL */
    uint64_t seed;
    uint64_t seconds;
    uint64_t minimum;
    uint64_t rounds;
    bool keep;
    uint64_t executed[CARDS_MAX][ARRAY_COUNT(maps)];
    uint64_t operations;
    uint64_t snapshots;
    struct drive_figures figures;
    bool doctored[ARRAY_COUNT(passes)];
};

static double now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* The judges of these take the order of writes from the log, of which a snapshot removes the
 * beginning. */
static bool is_judged_by_log(const struct pass *pass) {
    return pass->kind == DECK_SHARED || pass->kind == DECK_LOG;
}

static bool judge(struct test *test, const struct pass *pass, const struct history *history,
                  const struct node_process *node, struct kv_model_text *error) {
    const enum twin_machine machine = pass->kind == DECK_LOG ? TWIN_LOG : TWIN_KV;
    const bool in_log_order = is_judged_by_log(pass);
    const size_t pass_index = (size_t)(pass - passes);
    struct logged logged = {0};
    struct random random;
    random_seed(&random, test->seed);
    bool right = !in_log_order || node_log_read(node->data_directory, &logged, error);
    if (right)
        right = in_log_order ? judge_shared(history, &logged, machine, error)
                             : judge_disjoint(history, machine, error);
    /* Once a kind of pass: the judge has eyes. */
    if (right && !test->doctored[pass_index]) {
        test->doctored[pass_index] = true;
        right = doctor_all(history, in_log_order ? &logged : NULL, machine, &random, true, error);
    }
    logged_free(&logged);
    return right;
}

static void count(struct test *test, const struct history *history, size_t map) {
    for (uint32_t i = 0; i < history->lane_count; i++)
        for (size_t j = 0; j < history->lanes[i].count; j++)
            test->executed[history->lanes[i].operations[j].card][map]++;
    test->operations += history_size(history);
}

/* Whether the node is to do without what is newer than the oldest kernel that weir runs on. */
static bool on_floor(void) {
    const char *features = getenv("WEIR_TEST_IO_FEATURES");
    return features != NULL && strcmp(features, "none") == 0;
}

static bool write_config(const struct node_process *node, const struct pass *pass, char *path,
                         size_t path_bytes) {
    snprintf(path, path_bytes, "%s/node.conf", node->directory);
    FILE *file = fopen(path, "w");
    if (file == NULL)
        return false;
    const int written = fprintf(file, "snapshot-log-bytes %s\n%s",
                                is_judged_by_log(pass) ? "0" : SNAPSHOT_LOG_BYTES,
                                on_floor() ? "io-features floor\n" : "");
    return fclose(file) == 0 && written > 0;
}

/* After the node has stopped: it took snapshots, none failed, and it starts from the last one. */
static bool check_snapshots(struct test *test, struct node_process *node,
                            const struct node_process_options *options) {
    uint64_t complete = 0;
    for (const char *at = node->log; (at = strstr(at, "event=snapshot_complete")) != NULL; at++)
        complete++;
    test->snapshots += complete;
    if (complete == 0 || strstr(node->log, "event=snapshot_failed") != NULL) {
        printf("%" PRIu64 " snapshots were completed, or one failed\n", complete);
        node_process_show_log(node, stdout);
        return false;
    }
    return node_process_start(node, options) && node_process_stop(node, STOP_LIMIT_S);
}

static bool run(struct test *test, const struct pass *pass, size_t map) {
    const double start_s = now_s();
    struct node_process node;
    struct history history = {0};
    struct kv_model_text error = {0};
    char config[NODE_PROCESS_PATH_BYTES + 16];
    const char *const arguments[] = {"--config", config, NULL};
    const struct node_process_options options = {.program = test->program,
                                                 .map = maps[map],
                                                 .durability = pass->durability[map],
                                                 .machine = pass->machine,
                                                 .arguments = arguments};
    if (!node_process_create(&node, NULL) || !write_config(&node, pass, config, sizeof(config)))
        return false;
    bool right = node_process_start(&node, &options);
    const bool started = right;
    double stopped_s = 0;
    if (started) {
        const struct drive_options drive_options = {
            .port = node.port,
            .seed = test->seed,
            .kind = pass->kind,
            .connection_count = pass->connections,
            .rounds = (uint32_t)test->rounds * (pass->connections == 1 ? ROUNDS_OF_SOLO : 1),
            .reply_limit_s = REPLY_LIMIT_S};
        right = drive(&drive_options, &history, &test->figures, &error);
        if (!right)
            node_process_show_log(&node, stdout);
        right = node_process_stop(&node, STOP_LIMIT_S) && right;
        stopped_s = now_s();
        right = right && judge(test, pass, &history, &node, &error);
        if (right && !is_judged_by_log(pass))
            right = check_snapshots(test, &node, &options);
    }
    printf("%-5s %-8s durability %-5s seed %" PRIu64 ": %6zu operations, %.2f s, judged in %.2f s"
           "  %s\n",
           map_names[map], pass->name, pass->durability[map], test->seed,
           started ? history_size(&history) : 0, stopped_s - start_s, now_s() - stopped_s,
           right ? "right" : "WRONG");
    if (error.length > 0)
        printf("%.*s", (int)error.length, error.data);
    if (started && right)
        count(test, &history, map);
    fflush(stdout);
    history_free(&history);
    kv_model_text_free(&error);
    node_process_destroy(&node, test->keep || (started && !right));
    return right;
}

static bool run_all(struct test *test) {
    for (size_t map = 0; map < ARRAY_COUNT(maps); map++) {
        if (test->map != NULL && strcmp(test->map, map_names[map]) != 0)
            continue;
        for (size_t i = 0; i < ARRAY_COUNT(passes); i++)
            if (!run(test, &passes[i], map))
                return false;
    }
    return true;
}

/* Prints how often each card was executed; false if one was too seldom. */
static bool report(const struct test *test) {
    bool right = true;
    printf("\n%-30s", "executions");
    for (size_t map = 0; map < ARRAY_COUNT(maps); map++)
        printf(" %8s", map_names[map]);
    printf(" %8s\n", "all");
    const struct card *card;
    for (uint32_t i = 0; (card = card_at(i)) != NULL; i++) {
        uint64_t all = 0;
        printf("%-30s", card->name);
        for (size_t map = 0; map < ARRAY_COUNT(maps); map++) {
            printf(" %8" PRIu64, test->executed[i][map]);
            all += test->executed[i][map];
        }
        printf(" %8" PRIu64 "%s\n", all, all < test->minimum ? "  TOO FEW" : "");
        right &= all >= test->minimum;
    }
    printf("\nnot equal on every map, and how it is judged:\n");
    for (size_t i = 0; i < ARRAY_COUNT(exceptions); i++)
        printf("  %-28s %s: %s\n", exceptions[i].what, exceptions[i].reason, exceptions[i].judged);
    printf("\n%" PRIu64 " operations, %" PRIu64 " bytes in %" PRIu64 " sends (%" PRIu64
           " of at most 8 bytes), %" PRIu64 " replies in RESP 3, deepest pipeline %" PRIu64
           ", %" PRIu64 " snapshots meanwhile\n",
           test->operations, test->figures.bytes_sent, test->figures.sends,
           test->figures.sends_tiny, test->figures.replies_resp3, test->figures.depth_max,
           test->snapshots);
    if (!right)
        printf("cards above were executed less often than %" PRIu64 " times\n", test->minimum);
    return right;
}

static bool number_read(const char *text, uint64_t *number) {
    return decimal_parse_u64(text, strlen(text), number) == 0;
}

static bool arguments_read(struct test *test, int argc, char **argv) {
    const struct {
        const char *name;
        uint64_t *number;
    } numbers[] = {{"--rounds", &test->rounds},
                   {"--seed", &test->seed},
                   {"--seconds", &test->seconds},
                   {"--minimum", &test->minimum}};
    if (argc < 2)
        return false;
    test->program = argv[1];
    for (int i = 2; i < argc; i++) {
        bool known = strcmp(argv[i], "--keep") == 0;
        test->keep |= known;
        if (!known && i + 1 < argc && strcmp(argv[i], "--map") == 0) {
            test->map = argv[++i];
            known = true;
        }
        for (size_t j = 0; !known && i + 1 < argc && j < ARRAY_COUNT(numbers); j++)
            if (strcmp(argv[i], numbers[j].name) == 0)
                known = number_read(argv[++i], numbers[j].number);
        if (!known)
            return false;
    }
    return true;
}

int main(int argc, char **argv) {
    static struct test test = {.seed = 1, .rounds = 4, .minimum = 100};
    if (!arguments_read(&test, argc, argv)) {
        fprintf(stderr, "usage: test_property WEIR [--rounds N] [--seed N] [--seconds N] "
                        "[--minimum N] [--map fused|pair|split|odd] [--keep]\n");
        return 2;
    }
    const double end_s = now_s() + (double)test.seconds;
    bool right = run_all(&test);
    while (right && now_s() < end_s) {
        test.seed++;
        right = run_all(&test);
    }
    if (!right)
        printf("to reproduce: test_property %s --rounds %" PRIu64 " --seed %" PRIu64 "\n",
               test.program, test.rounds, test.seed);
    return right && report(&test) ? 0 : 1;
}
