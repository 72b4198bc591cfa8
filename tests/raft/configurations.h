#ifndef WEIR_TESTS_RAFT_CONFIGURATIONS_H
#define WEIR_TESTS_RAFT_CONFIGURATIONS_H

/* Configurations for tests, in one line: "1v 2v 3vo 4o 5l" is members 1 to 5, v: incoming voter,
 * o: outgoing voter, l: learner.  Incarnation of member n: 100 + n. */

#include "entry/configuration.h"

/* Ids of one digit, ascending.  The result may be invalid, if the text is. */
static inline struct configuration configuration_of(const char *text) {
    struct configuration configuration = {0};
    struct configuration_member *member = NULL;
    for (const char *c = text; *c != '\0'; c++) {
        if (*c >= '0' && *c <= '9') {
            member = &configuration.members[configuration.member_count++];
            member->node_id = (uint64_t)(*c - '0');
            member->incarnation = 100 + member->node_id;
        } else if (*c == 'v') {
            member->roles |= CONFIGURATION_VOTER;
        } else if (*c == 'o') {
            member->roles |= CONFIGURATION_OUTGOING;
        } else if (*c == 'l') {
            member->roles |= CONFIGURATION_LEARNER;
        }
    }
    return configuration;
}

#endif
