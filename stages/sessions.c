/*
 * The table of client sessions; see sessions.h.  Snapshots are in sessions_snapshot.c.
 *
 * Happy path: a session is found by its id; the sequence's place in its window is free or holds
 * what has fallen out of the window; the reply is put there.
 *
 * Failure modes: each is an answer, see enum session_verdict.  No slot: the caller asks who must
 * go, and removes that one.  No cell: an expired session's cells are taken, or the reply is not
 * kept.
 */

#include "stages/sessions_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/mutant.h"
#include "stages/pages.h"

int sessions_create(struct sessions **out) {
    struct sessions *sessions = calloc(1, sizeof(*sessions));
    if (sessions == NULL) {
        return WEIR_ENOMEM;
    }
    sessions->slots = pages_create(SESSIONS_MAX, sizeof(*sessions->slots));
    sessions->places =
        pages_create((size_t)SESSIONS_MAX * SESSION_WINDOW, sizeof(*sessions->places));
    sessions->cells = pages_create(SESSION_CELLS, SESSION_CELL_BYTES);
    sessions->cells_free = pages_create(SESSION_CELLS, sizeof(*sessions->cells_free));
    if (sessions->slots == NULL || sessions->places == NULL || sessions->cells == NULL ||
        sessions->cells_free == NULL) {
        sessions_destroy(sessions);
        return WEIR_ENOMEM;
    }
    sessions->free_head = SESSION_NONE;
    *out = sessions;
    return WEIR_OK;
}

void sessions_destroy(struct sessions *sessions) {
    if (sessions == NULL) {
        return;
    }
    pages_destroy(sessions->slots, SESSIONS_MAX, sizeof(*sessions->slots));
    pages_destroy(sessions->places, (size_t)SESSIONS_MAX * SESSION_WINDOW,
                  sizeof(*sessions->places));
    pages_destroy(sessions->cells, SESSION_CELLS, SESSION_CELL_BYTES);
    pages_destroy(sessions->cells_free, SESSION_CELLS, sizeof(*sessions->cells_free));
    free(sessions);
}

uint32_t sessions_count(const struct sessions *sessions) {
    return sessions->count;
}

/* ---- the index by id ------------------------------------------------------------------------ */

static uint32_t index_home(uint64_t id) {
    return (uint32_t)(id * UINT64_C(0x9e3779b97f4a7c15) >> 51);
}
_Static_assert(SESSION_INDEX_SLOTS == 1 << (64 - 51), "the hash's bits");

/* Where the id stands, or the free place where it would. */
static uint32_t index_find(const struct sessions *sessions, uint64_t id) {
    uint32_t at = index_home(id);
    while (sessions->index[at] != 0 && sessions->slots[sessions->index[at] - 1].id != id) {
        at = (at + 1) % SESSION_INDEX_SLOTS;
    }
    return at;
}

/* Frees a place, and moves up who stood behind it only because it was taken. */
static void index_remove(struct sessions *sessions, uint64_t id) {
    uint32_t gap = index_find(sessions, id);
    ASSERT(sessions->index[gap] != 0);
    uint32_t at = gap;
    for (;;) {
        at = (at + 1) % SESSION_INDEX_SLOTS;
        if (sessions->index[at] == 0) {
            break;
        }
        uint32_t home = index_home(sessions->slots[sessions->index[at] - 1].id);
        uint32_t from_home = (at - home) % SESSION_INDEX_SLOTS;
        uint32_t from_gap = (at - gap) % SESSION_INDEX_SLOTS;
        if (from_home >= from_gap) {
            sessions->index[gap] = sessions->index[at];
            gap = at;
        }
    }
    sessions->index[gap] = 0;
}

/* ---- opening and ending --------------------------------------------------------------------- */

static bool is_expired(const struct session *session, uint64_t log_time_ms) {
    ASSERT_HOT(session->id != 0 && session->lifetime_ms <= SESSION_LIFETIME_MS_MAX);
    return log_time_ms >= session->used_ms &&
           log_time_ms - session->used_ms >= session->lifetime_ms;
}

/* Whether the one was used longer ago; ids are unique, so one of two always was. */
static bool is_older(const struct session *session, const struct session *other) {
    return session->used_index != other->used_index ? session->used_index < other->used_index
                                                    : session->id < other->id;
}

uint32_t sessions_victim(const struct sessions *sessions, uint64_t log_time_ms, bool *expired) {
    *expired = false;
    if (sessions->count < SESSIONS_MAX) {
        return SESSION_NONE;
    }
    uint32_t oldest = 0;
    for (uint32_t slot = 0; slot < SESSIONS_MAX; slot++) {
        const struct session *session = &sessions->slots[slot];
        if (is_expired(session, log_time_ms)) {
            *expired = true;
            return slot;
        }
        if (is_older(session, &sessions->slots[oldest])) {
            oldest = slot;
        }
    }
    return oldest;
}

uint32_t sessions_slot_take(struct sessions *sessions, uint64_t id) {
    ASSERT(id != 0 && sessions->count < SESSIONS_MAX);
    uint32_t at = index_find(sessions, id);
    ASSERT(sessions->index[at] == 0); /* an entry has one index, and opens one session */
    uint32_t slot = sessions->free_head;
    if (slot != SESSION_NONE) {
        sessions->free_head = sessions->slots[slot].next_free;
    } else {
        slot = sessions->slots_used++;
    }
    ASSERT(slot < SESSIONS_MAX && sessions->slots[slot].id == 0);
    sessions->slots[slot] = (struct session){
        .id = id, .record_bytes = SESSION_RECORD_HEADER_BYTES, .emitted_epoch = sessions->epoch};
    sessions->index[at] = (uint16_t)(slot + 1);
    sessions->count++;
    sessions->record_bytes += SESSION_RECORD_HEADER_BYTES;
    return slot;
}

void sessions_open(struct sessions *sessions, const struct session_moment *moment,
                   uint64_t lifetime_ms) {
    ASSERT(lifetime_ms >= 1 && lifetime_ms <= SESSION_LIFETIME_MS_MAX);
    struct session *session = &sessions->slots[sessions_slot_take(sessions, moment->index)];
    session->lifetime_ms = lifetime_ms;
    session->used_ms = moment->log_time_ms;
    session->used_index = moment->index;
}

/* Forgets what stands in a place. */
static void place_clear(struct sessions *sessions, struct session *session,
                        struct session_place *place) {
    if (place->reply_bytes > SESSION_REPLY_INLINE_BYTES) {
        ASSERT(session->cell_count > 0);
        session->cell_count--;
        sessions->cells_free[sessions->cells_free_count++] = place->reply.cell;
    }
    uint32_t bytes = sessions_place_bytes(place->reply_bytes);
    session->record_bytes -= bytes;
    sessions->record_bytes -= bytes;
    session->place_count--;
    *place = (struct session_place){0};
}

void sessions_remove(struct sessions *sessions, uint32_t slot) {
    struct session *session = &sessions->slots[slot];
    ASSERT(session->id != 0 && !sessions_needs_emit(sessions, slot));
    struct session_place *places = sessions_places(sessions, slot);
    for (uint32_t i = 0; i < SESSION_WINDOW && session->place_count > 0; i++) {
        if (places[i].sequence != 0) {
            place_clear(sessions, session, &places[i]);
        }
    }
    ASSERT(session->record_bytes == SESSION_RECORD_HEADER_BYTES && session->cell_count == 0);
    index_remove(sessions, session->id);
    sessions->record_bytes -= SESSION_RECORD_HEADER_BYTES;
    *session = (struct session){.next_free = sessions->free_head};
    sessions->free_head = slot;
    sessions->count--;
}

bool sessions_sweep(struct sessions *sessions, uint64_t log_time_ms, uint32_t count) {
    if (sessions->count == 0 || sessions->emitting) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (sessions->sweep_next >= sessions->slots_used) {
            sessions->sweep_next = 0;
        }
        uint32_t slot = sessions->sweep_next++;
        if (sessions->slots[slot].id != 0 && is_expired(&sessions->slots[slot], log_time_ms)) {
            sessions_remove(sessions, slot);
            return true;
        }
    }
    return false;
}

bool sessions_clear(struct sessions *sessions, uint32_t *slot, uint32_t count) {
    ASSERT(!sessions->emitting);
    while (*slot < sessions->slots_used && count > 0) {
        if (sessions->slots[*slot].id != 0) {
            sessions_remove(sessions, *slot);
            count--;
        }
        (*slot)++;
    }
    ASSERT(*slot < sessions->slots_used || sessions->count == 0);
    return *slot == sessions->slots_used;
}

/* ---- using ---------------------------------------------------------------------------------- */

uint32_t sessions_find(const struct sessions *sessions, uint64_t id, uint64_t log_time_ms) {
    uint32_t at = index_find(sessions, id);
    if (id == 0 || sessions->index[at] == 0) {
        return SESSION_NONE;
    }
    uint32_t slot = sessions->index[at] - 1u;
    return is_expired(&sessions->slots[slot], log_time_ms) ? SESSION_NONE : slot;
}

enum session_verdict sessions_use(struct sessions *sessions, uint32_t slot,
                                  const struct session_moment *moment, uint64_t sequence,
                                  uint64_t hash, const uint8_t **reply, uint32_t *reply_bytes) {
    struct session *session = &sessions->slots[slot];
    ASSERT(session->id != 0 && !sessions_needs_emit(sessions, slot));
    ASSERT(sequence >= 1 && moment->log_time_ms >= session->used_ms);
    session->used_ms = moment->log_time_ms;
    session->used_index = moment->index;
    *reply = NULL;
    *reply_bytes = 0;
    if (session->highest >= SESSION_WINDOW && sequence <= session->highest - SESSION_WINDOW) {
        return SESSION_TOO_OLD;
    }
    const struct session_place *place = &sessions_places(sessions, slot)[sequence % SESSION_WINDOW];
    if (place->sequence != sequence) {
        ASSERT(place->sequence < sequence); /* a higher one would have made this one too old */
        return SESSION_NEW;
    }
    if (place->hash != hash) {
        return SESSION_OTHER_COMMAND;
    }
    if (place->reply_bytes == 0) {
        return SESSION_REPEATED_NOT_KEPT;
    }
    *reply_bytes = place->reply_bytes;
    *reply = place->reply_bytes <= SESSION_REPLY_INLINE_BYTES
                 ? place->reply.bytes
                 : sessions_cell(sessions, place->reply.cell);
    return SESSION_REPEATED;
}

static bool cells_left(const struct sessions *sessions) {
    return sessions->cells_free_count > 0 || sessions->cells_used < SESSION_CELLS;
}

uint32_t sessions_cell_victim(const struct sessions *sessions, uint64_t log_time_ms,
                              uint32_t reply_bytes) {
    if (reply_bytes <= SESSION_REPLY_INLINE_BYTES || reply_bytes > SESSION_REPLY_BYTES_MAX ||
        cells_left(sessions)) {
        return SESSION_NONE;
    }
    for (uint32_t slot = 0; slot < sessions->slots_used; slot++) {
        const struct session *session = &sessions->slots[slot];
        if (session->id != 0 && session->cell_count > 0 && is_expired(session, log_time_ms)) {
            return slot;
        }
    }
    return SESSION_NONE;
}

bool sessions_place_fill(struct sessions *sessions, uint32_t slot, uint64_t sequence, uint64_t hash,
                         const uint8_t *reply, uint32_t reply_bytes) {
    struct session *session = &sessions->slots[slot];
    struct session_place *place = &sessions_places(sessions, slot)[sequence % SESSION_WINDOW];
    ASSERT(place->sequence == 0);
    bool in_cell = reply_bytes > SESSION_REPLY_INLINE_BYTES;
    bool kept = reply_bytes > 0 && reply_bytes <= SESSION_REPLY_BYTES_MAX &&
                (!in_cell || cells_left(sessions));
    place->sequence = sequence;
    place->hash = hash;
    place->reply_bytes = kept ? reply_bytes : 0;
    if (kept && in_cell) {
        place->reply.cell = sessions->cells_free_count > 0
                                ? sessions->cells_free[--sessions->cells_free_count]
                                : sessions->cells_used++;
        session->cell_count++;
        memcpy(sessions_cell(sessions, place->reply.cell), reply, reply_bytes);
    } else if (kept) {
        memcpy(place->reply.bytes, reply, reply_bytes);
    }
    uint32_t bytes = sessions_place_bytes(place->reply_bytes);
    session->place_count++;
    session->record_bytes += bytes;
    sessions->record_bytes += bytes;
    ASSERT(session->record_bytes <= SESSION_RECORD_BYTES_MAX);
    return kept;
}

bool sessions_remember(struct sessions *sessions, uint32_t slot, uint64_t sequence, uint64_t hash,
                       const uint8_t *reply, uint32_t reply_bytes) {
    struct session *session = &sessions->slots[slot];
    struct session_place *place = &sessions_places(sessions, slot)[sequence % SESSION_WINDOW];
    ASSERT(session->id != 0 && !sessions_needs_emit(sessions, slot));
    if (place->sequence != 0) {
        ASSERT(place->sequence < sequence || MUTANT_IS(REPEATS_ONCE));
        place_clear(sessions, session, place);
    }
    if (sequence > session->highest) {
        session->highest = sequence;
    }
    return sessions_place_fill(sessions, slot, sequence, hash, reply, reply_bytes);
}
