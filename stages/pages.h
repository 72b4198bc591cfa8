#ifndef WEIR_STAGES_PAGES_H
#define WEIR_STAGES_PAGES_H

/*
 * Memory for a large table that is made at the start and of which most is seldom used.
 *
 * The happy path: a mapping of its own, zero, and not backed before it is touched.  calloc does the
 * same for the first large table of a process, and only then: what was freed raises the size from
 * which it maps, up to 32 MiB, and below that it takes used memory and clears it, all of it; under
 * a sanitizer it clears, or marks, all of it always.
 *
 * Failure modes: an access before its begin or behind its end ends the process (SIGSEGV): on both
 * sides stands a page that may not be touched.  As each table begins at a multiple of 64 bytes, up
 * to 63 bytes behind its end are not caught.
 *
 * Any thread; may block in the kernel; allocates.
 */

#include <stddef.h>

/* A table of `count` elements of `size` bytes, both at least 1.  NULL: the product exceeds what a
 * size_t holds, or there is no address space.  The caller ends it by pages_destroy, with the same
 * count and size. */
void *pages_create(size_t count, size_t size);

/* Gives it back; NULL is allowed, and does nothing. */
void pages_destroy(void *table, size_t count, size_t size);

#endif
