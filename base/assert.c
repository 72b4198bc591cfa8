/*
 * Nothing here runs in a program that is right. When it runs, heap and locks may be broken: one
 * buffer on the stack, one write(2), abort().
 */

#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A line longer than this is cut; the longest condition in the tree is a third of it. */
#define ASSERT_LINE_BYTES 512

static _Noreturn void assert_die(const char *file, int line, const char *function, const char *what,
                                 const char *text) {
    char message[ASSERT_LINE_BYTES];
    int length = snprintf(message, sizeof(message) - 1, "%s:%d: %s: %s: %s", file, line, function,
                          what, text);
    if (length < 0)
        length = 0;
    if ((size_t)length > sizeof(message) - 2)
        length = (int)sizeof(message) - 2;
    message[length] = '\n';
    ssize_t written = write(STDERR_FILENO, message, (size_t)length + 1);
    (void)written; /* If nobody hears, abort() still speaks. */
    abort();
}

void assert_failed(const char *file, int line, const char *function, const char *condition) {
    assert_die(file, line, function, "assertion failed", condition);
}

void assert_unreachable(const char *file, int line, const char *function, const char *text) {
    assert_die(file, line, function, "unreachable", text);
}
