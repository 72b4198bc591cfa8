/* Making the parse stage's shard, and undoing it.  See stages/parse.c. */

#include <stdlib.h>

#include "base/assert.h"
#include "stages/parse_internal.h"

void parse_fini(void *state) {
    struct parse_shard *shard = state;
    parse_peers_destroy(shard->peers);
    arena_destroy(shard->arena);
    parse_lines_destroy(shard->lines);
    free(shard->connections);
    free(shard);
}

int parse_init(void **out, const struct stage_environment *environment, struct error_text *error) {
    const struct parse_options *options = environment->options;
    struct parse_shard *shard = calloc(1, sizeof(*shard));
    if (shard == NULL) {
        error_text_set(error, "no memory for the parse stage");
        return WEIR_ENOMEM;
    }
    struct pipeline *pipeline = environment->pipeline;
    shard->pipeline = pipeline;
    shard->node = pipeline_node(pipeline);
    shard->directory = options->directory;
    shard->from_read = pipeline_ring(pipeline, STAGE_READ, 0, STAGE_PARSE, environment->shard);
    shard->to_validate =
        pipeline_ring(pipeline, STAGE_PARSE, environment->shard, STAGE_VALIDATE, 0);
    shard->from_write = pipeline_ring(pipeline, STAGE_WRITE, 0, STAGE_PARSE, environment->shard);
    shard->connections_max = shard->node->options->connections_max;
    shard->connections = calloc(shard->connections_max, sizeof(*shard->connections));
    shard->lines = parse_lines_create(shard->connections_max, pipeline_batch_total(pipeline));
    if (shard->connections == NULL || shard->lines == NULL ||
        parse_peers_create(&shard->peers, pipeline, environment->shard, environment->io, error) !=
            WEIR_OK ||
        arena_create(&shard->arena, shard->node->options->carry_bytes_max) != WEIR_OK) {
        parse_peers_destroy(shard->peers);
        error_text_set(error, "no memory for the parse stage's %u connections",
                       shard->connections_max);
        parse_lines_destroy(shard->lines);
        free(shard->connections);
        free(shard);
        return WEIR_ENOMEM;
    }
    for (uint32_t slot = 0; slot < shard->connections_max; slot++) {
        parse_carry_none(&shard->connections[slot]);
    }
    for (uint32_t size = 0; size < PARSE_BLOCK_SIZES; size++) {
        shard->size_head[size] = BATCH_NO_BLOCK;
    }
    *out = shard;
    return WEIR_OK;
}
