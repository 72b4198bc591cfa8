#ifndef WEIR_BASE_GMAC_H
#define WEIR_BASE_GMAC_H

/*
 * Message authentication for very many numbered messages of one sender under one key: GMAC with
 * AES-256 (NIST SP 800-38D: GCM of nothing but additional data), of libcrypto. Several times as
 * fast as base/mac.h, at a price that this header's rules pay:
 *
 *   nonce   Of a message: as a rule its number. Who sees the tags of two messages under the same
 *           key and nonce can forge any others, so a sender never tags two with the same. A number
 *           of 64 bits fits, and whoever counts from 0 does not get to its end.
 *   key     32 bytes that no other sender uses, as unpredictable as a tag of base/mac.h: otherwise
 *           two of them would use the same numbers.
 *
 * Who does not know the key makes a message of n bytes that is taken with a probability of at most
 * (n / 16 + 2) / 2^128 in each attempt, whatever tags it has seen (Bernstein, "Stronger security
 * bounds for Wegman-Carter-Shoup authenticators", 2005: the factor for q messages,
 * about exp(q^2 / 2^129), is 1.0 up to 2^60), as far as AES-256 is a pseudorandom permutation.
 *
 *   context The tables of a key and the state of the tag under way; on libcrypto's heap. Made once,
 *           at the start; a key is set in it as often as one likes, and nothing else is allocated.
 *
 * One owner: any thread, one at a time. No function but create and destroy allocates, frees or
 * fails, and none makes a system call. As base/mac.h a part of the library weir_mac; only
 * base/mac.c and base/gmac.c include openssl/.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Lengths of a key, of a nonce and of a tag. */
enum {
    GMAC_KEY_BYTES = 32,
    GMAC_NONCE_BYTES = 12,
    GMAC_BYTES = 16,
};

/* Zeroed, it has no context. */
struct gmac {
    void *context; /* EVP_CIPHER_CTX; NULL: not created */
    bool has_key;
    bool begun; /* a tag is under way */
};

/*
 * Makes the context, without a key. The starting thread; allocates. Errors: WEIR_ENOMEM;
 * WEIR_EUNSUPPORTED if libcrypto, as it is configured on this machine, does not offer AES-256-GCM;
 * then `gmac` is zeroed.
 */
int gmac_create(struct gmac *gmac, struct error_text *error);

/* Overwrites the key and gives the context back; nothing if there is none. */
void gmac_destroy(struct gmac *gmac);

/* Sets the key; the one before it, and what was begun with it, is overwritten. */
void gmac_key_set(struct gmac *gmac, const uint8_t key[GMAC_KEY_BYTES]);

/* Overwrites the key, if there is one. Until the next one no tag can begin (asserted). */
void gmac_key_clear(struct gmac *gmac);

/* Starts the tag of the message with this nonce; one that is under way is forgotten. */
void gmac_begin(struct gmac *gmac, const uint8_t nonce[GMAC_NONCE_BYTES]);

/* Adds the next `length_bytes` bytes, 0 allowed (then `data` may be NULL). */
void gmac_update(struct gmac *gmac, const void *data, size_t length_bytes);

/* The tag of all bytes added since gmac_begin. To be compared by mac_equal (base/mac.h). */
void gmac_end(struct gmac *gmac, uint8_t out[GMAC_BYTES]);

#endif
