/* The counters that CONFIG RESETSTAT sets to zero: nobody but their writers changes them, so what
 * they were is kept, and taken off. */

#include "stages/node_settings.h"

const uint64_t *node_stat_figure(const struct node *node, enum node_stat stat) {
    switch (stat) {
    case NODE_STAT_ACCEPTED: return &node->read.accepted;
    case NODE_STAT_REJECTED: return &node->read.rejected;
    case NODE_STAT_ACCEPT_ERRORS: return &node->read.accept_errors;
    case NODE_STAT_COMMANDS: return &node->validate.commands;
    case NODE_STAT_REFUSED: return &node->validate.refused;
    case NODE_STAT_AUTH_FAILURES: return &node->validate.auth_failures;
    case NODE_STAT_MACHINE_READS: return &node->apply.reads;
    case NODE_STAT_MACHINE_WRITES: return &node->apply.writes;
    case NODE_STAT_RECEIVED_BYTES: return &node->read.received_bytes;
    case NODE_STAT_SENT_BYTES: return &node->write.sent_bytes;
    case NODE_STAT_SENDS: return &node->write.sends;
    case NODE_STAT_BUFFERS_EXHAUSTED: return &node->read.buffers_exhausted;
    case NODE_STAT_SLOW_CUT: return &node->write.slow_cut;
    case NODE_STAT_HOG_CUT: return &node->write.hog_cut;
    case NODE_STAT_REPLIES_REFUSED: return &node->apply.reply_refused;
    case NODE_STATS: break;
    }
    UNREACHABLE("a counter");
}

void node_stats_reset(struct node *node) {
    for (uint32_t stat = 0; stat < NODE_STATS; stat++) {
        uint64_t now = node_figure(node_stat_figure(node, (enum node_stat)stat));
        atomic_store_relaxed_u64(&node->settings.stat_bases[stat], now);
    }
}
