#ifndef WEIR_STAGES_MACHINE_HOST_H
#define WEIR_STAGES_MACHINE_HOST_H

/*
 * The memory a machine gets: zeroed blocks of whole pages, cut from huge pages, counted.
 *
 * A machine takes blocks of 4 KiB and more and cuts them up itself.  Millions of small records in
 * pages of 4 KiB would cost a translation miss each, so blocks are cut from chunks of 2 MiB, which
 * the kernel backs with huge pages where it can.  A chunk holds blocks of one size (a power of two
 * of pages); when its last block comes back the chunk's memory goes back to the kernel, so a
 * machine that was flushed does not keep what it had.  Blocks of 2 MiB and more are mappings of
 * their own.
 *
 *   reserved address space:  | chunk of 4 KiB blocks | chunk of 64 KiB blocks | empty | ...
 *
 * Apply calls it in the middle of its work: a take is a few loads, and once in 2 MiB of memory a
 * system call, whose cost is that of the page faults which follow anyway.
 *
 * Owner: apply's thread (made by the starting thread, freed by the main one).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "machines/machine.h"

struct machine_host_memory;

/* Reserves the address space.  Errors: WEIR_ENOMEM. */
int machine_host_create(struct machine_host_memory **out);

/* Gives everything back to the kernel.  Asserts that the machine has given all of it back. */
void machine_host_destroy(struct machine_host_memory *memory);

/* What a machine is given; valid until machine_host_destroy. */
struct machine_host machine_host_of(struct machine_host_memory *memory);

/* Gives a slice of what the machine has given back on to the kernel: at most 100 us, for a poll
 * that has time.  True if there is more.  Nothing depends on it but the process's memory. */
bool machine_host_trim(struct machine_host_memory *memory);

/* Whether machine_host_trim has something to do. */
bool machine_host_waits(const struct machine_host_memory *memory);

/* Bytes taken now, as the machine asked for them. */
uint64_t machine_host_taken_bytes(const struct machine_host_memory *memory);

/* Bytes of chunks and large blocks now: what the process holds for it, at most. */
uint64_t machine_host_held_bytes(const struct machine_host_memory *memory);

#endif
