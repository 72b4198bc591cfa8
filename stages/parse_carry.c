/*
 * The carry: a block of the arena with the unfinished command of a connection.
 *
 *     | bytes of the command, and what is behind it | free | arguments | key hashes |
 *     0                                  length_bytes      capacity_bytes, rounded up to 8
 *
 * It grows as bytes arrive, by moving to a block of twice the size.  A large one moves in slices,
 * before the batch that needs the room is looked at; nothing else is parsed meanwhile.
 *
 * When the arena is full, the connection with the largest one loses it and is refused with its next
 * batch, so that the others can finish their commands.  Which one that is tell lists of the
 * connections, one for each size of a block.
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

/* ---- lists by size ------------------------------------------------------------------------- */

static uint32_t size_of(const struct parse_shard *shard, uint32_t block) {
    return (uint32_t)__builtin_ctzll(arena_block_bytes(shard->arena, block));
}

/* The connection's carry is this one from now on, in a block that nobody has. */
static void carry_adopt(struct parse_shard *shard, struct parse_connection *connection,
                        const struct parse_carry *carry) {
    ASSERT(connection->carry.block == BATCH_NO_BLOCK);
    uint32_t slot = (uint32_t)(connection - shard->connections);
    uint32_t *head = &shard->size_head[size_of(shard, carry->block)];
    connection->carry = *carry;
    connection->size_next = *head;
    connection->size_previous = BATCH_NO_BLOCK;
    if (*head != BATCH_NO_BLOCK) {
        shard->connections[*head].size_previous = slot;
    }
    *head = slot;
}

void parse_carry_none(struct parse_connection *connection) {
    connection->carry = (struct parse_carry){.block = BATCH_NO_BLOCK};
}

uint32_t parse_carry_release(struct parse_shard *shard, struct parse_connection *connection) {
    uint32_t block = connection->carry.block;
    ASSERT(block != BATCH_NO_BLOCK);
    if (connection->size_previous != BATCH_NO_BLOCK) {
        shard->connections[connection->size_previous].size_next = connection->size_next;
    } else {
        shard->size_head[size_of(shard, block)] = connection->size_next;
    }
    if (connection->size_next != BATCH_NO_BLOCK) {
        shard->connections[connection->size_next].size_previous = connection->size_previous;
    }
    parse_carry_none(connection);
    return block;
}

void parse_carry_forget(struct parse_shard *shard, struct parse_connection *connection) {
    if (connection->carry.block != BATCH_NO_BLOCK) {
        arena_give(shard->arena, parse_carry_release(shard, connection));
    }
}

/* Takes the largest carry away from its connection; false if `self` has one as large. */
static bool carry_evict_largest(struct parse_shard *shard, const struct parse_connection *self) {
    uint32_t self_slot = (uint32_t)(self - shard->connections);
    for (uint32_t size = PARSE_BLOCK_SIZES; size-- > 0;) {
        uint32_t slot = shard->size_head[size];
        if (slot == BATCH_NO_BLOCK) {
            continue;
        }
        if (slot == self_slot ||
            (self->carry.block != BATCH_NO_BLOCK && size_of(shard, self->carry.block) == size)) {
            return false;
        }
        struct parse_connection *largest = &shard->connections[slot];
        parse_carry_forget(shard, largest);
        largest->state = PARSE_BROKEN;
        largest->refused = true;
        return true;
    }
    return false;
}

/* ---- growing ------------------------------------------------------------------------------- */

/* A block for a carry of at least these capacities, and what is in the present one; false if there
 * is no memory even after refusing others. */
static bool carry_take(struct parse_shard *shard, const struct parse_connection *connection,
                       uint32_t capacity_bytes, uint32_t argument_capacity,
                       struct parse_carry *grown) {
    *grown = connection->carry;
    grown->capacity_bytes =
        capacity_bytes > grown->capacity_bytes ? capacity_bytes : grown->capacity_bytes;
    grown->argument_capacity =
        argument_capacity > grown->argument_capacity ? argument_capacity : grown->argument_capacity;
    uint64_t need =
        carry_tables_offset(grown) +
        (uint64_t)grown->argument_capacity * (sizeof(struct resp_argument) + sizeof(uint64_t));
    do {
        grown->block = arena_take(shard->arena, need);
    } while (grown->block == BATCH_NO_BLOCK && carry_evict_largest(shard, connection));
    return grown->block != BATCH_NO_BLOCK;
}

static bool carry_suffices(const struct parse_carry *carry, uint32_t capacity_bytes,
                           uint32_t argument_capacity) {
    return carry->block != BATCH_NO_BLOCK && carry->capacity_bytes >= capacity_bytes &&
           carry->argument_capacity >= argument_capacity;
}

bool parse_carry_reserve(struct parse_shard *shard, struct parse_connection *connection,
                         uint32_t capacity_bytes, uint32_t argument_capacity) {
    struct parse_carry *carry = &connection->carry;
    if (carry_suffices(carry, capacity_bytes, argument_capacity)) {
        return true;
    }
    struct parse_carry grown;
    if (!carry_take(shard, connection, capacity_bytes, argument_capacity, &grown)) {
        return false;
    }
    if (carry->block != BATCH_NO_BLOCK) {
        ASSERT(carry->length_bytes <= PARSE_MOVE_BYTES_MAX);
        memcpy(parse_carry_bytes(shard, &grown), parse_carry_bytes(shard, carry),
               carry->length_bytes);
        memcpy(parse_carry_arguments(shard, &grown), parse_carry_arguments(shard, carry),
               carry->argument_count * sizeof(struct resp_argument));
        parse_spend(shard, stage_bytes_units(carry->length_bytes));
        parse_carry_forget(shard, connection);
    }
    carry_adopt(shard, connection, &grown);
    return true;
}

/* Copies the next slice to the grown carry; false when all is there. */
static bool carry_move_slice(struct parse_shard *shard, const struct parse_carry *carry) {
    struct parse_work *work = &shard->work;
    uint32_t slice = carry->length_bytes - work->grown_bytes;
    if (slice > 0) {
        slice = slice < PARSE_MOVE_BYTES_MAX ? slice : PARSE_MOVE_BYTES_MAX;
        memcpy(parse_carry_bytes(shard, &work->grown) + work->grown_bytes,
               parse_carry_bytes(shard, carry) + work->grown_bytes, slice);
        work->grown_bytes += slice;
        parse_spend(shard, stage_bytes_units(slice));
        return true;
    }
    slice = carry->argument_count - work->grown_arguments;
    const uint32_t slice_max = PARSE_MOVE_BYTES_MAX / sizeof(struct resp_argument);
    slice = slice < slice_max ? slice : slice_max;
    memcpy(parse_carry_arguments(shard, &work->grown) + work->grown_arguments,
           parse_carry_arguments(shard, carry) + work->grown_arguments,
           slice * sizeof(struct resp_argument));
    work->grown_arguments += slice;
    parse_spend(shard, stage_bytes_units(slice * sizeof(struct resp_argument)));
    return work->grown_arguments < carry->argument_count;
}

/* Begins to move the carry, if what may be added does not fit. */
static bool carry_move_begin(struct parse_shard *shard, struct parse_connection *connection,
                             uint32_t added_bytes) {
    struct parse_work *work = &shard->work;
    const struct parse_carry *carry = &connection->carry;
    uint32_t total = carry->length_bytes + added_bytes;
    uint32_t arguments = carry->argument_count +
                         (connection->unparsed_bytes + added_bytes) / RESP_ARGUMENT_BYTES_MIN + 1;
    if (connection->held) { /* nothing is parsed now: room for arguments is made when it is */
        arguments = carry->argument_count + 1;
    }
    if (carry_suffices(carry, total, arguments)) {
        return true;
    }
    uint32_t capacity_bytes = total > carry->capacity_bytes
                                  ? parse_carry_goal_bytes(total, connection->needed_bytes)
                                  : carry->capacity_bytes;
    if (arguments > carry->argument_capacity && arguments < 2 * carry->argument_count) {
        arguments = 2 * carry->argument_count;
    }
    if (!carry_take(shard, connection, capacity_bytes, arguments, &work->grown)) {
        return false;
    }
    work->growing = true;
    work->grown_bytes = 0;
    work->grown_arguments = 0;
    return true;
}

enum parse_prepared parse_carry_prepare(struct parse_shard *shard,
                                        struct parse_connection *connection, uint32_t added_bytes) {
    struct parse_work *work = &shard->work;
    if (!work->growing) {
        /* A small one moves when it must, in one go. */
        if (connection->carry.block == BATCH_NO_BLOCK ||
            connection->carry.length_bytes + added_bytes <= PARSE_MOVE_BYTES_MAX) {
            return PARSE_PREPARED;
        }
        if (!carry_move_begin(shard, connection, added_bytes)) {
            return PARSE_NO_MEMORY;
        }
        if (!work->growing) {
            return PARSE_PREPARED;
        }
    }
    while (carry_move_slice(shard, &connection->carry)) {
        if (shard->units <= 0) {
            return PARSE_PREPARING;
        }
    }
    parse_carry_forget(shard, connection);
    carry_adopt(shard, connection, &work->grown);
    work->growing = false;
    return PARSE_PREPARED;
}

uint32_t parse_carry_goal_bytes(uint32_t have, uint32_t needed) {
    uint64_t doubled = (uint64_t)have * 2;
    uint64_t goal = doubled > BATCH_BUFFER_BYTES ? doubled : BATCH_BUFFER_BYTES;
    if (goal > needed && needed > have) {
        goal = needed; /* it is not known to become longer */
    }
    ASSERT(goal >= have && goal <= UINT32_MAX);
    return (uint32_t)goal;
}
