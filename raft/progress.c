/*
 * What a leader knows of one peer.
 *
 * Happy path: a probe is granted; then entries are sent ahead, each message noted in the ring, and
 * each granted answer frees what it covers.
 *
 * Failure modes: a refusal, a lost connection, a silence: back to probing.  Answers may be late,
 * repeated and out of order: what they say of match stays true for the term, and what they say of
 * agreement counts only for the message that is being waited for.
 */

#include "raft/progress.h"

#include "base/assert.h"
#include "base/mutant.h"

/* From, to.  Drawn in the header. */
static const bool moves[3][3] = {
    [PROGRESS_PROBE][PROGRESS_REPLICATE] = true,    /* granted */
    [PROGRESS_PROBE][PROGRESS_SNAPSHOT] = true,     /* needs what is compacted */
    [PROGRESS_REPLICATE][PROGRESS_PROBE] = true,    /* refused, lost or silent */
    [PROGRESS_REPLICATE][PROGRESS_SNAPSHOT] = true, /* needs what is compacted */
    [PROGRESS_SNAPSHOT][PROGRESS_PROBE] = true,     /* installed, or given up */
};

static uint64_t larger(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

static uint64_t smaller(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static void inflight_reset(struct progress *progress) {
    progress->inflight_head = 0;
    progress->inflight_count = 0;
    progress->inflight_bytes = 0;
}

/* Whatever was waited for in the old state is waited for no longer. */
static void move(struct progress *progress, enum progress_state state) {
    ASSERT(moves[progress->state][state]);
    progress->state = state;
    progress->probe_sent = false;
    progress->chunk_sent = false;
    inflight_reset(progress);
}

/* The message that is position behind the oldest in flight. */
static struct progress_inflight *inflight_at(const struct progress *progress, uint32_t position) {
    uint32_t at = progress->inflight_head + position;
    return &progress->inflight[at < progress->inflight_capacity ? at
                                                                : at - progress->inflight_capacity];
}

static void inflight_free_first(struct progress *progress) {
    progress->inflight_bytes -= inflight_at(progress, 0)->bytes;
    uint32_t head = progress->inflight_head + 1;
    progress->inflight_head = head < progress->inflight_capacity ? head : 0;
    progress->inflight_count--;
}

void progress_begin(struct progress *progress, uint64_t node_id, uint64_t incarnation,
                    uint32_t session, uint64_t next, uint64_t now_ns) {
    ASSERT(node_id != 0);
    ASSERT(next >= 1);
    *progress = (struct progress){
        .node_id = node_id,
        .incarnation = incarnation,
        .state = PROGRESS_PROBE,
        .session = session,
        .next = next,
        .began_ns = now_ns,
        .inflight_capacity = progress->inflight_capacity,
        .inflight = progress->inflight,
    };
}

void progress_snapshot(struct progress *progress, uint64_t snapshot_index) {
    ASSERT(snapshot_index > progress->match);
    move(progress, PROGRESS_SNAPSHOT);
    progress->snapshot_index = snapshot_index;
    progress->snapshot_offset = 0;
    progress->next = progress->match + 1;
}

void progress_probe(struct progress *progress) {
    switch (progress->state) {
    case PROGRESS_PROBE:
        /* What is known of the place where the logs agree stays. */
        progress->probe_sent = false;
        return;
    case PROGRESS_REPLICATE: progress->next = progress->match + 1; break;
    case PROGRESS_SNAPSHOT:
        progress->next = larger(progress->match, progress->snapshot_index) + 1;
        progress->snapshot_index = 0;
        break;
    }
    move(progress, PROGRESS_PROBE);
}

/* PROBE: an answer that covers the entry before the one to be sent.  Or it covers less, but news:
 * it had granted, and is still writing. */
static void probe_granted(struct progress *progress, uint64_t match, bool news) {
    if (news || match + 1 >= progress->next) {
        move(progress, PROGRESS_REPLICATE);
    }
}

bool progress_granted(struct progress *progress, uint64_t match) {
    bool news = match > progress->match;
    if (progress->state == PROGRESS_PROBE) {
        probe_granted(progress, match, news);
    }
    if (!news) {
        return false;
    }
    progress->match = match;
    progress->next = larger(progress->next, match + 1);
    while (progress->inflight_count > 0 && inflight_at(progress, 0)->last_index <= match) {
        inflight_free_first(progress);
    }
    if (progress->state == PROGRESS_SNAPSHOT && match >= progress->snapshot_index) {
        progress_probe(progress);
    }
    return true;
}

bool progress_refused(struct progress *progress, uint64_t previous, uint64_t agree) {
    if (progress->state == PROGRESS_SNAPSHOT ||
        MUTANT(GOES_BELOW_MATCH, false, previous <= progress->match) ||
        previous >= progress->next) {
        return false;
    }
    if (progress->state == PROGRESS_PROBE) {
        if (previous != progress->next - 1) {
            return false;
        }
        progress->probe_sent = false;
    } else {
        move(progress, PROGRESS_PROBE);
    }
    uint64_t back = smaller(agree, previous - 1);
    progress->next = MUTANT(GOES_BELOW_MATCH, back, larger(progress->match, back)) + 1;
    return true;
}

void progress_sent(struct progress *progress, uint64_t last_index, uint32_t entry_count,
                   uint64_t bytes) {
    ASSERT_HOT(last_index + 1 == progress->next + entry_count);
    if (progress->state == PROGRESS_PROBE) {
        ASSERT_HOT(!progress->probe_sent);
        progress->probe_sent = true;
        return;
    }
    ASSERT_HOT(progress->state == PROGRESS_REPLICATE);
    if (entry_count == 0) {
        return; /* a question, which needs no room */
    }
    ASSERT_HOT(progress->inflight_count < progress->inflight_capacity);
    struct progress_inflight *sent = inflight_at(progress, progress->inflight_count);
    sent->last_index = last_index;
    sent->bytes = bytes;
    progress->inflight_count++;
    progress->inflight_bytes += bytes;
    progress->next = last_index + 1;
}

void progress_shortened(struct progress *progress, uint64_t index) {
    if (progress->state != PROGRESS_REPLICATE || index + 1 >= progress->next) {
        return;
    }
    /* Messages behind the shortened one; it is the first that ends behind index. */
    while (progress->inflight_count > 1 &&
           inflight_at(progress, progress->inflight_count - 2)->last_index > index) {
        progress->inflight_count--;
        progress->inflight_bytes -= inflight_at(progress, progress->inflight_count)->bytes;
    }
    progress->next = larger(progress->match, index) + 1;
    if (progress->inflight_count > 0) {
        struct progress_inflight *last = inflight_at(progress, progress->inflight_count - 1);
        uint64_t before = progress->inflight_count > 1
                              ? inflight_at(progress, progress->inflight_count - 2)->last_index
                              : progress->match;
        if (index > before) {
            last->last_index = index;
        } else {
            /* Nothing of it was sent. */
            progress->inflight_count--;
            progress->inflight_bytes -= last->bytes;
        }
    }
}

bool progress_may_send(const struct progress *progress, uint64_t inflight_bytes_max) {
    switch (progress->state) {
    case PROGRESS_PROBE: return !progress->probe_sent;
    case PROGRESS_REPLICATE:
        return progress->inflight_count < progress->inflight_capacity &&
               progress->inflight_bytes < inflight_bytes_max;
    case PROGRESS_SNAPSHOT: break;
    }
    return false;
}

bool progress_heard(struct progress *progress) {
    progress->probe_sent = false;
    return progress->state == PROGRESS_REPLICATE && progress->match + 1 < progress->next;
}

const char *progress_state_name(enum progress_state state) {
    switch (state) {
    case PROGRESS_PROBE: return "probe";
    case PROGRESS_REPLICATE: return "replicate";
    case PROGRESS_SNAPSHOT: return "snapshot";
    }
    return "unknown state";
}

void progress_check(const struct progress *progress, uint64_t last_index) {
    ASSERT(progress->node_id != 0);
    ASSERT(progress->match < progress->next);
    ASSERT(progress->match <= last_index && progress->next <= last_index + 1);
    ASSERT(!progress->probe_sent || progress->state == PROGRESS_PROBE);
    ASSERT(!progress->chunk_sent || progress->state == PROGRESS_SNAPSHOT);
    ASSERT((progress->snapshot_index != 0) == (progress->state == PROGRESS_SNAPSHOT));
    ASSERT(progress->snapshot_index == 0 || progress->snapshot_index > progress->match);
    ASSERT(progress->inflight_count == 0 || progress->state == PROGRESS_REPLICATE);
    ASSERT(progress->inflight_count <= progress->inflight_capacity);
    uint64_t index = progress->match;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < progress->inflight_count; i++) {
        ASSERT(inflight_at(progress, i)->last_index > index);
        index = inflight_at(progress, i)->last_index;
        bytes += inflight_at(progress, i)->bytes;
    }
    ASSERT(index < progress->next);
    ASSERT(bytes == progress->inflight_bytes);
}
