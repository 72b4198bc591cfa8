/* Pages from the kernel; large chunks as huge pages where it has them. */

#include "stages/machine_host.h"

#include <sys/mman.h>

#include "base/assert.h"

enum { HUGE_FROM_BYTES = 2 * 1024 * 1024 };

static void *pages_take(void *context, size_t length_bytes) {
    struct machine_host_pages *pages = context;
    ASSERT(length_bytes > 0 && length_bytes % 4096 == 0);
    void *memory =
        mmap(NULL, length_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        return NULL;
    }
    if (length_bytes >= HUGE_FROM_BYTES) {
        madvise(memory, length_bytes, MADV_HUGEPAGE); /* a wish: failing it changes nothing */
    }
    pages->taken_bytes += length_bytes;
    return memory;
}

static void pages_give(void *context, void *memory, size_t length_bytes) {
    struct machine_host_pages *pages = context;
    ASSERT(pages->taken_bytes >= length_bytes);
    pages->taken_bytes -= length_bytes;
    int result = munmap(memory, length_bytes);
    ASSERT(result == 0);
}

struct machine_host machine_host_make(struct machine_host_pages *pages) {
    return (struct machine_host){
        .context = pages, .pages_take = pages_take, .pages_give = pages_give};
}
