#ifndef WEIR_TESTS_MACHINES_REDIS_SERVER_H
#define WEIR_TESTS_MACHINES_REDIS_SERVER_H

/*
 * A redis-server of our own, on a socket of our own, and what it answers as RESP 2 text.
 */

#include "sim/kv_model.h"

#include <stdbool.h>
#include <sys/types.h>

struct redisContext;

enum { REDIS_SERVER_SKIPPED = 77 }; /* the exit status of a test that was skipped */

struct redis_server {
    pid_t child;
    char directory[40];
    struct redisContext *context;
};

/* Starts a server, waits until it says that it is ready, and connects; false if there is none in
 * the path. Values are at most `value_bytes_max` long there. */
bool redis_server_begin(struct redis_server *server, size_t value_bytes_max);
void redis_server_end(struct redis_server *server);

/* Executes a command; the reply replaces the content of `text`. */
void redis_server_execute(struct redis_server *server, const struct kv_model_word *words,
                          size_t count, struct kv_model_text *text);

/* The time of day, as the server sees it. */
uint64_t redis_server_clock_ms(void);

#endif
