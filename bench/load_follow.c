/*
 * Where a connection goes.
 *
 *     what came                               the request     the connection
 *     -MOVED to a server                      refused         goes there
 *     -CLUSTERDOWN -READONLY -LOADING         refused         goes to the next server
 *     -TRYAGAIN                               refused         stays, and waits
 *     -UNKNOWN                                unknown         stays
 *     the end, or nothing for too long        all unknown     goes to the next server
 *     a connect that fails                                    goes to the next server
 *
 * It goes when all that it has in flight is answered. The first attempt is at once; each one that
 * follows without a success waits twice as long as the one before it, up to LOAD_RETRY_NS, less up
 * to half of that at random, so that many connections do not ask in step.
 *
 * What is unknown may have been done, and is never sent again. What was refused was not done. In
 * open loop its arrival is still to be served, and is asked anew; closed loop goes on.
 */
#include "bench/load_worker_internal.h"

#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/clock.h"

/* Of the first attempt that waits. */
#define BACKOFF_FIRST_NS (UINT64_C(2) * CLOCK_NS_PER_MS)
enum { BACKOFF_DOUBLINGS_MAX = 6 };

/* How often connections are looked at that may hang. */
#define WATCH_NS (UINT64_C(20) * CLOCK_NS_PER_MS)

static uint64_t backoff_ns(struct load_worker *worker, struct load_connection *connection) {
    if (connection->attempts++ == 0)
        return 0;
    uint32_t doublings = connection->attempts - 2;
    if (doublings > BACKOFF_DOUBLINGS_MAX)
        doublings = BACKOFF_DOUBLINGS_MAX;
    uint64_t delay_ns = BACKOFF_FIRST_NS << doublings;
    if (delay_ns > LOAD_RETRY_NS)
        delay_ns = LOAD_RETRY_NS;
    return delay_ns - random_below(&worker->jitter, delay_ns / 2 + 1);
}

static bool begins_with(const char *text, size_t length_bytes, const char *word) {
    const size_t length = strlen(word);
    return length_bytes >= length && memcmp(text, word, length) == 0 &&
           (length_bytes == length || text[length] == ' ');
}

uint8_t load_follow_error(struct load_worker *worker, struct load_connection *connection,
                          const char *text, size_t length_bytes) {
    static const char *const elsewhere[] = {"CLUSTERDOWN", "READONLY", "LOADING"};
    struct load_targets *targets = &worker->targets;
    if (begins_with(text, length_bytes, "MOVED") && !targets->sharded) {
        const uint32_t place = load_targets_moved(targets, text, length_bytes);
        if (place != LOAD_TARGET_NONE && place != connection->target) {
            targets->preferred = place;
            worker->results.redirects += !connection->leaving;
        } else if (place == LOAD_TARGET_NONE) { /* a name, say: one of the others may lead */
            (void)load_targets_next(targets, connection->target);
        }
        connection->leaving = load_follow_is_on(worker);
    }
    if (!load_follow_is_on(worker))
        return 0;
    for (size_t i = 0; i < ARRAY_COUNT(elsewhere); i++) {
        if (!begins_with(text, length_bytes, elsewhere[i]))
            continue;
        (void)load_targets_next(targets, connection->target);
        connection->leaving = true;
    }
    if (begins_with(text, length_bytes, "TRYAGAIN")) {
        if (worker->now_ns >= connection->not_before_ns)
            connection->not_before_ns =
                worker->now_ns + BACKOFF_FIRST_NS + backoff_ns(worker, connection);
        if (connection->not_before_ns < worker->retry_next_ns)
            worker->retry_next_ns = connection->not_before_ns;
        return LOAD_REQUEST_REFUSED;
    }
    if (begins_with(text, length_bytes, "UNKNOWN"))
        return LOAD_REQUEST_UNKNOWN;
    return connection->leaving && (begins_with(text, length_bytes, "MOVED") ||
                                   begins_with(text, length_bytes, "CLUSTERDOWN") ||
                                   begins_with(text, length_bytes, "READONLY") ||
                                   begins_with(text, length_bytes, "LOADING"))
               ? LOAD_REQUEST_REFUSED
               : 0;
}

bool load_follow_leave(struct load_worker *worker, struct load_connection *connection) {
    if (!connection->leaving || connection->in_flight > 0)
        return false;
    load_worker_close(worker, connection, backoff_ns(worker, connection));
    return true;
}

uint64_t load_follow_lost(struct load_worker *worker, struct load_connection *connection) {
    if (!load_follow_is_on(worker))
        return LOAD_RETRY_NS;
    (void)load_targets_next(&worker->targets, connection->target);
    return backoff_ns(worker, connection);
}

void load_follow_watch(struct load_worker *worker) {
    const uint64_t limit_ns = worker->run->options->timeout_ns;
    if (!load_follow_is_on(worker) || limit_ns == 0 || worker->now_ns < worker->watch_next_ns)
        return;
    worker->watch_next_ns = worker->now_ns + WATCH_NS;
    for (uint32_t i = 0; i < worker->connection_count; i++) {
        struct load_connection *connection = &worker->connections[i];
        const bool waits = connection->state == LOAD_CONNECTION_READY
                               ? connection->in_flight > 0
                               : connection->state != LOAD_CONNECTION_DOWN;
        if (waits && worker->now_ns > connection->progress_ns &&
            worker->now_ns - connection->progress_ns > limit_ns)
            load_worker_lose(worker, connection, "no reply", "for --timeout");
    }
}
