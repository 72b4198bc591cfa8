#ifndef WEIR_TOOLS_SERVE_HOST_H
#define WEIR_TOOLS_SERVE_HOST_H

/*
 * What a node needs of its host, looked at before anything is touched.
 *
 * Each check returns 0, or a negative value of base/error.h and a sentence that says what is
 * missing and what to do about it.  All block; start-up only.
 */

#include "io/io.h"
#include "tools/config.h"

/* Linux 6.1 or newer.  WEIR_EUNSUPPORTED. */
int serve_host_kernel(struct error_text *error);

/* The judgement of serve_host_kernel on a release such as "6.1.0-18-amd64". */
int serve_host_kernel_release(const char *release, struct error_text *error);

/*
 * Enough descriptors for maxclients: raises the soft limit as far as the hard one goes.  If that
 * is not enough and maxclients was not configured, lowers maxclients and warns; if it was,
 * WEIR_ELIMIT.
 */
int serve_host_descriptors(struct config *config, struct error_text *error);

/* The same for a hard limit: how many clients it allows, 0 if none. */
uint32_t serve_host_clients(uint64_t descriptors_max);

/* Raises the limit of locked memory as far as it goes: what io_uring may pin. */
void serve_host_locked_memory(void);

/* A password, if anybody but this machine can reach the address.  WEIR_EDENIED. */
int serve_host_exposure(const struct config *config, struct error_text *error);

/* The address, and that for members if there are any, can be listened on, now or within two seconds
 * (what has just ended gives its own back).  Blocks.  WEIR_EADDRINUSE, WEIR_EINVAL, WEIR_EIO. */
int serve_host_address(struct io *io, const struct config *config, struct error_text *error);

#endif
