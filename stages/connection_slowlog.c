/* SLOWLOG: the entries of stages/slowlog.h, some in each slice. */

#include "stages/connection_run.h"

#include <string.h>

#include "base/assert.h"
#include "base/decimal.h"
#include "stages/slowlog.h"

enum {
    SLOWLOG_SLICE_ENTRIES = 16, /* each is copied whole: 2 us */
    SLOWLOG_COUNT_DEFAULT = 10,
    /* An entry as a reply: an array of six, one of them an array. */
    SLOWLOG_REPLY_BYTES =
        2 * REPLY_HEADER_BYTES + 3 * (REPLY_HEADER_BYTES + REPLY_INTEGER_SLACK_BYTES) +
        SLOWLOG_ARGUMENTS_MAX * (REPLY_HEADER_BYTES + REPLY_BULK_SLACK_BYTES + SLOWLOG_TEXT_BYTES) +
        2 * (REPLY_HEADER_BYTES + REPLY_BULK_SLACK_BYTES + SLOWLOG_NAME_BYTES),
};

/* How many entries are asked for; false if that is no number of entries. */
static bool slowlog_count(const struct connection_run *run, int64_t *count) {
    uint32_t length = 0;
    *count = SLOWLOG_COUNT_DEFAULT;
    if (run->command->argument_count == 2) {
        return true;
    }
    const uint8_t *text = batch_argument(run->batch, run->command, 2, &length);
    if (decimal_parse_i64((const char *)text, length, count) != 0 || *count < -1) {
        return false;
    }
    *count = *count == -1 ? INT64_MAX : *count;
    return true;
}

enum connection_step connection_slowlog_get(struct connection_run *run) {
    int64_t count;
    if (run->command->argument_count > 3) {
        return CONNECTION_WRITES;
    }
    return slowlog_count(run, &count) ? CONNECTION_COMPOSES
                                      : connection_canned(run, CONNECTION_REPLY_SLOWLOG_COUNT);
}

void connection_slowlog_get_write(const struct connection_run *run, struct reply_writer *writer) {
    connection_form_write(run, "SLOWLOG", writer);
}

/* From here on `newest_id` is behind the newest entry, `cursor` how many have been looked at, of
 * `note` in all. */
size_t connection_slowlog_get_bytes(struct connection_run *run) {
    uint64_t first;
    int64_t count;
    bool valid = slowlog_count(run, &count);
    ASSERT(valid);
    run->newest_id = slowlog_range(run->node, &first);
    uint64_t there = run->newest_id - first;
    run->note = (uint32_t)(there < (uint64_t)count ? there : (uint64_t)count);
    return REPLY_HEADER_BYTES + (size_t)run->note * SLOWLOG_REPLY_BYTES;
}

static void slowlog_entry_write(const struct slowlog_entry *entry, struct reply_writer *writer) {
    reply_array(writer, 6);
    reply_integer(writer, (int64_t)entry->id);
    reply_integer(writer, (int64_t)entry->unix_s);
    reply_integer(writer, (int64_t)entry->duration_us);
    reply_array(writer, entry->argument_count);
    for (uint32_t i = 0; i < entry->argument_count; i++) {
        reply_bulk(writer, entry->texts[i], entry->lengths[i]);
    }
    reply_bulk(writer, entry->address, strlen(entry->address));
    reply_bulk(writer, entry->name, strlen(entry->name));
}

bool connection_slowlog_get_compose(struct connection_run *run) {
    uint64_t slice_end = run->cursor + SLOWLOG_SLICE_ENTRIES;
    if (run->cursor == 0) {
        run->array = reply_array_begin(run->writer);
    }
    for (; run->cursor < run->note && run->cursor < slice_end; run->cursor++) {
        struct slowlog_entry entry;
        if (slowlog_copy(run->node, run->newest_id - 1 - run->cursor, &entry)) {
            slowlog_entry_write(&entry, run->writer);
            run->count++;
        }
    }
    if (run->cursor < run->note) {
        return false;
    }
    reply_array_end(run->writer, run->array, run->count);
    return true;
}

void connection_slowlog_len_write(const struct connection_run *run, struct reply_writer *writer) {
    uint64_t first;
    uint64_t end = slowlog_range(run->node, &first);
    reply_integer(writer, (int64_t)(end - first));
}

enum connection_step connection_slowlog_reset(struct connection_run *run) {
    slowlog_reset(run->node);
    return connection_canned(run, CONNECTION_REPLY_OK);
}

void connection_slowlog_help_write(const struct connection_run *run, struct reply_writer *writer) {
    (void)run;
    static const char *const lines[] = {
        "SLOWLOG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "GET [<count>]",
        "    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
        "    Entries are made of:",
        "    id, timestamp, time in microseconds, arguments array, client IP and port,",
        "    client name",
        "LEN",
        "    Return the length of the slowlog.",
        "RESET",
        "    Reset the slowlog.",
        "HELP",
        "    Prints this help.",
    };
    connection_help_write(writer, lines, sizeof(lines) / sizeof(lines[0]));
}
