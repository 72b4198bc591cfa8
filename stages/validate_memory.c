/*
 * The memory limit, which is kept before the log: what is in it is always applied.
 *
 * Happy path: there is room below the limit, as apply published it last.
 *
 * What else may happen: the limit is reached, and what may need memory is refused.  A short
 * command that may make a long value needs room for that, too, beside what those under way may
 * need; each is noted in its batch until that is home.  One that copies a value finds at most the
 * longest that there is, or that a write under way may make.  A batch may be home a moment before
 * apply has published what its commands made the memory: it does so at the end of the same turn.
 */

#include "base/assert.h"
#include "stages/node_settings.h"
#include "stages/validate_internal.h"

bool validate_memory_is_full(const struct validate_shard *shard) {
    uint64_t limit = node_memory_bytes_max(shard->node);
    return limit != 0 && node_figure(&shard->node->apply.memory_bytes) >= limit;
}

/* Which of the classes of long values has one so long. */
static uint32_t long_class(uint64_t value_bytes) {
    ASSERT(value_bytes > NODE_LONG_BYTES);
    uint32_t class = 63 - (uint32_t)__builtin_clzll((value_bytes - 1) / NODE_LONG_BYTES);
    return class < NODE_LONG_CLASSES ? class : NODE_LONG_CLASSES - 1;
}

/* Whether a batch is under way with a value of that class. */
static bool class_is_under_way(const struct node *node, uint32_t class) {
    return node_figure(&node->validate.long_batches[class]) !=
           node_figure(&node->write.long_batches[class]);
}

void validate_note_length(struct validate_shard *shard, uint64_t value_bytes) {
    if (value_bytes <= NODE_LONG_BYTES) {
        return; /* no more than always counts */
    }
    uint32_t class = long_class(value_bytes);
    uint64_t *longest = &shard->longest_bytes[class];
    if (!class_is_under_way(shard->node, class) || *longest < value_bytes) {
        *longest = value_bytes;
    }
    if ((shard->work.batch->long_classes & UINT32_C(1) << class) == 0) {
        shard->work.batch->long_classes |= UINT32_C(1) << class;
        node_figure_add(&shard->node->validate.long_batches[class], 1);
    }
}

uint64_t validate_longest_value(const struct validate_shard *shard) {
    uint64_t there = node_figure(&shard->node->apply.longest_bytes);
    uint64_t longest = there > NODE_LONG_BYTES ? there : NODE_LONG_BYTES;
    for (uint32_t class = 0; class < NODE_LONG_CLASSES; class ++) {
        if (class_is_under_way(shard->node, class) && shard->longest_bytes[class] > longest) {
            longest = shard->longest_bytes[class];
        }
    }
    return longest;
}

bool validate_growth_is_free(const struct validate_shard *shard, uint64_t growth) {
    const struct node *node = shard->node;
    uint64_t limit = node_memory_bytes_max(node);
    uint64_t under_way =
        node_figure(&node->validate.growth_bytes) - node_figure(&node->write.growth_bytes);
    return limit == 0 || node_figure(&node->apply.memory_bytes) + under_way + growth <= limit;
}

void validate_growth_take(struct validate_shard *shard, uint64_t growth, uint64_t value_bytes) {
    node_figure_add(&shard->node->validate.growth_bytes, growth);
    shard->work.batch->growth_bytes += growth;
    validate_note_length(shard, value_bytes);
}

bool validate_growth_fits(struct validate_shard *shard, const struct batch_command *command,
                          const struct machine_argument *arguments) {
    if (node_memory_bytes_max(shard->node) == 0 || shard->machine->growth_bytes == NULL) {
        return true;
    }
    uint64_t value_bytes;
    uint64_t growth =
        shard->machine->growth_bytes(command->row, arguments, command->argument_count - 1,
                                     validate_longest_value(shard), &value_bytes);
    if (!validate_growth_is_free(shard, growth)) {
        return false;
    }
    validate_growth_take(shard, growth, value_bytes);
    return true;
}
