#ifndef WEIR_WIRE_CLUSTER_SLOT_H
#define WEIR_WIRE_CLUSTER_SLOT_H

/*
 * The slot of a key, as clients of a Redis cluster compute it.
 *
 *     slot = CRC16(hash tag, or the whole key) mod 16384
 *
 * CRC16 is CRC-16/XMODEM: polynomial 0x1021, initial value 0, neither reflected nor inverted.
 * The hash tag is what stands between the first '{' and the first '}' behind it, if that is not
 * empty.  Source: the Redis cluster specification, "Key distribution model" and "Hash tags".
 *
 * Here a slot decides nothing: one leader serves all of them.  It is computed for those who ask
 * (CLUSTER KEYSLOT) and for the error that names it (-MOVED), and for nothing else.
 */

#include <stddef.h>
#include <stdint.h>

enum {
    CLUSTER_SLOTS = 16384, /* 2^14 */
    /* So many bytes of a key take some 50 ns. */
    CLUSTER_SLOT_UNIT_BYTES = 24,
};

/* CRC-16/XMODEM of `length_bytes` bytes; `data` may be NULL if there are none.  Some 2 ns a byte.
 * Pure; any thread. */
uint16_t cluster_crc16(const uint8_t *data, size_t length_bytes);

/* The slot of a key, [0, CLUSTER_SLOTS).  Pure; any thread. */
uint16_t cluster_slot(const uint8_t *key, size_t length_bytes);

#endif
