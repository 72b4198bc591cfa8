#ifndef WEIR_TOOLS_INIT_CLUSTER_H
#define WEIR_TOOLS_INIT_CLUSTER_H

/*
 * The files of a new cluster: for each member a configuration and a systemd unit, and one secret.
 */

#include "base/error.h"
#include "tools/config.h"

/* What is written, and where it will be used. */
struct init_cluster {
    const char *cluster;                  /* its name */
    const struct config_members *members; /* two at least; places of clients are filled in */
    const char *out;                      /* directory that the files are put into; created */
    const char *etc;                      /* directory where configuration and secret will be */
    const char *var;                      /* directory above each member's data directory */
};

/* Where clients connect, if that is not named. */
enum { INIT_CLIENT_PORT_DEFAULT = 7379 };

/*
 * Writes OUT/secret, OUT/weir-N.conf and OUT/weir-N.service for each member N, readable by their
 * owner only, and tells on standard output what to do with them.  Nothing that is there is
 * overwritten.  Clients on an address that is no loopback address get a random password, the same
 * on all members.  Blocks.  Errors, with a sentence, and what was written so far left:
 * WEIR_EEXISTS; WEIR_EINVAL if a name or a path does not fit a configuration file, WEIR_EIO.
 */
int init_cluster_write(const struct init_cluster *cluster, struct error_text *error);

#endif
