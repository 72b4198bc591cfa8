/*
 * Blocks of pages for a machine; see machine_host.h.
 *
 * Happy path: the size has a chunk with a free block: the lowest returned one, zeroed again, or
 * the next one never used, which is zero as the kernel made it.
 *
 * Memory goes back to the kernel in slices: an empty chunk, or a large block that came back, waits
 * in a list for machine_host_trim.
 *
 * Failure modes: no chunk with a free block: an empty chunk is made one of that size.  Out of
 * address space, or the kernel has no mapping left: NULL, as the contract has it.
 */

#include "stages/machine_host.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/error.h"
#include "stages/pages.h"

enum {
    PAGE_BYTES = 4096,
    CHUNK_BYTES = 2 * 1024 * 1024, /* a huge page */
    CHUNK_PAGES = CHUNK_BYTES / PAGE_BYTES,
    CLASS_COUNT = 9, /* blocks of 1, 2, 4 ... 256 pages: at least two in a chunk */
    CHUNK_NONE = 0x7fffffff,
    /* Empty chunks kept with their memory, so that a machine at a boundary does not ask the kernel
       again and again. */
    CHUNKS_WARM_MAX = 4,
    /* Given back to the kernel in one go: 64 or 128 pages of 4 KiB, about 0.7 us each. */
    COOL_BYTES = 512 * 1024,
    UNMAP_BYTES = 256 * 1024,
    UNMAP_AT_ONCE_BYTES = 1024 * 1024, /* a block up to here needs no slices */
};
_Static_assert((CHUNK_PAGES >> (CLASS_COUNT - 1)) == 2, "the largest class has two blocks");

/* A quarter of a tebibyte of addresses, of which the kernel backs what is touched. */
#define RESERVED_BYTES (UINT64_C(1) << 38)
#define CHUNK_COUNT    ((uint32_t)(RESERVED_BYTES / CHUNK_BYTES))

struct chunk {
    uint64_t returned[CHUNK_PAGES / 64]; /* bit: this block was used and came back */
    uint32_t next;                       /* in its class's list of chunks with room */
    uint32_t previous;
    uint16_t live;  /* blocks in use */
    uint16_t fresh; /* blocks from here on were never used since the kernel zeroed them */
    uint16_t returned_count;
    uint8_t class;
    bool listed;
};

/* At the beginning of a large block that came back and is being unmapped from its end. */
struct released {
    struct released *next;
    size_t length_bytes;
};

struct machine_host_memory {
    uint8_t *base; /* CHUNK_BYTES aligned */
    void *mapping;
    struct chunk *chunks;
    uint32_t chunks_used;        /* chunks ever given out are [0, chunks_used) */
    uint32_t rooms[CLASS_COUNT]; /* lists of chunks with a free block */
    uint32_t empties;            /* list of chunks without any block in use */
    uint32_t warm_count;         /* of these, with their memory */
    uint32_t cooling;          /* list of empty chunks whose memory goes back: machine_host_trim */
    uint32_t cooled_bytes;     /* of its first */
    struct released *released; /* large blocks, likewise */
    uint64_t taken_bytes;
    uint64_t held_bytes;
};

static uint32_t class_of(size_t length_bytes) {
    uint32_t class = 0;
    while (((size_t)PAGE_BYTES << class) < length_bytes) {
        class ++;
    }
    return class;
}

static uint32_t class_blocks(uint32_t class) {
    return (uint32_t)CHUNK_PAGES >> class;
}

static void list_add(struct machine_host_memory *memory, uint32_t *head, uint32_t index) {
    struct chunk *chunk = &memory->chunks[index];
    chunk->next = *head;
    chunk->previous = CHUNK_NONE;
    if (*head != CHUNK_NONE) {
        memory->chunks[*head].previous = index;
    }
    *head = index;
    chunk->listed = true;
}

static void list_remove(struct machine_host_memory *memory, uint32_t *head, uint32_t index) {
    struct chunk *chunk = &memory->chunks[index];
    ASSERT(chunk->listed);
    if (chunk->previous == CHUNK_NONE) {
        *head = chunk->next;
    } else {
        memory->chunks[chunk->previous].next = chunk->next;
    }
    if (chunk->next != CHUNK_NONE) {
        memory->chunks[chunk->next].previous = chunk->previous;
    }
    chunk->listed = false;
}

/* An empty chunk, now of this class and in its list; false if there are no more addresses. */
static bool chunk_make(struct machine_host_memory *memory, uint32_t class) {
    uint32_t index = memory->empties;
    if (index != CHUNK_NONE) {
        list_remove(memory, &memory->empties, index);
    } else if (memory->chunks_used < CHUNK_COUNT) {
        index = memory->chunks_used++;
        memory->chunks[index].fresh = 0;
    } else {
        return false;
    }
    struct chunk *chunk = &memory->chunks[index];
    ASSERT(chunk->live == 0);
    if (chunk->fresh > 0) {
        memory->warm_count--;
        memset(memory->base + (size_t)index * CHUNK_BYTES, 0,
               (size_t)chunk->fresh * ((size_t)PAGE_BYTES << chunk->class));
    }
    memset(chunk->returned, 0, sizeof(chunk->returned));
    chunk->returned_count = 0;
    chunk->fresh = 0;
    chunk->class = (uint8_t) class;
    memory->held_bytes += CHUNK_BYTES;
    list_add(memory, &memory->rooms[class], index);
    return true;
}

/* The last block of a chunk came back. */
static void chunk_empty(struct machine_host_memory *memory, uint32_t index) {
    struct chunk *chunk = &memory->chunks[index];
    list_remove(memory, &memory->rooms[chunk->class], index);
    memory->held_bytes -= CHUNK_BYTES;
    if (memory->warm_count < CHUNKS_WARM_MAX) {
        memory->warm_count++;
        list_add(memory, &memory->empties, index);
    } else if (memory->cooled_bytes == 0) {
        list_add(memory, &memory->cooling, index);
    } else {
        /* Behind the first: `cooled_bytes` is of that one. */
        list_add(memory, &memory->chunks[memory->cooling].next, index);
        chunk->previous = memory->cooling;
    }
}

/* Gives a slice of an empty chunk back; the chunk can be used again when it was the last. */
static void chunk_cool(struct machine_host_memory *memory) {
    uint32_t index = memory->cooling;
    struct chunk *chunk = &memory->chunks[index];
    uint8_t *slice = memory->base + (size_t)index * CHUNK_BYTES + memory->cooled_bytes;
    int result = madvise(slice, COOL_BYTES, MADV_DONTNEED);
    ASSERT(result == 0);
    memory->cooled_bytes += COOL_BYTES;
    if (memory->cooled_bytes == CHUNK_BYTES) {
        memory->cooled_bytes = 0;
        list_remove(memory, &memory->cooling, index);
        chunk->fresh = 0; /* the kernel will zero it */
        list_add(memory, &memory->empties, index);
    }
}

/* Unmaps.  The kernel may lack a mapping to cut one in two; then the memory goes back and the
 * addresses stay. */
static void block_unmap(struct machine_host_memory *memory, void *block, size_t length_bytes) {
    if (munmap(block, length_bytes) != 0) {
        (void)madvise(block, length_bytes, MADV_DONTNEED);
    }
    memory->held_bytes -= length_bytes;
}

/* Unmaps a slice of the first released block, from its end. */
static void released_unmap(struct machine_host_memory *memory) {
    struct released *block = memory->released;
    if (block->length_bytes > UNMAP_BYTES) {
        block->length_bytes -= UNMAP_BYTES;
        block_unmap(memory, (uint8_t *)block + block->length_bytes, UNMAP_BYTES);
        return;
    }
    memory->released = block->next;
    block_unmap(memory, block, block->length_bytes);
}

bool machine_host_waits(const struct machine_host_memory *memory) {
    return memory->released != NULL || memory->cooling != CHUNK_NONE;
}

bool machine_host_trim(struct machine_host_memory *memory) {
    if (memory->released != NULL) {
        released_unmap(memory);
    } else if (memory->cooling != CHUNK_NONE) {
        chunk_cool(memory);
    }
    return machine_host_waits(memory);
}

static void *block_take(struct machine_host_memory *memory, uint32_t class) {
    if (memory->rooms[class] == CHUNK_NONE && !chunk_make(memory, class)) {
        return NULL;
    }
    uint32_t index = memory->rooms[class];
    struct chunk *chunk = &memory->chunks[index];
    size_t block_bytes = (size_t)PAGE_BYTES << class;
    uint8_t *chunk_memory = memory->base + (size_t)index * CHUNK_BYTES;
    uint32_t block;
    if (chunk->returned_count > 0) {
        uint32_t word = 0;
        while (chunk->returned[word] == 0) {
            word++;
            ASSERT(word < ARRAY_COUNT(chunk->returned));
        }
        block = word * 64 + (uint32_t)__builtin_ctzll(chunk->returned[word]);
        chunk->returned[word] &= chunk->returned[word] - 1;
        chunk->returned_count--;
        memset(chunk_memory + block * block_bytes, 0, block_bytes);
    } else {
        block = chunk->fresh++;
    }
    ASSERT(block < class_blocks(class));
    chunk->live++;
    if (chunk->live == class_blocks(class)) {
        list_remove(memory, &memory->rooms[class], index);
    }
    return chunk_memory + block * block_bytes;
}

static void *pages_take(void *context, size_t length_bytes) {
    struct machine_host_memory *memory = context;
    ASSERT(length_bytes > 0 && length_bytes % PAGE_BYTES == 0);
    void *block;
    if (length_bytes <= (size_t)PAGE_BYTES << (CLASS_COUNT - 1)) {
        block = block_take(memory, class_of(length_bytes));
    } else {
        block =
            mmap(NULL, length_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (block == MAP_FAILED) {
            return NULL;
        }
        /* No huge pages: it is filled once, in slices, and a slice is to have short page faults. */
        memory->held_bytes += length_bytes;
    }
    if (block != NULL) {
        memory->taken_bytes += length_bytes;
    }
    return block;
}

static void pages_give(void *context, void *block, size_t length_bytes) {
    struct machine_host_memory *memory = context;
    ASSERT(memory->taken_bytes >= length_bytes);
    memory->taken_bytes -= length_bytes;
    uintptr_t address = (uintptr_t)block;
    uintptr_t base = (uintptr_t)memory->base;
    if (address < base || address >= base + RESERVED_BYTES) {
        /* A large block, or a part of one. */
        if (length_bytes <= UNMAP_AT_ONCE_BYTES) {
            block_unmap(memory, block, length_bytes);
            return;
        }
        struct released *released = block;
        *released = (struct released){.next = memory->released, .length_bytes = length_bytes};
        memory->released = released;
        return;
    }
    size_t offset = address - base;
    uint32_t index = (uint32_t)(offset / CHUNK_BYTES);
    ASSERT(index < memory->chunks_used);
    struct chunk *chunk = &memory->chunks[index];
    ASSERT(chunk->class == class_of(length_bytes) && chunk->live > 0);
    uint32_t number = (uint32_t)(offset % CHUNK_BYTES / ((size_t)PAGE_BYTES << chunk->class));
    ASSERT(number < chunk->fresh);
    ASSERT((chunk->returned[number / 64] >> (number % 64) & 1) == 0); /* given back twice */
    chunk->returned[number / 64] |= UINT64_C(1) << (number % 64);
    chunk->returned_count++;
    if (!chunk->listed) {
        list_add(memory, &memory->rooms[chunk->class], index);
    }
    if (--chunk->live == 0) {
        chunk_empty(memory, index);
    }
}

int machine_host_create(struct machine_host_memory **out) {
    struct machine_host_memory *memory = calloc(1, sizeof(*memory));
    if (memory == NULL) {
        return WEIR_ENOMEM;
    }
    memory->chunks = pages_create(CHUNK_COUNT, sizeof(*memory->chunks));
    memory->mapping = mmap(NULL, RESERVED_BYTES + CHUNK_BYTES, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory->chunks == NULL || memory->mapping == MAP_FAILED) {
        pages_destroy(memory->chunks, CHUNK_COUNT, sizeof(*memory->chunks));
        free(memory);
        return WEIR_ENOMEM;
    }
    memory->base = (uint8_t *)ALIGN_UP((uintptr_t)memory->mapping, (uintptr_t)CHUNK_BYTES);
    /* A wish: failing it changes nothing. */
    madvise(memory->base, RESERVED_BYTES, MADV_HUGEPAGE);
    for (uint32_t class = 0; class < CLASS_COUNT; class ++) {
        memory->rooms[class] = CHUNK_NONE;
    }
    memory->empties = CHUNK_NONE;
    memory->cooling = CHUNK_NONE;
    *out = memory;
    return WEIR_OK;
}

void machine_host_destroy(struct machine_host_memory *memory) {
    ASSERT(memory->taken_bytes == 0);
    while (memory->released != NULL) {
        released_unmap(memory);
    }
    munmap(memory->mapping, RESERVED_BYTES + CHUNK_BYTES);
    pages_destroy(memory->chunks, CHUNK_COUNT, sizeof(*memory->chunks));
    free(memory);
}

struct machine_host machine_host_of(struct machine_host_memory *memory) {
    return (struct machine_host){
        .context = memory, .pages_take = pages_take, .pages_give = pages_give};
}

uint64_t machine_host_taken_bytes(const struct machine_host_memory *memory) {
    return memory->taken_bytes;
}

uint64_t machine_host_held_bytes(const struct machine_host_memory *memory) {
    return memory->held_bytes;
}
