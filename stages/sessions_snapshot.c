/*
 * Sessions in snapshots; the records are described in sessions.h.
 *
 * Happy path: begin raises the epoch; emit_on goes through the slots and writes each session whose
 * own epoch is an older one, and gives it the present one.  Before a session changes, its owner
 * emits it out of turn.  What is opened meanwhile has the present epoch and is passed over.
 *
 * Failure modes: the sink is full: the same session next time.  A record that is not one (restore):
 * WEIR_ECORRUPT; its bytes have a checksum, so that this is a defect of whoever wrote them.
 */

#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/error.h"
#include "stages/sessions_internal.h"

/* Emitted in one go: a memcpy of 64 KiB and some looks, less than 50 us. */
enum { EMIT_BYTES = 64 * 1024, EMIT_SLOTS = 256 };

/* Offsets in a record, and in a place. */
enum {
    RECORD_ID = 0,
    RECORD_LIFETIME = 8,
    RECORD_USED_MS = 16,
    RECORD_USED_INDEX = 24,
    RECORD_HIGHEST = 32,
    RECORD_LENGTH = 40,
    RECORD_PLACES = 44,
    PLACE_SEQUENCE = 0,
    PLACE_HASH = 8,
    PLACE_REPLY_BYTES = 16,
    PLACE_RESERVED = 20,
};
_Static_assert(RECORD_PLACES + 4 == (int)SESSION_RECORD_HEADER_BYTES, "no gap in the record");
_Static_assert(PLACE_RESERVED + 4 == (int)SESSION_RECORD_PLACE_BYTES, "no gap in a place");

/* ---- emitting ------------------------------------------------------------------------------- */

uint64_t sessions_snapshot_begin(struct sessions *sessions) {
    ASSERT(!sessions->emitting);
    sessions->epoch++;
    sessions->emitting = sessions->count > 0;
    sessions->emit_next = 0;
    sessions->emit_bytes = sessions->record_bytes;
    return sessions->emit_bytes;
}

bool sessions_needs_emit(const struct sessions *sessions, uint32_t slot) {
    const struct session *session = &sessions->slots[slot];
    return sessions->emitting && session->id != 0 && session->emitted_epoch != sessions->epoch;
}

static uint8_t *place_write(const struct sessions *sessions, const struct session_place *place,
                            uint8_t *out) {
    bytes_put_u64(out + PLACE_SEQUENCE, place->sequence);
    bytes_put_u64(out + PLACE_HASH, place->hash);
    bytes_put_u32(out + PLACE_REPLY_BYTES, place->reply_bytes);
    bytes_put_u32(out + PLACE_RESERVED, 0);
    uint32_t bytes = sessions_place_bytes(place->reply_bytes);
    if (place->reply_bytes > 0) {
        bytes_put_u64(out + bytes - 8, 0); /* what is behind the reply's end */
        memcpy(out + SESSION_RECORD_PLACE_BYTES,
               place->reply_bytes <= SESSION_REPLY_INLINE_BYTES
                   ? place->reply.bytes
                   : sessions_cell(sessions, place->reply.cell),
               place->reply_bytes);
    }
    return out + bytes;
}

bool sessions_emit(struct sessions *sessions, uint32_t slot, const struct machine_sink *sink) {
    ASSERT(sessions_needs_emit(sessions, slot));
    struct session *session = &sessions->slots[slot];
    uint8_t *out = sink->reserve(sink->context, session->record_bytes);
    if (out == NULL) {
        return false;
    }
    bytes_put_u64(out + RECORD_ID, session->id);
    bytes_put_u64(out + RECORD_LIFETIME, session->lifetime_ms);
    bytes_put_u64(out + RECORD_USED_MS, session->used_ms);
    bytes_put_u64(out + RECORD_USED_INDEX, session->used_index);
    bytes_put_u64(out + RECORD_HIGHEST, session->highest);
    bytes_put_u32(out + RECORD_LENGTH, session->record_bytes);
    bytes_put_u32(out + RECORD_PLACES, session->place_count);
    uint8_t *position = out + SESSION_RECORD_HEADER_BYTES;
    const struct session_place *places = sessions_places(sessions, slot);
    for (uint32_t i = 0; i < SESSION_WINDOW; i++) {
        if (places[i].sequence != 0) {
            position = place_write(sessions, &places[i], position);
        }
    }
    ASSERT(position == out + session->record_bytes);
    sink->commit(sink->context, session->record_bytes);
    session->emitted_epoch = sessions->epoch;
    ASSERT(sessions->emit_bytes >= session->record_bytes);
    sessions->emit_bytes -= session->record_bytes;
    return true;
}

enum machine_progress sessions_emit_on(struct sessions *sessions, const struct machine_sink *sink) {
    uint64_t stop_bytes = sessions->emit_bytes > EMIT_BYTES ? sessions->emit_bytes - EMIT_BYTES : 0;
    for (uint32_t i = 0; i < EMIT_SLOTS && sessions->emitting; i++) {
        if (sessions->emit_next == sessions->slots_used) {
            ASSERT(sessions->emit_bytes == 0); /* as begin said */
            sessions->emitting = false;
            break;
        }
        if (sessions_needs_emit(sessions, sessions->emit_next) &&
            !sessions_emit(sessions, sessions->emit_next, sink)) {
            return MACHINE_MORE;
        }
        sessions->emit_next++;
        if (sessions->emit_bytes <= stop_bytes && sessions->emit_bytes > 0) {
            return MACHINE_MORE;
        }
    }
    return sessions->emitting ? MACHINE_MORE : MACHINE_DONE;
}

void sessions_snapshot_end(struct sessions *sessions) {
    sessions->emitting = false;
}

/* ---- restoring ------------------------------------------------------------------------------ */

/* Restores one place; its bytes, or 0 if that is none. */
static uint32_t place_restore(struct sessions *sessions, uint32_t slot, const uint8_t *bytes,
                              size_t available_bytes) {
    const struct session *session = &sessions->slots[slot];
    if (available_bytes < SESSION_RECORD_PLACE_BYTES) {
        return 0;
    }
    uint64_t sequence = bytes_get_u64(bytes + PLACE_SEQUENCE);
    uint32_t reply_bytes = bytes_get_u32(bytes + PLACE_REPLY_BYTES);
    if (sequence == 0 || sequence > session->highest || reply_bytes > SESSION_REPLY_BYTES_MAX ||
        bytes_get_u32(bytes + PLACE_RESERVED) != 0 ||
        sessions_places(sessions, slot)[sequence % SESSION_WINDOW].sequence != 0) {
        return 0;
    }
    uint32_t place_bytes = sessions_place_bytes(reply_bytes);
    const uint8_t *reply = bytes + SESSION_RECORD_PLACE_BYTES;
    if (place_bytes > available_bytes ||
        (reply_bytes > 0 && !reply_stream_check(reply, reply_bytes))) {
        return 0;
    }
    bool kept = sessions_place_fill(sessions, slot, sequence, bytes_get_u64(bytes + PLACE_HASH),
                                    reply, reply_bytes);
    return kept == (reply_bytes > 0) ? place_bytes : 0;
}

/* Restores one session; its bytes, or 0 if that is none. */
static uint32_t session_restore(struct sessions *sessions, const uint8_t *bytes,
                                size_t available_bytes) {
    if (available_bytes < SESSION_RECORD_HEADER_BYTES || sessions->count == SESSIONS_MAX) {
        return 0;
    }
    uint32_t length_bytes = bytes_get_u32(bytes + RECORD_LENGTH);
    uint64_t id = bytes_get_u64(bytes + RECORD_ID);
    uint64_t lifetime_ms = bytes_get_u64(bytes + RECORD_LIFETIME);
    if (length_bytes < SESSION_RECORD_HEADER_BYTES || length_bytes > available_bytes || id == 0 ||
        id > SESSION_NUMBER_MAX || lifetime_ms == 0 || lifetime_ms > SESSION_LIFETIME_MS_MAX ||
        bytes_get_u64(bytes + RECORD_HIGHEST) > SESSION_NUMBER_MAX ||
        sessions_find(sessions, id, 0) != SESSION_NONE) {
        return 0;
    }
    uint32_t slot = sessions_slot_take(sessions, id);
    struct session *session = &sessions->slots[slot];
    session->lifetime_ms = lifetime_ms;
    session->used_ms = bytes_get_u64(bytes + RECORD_USED_MS);
    session->used_index = bytes_get_u64(bytes + RECORD_USED_INDEX);
    session->highest = bytes_get_u64(bytes + RECORD_HIGHEST);
    uint32_t position = SESSION_RECORD_HEADER_BYTES;
    for (uint32_t i = bytes_get_u32(bytes + RECORD_PLACES); i > 0; i--) {
        uint32_t place_bytes =
            place_restore(sessions, slot, bytes + position, length_bytes - position);
        if (place_bytes == 0) {
            return 0;
        }
        position += place_bytes;
    }
    return position == length_bytes ? length_bytes : 0;
}

int sessions_restore_slice(struct sessions *sessions, const uint8_t *bytes, size_t length_bytes,
                           size_t *consumed) {
    *consumed = 0;
    while (*consumed < length_bytes && *consumed < EMIT_BYTES) {
        uint32_t record_bytes =
            session_restore(sessions, bytes + *consumed, length_bytes - *consumed);
        if (record_bytes == 0) {
            return WEIR_ECORRUPT;
        }
        *consumed += record_bytes;
    }
    return WEIR_OK;
}

int sessions_restore(struct sessions *sessions, const uint8_t *bytes, size_t length_bytes) {
    int result = WEIR_OK;
    while (length_bytes > 0 && result == WEIR_OK) {
        size_t consumed;
        result = sessions_restore_slice(sessions, bytes, length_bytes, &consumed);
        bytes += consumed;
        length_bytes -= consumed;
    }
    return result;
}
