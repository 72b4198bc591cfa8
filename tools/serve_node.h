#ifndef WEIR_TOOLS_SERVE_NODE_H
#define WEIR_TOOLS_SERVE_NODE_H

/*
 * From a configuration to a node: whose data directory it is, and how large everything is.
 */

#include "io/io.h"
#include "stages/map.h"
#include "stages/node.h"
#include "tools/config.h"

/*
 * Opens and locks the data directory and finds out whose it is; a lone node's is created if it is
 * not there.  *directory stays open, and locked, until io_close.  Blocks.
 * Errors, each with a sentence: WEIR_ELOCKED (another process), WEIR_EIDENTITY (another node's,
 * another cluster's, or a member's that is not there), those of identity_load and identity_create.
 */
int serve_node_directory(struct io *io, const struct config *config, int32_t *directory,
                         struct identity *identity, struct error_text *error);

/*
 * Fills the options of a node: everything but what its pipeline adds.  The strings and the items
 * for CONFIG GET are kept for the process's life.  Errors: WEIR_ENOMEM, those of
 * serve_cluster_options.
 */
int serve_node_options(struct node_options *options, const struct config *config,
                       const struct identity *identity, const struct map *map,
                       struct error_text *error);

/* Allocates the node with its records, zeroed but for options; WEIR_ENOMEM. */
int serve_node_create(struct node **out, const struct node_options *options,
                      struct error_text *error);
void serve_node_destroy(struct node *node);

#endif
