/*
 * WAIT: judged by its form; replicate answers it (stages/replicate_wait.c).
 *
 * Happy path: its numbers are right.  They stand in the batch, which parse has ended with it; and
 * at its place in the order, behind all that its connection wrote, replicate takes them up.
 */

#include "base/assert.h"
#include "base/decimal.h"
#include "stages/validate_internal.h"

/* A number of 0 or more; false otherwise. */
static bool argument_read(const struct batch *batch, const struct batch_command *command,
                          uint32_t index, uint64_t *value) {
    uint32_t length = 0;
    int64_t number = 0;
    const uint8_t *text = batch_argument(batch, command, index, &length);
    if (decimal_parse_i64((const char *)text, length, &number) != 0 || number < 0) {
        return false;
    }
    *value = (uint64_t)number;
    return true;
}

void validate_wait(struct validate_shard *shard, struct batch_command *command) {
    struct batch *batch = shard->work.batch;
    uint64_t members = 0;
    uint64_t timeout_ms = 0;
    ASSERT(command->row == CONNECTION_WAIT && command->argument_count == 3);
    ASSERT((batch->flags & BATCH_WAITS) != 0 &&
           command == &batch->commands[batch->command_count - 1]);
    command->fate = FATE_LOCAL;
    if (!argument_read(batch, command, 1, &members) ||
        !argument_read(batch, command, 2, &timeout_ms)) {
        command->detail = CONNECTION_REPLY_NUMBER;
        return;
    }
    command->detail = CONNECTION_REPLY_WAIT;
    batch->wait_members = members < UINT32_MAX ? (uint32_t)members : UINT32_MAX;
    batch->wait_timeout_ms = timeout_ms;
}
