#ifndef WEIR_MACHINES_KV_HELP_H
#define WEIR_MACHINES_KV_HELP_H

/*
 * What a subcommand HELP answers.
 */

#include <string.h>

#include "machines/kv.h"

/* An array of lines, as Redis answers it; nothing if nobody listens (as kv_reply_ok). */
static inline void kv_reply_help(struct kv_call *call, const char *const *lines, uint32_t count) {
    ASSERT(count > 0);
    if (call->reply == NULL)
        return;
    reply_array(call->reply, count);
    for (uint32_t i = 0; i < count; i++)
        reply_status(call->reply, lines[i], strlen(lines[i]));
}

#endif
