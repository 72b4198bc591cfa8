/*
 * Planted defects by name.  See base/mutant.h.
 *
 * Happy path: the program chooses the defect that its command line names, once, and then runs.
 *
 * Failure modes: no defect has that name: nothing is chosen, and the caller says so.
 */

#include "base/mutant.h"

#include <string.h>

#include "base/assert.h"

enum mutant mutant_chosen = MUTANT_NONE;

struct mutant_text {
    const char *name;
    const char *sentence;
};

static const struct mutant_text texts[MUTANT_COUNT] = {
#define MUTANT_TEXT(number, name, sentence) [MUTANT_##number] = {name, sentence},
    MUTANTS(MUTANT_TEXT)
#undef MUTANT_TEXT
};

bool mutant_choose(const char *name) {
    ASSERT(mutant_chosen == MUTANT_NONE); /* once, before anything runs */
    for (int i = MUTANT_NONE + 1; i < MUTANT_COUNT; i++) {
        if (strcmp(texts[i].name, name) == 0) {
            mutant_chosen = (enum mutant)i;
            return true;
        }
    }
    return false;
}

const char *mutant_name(enum mutant mutant) {
    ASSERT(mutant > MUTANT_NONE && mutant < MUTANT_COUNT);
    return texts[mutant].name;
}

const char *mutant_sentence(enum mutant mutant) {
    ASSERT(mutant > MUTANT_NONE && mutant < MUTANT_COUNT);
    return texts[mutant].sentence;
}
