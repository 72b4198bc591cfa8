#ifndef WEIR_ENTRY_ADDRESS_H
#define WEIR_ENTRY_ADDRESS_H

/*
 * The body of an address entry: where clients reach a member.
 *
 * A member says it to the others when it connects to them; whoever leads puts it into the log, so
 * that every node can send a client to any other, also after a restart.  The latest entry about a
 * member counts.
 *
 *   offset  size  field
 *        0     8  node id, not 0
 *        8     2  length of the address, [1, ENTRY_ADDRESS_BYTES_MAX]
 *       10     6  reserved (0)
 *       16     n  the address: "host:port", a v6 host in brackets
 *        -     -  zeros to a multiple of 8
 *
 * Valid if and only if all this holds, the body ends there, the host is one to 255 bytes of
 * printable ASCII without spaces and brackets, and the port is a decimal number from 1 to 65535
 * without a leading zero.
 *
 * Pure: any thread, nothing is allocated.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ENTRY_ADDRESS_HEADER_BYTES = 16,
    /* A name of DNS has at most 255 bytes; "[", "]", ":" and 5 digits. */
    ENTRY_ADDRESS_HOST_BYTES_MAX = 255,
    ENTRY_ADDRESS_BYTES_MAX = ENTRY_ADDRESS_HOST_BYTES_MAX + 8,
    ENTRY_ADDRESS_BODY_BYTES_MAX = ENTRY_ADDRESS_HEADER_BYTES + ENTRY_ADDRESS_BYTES_MAX + 1,
};

/* An address, taken apart. */
struct entry_address {
    uint64_t node_id;
    char host[ENTRY_ADDRESS_HOST_BYTES_MAX + 1]; /* without brackets, zero-terminated */
    uint16_t port;
};

/* Takes "host:port" apart; the node id stays.  False, and *out is unchanged, if it is not valid. */
bool entry_address_parse(const char *text, size_t length_bytes, struct entry_address *out);

/* The text of a valid address, zero-terminated; returns its length. */
uint32_t entry_address_text(const struct entry_address *address,
                            char out[ENTRY_ADDRESS_BYTES_MAX + 1]);

/* Bytes of the body, a multiple of 8; and the body (so much room).  The address is valid. */
uint32_t entry_address_bytes(const struct entry_address *address);
void entry_address_write(uint8_t *body, const struct entry_address *address);

/* Reads foreign bytes; false, and *out is unchanged, if they are not valid. */
bool entry_address_read(const uint8_t *body, size_t body_bytes, struct entry_address *out);

#endif
