#ifndef WEIR_STORAGE_IDENTITY_H
#define WEIR_STORAGE_IDENTITY_H

/*
 * Who a data directory belongs to.
 *
 * A directory is created once, by `weir init` (or by a lone node for itself), and from then on
 * carries in the file "identity": the cluster's name and id, the node's id, a random incarnation
 * and the first configuration.  Every file beside it repeats cluster, node and incarnation, so a
 * file that was copied from another node, or from an earlier life of this one, is noticed.
 *
 * The incarnation is what makes a wiped node harmless.  A node that lost its disk and was given
 * an empty directory under its old id would not know what it had voted for or acknowledged; with
 * two such answers an acknowledged write could be voted away.  Its new directory has a new
 * incarnation, its peers remember the old one, and it gets neither vote nor entries until it is
 * added again as a new member.  For the same reason nothing but the explicit act creates a
 * directory: a node with peers that finds none refuses to start.
 *
 * cluster id = H(name, the members' ids in ascending order), so that every member computes the
 * same one by itself, and entry 1 (the configuration, incarnations 0) is identical on all.
 *
 * All functions block and are for start-up and tools.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "entry/configuration.h"
#include "io/io.h"

/* The longest cluster name, without its terminating zero. */
enum { IDENTITY_NAME_BYTES_MAX = 64 };

struct identity {
    char cluster_name[IDENTITY_NAME_BYTES_MAX + 1];
    uint64_t cluster_id;
    uint64_t node_id;             /* not 0 */
    uint64_t incarnation;         /* not 0 */
    struct configuration members; /* the first configuration */
};

/* The id of the cluster of that name and these members. */
uint64_t identity_cluster_id(const char *cluster_name, const struct configuration *members);

/*
 * Makes `directory` (open, locked) the data directory of node `node_id`: draws the incarnation,
 * writes identity, an empty vote file, a blank table of incarnations (storage/incarnations.h) and
 * the log with entry 1, each synced, the identity last, so that a crash in between leaves a
 * directory that was never used.  What such a crash has left (storage/identity_unfinished.h) is
 * removed first.
 * Errors: WEIR_EEXISTS if it holds anything else of weir's already; WEIR_EINVAL if node_id is not a
 * member or the name is empty, too long or not printable; WEIR_ENOSPC, WEIR_EIO.
 */
int identity_create(struct io *io, int32_t directory, const char *cluster_name, uint64_t node_id,
                    const struct configuration *members, struct identity *out,
                    struct error_text *error);

/*
 * The same for a node that is to be added to a cluster later: `members` is the cluster's first
 * configuration all the same (its id and entry 1 follow from that), and node_id none of them.
 * Errors: as above, but WEIR_EINVAL if node_id is 0 or one of `members`: a node that was wiped
 * would otherwise come back under its old id.
 */
int identity_create_joining(struct io *io, int32_t directory, const char *cluster_name,
                            uint64_t node_id, const struct configuration *members,
                            struct identity *out, struct error_text *error);

/*
 * Reads it.  Errors: WEIR_ENOENT if the directory is empty, or its creation was interrupted and it
 * was never used (then identity_create makes it anew, and out->cluster_id and node_id are whom it
 * was made for, 0 if nothing says it); WEIR_ECORRUPT if the file is damaged or the directory holds
 * other files of weir's without it; WEIR_EVERSION; WEIR_EIO.
 */
int identity_load(struct io *io, int32_t directory, struct identity *out, struct error_text *error);

#endif
