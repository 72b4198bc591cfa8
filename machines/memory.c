/*
 * Happy path: memory_take finds the class, takes the head of the first partial span's free list,
 * or the next object never used, and is done. The span leaves the list of partial ones when it is
 * full, comes back at the first memory_give, and its pages are free for any class when its last
 * object has been given back, unless it is the only partial span of its class: a key set and
 * deleted in turn must not make and unmake a span each time.
 *
 * Pages come from free runs of that length, else from a longer one, else from the rest of the last
 * chunk, else from a new one. Free runs are not joined: most are single pages, as are most wishes.
 * A chunk counts the pages in use. When there are none, and enough other free pages are left, its
 * runs are taken off their lists, and it goes back to the host: at most 256 of them, some 50 us.
 *
 * Failure: the host has no page. That is fatal here, in memory_block_take, with a sentence; why it
 * must be is told in machines/machine.h.
 *
 * Under the address sanitizer free objects are poisoned, so that a use after memory_give is found
 * although the page is still ours.
 */

#include "machines/memory.h"

#include "base/assert.h"
#include "base/bytes.h"

#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define MEMORY_POISON 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MEMORY_POISON 1
#endif
#endif
#ifdef MEMORY_POISON
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size)   ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

/* The head of pages that hold objects of one class. */
struct memory_span {
    struct memory_block block; /* the block's, if the span lies in its first page; or its chunk */
    struct memory_span *next_partial;
    struct memory_span *previous_partial;
    void *free;             /* objects given back, linked through their first bytes */
    uint32_t unused_offset; /* the first object never taken */
    uint16_t used_count;
    uint8_t class;
    uint8_t listed; /* whether it is in the list of partial spans */
};

_Static_assert(sizeof(struct memory_span) <= MEMORY_HEADER_BYTES, "objects begin behind the head");

/* What precedes an object of a span of several pages. */
enum { MEMORY_PREFIX_BYTES = 8 };

uint32_t memory_class(size_t size_bytes) {
    if (size_bytes <= 128)
        return (uint32_t)((size_bytes + 7) >> 3);
    if (size_bytes > MEMORY_CLASSED_BYTES_MAX)
        return MEMORY_CLASSES + (uint32_t)((size_bytes + MEMORY_HEADER_BYTES - 1) >> 12);
    const uint32_t last = (uint32_t)size_bytes - 1;
    const uint32_t shift = 31u - (uint32_t)__builtin_clz(last) - 3u;
    return 17 + (shift - 4) * 8 + ((last >> shift) - 8);
}

/* The size of a class's objects, the inverse of memory_class rounded up. */
static uint32_t memory_class_bytes(uint32_t class) {
    ASSERT_HOT(class >= 1 && class < MEMORY_CLASSES);
    if (class <= 16)
        return class * 8;
    const uint32_t shift = 4 + (class - 17) / 8;
    return (9 + (class - 17) % 8) << shift;
}

static size_t memory_large_bytes(size_t size_bytes) {
    return ALIGN_UP(size_bytes + MEMORY_HEADER_BYTES, (size_t)MEMORY_PAGE_BYTES);
}

size_t memory_usable_bytes(size_t size_bytes) {
    if (size_bytes > MEMORY_CLASSED_BYTES_MAX)
        return memory_large_bytes(size_bytes) - MEMORY_HEADER_BYTES;
    return memory_class_bytes(memory_class(size_bytes));
}

void memory_begin(struct memory *memory, const struct machine_host *host, uint64_t *fresh_pages) {
    memset(memory, 0, sizeof(*memory));
    memory->host = host;
    memory->fresh_pages = fresh_pages;
}

/* ---- Blocks and pages ------------------------------------------------------------------------ */

/* Free pages that lie together. */
struct memory_run {
    struct memory_block block; /* as in a span */
    struct memory_run *next;
    struct memory_run *previous;
    uint64_t pages;
};

static uint64_t memory_block_bytes(const struct memory_block *block) {
    return (uint64_t)block->length_pages * MEMORY_PAGE_BYTES;
}

/* The chunk of pages that begin something, which may be its first ones. */
static struct memory_block *memory_chunk_of(void *pages) {
    struct memory_block *block = pages;
    return block->length_pages != 0 ? block : block->next;
}

/* Notes the chunk at the beginning of pages that are not its first ones. */
static void memory_chunk_note(struct memory_block *chunk, void *pages) {
    ASSERT_HOT((uint8_t *)pages > (uint8_t *)chunk &&
               (uint8_t *)pages < (uint8_t *)chunk + memory_block_bytes(chunk));
    *(struct memory_block *)pages = (struct memory_block){.next = chunk};
}

/* Puts a block on the list of a memory. */
static void memory_block_link(struct memory *memory, struct memory_block *block) {
    block->next = memory->blocks;
    block->previous = NULL;
    if (block->next != NULL)
        block->next->previous = block;
    memory->blocks = block;
    memory->taken_bytes += memory_block_bytes(block);
}

static void *memory_block_take(struct memory *memory, size_t length_bytes) {
    ASSERT_HOT(length_bytes % MEMORY_PAGE_BYTES == 0 && length_bytes > 0);
    struct memory_block *block = memory->host->pages_take(memory->host->context, length_bytes);
    if (block == NULL)
        UNREACHABLE("the machine's host has no page left for a write that is in the log; "
                    "restart with more memory: the log replays it");
    ASSERT_HOT((uintptr_t)block % MEMORY_PAGE_BYTES == 0);
    block->length_pages = (uint32_t)(length_bytes / MEMORY_PAGE_BYTES);
    block->used_pages = 0;
    memory_block_link(memory, block);
    return block;
}

/* Takes a block off the list of its memory. */
static void memory_block_unlink(struct memory *memory, struct memory_block *block) {
    if (block->previous != NULL)
        block->previous->next = block->next;
    else
        memory->blocks = block->next;
    if (block->next != NULL)
        block->next->previous = block->previous;
    const size_t length_bytes = memory_block_bytes(block);
    ASSERT_HOT(memory->taken_bytes >= length_bytes);
    memory->taken_bytes -= length_bytes;
}

/* The same of a large object, which is all in use. */
static void memory_large_unlink(struct memory *memory, struct memory_block *block) {
    ASSERT_HOT(memory->used_bytes >= memory_block_bytes(block));
    memory->used_bytes -= memory_block_bytes(block);
    memory_block_unlink(memory, block);
}

/* Gives a large object's block back to the host at once. */
static void memory_large_give(struct memory *memory, struct memory_block *block) {
    memory_large_unlink(memory, block);
    memory->host->pages_give(memory->host->context, block, memory_block_bytes(block));
}

static void memory_run_free(struct memory *memory, void *pages, uint64_t count) {
    ASSERT_HOT(count >= 1 && count <= MEMORY_RUN_PAGES_MAX);
    struct memory_run *run = pages;
    run->next = memory->free_runs[count];
    run->previous = NULL;
    run->pages = count;
    if (run->next != NULL)
        run->next->previous = run;
    memory->free_runs[count] = run;
}

/* Takes a free run off its list. */
static void memory_run_unlink(struct memory *memory, struct memory_run *run) {
    if (run->previous != NULL)
        run->previous->next = run->next;
    else
        memory->free_runs[run->pages] = run->next;
    if (run->next != NULL)
        run->next->previous = run->previous;
}

/* Gives a chunk back whose pages are all free, unless they are needed for a next time: the last one
 * is still being cut up. */
static void memory_chunk_give(struct memory *memory, struct memory_block *chunk) {
    const uint64_t length_bytes = memory_block_bytes(chunk);
    const uint64_t free_bytes = memory->taken_bytes - memory->used_bytes;
    if (chunk == memory->chunk || free_bytes < length_bytes + MEMORY_KEPT_BYTES)
        return;
    for (uint64_t page = 0; page < chunk->length_pages;) {
        struct memory_run *run = (void *)((uint8_t *)chunk + page * MEMORY_PAGE_BYTES);
        ASSERT(memory_chunk_of(run) == chunk && run->pages >= 1);
        page += run->pages;
        memory_run_unlink(memory, run);
    }
    memory_block_unlink(memory, chunk);
    memory->host->pages_give(memory->host->context, chunk, length_bytes);
}

/* Takes a block of at least `count` pages: the longest run has one more than the smallest block. */
static void memory_chunk_take(struct memory *memory, uint32_t count) {
    size_t length_bytes = MEMORY_CHUNK_BYTES_MIN;
    while (length_bytes < (size_t)count * MEMORY_PAGE_BYTES ||
           (length_bytes < MEMORY_CHUNK_BYTES_MAX && length_bytes < memory->taken_bytes / 8))
        length_bytes *= 2;
    if (memory->unused_pages > 0)
        memory_run_free(memory, memory->unused, memory->unused_pages);
    memory->chunk = memory_block_take(memory, length_bytes);
    memory->unused = (uint8_t *)memory->chunk;
    memory->unused_pages = length_bytes / MEMORY_PAGE_BYTES;
}

/* Pages that lie together. *is_fresh: they are still as the host gave them, zero. */
static void *memory_run_take(struct memory *memory, uint32_t count, bool *is_fresh) {
    memory->used_bytes += (uint64_t)count * MEMORY_PAGE_BYTES;
    *is_fresh = false;
    for (uint32_t length = count; length <= MEMORY_RUN_PAGES_MAX; length++) {
        struct memory_run *run = memory->free_runs[length];
        if (run == NULL)
            continue;
        struct memory_block *chunk = memory_chunk_of(run);
        uint8_t *rest = (uint8_t *)run + (size_t)count * MEMORY_PAGE_BYTES;
        memory_run_unlink(memory, run);
        chunk->used_pages += count;
        if (length > count) {
            memory_chunk_note(chunk, rest);
            memory_run_free(memory, rest, length - count);
        }
        return run;
    }
    if (memory->unused_pages < count)
        memory_chunk_take(memory, count);
    ASSERT(memory->unused_pages >= count);
    void *pages = memory->unused;
    memory->unused += (size_t)count * MEMORY_PAGE_BYTES;
    memory->unused_pages -= count;
    memory->chunk->used_pages += count;
    if (memory->unused_pages > 0)
        memory_chunk_note(memory->chunk, memory->unused);
    if (memory->fresh_pages != NULL)
        *memory->fresh_pages += count;
    *is_fresh = true;
    return pages;
}

static void memory_run_give(struct memory *memory, void *pages, uint32_t count) {
    const uint64_t length_bytes = (uint64_t)count * MEMORY_PAGE_BYTES;
    ASSERT_HOT(memory->used_bytes >= length_bytes);
    memory->used_bytes -= length_bytes;
    ASAN_UNPOISON_MEMORY_REGION(pages, length_bytes);
    struct memory_block *chunk = memory_chunk_of(pages);
    ASSERT_HOT(chunk->used_pages >= count);
    chunk->used_pages -= count;
    memory_run_free(memory, pages, count);
    if (chunk->used_pages == 0)
        memory_chunk_give(memory, chunk);
}

void *memory_take_page(struct memory *memory) {
    bool is_fresh;
    uint8_t *page = memory_run_take(memory, 1, &is_fresh);
    if (!is_fresh)
        memset(page + sizeof(struct memory_block), 0,
               MEMORY_PAGE_BYTES - sizeof(struct memory_block));
    return page;
}

void memory_give_page(struct memory *memory, void *page) {
    memory_run_give(memory, page, 1);
}

/* ---- Spans and objects ----------------------------------------------------------------------- */

/* The distance from one object of a span to the next. */
static uint32_t memory_stride_bytes(uint32_t class) {
    const uint32_t bytes = memory_class_bytes(class);
    return bytes <= MEMORY_SMALL_BYTES_MAX ? bytes : bytes + MEMORY_PREFIX_BYTES;
}

/* Long spans waste less of their last page, short ones waste less when few objects exist:
 * 8 objects up to 2 KiB, 4 up to 8 KiB, 2 above. */
static uint32_t memory_span_pages(uint32_t class) {
    const uint32_t bytes = memory_class_bytes(class);
    if (bytes <= MEMORY_SMALL_BYTES_MAX)
        return 1;
    const uint32_t count = bytes <= 2048 ? 8 : bytes <= 8192 ? 4 : 2;
    return (MEMORY_HEADER_BYTES + count * memory_stride_bytes(class) + MEMORY_PAGE_BYTES - 1) /
           MEMORY_PAGE_BYTES;
}

static void memory_span_list(struct memory *memory, struct memory_span *span) {
    span->previous_partial = NULL;
    span->next_partial = memory->partial[span->class];
    if (span->next_partial != NULL)
        span->next_partial->previous_partial = span;
    memory->partial[span->class] = span;
    span->listed = 1;
}

static void memory_span_unlist(struct memory *memory, struct memory_span *span) {
    if (span->previous_partial != NULL)
        span->previous_partial->next_partial = span->next_partial;
    else
        memory->partial[span->class] = span->next_partial;
    if (span->next_partial != NULL)
        span->next_partial->previous_partial = span->previous_partial;
    span->listed = 0;
}

static __attribute__((noinline)) struct memory_span *memory_span_new(struct memory *memory,
                                                                     uint32_t class) {
    const uint32_t pages = memory_span_pages(class);
    bool is_fresh;
    struct memory_span *span = memory_run_take(memory, pages, &is_fresh);
    span->free = NULL;
    span->unused_offset = MEMORY_HEADER_BYTES;
    span->used_count = 0;
    span->class = (uint8_t) class;
    ASAN_POISON_MEMORY_REGION((uint8_t *)span + MEMORY_HEADER_BYTES,
                              pages * MEMORY_PAGE_BYTES - MEMORY_HEADER_BYTES);
    memory_span_list(memory, span);
    return span;
}

/* The next object of a span that nobody has had yet. */
static void *memory_span_next(struct memory_span *span, uint32_t bytes) {
    uint8_t *object = (uint8_t *)span + span->unused_offset;
    if (bytes > MEMORY_SMALL_BYTES_MAX) {
        ASAN_UNPOISON_MEMORY_REGION(object, MEMORY_PREFIX_BYTES);
        bytes_put_u64(object, span->unused_offset + MEMORY_PREFIX_BYTES);
        object += MEMORY_PREFIX_BYTES;
    }
    span->unused_offset += memory_stride_bytes(span->class);
    return object;
}

static bool memory_span_is_full(const struct memory_span *span) {
    return span->free == NULL && span->unused_offset + memory_stride_bytes(span->class) >
                                     memory_span_pages(span->class) * MEMORY_PAGE_BYTES;
}

static void *memory_large_take(struct memory *memory, size_t size_bytes) {
    const size_t length_bytes = memory_large_bytes(size_bytes);
    memory->used_bytes += length_bytes;
    return (uint8_t *)memory_block_take(memory, length_bytes) + MEMORY_HEADER_BYTES;
}

void *memory_take(struct memory *memory, size_t size_bytes) {
    ASSERT_HOT(size_bytes > 0);
    if (size_bytes > MEMORY_CLASSED_BYTES_MAX)
        return memory_large_take(memory, size_bytes);

    const uint32_t class = memory_class(size_bytes);
    const uint32_t bytes = memory_class_bytes(class);
    struct memory_span *span = memory->partial[class];
    if (span == NULL)
        span = memory_span_new(memory, class);

    void *object = span->free;
    if (object != NULL) {
        ASAN_UNPOISON_MEMORY_REGION(object, bytes);
        memcpy(&span->free, object, sizeof(span->free));
    } else {
        object = memory_span_next(span, bytes);
        ASAN_UNPOISON_MEMORY_REGION(object, bytes);
    }
    span->used_count++;
    if (memory_span_is_full(span))
        memory_span_unlist(memory, span);
    return object;
}

static struct memory_span *memory_span_of(void *object, uint32_t bytes) {
    if (bytes <= MEMORY_SMALL_BYTES_MAX)
        return (struct memory_span *)((uintptr_t)object & ~(uintptr_t)(MEMORY_PAGE_BYTES - 1));
    uint8_t *prefix = (uint8_t *)object - MEMORY_PREFIX_BYTES;
    return (struct memory_span *)(void *)((uint8_t *)object - bytes_get_u64(prefix));
}

void memory_give(struct memory *memory, void *object, size_t size_bytes) {
    if (size_bytes > MEMORY_CLASSED_BYTES_MAX) {
        void *block = (uint8_t *)object - MEMORY_HEADER_BYTES;
        ASSERT_HOT(memory_block_bytes(block) == memory_large_bytes(size_bytes));
        memory_large_give(memory, block);
        return;
    }
    const uint32_t class = memory_class(size_bytes);
    const uint32_t bytes = memory_class_bytes(class);
    struct memory_span *span = memory_span_of(object, bytes);
    ASSERT_HOT(span->class == class && span->used_count > 0);

    memcpy(object, &span->free, sizeof(span->free));
    span->free = object;
    ASAN_POISON_MEMORY_REGION(object, bytes);
    span->used_count--;
    if (!span->listed)
        memory_span_list(memory, span);
    const bool only_one = span->next_partial == NULL && span->previous_partial == NULL;
    if (span->used_count == 0 && !only_one) {
        memory_span_unlist(memory, span);
        memory_run_give(memory, span, memory_span_pages(class));
    }
}

void memory_move(struct memory *from, struct memory *to, void *object, size_t size_bytes) {
    ASSERT(size_bytes > MEMORY_CLASSED_BYTES_MAX && from->host == to->host);
    struct memory_block *block = (void *)((uint8_t *)object - MEMORY_HEADER_BYTES);
    ASSERT(memory_block_bytes(block) == memory_large_bytes(size_bytes));
    memory_large_unlink(from, block);
    memory_block_link(to, block);
    to->used_bytes += memory_block_bytes(block);
}

void memory_retire(struct memory *memory, struct memory_retired *retired) {
    struct memory_block *first = memory->blocks;
    if (first != NULL && retired->blocks != NULL) {
        /* Blocks are given back from the head of the list, and a list is linked both ways: the
         * older list's last block is not known, so the new one's first is hung in front of it by
         * walking neither: `previous` of a retired head leads to a further list. */
        first->previous = retired->blocks;
    }
    if (first != NULL)
        retired->blocks = first;
    retired->taken_bytes += memory->taken_bytes;
    memory_begin(memory, memory->host, memory->fresh_pages);
}

/* Takes the first block off the list. */
static void memory_retired_next(struct memory_retired *retired) {
    struct memory_block *block = retired->blocks;
    struct memory_block *further = block->previous; /* another retired list, or NULL */
    struct memory_block *next = block->next;
    if (next != NULL)
        next->previous = further;
    retired->blocks = next != NULL ? next : further;
}

bool memory_retired_give(struct memory_retired *retired, const struct machine_host *host,
                         uint32_t *budget) {
    while (retired->blocks != NULL && *budget > 0) {
        struct memory_block *block = retired->blocks;
        uint8_t *from = (uint8_t *)block;
        size_t length_bytes = memory_block_bytes(block);
        if (length_bytes > MEMORY_GIVE_BYTES_MAX) {
            /* A part of it, from its end. */
            block->length_pages -= MEMORY_GIVE_BYTES_MAX / MEMORY_PAGE_BYTES;
            from += memory_block_bytes(block);
            length_bytes = MEMORY_GIVE_BYTES_MAX;
        } else {
            memory_retired_next(retired);
        }
        ASSERT(retired->taken_bytes >= length_bytes);
        retired->taken_bytes -= length_bytes;
        ASAN_UNPOISON_MEMORY_REGION(from, length_bytes);
        host->pages_give(host->context, from, length_bytes);
        const uint32_t units = (uint32_t)(length_bytes / MEMORY_PAGE_BYTES);
        *budget -= units < *budget ? units : *budget;
    }
    return retired->blocks != NULL;
}
