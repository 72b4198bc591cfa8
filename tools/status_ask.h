#ifndef WEIR_TOOLS_STATUS_ASK_H
#define WEIR_TOOLS_STATUS_ASK_H

/* One question to a node over its port for clients: INFO.  Blocks. */

#include <stddef.h>

#include "base/error.h"
#include "tools/config.h"

/* The longest answer. */
enum { STATUS_TEXT_BYTES = 64 * 1024 };

/*
 * Asks for the sections that weir status shows, with a password if it is not empty.  `out` gets the
 * text, zero-terminated.  Errors, with a sentence that names the place: WEIR_ENOENT (no such
 * name), WEIR_ECLOSED (nobody listens, or it went away), WEIR_ETIMEDOUT, WEIR_EDENIED (the password
 * is missing or wrong), WEIR_EPROTOCOL (what answers is no node).
 */
int status_ask(const struct config_place *place, const char *password, char out[STATUS_TEXT_BYTES],
               struct error_text *error);

#endif
