#ifndef WEIR_TESTS_PROPERTY_DRIVER_H
#define WEIR_TESTS_PROPERTY_DRIVER_H

/*
 * The clients: several connections driven by one thread, each with its own stream of random
 * commands and its own random cuts.
 *
 * Commands are sent in bursts of random depth. A burst's bytes are formatted by hiredis (or written
 * as inline lines), with an empty request thrown in now and then, and sent in pieces of random
 * length: the connections take turns, a piece each. The next burst may begin when no more than a
 * random number of replies is awaited. Replies are read by hiredis while the connection speaks RESP
 * 2, and by the tests' own decoder while it speaks RESP 3. A QUIT ends its burst; the node must
 * then close the connection, and the next burst goes through a new one.
 *
 * The commands of a connection, their order and the cuts depend on the seed only; how the
 * connections interleave is the machine's affair.
 */

#include <stdbool.h>
#include <stdint.h>

#include "tests/property/cards.h"
#include "tests/property/history.h"

struct drive_options {
    uint16_t port;
    uint64_t seed;
    enum deck_kind kind;
    uint32_t connection_count;
    uint32_t rounds;        /* how often each connection draws its whole deck */
    uint32_t reply_limit_s; /* a reply that takes longer is lost */
};

/* How the bytes travelled. */
struct drive_figures {
    uint64_t bytes_sent;
    uint64_t sends;      /* each is a cut */
    uint64_t sends_tiny; /* of at most 8 bytes */
    uint64_t depth_max;  /* most replies awaited by one connection */
    uint64_t replies_resp3;
};

/*
 * Connects, sends and receives until every reply is there, and closes. Fills `history` (initialized
 * here) and adds to `figures`. False with *error if a reply is not what the protocol allows, does
 * not come, or comes without being asked for.
 */
bool drive(const struct drive_options *options, struct history *history,
           struct drive_figures *figures, struct kv_model_text *error);

#endif
