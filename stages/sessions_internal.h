#ifndef WEIR_STAGES_SESSIONS_INTERNAL_H
#define WEIR_STAGES_SESSIONS_INTERNAL_H

/* What the two files of the session table share; see stages/sessions.h. */

#include "stages/sessions.h"

enum {
    SESSION_INDEX_SLOTS = 8192, /* at most half full: short probes */
};
_Static_assert(SESSION_INDEX_SLOTS == 2 * SESSIONS_MAX, "at most half full");

/* One remembered sequence. */
struct session_place {
    uint64_t sequence; /* 0: free */
    uint64_t hash;
    uint32_t reply_bytes; /* 0: not kept */
    uint32_t reserved;
    union {
        uint8_t bytes[SESSION_REPLY_INLINE_BYTES];
        uint32_t cell; /* reply_bytes > SESSION_REPLY_INLINE_BYTES */
    } reply;
};
_Static_assert(sizeof(struct session_place) == 56, "the arithmetic in sessions.h");

struct session {
    uint64_t id; /* 0: the slot is free */
    uint64_t lifetime_ms;
    uint64_t used_ms;    /* log time of its last use */
    uint64_t used_index; /* entry of its last use */
    uint64_t highest;    /* sequence */
    uint32_t record_bytes;
    uint32_t place_count;
    uint32_t cell_count;
    uint32_t next_free;     /* of a free slot */
    uint64_t emitted_epoch; /* of the last snapshot that does not need it any more */
};
_Static_assert(sizeof(struct session) == 64, "one line, since all are looked at");

struct sessions {
    struct session *slots;        /* SESSIONS_MAX */
    struct session_place *places; /* SESSION_WINDOW of each slot */
    uint8_t *cells;               /* SESSION_CELLS of SESSION_CELL_BYTES */
    uint32_t *cells_free;         /* a stack; beyond cells_used none was ever used */
    uint32_t cells_free_count;
    uint32_t cells_used;
    uint16_t index[SESSION_INDEX_SLOTS]; /* slot + 1, or 0; open addressing by id */
    uint32_t count;
    uint32_t slots_used; /* slots from here on were never used */
    uint32_t free_head;  /* of those before, or SESSION_NONE */
    uint32_t sweep_next;
    uint64_t record_bytes; /* of all sessions */
    /* The snapshot. */
    uint64_t epoch;
    bool emitting;
    uint32_t emit_next;
    uint64_t emit_bytes; /* still to come */
};

/* The places of a slot. */
static inline struct session_place *sessions_places(const struct sessions *sessions,
                                                    uint32_t slot) {
    return sessions->places + (size_t)slot * SESSION_WINDOW;
}

/* The bytes of a cell. */
static inline uint8_t *sessions_cell(const struct sessions *sessions, uint32_t cell) {
    return sessions->cells + (size_t)cell * SESSION_CELL_BYTES;
}

/* Bytes of a place in a session's record. */
static inline uint32_t sessions_place_bytes(uint32_t reply_bytes) {
    return SESSION_RECORD_PLACE_BYTES + (reply_bytes + 7) / 8 * 8;
}

/* Takes a slot for a session with that id. */
uint32_t sessions_slot_take(struct sessions *sessions, uint64_t id);

/* Fills a free place of the session; false if no cell was free for the reply: then it is not kept.
 * */
bool sessions_place_fill(struct sessions *sessions, uint32_t slot, uint64_t sequence, uint64_t hash,
                         const uint8_t *reply, uint32_t reply_bytes);

#endif
