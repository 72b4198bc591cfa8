#ifndef WEIR_BASE_ERROR_H
#define WEIR_BASE_ERROR_H

/*
 * Errors.
 *
 * A function that can fail returns 0 (or a count, where its header says so) or one of these
 * negative values, and on failure leaves what it was given unchanged. Its header lists each value
 * that it returns, with the exact condition. The values never leave the process: no file and no
 * message holds one, so they may be renumbered.
 *
 * Where a person will read about the failure (at start, in a tool), the function also takes a
 * `struct error_text` and writes into it one sentence: what happened, where, and what to do.
 */

/* Everything that can go wrong and is not our own mistake (for that: base/assert.h). */
enum weir_error {
    WEIR_OK = 0,
    WEIR_EINVAL = -1,        /* an argument or input is malformed or out of its range */
    WEIR_ENOMEM = -2,        /* the system gave no memory */
    WEIR_EFULL = -3,         /* a bounded queue, pool or buffer has no room now */
    WEIR_EAGAIN = -4,        /* nothing to do now, or more input is needed; call again */
    WEIR_EIO = -5,           /* a device or the kernel failed a transfer */
    WEIR_ENOSPC = -6,        /* the file system is full */
    WEIR_ECORRUPT = -7,      /* stored bytes are not those that were written */
    WEIR_EEXISTS = -8,       /* the thing to create is there already */
    WEIR_ENOENT = -9,        /* the thing asked for is not there */
    WEIR_EIDENTITY = -10,    /* cluster, node or incarnation is another one */
    WEIR_ELOCKED = -11,      /* another process holds it */
    WEIR_EVERSION = -12,     /* written by a version that this one cannot read */
    WEIR_EUNSUPPORTED = -13, /* the kernel, or this build, does not offer it */
    WEIR_ELIMIT = -14,       /* a configured limit would be exceeded */
    WEIR_ECANCELED = -15,    /* stopped on request before it was complete */
    WEIR_ECLOSED = -16,      /* the other side has gone */
    WEIR_EPROTOCOL = -17,    /* the other side does not speak our protocol */
    WEIR_EDENIED = -18,      /* permission is missing */
    WEIR_ETIMEDOUT = -19,    /* the time allowed is over */
    WEIR_EADDRINUSE = -20,   /* the address to listen on is taken */
};

/* "WEIR_EIO" for WEIR_EIO; "unknown error" for a value that is none. A string constant. */
const char *error_name(int error);

/* Large enough for a sentence with one path of usual length; longer ones are cut. */
#define ERROR_TEXT_BYTES 512

/* One sentence for a person. Zeroed, it is empty. The caller owns the memory. */
struct error_text {
    char text[ERROR_TEXT_BYTES];
};

/*
 * Replaces the sentence. What does not fit is cut and ends in "...". `text` may be NULL: then
 * nobody wanted to know. Arguments may point into `text` itself, so a sentence can be extended.
 */
__attribute__((format(printf, 2, 3))) void error_text_set(struct error_text *text,
                                                          const char *format, ...);

#endif
