#ifndef WEIR_BASE_CLOCK_H
#define WEIR_BASE_CLOCK_H

/*
 * The host's clocks. Only the runner, the io door and programs read them; the stages are handed
 * the time, and the pure folders (entry, wire, raft, machines) must not include this file.
 *
 * Any thread; no allocation; no failure (a kernel without these clocks is below our floor).
 */

#include <stdint.h>

#define CLOCK_NS_PER_US UINT64_C(1000)
#define CLOCK_NS_PER_MS UINT64_C(1000000)
#define CLOCK_NS_PER_S  UINT64_C(1000000000)

/* Nanoseconds since some moment before this process; never goes back, stands still in suspend. */
uint64_t clock_monotonic_ns(void);

/* Milliseconds since 1970 as the host believes; may jump either way at any time. */
uint64_t clock_wall_ms(void);

/* Nanoseconds of CPU, user and kernel, that the calling thread has consumed. */
uint64_t clock_thread_cpu_ns(void);

#endif
