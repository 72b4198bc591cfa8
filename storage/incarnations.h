#ifndef WEIR_STORAGE_INCARNATIONS_H
#define WEIR_STORAGE_INCARNATIONS_H

/*
 * The table of incarnations: in which life this node knows each member of the first configuration.
 *
 * Entry 1 is the same on every member and was made before they met, so it cannot say it.  They
 * tell each other when they first connect, and each writes down what it was told, once: from then
 * on a member that comes under its id with another incarnation has lost its disk, with its votes
 * and what it acknowledged, and nothing it says counts.  A node takes part only when its own table
 * is durable, and makes it only while every other member either has none or has this node's
 * incarnation in its own; so a wiped node, which finds at least one member that remembers it in
 * another life, never takes part again.
 *
 * The file "incarnations" is made blank with the directory and filled by one write of one sector,
 * which a disk writes whole or not at all: after a power cut it is blank, as if nothing had been
 * exchanged, or complete.  Whatever else it is found to be is damage.
 *
 * Members that are added later have their incarnation in the entry that adds them; who was made to
 * be added later has no such file, nor has a cluster of one.
 *
 * Owner: the replicate thread after start-up.
 */

#include <stdbool.h>

#include "storage/identity.h"

struct incarnation_file;

/* True if a node of this identity has such a file. */
bool incarnations_needed(const struct identity *identity);

/* Creates the blank file and syncs it and the directory.  For identity_create; blocks.
 * Errors: WEIR_EEXISTS, WEIR_ENOSPC, WEIR_EIO, WEIR_ENOMEM. */
int incarnations_create(struct io *io, struct io_port *port, int32_t directory,
                        struct error_text *error);

/*
 * Opens and verifies it.  *known says whether there is a table yet; if so it is in *table: the
 * members of the first configuration with their incarnations (of their roles, none).  Start-up;
 * blocks.  Errors: WEIR_ECORRUPT (damaged, or not the table of this configuration), WEIR_EVERSION,
 * WEIR_EIDENTITY (another node's file), WEIR_ENOENT, WEIR_EIO, WEIR_ENOMEM; nothing was changed.
 */
int incarnations_open(struct incarnation_file **out, struct io *io, struct io_port *port,
                      int32_t directory, const struct identity *identity, bool *known,
                      struct configuration *table, struct error_text *error);

/* Starts to store the table: once in the life of a directory (asserted).  It has the members of the
 * first configuration, and an incarnation of each, this node's own among them (asserted). */
void incarnations_store(struct incarnation_file *file, const struct configuration *table);

/* True while that is under way. */
bool incarnations_busy(const struct incarnation_file *file);

/* Offers a completion of the port.  True if it was this file's.  When the table has become durable
 * *stored is set; a failed write or sync sets *failed to a negative errno and is final. */
bool incarnations_completion(struct incarnation_file *file, const struct io_completion *completion,
                             bool *stored, int *failed);

/* Closes and frees; nothing may be under way (asserted). */
void incarnations_close(struct incarnation_file *file);

#endif
