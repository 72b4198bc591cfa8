#ifndef WEIR_STAGES_NODE_SETTINGS_H
#define WEIR_STAGES_NODE_SETTINGS_H

/* What is in force: as CONFIG SET has it, else as configured.  Any thread; one glance each. */

#include <stdbool.h>

#include "base/assert.h"
#include "stages/node.h"

/* A setting's word; see stages/settings.h. */
static inline uint64_t node_setting(const uint64_t *word, uint64_t configured) {
    uint64_t value = atomic_load_relaxed_u64(word);
    return value == 0 ? configured : value - 1;
}

/* Gives a setting a value of less than 2^64 - 1.  Validate only. */
static inline void node_setting_set(uint64_t *word, uint64_t value) {
    ASSERT(value < UINT64_MAX);
    atomic_store_relaxed_u64(word, value + 1);
}

/* maxmemory; 0: no limit. */
static inline uint64_t node_memory_bytes_max(const struct node *node) {
    return node_setting(&node->settings.memory_bytes_max, node->options->memory_bytes_max);
}

/* maxclients: how many may be connected. */
static inline uint32_t node_clients_max(const struct node *node) {
    return (uint32_t)node_setting(&node->settings.clients_max, node->options->connections_max);
}

/* Bytes of log after which a snapshot is taken; 0: never. */
static inline uint64_t node_snapshot_log_bytes(const struct node *node) {
    return node_setting(&node->settings.snapshot_log_bytes, node->options->snapshot_log_bytes);
}

/* The enum read_mode of connections that choose none. */
static inline uint8_t node_reads(const struct node *node) {
    return (uint8_t)node_setting(&node->settings.reads, node->options->reads);
}

/* From how many us on a command is noted as slow, plus 1; 0: none is. */
static inline uint64_t node_slow_from(const struct node *node) {
    return node_setting(&node->settings.slow_from, node->options->slow_from);
}

/* How many slow commands are kept. */
static inline uint64_t node_slow_entries(const struct node *node) {
    return node_setting(&node->settings.slow_entries, node->options->slow_entries);
}

/* Whether clients must authenticate. */
static inline bool node_password_required(const struct node *node) {
    return node_setting(&node->settings.password_required,
                        node->options->password[0] != '\0' ? 1 : 0) != 0;
}

/* The password.  Validate only. */
static inline const char *node_password(const struct node *node) {
    return atomic_load_relaxed_u64(&node->settings.password_required) == 0
               ? node->options->password
               : node->settings.password;
}

/* A counter of INFO, and what of it came since it was last set to zero. */
const uint64_t *node_stat_figure(const struct node *node, enum node_stat stat);
static inline uint64_t node_stat(const struct node *node, enum node_stat stat) {
    return node_figure(node_stat_figure(node, stat)) -
           atomic_load_relaxed_u64(&node->settings.stat_bases[stat]);
}

/* Sets the counters to zero.  Validate only. */
void node_stats_reset(struct node *node);

#endif
