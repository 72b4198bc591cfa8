#ifndef WEIR_BENCH_LOAD_GREETING_H
#define WEIR_BENCH_LOAD_GREETING_H

/*
 * What a connection says first (AUTH, HELLO), and what the load generator asks before a run: which
 * durability do the figures stand for, and which other servers are there?
 */

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "bench/load_options.h"
#include "bench/load_targets.h"

/* A password of 256 bytes, a user name, HELLO and the RESP around them. */
enum { LOAD_GREETING_BYTES_MAX = 512, LOAD_SERVER_TEXT_BYTES = 64 };

/* What the server says of itself; "unknown" where it does not say. */
struct load_server_facts {
    char durability[LOAD_SERVER_TEXT_BYTES]; /* fsync, write, none, or what Redis is set to */
    char version[LOAD_SERVER_TEXT_BYTES];
};

/*
 * Writes the requests that open a connection; returns their length, 0..LOAD_GREETING_BYTES_MAX,
 * and sets *replies to the number of replies that they will get (0 or 1).
 */
size_t load_greeting_build(const struct load_options *options, uint8_t out[LOAD_GREETING_BYTES_MAX],
                           uint32_t *replies);

/*
 * Connects once, greets, asks for INFO and CLUSTER SLOTS and hangs up. Blocks for at most some
 * seconds; allocates and frees. A server that does not know INFO is no error: the facts are then
 * "unknown". Servers that it names are added to `targets`, of which `target` is asked;
 * options->host and port are those of it, for the sentences.
 * Errors, with a sentence: WEIR_EIO when the server cannot be reached or does not answer in time,
 * WEIR_EDENIED when it refuses the greeting (wrong password, unknown protocol), WEIR_EPROTOCOL
 * when it does not speak RESP, WEIR_ENOMEM.
 */
int load_greeting_probe(const struct load_options *options, struct load_targets *targets,
                        uint32_t target, struct load_server_facts *facts, struct error_text *error);

#endif
