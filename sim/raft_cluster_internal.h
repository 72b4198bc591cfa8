#ifndef WEIR_SIM_RAFT_CLUSTER_INTERNAL_H
#define WEIR_SIM_RAFT_CLUSTER_INTERNAL_H

/*
 * What the files of the cluster of cores share.  sim/raft_cluster.h says what it is.
 *
 *   raft_cluster.c          creation, the lives of nodes, time
 *   raft_cluster_step.c     a step of a core, and carrying out its actions
 *   raft_cluster_disk.c     logs, and what is on its way to the disk
 *   raft_cluster_network.c  messages and links
 *   raft_cluster_client.c   proposals, reads, the operator's requests
 *   raft_cluster_check.c    safety, from outside
 *   raft_cluster_text.c     the trace, and words for everything
 */

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "sim/raft_cluster.h"

/* Room for one line without its indentation. */
enum { TEXT_BYTES = CLUSTER_LINE_BYTES - 16 };

/* ---- raft_cluster.c ------------------------------------------------------------------------ */

/* calloc that does not return without memory. */
void *cluster_allocate(size_t count, size_t bytes);

/* ---- raft_cluster_step.c ------------------------------------------------------------------- */

/* One step of a running node, and everything its actions ask for at once.  Fills in now_ns. */
void cluster_step(struct cluster *cluster, struct cluster_node *node, struct raft_event *event);

/* Appends entries to a leader's log, puts them on the way to its disk, and reports that. */
void cluster_append_own(struct cluster *cluster, struct cluster_node *node,
                        const struct cluster_entry *entries, uint32_t count);

/* ---- raft_cluster_disk.c ------------------------------------------------------------------- */

/* An empty log, with room for its entries. */
void cluster_log_init(struct cluster_log *log);
/* One more entry behind the last. */
void cluster_log_append(struct cluster_log *log, const struct cluster_entry *entry);
/* Entries after index go. */
void cluster_log_truncate(struct cluster_log *log, uint64_t index);
/* Entries up to index go; the base is there. */
void cluster_log_compact(struct cluster_log *log, uint64_t index);
/* Everything goes; the base is this entry. */
void cluster_log_reset(struct cluster_log *log, uint64_t index, uint64_t term, uint64_t chain);
/* Its content becomes that of another one. */
void cluster_log_copy(struct cluster_log *log, const struct cluster_log *other);

/* Puts one more write under way; the fields beside barrier are the caller's. */
struct cluster_write *cluster_write_add(struct cluster *cluster, struct cluster_node *node,
                                        enum cluster_write_kind kind);
/* The same for entries [first, last], as they are in memory now. */
void cluster_write_add_entries(struct cluster *cluster, struct cluster_node *node, uint64_t first,
                               uint64_t last);
void cluster_vote_add(struct cluster *cluster, struct cluster_node *node, uint64_t term,
                      uint64_t node_id);
/* What a crash leaves: see cluster_crash. */
void cluster_disk_crash(struct cluster *cluster, struct cluster_node *node, uint32_t votes_kept,
                        uint32_t writes_kept);
/* The configuration that is in force with this log and snapshot, and its index. */
const struct configuration *cluster_log_configuration(const struct cluster_log *log,
                                                      const struct cluster_snapshot *snapshot,
                                                      uint64_t *index);

/* ---- raft_cluster_network.c ---------------------------------------------------------------- */

/* An empty queue. */
void cluster_queue_init(struct cluster_queue *queue);
/* At the end; the message belongs to the queue. */
void cluster_queue_put(struct cluster_queue *queue, struct cluster_message *message);
/* The one at a position from 0, or NULL; it belongs to the caller. */
struct cluster_message *cluster_queue_take(struct cluster_queue *queue, uint32_t position);
/* Frees all of them. */
void cluster_queue_clear(struct cluster_queue *queue);
/* Puts a core's message out: to its link, or into the outbox while a vote is being stored. */
void cluster_send(struct cluster *cluster, struct cluster_node *node,
                  const struct raft_message *message, uint64_t barrier);
/* What waited in the outbox for votes that are stored now goes to its links. */
void cluster_outbox_flush(struct cluster *cluster, struct cluster_node *node);
/* Loses what is on its way on the data connection between two nodes, in both directions. */
void cluster_reopen(struct cluster *cluster, uint64_t one, uint64_t other);

/* ---- raft_cluster_client.c ----------------------------------------------------------------- */

/* Answers as unknown what waits at a node that leads no more, and refuses its reads. */
void cluster_clients_fail(struct cluster *cluster, struct cluster_node *node);
/* Runs the confirmed reads that what is applied now allows. */
void cluster_reads_run(struct cluster *cluster, struct cluster_node *node);
/* An answer of the core to a read, or to the waiting ones. */
void cluster_read_action(struct cluster *cluster, struct cluster_node *node,
                         const struct raft_action *action);
/* The entry at index was applied: whoever waits for it is answered. */
void cluster_proposal_applied(struct cluster *cluster, struct cluster_node *node, uint64_t index);

/* ---- raft_cluster_check.c ------------------------------------------------------------------ */

/* Memory for what was seen. */
void cluster_check_init(struct cluster *cluster);
/* Frees it. */
void cluster_check_fini(struct cluster *cluster);
/* Before the action is carried out, at the node whose core gave it. */
void cluster_check_appended(struct cluster *cluster, const struct cluster_node *node,
                            uint64_t index);
void cluster_check_commit(struct cluster *cluster, const struct cluster_node *node, uint64_t index);
void cluster_check_applied(struct cluster *cluster, const struct cluster_node *node);
void cluster_check_truncate(struct cluster *cluster, const struct cluster_node *node,
                            uint64_t index);
void cluster_check_leader(struct cluster *cluster, const struct cluster_node *node);
void cluster_check_vote(struct cluster *cluster, const struct cluster_node *node, uint64_t term,
                        uint64_t node_id);
/* The same vote is on its disk now. */
void cluster_check_vote_landed(struct cluster *cluster, const struct cluster_node *node,
                               uint64_t term, uint64_t node_id);
/* As it is put out, and as it leaves after the votes before it are stored. */
void cluster_check_put_out(struct cluster *cluster, const struct cluster_node *node,
                           const struct raft_message *message);
void cluster_check_leaving(struct cluster *cluster, const struct cluster_node *node,
                           const struct raft_message *message);
/* After each step. */
void cluster_check_node(struct cluster *cluster, struct cluster_node *node);

/* ---- raft_cluster_text.c ------------------------------------------------------------------- */

/* One line for an event; `message` is the one of a MESSAGE. */
void cluster_trace_event(struct cluster *cluster, const struct cluster_node *node,
                         const struct raft_event *event, const struct cluster_message *message);
/* One line for an action, as it is about to be carried out. */
void cluster_trace_action(struct cluster *cluster, const struct cluster_node *node,
                          const struct raft_action *action);

#endif
