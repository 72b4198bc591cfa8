#ifndef WEIR_TESTS_SIM_NODE_LOAD_COMMON_H
#define WEIR_TESTS_SIM_NODE_LOAD_COMMON_H

/*
 * The part of node_load that needs no model.
 *
 * The common counter.  All clients INCR and GET one key.  Let an answer be known when it was
 * received.  Then of two INCR no answers are alike; an answer is higher than every one that was
 * known before the command was made, also before a cut, a crash or a restart (else an answered
 * INCR was lost, or a read was stale); and no answer is higher than the number of INCR ever made
 * (else one was done twice).
 *
 * Keys that expire.  Each client sets keys of its own with PX, and reads them.  What was set is
 * there, and is the last value, until its time has come, counted from when the SET was made; it is
 * gone once that has passed, counted from when it was answered, and expiry_delay_ns more: log time
 * follows the clock when nobody writes.  A connection that was lost leaves its client's keys
 * unknown.
 */

#include "tests/sim/node_load.h"

/* Judges the first answer received, to the client's oldest command, which is not LOAD_OWN: its
 * length, 0 if not all of it is there.  Sets the finding if it is wrong. */
size_t load_common_judge(struct load *load, uint32_t number);

/* The client's connection is lost. */
void load_common_forget(struct load_client *client);

#endif
