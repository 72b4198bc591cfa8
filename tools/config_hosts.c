/* What sort of host a configured one is, and the address to listen on. */

#include "tools/config.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

bool config_host_is_loopback(const char *host) {
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, host, &v4) == 1) {
        return ntohl(v4.s_addr) >> 24 == IN_LOOPBACKNET;
    }
    if (inet_pton(AF_INET6, host, &v6) == 1) {
        return IN6_IS_ADDR_LOOPBACK(&v6) ||
               (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == IN_LOOPBACKNET);
    }
    /* Of names only this one: what another stands for may change. */
    return strcasecmp(host, "localhost") == 0;
}

bool config_host_is_wildcard(const char *host) {
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, host, &v4) == 1) {
        return v4.s_addr == htonl(INADDR_ANY);
    }
    return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_UNSPECIFIED(&v6);
}

bool config_host_is_name(const char *host) {
    struct in_addr v4;
    return strchr(host, ':') == NULL && inet_pton(AF_INET, host, &v4) != 1;
}

void config_address(const struct config *config, char out[CONFIG_HOST_BYTES_MAX + 16]) {
    bool is_v6 = strchr(config->host, ':') != NULL;
    (void)snprintf(out, CONFIG_HOST_BYTES_MAX + 16, is_v6 ? "[%s]:%u" : "%s:%u", config->host,
                   config->port);
}
