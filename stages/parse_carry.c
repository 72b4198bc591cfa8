/*
 * The carry: a block of the arena with the unfinished command of a connection.
 *
 *     | bytes of the command, and what is behind it | free | arguments | key hashes |
 *     0                                  length_bytes      capacity_bytes, rounded up to 8
 *
 * It grows as bytes arrive.  When the arena is full, the connection with the largest one loses it
 * and is refused with its next batch, so that the others can finish their commands.
 */

#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "stages/parse_internal.h"

static size_t carry_tables_offset(const struct parse_carry *carry) {
    return ALIGN_UP((size_t)carry->capacity_bytes, (size_t)8);
}

uint8_t *parse_carry_bytes(const struct parse_shard *shard, const struct parse_carry *carry) {
    return arena_memory(shard->arena, carry->block);
}

struct resp_argument *parse_carry_arguments(const struct parse_shard *shard,
                                            const struct parse_carry *carry) {
    return (struct resp_argument *)(void *)(parse_carry_bytes(shard, carry) +
                                            carry_tables_offset(carry));
}

/* The key hashes of a carried command stand behind its arguments. */
uint64_t *parse_carry_hashes(const struct parse_shard *shard, const struct parse_carry *carry) {
    return (uint64_t *)(void *)(parse_carry_arguments(shard, carry) + carry->argument_capacity);
}

/* What a carry takes of the arena, about. */
static uint64_t carry_weight_bytes(const struct parse_carry *carry) {
    return carry->capacity_bytes +
           (uint64_t)carry->argument_capacity * (sizeof(struct resp_argument) + sizeof(uint64_t));
}

void parse_carry_forget(struct parse_shard *shard, struct parse_carry *carry) {
    if (carry->block != BATCH_NO_BLOCK) {
        arena_give(shard->arena, carry->block);
    }
    *carry = (struct parse_carry){.block = BATCH_NO_BLOCK};
}

/* Takes the largest carry away from its connection; false if `self` has the largest. */
static bool carry_evict_largest(struct parse_shard *shard, const struct parse_connection *self) {
    struct parse_connection *largest = NULL;
    for (uint32_t slot = 0; slot < shard->connections_max; slot++) {
        struct parse_connection *connection = &shard->connections[slot];
        if (connection->carry.block != BATCH_NO_BLOCK &&
            (largest == NULL ||
             carry_weight_bytes(&connection->carry) > carry_weight_bytes(&largest->carry))) {
            largest = connection;
        }
    }
    if (largest == NULL || largest == self) {
        return false;
    }
    parse_carry_forget(shard, &largest->carry);
    largest->state = PARSE_BROKEN;
    largest->refused = true;
    return true;
}

/*
 * Gives the connection a carry of at least these capacities, keeping what is in it.  False if there
 * is no memory even after refusing others; then nothing has changed.
 */
bool parse_carry_reserve(struct parse_shard *shard, struct parse_connection *connection,
                         uint32_t capacity_bytes, uint32_t argument_capacity) {
    struct parse_carry *carry = &connection->carry;
    if (carry->block != BATCH_NO_BLOCK && carry->capacity_bytes >= capacity_bytes &&
        carry->argument_capacity >= argument_capacity) {
        return true;
    }
    struct parse_carry grown = *carry;
    grown.capacity_bytes =
        capacity_bytes > carry->capacity_bytes ? capacity_bytes : carry->capacity_bytes;
    grown.argument_capacity =
        argument_capacity > carry->argument_capacity ? argument_capacity : carry->argument_capacity;
    uint64_t need =
        carry_tables_offset(&grown) +
        (uint64_t)grown.argument_capacity * (sizeof(struct resp_argument) + sizeof(uint64_t));
    do {
        grown.block = arena_take(shard->arena, need);
    } while (grown.block == BATCH_NO_BLOCK && carry_evict_largest(shard, connection));
    if (grown.block == BATCH_NO_BLOCK) {
        return false;
    }
    if (carry->block != BATCH_NO_BLOCK) {
        memcpy(parse_carry_bytes(shard, &grown), parse_carry_bytes(shard, carry),
               carry->length_bytes);
        memcpy(parse_carry_arguments(shard, &grown), parse_carry_arguments(shard, carry),
               carry->argument_count * sizeof(struct resp_argument));
        arena_give(shard->arena, carry->block);
    }
    *carry = grown;
    return true;
}

/* How large to make a carry that holds `have` bytes of a command which needs at least `needed`. */
uint32_t parse_carry_goal_bytes(uint32_t have, uint32_t needed) {
    uint64_t doubled = (uint64_t)have * 2;
    uint64_t goal = doubled > BATCH_BUFFER_BYTES ? doubled : BATCH_BUFFER_BYTES;
    if (goal > needed && needed > have) {
        goal = needed; /* it is not known to become longer */
    }
    ASSERT(goal >= have && goal <= UINT32_MAX);
    return (uint32_t)goal;
}
