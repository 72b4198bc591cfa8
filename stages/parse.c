/*
 * The parse stage: from bytes to commands, in place.
 *
 * Happy path: a batch's bytes are whole commands.  They are parsed where they were received, each
 * is looked up and its keys are hashed, and the batch goes to validate.
 *
 * A command that is not complete at the end of the batch is moved to the connection's carry, a
 * block of this shard's arena: first its bytes, behind them the table of the arguments found so
 * far.  Bytes that come later are appended there; when the command is complete the block travels
 * with the batch, and what is behind the command moves to a new block.  A carry grows as bytes
 * arrive, never by what a client announces.
 *
 * Failure modes: not RESP: the batch ends with a refusal, and the connection is closed after its
 * replies.  The arena is full: the connection with the largest unfinished command is refused, so
 * that the others can finish theirs.  More commands than a batch holds, or an AUTH or HELLO before
 * authentication (whose outcome decides the limits of what follows), or a WATCH (the EXEC must know
 * its outcome), or reads whose replies may be long (parse_reads.c), or an ONCE.OPEN, or an EXEC:
 * the rest goes to the carry and the batch comes round again (BATCH_CONTINUE).  What arrives
 * before it does is kept in the carry unparsed, in batches that come round as well, so that no
 * more of them can follow.  Behind a WAIT likewise, but for as long as that takes
 * (stages/batch.h): the batches that arrive meanwhile go home, and read bounds them.  A command
 * that has to wait for the end of a pause (CLIENT PAUSE) is left in the carry in the same way,
 * with all that is behind it.
 *
 * Nothing long in one poll: a large carry is moved, and the keys of a command with very many are
 * hashed, in slices; the batch stays the shard's present work, and those behind it wait.
 *
 * A connection, as parse sees it:  READING ──not RESP, or refused──► BROKEN: its bytes are dropped.
 */

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "stages/connection_commands.h"
#include "stages/node_settings.h"
#include "stages/parse_internal.h"

enum {
    /* What a connection that is not authenticated may leave unfinished: two of the largest bulks
       it may send, with room for their headers. */
    PARSE_UNAUTHENTICATED_CARRY_BYTES = 2 * RESP_UNAUTHENTICATED_BULK_LENGTH_DEFAULT + 1024,
    /* Arguments for which a new carry has room. */
    PARSE_CARRY_ARGUMENTS_MIN = 16,
};

/* ---- stopping ------------------------------------------------------------------------------ */

/* Ends the batch, and the connection, with a refusal.  Behind a WAIT it stands for that one's
 * answer: a WAIT is the last command of its batch, and nobody waits on a connection that closes. */
static void refuse_and_close(struct parse_connection *connection, struct batch *batch,
                             enum batch_refusal refusal, uint16_t row, uint8_t detail) {
    connection->state = PARSE_BROKEN;
    batch->flags |= BATCH_CLOSE_AFTER;
    if ((batch->flags & BATCH_WAITS) != 0) {
        ASSERT(batch->command_count > 0);
        batch->command_count--;
        batch->flags &= (uint16_t)~BATCH_WAITS;
    }
    /* There is always room: parse stops one command before the table is full. */
    ASSERT(batch->command_count < BATCH_COMMANDS_MAX);
    struct batch_command *command = &batch->commands[batch->command_count++];
    *command = (struct batch_command){.base = batch->reply_room,
                                      .fate = FATE_REFUSED,
                                      .refusal = (uint8_t)refusal,
                                      .row = row,
                                      .detail = detail};
}

/* ---- one batch ----------------------------------------------------------------------------- */

/* Sends the batch round again once it is home. */
static void come_again(struct parse_connection *connection, struct batch *batch) {
    if ((batch->flags & BATCH_CONTINUE) == 0) {
        batch->flags |= BATCH_CONTINUE;
        connection->continuing++;
    }
}

/* Moves what is left of a carry to its beginning, where the next command is expected. */
static void carry_move_up(struct parse_shard *shard, const struct parse_connection *connection,
                          struct parse_region *region) {
    uint8_t *begin = parse_carry_bytes(shard, &connection->carry);
    ASSERT(region->in_carry && region->bytes >= begin);
    if (region->bytes != begin) {
        memmove(begin, region->bytes, region->length_bytes);
        region->bytes = begin;
    }
}

/*
 * Leaves the rest of the region, which begins at a command's first byte, to the connection.  If the
 * rest already stands at the beginning of its carry, nothing moves; behind empty commands it moves
 * up once, here.  `partial` arguments of the
 * unfinished command stand at batch->arguments + batch->argument_count.
 */
static void leave_rest(struct parse_shard *shard, struct parse_connection *connection,
                       struct batch *batch, struct parse_region *region, uint32_t needed,
                       uint32_t partial) {
    struct parse_carry *carry = &connection->carry;
    connection->needed_bytes = needed;
    connection->unparsed_bytes = needed > 0 ? 0 : region->length_bytes;
    bool travels = region->in_carry && batch->command_count > 0;
    if (region->in_carry && !travels && region->length_bytes == 0) {
        parse_carry_forget(shard, connection);
        return;
    }
    if (region->in_carry && !travels) {
        carry_move_up(shard, connection, region);
        carry->length_bytes = region->length_bytes;
        if (batch->arguments != parse_carry_arguments(shard, carry)) {
            if (!parse_carry_reserve(shard, connection, carry->capacity_bytes, partial)) {
                refuse_and_close(connection, batch, REFUSAL_CARRY, 0, 0);
                parse_carry_forget(shard, connection);
                return;
            }
            memcpy(parse_carry_arguments(shard, carry), batch->arguments + batch->argument_count,
                   partial * sizeof(struct resp_argument));
        }
        carry->argument_count = partial;
        return;
    }
    /* The block with the commands found so far goes with the batch. */
    if (travels) {
        batch->carry_block = parse_carry_release(shard, connection);
    }
    ASSERT(carry->block == BATCH_NO_BLOCK);
    if (region->length_bytes == 0) {
        return;
    }
    uint32_t arguments = partial < PARSE_CARRY_ARGUMENTS_MIN ? PARSE_CARRY_ARGUMENTS_MIN : partial;
    if (!parse_carry_reserve(shard, connection,
                             parse_carry_goal_bytes(region->length_bytes, needed), arguments)) {
        refuse_and_close(connection, batch, REFUSAL_CARRY, 0, 0);
        return;
    }
    memcpy(parse_carry_bytes(shard, carry), region->bytes, region->length_bytes);
    memcpy(parse_carry_arguments(shard, carry), batch->arguments + batch->argument_count,
           partial * sizeof(struct resp_argument));
    parse_spend(shard, stage_bytes_units(region->length_bytes));
    carry->length_bytes = region->length_bytes;
    carry->argument_count = partial;
}

/* Enlarges the argument table of the one command that is too long for the batch's slots. */
static bool enlarge_arguments(struct parse_shard *shard, struct parse_connection *connection,
                              struct batch *batch, struct parse_region *region, uint32_t have) {
    struct parse_carry *carry = &connection->carry;
    ASSERT(batch->argument_count == 0);
    bool in_slots = batch->arguments == batch->argument_slots;
    if (!region->in_carry) {
        /* An inline line of single letters: it moves to a carry, which travels with the batch. */
        ASSERT(carry->block == BATCH_NO_BLOCK);
        if (!parse_carry_reserve(shard, connection, region->length_bytes,
                                 2 * BATCH_ARGUMENTS_MAX)) {
            return false;
        }
        memcpy(parse_carry_bytes(shard, carry), region->bytes, region->length_bytes);
        region->bytes = parse_carry_bytes(shard, carry);
        region->in_carry = true;
    }
    carry_move_up(shard, connection, region);
    carry->length_bytes = region->length_bytes;
    if (!in_slots) {
        carry->argument_count = have;
    }
    uint32_t wanted = have * 2 > BATCH_ARGUMENTS_MAX ? have * 2 : 2 * BATCH_ARGUMENTS_MAX;
    if (carry->length_bytes > PARSE_MOVE_BYTES_MAX) {
        wanted = have + 1; /* which is there: parse_carry_prepare counted what may come */
    }
    if (!parse_carry_reserve(shard, connection, carry->capacity_bytes, wanted)) {
        return false;
    }
    if (in_slots) {
        memcpy(parse_carry_arguments(shard, carry), batch->argument_slots,
               have * sizeof(struct resp_argument));
        carry->argument_count = have;
    }
    batch->arguments = parse_carry_arguments(shard, carry);
    batch->key_hashes = parse_carry_hashes(shard, carry);
    region->bytes = parse_carry_bytes(shard, carry);
    return true;
}

static uint32_t argument_room(const struct parse_connection *connection,
                              const struct batch *batch) {
    uint32_t capacity = batch->arguments == batch->argument_slots
                            ? (uint32_t)BATCH_ARGUMENTS_MAX
                            : connection->carry.argument_capacity;
    ASSERT(capacity >= batch->argument_count);
    return capacity - batch->argument_count;
}

/* Puts the batch's bytes behind the carry; false if there is no memory for them. */
static bool carry_append(struct parse_shard *shard, struct parse_connection *connection,
                         const struct batch *batch) {
    struct parse_carry *carry = &connection->carry;
    uint32_t total = carry->length_bytes + batch->length_bytes;
    uint32_t arguments = carry->argument_capacity > PARSE_CARRY_ARGUMENTS_MIN
                             ? carry->argument_capacity
                             : (uint32_t)PARSE_CARRY_ARGUMENTS_MIN;
    if (total > carry->capacity_bytes &&
        !parse_carry_reserve(shard, connection, parse_carry_goal_bytes(total, 0), arguments)) {
        return false;
    }
    if (batch->length_bytes > 0) {
        memcpy(parse_carry_bytes(shard, carry) + carry->length_bytes, batch->bytes,
               batch->length_bytes);
        parse_spend(shard, stage_bytes_units(batch->length_bytes));
    }
    carry->length_bytes = total;
    return true;
}

/* Puts the batch's bytes behind the carry and makes the carry the region. */
static bool region_from_carry(struct parse_shard *shard, struct parse_connection *connection,
                              struct batch *batch, struct parse_region *region) {
    struct parse_carry *carry = &connection->carry;
    if (!carry_append(shard, connection, batch)) {
        return false;
    }
    region->bytes = parse_carry_bytes(shard, carry);
    region->length_bytes = carry->length_bytes;
    region->in_carry = true;
    if (carry->argument_count + 1 < BATCH_ARGUMENTS_MAX) {
        memcpy(batch->argument_slots, parse_carry_arguments(shard, carry),
               carry->argument_count * sizeof(struct resp_argument));
    } else {
        batch->arguments = parse_carry_arguments(shard, carry);
        batch->key_hashes = parse_carry_hashes(shard, carry);
    }
    return true;
}

/* The connection is broken: what is behind is dropped. */
static void leave_nothing(struct parse_shard *shard, struct parse_connection *connection,
                          struct batch *batch, struct parse_region *region) {
    ASSERT(connection->state == PARSE_BROKEN);
    region->length_bytes = 0;
    leave_rest(shard, connection, batch, region, 0, 0);
}

/* Glances at what validate has published: the limits of who has not said who it is. */
static bool is_authenticated(const struct parse_shard *shard, uint32_t slot) {
    return !node_password_required(shard->node) ||
           atomic_load_relaxed_u32(&shard->node->records[slot].authenticated) != 0;
}

/* Ends the batch between two commands. */
static void end_between(struct parse_shard *shard, struct parse_connection *connection,
                        struct batch *batch, struct parse_region *region) {
    if ((batch->flags & BATCH_WAITS) != 0) {
        connection->held = true;
    } else if (region->length_bytes > 0) {
        come_again(connection, batch);
    }
    leave_rest(shard, connection, batch, region, 0, 0);
}

/* Nothing behind this batch is parsed before it is home. */
static void wait_for(struct parse_connection *connection, struct batch *batch) {
    come_again(connection, batch);
    connection->waiting = connection->continuing;
}

/* Ends the batch before a command that has to wait until a pause is over. */
static void end_paused(struct parse_shard *shard, struct parse_connection *connection,
                       struct batch *batch, struct parse_region *region) {
    batch->flags |= BATCH_PAUSED;
    connection->held = true;
    leave_rest(shard, connection, batch, region, 0, 0);
}

/* Ends the batch behind a command whose outcome decides how to go on. */
static void end_deciding(struct parse_shard *shard, struct parse_connection *connection,
                         struct batch *batch, struct parse_region *region) {
    wait_for(connection, batch);
    leave_rest(shard, connection, batch, region, 0, 0);
}

/* The parser has found a whole command: adds it to the batch, or ends the batch before or behind
 * it; true if it has ended. */
static bool take_command(struct parse_shard *shard, struct parse_connection *connection,
                         struct batch *batch, const struct resp_command *parsed,
                         bool authenticated) {
    struct parse_region *region = &shard->work.region;
    const struct resp_argument *arguments = batch->arguments + batch->argument_count;
    if (parse_pause_multibulk(shard, region->bytes, arguments, parsed, authenticated)) {
        end_paused(shard, connection, batch, region);
        return true;
    }
    const struct batch_command *added = parse_command(shard, batch, region->bytes, parsed);
    region->bytes += parsed->consumed_bytes;
    region->length_bytes -= parsed->consumed_bytes;
    shard->work.ends = parse_reads_count(shard, connection, added) || shard->work.ends;
    if (parse_command_stops(shard, added, batch, authenticated)) {
        end_deciding(shard, connection, batch, region);
        return true;
    }
    return false;
}

/* Parses the region to its end or to the first reason to stop; false if it is to be called again,
 * since the units are spent. */
static bool parse_region_commands(struct parse_shard *shard, struct parse_connection *connection,
                                  struct batch *batch) {
    struct parse_region *region = &shard->work.region;
    bool authenticated = is_authenticated(shard, batch->connection.slot);
    struct resp_limits limits = shard->node->options->resp_limits;
    limits.bulk_length_max = node_bulk_bytes_max(shard->node);
    for (;;) {
        if (shard->work.keys_left > 0 && !parse_keys_hash(shard, batch)) {
            return false;
        }
        struct resp_command parsed;
        uint32_t room = argument_room(connection, batch);
        if (batch->command_count == BATCH_COMMANDS_MAX - 1 || room == 0 || shard->work.ends) {
            end_between(shard, connection, batch, region);
            return true;
        }
        if (parse_pause_inline(shard, region, authenticated)) {
            end_paused(shard, connection, batch, region);
            return true;
        }
        enum resp_result result = resp_parse(
            &connection->parser, &limits, authenticated, region->bytes, region->length_bytes,
            batch->arguments + batch->argument_count, room, &parsed);
        switch (result) {
        case RESP_COMMAND:
            if (take_command(shard, connection, batch, &parsed, authenticated)) {
                return true;
            }
            break;
        case RESP_EMPTY:
            region->bytes += parsed.consumed_bytes;
            region->length_bytes -= parsed.consumed_bytes;
            break;
        case RESP_MORE:
            if (!authenticated && region->length_bytes > PARSE_UNAUTHENTICATED_CARRY_BYTES) {
                refuse_and_close(connection, batch, REFUSAL_PROTOCOL,
                                 RESP_ERROR_BULK_UNAUTHENTICATED, 0);
                leave_nothing(shard, connection, batch, region);
                return true;
            }
            leave_rest(shard, connection, batch, region, parsed.needed_bytes,
                       parsed.argument_count);
            return true;
        case RESP_ARGUMENTS_FULL:
            if (batch->command_count > 0) {
                come_again(connection, batch);
                leave_rest(shard, connection, batch, region, 0, parsed.argument_count);
                return true;
            }
            if (!enlarge_arguments(shard, connection, batch, region, parsed.argument_count)) {
                refuse_and_close(connection, batch, REFUSAL_CARRY, 0, 0);
                return true;
            }
            break;
        case RESP_ERROR:
            refuse_and_close(connection, batch, REFUSAL_PROTOCOL, parsed.error, parsed.error_byte);
            leave_nothing(shard, connection, batch, region);
            return true;
        case RESP_CROSS_PROTOCOL: /* without a word: a browser is to learn nothing */
            connection->state = PARSE_BROKEN;
            batch->flags |= BATCH_CLOSE_AFTER;
            leave_nothing(shard, connection, batch, region);
            return true;
        }
    }
}

static void batch_reset(struct batch *batch) {
    batch->commands = batch->command_slots;
    batch->arguments = batch->argument_slots;
    batch->key_hashes = batch->key_hash_slots;
    batch->command_count = 0;
    batch->argument_count = 0;
    batch->key_count = 0;
    ASSERT(batch->carry_block == BATCH_NO_BLOCK);
}

/* The batch bears the answer of a WAIT, and nothing else; what is behind that comes next. */
static void answer_wait(struct parse_connection *connection, struct batch *batch) {
    ASSERT(batch->command_count == 0 && !connection->held);
    struct batch_command *command = &batch->commands[batch->command_count++];
    *command = (struct batch_command){.base = batch->reply_room,
                                      .table = TABLE_CONNECTION,
                                      .row = CONNECTION_WAIT,
                                      .fate = FATE_LOCAL,
                                      .detail = CONNECTION_REPLY_WAIT};
    if (connection->carry.block != BATCH_NO_BLOCK) {
        come_again(connection, batch);
    }
}

/* Looks at a batch for the first time; false if there is nothing in it to be parsed. */
static bool parse_begin(struct parse_shard *shard, struct parse_connection *connection,
                        struct batch *batch) {
    const uint64_t sent_bytes = batch->pieces.length_bytes; /* if it comes round again */
    batch_reset(batch);
    if (batch->flags & BATCH_OPEN) {
        ASSERT(connection->carry.block == BATCH_NO_BLOCK);
        *connection = (struct parse_connection){.generation = batch->connection.generation};
        parse_reads_open(shard, connection, batch->connection.slot);
        parse_carry_none(connection);
    }
    ASSERT(connection->generation == batch->connection.generation);
    if (batch->flags & BATCH_END) {
        parse_carry_forget(shard, connection);
        return false;
    }
    if ((batch->flags & BATCH_GOES_ON) != 0) {
        ASSERT(batch->length_bytes == 0 && connection->generation == batch->connection.generation);
        connection->held = false;
    } else if (batch->length_bytes == 0) { /* it comes round again */
        ASSERT(connection->continuing > 0 && connection->waiting <= connection->continuing);
        connection->continuing--;
        if (connection->waiting > 0 && --connection->waiting == 0) {
            parse_reads_learn(shard, connection, batch->connection.slot, sent_bytes);
        }
    }
    if (connection->state == PARSE_BROKEN) {
        if (connection->refused) {
            connection->refused = false;
            refuse_and_close(connection, batch, REFUSAL_CARRY, 0, 0);
        }
        return false;
    }
    if ((batch->flags & BATCH_GOES_ON) != 0 && batch->wait_reached != BATCH_NO_ANSWER) {
        answer_wait(connection, batch);
        return false;
    }
    return true;
}

/* The carry has room for the batch: makes what is to be parsed the region; false if there is
 * nothing, or no memory. */
static bool parse_region_begin(struct parse_shard *shard, struct parse_connection *connection,
                               struct batch *batch) {
    struct parse_work *work = &shard->work;
    if (connection->waiting > 0 || connection->held) {
        if (!connection->held) {
            come_again(connection, batch);
        }
        connection->unparsed_bytes += batch->length_bytes;
        if (!carry_append(shard, connection, batch)) {
            refuse_and_close(connection, batch, REFUSAL_CARRY, 0, 0);
        }
        return false;
    }
    parse_reads_begin(shard, connection, batch->connection.slot);
    work->region =
        (struct parse_region){.bytes = batch->bytes, .length_bytes = batch->length_bytes};
    if (connection->carry.block != BATCH_NO_BLOCK &&
        !region_from_carry(shard, connection, batch, &work->region)) {
        refuse_and_close(connection, batch, REFUSAL_CARRY, 0, 0);
        return false;
    }
    return work->region.length_bytes > 0;
}

/* Goes on with the batch under way, as far as it can be: false if the units are spent before. */
static bool parse_go_on(struct parse_shard *shard, struct parse_connection *connection,
                        struct batch *batch) {
    struct parse_work *work = &shard->work;
    if (work->parsing) {
        return parse_region_commands(shard, connection, batch);
    }
    switch (parse_carry_prepare(shard, connection, batch->length_bytes)) {
    case PARSE_PREPARED: break;
    case PARSE_PREPARING: return false;
    case PARSE_NO_MEMORY: refuse_and_close(connection, batch, REFUSAL_CARRY, 0, 0); return true;
    }
    work->parsing = parse_region_begin(shard, connection, batch);
    return !work->parsing || parse_region_commands(shard, connection, batch);
}

/* Parses a batch, or goes on with it; true when it is finished. */
static bool parse_batch(struct parse_shard *shard, struct batch *batch) {
    struct parse_work *work = &shard->work;
    struct parse_connection *connection = &shard->connections[batch->connection.slot];
    if (work->batch == NULL) {
        *work = (struct parse_work){.batch = batch};
        parse_spend(shard, 4);
        if (!parse_begin(shard, connection, batch)) {
            work->batch = NULL;
            return true;
        }
    }
    ASSERT(work->batch == batch);
    if (!parse_go_on(shard, connection, batch)) {
        return false;
    }
    if (connection->state == PARSE_BROKEN) {
        parse_carry_forget(shard, connection);
    } else if (parse_reads_wait(connection, batch)) {
        wait_for(connection, batch);
    }
    work->batch = NULL;
    return true;
}

/* ---- the stage ----------------------------------------------------------------------------- */

static void blocks_come_home(struct parse_shard *shard) {
    uint32_t blocks[PARSE_TAKE_MAX];
    uint32_t count;
    /* All of them, no more than there are batches: none may lie here while we sleep. */
    do {
        count = ring_u32_dequeue(shard->from_write, blocks, PARSE_TAKE_MAX);
        for (uint32_t i = 0; i < count; i++) {
            arena_give(shard->arena, blocks[i]);
        }
    } while (count == PARSE_TAKE_MAX);
}

/* Parses until the units, the bytes or the budget are used up, and hands on what is parsed; returns
 * how many batches. */
static uint32_t parse_turn(struct parse_shard *shard, uint32_t budget) {
    uint32_t ids[PARSE_TAKE_MAX];
    uint32_t count = 0;
    uint32_t bytes = 0;
    const uint32_t most = budget < PARSE_TAKE_MAX ? budget : PARSE_TAKE_MAX;
    while (count < most && shard->units > 0 && bytes < PARSE_TURN_BYTES) {
        struct batch *batch = parse_next(shard);
        if (batch == NULL || !parse_batch(shard, batch)) {
            break;
        }
        uint32_t slot = batch->connection.slot;
        parse_lines_done(shard->lines, slot, shard->connections[slot].unparsed_bytes);
        bytes += batch->length_bytes;
        ids[count++] = batch->id;
        batch_hand_over(batch, STAGE_PARSE, STAGE_VALIDATE);
    }
    uint32_t taken = ring_u32_enqueue(shard->to_validate, ids, count);
    ASSERT(taken == count); /* as long as the pool */
    return count;
}

static struct stage_result parse_poll(void *state, const struct stage_moment *moment,
                                      uint32_t budget) {
    struct parse_shard *shard = state;
    struct stage_result result = {0};
    if (shard->peers != NULL) {
        result = parse_peers_poll(shard->peers, moment->monotonic_ns, budget);
    }
    blocks_come_home(shard);
    shard->now_ns = moment->monotonic_ns;
    shard->units = STAGE_POLL_UNITS - (int32_t)result.units;
    parse_intake(shard, budget);
    uint32_t count = parse_turn(shard, budget);
    node_figure_set(&shard->node->parse.batches_waiting, parse_lines_count(shard->lines));
    result.work += count;
    if (result.work == 0 && parse_is_waiting(shard)) {
        result.work = 1; /* the units were not enough for one */
    }
    if (result.work == 0) {
        (void)arena_trim(shard->arena, moment->monotonic_ns);
        return result;
    }
    result.units = (uint32_t)(STAGE_POLL_UNITS - shard->units);
    return result;
}

static bool parse_drain(void *state, const struct stage_moment *moment) {
    struct parse_shard *shard = state;
    (void)moment;
    blocks_come_home(shard);
    return !parse_is_waiting(shard) && ring_ready(shard->from_read, 1) == 0 &&
           ring_ready(shard->from_write, 1) == 0 &&
           (shard->peers == NULL || parse_peers_drain(shard->peers));
}

const struct stage stage_parse = {.id = STAGE_PARSE,
                                  .name = "parse",
                                  .init = parse_init,
                                  .poll = parse_poll,
                                  .drain = parse_drain,
                                  .fini = parse_fini};
