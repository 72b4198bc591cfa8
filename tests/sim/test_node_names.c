/*
 * Members that are known by a name: the test is the resolver.  Nodes 1 and 2 know node 3 so.
 */

#include "tests/sim/node_talk.h"

#include <string.h>

#define SECOND_NS UINT64_C(1000000000)
/* A resolver takes so long. */
#define ANSWER_NS (SECOND_NS / 20)

enum { NAMED = 2, ASKERS = 2 };

static struct group group[1];
static struct peer_name names[ASKERS];
static struct peer_name *known_by[ASKERS][GROUP_NODES_MAX];
static uint32_t questions;
static uint32_t failures; /* of the questions: nobody had answered as the member would */

static void wake(void *context) {
    (void)context;
    questions++;
}

/* All have met, with node 3 known by its number, or not yet. */
static void begin(uint64_t seed) {
    static const char *const maps[] = {"fused", "pair", "split"};
    questions = 0;
    failures = 0;
    group_init_networked(group, seed, 3, maps[seed % 3]);
    for (uint32_t i = 0; i < ASKERS; i++) {
        names[i] = (struct peer_name){
            .node_id = NAMED + 1, .host = "three", .port = SIM_NODE_PEER_PORT, .wake = wake};
        known_by[i][NAMED] = &names[i];
        group->nodes[i].options.member_names = known_by[i];
    }
    for (uint32_t i = 0; i < 3; i++) {
        group_start(group, i);
    }
}

/* Runs for so long; each question is answered with this ("": the name is not known). */
static void run(uint64_t ns, const char *address) {
    for (uint64_t passed_ns = 0; passed_ns < ns; passed_ns += ANSWER_NS) {
        group_run(group, ANSWER_NS);
        for (uint32_t i = 0; i < ASKERS; i++) {
            bool has_failed = false;
            if (peer_name_asked(&names[i], &has_failed)) {
                failures += has_failed;
                peer_name_answer(&names[i], address);
            }
        }
    }
}

static const struct node_write_figures *figures(uint32_t index) {
    return &sim_node_figures(group->nodes[index].node)->write;
}

/* Connections that node `index` has to others, of which each is accepted. */
static uint64_t open_of(uint32_t index) {
    return node_figure(&figures(index)->peers_open);
}

static void end(void) {
    group->load_on = false;
    group_expect(group, group_settle(group, 5 * SECOND_NS), "all have applied everything");
    group_free(group);
}

static void a_question_that_is_open_is_not_asked_again(void **state) {
    (void)state;
    begin(1);
    group_run(group, 3 * SECOND_NS);
    group_expect(group, questions == ASKERS, "each has asked once");
    group_expect(group, node_figure(&figures(0)->peers_unresolved) > 5, "and tried again");
    char address[WORLD_ADDRESS_BYTES];
    world_address(address, group->hosts[NAMED], SIM_NODE_PEER_PORT);
    run(3 * SECOND_NS, address);
    end();
}

static void a_name_that_is_not_known_at_the_start_may_become_known(void **state) {
    (void)state;
    for (uint64_t seed = 2; seed < 5; seed++) {
        begin(seed);
        run(3 * SECOND_NS, "");
        group_expect(group, open_of(0) == 2 && open_of(1) == 2, "nobody is connected to node 3");
        group_expect(group, node_figure(&figures(0)->peers_failed) == 0, "nor was it tried");
        char address[WORLD_ADDRESS_BYTES];
        world_address(address, group->hosts[NAMED], SIM_NODE_PEER_PORT);
        run(3 * SECOND_NS, address);
        group_expect(group, open_of(0) == 4 && open_of(1) == 4, "all are connected");
        end();
    }
}

/* Nobody is there, then another member, then the one that is meant. */
static void a_name_that_gets_another_address_is_followed(void **state) {
    (void)state;
    for (uint64_t seed = 5; seed < 8; seed++) {
        begin(seed);
        char address[WORLD_ADDRESS_BYTES];
        world_address(address, group->hosts[NAMED], SIM_NODE_PEER_PORT + 1);
        run(2 * SECOND_NS, address);
        group_expect(group, node_figure(&figures(0)->peers_failed) > 2, "nobody is there");
        group_expect(group, failures > 2, "the resolver is told so");
        world_address(address, group->hosts[0], SIM_NODE_PEER_PORT);
        run(3 * SECOND_NS, address);
        group_expect(group, node_figure(&figures(1)->peers_refused) > 2, "another one refuses");
        world_address(address, group->hosts[NAMED], SIM_NODE_PEER_PORT);
        run(3 * SECOND_NS, address);
        group_expect(group, open_of(0) == 4 && open_of(1) == 4, "all are connected");
        uint32_t before = questions;
        run(3 * SECOND_NS, address);
        group_expect(group, questions == before, "and nothing is asked any more");
        end();
    }
}

/* What was known is in use while no name server answers. */
static void an_address_outlives_its_name(void **state) {
    (void)state;
    begin(8);
    char address[WORLD_ADDRESS_BYTES];
    world_address(address, group->hosts[NAMED], SIM_NODE_PEER_PORT);
    run(3 * SECOND_NS, address);
    group_expect(group, open_of(0) == 4, "all are connected");
    group_crash(group, NAMED);
    run(2 * SECOND_NS, "");
    group_start(group, NAMED);
    run(3 * SECOND_NS, "");
    group_expect(group, open_of(0) == 4 && open_of(1) == 4, "all are connected again");
    end();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_question_that_is_open_is_not_asked_again),
        cmocka_unit_test(a_name_that_is_not_known_at_the_start_may_become_known),
        cmocka_unit_test(a_name_that_gets_another_address_is_followed),
        cmocka_unit_test(an_address_outlives_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
