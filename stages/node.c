/* The node's one action (to fail, once, with a sentence), and where its members are reached. */

#include "stages/node.h"

#include <stdio.h>

#include "base/assert.h"

bool node_endpoint_find(const struct node *node, uint64_t node_id, struct node_endpoint *out) {
    const struct node_options *options = node->options;
    ASSERT(options->endpoint_count <= CONFIGURATION_MEMBERS_MAX);
    for (uint32_t i = 0; i < options->endpoint_count; i++) {
        if (options->endpoints[i].node_id == node_id) {
            *out = options->endpoints[i];
            if (out->port == 0) {
                out->port = (uint16_t)node_figure(&node->read.listen_port);
            }
            ASSERT(out->host != NULL);
            return true;
        }
    }
    return false;
}

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
