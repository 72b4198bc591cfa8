#ifndef WEIR_TOOLS_SERVE_CLUSTER_H
#define WEIR_TOOLS_SERVE_CLUSTER_H

/*
 * From a configuration with peers to a member of a cluster.
 */

#include "stages/node.h"
#include "tools/config.h"

/*
 * Whether a data directory is the one that the configuration means: as many members, the same
 * cluster.  Errors: WEIR_EIDENTITY, with a sentence.
 */
int serve_cluster_judge(const struct config *config, const struct identity *identity,
                        struct error_text *error);

/* The sentence for a member whose data directory is not there yet. */
void serve_cluster_directory_missing(const struct config *config, struct error_text *error);

/*
 * Fills the address book, the place to listen for members and the secret; nothing, for a node
 * alone.  Names are resolved by threads that begin now (tools/serve_names.h): nobody waits for
 * them.  What is filled in is kept for the process's life.  Blocks.  Errors, each with a sentence:
 * those of secret_file_read; WEIR_EINVAL, an address that is none; WEIR_ENOMEM.
 */
int serve_cluster_options(struct node_options *options, const struct config *config,
                          struct error_text *error);

#endif
