/* Requests that a parser must get right, each by name: the bad ones first. Shared by the test of
 * the parser and the comparison with a running Redis. */
#ifndef WEIR_TESTS_WIRE_RESP_CASES_H
#define WEIR_TESTS_WIRE_RESP_CASES_H

#include <stdbool.h>
#include <stddef.h>

struct resp_case {
    const char *name;
    const char *bytes;
    size_t length;
    size_t fill_count;       /* then so many bytes ... */
    char fill;               /* ... of this one */
    const char *tail;        /* then this text; NULL = nothing */
    bool unauthenticated;    /* before AUTH (the password is set) */
    bool differs_from_redis; /* on purpose: the letters (a) to (e) in wire/resp_parse.h */
    const char *transcript;  /* see resp_feed.h */
};

extern const struct resp_case resp_cases[];
extern const size_t resp_case_count;

/* The bytes of a case, malloc'ed. */
unsigned char *resp_case_stream(const struct resp_case *resp_case, size_t *length);

#endif
