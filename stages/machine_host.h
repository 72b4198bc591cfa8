#ifndef WEIR_STAGES_MACHINE_HOST_H
#define WEIR_STAGES_MACHINE_HOST_H

/*
 * The memory a machine gets: whole pages from the kernel, counted.
 *
 * A machine takes pages by the chunk (64 KiB and more) and cuts them up itself, so a take is rare,
 * and its cost is that of the page faults which follow anyway.  That is why it may be a system call
 * although it happens inside apply.  Owner: apply's thread.
 */

#include "machines/machine.h"

struct machine_host_pages {
    uint64_t taken_bytes; /* now */
};

/* A host whose pages are counted in *pages, which the caller keeps. */
struct machine_host machine_host_make(struct machine_host_pages *pages);

#endif
