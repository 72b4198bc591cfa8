#ifndef WEIR_STAGES_ONCE_H
#define WEIR_STAGES_ONCE_H

/*
 * ONCE and ONCE.OPEN on their way to the log.
 *
 *     ONCE.OPEN [PX milliseconds]         a session: its id is the index of the entry
 *     ONCE id sequence command [arg ...]  a machine's write, applied at most once
 *     (stages/sessions.h)
 *
 * parse unwraps: from there on a command under ONCE is the inner command, name, row and arguments,
 * marked BATCH_ONCE, and the two numbers are the arguments before its name.  So its keys are hashed
 * and its form is judged like any other's.  A batch ends behind an ONCE.OPEN, so that no two of
 * them are in one entry, and each has an index of its own.
 *
 * Pure; any thread that owns the batch.
 */

#include "stages/batch.h"
#include "stages/directory.h"

/* Arguments of ONCE before the inner command's name. */
enum { ONCE_ARGUMENTS = 3 };

/* Whether the command is ONCE or ONCE.OPEN, as found in the directory. */
bool once_is(const struct batch_command *command);

/* Makes an ONCE the command that is in it, looked up but not judged; leaves an ONCE without one,
 * and an ONCE.OPEN, as they are.  Returns whether the batch ends with this command. */
bool once_unwrap(const struct batch *batch, struct batch_command *command,
                 const struct directory *directory);

/* The session and sequence of a BATCH_ONCE.  False, both 0: one is not a number from 1 to 2^63-1.
 * */
bool once_numbers(const struct batch *batch, const struct batch_command *command, uint64_t *session,
                  uint64_t *sequence);

/* The lifetime that an ONCE.OPEN asks for.  0: it is well-formed; otherwise the canned error. */
enum batch_refusal once_lifetime(const struct batch *batch, const struct batch_command *command,
                                 uint64_t *lifetime_ms);

/* What the log's record of a write with a session says; asserts that validate accepted it. */
struct once_record {
    uint16_t id;
    uint64_t session;
    uint64_t sequence;
    uint32_t argument_count;
};
struct once_record once_record(const struct batch *batch, const struct batch_command *command,
                               const struct machine_operations *machine);

#endif
