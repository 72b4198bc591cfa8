/*
 * The phases of a run.
 *
 * Happy path: the cluster is born; the safety phase takes its time; a quorum is healed, a leader is
 * found within a bound, and operations are answered for a while; all are healed, and come to the
 * same end within a bound; the processes stop, and the histories are judged.
 *
 * Failure modes: the first finding ends the run, whatever phase it is in; what is left is torn
 * down, and nothing is judged any more.  A run that has come to rest, or that does not move on
 * though it works, is a finding too.
 */

#include "sim/swarm_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "raft/raft.h"
#include "sim/swarm_talk.h"

enum {
    /* A time-out of elections is [200, 400) ms; ten of them, and the time that TCP and a node's own
       patience need to find each other again. */
    LEADER_MS_MAX = 30000,
    /* From then on everything is answered, after so long, ... */
    SETTLE_MS = 1000,
    /* ... for so long, ... */
    ANSWERED_MS = 3000,
    /* ... each within so long. */
    ANSWER_MS_MAX = 3000,
    LOOK_MS = 100, /* who leads is looked at so often */
    BIRTH_MS_MAX = 20000,
    /* Without that anybody gets on; and so often at most. */
    PEACE_MS_MAX = 60000,
    STOP_MS_MAX = 30000,
    /* Rounds without any time passing: far more than a moment ever has work for. */
    ROUNDS_MAX = 1000 * 1000,
    OK_MIN = 200,
};

void swarm_find(struct swarm *swarm, const char *format, ...) {
    if (swarm->result->failed) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(swarm->result->finding, sizeof(swarm->result->finding), format, arguments);
    va_end(arguments);
    swarm->result->failed = true;
    swarm_talk_flush(swarm->talk, true);
    swarm_say(swarm, "BROKEN: %s", swarm->result->finding);
}

/* A line of the story: a head, and the rest. */
__attribute__((format(printf, 3, 0))) static void say(struct swarm *swarm, const char *head,
                                                      const char *format, va_list arguments) {
    char text[4096];
    int used = snprintf(text, sizeof(text), "%s  ", head);
    ASSERT(used > 0 && (size_t)used < sizeof(text));
    (void)vsnprintf(text + used, sizeof(text) - (size_t)used, format, arguments);
    swarm->watch->line(swarm->watch->context, text);
}

void swarm_text_add(char *text, size_t text_bytes, const char *format, ...) {
    size_t used = strlen(text);
    ASSERT(used < text_bytes);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text + used, text_bytes - used, format, arguments);
    va_end(arguments);
}

static void head_print(uint64_t time_ns, char *head, size_t head_bytes) {
    (void)snprintf(head, head_bytes, "%10.6f s", (double)time_ns / (double)SWARM_SECOND_NS);
}

void swarm_say(struct swarm *swarm, const char *format, ...) {
    char head[32];
    va_list arguments;
    if (swarm->watch->line == NULL) {
        return;
    }
    swarm_talk_flush(swarm->talk, false);
    head_print(swarm_time_ns(swarm), head, sizeof(head));
    va_start(arguments, format);
    say(swarm, head, format, arguments);
    va_end(arguments);
}

void swarm_say_at(struct swarm *swarm, uint64_t time_ns, const char *format, ...) {
    char head[32];
    va_list arguments;
    ASSERT(swarm->watch->line != NULL);
    head_print(time_ns, head, sizeof(head));
    va_start(arguments, format);
    say(swarm, head, format, arguments);
    va_end(arguments);
}

void swarm_say_more(struct swarm *swarm, const char *format, ...) {
    va_list arguments;
    ASSERT(swarm->watch->line != NULL);
    va_start(arguments, format);
    say(swarm, "                ", format, arguments);
    va_end(arguments);
}

bool swarm_broken(const struct swarm *swarm) {
    return swarm->result->failed;
}

uint64_t swarm_time_ns(const struct swarm *swarm) {
    return swarm->world == NULL ? 0 : world_now_ns(swarm->world) - swarm->begun_ns;
}

/* ---- one step ------------------------------------------------------------------------------- */

static uint64_t earlier(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static void position_tell(const struct swarm *swarm) {
    struct swarm_position *position = swarm->watch->position;
    if (position != NULL) {
        position->seed = swarm->plan->seed;
        position->step = swarm->step;
        position->time_ns = swarm_time_ns(swarm);
    }
}

/* What the clients and the committed log see by themselves. */
static void look_at_findings(struct swarm *swarm) {
    const char *text = cluster_clients_finding(swarm->clients);
    if (text != NULL) {
        swarm_find(swarm, "a client: %s", text);
    }
    if (cluster_clients_full(swarm->clients)) {
        swarm_find(swarm, "the history of the clients is full: they ask nothing any more");
    }
    text = committed_log_finding(swarm->log);
    if (text != NULL) {
        swarm_find(swarm, "%s", text);
    }
}

/* Everybody does one thing, or time moves to the next moment, but not beyond until_ns. */
static void swarm_step(struct swarm *swarm, uint64_t until_ns, uint32_t *rounds) {
    swarm->step++;
    position_tell(swarm);
    swarm_talk_flush(swarm->talk, false);
    swarm_story_second(swarm, false);
    swarm_schedule(swarm);
    swarm_members_poll(swarm);
    bool worked = swarm_cluster_step(swarm);
    worked |= cluster_clients_poll(swarm->clients);
    look_at_findings(swarm);
    if (worked) {
        if (++*rounds > ROUNDS_MAX) {
            swarm_find(swarm, "a million rounds and no time has passed");
        }
        return;
    }
    *rounds = 0;
    uint64_t due_ns = earlier(until_ns, swarm->schedule_due_ns);
    due_ns = earlier(due_ns, swarm_cluster_due_ns(swarm));
    due_ns = earlier(due_ns, swarm->change.wanted ? swarm->change.look_ns : UINT64_MAX);
    due_ns = earlier(due_ns, cluster_clients_deadline_ns(swarm->clients));
    (void)world_step_until(swarm->world, due_ns);
}

/* Goes on until something holds, or a time of the cluster has come; whether it holds. */
static bool swarm_until(struct swarm *swarm, uint64_t time_ns,
                        bool (*holds)(const struct swarm *swarm)) {
    uint64_t until_ns = swarm->begun_ns + time_ns;
    uint32_t rounds = 0;
    while (!swarm_broken(swarm) && world_now_ns(swarm->world) < until_ns) {
        if (holds != NULL && holds(swarm)) {
            return true;
        }
        swarm_step(swarm, until_ns, &rounds);
    }
    return holds == NULL || holds(swarm);
}

/* ---- phases --------------------------------------------------------------------------------- */

/* Those healed nodes that serve clients, and whoever leads. */
static uint32_t who_serves(const struct swarm *swarm) {
    uint32_t leader = swarm_leader(swarm);
    uint32_t serving = leader == UINT32_MAX ? 0 : 1U << leader;
    for (uint32_t i = 0; i < swarm->plan->node_count; i++) {
        const struct swarm_node *node = &swarm->nodes[i];
        if (node->healed && node->process == SWARM_UP && sim_node_serving(node->node)) {
            serving |= 1U << i;
        }
    }
    return serving;
}

/* Somebody leads; and if it is healed, all voters that are healed serve.  That one of these does
 * not hear of it for a while is TCP's doing, which sends ever more seldom what is lost.  Somebody
 * who is not healed may lead, as long as enough others hear it. */
static bool is_led(const struct swarm *swarm) {
    uint32_t leader = swarm_leader(swarm);
    const struct configuration *members = swarm_voters_committed(swarm);
    if (leader == UINT32_MAX || !raft_serving(sim_node_raft(swarm->nodes[leader].node))) {
        return false;
    }
    uint32_t serving = who_serves(swarm);
    for (uint32_t i = 0; i < swarm->plan->node_count && swarm->nodes[leader].healed; i++) {
        const struct configuration_member *member = configuration_find(members, i + 1);
        bool voter = member != NULL && (member->roles & CONFIGURATION_VOTER) != 0;
        if (voter && swarm->nodes[i].healed && (serving >> i & 1) == 0) {
            return false;
        }
    }
    return true;
}

static bool nothing_pends(const struct swarm *swarm) {
    struct cluster_clients_since since;
    cluster_clients_since(swarm->clients, 0, &since);
    return since.pending == 0;
}

static bool is_settled(const struct swarm *swarm) {
    uint32_t leader = swarm_leader(swarm);
    if (leader == UINT32_MAX) {
        return false;
    }
    uint64_t last = log_last_index(sim_node_log(swarm->nodes[leader].node));
    for (uint32_t i = 0; i < swarm->plan->node_count; i++) {
        bool there =
            swarm->nodes[i].process == SWARM_UP && swarm->check.nodes[i].applied_index == last;
        if (!there && swarm_voters_counts(swarm, i)) {
            return false;
        }
    }
    return true;
}

static bool is_down(const struct swarm *swarm) {
    for (uint32_t i = 0; i < swarm->plan->node_count; i++) {
        if (swarm->nodes[i].process != SWARM_DOWN) {
            return false;
        }
    }
    return true;
}

/* A random quorum of those with intact disks; bit n: node n.  While a change of members is asked
 * for, nobody knows what will be a quorum: then all of them. */
static uint32_t draw_quorum(const struct swarm *swarm) {
    const struct swarm_plan *plan = swarm->plan;
    struct random random;
    random_seed(&random, plan->quorum_seed);
    uint32_t intact = swarm_voters_all(swarm) & ~swarm_voters_lost(swarm);
    ASSERT(swarm_voters_quorum_of_all(swarm, intact));
    if (swarm_members_open(swarm)) {
        return intact;
    }
    uint32_t quorum = 0;
    while (!swarm_voters_quorum_of_all(swarm, quorum)) {
        quorum |= 1U << random_below(&random, plan->node_count) & intact;
    }
    return quorum;
}

static void say_quorum(struct swarm *swarm, uint32_t quorum) {
    char members[2 * SWARM_NODES_MAX + 1] = "";
    for (uint32_t i = 0, at = 0; i < swarm->plan->node_count; i++) {
        if ((quorum >> i & 1) != 0) {
            at += (uint32_t)snprintf(members + at, sizeof(members) - at, " %u", i + 1);
        }
    }
    swarm_say(swarm, "---- liveness: healed are%s", members);
}

/* The operations that were begun since then and were not answered. */
static void say_unanswered(struct swarm *swarm, uint64_t from_ns) {
    const struct history *history = cluster_clients_history(swarm->clients);
    for (uint32_t i = 0; i < history->operation_count; i++) {
        const struct history_operation *each = &history->operations[i];
        if (each->invoked_ns < swarm->begun_ns + from_ns || each->outcome == HISTORY_OK ||
            each->outcome == HISTORY_REFUSED) {
            continue;
        }
        struct kv_model_text text = {0};
        history_print_operation(&text, history, i);
        swarm_say(swarm, "not answered: %.*s", (int)text.length, text.data);
        kv_model_text_free(&text);
    }
}

/* The operations that were begun since then and were refused for want of room on disks. */
static uint32_t refused_for_room(const struct swarm *swarm, uint64_t from_ns) {
    static const char refusal[] = "-MISCONF ";
    const struct history *history = cluster_clients_history(swarm->clients);
    uint32_t count = 0;
    for (uint32_t i = 0; i < history->operation_count; i++) {
        const struct history_operation *each = &history->operations[i];
        count += each->invoked_ns >= swarm->begun_ns + from_ns &&
                 each->outcome == HISTORY_REFUSED && each->reply_bytes >= sizeof(refusal) &&
                 memcmp(history->bytes + each->reply_offset, refusal, sizeof(refusal) - 1) == 0;
    }
    return count;
}

/* Goes on, while clients go to whoever serves.  *healed_leads becomes false if somebody who is not
 * healed led, or nobody. */
static void swarm_until_led(struct swarm *swarm, uint64_t time_ns, bool *healed_leads) {
    uint32_t reach = 0;
    while (!swarm_broken(swarm) && swarm_time_ns(swarm) < time_ns) {
        uint32_t leader = swarm_leader(swarm);
        uint32_t wanted = who_serves(swarm);
        if (wanted != reach && wanted != 0) {
            cluster_clients_reach(swarm->clients, wanted);
            reach = wanted;
        }
        *healed_leads = *healed_leads && is_led(swarm) && swarm->nodes[leader].healed;
        uint64_t next_ns = swarm_time_ns(swarm) + LOOK_MS * SWARM_MS_NS;
        (void)swarm_until(swarm, next_ns < time_ns ? next_ns : time_ns, NULL);
    }
}

/* Whether what was asked a moment later is answered.  False: nothing was, while not only healed
 * nodes led, so that it may be asked again; or something is found. */
static bool answers_round(struct swarm *swarm, bool is_last) {
    struct cluster_clients_since since;
    bool healed_leads = true;
    uint64_t from_ns = swarm_time_ns(swarm) + SETTLE_MS * SWARM_MS_NS;
    cluster_clients_begin(swarm->clients, true);
    swarm_until_led(swarm, from_ns + ANSWERED_MS * SWARM_MS_NS, &healed_leads);
    cluster_clients_begin(swarm->clients, false);
    (void)swarm_until(swarm, from_ns + (ANSWERED_MS + ANSWER_MS_MAX) * SWARM_MS_NS, nothing_pends);
    if (swarm_broken(swarm)) {
        return false;
    }
    cluster_clients_since(swarm->clients, swarm->begun_ns + from_ns, &since);
    swarm_say(swarm, "answered: %u, refused: %u, unknown: %u, never: %u", since.ok, since.refused,
              since.unknown, since.pending);
    uint32_t for_room = refused_for_room(swarm, from_ns);
    if (healed_leads && for_room > 0) {
        swarm_find(swarm, "a healed quorum, which has room, refused %u operations for want of it",
                   for_room);
        return false;
    }
    bool is_silent = since.ok == 0 && (healed_leads || is_last);
    if ((healed_leads && since.unknown + since.pending > 0) || is_silent) {
        say_unanswered(swarm, from_ns);
        swarm_find(
            swarm,
            "a healed quorum answered %u operations, refused %u, left %u unknown and %u open",
            since.ok, since.refused, since.unknown, since.pending);
    }
    return since.ok > 0;
}

/*
 * The cluster has a leader: it answers everything that is asked a moment later.  But one that is
 * not healed may have the longest log, win, and get nothing through; then it gives up and lets
 * others try first.  Each of those can do so once: so often is asked again.
 */
static void answers_phase(struct swarm *swarm) {
    uint32_t rounds_max = 1;
    for (uint32_t i = 0; i < swarm->plan->node_count; i++) {
        rounds_max += swarm->nodes[i].healed || swarm->nodes[i].absent ? 0 : 1;
    }
    for (uint32_t round = 1; round <= rounds_max; round++) {
        if (answers_round(swarm, round == rounds_max) || swarm_broken(swarm)) {
            return;
        }
    }
}

static void liveness_phase(struct swarm *swarm) {
    uint32_t quorum = draw_quorum(swarm);
    say_quorum(swarm, quorum);
    swarm_heal(swarm, quorum);
    cluster_clients_patient(swarm->clients);
    world_accept_errors(swarm->world, 0);
    cluster_clients_reach(swarm->clients, quorum);
    uint64_t now_ns = swarm_time_ns(swarm);
    if (swarm_until(swarm, now_ns + LEADER_MS_MAX * SWARM_MS_NS, is_led)) {
        answers_phase(swarm);
    } else {
        swarm_find(swarm, "no leader within %u s of a quorum's healing", LEADER_MS_MAX / 1000);
    }
}

static void peace_phase(struct swarm *swarm) {
    swarm_say(swarm, "---- peace: all are healed");
    swarm_heal(swarm, (1U << swarm->plan->node_count) - 1);
    uint64_t now_ns = swarm_time_ns(swarm);
    if (!swarm_until(swarm, now_ns + PEACE_MS_MAX * SWARM_MS_NS, is_settled)) {
        swarm_find(swarm, "not all have the same entries within %u s of peace",
                   PEACE_MS_MAX / 1000);
    }
    swarm_check_peace(&swarm->check, swarm);
}

static void stop_phase(struct swarm *swarm) {
    cluster_clients_end(swarm->clients);
    for (uint32_t i = 0; i < swarm->plan->node_count; i++) {
        swarm->nodes[i].holds_down++;
        swarm->nodes[i].healed = false;
        swarm_process_end(swarm, i, SWARM_END_CLEAN, WORLD_KEEP_ALL, 0);
    }
    uint64_t now_ns = swarm_time_ns(swarm);
    if (!swarm_until(swarm, now_ns + STOP_MS_MAX * SWARM_MS_NS, is_down)) {
        swarm_find(swarm, "not all have stopped within %u s", STOP_MS_MAX / 1000);
    }
}

static void count_outcomes(struct swarm *swarm) {
    struct swarm_counts *counts = &swarm->result->counts;
    const struct cluster_clients_counts *clients = cluster_clients_counts(swarm->clients);
    counts->ok = clients->ok;
    counts->refused = clients->refused;
    counts->unknown = clients->unknown;
    counts->refused_for_room = clients->refused_for_room;
    counts->operations_once = clients->once_operations;
    counts->committed = swarm->check.committed_count;
    counts->configurations = swarm->check.configuration_count - 1;
}

static bool all_serve(const struct swarm *swarm) {
    for (uint32_t i = 0; i < swarm->plan->founder_count; i++) {
        if (swarm->nodes[i].process != SWARM_UP || !sim_node_serving(swarm->nodes[i].node)) {
            return false;
        }
    }
    return true;
}

/* A new cluster needs all its members once, to learn their incarnations: no fault comes before.
 * Time begins when it is there. */
static void birth_phase(struct swarm *swarm) {
    swarm->schedule_over = true;
    swarm->schedule_due_ns = UINT64_MAX;
    swarm_say(swarm, "---- birth, on a clock of its own: time begins when all serve");
    if (!swarm_until(swarm, BIRTH_MS_MAX * SWARM_MS_NS, all_serve)) {
        swarm_find(swarm, "a new cluster does not serve within %u s", BIRTH_MS_MAX / 1000);
    }
    swarm->schedule_over = false;
    swarm->schedule_due_ns = 0;
    swarm_talk_flush(swarm->talk, true);
    swarm->begun_ns = world_now_ns(swarm->world);
    swarm_story_begin(swarm);
}

static void phases(struct swarm *swarm) {
    birth_phase(swarm);
    swarm_say(swarm, "---- safety: for %.3f s; in histories this is %" PRIu64 " ns",
              (double)swarm->plan->safety_ns / (double)SWARM_SECOND_NS, swarm->begun_ns);
    (void)swarm_until(swarm, swarm->plan->safety_ns, NULL);
    if (!swarm_broken(swarm)) {
        liveness_phase(swarm);
    }
    if (!swarm_broken(swarm)) {
        peace_phase(swarm);
    }
    if (!swarm_broken(swarm)) {
        stop_phase(swarm);
    }
    count_outcomes(swarm);
    if (!swarm_broken(swarm)) {
        swarm_judge(swarm);
    }
    if (!swarm_broken(swarm) && swarm->result->counts.ok < OK_MIN) {
        swarm_find(swarm, "only %" PRIu64 " operations succeeded: the run says nothing",
                   swarm->result->counts.ok);
    }
}

static void event_line(void *context, const char *line) {
    struct swarm *swarm = context;
    swarm->watch->line(swarm->watch->context, line);
}

static void clients_create(struct swarm *swarm) {
    struct cluster_clients_options options = swarm->plan->clients;
    options.seed = swarm->plan->seed;
    options.port = SIM_NODE_PORT;
    options.host_count = swarm->plan->node_count;
    for (uint32_t i = 0; i < options.host_count; i++) {
        options.hosts[i] = swarm->hosts[i];
    }
    swarm->clients = cluster_clients_create(swarm->world, &options);
    swarm->log = committed_log_create();
}

void swarm_run(const struct swarm_plan *plan, const struct swarm_watch *watch,
               struct swarm_result *result) {
    static const struct swarm_watch nobody;
    ASSERT(plan->founder_count >= 1 && plan->founder_count <= plan->node_count);
    ASSERT(plan->node_count <= SWARM_NODES_MAX);
    ASSERT(plan->action_count <= SWARM_ACTIONS_MAX);
    struct swarm *swarm = calloc(1, sizeof(*swarm));
    ASSERT(swarm != NULL);
    memset(result, 0, sizeof(*result));
    result->seed = plan->seed;
    swarm->plan = plan;
    swarm->watch = watch == NULL ? &nobody : watch;
    swarm->result = result;
    random_seed(&swarm->random, plan->seed ^ UINT64_C(0x5eed));
    swarm_check_create(&swarm->check, plan->founder_count);
    swarm->change.asked = UINT32_MAX;
    for (uint32_t i = 0; i < plan->action_count; i++) {
        swarm->begun[i] = plan->actions[i].left_out;
        swarm->over[i] = plan->actions[i].left_out;
    }
    swarm_cluster_create(swarm);
    swarm->begun_ns = world_now_ns(swarm->world);
    if (swarm->watch->every_event && swarm->watch->line != NULL) {
        world_trace_to(swarm->world, event_line, swarm);
    }
    clients_create(swarm);
    if (swarm->watch->line != NULL) {
        swarm->talk = swarm_talk_create(swarm);
    }
    swarm_story_begin(swarm);
    phases(swarm);
    swarm_talk_flush(swarm->talk, true);
    if (swarm_broken(swarm)) {
        swarm_story_broken(swarm);
        swarm->watch = &nobody; /* of the end of the processes there is nothing to tell */
    }
    result->step = swarm->step;
    result->time_ns = swarm_time_ns(swarm);
    result->trace_hash = world_trace_hash(swarm->world);
    swarm_talk_destroy(swarm->talk);
    swarm->talk = NULL;
    cluster_clients_destroy(swarm->clients);
    committed_log_destroy(swarm->log);
    swarm_cluster_destroy(swarm);
    swarm_check_destroy(&swarm->check);
    free(swarm);
}
