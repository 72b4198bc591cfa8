#ifndef WEIR_STAGES_SESSIONS_H
#define WEIR_STAGES_SESSIONS_H

/*
 * Client sessions: what makes a repeated command take effect once.
 *
 * A client that gets no answer cannot know whether its command was applied.  In a session it gives
 * each command a sequence number, and sends the same command under the same number again until it
 * is answered.  The session remembers the last SESSION_WINDOW numbers, each with a hash of its
 * command and its reply: what was applied is answered, and not applied again.
 *
 *   session   opened by an entry whose index is its id; used by commands that name it; expires when
 *             it was not used for its lifetime, in log time.  An expired one is unknown.
 *   window    sequence s stands in place s % SESSION_WINDOW.  What is SESSION_WINDOW or more below
 *             the highest one used is too old: nothing can be said about it, and it is not applied.
 *   reply     the neutral stream (wire/reply.h).  Up to SESSION_REPLY_INLINE_BYTES it stands in the
 *             window, up to SESSION_REPLY_BYTES_MAX in a cell; a longer one is not kept, and
 *             neither is one for which no cell is free.
 *
 * Determinism.  The table is a function of the log up to an entry, as the machine is: every replica
 * must give the same answers.  What decides is log time and entry indexes, nothing else.  Expired
 * sessions that are not yet removed may differ between replicas (a snapshot, a sweep) and show in
 * no answer: they count as unknown, and where room is short they go before anybody who lives.
 *
 * Bounds.  SESSIONS_MAX sessions; when one more is opened, the one goes whose last use is the
 * oldest. (Refusing would let a client that opens a session at each of its starts, and crashes,
 * shut out all others for a lifetime; whoever is pushed out is told -SESSION and nothing is applied
 * twice.) Memory, reserved at the start and touched as it is used:
 *
 *   4,096 sessions of 64 bytes                   256 KiB
 *   4,096 windows of 128 places of 56 bytes       28 MiB
 *   32,768 cells of 1,048 bytes                   33 MiB
 *
 * Snapshot.  begin marks the state; then every session is written once, by emit_on in slices, or
 * before it changes (needs_emit, emit).  A session is one record, never cut in two.  Little-endian:
 *
 *   offset  size  field
 *        0     8  id
 *        8     8  lifetime, ms
 *       16     8  log time of its last use, ms
 *       24     8  index of its last use
 *       32     8  highest sequence used; 0: none
 *       40     4  record length
 *       44     4  number of places used; for each of them, by rising place:
 *                   u64 sequence, u64 hash of the command, u32 reply length (0: not kept), u32 0,
 *                   the reply, zeros to a multiple of 8
 *
 * Owner: apply's thread.  Only create allocates.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "machines/machine.h"

enum {
    SESSIONS_MAX = 4096,
    SESSION_WINDOW = 128,
    SESSION_REPLY_PAYLOAD_BYTES_MAX = 1024, /* of a bulk, and a little less of an array */
    SESSION_REPLY_BYTES_MAX =
        REPLY_HEADER_BYTES + SESSION_REPLY_PAYLOAD_BYTES_MAX + REPLY_BULK_SLACK_BYTES,
    SESSION_REPLY_INLINE_BYTES = 32, /* an integer is 24, OK is 16 */
    SESSION_CELL_BYTES = (SESSION_REPLY_BYTES_MAX + 7) / 8 * 8,
    SESSION_CELLS = 32768, /* 256 whole windows, or 8 of each session */

    SESSION_LIFETIME_MS_USUAL = 3600 * 1000,
    /* Of the bytes in a snapshot before the machine's.  2: addresses (stages/addresses.h), if there
       are any, and then the sessions; 1: sessions. */
    SESSION_SNAPSHOT_VERSION = 2,
    SESSION_RECORD_HEADER_BYTES = 48,
    SESSION_RECORD_PLACE_BYTES = 24,
    SESSION_RECORD_BYTES_MAX = SESSION_RECORD_HEADER_BYTES +
                               SESSION_WINDOW * (SESSION_RECORD_PLACE_BYTES + SESSION_CELL_BYTES),
};

/* 30 days: longer, a table full of what nobody uses any more would be the rule. */
#define SESSION_LIFETIME_MS_MAX (UINT64_C(30) * 24 * 3600 * 1000)

/* Ids and sequences: what a RESP integer can say. */
#define SESSION_NUMBER_MAX ((uint64_t)INT64_MAX)

#define SESSION_NONE UINT32_MAX

struct sessions;

/* A place in history. */
struct session_moment {
    uint64_t index; /* of the entry */
    uint64_t log_time_ms;
};

/* Allocates address space; start-up.  Errors: WEIR_ENOMEM. */
int sessions_create(struct sessions **out);

/* NULL is allowed. */
void sessions_destroy(struct sessions *sessions);

/* Sessions in the table, expired ones that are not yet removed included. */
uint32_t sessions_count(const struct sessions *sessions);

/* ---- opening and ending ---------------------------------------------------------------------- */

/* Who must be removed before a session can be opened: SESSION_NONE if nobody.  *expired says
 * whether that one has expired.  Looks at all of them: SESSIONS_LOOK_UNITS of machine units. */
enum { SESSIONS_LOOK_UNITS = 200 };
uint32_t sessions_victim(const struct sessions *sessions, uint64_t log_time_ms, bool *expired);

/* Opens session `moment->index`, which must not exist, with a lifetime of [1,
 * SESSION_LIFETIME_MS_MAX]; asserts that nobody need be removed. */
void sessions_open(struct sessions *sessions, const struct session_moment *moment,
                   uint64_t lifetime_ms);

/* Removes it.  Asserts that it need not be emitted first. */
void sessions_remove(struct sessions *sessions, uint32_t slot);

/* Removes one that has expired among the next `count` slots, if there is one and no snapshot is
 * being emitted; whether it did. */
bool sessions_sweep(struct sessions *sessions, uint64_t log_time_ms, uint32_t count);

/* Removes up to `count` sessions, whatever they are, from *slot on; true when none is left.  *slot
 * is 0 at first, and nothing else happens to the table in between. */
bool sessions_clear(struct sessions *sessions, uint32_t *slot, uint32_t count);

/* ---- using ----------------------------------------------------------------------------------- */

/* The slot of a session that has not expired, or SESSION_NONE. */
uint32_t sessions_find(const struct sessions *sessions, uint64_t id, uint64_t log_time_ms);

enum session_verdict {
    SESSION_NEW,      /* execute it, and remember its reply */
    SESSION_REPEATED, /* *reply is what it was answered, borrowed until the session changes */
    SESSION_REPEATED_NOT_KEPT,
    SESSION_OTHER_COMMAND, /* this sequence was another command's */
    SESSION_TOO_OLD,       /* below the window */
};

/* Judges a command, of that hash, under a sequence of [1, SESSION_NUMBER_MAX], and notes that the
 * session was used.  Asserts that it need not be emitted first. */
enum session_verdict sessions_use(struct sessions *sessions, uint32_t slot,
                                  const struct session_moment *moment, uint64_t sequence,
                                  uint64_t hash, const uint8_t **reply, uint32_t *reply_bytes);

/* Who must be removed so that a reply of that length can be kept: an expired session that holds
 * cells, when none is free and the reply needs one; otherwise SESSION_NONE. */
uint32_t sessions_cell_victim(const struct sessions *sessions, uint64_t log_time_ms,
                              uint32_t reply_bytes);

/* Remembers what was SESSION_NEW.  reply_bytes 0, or more than SESSION_REPLY_BYTES_MAX, or no free
 * cell: applied, reply not kept.  Returns whether it was kept. */
bool sessions_remember(struct sessions *sessions, uint32_t slot, uint64_t sequence, uint64_t hash,
                       const uint8_t *reply, uint32_t reply_bytes);

/* ---- snapshots ------------------------------------------------------------------------------- */

/* Marks the state as the one to be emitted; returns the bytes that it will take, 0 if there is
 * nothing.  One at a time. */
uint64_t sessions_snapshot_begin(struct sessions *sessions);

/* Whether a snapshot still needs this session as it is now. */
bool sessions_needs_emit(const struct sessions *sessions, uint32_t slot);

/* Emits a session that needs it; false if the sink is full for now. */
bool sessions_emit(struct sessions *sessions, uint32_t slot, const struct machine_sink *sink);

/* Emits on; MACHINE_DONE once all are there. */
enum machine_progress sessions_emit_on(struct sessions *sessions, const struct machine_sink *sink);

/* Ends it: abandoned, or after MACHINE_DONE.  Harmless if none is being emitted. */
void sessions_snapshot_end(struct sessions *sessions);

/* Restores whole records into a table into which only records were restored.  Errors:
 * WEIR_ECORRUPT, it is no such records; the table may then only be destroyed. */
int sessions_restore(struct sessions *sessions, const uint8_t *bytes, size_t length_bytes);

/* The same for a first part of the records, of some 64 KiB; *consumed is what that was. */
int sessions_restore_slice(struct sessions *sessions, const uint8_t *bytes, size_t length_bytes,
                           size_t *consumed);

#endif
