/*
 * CONFIG, SHUTDOWN and TIME.
 */

#include "stages/connection_run.h"

#include <string.h>

#include "base/assert.h"
#include "base/decimal.h"

/* ---- CONFIG -------------------------------------------------------------------------------- */

/* Whether one of the patterns of CONFIG GET matches the name. */
static bool config_wanted(const struct connection_run *run, const char *name) {
    for (uint32_t i = 2; i < run->command->argument_count; i++) {
        uint32_t length = 0;
        const uint8_t *pattern = batch_argument(run->batch, run->command, i, &length);
        if (connection_glob(pattern, length, name)) {
            return true;
        }
    }
    return false;
}

void connection_config_get_write(const struct connection_run *run, struct reply_writer *writer) {
    const struct node_options *options = run->node->options;
    bool wanted[NODE_CONFIG_ITEMS_MAX] = {false};
    size_t count = 0;
    ASSERT(options->config_item_count <= NODE_CONFIG_ITEMS_MAX);
    for (uint32_t i = 0; i < options->config_item_count; i++) {
        wanted[i] = config_wanted(run, options->config_items[i].name);
        count += wanted[i] ? 1 : 0;
    }
    reply_map(writer, count);
    for (uint32_t i = 0; i < options->config_item_count; i++) {
        if (wanted[i]) {
            const struct node_config_item *item = &options->config_items[i];
            reply_bulk(writer, item->name, strlen(item->name));
            reply_bulk(writer, item->value, strlen(item->value));
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

/*
 * Whatever was acknowledged is stored already, as the durability mode says, so NOSAVE and SAVE
 * differ in nothing; only where nothing is stored at all is SAVE a promise that cannot be kept.
 */
enum connection_step connection_shutdown(struct connection_run *run) {
    uint32_t count = run->command->argument_count;
    bool save = count == 2 && connection_argument_is(run, 1, "save");
    if (count == 2 && connection_argument_is(run, 1, "abort")) {
        return connection_canned(run, CONNECTION_REPLY_NO_SHUTDOWN);
    }
    if (count > 2 || (count == 2 && !save && !connection_argument_is(run, 1, "nosave"))) {
        return connection_canned(run, CONNECTION_REPLY_SYNTAX);
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
