/*
 * CONFIG, SHUTDOWN and TIME.
 */

#include "stages/connection_run.h"

#include <string.h>

#include "base/assert.h"
#include "base/decimal.h"

/* ---- CONFIG -------------------------------------------------------------------------------- */

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

/* What is in force. */
static void config_value_write(const struct node *node, const struct node_config_item *item,
                               struct reply_writer *writer) {
    ASSERT(item->value != NULL);
    if (item->limits_values) {
        char text[DECIMAL_BYTES_MAX];
        reply_bulk(writer, text, decimal_format_u64(text, node_bulk_bytes_max(node)));
    } else {
        reply_bulk(writer, item->value, strlen(item->value));
    }
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
            const struct node_config_item *item = &options->config_items[i];
            config_name_write(run, wanted[i], item->name, writer);
            config_value_write(run->node, item, writer);
        }
    }
}

void connection_config_help_write(const struct connection_run *run, struct reply_writer *writer) {
    (void)run;
    static const char *const lines[] = {
        "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "GET <pattern>",
        "    Return parameters matching the glob-like <pattern> and their values.",
        "HELP",
        "    Prints this help.",
    };
    connection_help_write(writer, lines, sizeof(lines) / sizeof(lines[0]));
}

/* ---- SHUTDOWN ------------------------------------------------------------------------------ */

/* Whether the argument is one of SHUTDOWN's words. */
static bool shutdown_word(const struct connection_run *run, uint32_t index) {
    static const char *const words[] = {"save", "nosave", "abort", "now", "force"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (connection_argument_is(run, index, words[i])) {
            return true;
        }
    }
    return false;
}

/*
 * Whatever was acknowledged is stored already, as the durability mode says, so NOSAVE and SAVE
 * differ in nothing; only where nothing is stored at all is SAVE a promise that cannot be kept.
 */
enum connection_step connection_shutdown(struct connection_run *run) {
    bool save = false;
    bool no_save = false;
    bool abort = false;
    bool hurry = false; /* NOW, FORCE: there is nothing that would hold it up */
    for (uint32_t i = 1; i < run->command->argument_count; i++) {
        save |= connection_argument_is(run, i, "save");
        no_save |= connection_argument_is(run, i, "nosave");
        abort |= connection_argument_is(run, i, "abort");
        hurry |= connection_argument_is(run, i, "now") || connection_argument_is(run, i, "force");
        if (!shutdown_word(run, i)) {
            return connection_canned(run, CONNECTION_REPLY_SYNTAX);
        }
    }
    if ((save && no_save) || (abort && (save || no_save || hurry))) {
        return connection_canned(run, CONNECTION_REPLY_SYNTAX);
    }
    if (abort) {
        return connection_canned(run, CONNECTION_REPLY_NO_SHUTDOWN);
    }
    if (save && run->node->options->durability == DURABILITY_NONE) {
        return connection_canned(run, CONNECTION_REPLY_SHUTDOWN_SAVE);
    }
    connection_transit(run->connection, CONNECTION_CLOSED, run->node->options->password[0] != '\0');
    /* Partner: the glance of the main thread, which the wake makes it take. */
    atomic_store_release_u32(&run->node->signals.shutdown_requested, 1);
    run->node->wake_main(run->node->wake_context);
    return CONNECTION_SILENT;
}

/* ---- TIME ---------------------------------------------------------------------------------- */

void connection_time_write(const struct connection_run *run, struct reply_writer *writer) {
    char digits[DECIMAL_BYTES_MAX];
    reply_array(writer, 2);
    size_t length = decimal_format_u64(digits, run->moment->wall_ms / 1000);
    reply_bulk(writer, digits, length);
    length = decimal_format_u64(digits, run->moment->wall_ms % 1000 * 1000);
    reply_bulk(writer, digits, length);
}
