/* The rings between replicate and the connections: what may be under way has room there. */

#include "stages/peers.h"

#include "base/random.h"
#include "tests/cmocka_wrapper.h"

enum {
    ROUNDS = 20000,
    MESSAGES_MAX = 64,
};

/* Messages of a member that is slow, put as long as there are fewer bytes under way than the limit,
 * and taken one by one. */
static void messages_come_and_go(uint64_t message_bytes_max, uint64_t seed) {
    struct peers peers;
    assert_int_equal(peers_create(&peers, message_bytes_max, 1, false), 0);
    uint64_t limit_bytes = peers_inflight_bytes_max(&peers);
    uint32_t longest_bytes = (uint32_t)(peers.data_ring_bytes / PEER_INFLIGHT_SHARE) - 64;
    struct record_ring *ring = peers.links[0].out[PEER_DATA];
    struct random random;
    random_seed(&random, seed);
    uint64_t under_way_bytes = 0;
    uint32_t count = 0;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        while (under_way_bytes < limit_bytes && count < MESSAGES_MAX) {
            bool is_long = random_chance(&random, 1, 2);
            uint32_t bytes =
                is_long ? longest_bytes : 1 + (uint32_t)random_below(&random, longest_bytes);
            assert_non_null(record_ring_reserve(ring, bytes));
            record_ring_commit(ring, bytes);
            under_way_bytes += bytes;
            count++;
        }
        /* A quarter is left, in one piece or in two. */
        assert_non_null(record_ring_reserve(ring, longest_bytes / 2));
        uint32_t bytes;
        assert_non_null(record_ring_peek(ring, &bytes));
        record_ring_consume(ring);
        under_way_bytes -= bytes;
        count--;
    }
    peers_destroy(&peers);
}

static void what_may_be_under_way_to_a_member_has_room_in_its_ring(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        messages_come_and_go(100, seed); /* the smallest ring */
        messages_come_and_go(256 * 1024, seed);
        messages_come_and_go(1024 * 1024 + 2048, seed);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_may_be_under_way_to_a_member_has_room_in_its_ring),
    };
    return cmocka_run_group_tests_name("stages_peers", tests, NULL, NULL);
}
