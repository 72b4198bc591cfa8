#ifndef WEIR_IO_ADDRESS_H
#define WEIR_IO_ADDRESS_H

/* What io_listen and io_connect_start take for an address, the same in both doors.  Internal to
 * them. */

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/decimal.h"

/* Room for a name of DNS and its end. */
enum { IO_ADDRESS_HOST_BYTES = 256 };

/* Splits "host:port" or "[v6]:port".  False if it is neither; then nothing is written. */
static inline bool io_address_split(const char *address, char host[IO_ADDRESS_HOST_BYTES],
                                    uint16_t *port_number) {
    const char *colon = strrchr(address, ':');
    if (colon == NULL)
        return false;
    const char *begin = address;
    const char *end = colon;
    if (*begin == '[') {
        if (end - begin < 3 || end[-1] != ']')
            return false;
        begin++;
        end--;
    } else if (memchr(begin, ':', (size_t)(end - begin)) != NULL) {
        return false; /* a v6 address needs its brackets */
    }
    size_t host_length = (size_t)(end - begin);
    uint64_t port = 0;
    if (host_length == 0 || host_length >= IO_ADDRESS_HOST_BYTES)
        return false;
    if (decimal_parse_u64(colon + 1, strlen(colon + 1), &port) != 0 || port > UINT16_MAX)
        return false;
    memcpy(host, begin, host_length);
    host[host_length] = '\0';
    *port_number = (uint16_t)port;
    return true;
}

/* An address as a number, in the order of the network: 4 or 16 bytes. */
struct io_address {
    uint8_t bytes[16];
    uint16_t port_number;
    bool is_v6;
};

/* Reads what a connection can be made to.  False, and nothing written, if it is a name, has no
 * port, or port 0. */
static inline bool io_address_read(const char *text, struct io_address *out) {
    char host[IO_ADDRESS_HOST_BYTES];
    struct io_address address = {.is_v6 = text[0] == '['};
    if (!io_address_split(text, host, &address.port_number) || address.port_number == 0)
        return false;
    if (inet_pton(address.is_v6 ? AF_INET6 : AF_INET, host, address.bytes) != 1)
        return false;
    *out = address;
    return true;
}

#endif
