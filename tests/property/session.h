#ifndef WEIR_TESTS_PROPERTY_SESSION_H
#define WEIR_TESTS_PROPERTY_SESSION_H

/*
 * What a connection is told about itself and the server: a model of the commands that do not touch
 * the machine, written from Redis 7.0's behaviour, on a server without a password.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/kv_model.h"

struct session {
    uint32_t resp_version;
    char name[64];
};

void session_init(struct session *session);

/*
 * If the command is one of a session's: changes the session as it does, writes the pattern of its
 * answer (answer.h) and returns true. resp_version is then the one in which the answer comes.
 */
bool session_execute(struct session *session, const struct kv_model_word *words, size_t count,
                     struct kv_model_text *pattern);

#endif
