#ifndef WEIR_BASE_ASSERT_H
#define WEIR_BASE_ASSERT_H

/*
 * Assertions.
 *
 * base/ is the leaf of the tree: what is here depends on nothing of ours and everything of ours
 * may depend on it.
 *
 * An assertion states what the code around it relies on. When it does not hold, the program's
 * idea of its own state is wrong, and every later step may make the damage durable: so it says
 * where, and aborts. Assertions are for our own mistakes only. What a client, a peer, a disk or an
 * operator can cause is never asserted, it is answered (base/error.h).
 *
 * Both tiers are on in every build, release too:
 *
 *   ASSERT       anywhere that runs at most once a batch, and on every path that is rare.
 *   ASSERT_HOT   on paths that run once a command, a key or a byte. -DWEIR_ASSERT_HOT=0 removes it
 *                (the condition is still compiled, and never evaluated), to measure what it costs.
 *
 * A condition must have no side effect. Any thread may assert; a failing one writes one line to
 * standard error and calls abort(), without a lock or an allocation.
 */

#ifndef WEIR_ASSERT_HOT
#define WEIR_ASSERT_HOT 1
#endif

/* Prints "file:line: function: assertion failed: condition" to standard error and aborts. */
_Noreturn __attribute__((cold)) void assert_failed(const char *file, int line, const char *function,
                                                   const char *condition);

/* Prints "file:line: function: unreachable: text" to standard error and aborts. */
_Noreturn __attribute__((cold)) void assert_unreachable(const char *file, int line,
                                                        const char *function, const char *text);

/* The program goes on only if `condition` holds. */
#define ASSERT(condition)                         \
    (__builtin_expect(!!(condition), 1) ? (void)0 \
                                        : assert_failed(__FILE__, __LINE__, __func__, #condition))

/* ASSERT of the per-command tier. */
#if WEIR_ASSERT_HOT
#define ASSERT_HOT(condition) ASSERT(condition)
#else
#define ASSERT_HOT(condition) ((void)sizeof((condition) ? 1 : 0))
#endif

/* A place that no execution reaches; `text` says why. */
#define UNREACHABLE(text) assert_unreachable(__FILE__, __LINE__, __func__, text)

#endif
