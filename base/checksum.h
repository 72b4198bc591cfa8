#ifndef WEIR_BASE_CHECKSUM_H
#define WEIR_BASE_CHECKSUM_H

/*
 * Checksums of what we store and send, and hashes of keys: XXH3, 64 bits, with a seed.
 *
 * XXH3's output is frozen since xxHash 0.8.0, does not depend on the host's byte order or vector
 * unit, and stands in our formats. It detects accidents, not attackers: a checksum says that bytes
 * are as they were written, never who wrote them. A key's hash is safe against chosen keys only as
 * long as its seed is secret.
 *
 * All functions are pure apart from the state handed in: any thread, no allocation, no failure.
 * Only base/checksum.c includes xxhash.h.
 */

#include "base/bytes.h"

#include <stddef.h>
#include <stdint.h>

/* Room for XXH3's state; base/checksum.c asserts at compile time that it fits. */
#define CHECKSUM_STATE_BYTES 576

/*
 * A checksum over bytes that come in pieces. The caller owns the memory, on the stack or inside a
 * struct of its own; nothing in it points anywhere, so it may be copied between two updates.
 */
struct checksum_state {
    CACHE_ALIGNED uint8_t opaque[CHECKSUM_STATE_BYTES];
};

/* The checksum of `length_bytes` bytes; `data` may be NULL if there are none. */
uint64_t checksum_64(const void *data, size_t length_bytes, uint64_t seed);

/* Starts a checksum that will equal checksum_64 over all pieces, with this seed. */
void checksum_begin(struct checksum_state *state, uint64_t seed);

/* Adds the next `length_bytes` bytes, 0 allowed (then `data` may be NULL). */
void checksum_update(struct checksum_state *state, const void *data, size_t length_bytes);

/* The checksum of all bytes added since checksum_begin. The state is unchanged: more may follow. */
uint64_t checksum_end(const struct checksum_state *state);

/* The hash of a key. Computed once a command, in parse; everybody downstream uses that value. */
uint64_t hash_key(const void *key, size_t length_bytes, uint64_t seed);

#endif
