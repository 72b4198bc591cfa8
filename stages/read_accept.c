/*
 * Accepting clients.
 *
 * Happy path: once the node serves, an accept is armed; each connection that it brings gets a free
 * slot.
 *
 * Failure modes: no slot is free: the client is told so, and closed.  A failing accept pauses for a
 * moment and then goes on.
 */

#include "base/log.h"
#include "stages/node_settings.h"
#include "stages/read_internal.h"

#include <errno.h>

static const char read_refusal[] = "-ERR max number of clients reached\r\n";
static const struct iovec read_refusal_piece = {(void *)(uintptr_t)read_refusal,
                                                sizeof(read_refusal) - 1};

static void refuse(struct read_shard *shard, int32_t socket) {
    node_figure_add(&shard->node->read.rejected, 1);
    log_warn_limited("client_refused", "reason=maxclients limit=%u", node_clients_max(shard->node));
    if (shard->refusals == READ_REFUSALS_MAX || shard->draining) {
        io_socket_close(shard->io, socket);
        return;
    }
    shard->refusals++;
    io_send(shard->port, socket, &read_refusal_piece, 1, IO_SEND_TRY,
            read_user((uint32_t)socket, 0, READ_USER_REFUSAL));
}

void read_accepted(struct read_shard *shard, const struct io_completion *completion,
                   uint64_t now_ns) {
    if ((completion->flags & IO_MORE) == 0) {
        shard->accepting = false; /* armed again by the poll, unless the node stops */
    }
    if (completion->result < 0) {
        if (completion->result != -ECANCELED) {
            node_figure_add(&shard->node->read.accept_errors, 1);
            log_warn_limited("accept_failed", "errno=%d", -completion->result);
        }
        if (!shard->accepting && !shard->draining) {
            /* Probably no descriptor is left: not at once again, or we would do nothing else. */
            shard->accept_pausing = true;
            shard->accept_again_ns = now_ns + READ_ACCEPT_PAUSE_NS;
            read_timer(shard, shard->accept_again_ns);
        }
        return;
    }
    bool full = shard->draining || shard->open_count >= node_clients_max(shard->node);
    uint32_t slot = full ? POOL_NONE : pool_take(shard->slots);
    if (slot == POOL_NONE) {
        refuse(shard, completion->result);
        return;
    }
    read_open(shard, slot, completion->result);
}

/* Accepts once the node serves, and again whenever accepting has ended by itself. */
void read_accept_if_due(struct read_shard *shard, uint64_t now_ns) {
    if (shard->accept_pausing) {
        shard->accept_pausing = now_ns < shard->accept_again_ns;
        if (shard->accept_pausing) {
            read_timer(shard, shard->accept_again_ns);
        }
    }
    if (shard->accepting || shard->accept_pausing || shard->draining) {
        return;
    }
    /* Partner: replicate's release, after the genesis entry's hash seed. */
    if (atomic_load_acquire_u32(&shard->node->signals.serving) == 0) {
        return;
    }
    if (!shard->announced && shard->options->on_serving != NULL) {
        shard->announced = true;
        shard->options->on_serving(shard->options->context,
                                   io_listen_port(shard->io, shard->listener));
    }
    shard->accepting = true;
    io_accept_start(shard->port, shard->listener, READ_USER_ACCEPT);
}
