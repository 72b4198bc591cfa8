#ifndef WEIR_TOOLS_SIM_EDIT_H
#define WEIR_TOOLS_SIM_EDIT_H

/*
 * Edits of a plan (sim/swarm_edit.h) as options of the command line, and back.
 *
 *   --only LIST | --without LIST   actions, by the numbers that the plan shows: 3,7..9 or `none`
 *   --until SECONDS                with up to three decimals
 *   --first-nodes N   --clients N   --calm   --plain
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/swarm_edit.h"

/* What became of an option. */
enum sim_edit_option {
    SIM_EDIT_TAKEN,       /* it is one of these, and its value, if it has one, is good */
    SIM_EDIT_NOT_MINE,    /* it is another one */
    SIM_EDIT_VALUE_WRONG, /* it is one of these, and its value is wrong or missing */
};

/* Takes an option; `value`: the argument behind it, NULL: none.  *has_value: whether it is used. */
enum sim_edit_option sim_edit_parse(const char *name, const char *value, struct swarm_edit *edit,
                                    bool *has_value);

/* Writes the options that make this edit of this plan, as it was drawn, each behind a space; what
 * does not fit is cut off (asserted not to be). */
void sim_edit_print(const struct swarm_edit *edit, const struct swarm_plan *drawn, char *text,
                    size_t text_bytes);

/* Whether anything is taken away. */
bool sim_edit_any(const struct swarm_edit *edit);

#endif
