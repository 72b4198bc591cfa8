/*
 * From a row to its functions, and what they share.
 */

#include "stages/connection_run.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "machines/kv_pattern.h"
#include "stages/node_record.h"

/* The steps of a row; NULL is a step that it does not take. */
struct connection_functions {
    enum connection_step (*effect)(struct connection_run *run);
    size_t (*text_bytes)(struct connection_run *run);
    bool (*compose)(struct connection_run *run);
    void (*write)(const struct connection_run *run, struct reply_writer *writer);
    bool streams; /* compose writes the reply itself, and not a text */
};

static const struct connection_functions functions[CONNECTION_ROW_COUNT] = {
    [CONNECTION_AUTH] = {.effect = connection_auth},
    [CONNECTION_COMMAND] = {.write = connection_command_info_write},
    [CONNECTION_ECHO] = {.effect = connection_echo},
    [CONNECTION_HELLO] = {.effect = connection_hello, .write = connection_hello_write},
    [CONNECTION_INFO] = {.text_bytes = connection_info_bytes, .compose = connection_info_compose},
    [CONNECTION_PING] = {.effect = connection_ping},
    [CONNECTION_QUIT] = {.effect = connection_quit},
    [CONNECTION_READONLY] = {.effect = connection_readonly},
    [CONNECTION_READWRITE] = {.effect = connection_readwrite},
    [CONNECTION_RESET] = {.effect = connection_reset},
    [CONNECTION_SELECT] = {.effect = connection_select},
    [CONNECTION_SHUTDOWN] = {.effect = connection_shutdown},
    [CONNECTION_TIME] = {.write = connection_time_write},

    [CONNECTION_CLIENT_GETNAME] = {.write = connection_client_getname_write},
    [CONNECTION_CLIENT_GETREDIR] = {.write = connection_client_getredir_write},
    [CONNECTION_CLIENT_HELP] = {.write = connection_client_help_write},
    [CONNECTION_CLIENT_ID] = {.write = connection_client_id_write},
    [CONNECTION_CLIENT_INFO] = {.text_bytes = connection_client_info_bytes,
                                .compose = connection_client_info_compose},
    [CONNECTION_CLIENT_KILL] = {.effect = connection_client_kill,
                                .text_bytes = connection_client_kill_bytes,
                                .compose = connection_client_kill_compose,
                                .write = connection_client_kill_write,
                                .streams = true},
    [CONNECTION_CLIENT_LIST] = {.effect = connection_client_list,
                                .text_bytes = connection_client_list_bytes,
                                .compose = connection_client_list_compose,
                                .write = connection_client_list_write},
    [CONNECTION_CLIENT_NO_EVICT] = {.effect = connection_client_no_evict},
    [CONNECTION_CLIENT_NO_TOUCH] = {.effect = connection_client_no_touch},
    [CONNECTION_CLIENT_PAUSE] = {.effect = connection_client_pause,
                                 .write = connection_client_pause_write},
    [CONNECTION_CLIENT_READS] = {.effect = connection_client_reads},
    [CONNECTION_CLIENT_REPLY] = {.effect = connection_client_reply},
    [CONNECTION_CLIENT_SETINFO] = {.effect = connection_client_setinfo,
                                   .write = connection_client_setinfo_write},
    [CONNECTION_CLIENT_SETNAME] = {.effect = connection_client_setname},
    [CONNECTION_CLIENT_UNPAUSE] = {.effect = connection_client_unpause},
    [CONNECTION_CLUSTER_HELP] = {.write = connection_cluster_help_write},
    [CONNECTION_CLUSTER_INFO] = {.write = connection_cluster_info_write},
    [CONNECTION_CLUSTER_KEYSLOT] = {.effect = connection_cluster_keyslot,
                                    .write = connection_cluster_keyslot_write},
    [CONNECTION_CLUSTER_MYID] = {.write = connection_cluster_myid_write},
    [CONNECTION_CLUSTER_NODES] = {.write = connection_cluster_nodes_write},
    [CONNECTION_CLUSTER_SHARDS] = {.write = connection_cluster_shards_write},
    [CONNECTION_CLUSTER_SLOTS] = {.write = connection_cluster_slots_write},
    [CONNECTION_COMMAND_COUNT_OF] = {.write = connection_command_count_write},
    [CONNECTION_COMMAND_DOCS] = {.write = connection_command_docs_write},
    [CONNECTION_COMMAND_GETKEYS] = {.effect = connection_command_getkeys,
                                    .write = connection_command_getkeys_write},
    [CONNECTION_COMMAND_HELP] = {.write = connection_command_help_write},
    [CONNECTION_COMMAND_INFO] = {.write = connection_command_info_write},
    [CONNECTION_COMMAND_LIST] = {.effect = connection_command_list,
                                 .write = connection_command_list_write},
    [CONNECTION_CONFIG_GET] = {.write = connection_config_get_write},
    [CONNECTION_CONFIG_HELP] = {.write = connection_config_help_write},
    [CONNECTION_CONFIG_RESETSTAT] = {.effect = connection_config_resetstat},
    [CONNECTION_CONFIG_SET] = {.effect = connection_config_set,
                               .write = connection_config_set_write},
    [CONNECTION_SLOWLOG_GET] = {.effect = connection_slowlog_get,
                                .text_bytes = connection_slowlog_get_bytes,
                                .compose = connection_slowlog_get_compose,
                                .write = connection_slowlog_get_write,
                                .streams = true},
    [CONNECTION_SLOWLOG_HELP] = {.write = connection_slowlog_help_write},
    [CONNECTION_SLOWLOG_LEN] = {.write = connection_slowlog_len_write},
    [CONNECTION_SLOWLOG_RESET] = {.effect = connection_slowlog_reset},
};

static const struct connection_functions *connection_row(const struct connection_run *run) {
    ASSERT_HOT(run->command->table == TABLE_CONNECTION);
    ASSERT_HOT(run->command->row < CONNECTION_ROW_COUNT);
    return &functions[run->command->row];
}

enum connection_step connection_effect(struct connection_run *run) {
    const struct connection_functions *row = connection_row(run);
    ASSERT(row->effect != NULL || row->write != NULL || row->compose != NULL);
    if (row->effect != NULL) {
        return row->effect(run);
    }
    return row->compose != NULL ? CONNECTION_COMPOSES : CONNECTION_WRITES;
}

bool connection_row_composes(uint16_t row) {
    ASSERT(row < CONNECTION_ROW_COUNT);
    return functions[row].compose != NULL;
}

size_t connection_text_bytes(struct connection_run *run) {
    ASSERT(connection_row(run)->text_bytes != NULL);
    return connection_row(run)->text_bytes(run);
}

bool connection_streams(const struct connection_run *run) {
    return connection_row(run)->streams;
}

bool connection_compose(struct connection_run *run) {
    ASSERT(run->writer != NULL ||
           (run->text.begin != NULL && run->text.used <= run->text.capacity));
    return connection_row(run)->compose(run);
}

void connection_write(const struct connection_run *run, struct reply_writer *writer) {
    ASSERT(connection_row(run)->write != NULL);
    connection_row(run)->write(run, writer);
}

/* ---- for the rows' functions --------------------------------------------------------------- */

bool connection_argument_is(const struct connection_run *run, uint32_t index, const char *word) {
    uint32_t length = 0;
    const uint8_t *argument = batch_argument(run->batch, run->command, index, &length);
    if (length != strlen(word)) {
        return false;
    }
    for (uint32_t i = 0; i < length; i++) {
        uint8_t byte = argument[i];
        byte = byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte | 0x20) : byte;
        if (byte != (uint8_t)word[i]) {
            return false;
        }
    }
    return true;
}

enum connection_step connection_canned(struct connection_run *run, enum connection_reply reply) {
    ASSERT_HOT(reply > 0 && reply < CONNECTION_REPLY_COUNT);
    run->command->detail = (uint8_t)reply;
    return CONNECTION_CANNED;
}

void connection_text_add(struct connection_text *text, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int written =
        vsnprintf(text->begin + text->used, text->capacity - text->used, format, arguments);
    va_end(arguments);
    ASSERT(written >= 0 && (size_t)written < text->capacity - text->used);
    text->used += (size_t)written;
}

bool connection_glob(const uint8_t *pattern, uint32_t pattern_bytes, const char *text) {
    uint8_t folded_pattern[256];
    uint8_t folded_text[64];
    size_t text_bytes = strlen(text);
    ASSERT(text_bytes <= sizeof(folded_text));
    if (pattern_bytes > sizeof(folded_pattern)) {
        return false; /* longer than any name that it could have been made for */
    }
    for (uint32_t i = 0; i < pattern_bytes; i++) {
        uint8_t byte = pattern[i];
        folded_pattern[i] = byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte | 0x20) : byte;
    }
    memcpy(folded_text, text, text_bytes);
    struct kv_pattern_state state = {0};
    uint32_t units = UINT32_MAX; /* 256 times 64 steps at most: there is no need to come back */
    return kv_pattern_match(folded_pattern, pattern_bytes, folded_text, (uint32_t)text_bytes,
                            &state, &units) == KV_PATTERN_MATCHES;
}

struct node_record *connection_record(const struct connection_run *run) {
    ASSERT_HOT(run->batch->connection.slot < run->node->options->connections_max);
    return &run->node->records[run->batch->connection.slot];
}

void connection_names_publish(const struct connection_run *run) {
    struct node_record value = {0};
    memcpy(value.name, run->connection->name, sizeof(value.name));
    memcpy(value.library_name, run->connection->library_name, sizeof(value.library_name));
    memcpy(value.library_version, run->connection->library_version, sizeof(value.library_version));
    node_record_publish_names(connection_record(run), &value);
}

void connection_form_write(const struct connection_run *run, const char *container,
                           struct reply_writer *writer) {
    uint32_t length = 0;
    const char *name = (const char *)batch_argument(run->batch, run->command, 1, &length);
    reply_error_format(writer,
                       "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try %s "
                       "HELP.",
                       (int)length, name, container);
}

void connection_help_write(struct reply_writer *writer, const char *const *lines, size_t count) {
    reply_array(writer, count);
    for (size_t i = 0; i < count; i++) {
        reply_status(writer, lines[i], strlen(lines[i]));
    }
}
