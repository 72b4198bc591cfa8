#ifndef WEIR_STAGES_WRITE_H
#define WEIR_STAGES_WRITE_H

/*
 * The write stage: owner of connections' sending halves, and the one that closes sockets.
 *
 * Replies of a connection leave in the order of its batches, one send at a time.  A send is first
 * tried: it takes what the socket has room for and completes at once, so that the batch is home in
 * the same round.  Only a client that does not keep up is treated otherwise:
 *
 *     small rest    copied to the connection's backlog (chunks of this shard's arena); the batch
 *                   goes home, the backlog is sent when the socket has room
 *     large rest    the batch is held, since its value is in memory already and copying it would
 *                   take long; at most a quarter of all batches may be held
 *     over a limit  the connection is cut: what it may leave unread is bounded, for each and in all
 *
 * A connection, as write sees it:
 *
 *     OPEN ──reply of a closing batch sent──► SHUT ──marker──► CLOSED
 *       │                                      ▲
 *       └──send failed, over a limit, abort────┘     SHUT: shutdown() was called, read was told,
 *                                                    further replies are dropped
 *
 * A marker that meets a backlog waits for it, but not for longer than WRITE_LINGER_NS.  When the
 * node stops, no send is waited for longer than that either.
 */

#include "stages/stage.h"

/* Who reads nothing for so long, while more than WRITE_HOG_BYTES_MIN wait for it, is cut: it may
 * have a request under way that is held up until it reads, and wait itself until that is taken. */
#define WRITE_STALL_NS UINT64_C(60000000000)

/* How long a connection that has ended may take to read what it has asked for. */
#define WRITE_LINGER_NS UINT64_C(5000000000)

/* What a connection that must authenticate, and has not, may leave unread: some thousand errors. */
#define WRITE_UNAUTHENTICATED_BACKLOG_BYTES (UINT64_C(256) * 1024)

#endif
