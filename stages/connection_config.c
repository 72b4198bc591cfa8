/*
 * CONFIG.
 *
 * CONFIG GET shows the node's items (struct node_config_item), as they were configured, or as they
 * are in force now.  CONFIG SET knows which of them can change while the node runs: the table
 * below, each with the function that takes its value.  All values are taken before the first of
 * them is put in force: so either all of a command's parameters change or none.
 */

#include "stages/connection_run.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/decimal.h"
#include "base/log.h"
#include "stages/node_settings.h"
#include "stages/slowlog.h"

enum {
    CONFIG_VALUE_BYTES = 32, /* of a value that is shown: a number, a word */
    CONFIG_REASON_BYTES = 160,
    CONFIG_SETTINGS_MAX = 16,
};

/* ---- what can change ----------------------------------------------------------------------- */

/* A value given, and what was made of it. */
struct config_value {
    const char *text;
    uint32_t length;
    uint64_t number;
    char reason[CONFIG_REASON_BYTES]; /* why not */
};

/* Redis's words for a number that is none, or beyond [min, max]. */
static bool config_number(struct config_value *value, int64_t min, int64_t max) {
    int64_t number = 0;
    if (decimal_parse_i64(value->text, value->length, &number) != 0) {
        (void)snprintf(value->reason, sizeof(value->reason),
                       "argument couldn't be parsed into an integer");
        return false;
    }
    if (number < min || number > max) {
        (void)snprintf(value->reason, sizeof(value->reason),
                       "argument must be between %lld and %lld inclusive", (long long)min,
                       (long long)max);
        return false;
    }
    value->number = (uint64_t)number;
    return true;
}

/* Digits and a unit, as in the configuration file; Redis takes nothing at all for 0. */
static bool config_memory(struct config_value *value) {
    static const struct {
        const char *name;
        uint64_t bytes;
    } units[] = {
        {"", 1},        {"b", 1},        {"k", 1000},       {"kb", 1024},
        {"m", 1000000}, {"mb", 1048576}, {"g", 1000000000}, {"gb", 1073741824},
    };
    uint32_t digits = 0;
    uint64_t number = 0;
    while (digits < value->length && value->text[digits] >= '0' && value->text[digits] <= '9') {
        digits++;
    }
    bool valid = value->length == 0 || decimal_parse_u64(value->text, digits, &number) == 0;
    for (size_t i = 0; i < ARRAY_COUNT(units) && valid; i++) {
        size_t length = strlen(units[i].name);
        if (value->length - digits == length &&
            strncasecmp(value->text + digits, units[i].name, length) == 0 &&
            !__builtin_mul_overflow(number, units[i].bytes, &value->number) &&
            value->number < UINT64_MAX) {
            return true;
        }
    }
    (void)snprintf(value->reason, sizeof(value->reason), "argument must be a memory value");
    return false;
}

/* One of some words, in any case, whose number is its place. */
static bool config_word(struct config_value *value, const char *const *words, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (strlen(words[i]) == value->length &&
            strncasecmp(words[i], value->text, value->length) == 0) {
            value->number = i;
            return true;
        }
    }
    int length = snprintf(value->reason, sizeof(value->reason),
                          "argument(s) must be one of the following: ");
    for (uint32_t i = 0; i < count; i++) {
        length += snprintf(value->reason + length, sizeof(value->reason) - (size_t)length, "%s%s",
                           i == 0 ? "" : ", ", words[i]);
        ASSERT(length < CONFIG_REASON_BYTES);
    }
    return false;
}

static bool take_memory(const struct node *node, struct config_value *value) {
    (void)node;
    return config_memory(value);
}

static bool take_clients(const struct node *node, struct config_value *value) {
    if (!config_number(value, 1, UINT32_MAX)) {
        return false;
    }
    if (value->number > node->options->connections_max) { /* there are so many slots */
        (void)snprintf(value->reason, sizeof(value->reason),
                       "The operating system is not able to handle the specified number of "
                       "clients, try with %u",
                       node->options->connections_max);
        return false;
    }
    return true;
}

/* -1: nothing is slow; kept plus 1, so that this is 0. */
static bool take_slow(const struct node *node, struct config_value *value) {
    (void)node;
    if (!config_number(value, -1, INT64_MAX)) {
        return false;
    }
    value->number++;
    return true;
}

static bool take_slow_entries(const struct node *node, struct config_value *value) {
    (void)node;
    return config_number(value, 0, SLOWLOG_ENTRIES_MAX);
}

static const char *const log_level_words[] = {"debug", "notice", "warning"};
static const enum log_level log_levels[] = {LOG_DEBUG, LOG_INFO, LOG_WARN};

static bool take_log_level(const struct node *node, struct config_value *value) {
    (void)node;
    return config_word(value, log_level_words, ARRAY_COUNT(log_level_words));
}

static bool take_reads(const struct node *node, struct config_value *value) {
    const char *words[READ_MODES];
    (void)node;
    for (uint32_t mode = 0; mode < READ_MODES; mode++) {
        words[mode] = read_mode_name(mode);
    }
    return config_word(value, words, READ_MODES);
}

static bool take_password(const struct node *node, struct config_value *value) {
    (void)node;
    value->number = value->length > 0;
    if (value->length <= NODE_PASSWORD_BYTES_MAX &&
        memchr(value->text, '\0', value->length) == NULL) {
        return true;
    }
    (void)snprintf(value->reason, sizeof(value->reason),
                   "a password has at most 512 bytes, none of them zero");
    return false;
}

static void show_number(uint64_t number, char out[CONFIG_VALUE_BYTES]) {
    (void)snprintf(out, CONFIG_VALUE_BYTES, "%llu", (unsigned long long)number);
}

static void show_slow(uint64_t number, char out[CONFIG_VALUE_BYTES]) {
    (void)snprintf(out, CONFIG_VALUE_BYTES, "%lld", (long long)(number - 1));
}

static void show_log_level(uint64_t number, char out[CONFIG_VALUE_BYTES]) {
    (void)snprintf(out, CONFIG_VALUE_BYTES, "%s", log_level_words[number]);
}

static void show_reads(uint64_t number, char out[CONFIG_VALUE_BYTES]) {
    (void)snprintf(out, CONFIG_VALUE_BYTES, "%s", read_mode_name((uint32_t)number));
}

/* A parameter that can change: how its value is taken (false, and the reason, if it is none), where
 * it is kept, and how CONFIG GET shows it. */
static const struct config_setting {
    const char *name;
    bool (*take)(const struct node *node, struct config_value *value);
    size_t offset; /* of its word in struct node_settings */
    void (*show)(uint64_t number, char out[CONFIG_VALUE_BYTES]); /* NULL: it is not shown */
} settings[] = {
    {"loglevel", take_log_level, offsetof(struct node_settings, log_level), show_log_level},
    {"maxclients", take_clients, offsetof(struct node_settings, clients_max), show_number},
    {"maxmemory", take_memory, offsetof(struct node_settings, memory_bytes_max), show_number},
    {"reads", take_reads, offsetof(struct node_settings, reads), show_reads},
    {"requirepass", take_password, offsetof(struct node_settings, password_required), NULL},
    {"slowlog-log-slower-than", take_slow, offsetof(struct node_settings, slow_from), show_slow},
    {"slowlog-max-len", take_slow_entries, offsetof(struct node_settings, slow_entries),
     show_number},
    {"snapshot-log-bytes", take_memory, offsetof(struct node_settings, snapshot_log_bytes),
     show_number},
};
_Static_assert(ARRAY_COUNT(settings) <= CONFIG_SETTINGS_MAX, "each may stand in a command once");

static uint64_t *config_word_of(struct node *node, const struct config_setting *setting) {
    return (uint64_t *)(void *)((char *)&node->settings + setting->offset);
}

static const struct config_setting *config_setting_named(const char *name, uint32_t length) {
    for (size_t i = 0; i < ARRAY_COUNT(settings); i++) {
        if (strlen(settings[i].name) == length &&
            strncasecmp(settings[i].name, name, length) == 0) {
            return &settings[i];
        }
    }
    return NULL;
}

/* ---- GET ----------------------------------------------------------------------------------- */

/* The argument of CONFIG GET that is the first to match the name; 0 if none does. */
static uint32_t config_wanted(const struct connection_run *run, const char *name) {
    for (uint32_t i = 2; i < run->command->argument_count; i++) {
        uint32_t length = 0;
        const uint8_t *pattern = batch_argument(run->batch, run->command, i, &length);
        if (connection_glob(pattern, length, name)) {
            return i;
        }
    }
    return 0;
}

/* As in Redis, whoever gives a name and no pattern gets it back as it was given: "SAVE", say. */
static void config_name_write(const struct connection_run *run, uint32_t argument, const char *name,
                              struct reply_writer *writer) {
    uint32_t length = 0;
    const uint8_t *given = batch_argument(run->batch, run->command, argument, &length);
    ASSERT(argument >= 2);
    /* Only a pattern is longer or shorter than what it matches, or has other characters. */
    if (length == strlen(name) && connection_argument_is(run, argument, name)) {
        reply_bulk(writer, given, length);
    } else {
        reply_bulk(writer, name, strlen(name));
    }
}

/* The value in force. */
static void config_value_write(const struct connection_run *run,
                               const struct node_config_item *item, struct reply_writer *writer) {
    const struct config_setting *setting =
        config_setting_named(item->name, (uint32_t)strlen(item->name));
    uint64_t word =
        setting == NULL ? 0 : atomic_load_relaxed_u64(config_word_of(run->node, setting));
    if (item->limits_values) {
        char text[DECIMAL_BYTES_MAX];
        reply_bulk(writer, text, decimal_format_u64(text, node_bulk_bytes_max(run->node)));
        return;
    }
    if (word == 0) {
        reply_bulk(writer, item->value, strlen(item->value));
        return;
    }
    char value[CONFIG_VALUE_BYTES];
    ASSERT(setting->show != NULL); /* what is not shown is no item */
    setting->show(word - 1, value);
    reply_bulk(writer, value, strlen(value));
}

void connection_config_get_write(const struct connection_run *run, struct reply_writer *writer) {
    const struct node_options *options = run->node->options;
    uint32_t wanted[NODE_CONFIG_ITEMS_MAX] = {0};
    size_t count = 0;
    ASSERT(options->config_item_count <= NODE_CONFIG_ITEMS_MAX);
    for (uint32_t i = 0; i < options->config_item_count; i++) {
        wanted[i] = config_wanted(run, options->config_items[i].name);
        count += wanted[i] != 0 ? 1 : 0;
    }
    reply_map(writer, count);
    for (uint32_t i = 0; i < options->config_item_count; i++) {
        if (wanted[i] != 0) {
            config_name_write(run, wanted[i], options->config_items[i].name, writer);
            config_value_write(run, &options->config_items[i], writer);
        }
    }
}

/* ---- SET ----------------------------------------------------------------------------------- */

/* What the effect noted: an error and the argument that it is about; or a value refused. */
enum config_note { CONFIG_UNKNOWN = 1, CONFIG_IMMUTABLE, CONFIG_DUPLICATE, CONFIG_REFUSED };

static bool config_is_item(const struct connection_run *run, uint32_t index) {
    const struct node_options *options = run->node->options;
    for (uint32_t i = 0; i < options->config_item_count; i++) {
        if (connection_argument_is(run, index, options->config_items[i].name)) {
            return true;
        }
    }
    return false;
}

/* Takes the value behind argument `index`, a setting's name; false if it is none. */
static bool config_take(const struct connection_run *run, uint32_t index,
                        const struct config_setting *setting, struct config_value *value) {
    *value = (struct config_value){0};
    value->text = (const char *)batch_argument(run->batch, run->command, index + 1, &value->length);
    return setting->take(run->node, value);
}

/* The setting that argument `index` names; NULL, and the note, if it cannot be set. */
static const struct config_setting *config_find(struct connection_run *run, uint32_t index,
                                                const struct config_setting *const *before,
                                                uint32_t before_count) {
    uint32_t length = 0;
    const char *name = (const char *)batch_argument(run->batch, run->command, index, &length);
    const struct config_setting *setting = config_setting_named(name, length);
    if (setting == NULL) {
        run->note = config_is_item(run, index) ? CONFIG_IMMUTABLE : CONFIG_UNKNOWN;
        return NULL;
    }
    for (uint32_t i = 0; i < before_count; i++) {
        if (before[i] == setting) {
            run->note = CONFIG_DUPLICATE;
            return NULL;
        }
    }
    return setting;
}

static void config_put(struct connection_run *run, const struct config_setting *setting,
                       const struct config_value *value) {
    struct node *node = run->node;
    if (setting->take == take_password) {
        memset(node->settings.password, 0, sizeof(node->settings.password));
        memcpy(node->settings.password, value->text, value->length);
    }
    if (setting->take == take_log_level) {
        log_level_set(log_levels[value->number]);
    }
    node_setting_set(config_word_of(node, setting), value->number);
}

enum connection_step connection_config_set(struct connection_run *run) {
    const struct config_setting *found[CONFIG_SETTINGS_MAX];
    uint32_t count = run->command->argument_count;
    uint32_t pairs = 0;
    if (count % 2 != 0) {
        return connection_canned(run, CONNECTION_REPLY_SYNTAX);
    }
    for (uint32_t i = 2; i < count; i += 2) {
        const struct config_setting *setting = config_find(run, i, found, pairs);
        if (setting == NULL) {
            run->count = i;
            return CONNECTION_WRITES;
        }
        found[pairs++] = setting;
    }
    for (uint32_t i = 0; i < pairs; i++) {
        struct config_value value;
        if (!config_take(run, 2 + 2 * i, found[i], &value)) {
            run->note = CONFIG_REFUSED;
            run->count = 2 + 2 * i;
            return CONNECTION_WRITES;
        }
    }
    for (uint32_t i = 0; i < pairs; i++) {
        struct config_value value;
        bool taken = config_take(run, 2 + 2 * i, found[i], &value);
        ASSERT(taken);
        config_put(run, found[i], &value);
    }
    return connection_canned(run, CONNECTION_REPLY_OK);
}

void connection_config_set_write(const struct connection_run *run, struct reply_writer *writer) {
    uint32_t length = 0;
    const char *name = (const char *)batch_argument(run->batch, run->command, run->count, &length);
    int shown = length > INT_MAX ? INT_MAX : (int)length;
    struct config_value value = {0};
    const char *reason = value.reason;
    switch ((enum config_note)run->note) {
    case CONFIG_UNKNOWN:
        reply_error_format(writer,
                           "ERR Unknown option or number of arguments for CONFIG SET - '%.*s'",
                           shown, name);
        return;
    case CONFIG_IMMUTABLE: reason = "can't set immutable config"; break;
    case CONFIG_DUPLICATE: reason = "duplicate parameter"; break;
    case CONFIG_REFUSED: {
        const struct config_setting *setting = config_setting_named(name, length);
        ASSERT(setting != NULL);
        bool taken = config_take(run, run->count, setting, &value);
        ASSERT(!taken);
        name = setting->name; /* as in Redis: as it is spelt, not as it was given */
        break;
    }
    }
    reply_error_format(writer, "ERR CONFIG SET failed (possibly related to argument '%.*s') - %s",
                       shown, name, reason);
}

/* ---- RESETSTAT and HELP -------------------------------------------------------------------- */

enum connection_step connection_config_resetstat(struct connection_run *run) {
    node_stats_reset(run->node);
    return connection_canned(run, CONNECTION_REPLY_OK);
}

void connection_config_help_write(const struct connection_run *run, struct reply_writer *writer) {
    (void)run;
    static const char *const lines[] = {
        "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "GET <pattern>",
        "    Return parameters matching the glob-like <pattern> and their values.",
        "SET <directive> <value>",
        "    Set the configuration <directive> to <value>.",
        "RESETSTAT",
        "    Reset statistics reported by the INFO command.",
        "HELP",
        "    Prints this help.",
    };
    connection_help_write(writer, lines, sizeof(lines) / sizeof(lines[0]));
}
