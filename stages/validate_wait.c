/*
 * WAIT: how many other members have all that this connection has written.
 *
 * Happy path: its numbers are right, and it becomes a read: so it stands behind the connection's
 * writes, and whoever answers it leads.  apply answers it at its place (apply_wait_count).
 *
 * It is never held up: what is applied is already on a majority, and how long the others take is
 * nobody's to promise.  So the time-out is looked at only for its form.
 */

#include "base/assert.h"
#include "base/decimal.h"
#include "stages/validate_internal.h"

/* A number of 0 or more. */
static bool argument_suits(const struct batch *batch, const struct batch_command *command,
                           uint32_t index) {
    uint32_t length = 0;
    int64_t number = 0;
    const uint8_t *text = batch_argument(batch, command, index, &length);
    return decimal_parse_i64((const char *)text, length, &number) == 0 && number >= 0;
}

void validate_wait(struct validate_shard *shard, struct batch_command *command) {
    struct batch *batch = shard->work.batch;
    ASSERT(command->row == CONNECTION_WAIT && command->argument_count == 3);
    if (argument_suits(batch, command, 1) && argument_suits(batch, command, 2)) {
        command->fate = FATE_READ;
        batch->read_count++;
        return;
    }
    command->fate = FATE_LOCAL;
    command->detail = CONNECTION_REPLY_NUMBER;
}
