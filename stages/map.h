#ifndef WEIR_STAGES_MAP_H
#define WEIR_STAGES_MAP_H

/*
 * The map: which shards run on which thread, and each thread's CPU.
 *
 *     map    = "fused" | "pair" | "split" | thread *( "," thread )
 *     thread = CPU ":" stage [ "*" shards ] *( "+" stage [ "*" shards ] )
 *
 * A CPU may repeat: each thread is a thread.  Shards are polled in the order written.  Every stage
 * appears exactly once.  More than one shard of a stage is refused: read deals every connection to
 * the first.
 *
 *   fused   one thread, all seven stages
 *   pair    two threads: read parse validate serialize write | replicate apply
 *   split   seven threads, one a stage; neighbours share a CPU where there are fewer than seven
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "stages/batch.h"

/* Limits of a map: more threads than there are stages, a text that any map fits, and the CPUs
 * that are looked at. */
enum { MAP_THREADS_MAX = 16, MAP_TEXT_BYTES_MAX = 512, MAP_CPUS_MAX = 1024 };

struct map_thread {
    uint32_t cpu;
    uint32_t stage_count;
    uint8_t stages[STAGE_COUNT]; /* enum stage_id, in polling order */
};

struct map {
    uint32_t thread_count;
    struct map_thread threads[MAP_THREADS_MAX];
    uint8_t shard_counts[STAGE_COUNT]; /* of each stage, all on the thread that names it */
    char text[MAP_TEXT_BYTES_MAX];     /* written out in full */
    bool oversubscribed;               /* more threads than CPUs: nobody spins */
};

/* The CPUs this process may use: its affinity mask, cut by the cgroup's quota. */
struct map_cpus {
    uint32_t count;
    uint16_t cpu[MAP_CPUS_MAX];
    double quota; /* CPUs' worth of time the cgroup grants; 0: no quota */
};

/* Reads affinity and cgroup.  Start-up; blocks. */
void map_cpus_available(struct map_cpus *cpus);

/* Keeps `wanted` of the CPUs, those from number `wanted` * place on in their order, around the end:
 * so that the members of a cluster on one host, each with a place of its own, share its CPUs out.
 * wanted >= 1; more than there are keep all. The quota stays. Pure. */
void map_cpus_cap(struct map_cpus *cpus, uint32_t wanted, uint64_t place);

/* Makes them all that this thread, and those that it starts from now on, may run on (without it the
 * threads of no map, the main one and the kernel's workers for files, go anywhere). Start-up.
 * Errors: WEIR_EIO, errno tells. */
int map_cpus_confine(const struct map_cpus *cpus);

/* Parses a map, or chooses the default for text == NULL.  Pure but for its arguments.
 * Errors: WEIR_EINVAL with what is wrong, where in the text, and what is expected; WEIR_ELIMIT
 * for a CPU that this process may not use. */
int map_parse(struct map *out, const char *text, const struct map_cpus *cpus,
              struct error_text *error);

/* "read" for STAGE_READ, and so on: as maps, logs and gauges name it. */
const char *map_stage_name(enum stage_id stage);

#endif
