#ifndef WEIR_QUEUES_RECORD_RING_H
#define WEIR_QUEUES_RECORD_RING_H

/*
 * Record rings: bounded queues of records of any length, between one producer and one consumer.
 *
 * What members of a cluster say to each other has no fixed size, from a heartbeat of some dozen
 * bytes to an append of megabytes, and has to lie in one piece where it is read.  So here the bytes
 * themselves stand in the ring, each record contiguous and at a multiple of 8:
 *
 *        head                                  tail
 *         ▼                                     ▼
 *   ──────┬───┬──────────┬───┬──────────────────┬────────────────┐  end
 *         │ n │ n bytes  │ m │ m bytes          │      free      │
 *   ──────┴───┴──────────┴───┴──────────────────┴────────────────┘
 *
 * n is 8 bytes: the length, and zeros.  A record that does not fit before the end of the memory
 * begins at its start; a length of RECORD_RING_SKIP says that the rest up to the end is nothing.
 * So a record of up to half the capacity always fits an empty ring, wherever its head stands.
 *
 * Promised: as in queues/ring.h, item by item: in order, each once, whole, with everything the
 * producer wrote before it.  A record is published one by one: there are few, and they are large.
 * head and tail count units of 8 bytes, for ever, as u32 that wrap.
 *
 * Who may call what, at the same time as anybody else:
 *   producer    record_ring_reserve, record_ring_commit: one thread at a time
 *   consumer    record_ring_peek, record_ring_consume, record_ring_first, record_ring_walk,
 *               record_ring_consume_to: one thread at a time
 *   anybody     record_ring_used_bytes
 *
 * Nothing blocks or allocates.  Waking whoever sleeps is the caller's (a note in a ring of the
 * pipeline): this ring has no bell.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "queues/atomic.h"

/* What positions count, and the smallest ring: some records of a few bytes. */
enum {
    RECORD_RING_UNIT_BYTES = 8,
    RECORD_RING_CAPACITY_MIN_BYTES = 64,
};
/* Units stay comparable (base/sequence.h). */
#define RECORD_RING_CAPACITY_MAX_BYTES (UINT64_C(1) << 32)
#define RECORD_RING_SKIP               UINT32_MAX

/* One ring; its memory follows it.  Grouped by who writes. */
struct record_ring {
    /* Constant after record_ring_init. */
    CACHE_ALIGNED uint8_t *bytes;
    uint32_t units; /* capacity; a power of two */

    /* Producer publishes. */
    CACHE_ALIGNED uint32_t tail; /* partner of its release: the acquire in record_ring_peek */

    /* Producer only. */
    CACHE_ALIGNED uint32_t tail_own; /* behind the last record committed */
    uint32_t reserved_at;            /* units: where the reserved record's length stands */
    uint32_t reserved_bytes;         /* 0: nothing is reserved */

    /* Consumer publishes. */
    CACHE_ALIGNED uint32_t head; /* partner of its release: the acquire in record_ring_reserve */

    /* Consumer only. */
    CACHE_ALIGNED uint32_t head_own;
    uint32_t peeked_units; /* of the record peeked at, and what was skipped; 0: none */
};

/* Bytes that record_ring_init needs, a multiple of a cache line; 0 if the capacity is no power of
 * two in [RECORD_RING_CAPACITY_MIN_BYTES, RECORD_RING_CAPACITY_MAX_BYTES]. */
size_t record_ring_bytes(uint64_t capacity_bytes);

/* Makes an empty ring in `memory`: record_ring_bytes() bytes at the start of a cache line, the
 * ring's until the caller takes them back.  Asserts the capacity.  `unit_first` is where head and
 * tail begin (RING_SEQUENCE_FIRST in production, so that they wrap early).  Before both ends. */
struct record_ring *record_ring_init(void *memory, uint64_t capacity_bytes, uint32_t unit_first);

/* The longest record that the ring ever takes: half of the capacity, less the length. */
uint64_t record_ring_record_bytes_max(const struct record_ring *ring);

/* Producer: room for a record of up to length_bytes [1, record_ring_record_bytes_max], 8-aligned,
 * the producer's until it commits or reserves again; NULL if there is none now. */
uint8_t *record_ring_reserve(struct record_ring *ring, uint32_t length_bytes);

/* Producer: publishes the first length_bytes (at most what was reserved, at least 1). */
void record_ring_commit(struct record_ring *ring, uint32_t length_bytes);

/* Consumer: the oldest record and its length, borrowed until record_ring_consume; NULL if there is
 * none.  Peeking again gives the same. */
const uint8_t *record_ring_peek(struct record_ring *ring, uint32_t *length_bytes);

/* Consumer: the record last peeked at is done with; its memory is the producer's again. */
void record_ring_consume(struct record_ring *ring);

/*
 * Consumer: goes through records without giving them back, as when several are borrowed at once.
 * *position is where the record's place begins, at first record_ring_first(); behind a record it is
 * moved on.  NULL, and *position unchanged, if there is no further record.
 */
uint32_t record_ring_first(const struct record_ring *ring);
const uint8_t *record_ring_walk(struct record_ring *ring, uint32_t *position,
                                uint32_t *length_bytes);

/* Consumer: gives back all records before this position, which a walk has shown.  Not between
 * record_ring_peek and record_ring_consume. */
void record_ring_consume_to(struct record_ring *ring, uint32_t position);

/* Anybody: bytes in use, lengths and what is skipped included.  A moment's truth. */
uint64_t record_ring_used_bytes(const struct record_ring *ring);

#endif
