/*
 * Commands of client sessions: ONCE.OPEN, and writes with a session and a sequence.
 *
 * They are decided here and not by the machine, from the entry alone, so that every replica and
 * every restart decides alike.  Each is a run of its own: what is before it has been applied.
 *
 *   NONE ─► HASH ─► JUDGE ─► (answered from the window, or refused) ─► NONE
 *                     └─ new ─► RUN ─► STORE ─► NONE
 *   NONE ─► OPEN ─► NONE
 *
 * Happy path: the command is hashed, its sequence is new, the machine executes it with a reply that
 * goes to the shard's own room; the session remembers it, and the batch, if there is one, gets a
 * copy.  (Never straight to the batch: whether a reply is kept must not depend on anybody
 * listening, or on how much room he has left.)
 *
 * What is remembered is part of the state, so it is the same on every member: not the reply of an
 * EXEC with a read in it whose answer depends on how a table lies (MACHINE_UNORDERED).
 *
 * Failure modes: the reply is larger than that room, and so than what is kept: it goes to the batch
 * as others do, and the session remembers that there was one.  A session that changes while a
 * snapshot still needs it is emitted first; while the snapshot has no room, it waits.  The batch
 * has no room for a reply: the connection ends, as for any write.
 */

#include <string.h>

#include "base/assert.h"
#include "base/mutant.h"
#include "stages/apply_internal.h"

enum {
    ONCE_UNITS = 4,                         /* to find and judge */
    ONCE_HASH_BYTES = 8 * STAGE_UNIT_BYTES, /* hashed for a unit */
};
_Static_assert(APPLY_ONCE_ROOM_BYTES >= SESSION_REPLY_BYTES_MAX + MACHINE_WRITE_REPLY_BYTES,
               "a reply that may be kept fits, whatever a machine asks for before it begins");

static void spend(uint32_t *units, uint32_t count) {
    *units -= *units < count ? *units : count;
}

static struct session_moment moment_of(const struct apply_shard *shard) {
    return (struct session_moment){.index = shard->work.header.index,
                                   .log_time_ms = shard->work.header.log_time_ms};
}

/* Begins the shard's own room for a reply.  Zeroed: slack is remembered too, and is to be the same
 * everywhere. */
static void room_begin(struct apply_once *once) {
    memset(once->room, 0, SESSION_REPLY_BYTES_MAX);
    reply_begin(&once->writer, once->room, sizeof(once->room));
}

/* Copies a reply stream to the batch. */
static void answer(struct apply_shard *shard, const uint8_t *reply, uint32_t reply_bytes) {
    struct batch *batch = shard->work.batch;
    struct batch_command *command = shard->once.waiting;
    ASSERT(reply_bytes > 0);
    if (batch == NULL) {
        return;
    }
    struct reply_writer *writer = &batch->reply;
    if ((size_t)(writer->end - writer->position) < reply_bytes &&
        !apply_replies_grow(shard, batch, reply_bytes)) {
        batch->flags |= BATCH_ABORT;
        command->reply = NULL;
        command->reply_bytes = 0;
        return;
    }
    memcpy(writer->position, reply, reply_bytes);
    command->reply = writer->position;
    command->reply_bytes = reply_bytes;
    writer->position += reply_bytes;
}

static void answer_room(struct apply_shard *shard) {
    const struct reply_writer *writer = &shard->once.writer;
    ASSERT(writer->overflow_bytes == 0);
    answer(shard, writer->begin, (uint32_t)reply_used_bytes(writer));
}

/* ---- the steps ------------------------------------------------------------------------------ */

void apply_once_begin(struct apply_shard *shard) {
    struct apply_work *work = &shard->work;
    struct apply_once *once = &shard->once;
    ASSERT(once->step == APPLY_ONCE_NONE);
    bool there = entry_cursor_next(&work->cursor, &once->command);
    ASSERT(there && (once->command.flags & ENTRY_COMMAND_SESSION) != 0);
    once->waiting = work->batch == NULL ? NULL : &work->batch->commands[work->command];
    work->command += work->batch != NULL;
    if (once->command.id == ENTRY_COMMAND_ID_OPEN) {
        once->step = APPLY_ONCE_OPEN;
        return;
    }
    once->step = APPLY_ONCE_HASH;
    if (once->command.id == ENTRY_COMMAND_ID_EXEC) {
        /* Its commands alone: who repeats it has watched its keys anew, and what is told of the
           connection may be another. */
        struct entry_transaction transaction;
        entry_transaction_read(&once->command, &transaction);
        once->hash_next = transaction.commands;
        once->hash_left_bytes = transaction.command_bytes;
        once->hash_whole = once->hash_left_bytes <= STAGE_SLICE_BYTES;
        if (!once->hash_whole) {
            checksum_begin(&once->checksum, once->command.id);
        }
        return;
    }
    /* Lengths, bytes and the zeros behind them: all that makes it this command. */
    once->hash_next = once->command.argument_lengths;
    once->hash_left_bytes = (size_t)(work->cursor.position - once->hash_next);
    once->hash_whole = once->hash_left_bytes <= STAGE_SLICE_BYTES;
    if (!once->hash_whole) {
        checksum_begin(&once->checksum, once->command.id);
    }
}

/* Hashes on. */
static bool step_hash(struct apply_shard *shard, uint32_t *units) {
    struct apply_once *once = &shard->once;
    if (once->hash_whole) {
        once->hash = checksum_64(once->hash_next, once->hash_left_bytes, once->command.id);
        spend(units, (uint32_t)(once->hash_left_bytes / ONCE_HASH_BYTES));
        once->step = APPLY_ONCE_JUDGE;
        return true;
    }
    size_t slice =
        once->hash_left_bytes < STAGE_SLICE_BYTES ? once->hash_left_bytes : STAGE_SLICE_BYTES;
    checksum_update(&once->checksum, once->hash_next, slice);
    once->hash_next += slice;
    once->hash_left_bytes -= slice;
    spend(units, STAGE_SLICE_BYTES / ONCE_HASH_BYTES);
    if (once->hash_left_bytes == 0) {
        once->hash = checksum_end(&once->checksum);
        once->step = APPLY_ONCE_JUDGE;
    }
    return true;
}

/* The words for what is not executed and has no reply to be repeated. */
static void refusal_write(struct apply_once *once, enum session_verdict verdict) {
    unsigned long long session = once->command.session;
    unsigned long long sequence = once->command.sequence;
    room_begin(once);
    switch (verdict) {
    case SESSION_REPEATED_NOT_KEPT:
        reply_error_format(&once->writer,
                           "APPLIED sequence %llu of session %llu was applied, once; its reply was "
                           "not kept",
                           sequence, session);
        return;
    case SESSION_OTHER_COMMAND:
        reply_error_format(&once->writer,
                           "SEQUENCE %llu of session %llu belongs to another command: nothing was "
                           "done",
                           sequence, session);
        return;
    case SESSION_TOO_OLD:
        reply_error_format(&once->writer,
                           "SEQUENCE %llu of session %llu is below the last %d: nothing was done "
                           "now, and whether it was applied before is not known any more",
                           sequence, session, SESSION_WINDOW);
        return;
    case SESSION_NEW:
    case SESSION_REPEATED: break;
    }
    UNREACHABLE("a verdict that refuses");
}

static bool step_judge(struct apply_shard *shard, uint32_t *units) {
    struct apply_once *once = &shard->once;
    struct session_moment moment = moment_of(shard);
    spend(units, ONCE_UNITS);
    once->slot = sessions_find(shard->sessions, once->command.session, moment.log_time_ms);
    if (once->slot == SESSION_NONE) {
        room_begin(once);
        reply_error_format(&once->writer,
                           "SESSION %llu is unknown or has expired: nothing was done",
                           (unsigned long long)once->command.session);
        node_figure_add(&shard->node->apply.session_unknown, 1);
        answer_room(shard);
        once->step = APPLY_ONCE_NONE;
        return true;
    }
    if (!apply_session_release(shard, once->slot)) {
        return false;
    }
    const uint8_t *reply;
    uint32_t reply_bytes;
    enum session_verdict verdict =
        sessions_use(shard->sessions, once->slot, &moment, once->command.sequence, once->hash,
                     &reply, &reply_bytes);
    if (verdict == SESSION_NEW || MUTANT(REPEATS_ONCE, verdict == SESSION_REPEATED, false)) {
        room_begin(once);
        once->kept = true;
        once->differs = false;
        once->step = APPLY_ONCE_RUN;
        if (once->command.id == ENTRY_COMMAND_ID_EXEC) {
            apply_exec_begin(shard, &once->command, once->waiting, true);
        } else {
            apply_run_once(shard);
        }
        return true;
    }
    once->step = APPLY_ONCE_NONE;
    if (verdict == SESSION_REPEATED) {
        node_figure_add(&shard->node->apply.session_repeats, 1);
        answer(shard, reply, reply_bytes);
        return true;
    }
    refusal_write(once, verdict);
    answer_room(shard);
    return true;
}

bool apply_once_reply_full(struct apply_shard *shard) {
    struct apply_once *once = &shard->once;
    struct machine_run *run = &shard->work.run;
    if (once->step != APPLY_ONCE_RUN || !once->kept) {
        return false;
    }
    once->kept = false;
    run->reply = shard->work.batch == NULL ? NULL : &shard->work.batch->reply;
    return true;
}

void apply_once_executed(struct apply_shard *shard, uint8_t *reply, uint32_t reply_bytes) {
    ASSERT(shard->once.step == APPLY_ONCE_RUN);
    shard->once.reply = reply;
    shard->once.reply_bytes = reply_bytes;
    shard->once.step = APPLY_ONCE_STORE;
    node_figure_add(&shard->node->apply.writes, 1);
}

static bool step_store(struct apply_shard *shard, uint32_t *units) {
    struct apply_once *once = &shard->once;
    uint32_t reply_bytes = once->kept && !once->differs ? once->reply_bytes : 0;
    ASSERT(!once->kept || (once->reply == once->room && once->reply_bytes > 0));
    uint32_t victim =
        sessions_cell_victim(shard->sessions, moment_of(shard).log_time_ms, reply_bytes);
    if (victim != SESSION_NONE) {
        if (!apply_session_release(shard, victim)) {
            return false;
        }
        sessions_remove(shard->sessions, victim);
        node_figure_add(&shard->node->apply.sessions_expired, 1);
        spend(units, SESSIONS_LOOK_UNITS);
    }
    if (!sessions_remember(shard->sessions, once->slot, once->command.sequence, once->hash,
                           once->room, reply_bytes)) {
        node_figure_add(&shard->node->apply.session_not_kept, 1);
    }
    if (once->kept) {
        answer_room(shard);
    } else if (once->waiting != NULL) {
        once->waiting->reply = once->reply; /* it is in the batch already, if it had room */
        once->waiting->reply_bytes = once->reply_bytes;
    }
    once->step = APPLY_ONCE_NONE;
    return true;
}

static bool step_open(struct apply_shard *shard, uint32_t *units) {
    struct apply_once *once = &shard->once;
    struct session_moment moment = moment_of(shard);
    bool expired;
    uint32_t victim = sessions_victim(shard->sessions, moment.log_time_ms, &expired);
    spend(units, ONCE_UNITS);
    if (victim != SESSION_NONE) {
        spend(units, SESSIONS_LOOK_UNITS);
        if (!apply_session_release(shard, victim)) {
            return false;
        }
        sessions_remove(shard->sessions, victim);
        node_figure_add(expired ? &shard->node->apply.sessions_expired
                                : &shard->node->apply.sessions_evicted,
                        1);
    }
    uint64_t lifetime_ms = once->command.sequence;
    lifetime_ms = lifetime_ms == 0 ? 1 : lifetime_ms; /* validate lets neither through */
    lifetime_ms = lifetime_ms > SESSION_LIFETIME_MS_MAX ? SESSION_LIFETIME_MS_MAX : lifetime_ms;
    sessions_open(shard->sessions, &moment, lifetime_ms);
    node_figure_add(&shard->node->apply.sessions_opened, 1);
    room_begin(once);
    reply_integer(&once->writer, (int64_t)moment.index);
    answer_room(shard);
    once->step = APPLY_ONCE_NONE;
    return true;
}

bool apply_once_on(struct apply_shard *shard, uint32_t *units) {
    bool went_on = false;
    switch (shard->once.step) {
    case APPLY_ONCE_HASH: went_on = step_hash(shard, units); break;
    case APPLY_ONCE_JUDGE: went_on = step_judge(shard, units); break;
    case APPLY_ONCE_STORE: went_on = step_store(shard, units); break;
    case APPLY_ONCE_OPEN: went_on = step_open(shard, units); break;
    case APPLY_ONCE_NONE:
    case APPLY_ONCE_RUN: UNREACHABLE("a step that is taken here");
    }
    if (!went_on) {
        *units = 0; /* until the snapshot has room */
    }
    return went_on;
}

bool apply_sessions_turn(struct apply_shard *shard) {
    if (sessions_count(shard->sessions) == 0 || shard->work.active) {
        return false;
    }
    bool removed = sessions_sweep(shard->sessions, shard->tail.log_time_ms, APPLY_SWEEP_SLOTS);
    if (removed) {
        node_figure_add(&shard->node->apply.sessions_expired, 1);
    }
    return removed;
}
