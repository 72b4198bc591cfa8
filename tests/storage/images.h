#ifndef WEIR_TESTS_STORAGE_IMAGES_H
#define WEIR_TESTS_STORAGE_IMAGES_H

/* A log as bytes in memory, taken from the simulated disk, and judged by the pure functions. */

#include "storage/log_verify.h"

enum { IMAGES_MAX = 16 };

struct images {
    uint32_t count;
    uint64_t numbers[IMAGES_MAX];
    uint8_t *bytes[IMAGES_MAX];
    uint64_t length_bytes[IMAGES_MAX];
    struct owner owner;
    uint64_t snapshot_index; /* the log is read from behind it; 0: from its beginning */
};

/* What judging a log gave. */
struct verdict {
    int error; /* 0: the log is whole, or its tail is torn */
    struct format_fault fault;
    uint32_t faulty; /* which image */
    bool torn;
    struct entry_tail tail;
    uint64_t end_offset;     /* of the last segment */
    uint64_t durable_offset; /* the highest recorded in the last segment */
    uint64_t entries_end;    /* behind the last write of entries in the last segment */
};

struct world;

/* Copies every segment of the directory from a simulated disk. */
void images_take(struct images *images, struct world *world, uint32_t node, const char *directory,
                 const struct owner *owner);
void images_free(struct images *images);

/* As log_open does, without a door: headers, plan, walk. */
struct verdict images_judge(const struct images *images);

#endif
