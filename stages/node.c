/* The node's one action (to fail, once, with a sentence), and where its members are reached. */

#include "stages/node.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"

bool node_endpoint_configured(const struct node *node, uint64_t node_id,
                              struct entry_address *out) {
    const struct node_options *options = node->options;
    ASSERT(options->endpoint_count <= CONFIGURATION_MEMBERS_MAX);
    for (uint32_t i = 0; i < options->endpoint_count; i++) {
        const struct node_endpoint *endpoint = &options->endpoints[i];
        if (endpoint->node_id == node_id) {
            ASSERT(endpoint->host != NULL && strlen(endpoint->host) <= NODE_HOST_BYTES_MAX);
            out->node_id = node_id;
            memcpy(out->host, endpoint->host, strlen(endpoint->host) + 1);
            out->port = endpoint->port != 0 ? endpoint->port
                                            : (uint16_t)node_figure(&node->read.listen_port);
            return true;
        }
    }
    return false;
}

bool node_endpoint_find(const struct node *node, uint64_t node_id, struct entry_address *out) {
    struct entry_address found;
    bool configured = node_endpoint_configured(node, node_id, &found);
    if (configured && found.host[0] != '\0') {
        *out = found;
        return true;
    }
    if (node_id != 0 && addresses_find(&node->addresses, node_id, out)) {
        return true;
    }
    if (configured) {
        *out = found;
    }
    return configured;
}

uint32_t node_value_bytes_max(const struct node *node) {
    const uint32_t agreed = node->signals.value_bytes_max;
    ASSERT_HOT(agreed <= ENTRY_VALUE_BYTES_MAX);
    return agreed != 0 ? agreed : node->options->machine_options.value_bytes_max;
}

uint32_t node_bulk_bytes_max(const struct node *node) {
    const uint32_t configured = node->options->resp_limits.bulk_length_max;
    const uint32_t largest = node_value_bytes_max(node);
    ASSERT_HOT(configured > 0 && largest > 0);
    return configured < largest ? configured : largest;
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
