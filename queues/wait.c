/*
 * The table of wait policies. There is no failure mode: an unknown name finds nothing.
 */

#include "queues/wait.h"

#include <stddef.h>
#include <string.h>

#include "base/assert.h"

/*
 * Balanced: an empty round over a handful of shards takes 50 to 100 ns, one with a pause 100 to
 * 150. 64 of the one and 256 of the other are 30 to 45 us: what a park, a wake-up and the
 * scheduler between them cost (the membarrier is 3 of it). So in the worst case waiting costs
 * twice what the better of spinning and parking would have cost.
 */
#define WAIT_BALANCED_SPINS  64
#define WAIT_BALANCED_PAUSES 256

/*
 * Frugal: 50 clients that each wait for their reply, 80,000 requests a second.  Waking for each
 * first one, the core found 1 to 5 a round and spent 9.6 us on each; asleep for up to 100 us
 * longer 8.6 us, and the clients, who wake it less often, got 7 % more done: their mean latency
 * fell.  At 200 us 7.8 us, but what is served last waits longer (p99 0.54 and 0.60 ms).
 */
#define WAIT_FRUGAL_GATHER_US 100

const struct wait_policy wait_policies[WAIT_POLICY_COUNT] = {
    [WAIT_BUSY] = {.name = "busy", .spins = 1, .pauses = 0, .parks = false},
    [WAIT_BALANCED] = {.name = "balanced",
                       .spins = WAIT_BALANCED_SPINS,
                       .pauses = WAIT_BALANCED_PAUSES,
                       .parks = true},
    [WAIT_FRUGAL] = {.name = "frugal",
                     .spins = 0,
                     .pauses = 0,
                     .gather_us = WAIT_FRUGAL_GATHER_US,
                     .parks = true},
};

const struct wait_policy *wait_policy_find(const char *name) {
    ASSERT(name != NULL);
    for (size_t i = 0; i < WAIT_POLICY_COUNT; i++) {
        ASSERT(wait_policies[i].name != NULL);
        if (strcmp(wait_policies[i].name, name) == 0) {
            return &wait_policies[i];
        }
    }
    return NULL;
}
