/* The node's one action: to fail, once, with a sentence. */

#include "stages/node.h"

#include <stdio.h>

#include "base/assert.h"

void node_fail(struct node *node, const char *sentence) {
    ASSERT(sentence[0] != '\0');
    /* Of several failures at once the first is told: it caused the others. */
    if (atomic_exchange_u32(&node->signals.failing, 1) == 0) {
        snprintf(node->signals.failure, sizeof(node->signals.failure), "%s", sentence);
        /* Partner: the acquire in pipeline_join and in the main thread's wait. */
        atomic_store_release_u32(&node->signals.failed, 1);
    }
    if (node->wake_main != NULL) {
        node->wake_main(node->wake_context);
    }
}
