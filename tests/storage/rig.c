/* See rig.h. */

#include "tests/storage/rig.h"

struct world *world;
struct fixture fixture;
const char rig_path[] = "data";

int rig_begin(void **state) {
    (void)state;
    const struct world_options options = world_options_calm();
    world = world_create(1, &options);
    fixture_open(&fixture, world_io(world, world_node_add(world)), rig_path, true);
    return 0;
}

int rig_end(void **state) {
    (void)state;
    world_destroy(world);
    fixture_open_count = 0;
    return 0;
}

void rig_open_log(void) {
    if (fixture_log_open(&fixture, NULL) != 0)
        fail_msg("%s", fixture.error.text);
    do {
        log_maintain(fixture.log, io_monotonic_ns(fixture.io));
        while (io_outstanding(fixture.port) > 0)
            fixture_complete_one(&fixture);
    } while (log_deadline_ns(fixture.log) <= io_monotonic_ns(fixture.io));
}

void rig_append(uint32_t count, uint32_t bytes) {
    for (uint32_t i = 0; i < count; i++)
        assert_true(fixture_append(&fixture, bytes));
}
