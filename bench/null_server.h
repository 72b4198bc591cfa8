#ifndef WEIR_BENCH_NULL_SERVER_H
#define WEIR_BENCH_NULL_SERVER_H

/*
 * null_server: the upper bound of what a server can reach on this machine with this client. It
 * answers +OK to every request, parses no command, keeps nothing. What a real server does beyond
 * this is the price of being a server; bench/compare prints it as a ratio.
 *
 * It comes with both ways to the kernel, so that the bound is the better of the two: through the io
 * door as weir itself (io_uring: multishot receive, one submission a round), and through epoll as
 * Redis (one receive and one send a connection and round). One thread either way.
 */

#include <signal.h>
#include <stdint.h>

enum {
    NULL_REPLY_BYTES = 5,
    /* A send of more than this is continued by a further one. */
    NULL_REPLIES_PER_SEND = 64 * 1024,
    NULL_CLIENTS_MAX = 4096
};

/* NULL_REPLIES_PER_SEND times "+OK\r\n"; only its beginning within a reply must be chosen. */
extern uint8_t null_replies[NULL_REPLIES_PER_SEND * NULL_REPLY_BYTES];

/* Set by SIGTERM and SIGINT, which also call null_wake if it is set. */
extern volatile sig_atomic_t null_stopping;
extern void (*null_wake)(void);

/* Where the next `owed_bytes` of replies are, and how many of them one send may take. */
const uint8_t *null_replies_owed(uint64_t owed_bytes, uint64_t *send_bytes);

/* Serve on "host:port" until stopped. Return the exit status; errors are said on standard error. */
int null_serve_epoll(const char *address);
int null_serve_uring(const char *address);

#endif
