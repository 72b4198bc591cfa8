/* Reading ONCE and ONCE.OPEN; see once.h. */

#include "stages/once.h"

#include <string.h>
#include <strings.h>

#include "base/assert.h"
#include "base/decimal.h"
#include "entry/entry.h"
#include "stages/connection_commands.h"
#include "stages/sessions.h"

bool once_is(const struct batch_command *command) {
    return command->table == TABLE_CONNECTION &&
           (command->row == CONNECTION_ONCE || command->row == CONNECTION_ONCE_OPEN);
}

bool once_unwrap(const struct batch *batch, struct batch_command *command,
                 const struct directory *directory) {
    ASSERT(once_is(command) && command->once == BATCH_ONCE_NONE);
    if (command->row == CONNECTION_ONCE_OPEN || command->argument_count <= ONCE_ARGUMENTS) {
        return command->row == CONNECTION_ONCE_OPEN;
    }
    command->argument_first += ONCE_ARGUMENTS;
    command->argument_count -= ONCE_ARGUMENTS;
    command->once = BATCH_ONCE;
    uint32_t length_bytes;
    const uint8_t *name = batch_argument(batch, command, 0, &length_bytes);
    directory_find(directory, name, length_bytes, &command->table, &command->row);
    return false;
}

/* An argument as a number of [1, max]; 0 if it is none. */
static uint64_t number_of(const struct batch *batch, const struct batch_command *command,
                          const struct resp_argument *argument, uint64_t max) {
    uint64_t value = 0;
    const char *text = (const char *)command->base + argument->offset;
    ASSERT(argument < batch->arguments + batch->argument_count);
    if (decimal_parse_u64(text, argument->length, &value) != 0 || value > max) {
        return 0;
    }
    return value;
}

bool once_numbers(const struct batch *batch, const struct batch_command *command, uint64_t *session,
                  uint64_t *sequence) {
    ASSERT(command->once == BATCH_ONCE && command->argument_first >= ONCE_ARGUMENTS);
    const struct resp_argument *name = &batch->arguments[command->argument_first];
    *session = number_of(batch, command, name - 2, SESSION_NUMBER_MAX);
    *sequence = number_of(batch, command, name - 1, SESSION_NUMBER_MAX);
    if (*session != 0 && *sequence != 0) {
        return true;
    }
    *session = 0;
    *sequence = 0;
    return false;
}

enum batch_refusal once_lifetime(const struct batch *batch, const struct batch_command *command,
                                 uint64_t *lifetime_ms) {
    ASSERT(command->argument_count >= 1);
    *lifetime_ms = SESSION_LIFETIME_MS_USUAL;
    if (command->argument_count == 1) {
        return REFUSAL_NONE;
    }
    uint32_t length_bytes;
    const uint8_t *word = batch_argument(batch, command, 1, &length_bytes);
    if (command->argument_count != 3 || length_bytes != 2 ||
        strncasecmp((const char *)word, "px", 2) != 0) {
        return REFUSAL_ONCE_SYNTAX;
    }
    *lifetime_ms = number_of(batch, command, &batch->arguments[command->argument_first + 2],
                             SESSION_LIFETIME_MS_MAX);
    return *lifetime_ms != 0 ? REFUSAL_NONE : REFUSAL_ONCE_LIFETIME;
}

struct once_record once_record(const struct batch *batch, const struct batch_command *command,
                               const struct machine_operations *machine) {
    ASSERT(command->once != BATCH_ONCE_NONE && command->fate == FATE_WRITE);
    struct once_record record = {.id = ENTRY_COMMAND_ID_OPEN};
    if (command->once == BATCH_ONCE_OPEN) {
        enum batch_refusal refusal = once_lifetime(batch, command, &record.sequence);
        ASSERT(refusal == REFUSAL_NONE);
        return record;
    }
    bool valid = once_numbers(batch, command, &record.session, &record.sequence);
    ASSERT(valid);
    record.id = batch_record_id(machine, command);
    record.argument_count = batch_record_argument_count(command);
    return record;
}
