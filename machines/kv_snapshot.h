#ifndef WEIR_MACHINES_KV_SNAPSHOT_H
#define WEIR_MACHINES_KV_SNAPSHOT_H

/* The sizes of a snapshot's parts, for those who write and read it (format: kv_snapshot.c). */

#include "machines/kv.h"
#include "machines/kv_item.h"

#define KV_SNAPSHOT_MAGIC UINT64_C(0x0031766b72696577) /* "weirkv1" and a zero byte */
#define KV_TAIL_MARK      UINT32_MAX                   /* where a record has its key's length */

/* Lengths of the format's parts. */
enum {
    KV_HEAD_PARTITION_BYTES = 24,
    KV_HEAD_BYTES_MAX =
        40 + KV_HEAD_PARTITION_BYTES * (1 << KV_PARTITION_BITS_MAX) + 8 * KV_GONE_CELLS,
};

/* The head's length: it holds what each partition has, and the cells of what is gone. */
static inline uint32_t kv_head_bytes(uint32_t partition_count) {
    return 40 + KV_HEAD_PARTITION_BYTES * partition_count + 8 * (uint32_t)KV_GONE_CELLS;
}

#endif
