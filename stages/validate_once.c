/*
 * Judging ONCE and ONCE.OPEN, beyond what the inner command is judged by.
 *
 * Whether there is such a session is not asked here: apply says so, at the command's place in the
 * log.
 */

#include "base/assert.h"
#include "stages/once.h"
#include "stages/validate_internal.h"

bool validate_open_suits(struct validate_shard *shard, struct batch_command *command) {
    ASSERT(once_is(command) && command->once == BATCH_ONCE_NONE);
    uint64_t lifetime_ms;
    enum batch_refusal refusal = once_lifetime(shard->work.batch, command, &lifetime_ms);
    if (refusal != REFUSAL_NONE) {
        validate_refuse(shard, command, refusal);
        return false;
    }
    command->once = BATCH_ONCE_OPEN;
    return true;
}

bool validate_once_suits(struct validate_shard *shard, const struct connection *connection,
                         struct batch_command *command) {
    ASSERT(command->once == BATCH_ONCE && command->table != TABLE_NONE);
    uint64_t session;
    uint64_t sequence;
    bool writes = command->table == TABLE_MACHINE &&
                  (shard->machine->commands[command->row].flags & MACHINE_WRITE) != 0;
    if (connection->state == CONNECTION_LOCKED) {
        validate_refuse(shard, command, REFUSAL_NO_AUTH);
    } else if (!batch_is_exec(command) && !writes) {
        validate_refuse(shard, command, REFUSAL_ONCE_COMMAND);
    } else if (!batch_is_exec(command) && validate_transaction_forbids(shard, command)) {
        /* ONCE takes all of a transaction, or nothing */
    } else if (!once_numbers(shard->work.batch, command, &session, &sequence)) {
        validate_refuse(shard, command, REFUSAL_ONCE_NUMBER);
    } else {
        return true;
    }
    return false;
}
