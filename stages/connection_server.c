/*
 * SHUTDOWN and TIME.
 */

#include "stages/connection_run.h"

#include <string.h>

#include "base/assert.h"
#include "base/decimal.h"
#include "stages/node_settings.h"

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
    connection_transit(run->connection, CONNECTION_CLOSED, node_password_required(run->node));
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
