/*
 * Large tables; see pages.h.
 *
 * Happy path: one mapping that may not be touched, of which all but the first and the last page is
 * opened; the table stands at the end of that, as near to the last page as its alignment allows.
 *
 * Failure modes: no address space, or too many mappings: NULL, and nothing stays behind.
 */

#include "stages/pages.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/bytes.h"

enum { TABLE_ALIGNMENT = 64 }; /* a cache line */

/* The bytes of the table, and of the pages that hold it; false: too many. */
static bool measure(size_t count, size_t size, size_t page, size_t *table_bytes,
                    size_t *inner_bytes) {
    ASSERT(count > 0 && size > 0);
    ASSERT(IS_POWER_OF_TWO(page) && page >= TABLE_ALIGNMENT);
    if (size > (SIZE_MAX / 2 - 4 * page) / count) {
        return false;
    }
    *table_bytes = ALIGN_UP(count * size, (size_t)TABLE_ALIGNMENT);
    *inner_bytes = ALIGN_UP(*table_bytes, page);
    return true;
}

void *pages_create(size_t count, size_t size) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t table_bytes;
    size_t inner_bytes;
    if (!measure(count, size, page, &table_bytes, &inner_bytes)) {
        return NULL;
    }
    uint8_t *outer = mmap(NULL, inner_bytes + 2 * page, PROT_NONE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (outer == MAP_FAILED) {
        return NULL;
    }
    if (mprotect(outer + page, inner_bytes, PROT_READ | PROT_WRITE) != 0) {
        (void)munmap(outer, inner_bytes + 2 * page);
        return NULL;
    }
    return outer + page + (inner_bytes - table_bytes);
}

void pages_destroy(void *table, size_t count, size_t size) {
    if (table == NULL) {
        return;
    }
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t table_bytes;
    size_t inner_bytes;
    bool fits = measure(count, size, page, &table_bytes, &inner_bytes);
    ASSERT(fits);
    uint8_t *outer = (uint8_t *)table - (inner_bytes - table_bytes) - page;
    ASSERT((uintptr_t)outer % page == 0); /* else the count or the size is another one */
    int result = munmap(outer, inner_bytes + 2 * page);
    ASSERT(result == 0);
}
