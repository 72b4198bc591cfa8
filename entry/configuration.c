/*
 * The body of a configuration entry: write, judge, look up.
 *
 * Happy path: configuration_write makes bytes of a valid configuration, configuration_read the
 * same configuration of these bytes.  Failure mode: bytes that are not a valid body are refused as
 * a whole; a configuration that is not valid is never written (asserted: it would be our mistake).
 */

#include "entry/configuration.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/error.h"

/* Offsets within one member. */
enum {
    MEMBER_NODE_ID = 0,
    MEMBER_INCARNATION = 8,
    MEMBER_ROLES = 16,
    MEMBER_RESERVED = 17,
};
#define ROLES_ALL (CONFIGURATION_VOTER | CONFIGURATION_OUTGOING | CONFIGURATION_LEARNER)
#define FLAGS_ALL ((uint32_t)CONFIGURATION_LEASES)

bool configuration_valid(const struct configuration *configuration) {
    if (configuration->member_count < 1 || configuration->member_count > CONFIGURATION_MEMBERS_MAX)
        return false;
    if ((configuration->flags & ~FLAGS_ALL) != 0)
        return false;
    if (configuration->lease_ms != 0 && (configuration->flags & CONFIGURATION_LEASES) == 0)
        return false;
    bool has_voter = false;
    uint64_t previous_id = 0;
    for (uint32_t i = 0; i < configuration->member_count; i++) {
        const struct configuration_member *member = &configuration->members[i];
        const uint8_t roles = member->roles;
        if (member->node_id <= previous_id || roles == 0 || (roles & ~ROLES_ALL) != 0)
            return false;
        if ((roles & CONFIGURATION_VOTER) && (roles & CONFIGURATION_LEARNER))
            return false;
        has_voter = has_voter || (roles & CONFIGURATION_VOTER);
        previous_id = member->node_id;
    }
    return has_voter;
}

uint32_t configuration_bytes(const struct configuration *configuration) {
    ASSERT(configuration->member_count <= CONFIGURATION_MEMBERS_MAX);
    return CONFIGURATION_HEADER_BYTES + configuration->member_count * CONFIGURATION_MEMBER_BYTES;
}

uint32_t configuration_write(uint8_t *out, const struct configuration *configuration) {
    ASSERT(configuration_valid(configuration));
    const uint32_t length_bytes = configuration_bytes(configuration);
    memset(out, 0, length_bytes);
    bytes_put_u16(out, CONFIGURATION_VERSION);
    bytes_put_u16(out + 2, (uint16_t)configuration->member_count);
    bytes_put_u16(out + 4, (uint16_t)configuration->flags);
    bytes_put_u16(out + 6, configuration->lease_ms);
    uint8_t *member = out + CONFIGURATION_HEADER_BYTES;
    for (uint32_t i = 0; i < configuration->member_count; i++) {
        bytes_put_u64(member + MEMBER_NODE_ID, configuration->members[i].node_id);
        bytes_put_u64(member + MEMBER_INCARNATION, configuration->members[i].incarnation);
        member[MEMBER_ROLES] = configuration->members[i].roles;
        member += CONFIGURATION_MEMBER_BYTES;
    }
    return length_bytes;
}

int configuration_read(const uint8_t *body, size_t length_bytes, struct configuration *out) {
    if (length_bytes < CONFIGURATION_HEADER_BYTES)
        return WEIR_EINVAL;
    const uint32_t member_count = bytes_get_u16(body + 2);
    if (bytes_get_u16(body) != CONFIGURATION_VERSION || member_count > CONFIGURATION_MEMBERS_MAX)
        return WEIR_EINVAL;

    struct configuration configuration = {.member_count = member_count,
                                          .flags = bytes_get_u16(body + 4),
                                          .lease_ms = bytes_get_u16(body + 6)};
    if (length_bytes != configuration_bytes(&configuration))
        return WEIR_EINVAL;
    const uint8_t *member = body + CONFIGURATION_HEADER_BYTES;
    for (uint32_t i = 0; i < member_count; i++) {
        configuration.members[i] = (struct configuration_member){
            .node_id = bytes_get_u64(member + MEMBER_NODE_ID),
            .incarnation = bytes_get_u64(member + MEMBER_INCARNATION),
            .roles = member[MEMBER_ROLES],
        };
        for (uint32_t at = MEMBER_RESERVED; at < CONFIGURATION_MEMBER_BYTES; at++) {
            if (member[at] != 0)
                return WEIR_EINVAL;
        }
        member += CONFIGURATION_MEMBER_BYTES;
    }
    if (!configuration_valid(&configuration))
        return WEIR_EINVAL;
    *out = configuration;
    return 0;
}

const struct configuration_member *configuration_find(const struct configuration *configuration,
                                                      uint64_t node_id) {
    for (uint32_t i = 0; i < configuration->member_count; i++) {
        if (configuration->members[i].node_id == node_id)
            return &configuration->members[i];
    }
    return NULL;
}
