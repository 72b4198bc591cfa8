/*
 * WAIT: judged by its form; replicate answers it (stages/replicate_wait.c).
 *
 * Happy path: its numbers are right.  They stand in the batch, which parse has ended with it; and
 * at its place in the order, behind all that its connection wrote, replicate takes them up.
 */

#include "base/assert.h"
#include "base/decimal.h"
#include "stages/validate_internal.h"

/* An argument as a number; false if it is none. */
static bool argument_read(const struct batch *batch, const struct batch_command *command,
                          uint32_t index, int64_t *value) {
    uint32_t length = 0;
    const uint8_t *text = batch_argument(batch, command, index, &length);
    return decimal_parse_i64((const char *)text, length, value) == 0;
}

void validate_wait(struct validate_shard *shard, struct batch_command *command) {
    struct batch *batch = shard->work.batch;
    int64_t members = 0;
    int64_t timeout_ms = 0;
    ASSERT(command->row == CONNECTION_WAIT && command->argument_count == 3);
    ASSERT((batch->flags & BATCH_WAITS) != 0 &&
           command == &batch->commands[batch->command_count - 1]);
    command->fate = FATE_LOCAL;
    if (!argument_read(batch, command, 1, &members)) {
        command->detail = CONNECTION_REPLY_NUMBER;
        return;
    }
    if (!argument_read(batch, command, 2, &timeout_ms)) {
        command->detail = CONNECTION_REPLY_TIMEOUT_NUMBER;
        return;
    }
    if (timeout_ms < 0) {
        command->detail = CONNECTION_REPLY_TIMEOUT_NEGATIVE;
        return;
    }
    command->detail = CONNECTION_REPLY_WAIT;
    /* As in Redis, fewer than none are always there. */
    batch->wait_members = members < 0 ? 0 : members < UINT32_MAX ? (uint32_t)members : UINT32_MAX;
    batch->wait_timeout_ms = (uint64_t)timeout_ms;
}
