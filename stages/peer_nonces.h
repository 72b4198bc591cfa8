#ifndef WEIR_STAGES_PEER_NONCES_H
#define WEIR_STAGES_PEER_NONCES_H

/*
 * Nonces for the handshakes of members (wire/peer_frame.h, "Authentication"): no two alike, in this
 * life of the node or another, and none that anybody can guess.
 *
 * The door's unpredictable bytes are for the start-up only (io_entropy), so they make a key then;
 * nonce n is the tag of n under that key.  Nobody may use one for two handshakes: whoever owns a
 * struct peer_nonces takes each nonce once.
 */

#include "base/mac.h"
#include "io/io.h"
#include "wire/peer_hello.h"

/* One owner. */
struct peer_nonces {
    struct mac_key key;
    uint64_t count; /* taken */
};

/* Start-up: draws the key.  May block, as io_entropy. */
void peer_nonces_begin(struct peer_nonces *nonces, struct io *io);

/* The next one, which is not 0.  The owner's thread; no system call. */
void peer_nonces_take(struct peer_nonces *nonces, uint8_t out[PEER_NONCE_BYTES]);

#endif
