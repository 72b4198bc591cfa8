/* Nonces: tags of a counter.  See stages/peer_nonces.h.  There is no failure mode. */

#include "stages/peer_nonces.h"

#include "base/assert.h"
#include "base/bytes.h"

_Static_assert((int)PEER_NONCE_BYTES == (int)MAC_BYTES, "a nonce is a tag");

void peer_nonces_begin(struct peer_nonces *nonces, struct io *io) {
    uint8_t secret[MAC_BYTES];
    io_entropy(io, secret, sizeof(secret));
    mac_key_set(&nonces->key, secret, sizeof(secret));
    mac_bytes_clear(secret, sizeof(secret));
    nonces->count = 0;
}

void peer_nonces_take(struct peer_nonces *nonces, uint8_t out[PEER_NONCE_BYTES]) {
    static const uint8_t zeros[PEER_NONCE_BYTES];
    uint8_t number[8];
    struct mac_state state;
    bytes_put_u64(number, nonces->count++);
    mac_begin(&state, &nonces->key);
    mac_update(&state, number, sizeof(number));
    mac_end(&state, &nonces->key, out);
    ASSERT(memcmp(out, zeros, PEER_NONCE_BYTES) != 0); /* once in 2^256 */
}
