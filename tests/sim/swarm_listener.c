/*
 * Happy path: each line that a run tells is kept behind the one before.
 *
 * Failure modes: a story that is longer than there is room for fails the test.
 */

#include "tests/sim/swarm_listener.h"

#include <string.h>

#include "tests/cmocka_wrapper.h"

char swarm_story[STORY_BYTES];
static size_t story_bytes;

static void line_add(void *context, const char *text) {
    (void)context;
    const size_t length = strlen(text);
    assert_true(story_bytes + length + 2 < sizeof(swarm_story));
    memcpy(swarm_story + story_bytes, text, length);
    swarm_story[story_bytes + length] = '\n';
    story_bytes += length + 1;
    swarm_story[story_bytes] = '\0';
}

void swarm_run_and_listen(const struct swarm_plan *plan, struct swarm_result *result) {
    static const struct swarm_watch listens = {.line = line_add};
    story_bytes = 0;
    swarm_story[0] = '\0';
    swarm_run(plan, &listens, result);
}
