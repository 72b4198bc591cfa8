#ifndef WEIR_ENTRY_CONFIGURATION_H
#define WEIR_ENTRY_CONFIGURATION_H

/*
 * The body of a configuration entry: who the members are and which life of each counts.
 *
 * A configuration is three sets of node ids (incoming voters, outgoing voters, learners) as in
 * joint consensus (Ongaro's dissertation, 4.3), each with the incarnation that the cluster knows
 * it by.  An incarnation is a random number drawn when a data directory is created.  A node that
 * lost its disk has another one and is therefore not mistaken for the member that promised its
 * vote.  Incarnation 0 stands for "not yet known": entry 1 is created identically on every node
 * before they have met; they exchange incarnations before their first vote.
 *
 *   offset  size  field
 *        0     2  version (1)
 *        2     2  member count, [1, CONFIGURATION_MEMBERS_MAX]
 *        4     2  flags, enum configuration_flag
 *        6     2  length of a lease in ms; 0: not said here, or there are no leases
 *        8  32*n  members, sorted by id:
 *                   u64 node id (not 0), u64 incarnation, u8 roles, 15 bytes reserved (0)
 *
 * Valid if and only if: no flag is unknown, a lease has a length only where there are leases, ids
 * are strictly ascending and not 0, roles are a non-empty subset of the three bits, a learner is
 * not an incoming voter, and at least one member is an incoming voter.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sizes of the format above. */
enum {
    CONFIGURATION_VERSION = 1,
    CONFIGURATION_MEMBERS_MAX = 16,
    CONFIGURATION_HEADER_BYTES = 8,
    CONFIGURATION_MEMBER_BYTES = 32,
    CONFIGURATION_BYTES_MAX =
        CONFIGURATION_HEADER_BYTES + CONFIGURATION_MEMBERS_MAX * CONFIGURATION_MEMBER_BYTES,
};

enum configuration_role {
    CONFIGURATION_VOTER = 1,    /* in the incoming (or only) set of voters */
    CONFIGURATION_OUTGOING = 2, /* in the outgoing set of voters of a joint configuration */
    CONFIGURATION_LEARNER = 4,
};

/* What all members agree on beside their roles. */
enum configuration_flag {
    /* Leases may serve reads; so a voter grants nothing for the length of a lease after its last
     * answer to a leader, and after its own start. */
    CONFIGURATION_LEASES = 1,
};

enum {
    /* A lease whose length is not said: versions that said none had an election time-out of 200 ms,
     * which could not be configured.  It is not the reader's own time-out: members whose time-outs
     * differ would read one configuration differently, and a leader that then logs its own length
     * would not void what it earned before. */
    CONFIGURATION_LEASE_UNSAID_MS = 200,
};

struct configuration_member {
    uint64_t node_id;     /* not 0 */
    uint64_t incarnation; /* 0: not yet known */
    uint8_t roles;        /* enum configuration_role */
};

struct configuration {
    uint32_t member_count;
    uint32_t flags;    /* enum configuration_flag */
    uint16_t lease_ms; /* with CONFIGURATION_LEASES: how long a lease is, before what two clocks may
                          differ in; 0: CONFIGURATION_LEASE_UNSAID_MS */
    struct configuration_member members[CONFIGURATION_MEMBERS_MAX]; /* sorted by id */
};

/* True if it is valid as said above.  Pure; any thread. */
bool configuration_valid(const struct configuration *configuration);

/* Bytes that configuration_write will write. */
uint32_t configuration_bytes(const struct configuration *configuration);

/* Writes a valid configuration to `out`; returns the bytes written. */
uint32_t configuration_write(uint8_t *out, const struct configuration *configuration);

/* Reads foreign bytes.  Errors: WEIR_EINVAL if the body is not valid; `out` is then unchanged. */
int configuration_read(const uint8_t *body, size_t length_bytes, struct configuration *out);

/* The member with this id, or NULL. */
const struct configuration_member *configuration_find(const struct configuration *configuration,
                                                      uint64_t node_id);

#endif
