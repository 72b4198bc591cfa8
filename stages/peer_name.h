#ifndef WEIR_STAGES_PEER_NAME_H
#define WEIR_STAGES_PEER_NAME_H

/*
 * Where a member is that the address book has by a name: what write asks, and what a resolver says.
 *
 * Asking a name server blocks, and a core must not; so somebody else does it, on a thread of its
 * own (tools/serve_names.c; in the simulation it is the test).  Between the two there is one cell
 * for each name, of which always one side is the owner:
 *
 *            peer_name_ask                peer_name_answer
 *     QUIET ──────────────► ASKED (the resolver's) ──────────────► ANSWERED
 *       ▲                                                            │
 *       └──────────────────────── peer_name_take ────────────────────┘
 *
 * Write asks when it has no address yet, and after each connection that failed or ended; while a
 * question is open it asks no other one, so there are no more of them than there are answers, and
 * how fast answers come is for the resolver to bound.  What was last said stays in use until there
 * is something newer, also while the name server does not answer.
 *
 * Failure modes: the name is not known, or the name server does not answer: the answer is empty,
 * or late.  Write goes on with what it has; without an address it tries again when it would have
 * connected again.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

enum {
    /* "[" a v6 address "]:" a port, and a zero: 45 + 1 + 2 + 5 + 1 = 54. */
    PEER_NAME_ADDRESS_BYTES = 64,
};

/* Whose the cell is: see the picture. */
enum peer_name_state { PEER_NAME_QUIET = 0, PEER_NAME_ASKED, PEER_NAME_ANSWERED };

/* One name.  Zeroed, and then the first group set, before the cores start. */
struct peer_name {
    uint64_t node_id;
    const char *host; /* a name */
    uint16_t port;    /* not 0 */
    /* Rings the resolver: after each question.  From write's thread; never blocks. */
    void (*wake)(void *context);
    void *context;
    /* enum peer_name_state.  Each side moves it, by a release, out of the states that are its own;
     * partner: the other one's acquire. */
    CACHE_ALIGNED uint32_t state;
    bool has_failed;                       /* write's, before ASKED: see peer_name_ask */
    char address[PEER_NAME_ADDRESS_BYTES]; /* the resolver's, before ANSWERED */
};

/*
 * Asks where it is, unless that was asked already.  `has_failed`: nobody answered as the member
 * would at the address said last; if the name has several the next one is wanted.  Write's thread;
 * does not block or allocate.  Whether it is asked now.
 */
bool peer_name_ask(struct peer_name *name, bool has_failed);

/*
 * Takes the answer, if there is one: "address:port" in numbers.  False, and `address` unchanged, if
 * there is none yet, or it is empty, or what is there already.  Write's thread.
 */
bool peer_name_take(struct peer_name *name, char address[PEER_NAME_ADDRESS_BYTES]);

/* Whether an answer is wanted; then *has_failed is what was said with the question.  The
 * resolver. */
bool peer_name_asked(const struct peer_name *name, bool *has_failed);

/* Answers the question that there is (asserted); "": not known.  The resolver. */
void peer_name_answer(struct peer_name *name, const char *address);

#endif
