/*
 * Log time: max(last log time, base + monotonic time since leadership began), in milliseconds,
 * where base = max(last log time, wall clock) at that moment.  It never goes back, whatever the
 * wall clock does while the leader leads.  A new leader's wall clock may be wrong, and log time
 * never goes back: what one hour too much has expired is gone.  So an operator can limit the first
 * jump (log_time_jump_ms_max); log time then goes on from there, behind the wall clock.
 *
 * When the machine's earliest deadline has passed and no entry comes by, the leader appends an
 * entry that holds nothing but the time; and only then: an idle log does not grow.  While there is
 * no room on disks there are few of these, further and further apart: what is due is late then.
 */

#include "base/assert.h"
#include "base/log.h"
#include "stages/replicate_internal.h"

enum {
    /* A first jump of log time beyond this is told loudly: the wall clock is probably wrong. */
    LOG_TIME_JUMP_MS_MAX = 24 * 3600 * 1000,
    /* The first of the gaps between time entries without room on disks. */
    TIME_GAP_NS = 1000 * 1000 * 1000,
};

/* Says what of the wall clock was not taken as it is. */
static void time_begin_say(const struct replicate_shard *shard, uint64_t last_ms,
                           uint64_t wall_ms) {
    if (shard->base_ms > last_ms && shard->base_ms < wall_ms) {
        log_error("log_time_limited",
                  "from_ms=%lu to_ms=%lu wall_ms=%lu what=\"the wall clock is further ahead of the "
                  "log than log-time-jump-max allows; log time goes on from that limit\"",
                  last_ms, shard->base_ms, wall_ms);
    } else if (last_ms != 0 && wall_ms > last_ms + LOG_TIME_JUMP_MS_MAX) {
        log_warn("log_time_jump",
                 "from_ms=%lu to_ms=%lu what=\"the wall clock is more than a day "
                 "ahead of the log; keys that expire in between are gone\"",
                 last_ms, wall_ms);
    } else if (wall_ms < last_ms) {
        log_warn("log_time_ahead",
                 "log_ms=%lu wall_ms=%lu what=\"the wall clock is behind the "
                 "log; log time goes on from the log's\"",
                 last_ms, wall_ms);
    }
}

void replicate_time_begin(struct replicate_shard *shard, uint64_t now_ns, uint64_t wall_ms) {
    uint64_t last_ms = log_tail(shard->log)->log_time_ms;
    uint64_t jump_ms_max = shard->node->options->log_time_jump_ms_max;
    shard->base_ms = wall_ms > last_ms ? wall_ms : last_ms;
    if (last_ms != 0 && jump_ms_max != 0 && shard->base_ms - last_ms > jump_ms_max) {
        shard->base_ms = last_ms + jump_ms_max;
    }
    shard->base_ns = now_ns;
    ASSERT(shard->base_ms >= last_ms);
    time_begin_say(shard, last_ms, wall_ms);
    /* Modulo 2^64; never 0, which says that nobody leads here. */
    node_figure_set(&shard->node->replicate.log_clock_ns,
                    (shard->base_ms * 1000000 - shard->base_ns) | 1);
}

uint64_t replicate_log_time(const struct replicate_shard *shard, uint64_t now_ns) {
    /* The time of a poll can be a little older than the moment at which leadership began in it. */
    uint64_t led_ns = now_ns > shard->base_ns ? now_ns - shard->base_ns : 0;
    uint64_t time_ms = shard->base_ms + led_ns / 1000000;
    uint64_t last_ms = log_tail(shard->log)->log_time_ms;
    return time_ms > last_ms ? time_ms : last_ms;
}

static bool is_full(const struct replicate_shard *shard) {
    return log_out_of_room(shard->log) || shard->majority_full;
}

/*
 * Whether an entry may say the time now; otherwise *due_ns is when.  Without room, here or where a
 * majority needs it, each of them uses up what logs keep for the first entries of the next terms:
 * then each is twice as far from the one before, so that there are 17 of them in a day.
 */
static bool gap_is_over(struct replicate_shard *shard, uint64_t now_ns, uint64_t *due_ns) {
    if (!is_full(shard)) {
        shard->time_gap_ns = 0;
        shard->time_due_ns = now_ns;
    }
    if (now_ns < shard->time_due_ns) {
        *due_ns = shard->time_due_ns;
        return false;
    }
    return true;
}

static void gap_begin(struct replicate_shard *shard, uint64_t now_ns) {
    if (is_full(shard)) {
        shard->time_gap_ns = shard->time_gap_ns == 0 ? TIME_GAP_NS : 2 * shard->time_gap_ns;
        shard->time_due_ns = now_ns + shard->time_gap_ns;
    }
}

/* Of what is kept for the first entries of terms only if there is nothing else; which the log then
 * says. */
static bool has_place(struct replicate_shard *shard) {
    return log_reserve(shard->log, ENTRY_HEADER_BYTES, false) != NULL ||
           (log_out_of_room(shard->log) &&
            log_reserve(shard->log, ENTRY_HEADER_BYTES, true) != NULL);
}

bool replicate_time_entry(struct replicate_shard *shard, uint64_t now_ns, uint64_t *due_ns) {
    *due_ns = UINT64_MAX;
    uint64_t deadline_ms = node_figure(&shard->node->apply.next_deadline_ms);
    if (!shard->serving || deadline_ms == UINT64_MAX || deadline_ms == 0 ||
        shard->encode.batch != NULL || shard->noop_term != 0 ||
        raft_role(shard->raft) != RAFT_LEADER) {
        return false; /* none, or an entry is coming, or another node's */
    }
    if (!raft_serving(shard->raft) || replicate_incoming_busy(shard)) {
        return false; /* who follows waits for the leader's; and the log's end is not known now */
    }
    uint64_t last_ms = log_tail(shard->log)->log_time_ms;
    if (last_ms >= deadline_ms) {
        return false; /* an entry already says that it has passed; apply will see it */
    }
    if (replicate_log_time(shard, now_ns) < deadline_ms) {
        /* The first nanosecond of the millisecond in which it is due.  Clients choose deadlines,
           and the clock's nanoseconds end in 584 years. */
        uint64_t left_ms = deadline_ms - shard->base_ms;
        if (left_ms > (UINT64_MAX - shard->base_ns) / 1000000) {
            return false;
        }
        *due_ns = shard->base_ns + left_ms * 1000000;
        return false;
    }
    if (!gap_is_over(shard, now_ns, due_ns)) {
        return false;
    }
    uint64_t index;
    uint64_t term;
    if (raft_propose(shard->raft, 1, ENTRY_HEADER_BYTES, &index, &term) != WEIR_OK ||
        !has_place(shard)) {
        *due_ns = now_ns; /* try again soon */
        return false;
    }
    struct entry_header header = {.length_bytes = ENTRY_HEADER_BYTES,
                                  .kind = ENTRY_TIME,
                                  .version = ENTRY_VERSION,
                                  .term = term,
                                  .log_time_ms = replicate_log_time(shard, now_ns)};
    gap_begin(shard, now_ns);
    uint64_t appended = replicate_append(shard, &header);
    ASSERT(appended == index);
    return true;
}
