#ifndef WEIR_TESTS_DEATH_H
#define WEIR_TESTS_DEATH_H

/*
 * Tests of what must end the process. The action runs in a forked child whose standard error is
 * caught; the parent waits for the child's end, so nothing here depends on time.
 */

#include <stddef.h>

/* How the child ended and the first bytes that it wrote to standard error. */
struct death {
    int exit_status;   /* of exit(), or -1 if a signal ended it */
    int signal_number; /* that ended it, or 0 */
    char text[4096];   /* zero-terminated */
};

/*
 * Forks, runs action(context) in the child, then _exit(0), and fills *death. The caller should
 * have no other thread. Fails the running cmocka test if there is no fork or no pipe.
 */
void death_run(void (*action)(void *context), void *context, struct death *death);

/* Fails the test unless the action ends in abort() after text that contains `expected`. */
void death_expect_abort(void (*action)(void *context), void *context, const char *expected);

#endif
