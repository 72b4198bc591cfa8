/*
 * The runner: one thread that polls its shards in the order of the map.
 *
 * A round: look at the clock once, let the io deliver and submit (at most one system call), poll
 * each shard, wake the cores whose rings have grown.  A round without work waits by the core's
 * policy: spin, pause, park.  Parking is the doorbell's protocol with one more round as the check
 * in between, so nothing that was published before the bell was armed is left lying.
 *
 * Time.  The one system call of a round, which submits, sends and delivers, is charged to the
 * core's io shard: write if it runs here, otherwise read, otherwise replicate, otherwise the first.
 * An empty poll costs no look at the clock; it is charged with whatever comes next.  The longest
 * poll is noted without the time for which the thread was preempted in it.
 *
 * Failure modes: a shard whose start fails is reported by pipeline_start and the thread ends before
 * its first round.  A shard never fails in poll: it publishes node_signals.failed, and the main
 * thread drains the pipeline as for a clean stop.
 */

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "stages/pipeline_internal.h"

enum {
    /* A poll longer than this is counted: the bound that every stage must keep. */
    CORE_POLL_LIMIT_NS = 1000 * 1000,
    /* A poll longer than this by the wall clock is looked at more closely. */
    CORE_POLL_DOUBT_NS = 200 * 1000,
    /* Between two looks at the thread's CPU time while it works. */
    CORE_CPU_LOOK_NS = 1000 * 1000,
    /* ... and at the end of idle time, in which it may have used some. */
    CORE_IDLE_LOOK_NS = 100 * 1000,
    /* Between two looks at the thread's own figures (getrusage) before it sleeps ... */
    CORE_USAGE_NS = 100 * 1000 * 1000,
    /* ... and, in rounds, while it does not. */
    CORE_USAGE_ROUNDS = 4096,
};

const struct wait_policy *core_policy(const struct map *map) {
    /* A spinning thread would keep the CPU from the one it waits for; and a thread that is alone
       finds its next work in the kernel, which tells it at once. */
    if (map->oversubscribed || map->thread_count == 1) {
        return &wait_policies[WAIT_FRUGAL];
    }
    return &wait_policies[WAIT_BALANCED];
}

/* Wakes the consumers of the rings into which the shard has published since the last look. */
static void core_ring_bells(struct core *core, struct runner_shard *shard) {
    for (uint32_t i = 0; i < shard->out_count; i++) {
        struct ring_out *out = &shard->out[i];
        if (out->ring->tail == out->tail_seen) {
            continue;
        }
        out->tail_seen = out->ring->tail;
        if (out->consumer != NULL && doorbell_ring(&out->consumer->doorbell)) {
            gauge_add(&core->gauge->doorbells_sent, 1);
        }
    }
}

/* Charges the time since the last charge to a regime of the core, and of a shard if it is one's. */
static uint64_t core_charge(struct core *core, struct runner_shard *shard,
                            enum gauge_regime regime) {
    return gauge_charge(core->gauge, shard == NULL ? NULL : shard->gauge, regime,
                        io_monotonic_ns(core->io));
}

static void core_usage(struct core *core) {
    struct rusage usage;
    if (getrusage(RUSAGE_THREAD, &usage) == 0) {
        gauge_set(&core->gauge->switches_forced, (uint64_t)usage.ru_nivcsw);
        gauge_set(&core->gauge->switches_chosen, (uint64_t)usage.ru_nvcsw);
        gauge_set(&core->gauge->page_faults, (uint64_t)(usage.ru_minflt + usage.ru_majflt));
        uint64_t cpu_us = (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
                          (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
        gauge_set(&core->gauge->cpu_ns, cpu_us * 1000);
    }
    core->usage_seen_ns = core->gauge->charged_until_ns;
}

/* Begins the next stretch of time for core_lost. */
static void core_look(struct core *core) {
    core->look_ns = core->gauge->charged_until_ns;
    core->look_idle_ns = core->gauge->regime_ns[GAUGE_IDLE];
    core->look_cpu_ns = clock_thread_cpu_ns();
}

/*
 * How long this thread has been without a CPU since the last look, other than asleep in idle time:
 * preempted, since a stage has nothing else to wait for.  Time in which the hypervisor runs
 * somebody else passes for ours.
 */
static uint64_t core_lost_ns(struct core *core) {
    uint64_t wall_ns = core->gauge->charged_until_ns - core->look_ns;
    uint64_t idle_ns = core->gauge->regime_ns[GAUGE_IDLE] - core->look_idle_ns;
    uint64_t cpu_ns = clock_thread_cpu_ns() - core->look_cpu_ns;
    return wall_ns > idle_ns + cpu_ns ? wall_ns - idle_ns - cpu_ns : 0;
}

/*
 * What lasted elapsed_ns by the wall clock, until now, has lasted how long on a CPU?  Short ones
 * are taken as they are; of a long one what the thread lost since the last look is taken off.  A
 * look is never long ago: at every long one, and otherwise every CORE_CPU_LOOK_NS, which costs
 * 0.03 %.
 */
static uint64_t core_busy_ns(struct core *core, uint64_t elapsed_ns) {
    if (core->pipeline->stepped) {
        return elapsed_ns; /* the time is a simulated one */
    }
    uint64_t busy_ns = elapsed_ns;
    if (elapsed_ns > CORE_POLL_DOUBT_NS) {
        uint64_t lost_ns = core_lost_ns(core);
        busy_ns = lost_ns < elapsed_ns ? elapsed_ns - lost_ns : 0;
        core_look(core);
    } else if (core->gauge->charged_until_ns - core->look_ns > CORE_CPU_LOOK_NS) {
        core_look(core);
    }
    return busy_ns;
}

/*
 * Idle time ends.  What the thread has used of a CPU in it (parking, waking, looking around) hides
 * as much time that is lost later: so the next stretch begins here, unless this one is so short
 * that little can hide in it.
 */
static void core_idle_done(struct core *core) {
    core_charge(core, NULL, GAUGE_IDLE);
    if (!core->pipeline->stepped &&
        core->gauge->charged_until_ns - core->look_ns > CORE_IDLE_LOOK_NS) {
        core_look(core);
    }
}

/* A poll that lasted elapsed_ns by the wall clock is over. */
static void core_poll_done(struct core *core, struct runner_shard *shard, uint64_t elapsed_ns) {
    uint64_t poll_ns = core_busy_ns(core, elapsed_ns);
    if (poll_ns > CORE_POLL_LIMIT_NS) {
        gauge_add(&core->gauge->polls_over_limit, 1);
    }
    gauge_poll_done(core->gauge, shard->gauge, shard->gauge_index, poll_ns);
}

/* Polls one shard; its empty polls are charged with whatever comes next, so that they cost no look
 * at the clock. */
static uint32_t core_poll_shard(struct core *core, struct runner_shard *shard,
                                const struct stage_moment *moment, uint32_t budget) {
    struct stage_result result = shard->stage->poll(shard->state, moment, budget);
    gauge_add(&shard->gauge->polls, 1);
    core->awaits = core->awaits || result.awaits;
    ASSERT(!core->pipeline->stepped || result.units <= STAGE_POLL_UNITS_MAX);
    if (result.work == 0 && !result.blocked) {
        return 0;
    }
    if (result.blocked) {
        gauge_add(&shard->gauge->blocked, 1);
    }
    if (result.work > 0) {
        gauge_add(&shard->gauge->polls_worked, 1);
        gauge_add(&shard->gauge->items, result.work);
        gauge_max(&shard->gauge->most_units, result.units);
        core_ring_bells(core, shard);
    }
    uint64_t elapsed_ns = core_charge(core, shard, result.work > 0 ? GAUGE_WORKING : GAUGE_BLOCKED);
    core_poll_done(core, shard, elapsed_ns);
    return result.work;
}

/* One round; returns what was done. */
static uint32_t core_round(struct core *core, uint32_t budget) {
    struct stage_moment moment = {.monotonic_ns = io_monotonic_ns(core->io),
                                  .wall_ms = io_wall_ms(core->io)};
    uint32_t work = io_poll(core->io);
    if (work > 0 || io_called(core->io)) { /* what it submits takes time, too: no stage's */
        uint64_t io_ns = core_charge(core, core->io_shard, GAUGE_WORKING);
        gauge_max(&core->gauge->longest_io_ns, core_busy_ns(core, io_ns));
    }
    core->awaits = false;
    for (uint32_t i = 0; i < core->shard_count; i++) {
        work += core_poll_shard(core, core->shards[i], &moment, budget);
    }
    gauge_add(&core->gauge->loops, 1);
    if (work == 0) {
        gauge_add(&core->gauge->loops_empty, 1);
        core_idle_done(core);
    } else {
        core_charge(core, core->shards[0], GAUGE_HOUSEKEEPING);
    }
    return work;
}

/* Disarms the doorbell, after sleep or instead of it. */
static void core_disarm(struct core *core) {
    if (doorbell_finish(&core->doorbell)) {
        gauge_add(&core->gauge->wakes, 1);
    }
}

/* Arms the doorbell; true if the core may then sleep in io_park and must call core_disarm behind
 * it.  False, and disarmed, if one more round finds work after all, or somebody has asked for
 * another thing than what the caller knows of. */
static bool core_arm(struct core *core, uint32_t budget, uint32_t stop_seen) {
    if (!doorbell_prepare(&core->doorbell)) {
        return false;
    }
    gauge_add(&core->gauge->parks_prepared, 1);
    if (core_round(core, budget) == 0 &&
        atomic_load_relaxed_u32(&core->pipeline->stop) == stop_seen) {
        return true;
    }
    core_disarm(core);
    return false;
}

/* Sleeps, and notes for how long.  A core that has been busy for a third of the time or more may
 * gather: there is more work than for one wake each.  But nobody else may wait for its doorbell,
 * and no client for another node's answer: all that come with it would wait as long again. */
static void core_sleep(struct core *core, bool alone) {
    uint64_t slept_ns = core->gauge->charged_until_ns;
    core->recent_busy_ns += slept_ns - core->woken_ns - core->recent_busy_ns / 8;
    if (alone && !core->awaits && core->recent_busy_ns * 2 > core->recent_idle_ns) {
        io_park_gathering(core->io, core->policy->gather_us * UINT64_C(1000));
        gauge_add(&core->gauge->gathers, 1);
    } else {
        io_park(core->io, UINT64_MAX);
    }
    gauge_add(&core->gauge->parks, 1);
    core_idle_done(core);
    core->woken_ns = core->gauge->charged_until_ns;
    core->recent_idle_ns += core->woken_ns - slept_ns - core->recent_idle_ns / 8;
}

/* Sleeps until the io or a doorbell has something, unless there is a reason not to. */
static void core_park(struct core *core, uint32_t stop_seen) {
    /* Alone, only the io can bring work, and a wake of the main thread's is sticky. */
    bool alone = core->pipeline->core_count == 1;
    if (!alone && !core_arm(core, PIPELINE_BUDGET, stop_seen)) {
        return;
    }
    if (core->gauge->charged_until_ns - core->usage_seen_ns > CORE_USAGE_NS) {
        core_usage(core);
    }
    core_sleep(core, alone);
    if (!alone) {
        core_disarm(core);
    }
}

/* Asks the shards that may come to rest to do so; says whether all of this core have, and in *moved
 * whether one has just now. */
static bool core_drain_pass(struct core *core, const struct stage_moment *moment, bool *moved) {
    bool all = true;
    *moved = false;
    for (uint32_t i = 0; i < core->shard_count; i++) {
        struct runner_shard *shard = core->shards[i];
        if (shard->drained != 0) {
            continue;
        }
        if (pipeline_drained_before(core->pipeline, shard->stage->id) &&
            shard->stage->drain(shard->state, moment)) {
            /* Partner: the acquire in pipeline_drained_before, on the cores behind. */
            atomic_store_release_u32(&shard->drained, 1);
            *moved = true;
            for (uint32_t other = 0; other < core->pipeline->core_count; other++) {
                if (other != core->index) {
                    io_wake(core->pipeline->cores[other].io);
                }
            }
        } else {
            all = false;
        }
        core_ring_bells(core, shard);
    }
    return all;
}

/* True once all shards of this core are at rest.  The map may poll a stage before the one that it
 * waits for, so it is asked again for as long as that changes something: nobody wakes us for it. */
static bool core_drain(struct core *core) {
    struct stage_moment moment = {.monotonic_ns = io_monotonic_ns(core->io),
                                  .wall_ms = io_wall_ms(core->io)};
    bool moved;
    bool all;
    do {
        all = core_drain_pass(core, &moment, &moved);
    } while (moved && !all);
    return all;
}

static void core_loop(struct core *core) {
    struct wait_state wait = {0};
    uint32_t rounds = 0;
    for (;;) {
        uint32_t work = core_round(core, PIPELINE_BUDGET);
        if (++rounds % CORE_USAGE_ROUNDS == 0) {
            core_usage(core);
        }
        /* Partner: pipeline_stop, which also wakes us. */
        if (atomic_load_acquire_u32(&core->pipeline->stop) != 0) {
            if (core_drain(core)) {
                return;
            }
            if (work == 0) {
                /* Somebody is not at rest yet; who comes to rest wakes everybody. */
                core_park(core, 1);
            }
            continue;
        }
        if (work > 0) {
            wait_reset(&wait);
            continue;
        }
        switch (wait_next(core->policy, &wait)) {
        case WAIT_SPIN: break;
        case WAIT_PAUSE: wait_pause(); break;
        case WAIT_PARK:
            core_park(core, 0);
            wait_reset(&wait);
            break;
        }
    }
}

static void core_pin(struct core *core) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core->cpu, &set);
    if (sched_setaffinity(0, sizeof(set), &set) != 0) {
        log_warn("core_not_pinned", "core=%u cpu=%u errno=%d", core->index, core->cpu, errno);
    }
}

/*
 * Where threads share a CPU, one that is woken shall not push its waker aside: that one has more
 * for it, and a round of one item costs a switch.  So says SCHED_BATCH, which anybody may ask for
 * in place of the usual policy; whoever started us with another one has decided.
 */
static void core_share_cpu(const struct core *core) {
    struct sched_param none = {0};
    if (core->pipeline->map.oversubscribed && sched_getscheduler(0) == SCHED_OTHER &&
        sched_setscheduler(0, SCHED_BATCH, &none) != 0) {
        log_warn("core_not_batch", "core=%u errno=%d", core->index, errno);
    }
}

void core_start(struct core *core) {
    io_adopt(core->io);
    gauge_core_start(core->gauge, io_monotonic_ns(core->io));
    core->woken_ns = core->gauge->charged_until_ns;
    core_look(core);
    for (uint32_t i = 0; i < core->shard_count && core->start_error == 0; i++) {
        struct runner_shard *shard = core->shards[i];
        gauge_set(&shard->gauge->core, core->index + 1);
        if (shard->stage->start != NULL) {
            core->start_error = shard->stage->start(shard->state, &core->start_text);
        }
    }
}

/*
 * The loop of a thread, turned inside out: what core_loop and core_park do between two looks at
 * whether the core may sleep, except for the waiting itself.
 */
enum pipeline_step pipeline_step(struct pipeline *pipeline, uint32_t core_index, uint32_t budget) {
    ASSERT(pipeline->stepped && core_index < pipeline->core_count && budget > 0);
    struct core *core = &pipeline->cores[core_index];
    if (core->ended) {
        return PIPELINE_ENDED;
    }
    if (core->asleep) {
        core->asleep = false;
        io_park(core->io, 0); /* takes what io_wake left */
        core_charge(core, NULL, GAUGE_IDLE);
        core_disarm(core);
    }
    uint32_t work = core_round(core, budget);
    uint32_t stop = atomic_load_acquire_u32(&pipeline->stop);
    if (stop != 0 && core_drain(core)) {
        core->ended = true;
        return PIPELINE_ENDED;
    }
    if (work == 0) {
        core->asleep = core_arm(core, budget, stop);
    }
    return core->asleep ? PIPELINE_ASLEEP : PIPELINE_WORKED;
}

void *core_main(void *argument) {
    struct core *core = argument;
    char name[16]; /* the kernel's limit for a thread's name */
    snprintf(name, sizeof(name), "weir-%u-cpu%u", core->index % 100, core->cpu % 1000);
    pthread_setname_np(pthread_self(), name);
    core_pin(core);
    core_share_cpu(core);
    core_start(core);
    if (pipeline_gate_pass(core->pipeline)) {
        core_charge(core, core->shards[0], GAUGE_HOUSEKEEPING); /* the start is nobody's poll */
        core_look(core);
        core_loop(core);
    }
    core_usage(core);
    return NULL;
}
