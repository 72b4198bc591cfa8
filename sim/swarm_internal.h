#ifndef WEIR_SIM_SWARM_INTERNAL_H
#define WEIR_SIM_SWARM_INTERNAL_H

/*
 * What the files of the swarm share.
 *
 *   swarm_plan.c      what a seed draws; plans as text
 *   swarm_plan_members.c  likewise: changes of members that come to nothing
 *   swarm_plan_logs.c what makes logs differ: coordinated actions
 *   swarm_plan_full.c disks that are full until logs are
 *   swarm_plan_reads.c  likewise: leaders that notice late that they lead no more
 *   swarm_edit.c      smaller plans (sim/swarm_edit.h)
 *   swarm_plan_votes.c  likewise: contested elections
 *   swarm_fault.c     the table of faults: drawing, beginning, ending
 *   swarm_links.c     those of links, and the shapes of partitions
 *   swarm_schedule.c  actions in the order of time
 *   swarm_cluster.c   processes: starting, crashing, stepping
 *   swarm_check.c     what must hold after every step
 *   swarm_stored.c    what cores believe to be stored
 *   swarm_check_votes.c  votes, likewise
 *   swarm_voters.c    configurations, and quorums of them
 *   swarm_reads.c     reads that are answered at once
 *   swarm_votes.c     who has voted for whom
 *   swarm_members.c   members that come and go
 *   swarm_judge.c     what must hold of the histories
 *   swarm_run.c       phases
 *   swarm_story.c     seconds, and how things stand at a finding
 *   swarm_talk.c      who sent what (sim/swarm_talk.h)
 */

#include "base/random.h"
#include "sim/cluster_clients.h"
#include "sim/committed_log.h"
#include "sim/node.h"
#include "sim/swarm.h"
#include "sim/swarm_check.h"
#include "sim/swarm_votes.h"
#include "stages/change.h"

#define SWARM_MS_NS     UINT64_C(1000000)
#define SWARM_SECOND_NS UINT64_C(1000000000)

/*
 * The life of a node's process.
 *
 *     DOWN ── start ──► UP ── asked to stop, or its disk dies, or it fails ──► ENDING
 *      ▲                                                                         │
 *      └────────────────── at rest: what the power cut leaves ◄──────────────────┘
 */
enum swarm_process { SWARM_DOWN, SWARM_UP, SWARM_ENDING };

/* How a process that is ending will have ended. */
enum swarm_end { SWARM_END_CLEAN, SWARM_END_KILL, SWARM_END_POWER };

struct swarm_node {
    uint32_t host;
    struct sim_node *node; /* NULL while DOWN */
    struct sim_node_options options;
    enum swarm_process process;
    enum swarm_end end; /* of an ENDING one */
    enum world_power_cut cut;
    bool may_fail;          /* a fault lets this process fail */
    bool healed;            /* no fault applies any more */
    bool no_handles;        /* the world was told so */
    bool damaged;           /* its disk: it may refuse to start, or stop, for good */
    bool absent;            /* never started: it may be added later */
    bool vote_damaged;      /* one slot; the other one is spared */
    bool lost;              /* its disk: a stranger to the others, until it is added anew */
    bool wipe;              /* its disk is lost before the next start */
    bool added_anew;        /* a founder that lost its disk, in its new life: it may have a log */
    uint64_t incarnation;   /* of its process, or of the last one on this disk; 0: none yet */
    uint64_t start_at_ns;   /* not before, of the world */
    uint64_t busy_until_ns; /* a slow one: not stepped before */
    /* How many actions are in force. */
    uint32_t holds_down;
    uint32_t holds_paused;
    uint32_t holds_stalled;
    uint32_t holds_slow_disk;
    uint32_t holds_full;
    uint32_t holds_no_handles;
    uint32_t holds_failing;
    uint32_t holds_slow_cpu;
    uint64_t slow_disk_ns;
    uint64_t slow_cpu_ns;
};

/* What may befall a way from one host to another. */
enum swarm_way_effect {
    SWARM_WAY_CUT,
    SWARM_WAY_CLOG,
    SWARM_WAY_SLOW, /* amount: ms */
    SWARM_WAY_FLIP, /* amount: pieces in a thousand */
    SWARM_WAY_LOSS, /* likewise */
    SWARM_WAY_EFFECTS,
};

/* A way: how many actions are in force, the amount of the last one, and what the world knows. */
struct swarm_way {
    uint32_t count[SWARM_WAY_EFFECTS];
    uint64_t amount[SWARM_WAY_EFFECTS];
    bool told[SWARM_WAY_EFFECTS];
};

/* The change of members that is being asked for, one at a time. */
struct swarm_change {
    bool wanted;
    uint64_t until_ns; /* of the cluster: no longer than this */
    uint64_t look_ns;  /* of the world: when it is looked at again */
    uint32_t asked;    /* the node that was asked; UINT32_MAX: nobody yet */
    struct change_request request;
};

/* What the story counts by. */
enum {
    SWARM_CLIENTS_MAX = CLUSTER_CLIENTS_MAX,
    SWARM_OUTCOMES = HISTORY_UNKNOWN + 1,
};

/* What the story had told of the load a second ago. */
struct swarm_second {
    uint64_t begun_ns; /* of the cluster */
    uint64_t due_ns;   /* the next line */
    uint64_t ok;
    uint64_t refused;
    uint64_t unknown;
    size_t committed;
    uint32_t outcomes[SWARM_CLIENTS_MAX][SWARM_OUTCOMES]; /* of each client, by enum */
};

struct swarm {
    const struct swarm_plan *plan;
    const struct swarm_watch *watch;
    struct swarm_result *result;
    struct world *world;
    struct random random; /* of what the plan leaves open */
    uint64_t begun_ns;    /* of the world */
    uint64_t step;
    uint32_t hosts[SWARM_NODES_MAX]; /* of the world, by index */
    struct swarm_node nodes[SWARM_NODES_MAX];
    struct swarm_way ways[SWARM_ENDS][SWARM_ENDS];
    bool begun[SWARM_ACTIONS_MAX];
    bool over[SWARM_ACTIONS_MAX];
    uint32_t who[SWARM_ACTIONS_MAX]; /* the node that changed places with a leader's */
    bool schedule_over;
    uint64_t schedule_due_ns; /* when the next action begins or ends, of the world */
    struct swarm_check check;
    struct swarm_votes votes;
    struct cluster_clients *clients;
    struct committed_log *log;
    struct swarm_change change;
    struct swarm_second second;
    struct swarm_talk *talk; /* NULL: nobody listens to the story */
};

/* ---- swarm_run.c --------------------------------------------------------------------------- */

/* The first finding ends the run. */
__attribute__((format(printf, 2, 3))) void swarm_find(struct swarm *swarm, const char *format, ...);

/* Adds a line to the story, if somebody listens. */
__attribute__((format(printf, 2, 3))) void swarm_say(struct swarm *swarm, const char *format, ...);

/* Likewise, of a moment that may be over, or without a time, below a line that has one.  Somebody
 * listens (asserted). */
__attribute__((format(printf, 3, 4))) void swarm_say_at(struct swarm *swarm, uint64_t time_ns,
                                                        const char *format, ...);
__attribute__((format(printf, 2, 3))) void swarm_say_more(struct swarm *swarm, const char *format,
                                                          ...);

/* Adds to a text that ends within its bytes; what does not fit is cut off. */
__attribute__((format(printf, 3, 4))) void swarm_text_add(char *text, size_t text_bytes,
                                                          const char *format, ...);

/* Whether there is a finding. */
bool swarm_broken(const struct swarm *swarm);

/* Time since the cluster began. */
uint64_t swarm_time_ns(const struct swarm *swarm);

/* ---- swarm_story.c ------------------------------------------------------------------------- */

/* The first second begins now; and what each has brought, when it is over, or `always`. */
void swarm_story_begin(struct swarm *swarm);
void swarm_story_second(struct swarm *swarm, bool always);

/* How things stand: what a finding's reader needs first. */
void swarm_story_broken(struct swarm *swarm);

/* ---- swarm_plan.c, swarm_plan_reads.c, swarm_plan_votes.c ---------------------------------- */

/* Adds an action to a plan that has room for it, in the order of time. */
void swarm_plan_add(struct swarm_plan *plan, const struct swarm_action *action);

/* In a share of the seeds: contested elections. */
void swarm_plan_draw_votes(struct swarm_plan *plan);

/* In a share of the seeds: changes of members that nobody but the leader has in its log. */
void swarm_plan_draw_members(struct swarm_plan *plan);

/* In a share of the seeds: leaders that notice late that they lead no more, and many reads. */
void swarm_plan_draw_reads(struct swarm_plan *plan);

/* ---- swarm_cluster.c ----------------------------------------------------------------------- */

/* A world with so many hosts, no process yet. */
void swarm_cluster_create(struct swarm *swarm);
void swarm_cluster_destroy(struct swarm *swarm);

/* Begins to end a process that is UP; others are left as they are.  `steps`: of its disk that are
 * still made, for a power cut. */
void swarm_process_end(struct swarm *swarm, uint32_t index, enum swarm_end end,
                       enum world_power_cut cut, uint64_t steps);

/* Starts what is down and wanted, ends what is at rest, and lets each process do one thing; whether
 * anything was done. */
bool swarm_cluster_step(struct swarm *swarm);

/* When a process wants to be looked at though nothing happens; UINT64_MAX: never. */
uint64_t swarm_cluster_due_ns(const struct swarm *swarm);

/* The index of the node that leads in the highest term; UINT32_MAX: nobody. */
uint32_t swarm_leader(const struct swarm *swarm);

/* ---- swarm_plan_logs.c --------------------------------------------------------------------- */

/* Adds, in a share of the seeds, what makes logs differ; from a stream of chance of its own. */
void swarm_plan_logs_draw(struct swarm_plan *plan);

/* Draws a load of large values, of so much at most; false, and nothing changed, if the links do not
 * carry it. */
bool swarm_plan_draw_large(struct random *random, struct swarm_plan *plan,
                           uint64_t bytes_a_second_max);

/* ---- swarm_plan_full.c --------------------------------------------------------------------- */

/* Adds, in a share of the seeds, full disks and slow reads; likewise. */
void swarm_plan_draw_full(struct swarm_plan *plan);

/* ---- swarm_fault.c ------------------------------------------------------------------------- */

/* Fills in what an action of this fault needs, its times apart. */
void swarm_fault_draw(struct random *random, const struct swarm_plan *plan,
                      struct swarm_action *action);

/* How often a fault is drawn, beside the others; whether it means nothing in a cluster of one. */
uint32_t swarm_fault_weight(enum swarm_fault fault);
bool swarm_fault_needs_others(enum swarm_fault fault);

/* Begins and ends an action. `number` is its own in the plan. */
void swarm_fault_begin(struct swarm *swarm, uint32_t number);
void swarm_fault_end(struct swarm *swarm, uint32_t number);

/* Writes what an action does, in words; `who`: the node that it befalls, or UINT32_MAX: as planned.
 */
void swarm_fault_print(const struct swarm_action *action, uint32_t who, char *text,
                       size_t text_bytes);

/* Tells the world what is in force for a node, after something has changed. */
void swarm_node_apply(struct swarm *swarm, uint32_t index);

/* ---- swarm_links.c ------------------------------------------------------------------------- */

/* Draws the ways of an action: between nodes in any shape; between clients and nodes. */
void swarm_links_draw(struct random *random, const struct swarm_plan *plan,
                      struct swarm_action *action);
void swarm_links_draw_clients(struct random *random, const struct swarm_plan *plan,
                              struct swarm_action *action);

/* Something begins and ends on the ways of an action; `who` has changed places with its node. */
void swarm_ways_begin(struct swarm *swarm, const struct swarm_action *action, uint32_t who,
                      enum swarm_way_effect effect);
void swarm_ways_end(struct swarm *swarm, const struct swarm_action *action, uint32_t who,
                    enum swarm_way_effect effect);

/* Resets all connections between nodes whose ways these are. */
void swarm_ways_reset(struct swarm *swarm, const struct swarm_action *action, uint32_t who);

/* Tells the world what is in force on all ways, after something has changed. */
void swarm_ways_apply(struct swarm *swarm);

/* Writes the ways of an action, whose node has changed places with `who`: " 1>2 2>1". */
void swarm_links_print(const struct swarm_action *action, uint32_t who, char *text,
                       size_t text_bytes);

/* ---- swarm_damage.c ------------------------------------------------------------------------ */

/* Damages a sector of this node's disk that may be damaged, if a minority of disks is then; what is
 * damaged, and how, is drawn from `seed`. */
void swarm_damage(struct swarm *swarm, uint32_t index, uint64_t seed);

/* This node loses power and its disk, if a minority of disks is lost then; it starts from an empty
 * one, under its id. */
void swarm_lose_disk(struct swarm *swarm, uint32_t index);

/* ---- swarm_stored.c ------------------------------------------------------------------------ */

/* The process of this node has done something, and its log is what its core believes it is. */
void swarm_stored_check(struct swarm_check *check, struct swarm *swarm, uint32_t index);

/* ---- swarm_check_votes.c ------------------------------------------------------------------- */

/* The process of this node has done something, perhaps while it ends; before swarm_check_node. */
void swarm_check_vote(struct swarm *swarm, uint32_t index);

/* A process has started: what it has read of its vote.  Then as above. */
void swarm_check_vote_read(struct swarm *swarm, uint32_t index);

/* This node, which was just seen to lead this term, has the votes of a quorum in it. */
void swarm_check_leader_votes(struct swarm *swarm, uint32_t index, uint64_t term);

/* What this node has committed since the last look, if it was its leader then and still is, ends
 * with an entry of its term; before that look is forgotten. */
void swarm_check_counted(struct swarm *swarm, uint32_t index);

/* ---- swarm_voters.c ------------------------------------------------------------------------ */

/* The first configuration: voters 1 to `founders`. */
void swarm_voters_first(struct swarm_check *check, uint32_t founders);

/* A node has this configuration entry in its log, and everything up to `commit` is committed. */
void swarm_voters_saw(struct swarm *swarm, uint32_t node, const uint8_t *entry, uint64_t commit);

/* Whether the configuration that this node's core goes by is the last one in its log, where that is
 * known.  The node is in step. */
void swarm_voters_in_force(struct swarm *swarm, uint32_t node);

/* Whether `nodes` (bit n) are a majority of the voters, and of the outgoing ones of a joint
 * configuration. */
bool swarm_voters_quorum(const struct configuration *members, uint32_t nodes);

/* Whether an entry of this node's log may be committed once it is durable on these nodes. */
bool swarm_voters_may_commit(const struct swarm *swarm, uint32_t node, uint64_t index,
                             uint32_t nodes);

/* Whether this node may lead with the votes of these nodes: of a quorum of the last configuration
 * in its log. */
bool swarm_voters_may_lead(const struct swarm *swarm, uint32_t node, uint32_t nodes);

/* The last configuration that was committed. */
const struct configuration *swarm_voters_committed(const struct swarm *swarm);

/* Whether these nodes are a quorum whatever configuration comes into force: of the last one that
 * was committed, and of each one behind it that was seen in any log. */
bool swarm_voters_quorum_of_all(const struct swarm *swarm, uint32_t nodes);

/* Who is a voter in any of these. */
uint32_t swarm_voters_all(const struct swarm *swarm);

/* The nodes whose disks are not to be counted on. */
uint32_t swarm_voters_lost(const struct swarm *swarm);

/* Whether one more disk may be lost or damaged: the others stay a quorum whatever happens. */
bool swarm_voters_may_lose(const struct swarm *swarm, uint32_t index);

/* Whether this node is to have everything in the end: a member whose disk is to be counted on. */
bool swarm_voters_counts(const struct swarm *swarm, uint32_t index);

/* ---- swarm_reads.c ------------------------------------------------------------------------- */

/* Whether reads that this node has answered at once may have been, after a step of it and before
 * what it has committed in that is noted. */
void swarm_reads_look(struct swarm_check *check, struct swarm *swarm, uint32_t node);

/* ---- swarm_members.c ----------------------------------------------------------------------- */

/* What an action of SWARM_MEMBERS draws, how it begins and ends. */
void swarm_members_draw(struct random *random, const struct swarm_plan *plan,
                        struct swarm_action *action);
void swarm_members_begin(struct swarm *swarm, const struct swarm_action *action, uint32_t node);
void swarm_members_end(struct swarm *swarm, const struct swarm_action *action, uint32_t node);

/* Asks whoever leads, again and again, until it has come about; cheap when nothing is due. */
void swarm_members_poll(struct swarm *swarm);

/* Whether somebody was asked for other members, and has not said yet what became of it. */
bool swarm_members_open(const struct swarm *swarm);

/* ---- swarm_schedule.c ---------------------------------------------------------------------- */

/* Begins and ends the actions that are due, and finds out when the next one is. */
void swarm_schedule(struct swarm *swarm);

/* Nothing begins any more, and for these nodes (bit n) everything ends. */
void swarm_heal(struct swarm *swarm, uint32_t nodes);

/* ---- swarm_judge.c ------------------------------------------------------------------------- */

/* Judges the histories by the committed entries. */
void swarm_judge(struct swarm *swarm);

/* ---- swarm_halt.c ---- */

/* What an action of SWARM_HALT draws, how it begins and ends, and its place as text. */
void swarm_halt_draw(struct random *random, const struct swarm_plan *plan,
                     struct swarm_action *action);
void swarm_halt_begin(struct swarm *swarm, const struct swarm_action *action, uint32_t node);
void swarm_halt_end(struct swarm *swarm, const struct swarm_action *action, uint32_t node);
void swarm_halt_print(const struct swarm_action *action, char *text, size_t text_bytes);

#endif
