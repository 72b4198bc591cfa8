#ifndef WEIR_SIM_SWARM_TALK_H
#define WEIR_SIM_SWARM_TALK_H

/*
 * Who sent what: the messages between nodes, as the simulated network sees them.
 *
 *   network ── bytes ──► streams ── frames ──► messages ──► lines of the story, and counts
 *
 * The nodes know nothing of it.  What a node puts into a connection is cut into frames again
 * (wire/peer_frame.h) and read by stages/peer_message.h.  Two things come of it:
 *
 *   lines    messages that a person looks for: who asks for votes and who gives them, the first
 *            append of a leader to each member and its first answer, refused appends, snapshots
 *            that begin and are complete, orders to campaign at once, refused connections.  What is
 *            only said again is not told again.  What a node says to several at one moment is one
 *            line.
 *   counts   of every kind, for each way, told once a second (swarm_talk_second).
 *
 * A message is told when it is sent; it may be late, or never arrive.  Where fewer bytes arrived
 * than were sent, the counts say so.
 *
 * Exists only while somebody listens to the story; then it changes nothing of the run.  Allocates.
 * One thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct swarm;
struct swarm_talk;

/* Begins to listen to the swarm's world; and ends it.  NULL may be destroyed. */
struct swarm_talk *swarm_talk_create(struct swarm *swarm);
void swarm_talk_destroy(struct swarm_talk *talk);

/* Tells the lines that wait for others of their moment, if that moment is over or `always`.  talk
 * NULL: there are none. */
void swarm_talk_flush(struct swarm_talk *talk, bool always);

/* Tells what was counted since the last call: a line for each two nodes that have talked. */
void swarm_talk_second(struct swarm_talk *talk);

#endif
