#ifndef WEIR_STAGES_DIRECTORY_H
#define WEIR_STAGES_DIRECTORY_H

/*
 * Every command there is, by name: the machine's, and those about the connection and the server
 * (stages/connection_commands.h).  Built once at start, constant, read by parse and validate.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "machines/machine.h"
#include "stages/batch.h"

struct directory;

/*
 * Allocates; start-up.  `machine` is borrowed for the directory's life.  Errors, *out unchanged:
 *   WEIR_ENOMEM
 *   WEIR_EEXISTS       the machine has a command whose name is one of ours, or one name twice
 *   WEIR_EINVAL        a name is empty, too long or not lower case, an id is one of the host's
 *                      (ENTRY_COMMAND_ID_HOST), or a row has no keys where its key_step says that
 *                      there are some, or it has MACHINE_ODD_KEYS and the machine does not say
 *                      where these are
 */
int directory_create(struct directory **out, const struct machine_operations *machine,
                     struct error_text *error);

/* NULL is allowed. */
void directory_destroy(struct directory *directory);

/* Looks a name up, in any case.  Sets *table and *row; TABLE_NONE (row 0) if there is no such
 * command.  Subcommands are not names: "client|id" is found by nobody. */
void directory_find(const struct directory *directory, const uint8_t *name, uint32_t length_bytes,
                    uint8_t *table, uint16_t *row);

/* Name of a row, lower case; of a subcommand "container|subcommand". */
const char *directory_name(const struct directory *directory, uint8_t table, uint16_t row);

/* Arity of a row as COMMAND shows it: with the name; negative: at least that many. */
int16_t directory_arity(const struct directory *directory, uint8_t table, uint16_t row);

/* Whether `argument_count`, with the name, suits an arity. */
static inline bool directory_arity_suits(int16_t arity, uint32_t argument_count) {
    return arity >= 0 ? argument_count == (uint32_t)arity : argument_count >= (uint32_t)-arity;
}

/* Where the keys are of the machine's command in that row, whose arity suits and whose name stands
 * at argument `name` of a batch's command: 0, or, where a command is about another one, more. */
void directory_keys(const struct directory *directory, uint16_t row, const struct batch *batch,
                    const struct batch_command *command, uint32_t name, struct machine_keys *keys);

/* The machine whose commands these are. */
const struct machine_operations *directory_machine(const struct directory *directory);

#endif
