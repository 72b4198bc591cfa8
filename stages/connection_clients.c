/*
 * CLIENT KILL, PAUSE, UNPAUSE: what one connection does to others.
 *
 * A kill looks at the records of all slots, some at a time.  Whom it means it marks there, so that
 * validate hears no more of that connection, and names it to read, which ends it.  A connection
 * that comes meanwhile is not meant.
 *
 * A pause is a word that parse and read look at (struct node_signals).
 */

#include "stages/connection_run.h"

#include <limits.h>
#include <string.h>

#include "base/assert.h"
#include "base/decimal.h"
#include "stages/node_record.h"
#include "stages/pipeline.h"

enum {
    KILL_SLICE_SLOTS = 512, /* as a slice of CLIENT LIST */
    KILL_SLICE_KILLS = 64,
    /* Its reply: a number, or a canned error. */
    KILL_REPLY_BYTES = 256,
};

/* ---- KILL ---------------------------------------------------------------------------------- */

enum client_kill_note { KILL_TYPE_UNKNOWN = 1, KILL_USER_UNKNOWN };

/* An argument's text. */
struct kill_text {
    const uint8_t *bytes; /* NULL: not given */
    uint32_t length;
};

/* Whom it means. */
struct kill_filter {
    struct kill_text address;
    struct kill_text local_address;
    int64_t client_id; /* 0: any */
    bool nobody;       /* of a type that no connection has */
    bool skips_self;
};

static struct kill_text kill_argument(const struct connection_run *run, uint32_t index) {
    struct kill_text text;
    text.bytes = batch_argument(run->batch, run->command, index, &text.length);
    return text;
}

static bool kill_type(const struct connection_run *run, uint32_t index,
                      struct kill_filter *filter) {
    if (connection_argument_is(run, index, "normal")) {
        filter->nobody = false;
        return true;
    }
    filter->nobody = true;
    return connection_argument_is(run, index, "master") ||
           connection_argument_is(run, index, "replica") ||
           connection_argument_is(run, index, "slave") ||
           connection_argument_is(run, index, "pubsub");
}

/* Takes one option and its value, which argument `value` is.  0, or the canned error; a note says
 * that there is another error, about the value. */
static enum connection_reply kill_option(struct connection_run *run, uint32_t value,
                                         struct kill_filter *filter) {
    struct kill_text text = kill_argument(run, value);
    if (connection_argument_is(run, value - 1, "id")) {
        bool valid =
            decimal_parse_i64((const char *)text.bytes, text.length, &filter->client_id) == 0;
        return valid && filter->client_id > 0 ? 0 : CONNECTION_REPLY_KILL_ID;
    }
    if (connection_argument_is(run, value - 1, "type")) {
        run->note = kill_type(run, value, filter) ? 0 : KILL_TYPE_UNKNOWN;
    } else if (connection_argument_is(run, value - 1, "addr")) {
        filter->address = text;
    } else if (connection_argument_is(run, value - 1, "laddr")) {
        filter->local_address = text;
    } else if (connection_argument_is(run, value - 1, "user")) {
        /* There is one user, whose every connection is. */
        bool known = text.length == 7 && memcmp(text.bytes, "default", 7) == 0;
        run->note = known ? 0 : KILL_USER_UNKNOWN;
    } else if (connection_argument_is(run, value - 1, "skipme")) {
        filter->skips_self = connection_argument_is(run, value, "yes");
        return filter->skips_self || connection_argument_is(run, value, "no")
                   ? 0
                   : CONNECTION_REPLY_SYNTAX;
    } else {
        return CONNECTION_REPLY_SYNTAX;
    }
    return 0;
}

/* 0, or the canned error; `note` and `count` are the other error and the argument it is about. */
static enum connection_reply kill_filter_read(struct connection_run *run,
                                              struct kill_filter *filter) {
    uint32_t count = run->command->argument_count;
    ASSERT(count >= 3);
    *filter = (struct kill_filter){.skips_self = count > 3};
    if (count == 3) {
        filter->address = kill_argument(run, 2);
        return 0;
    }
    for (uint32_t i = 2; i < count; i += 2) {
        if (i + 1 == count) {
            return CONNECTION_REPLY_SYNTAX;
        }
        enum connection_reply error = kill_option(run, i + 1, filter);
        if (error != 0 || run->note != 0) {
            run->count = i + 1;
            return error;
        }
    }
    return 0;
}

enum connection_step connection_client_kill(struct connection_run *run) {
    struct kill_filter filter;
    enum connection_reply error = kill_filter_read(run, &filter);
    if (error != 0) {
        return connection_canned(run, error);
    }
    return run->note != 0 ? CONNECTION_WRITES : CONNECTION_COMPOSES;
}

void connection_client_kill_write(const struct connection_run *run, struct reply_writer *writer) {
    struct kill_text text = kill_argument(run, run->count);
    reply_error_format(writer,
                       run->note == KILL_TYPE_UNKNOWN ? "ERR Unknown client type '%.*s'"
                                                      : "ERR No such user '%.*s'",
                       text.length > INT_MAX ? INT_MAX : (int)text.length,
                       (const char *)text.bytes);
}

size_t connection_client_kill_bytes(struct connection_run *run) {
    run->newest_id = node_figure(&run->node->read.accepted);
    return KILL_REPLY_BYTES;
}

static bool kill_text_is(struct kill_text text, const char *value) {
    return text.bytes == NULL ||
           (strlen(value) == text.length && memcmp(text.bytes, value, text.length) == 0);
}

static bool kill_means(const struct connection_run *run, const struct kill_filter *filter,
                       const struct node_record *record) {
    return record->killed != record->generation && record->client_id <= run->newest_id &&
           !filter->nobody && kill_text_is(filter->address, record->address) &&
           kill_text_is(filter->local_address, record->local_address) &&
           (filter->client_id == 0 || (uint64_t)filter->client_id == record->client_id);
}

/* Ends the connection in the slot; false if read is to be told first of others. */
static bool kill_one(struct connection_run *run, uint32_t slot, uint32_t generation) {
    struct home_item item = {.kind = HOME_KILL, .value = slot, .generation = generation};
    if (ring_home_enqueue(run->to_read, &item, 1) == 0) {
        return false;
    }
    atomic_store_relaxed_u32(&run->node->records[slot].killed, generation);
    return true;
}

bool connection_client_kill_compose(struct connection_run *run) {
    struct kill_filter filter;
    uint64_t slots_max = run->node->options->connections_max;
    uint64_t slice_end = run->cursor + KILL_SLICE_SLOTS;
    enum connection_reply error = kill_filter_read(run, &filter);
    ASSERT(error == 0 && run->note == 0);
    for (uint32_t kills = 0;
         run->cursor < slots_max && run->cursor < slice_end && kills < KILL_SLICE_KILLS;
         run->cursor++) {
        uint32_t slot = (uint32_t)run->cursor;
        struct node_record copy;
        bool is_self = slot == run->batch->connection.slot;
        if (atomic_load_relaxed_u32(&run->node->records[slot].open) == 0 ||
            !node_record_copy(&run->node->records[slot], &copy) ||
            !kill_means(run, &filter, &copy) || (is_self && filter.skips_self)) {
            continue;
        }
        if (is_self) { /* answered first, as QUIT is */
            atomic_store_relaxed_u32(&run->node->records[slot].killed, copy.generation);
            connection_transit(run->connection, CONNECTION_CLOSED, true);
        } else if (!kill_one(run, slot, copy.generation)) {
            return false;
        }
        run->count++;
        kills++;
    }
    if (run->cursor < slots_max) {
        return false;
    }
    if (run->command->argument_count > 3) {
        reply_integer(run->writer, run->count);
    } else if (run->count > 0) {
        reply_ok(run->writer);
    } else {
        reply_error(run->writer, "ERR No such client", strlen("ERR No such client"));
    }
    return true;
}

/* ---- PAUSE and UNPAUSE --------------------------------------------------------------------- */

/* Whoever pauses while there is a pause makes it longer, or of more; never less. */
static void pause_begin(struct connection_run *run, enum node_pause kind, uint64_t timeout_ms) {
    struct node *node = run->node;
    uint64_t now_ns = run->moment->monotonic_ns;
    uint64_t end_ns = timeout_ms < NODE_PAUSE_END_NS_MAX / 1000000 ? now_ns + timeout_ms * 1000000
                                                                   : NODE_PAUSE_END_NS_MAX;
    enum node_pause present = node_pause(node, now_ns);
    if (present != NODE_PAUSE_NONE && node_pause_end_ns(node) > end_ns) {
        end_ns = node_pause_end_ns(node);
    }
    atomic_store_relaxed_u64(&node->signals.pause,
                             node_pause_word(present > kind ? present : kind, end_ns));
}

enum connection_step connection_client_pause(struct connection_run *run) {
    enum node_pause kind = NODE_PAUSE_ALL;
    int64_t timeout_ms = 0;
    if (run->command->argument_count > 4) {
        return CONNECTION_WRITES;
    }
    if (run->command->argument_count == 4) {
        kind = connection_argument_is(run, 3, "write") ? NODE_PAUSE_WRITE : NODE_PAUSE_ALL;
        if (kind == NODE_PAUSE_ALL && !connection_argument_is(run, 3, "all")) {
            return connection_canned(run, CONNECTION_REPLY_PAUSE_MODE);
        }
    }
    struct kill_text text = kill_argument(run, 2);
    if (decimal_parse_i64((const char *)text.bytes, text.length, &timeout_ms) != 0) {
        return connection_canned(run, CONNECTION_REPLY_TIMEOUT_NUMBER);
    }
    if (timeout_ms < 0) {
        return connection_canned(run, CONNECTION_REPLY_TIMEOUT_NEGATIVE);
    }
    pause_begin(run, kind, (uint64_t)timeout_ms);
    return connection_canned(run, CONNECTION_REPLY_OK);
}

void connection_client_pause_write(const struct connection_run *run, struct reply_writer *writer) {
    connection_form_write(run, "CLIENT", writer);
}

enum connection_step connection_client_unpause(struct connection_run *run) {
    struct home_item item = {.kind = HOME_PAUSE_OVER};
    atomic_store_relaxed_u64(&run->node->signals.pause, 0);
    /* If there is no room, read looks at the word behind what is there. */
    (void)ring_home_enqueue(run->to_read, &item, 1);
    return connection_canned(run, CONNECTION_REPLY_OK);
}
