/*
 * How many reads of a connection may be under way, going by how long their replies were.
 *
 * A read is a few bytes and its reply may be megabytes, which stand in memory until the client has
 * taken them.  How long a reply becomes is known only when it is made, so parse goes by the last
 * ones:
 *
 *     WATCHED    a new connection, and one whose replies were long: a batch of it has at most
 *                `reads_max` reads, and what is behind them waits until their replies are sent, as
 *                behind an AUTH.  Then it is known how long they were, and so how many the next
 *                batch may have for PARSE_READS_BYTES.
 *     UNWATCHED  so many as a batch has room for, in all batches that may be under way; until
 *                serialize has counted a batch with long replies.
 *
 *     WATCHED ──they were short──► UNWATCHED
 *        ▲                             │
 *        └──a long batch was counted───┘
 *
 * So who asks for much and does not read is bounded by what is sent in one go, and then by TCP;
 * and who reads is served in full, a few megabytes at a time.
 *
 * Failure mode: replies that were short become long at once: what is then under way finds memory,
 * or is refused (stages/apply_replies.c).  Only reads are counted: what a write replies is short,
 * but for a few (GETDEL, say), and waiting would cost a sync.
 */

#include "base/assert.h"
#include "stages/parse_internal.h"

enum {
    /* Of a connection about which nothing is known. */
    PARSE_READS_FIRST = 2,
    /* What the replies of one batch may come to, if there are several. */
    PARSE_READS_BYTES = 2 * 1024 * 1024,
};
_Static_assert((int)PARSE_READS_BYTES >= (int)BATCH_LONG_REPLIES_BYTES,
               "an unwatched connection, whose batches come to less, stays so");

static bool is_watched(const struct parse_connection *connection) {
    return connection->reads_max < BATCH_COMMANDS_MAX;
}

static uint32_t long_batches(const struct parse_shard *shard, uint32_t slot) {
    /* Partner: serialize, which counts.  A late glance only delays. */
    return atomic_load_relaxed_u32(&shard->node->records[slot].long_batches);
}

void parse_reads_open(const struct parse_shard *shard, struct parse_connection *connection,
                      uint32_t slot) {
    connection->reads_max = PARSE_READS_FIRST;
    connection->reads = 0;
    connection->long_batches = long_batches(shard, slot);
}

void parse_reads_begin(const struct parse_shard *shard, struct parse_connection *connection,
                       uint32_t slot) {
    ASSERT_HOT(connection->waiting == 0 && !connection->held);
    connection->reads = 0;
    const uint32_t seen = long_batches(shard, slot);
    if (seen != connection->long_batches) {
        connection->long_batches = seen;
        if (!is_watched(connection)) {
            connection->reads_max = 1; /* it is not known how many were how long */
        }
    }
}

void parse_reads_learn(const struct parse_shard *shard, struct parse_connection *connection,
                       uint32_t slot, uint64_t sent_bytes) {
    ASSERT(connection->waiting == 0);
    if (connection->reads == 0) {
        return; /* it waited for something else */
    }
    const uint64_t each_bytes = sent_bytes / connection->reads + 1;
    const uint64_t fitting = PARSE_READS_BYTES / each_bytes;
    connection->reads_max = fitting < 1                    ? 1
                            : fitting < BATCH_COMMANDS_MAX ? (uint32_t)fitting
                                                           : BATCH_COMMANDS_MAX;
    connection->reads = 0;
    connection->long_batches = long_batches(shard, slot);
}

bool parse_reads_count(const struct parse_shard *shard, struct parse_connection *connection,
                       const struct batch_command *command) {
    if (!is_watched(connection) || command->table != TABLE_MACHINE) {
        return false;
    }
    const struct machine_command *row = &shard->node->options->machine->commands[command->row];
    connection->reads += (row->flags & MACHINE_READ) != 0;
    ASSERT_HOT(connection->reads <= connection->reads_max);
    return connection->reads == connection->reads_max;
}

bool parse_reads_wait(struct parse_connection *connection, const struct batch *batch) {
    if ((batch->flags & (BATCH_WAITS | BATCH_PAUSED)) != 0) {
        connection->reads = 0; /* nothing is parsed behind it anyway */
    }
    return connection->waiting == 0 && connection->reads > 0 && batch->command_count > 0;
}
