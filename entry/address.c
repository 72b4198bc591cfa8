/*
 * Addresses of members: see entry/address.h.  Failure mode: foreign bytes that are not valid.
 */

#include "entry/address.h"

#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"

enum {
    BODY_NODE = 0,
    BODY_LENGTH = 8,
    BODY_RESERVED = 10,
    PORT_MAX = UINT16_MAX,
    PORT_DIGITS_MAX = 5,
    DECIMAL = 10,
};

static bool is_host_byte(char byte) {
    return byte > ' ' && byte <= '~' && byte != '[' && byte != ']';
}

/* A port's digits; 0: they are none. */
static uint16_t port_of(const char *digits, size_t count) {
    if (count == 0 || count > PORT_DIGITS_MAX || digits[0] == '0') {
        return 0;
    }
    uint32_t port = 0;
    for (size_t i = 0; i < count; i++) {
        if (digits[i] < '0' || digits[i] > '9') {
            return 0;
        }
        port = port * DECIMAL + (uint32_t)(digits[i] - '0');
    }
    return port <= PORT_MAX ? (uint16_t)port : 0;
}

bool entry_address_parse(const char *text, size_t length_bytes, struct entry_address *out) {
    size_t colon = length_bytes;
    while (colon > 0 && text[colon - 1] != ':') {
        colon--;
    }
    if (length_bytes > ENTRY_ADDRESS_BYTES_MAX || colon == 0) {
        return false;
    }
    uint16_t port = port_of(text + colon, length_bytes - colon);
    const char *host = text;
    size_t host_bytes = colon - 1;
    bool bracketed = host_bytes >= 2 && host[0] == '[' && host[host_bytes - 1] == ']';
    if (bracketed) {
        host++;
        host_bytes -= 2;
    }
    if (port == 0 || host_bytes == 0 || host_bytes > ENTRY_ADDRESS_HOST_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < host_bytes; i++) {
        if (!is_host_byte(host[i]) || (host[i] == ':' && !bracketed)) {
            return false;
        }
    }
    memcpy(out->host, host, host_bytes);
    out->host[host_bytes] = '\0';
    out->port = port;
    return true;
}

uint32_t entry_address_text(const struct entry_address *address,
                            char out[ENTRY_ADDRESS_BYTES_MAX + 1]) {
    size_t host_bytes = strlen(address->host);
    ASSERT(host_bytes > 0 && host_bytes <= ENTRY_ADDRESS_HOST_BYTES_MAX);
    ASSERT(address->port != 0);
    bool bracketed = memchr(address->host, ':', host_bytes) != NULL;
    char *position = out;
    if (bracketed) {
        *position++ = '[';
    }
    memcpy(position, address->host, host_bytes);
    position += host_bytes;
    if (bracketed) {
        *position++ = ']';
    }
    *position++ = ':';
    uint32_t divisor = 1;
    while (address->port / divisor >= DECIMAL) {
        divisor *= DECIMAL;
    }
    for (; divisor > 0; divisor /= DECIMAL) {
        *position++ = (char)('0' + address->port / divisor % DECIMAL);
    }
    *position = '\0';
    return (uint32_t)(position - out);
}

uint32_t entry_address_bytes(const struct entry_address *address) {
    char text[ENTRY_ADDRESS_BYTES_MAX + 1];
    return ALIGN_UP(ENTRY_ADDRESS_HEADER_BYTES + entry_address_text(address, text), 8U);
}

void entry_address_write(uint8_t *body, const struct entry_address *address) {
    char text[ENTRY_ADDRESS_BYTES_MAX + 1];
    uint32_t length = entry_address_text(address, text);
    ASSERT(address->node_id != 0);
    memset(body, 0, entry_address_bytes(address));
    bytes_put_u64(body + BODY_NODE, address->node_id);
    bytes_put_u16(body + BODY_LENGTH, (uint16_t)length);
    memcpy(body + ENTRY_ADDRESS_HEADER_BYTES, text, length);
}

bool entry_address_read(const uint8_t *body, size_t body_bytes, struct entry_address *out) {
    static const uint8_t zeros[8];
    if (body_bytes < ENTRY_ADDRESS_HEADER_BYTES ||
        memcmp(body + BODY_RESERVED, zeros, ENTRY_ADDRESS_HEADER_BYTES - BODY_RESERVED) != 0) {
        return false;
    }
    uint64_t node_id = bytes_get_u64(body + BODY_NODE);
    size_t length = bytes_get_u16(body + BODY_LENGTH);
    size_t end = ENTRY_ADDRESS_HEADER_BYTES + length;
    if (node_id == 0 || body_bytes != ALIGN_UP(end, (size_t)8) ||
        memcmp(body + end, zeros, body_bytes - end) != 0 ||
        !entry_address_parse((const char *)body + ENTRY_ADDRESS_HEADER_BYTES, length, out)) {
        return false;
    }
    out->node_id = node_id;
    return true;
}
