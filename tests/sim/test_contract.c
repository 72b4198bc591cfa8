/*
 * The contract of io/io.h against the simulated world: calm, and then with every spurious outcome
 * that io.h allows (receives that end early, sends that take a part, tiny sockets), from several
 * seeds.  Connections that die while they are accepted have a test of their own: the suite takes a
 * connection for granted.
 */

#include "tests/sim/door_sim.h"

#include "tests/cmocka_wrapper.h"

int main(void) {
    enum { SEEDS = 50, SEEDS_APART = 1000 };
    struct world_options calm = world_options_calm();
    door_sim_configure("contract of the simulated door, calm", 1, &calm);
    int failed = door_contract_run(&door_sim);
    for (uint64_t seed = 1; seed <= SEEDS && failed == 0; seed++) {
        struct world_options rough = world_options_rough();
        rough.accept_error_chance = 0;
        door_sim_configure("contract of the simulated door, rough", seed * SEEDS_APART, &rough);
        failed += door_contract_run(&door_sim);
    }
    return failed;
}
