#ifndef WEIR_MACHINES_MEMORY_H
#define WEIR_MACHINES_MEMORY_H

/*
 * Memory of a machine: objects of any size over the host's pages, counted, and given back whole.
 *
 * Concepts
 *
 *   block   What came from the host in one piece: a chunk, or one large object. It begins with a
 *           struct memory_block, by which all blocks of one memory form a list. So everything that
 *           was ever allocated can be given back without visiting a single object: that is how
 *           FLUSHALL of five million keys costs some hundred steps.
 *   chunk   A block that is cut into pages: 64 KiB at first, later an eighth of what is taken,
 *           1 MiB at most. Pages that fall free are used again; when all of a chunk are free, and
 *           others as well, it goes home to the host.
 *   object  What memory_take returns: 8-aligned, of a size class. Classes are 8 bytes apart up to
 *           128, then eight to a doubling up to 32 KiB, so at most an eighth is lost to rounding.
 *   span    Pages that hold objects of one class. Up to 512 bytes the span is one page and its
 *           header is found by masking the object's address. Above, a span is several pages and
 *           each object is preceded by 8 bytes that say how far back the header is.
 *   page    Exactly one page for the caller's own layout (segments of a hash table).
 *   large   Above 32 KiB an object is a block of its own.
 *
 * Every page begins with room for a struct memory_block; in the first page of a block it is one, in
 * the others that begin something it says which block that is.
 *
 * The size is not stored: who gives an object back says how large it was when taken (any size of
 * the same class will do).
 *
 * When the host has no page left, memory_take does not return NULL: see "Memory" in
 * machines/machine.h. A write that is in the log must be applied, and a replica that cannot must
 * stop; going on without it would be a replica that differs.
 *
 * One memory belongs to one thread at a time. Nothing here blocks.
 */

#include "machines/machine.h"

enum {
    MEMORY_PAGE_BYTES = 4096,
    MEMORY_SMALL_BYTES_MAX = 512,
    MEMORY_CLASSED_BYTES_MAX = 32768,
    /* 16 classes of 8 bytes each, then 8 for each doubling from 128 to 32768; class 0 is unused. */
    MEMORY_CLASSES = 1 + 16 + 8 * 8,
    MEMORY_HEADER_BYTES = 64,
    /* Two objects of the largest class with their prefixes and the header: 65616 bytes. */
    MEMORY_RUN_PAGES_MAX = 17,
    MEMORY_CHUNK_BYTES_MIN = 64 * 1024,
    MEMORY_CHUNK_BYTES_MAX = 1024 * 1024,
    MEMORY_KEPT_BYTES = 256 * 1024, /* free pages that stay when a free chunk goes home */
};

/* The head of every block; and of what begins further on in a chunk, with no length: `next` is the
 * chunk. */
struct memory_block {
    struct memory_block *next;
    struct memory_block *previous;
    uint32_t length_pages;
    uint32_t used_pages; /* of a chunk */
};

struct memory_span;
struct memory_run;

/* May be copied to another place: nothing in it, or in its blocks, points back to it. */
struct memory {
    const struct machine_host *host;
    struct memory_block *blocks;
    uint64_t taken_bytes;       /* the sum of the blocks' lengths */
    uint64_t used_bytes;        /* of these, pages and large objects in use: what is reported */
    struct memory_block *chunk; /* the last one */
    uint8_t *unused;            /* its rest */
    uint64_t unused_pages;
    uint64_t *fresh_pages; /* NULL, or where pages are counted that are used for the first time */
    struct memory_run *free_runs[MEMORY_RUN_PAGES_MAX + 1]; /* by their number of pages */
    struct memory_span *partial[MEMORY_CLASSES];            /* spans with a free object, by class */
};

/* Blocks on their way back to the host. Zeroed: none. */
struct memory_retired {
    struct memory_block *blocks;
    uint64_t taken_bytes;
};

/* Begins with nothing taken. `host` is borrowed for the life of the memory, and so is
 * `fresh_pages` (may be NULL): it rises with every page that is used for the first time, and will
 * cost a page fault. */
void memory_begin(struct memory *memory, const struct machine_host *host, uint64_t *fresh_pages);

/* An object of `size_bytes` >= 1, its content undefined. Never NULL (see above). */
void *memory_take(struct memory *memory, size_t size_bytes);

/* Gives an object back; `size_bytes` is of the class it was taken with. */
void memory_give(struct memory *memory, void *object, size_t size_bytes);

/* Makes an object of more than MEMORY_CLASSED_BYTES_MAX bytes, which lies where it lies, another
 * memory's. Both have the same host. O(1). */
void memory_move(struct memory *from, struct memory *to, void *object, size_t size_bytes);

/* A page, 4096-aligned: its first sizeof(struct memory_block) bytes are not the caller's, the rest
 * is zero. */
void *memory_take_page(struct memory *memory);
void memory_give_page(struct memory *memory, void *page);

/* The size class of a size; two sizes of one class are interchangeable. Above
 * MEMORY_CLASSED_BYTES_MAX each number of pages is a class of its own. */
uint32_t memory_class(size_t size_bytes);

/* The bytes really usable in an object taken with this size. */
size_t memory_usable_bytes(size_t size_bytes);

/* Moves all blocks to `retired` (which may hold others), and begins anew. O(1). Every object is
 * invalid from then on. */
void memory_retire(struct memory *memory, struct memory_retired *retired);

/* Gives blocks back to the host until the budget is used up, a unit for each page, at most
 * MEMORY_GIVE_BYTES_MAX at a time. Returns whether some are left. */
bool memory_retired_give(struct memory_retired *retired, const struct machine_host *host,
                         uint32_t *budget);

/* A step of 1 MiB is 256 units: about 25 us of unmapping. */
enum { MEMORY_GIVE_BYTES_MAX = MEMORY_CHUNK_BYTES_MAX };

#endif
