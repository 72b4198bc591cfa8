/*
 * Who holds most of the replies' memory and does not read; and who has not read for very long.
 *
 * Happy path: nobody asks.  When apply had no reply memory for somebody who is entitled to some, it
 * counts that in a word of node_signals; write then scans its connections, some slots a poll, for
 * the one with the most bytes queued among those whose client has read nothing for
 * WRITE_HOG_STALL_NS, and cuts it.  If that was not enough, the next refusal asks again.
 *
 * Who has read nothing for WRITE_STALL_NS is cut though nobody asks: one timer is set to when the
 * first of them may be due, and then all are looked at.
 *
 * Who said CLIENT NO-EVICT ON is spared; what it may leave unread is bounded all the same.
 *
 * Failure mode: all of them read, only slowly: nobody is cut, and commands whose replies find no
 * room are refused until there is some.
 */

#include "base/assert.h"
#include "stages/write_internal.h"

static bool is_hog(const struct write_connection *connection, uint64_t now_ns) {
    return connection->state == WRITE_OPEN && connection->waiting &&
           connection->queue_bytes >= WRITE_HOG_BYTES_MIN &&
           now_ns - connection->waiting_since_ns >= WRITE_HOG_STALL_NS;
}

bool write_hog_scan(struct write_shard *shard, uint64_t now_ns, uint32_t *slot) {
    *slot = BATCH_NO_BLOCK;
    uint32_t wanted = atomic_load_relaxed_u32(&shard->node->signals.reply_wanted);
    if (shard->hog_scan == 0) {
        if (wanted == shard->hog_seen || now_ns < shard->hog_pause_ns) {
            return false;
        }
        shard->hog_seen = wanted;
        shard->hog_slot = BATCH_NO_BLOCK;
        shard->hog_bytes = 0;
    }
    uint32_t left = shard->connections_max - shard->hog_scan;
    uint32_t end = shard->hog_scan + (left < WRITE_SCAN_SLOTS ? left : WRITE_SCAN_SLOTS);
    for (; shard->hog_scan < end; shard->hog_scan++) {
        const struct write_connection *connection = &shard->connections[shard->hog_scan];
        if (connection->queue_bytes > shard->hog_bytes && is_hog(connection, now_ns) &&
            atomic_load_relaxed_u32(&shard->node->records[shard->hog_scan].no_evict) == 0) {
            shard->hog_slot = shard->hog_scan;
            shard->hog_bytes = connection->queue_bytes;
        }
    }
    if (shard->hog_scan < shard->connections_max) {
        return true;
    }
    shard->hog_scan = 0;
    shard->hog_pause_ns = now_ns + WRITE_HOG_PAUSE_NS;
    if (shard->hog_slot != BATCH_NO_BLOCK && is_hog(&shard->connections[shard->hog_slot], now_ns)) {
        *slot = shard->hog_slot;
    }
    return false;
}

static bool is_waited_for(const struct write_connection *connection) {
    return connection->state == WRITE_OPEN && connection->waiting &&
           connection->queue_bytes + connection->backlog_bytes >= WRITE_HOG_BYTES_MIN;
}

void write_stall_note(struct write_shard *shard, const struct write_connection *connection) {
    ASSERT(connection->waiting);
    if (shard->stall_ns == 0 && is_waited_for(connection)) {
        shard->stall_ns = connection->waiting_since_ns + WRITE_STALL_NS;
    }
}

bool write_stall_scan(struct write_shard *shard, uint64_t now_ns, uint32_t *slot) {
    *slot = BATCH_NO_BLOCK;
    if (shard->stall_ns == 0 || now_ns < shard->stall_ns) {
        return false;
    }
    if (shard->stall_scan == 0) {
        shard->stall_next_ns = 0;
    }
    const uint32_t left = shard->connections_max - shard->stall_scan;
    const uint32_t end = shard->stall_scan + (left < WRITE_SCAN_SLOTS ? left : WRITE_SCAN_SLOTS);
    while (shard->stall_scan < end && *slot == BATCH_NO_BLOCK) {
        const struct write_connection *connection = &shard->connections[shard->stall_scan];
        const uint64_t due_ns = connection->waiting_since_ns + WRITE_STALL_NS;
        if (is_waited_for(connection) && due_ns <= now_ns) {
            *slot = shard->stall_scan;
        } else if (is_waited_for(connection) &&
                   (shard->stall_next_ns == 0 || due_ns < shard->stall_next_ns)) {
            shard->stall_next_ns = due_ns;
        }
        shard->stall_scan++;
    }
    if (shard->stall_scan < shard->connections_max) {
        return true;
    }
    shard->stall_scan = 0;
    shard->stall_ns = shard->stall_next_ns;
    return false;
}

void write_unread_set(struct write_shard *shard, struct write_connection *connection, bool unread) {
    const size_t slot = (size_t)(connection - shard->connections);
    ASSERT(slot < shard->connections_max);
    if (connection->unread != unread) {
        connection->unread = unread;
        /* Partner: read's glance.  Late, it only delays. */
        atomic_store_relaxed_u32(&shard->node->records[slot].unread, unread);
    }
}
