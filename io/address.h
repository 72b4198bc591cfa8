#ifndef WEIR_IO_ADDRESS_H
#define WEIR_IO_ADDRESS_H

/* What io_listen takes for an address, the same in both doors.  Internal to them. */

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    IO_ADDRESS_HOST_BYTES = 256, /* a name of DNS, with its end */
    IO_ADDRESS_PORT_BYTES = 8,   /* "65535", with its end */
};

/* Splits "host:port" or "[v6]:port".  False if it is neither. */
static inline bool io_address_split(const char *address, char host[IO_ADDRESS_HOST_BYTES],
                                    char port[IO_ADDRESS_PORT_BYTES]) {
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
    size_t port_length = strlen(colon + 1);
    if (host_length == 0 || host_length >= IO_ADDRESS_HOST_BYTES || port_length == 0 ||
        port_length >= IO_ADDRESS_PORT_BYTES)
        return false;
    if (strspn(colon + 1, "0123456789") != port_length || atol(colon + 1) > UINT16_MAX)
        return false;
    memcpy(host, begin, host_length);
    host[host_length] = '\0';
    memcpy(port, colon + 1, port_length + 1);
    return true;
}

#endif
