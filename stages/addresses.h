#ifndef WEIR_STAGES_ADDRESSES_H
#define WEIR_STAGES_ADDRESSES_H

/*
 * Where clients reach the members, as the log says.
 *
 * The table is a function of the log up to an entry (ENTRY_ADDRESS), and so in snapshots.  Apply
 * keeps it; everybody reads it: validate and apply for redirects and CLUSTER, replicate to see what
 * the log does not say yet.
 *
 * Bounds: as many rows as there may be members.  Who is no member any more keeps its row until the
 * room is needed: the row that was written the longest ago is then replaced.
 *
 * One writer, apply.  A row is copied word by word between two changes of its version: whoever
 * finds the version odd, or changed meanwhile, copies again.  The writer never waits; it changes a
 * row once in a process's life or so.
 *
 * In a snapshot, little-endian, the first of the host's records (stages/sessions.h has the others,
 * whose ids are not 0):
 *
 *   offset  size  field
 *        0     8  0
 *        8    32  0
 *       40     4  record length
 *       44     4  number of addresses, [1, ADDRESSES_MAX]; for each, the one written the longest
 *                 ago first: u32 length of its body, u32 0, the body (entry/address.h)
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "entry/address.h"
#include "entry/configuration.h"

/* Rows, and sizes of the record. */
enum {
    ADDRESSES_MAX = CONFIGURATION_MEMBERS_MAX,
    ADDRESSES_WORDS = sizeof(struct entry_address) / 4,
    ADDRESSES_RECORD_HEADER_BYTES = 48,
    ADDRESSES_RECORD_BYTES_MAX =
        ADDRESSES_RECORD_HEADER_BYTES + ADDRESSES_MAX * (8 + ENTRY_ADDRESS_BODY_BYTES_MAX),
};

/* Zeroed: empty.  The fields belong to addresses.c. */
struct addresses {
    struct addresses_row {
        uint32_t version; /* odd while it changes.  Writer: apply.  Readers: any thread */
        uint32_t words[ADDRESSES_WORDS]; /* a struct entry_address */
        uint64_t order;                  /* apply's: when it was written */
    } rows[ADDRESSES_MAX];
    uint64_t order; /* apply's: of the next write */
};

/* The row of a member.  False, and *out is unchanged, if the log said nothing of it.  Any thread.
 */
bool addresses_find(const struct addresses *addresses, uint64_t node_id, struct entry_address *out);

/* The log says this.  Apply only. */
void addresses_set(struct addresses *addresses, const struct entry_address *address);

/* Bytes of the record for a snapshot, a multiple of 8; 0: there is nothing to keep.  And the
 * record.  Apply only. */
uint32_t addresses_record_bytes(const struct addresses *addresses);
void addresses_record_write(const struct addresses *addresses, uint8_t *out);

/* Whether what begins here (at least 48 bytes) is such a record and not a session's. */
bool addresses_record_is(const uint8_t *bytes, size_t length_bytes);

/*
 * Reads a record in place of what the table holds; *length_out is its length.
 * Errors: WEIR_ECORRUPT, and the table is empty, if it is not valid.  Apply only.
 */
int addresses_restore(struct addresses *addresses, const uint8_t *bytes, size_t length_bytes,
                      size_t *length_out);

#endif
