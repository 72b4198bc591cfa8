#ifndef WEIR_BASE_MAC_H
#define WEIR_BASE_MAC_H

/*
 * Message authentication: HMAC-SHA-256 (RFC 2104, FIPS 180-4), of libcrypto. base/gmac.h has what
 * is cheaper for very many messages.
 *
 * Who knows a key can make and check tags of bytes; who does not can neither, whatever tags it has
 * seen. A tag says who wrote bytes, as far as the key is a secret; it says nothing of when, so what
 * may be repeated must carry a number or a nonce under the tag.
 *
 *   key     what of the computation depends on the secret alone, made once: plain data, to be
 *           copied and dropped like any other. It is as secret as the secret.
 *   state   a tag being computed over bytes that come in pieces; on the stack or in a struct of the
 *           caller's; nothing in it points anywhere.
 *
 * All functions are pure apart from what is handed in: any thread, no system call, no allocation,
 * no failure. Only base/mac.c and base/gmac.c include openssl/. A library of its own (weir_mac), so
 * that what has no use for it does not load libcrypto.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MAC_BYTES = 32,
    MAC_STATE_BYTES = 112, /* of a SHA256_CTX; base/mac.c asserts at compile time that it fits */
};

/* A tag under way. */
struct mac_state {
    _Alignas(8) uint8_t opaque[MAC_STATE_BYTES];
};

/* See above. */
struct mac_key {
    struct mac_state inner; /* SHA-256 after the block (secret ^ ipad) */
    struct mac_state outer; /* after (secret ^ opad) */
};

/* Makes the key of a secret of any length; `secret` may be NULL if it has none (for tests). */
void mac_key_set(struct mac_key *key, const void *secret, size_t length_bytes);

/* Overwrites a key that is not needed any more, in a way that no optimizer leaves out. */
void mac_key_clear(struct mac_key *key);

/* The same for other bytes that nobody may find: what a key was made of, a state that made one. */
void mac_bytes_clear(void *bytes, size_t length_bytes);

/* Starts a tag, with a key that was set and not cleared (asserted, as in mac_end). */
void mac_begin(struct mac_state *state, const struct mac_key *key);

/* Adds the next `length_bytes` bytes, 0 allowed (then `data` may be NULL). */
void mac_update(struct mac_state *state, const void *data, size_t length_bytes);

/* The tag of all bytes added since mac_begin with this key. The state is used up. */
void mac_end(struct mac_state *state, const struct mac_key *key, uint8_t out[MAC_BYTES]);

/* Whether both are the same, in a time that depends on the length alone. */
bool mac_equal(const void *a, const void *b, size_t length_bytes);

#endif
