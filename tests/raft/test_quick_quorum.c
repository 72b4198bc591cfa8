/*
 * Majorities against all subsets: a quorum is any set of members that holds more than half of the
 * incoming voters and, if there are any, more than half of the outgoing ones.
 *
 *   value   the best, over all quorums, of the smallest value in it
 *   votes   won if those who granted hold a quorum; lost if those who did not refuse hold none
 */

#include "raft/quorum.h"

#include "tests/raft/quick.h"

enum {
    EXHAUSTIVE_MEMBERS_MAX = 4,
    MEMBERS_MAX = 9,
    ROLES_COUNT = 5,
    RANDOM_CASES = 8000, /* for each number of members */
};

static const uint8_t roles_of[ROLES_COUNT] = {
    CONFIGURATION_VOTER,
    CONFIGURATION_OUTGOING,
    CONFIGURATION_VOTER | CONFIGURATION_OUTGOING,
    CONFIGURATION_LEARNER,
    CONFIGURATION_LEARNER | CONFIGURATION_OUTGOING,
};

static uint32_t bits(uint32_t set) {
    uint32_t count = 0;
    for (; set != 0; set >>= 1) {
        count += set & 1;
    }
    return count;
}

static uint32_t members_with(const struct configuration *configuration, uint8_t role) {
    uint32_t set = 0;
    for (uint32_t i = 0; i < configuration->member_count; i++) {
        set |= (configuration->members[i].roles & role) != 0 ? UINT32_C(1) << i : 0;
    }
    return set;
}

static bool twin_is_quorum(uint32_t set, uint32_t incoming, uint32_t outgoing) {
    return 2 * bits(set & incoming) > bits(incoming) &&
           (outgoing == 0 || 2 * bits(set & outgoing) > bits(outgoing));
}

static uint64_t twin_value(const struct configuration *configuration, const uint64_t *values) {
    uint32_t incoming = members_with(configuration, CONFIGURATION_VOTER);
    uint32_t outgoing = members_with(configuration, CONFIGURATION_OUTGOING);
    uint64_t best = 0;
    for (uint32_t set = 1; set < UINT32_C(1) << configuration->member_count; set++) {
        uint64_t smallest = UINT64_MAX;
        for (uint32_t i = 0; i < configuration->member_count; i++) {
            if ((set >> i & 1) != 0 && values[i] < smallest) {
                smallest = values[i];
            }
        }
        if (twin_is_quorum(set, incoming, outgoing) && smallest > best) {
            best = smallest;
        }
    }
    return best;
}

static bool twin_holds_quorum(uint32_t set, uint32_t incoming, uint32_t outgoing) {
    for (uint32_t part = 0; part <= set; part++) {
        if ((part & ~set) == 0 && twin_is_quorum(part, incoming, outgoing)) {
            return true;
        }
    }
    return false;
}

static enum quorum_result twin_votes(const struct configuration *configuration,
                                     const enum quorum_vote *votes) {
    uint32_t incoming = members_with(configuration, CONFIGURATION_VOTER);
    uint32_t outgoing = members_with(configuration, CONFIGURATION_OUTGOING);
    uint32_t granted = 0;
    uint32_t refused = 0;
    for (uint32_t i = 0; i < configuration->member_count; i++) {
        granted |= votes[i] == QUORUM_VOTE_GRANTED ? UINT32_C(1) << i : 0;
        refused |= votes[i] == QUORUM_VOTE_REFUSED ? UINT32_C(1) << i : 0;
    }
    uint32_t all = (UINT32_C(1) << configuration->member_count) - 1;
    if (twin_holds_quorum(granted, incoming, outgoing)) {
        return QUORUM_WON;
    }
    return twin_holds_quorum(all & ~refused, incoming, outgoing) ? QUORUM_PENDING : QUORUM_LOST;
}

/* The number-th assignment of roles to members. */
static struct configuration configuration_number(uint32_t member_count, uint64_t number) {
    struct configuration configuration = {.member_count = member_count};
    for (uint32_t i = 0; i < member_count; i++) {
        configuration.members[i].node_id = i + 1;
        configuration.members[i].roles = roles_of[number % ROLES_COUNT];
        number /= ROLES_COUNT;
    }
    return configuration;
}

static uint64_t power(uint64_t base, uint32_t exponent) {
    uint64_t result = 1;
    for (uint32_t i = 0; i < exponent; i++) {
        result *= base;
    }
    return result;
}

static void check_value(struct quick *quick, const struct configuration *configuration,
                        const uint64_t *values) {
    assert_int_equal(quorum_value(configuration, values), twin_value(configuration, values));
    quick->cases++;
}

static void check_votes(struct quick *quick, const struct configuration *configuration,
                        const enum quorum_vote *votes) {
    assert_int_equal(quorum_votes(configuration, votes), twin_votes(configuration, votes));
    quick->cases++;
}

static void small_values_exhaustively(void **state) {
    (void)state;
    struct quick quick = quick_begin("value of a quorum, every small case");
    for (uint32_t count = 1; count <= EXHAUSTIVE_MEMBERS_MAX; count++) {
        for (uint64_t roles = 0; roles < power(ROLES_COUNT, count); roles++) {
            struct configuration configuration = configuration_number(count, roles);
            if (!configuration_valid(&configuration)) {
                continue;
            }
            for (uint64_t number = 0; number < power(count + 1, count); number++) {
                uint64_t values[MEMBERS_MAX];
                for (uint32_t i = 0; i < count; i++) {
                    values[i] = number / power(count + 1, i) % (count + 1);
                }
                check_value(&quick, &configuration, values);
            }
        }
    }
    quick_end(&quick, 300000);
}

static void small_elections_exhaustively(void **state) {
    (void)state;
    struct quick quick = quick_begin("votes of a quorum, every small case");
    for (uint32_t count = 1; count <= EXHAUSTIVE_MEMBERS_MAX + 1; count++) {
        for (uint64_t roles = 0; roles < power(ROLES_COUNT, count); roles++) {
            struct configuration configuration = configuration_number(count, roles);
            if (!configuration_valid(&configuration)) {
                continue;
            }
            for (uint64_t number = 0; number < power(3, count); number++) {
                enum quorum_vote votes[MEMBERS_MAX];
                for (uint32_t i = 0; i < count; i++) {
                    votes[i] = (enum quorum_vote)(number / power(3, i) % 3);
                }
                check_votes(&quick, &configuration, votes);
            }
        }
    }
    quick_end(&quick, 600000);
}

static void larger_ones_at_random(void **state) {
    (void)state;
    struct quick quick = quick_begin("quorums of 1 to 9 members at random");
    for (uint32_t count = 1; count <= MEMBERS_MAX; count++) {
        for (uint32_t i = 0; i < RANDOM_CASES; i++) {
            /* A third of all are simple configurations. */
            struct configuration configuration =
                configuration_number(count, random_below(&quick.random, power(ROLES_COUNT, count)));
            bool simple = random_chance(&quick.random, 1, 3);
            uint64_t values[MEMBERS_MAX];
            enum quorum_vote votes[MEMBERS_MAX];
            for (uint32_t k = 0; k < count; k++) {
                if (simple) {
                    configuration.members[k].roles = random_chance(&quick.random, 1, 4)
                                                         ? CONFIGURATION_LEARNER
                                                         : CONFIGURATION_VOTER;
                }
                values[k] = random_chance(&quick.random, 1, 8)
                                ? random_u64(&quick.random)
                                : random_below(&quick.random, 2 * (uint64_t)count);
                votes[k] = (enum quorum_vote)random_below(&quick.random, 3);
            }
            if (configuration_valid(&configuration)) {
                check_value(&quick, &configuration, values);
                check_votes(&quick, &configuration, votes);
            }
        }
    }
    quick_end(&quick, 110000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_values_exhaustively),
        cmocka_unit_test(small_elections_exhaustively),
        cmocka_unit_test(larger_ones_at_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
