/* Whose words count, when members are removed and added (stages/replicate_standing.c). */

#include <stdlib.h>

#include "stages/replicate_internal.h"
#include "tests/cmocka_wrapper.h"

enum { OWN = 1, OTHER = 4, ITS_INCARNATION = 44, ITS_LIFE = 71 };

static struct node_options options;
static struct node node;
static struct peers peers;
static struct replicate_shard *shard;
static struct peer_link *link;

/* A member whose incarnation came with the entry that added it: no table has it. */
static void in_force(bool has_other, uint64_t incarnation) {
    struct configuration *configuration = &shard->members.in_force;
    *configuration = (struct configuration){.member_count = has_other ? 2 : 1};
    configuration->members[0] =
        (struct configuration_member){.node_id = OWN, .roles = CONFIGURATION_VOTER};
    configuration->members[1] = (struct configuration_member){
        .node_id = OTHER, .incarnation = incarnation, .roles = CONFIGURATION_VOTER};
    replicate_members_follow_again(shard);
}

static void introduced(enum peer_lane lane, uint64_t incarnation, uint64_t life) {
    const struct peer_introduction introduction = {.incarnation = incarnation,
                                                   .own = {life, 5, 100}};
    replicate_standing_introduced(shard, link, lane, &introduction);
    if (lane == PEER_CONTROL) {
        replicate_members_introduced(shard, link, &introduction);
    }
}

static int start(void **state) {
    (void)state;
    options = (struct node_options){.identity = {.node_id = OWN, .incarnation = 11}};
    node = (struct node){.options = &options};
    shard = calloc(1, sizeof(*shard));
    assert_non_null(shard);
    assert_int_equal(peers_create(&peers, 1024, 1, false), 0);
    shard->node = &node;
    shard->links = &peers;
    in_force(true, ITS_INCARNATION);
    link = peers_find(&peers, OTHER);
    assert_non_null(link);
    introduced(PEER_CONTROL, ITS_INCARNATION, ITS_LIFE);
    introduced(PEER_DATA, ITS_INCARNATION, ITS_LIFE);
    return 0;
}

static int stop(void **state) {
    (void)state;
    peers_destroy(&peers);
    free(shard);
    return 0;
}

static bool is_heard(enum peer_lane lane) {
    return replicate_members_heard(shard, link, lane);
}

static void another_directory_is_not_heard_and_takes_over_nothing(void **state) {
    (void)state;
    in_force(true, ITS_INCARNATION + 1);
    assert_false(is_heard(PEER_CONTROL));
    assert_int_equal(link->told.life, 0); /* of which nothing is told it in HELLO */
    introduced(PEER_CONTROL, ITS_INCARNATION + 1, ITS_LIFE + 2);
    assert_true(is_heard(PEER_CONTROL));
    assert_false(is_heard(PEER_DATA)); /* the connection is still the other's */
    introduced(PEER_DATA, ITS_INCARNATION + 1, ITS_LIFE + 2);
    assert_true(is_heard(PEER_DATA));
}

/* Its connection for data may stay open all the while, and then says in which life once. */
static void who_is_removed_and_added_again_is_heard_on_its_old_connections(void **state) {
    (void)state;
    assert_true(is_heard(PEER_CONTROL) && is_heard(PEER_DATA));
    in_force(false, 0);
    in_force(true, ITS_INCARNATION);
    assert_true(is_heard(PEER_CONTROL) && is_heard(PEER_DATA));
    introduced(PEER_CONTROL, ITS_INCARNATION, ITS_LIFE); /* another one, of the same life */
    assert_true(is_heard(PEER_CONTROL));
    assert_true(is_heard(PEER_DATA));
    introduced(PEER_CONTROL, ITS_INCARNATION, ITS_LIFE + 2); /* its process was started again */
    assert_false(is_heard(PEER_DATA));
    introduced(PEER_DATA, ITS_INCARNATION, ITS_LIFE + 2);
    assert_true(is_heard(PEER_DATA));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(another_directory_is_not_heard_and_takes_over_nothing,
                                        start, stop),
        cmocka_unit_test_setup_teardown(
            who_is_removed_and_added_again_is_heard_on_its_old_connections, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
