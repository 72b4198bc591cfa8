/*
 * Making the apply shard, and ending it.
 *
 * Happy path: tables and memory are made, the newest snapshot is restored (init, main thread); on
 * its own thread the shard opens its port and the directory for the snapshots that it will take.
 *
 * Failure modes: no memory; a snapshot that cannot be restored: the node does not start.
 */

#include <stdlib.h>

#include "base/assert.h"
#include "stages/apply_internal.h"
#include "stages/pages.h"
#include "stages/slowlog.h"

void apply_fini(void *state) {
    struct apply_shard *shard = state;
    if (shard->machine != NULL) {
        while (shard->operations->destroy(shard->machine, UINT32_MAX) == MACHINE_MORE) {
        }
    }
    pages_destroy(shard->node->slowlog, 1, sizeof(*shard->node->slowlog));
    shard->node->slowlog = NULL;
    if (shard->pages != NULL) {
        machine_host_destroy(shard->pages);
    }
    snapshot_stream_destroy(shard->install.stream);
    if (shard->snapshot.writer != NULL) {
        snapshot_writer_destroy(shard->snapshot.writer);
    }
    if (shard->directory_handle >= 0) {
        io_close(shard->io, shard->directory_handle);
    }
    if (shard->port != NULL) {
        io_port_destroy(shard->port);
    }
    if (shard->arena != NULL) {
        arena_destroy(shard->arena);
    }
    sessions_destroy(shard->sessions);
    free(shard->run_operations);
    pages_destroy(shard->arguments, shard->arguments_capacity, sizeof(*shard->arguments));
    free(shard->reply_held_bytes);
    free(shard);
}

int apply_init(void **out, const struct stage_environment *environment, struct error_text *error) {
    const struct apply_options *options = environment->options;
    struct apply_shard *shard = calloc(1, sizeof(*shard));
    if (shard == NULL) {
        error_text_set(error, "no memory for the apply stage");
        return WEIR_ENOMEM;
    }
    struct pipeline *pipeline = environment->pipeline;
    shard->pipeline = pipeline;
    shard->node = pipeline_node(pipeline);
    shard->io = environment->io;
    shard->directory = options->directory;
    shard->directory_handle = -1;
    shard->from_replicate = pipeline_ring(pipeline, STAGE_REPLICATE, 0, STAGE_APPLY, 0);
    shard->to_replicate = pipeline_ring(pipeline, STAGE_APPLY, 0, STAGE_REPLICATE, 0);
    shard->to_serialize = pipeline_ring(pipeline, STAGE_APPLY, 0, STAGE_SERIALIZE, 0);
    shard->from_write = pipeline_ring(pipeline, STAGE_WRITE, 0, STAGE_APPLY, 0);
    shard->operations = shard->node->options->machine;
    shard->deadline_told_ms = UINT64_MAX;
    node_figure_set(&shard->node->apply.next_deadline_ms, UINT64_MAX);
    /* A run's arguments: those of a batch, or of one command as large as allowed. */
    shard->arguments_capacity =
        shard->node->options->resp_limits.argument_count_max + 2 * BATCH_ARGUMENTS_MAX;
    shard->node->slowlog = pages_create(1, sizeof(*shard->node->slowlog));
    shard->run_operations = calloc(BATCH_COMMANDS_MAX, sizeof(*shard->run_operations));
    shard->arguments = pages_create(shard->arguments_capacity, sizeof(*shard->arguments));
    shard->reply_held_bytes =
        calloc(shard->node->options->connections_max, sizeof(*shard->reply_held_bytes));
    int result = WEIR_ENOMEM;
    if (shard->node->slowlog == NULL || shard->run_operations == NULL || shard->arguments == NULL ||
        shard->reply_held_bytes == NULL || sessions_create(&shard->sessions) != WEIR_OK ||
        machine_host_create(&shard->pages) != WEIR_OK ||
        arena_create(&shard->arena, shard->node->options->reply_bytes_max) != WEIR_OK) {
        error_text_set(error, "no memory for the apply stage");
        goto fail;
    }
    shard->host = machine_host_of(shard->pages);
    result = apply_restore(shard, options, error);
    if (result != WEIR_OK) {
        goto fail;
    }
    apply_publish(shard);
    *out = shard;
    return WEIR_OK;

fail:
    apply_fini(shard);
    return result;
}

int apply_start(void *state, struct error_text *error) {
    struct apply_shard *shard = state;
    int result = io_port_create(shard->io, &shard->port, SNAPSHOT_OPERATIONS_MAX + 4);
    shard->tail_ns = io_monotonic_ns(shard->io);
    if (result == WEIR_OK) {
        result = io_directory_open(shard->io, shard->node->options->data_directory, false,
                                   &shard->directory_handle, error);
    }
    if (result == WEIR_OK) {
        result = snapshot_writer_create(&shard->snapshot.writer, shard->io, shard->port,
                                        shard->directory_handle, &shard->node->options->identity,
                                        shard->node->options->snapshot_rate_bytes_s);
    }
    if (result == WEIR_OK) {
        result = snapshot_stream_create(&shard->install.stream, shard->io, shard->port,
                                        shard->directory_handle, &shard->node->options->identity);
    }
    if (result == WEIR_ENOMEM) {
        error_text_set(error, "no memory for the snapshots of the apply stage");
    }
    return result;
}
