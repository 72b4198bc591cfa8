/*
 * The memory limit, which is kept before the log: what is in it is always applied.
 *
 * Happy path: there is room below the limit, as apply published it last.
 *
 * What else may happen: the limit is reached, and what may need memory is refused.  A short
 * command that may make a long value needs room for that, too, beside what those under way may
 * need; each is noted in its batch until that is home.  A batch may be home a moment before apply
 * has published what its commands made the memory: apply does so at the end of the same turn.
 */

#include "base/assert.h"
#include "stages/validate_internal.h"

bool validate_memory_is_full(const struct validate_shard *shard) {
    uint64_t limit = shard->node->options->memory_bytes_max;
    return limit != 0 && node_figure(&shard->node->apply.memory_bytes) >= limit;
}

bool validate_growth_fits(struct validate_shard *shard, const struct batch_command *command,
                          const struct machine_argument *arguments) {
    struct node *node = shard->node;
    uint64_t limit = node->options->memory_bytes_max;
    if (limit == 0 || shard->machine->growth_bytes == NULL) {
        return true;
    }
    uint64_t longest = node_figure(&node->apply.longest_bytes);
    longest = longest > shard->longest_bytes ? longest : shard->longest_bytes;
    uint64_t growth =
        shard->machine->growth_bytes(command->row, arguments, command->argument_count - 1, longest);
    uint64_t under_way =
        node_figure(&node->validate.growth_bytes) - node_figure(&node->write.growth_bytes);
    if (node_figure(&node->apply.memory_bytes) + under_way + growth > limit) {
        return false;
    }
    node_figure_add(&node->validate.growth_bytes, growth);
    shard->work.batch->growth_bytes += growth;
    shard->longest_bytes = growth > shard->longest_bytes ? growth : shard->longest_bytes;
    return true;
}
