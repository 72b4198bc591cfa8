#ifndef WEIR_MACHINES_KV_SOURCES_H
#define WEIR_MACHINES_KV_SOURCES_H

/*
 * What a ZUNION, ZINTER or ZDIFF in execution keeps between its slices: its sources, its options,
 * and, if nothing is stored, the memory of its result. One at a time, as LCS's scratch memory.
 */

#include "machines/kv_record.h"
#include "machines/kv_score.h"

enum {
    /* Redis has no limit. A machine has one of these: 512 * 32 bytes are 16 KiB. */
    KV_ZSOURCES_MAX = 512,
};

/* Zeroed, but for `memory`, before the first command. */
struct kv_sources {
    struct memory memory;          /* of a result that is only replied */
    struct memory_retired retired; /* that, on its way back to the host */
    uint32_t count;
    enum kv_aggregate aggregate;
    bool with_scores;
    uint64_t limit; /* ZINTERCARD's; 0: none */
    struct kv_source {
        const struct kv_record *record; /* NULL: the key is absent */
        uint64_t count;                 /* its members */
        uint32_t key;                   /* which of the keys it is */
    } source[KV_ZSOURCES_MAX];
    double weights[KV_ZSOURCES_MAX]; /* by key */
};

#endif
