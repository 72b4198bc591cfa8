#ifndef WEIR_TESTS_SIM_NODE_LOAD_COMMANDS_H
#define WEIR_TESTS_SIM_NODE_LOAD_COMMANDS_H

/* The commands of node_load: which, and as which bytes.  Each is owned by the caller. */

#include "tests/sim/node_load.h"

/* A random command on the client's own keys: an array, or sometimes a line. */
struct load_command *load_command_random(struct load *load, uint32_t client);

/* The question for all keys of a client. */
struct load_command *load_command_all_keys(uint32_t client);

void load_command_free(struct load_command *command);

#endif
