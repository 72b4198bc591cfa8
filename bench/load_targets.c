/* Addresses are compared as text. What cannot be understood changes nothing. */
#include "bench/load_targets.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/decimal.h"

int load_target_parse(const char *text, size_t length_bytes, char host[LOAD_TARGET_HOST_BYTES],
                      char port[LOAD_TARGET_PORT_BYTES]) {
    const char *colon = memrchr(text, ':', length_bytes);
    if (colon == NULL)
        return WEIR_EINVAL;
    size_t host_bytes = (size_t)(colon - text);
    const size_t port_bytes = length_bytes - host_bytes - 1;
    const bool bracketed = host_bytes > 2 && text[0] == '[' && colon[-1] == ']';
    const size_t skip = bracketed ? 1 : 0;
    uint64_t number = 0;
    host_bytes -= 2 * skip;
    if (host_bytes == 0 || host_bytes >= LOAD_TARGET_HOST_BYTES ||
        port_bytes >= LOAD_TARGET_PORT_BYTES ||
        decimal_parse_u64(colon + 1, port_bytes, &number) != 0 || number < 1 || number > 65535)
        return WEIR_EINVAL;
    memcpy(host, text + skip, host_bytes);
    host[host_bytes] = 0;
    memcpy(port, colon + 1, port_bytes);
    port[port_bytes] = 0;
    return 0;
}

static uint32_t add(struct load_targets *targets, const char *host, const char *port, int flags) {
    for (uint32_t i = 0; i < targets->count; i++)
        if (strcmp(targets->items[i].host, host) == 0 && strcmp(targets->items[i].port, port) == 0)
            return i;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags};
    struct addrinfo *found = NULL;
    if (targets->count == LOAD_TARGETS_MAX || getaddrinfo(host, port, &hints, &found) != 0)
        return LOAD_TARGET_NONE;
    struct load_target *target = &targets->items[targets->count];
    ASSERT(found->ai_addrlen <= sizeof target->address.socket);
    memset(target, 0, sizeof *target);
    (void)snprintf(target->host, sizeof target->host, "%s", host);
    (void)snprintf(target->port, sizeof target->port, "%s", port);
    memcpy(&target->address.socket, found->ai_addr, found->ai_addrlen);
    target->address.socket_bytes = found->ai_addrlen;
    freeaddrinfo(found);
    return targets->count++;
}

uint32_t load_targets_add(struct load_targets *targets, const char *host, const char *port) {
    return add(targets, host, port, 0);
}

uint32_t load_targets_moved(struct load_targets *targets, const char *text, size_t length_bytes) {
    static const char word[] = "MOVED ";
    char host[LOAD_TARGET_HOST_BYTES];
    char port[LOAD_TARGET_PORT_BYTES];
    if (length_bytes < sizeof word || memcmp(text, word, sizeof word - 1) != 0)
        return LOAD_TARGET_NONE;
    const char *space = memchr(text + sizeof word - 1, ' ', length_bytes - (sizeof word - 1));
    if (space == NULL ||
        load_target_parse(space + 1, length_bytes - (size_t)(space + 1 - text), host, port) != 0)
        return LOAD_TARGET_NONE;
    return add(targets, host, port, AI_NUMERICHOST);
}

uint32_t load_targets_next(struct load_targets *targets, uint32_t failed) {
    ASSERT(targets->count > 0 && failed < targets->count);
    if (targets->preferred == failed)
        targets->preferred = (failed + 1) % targets->count;
    return targets->preferred;
}

/* ---- CLUSTER SLOTS --------------------------------------------------------------------------- */

/* Where a reply is read. */
struct reading {
    const char *at;
    const char *end;
};

/* Takes a line "<type>number\r\n"; false if there is none. */
static bool take_number(struct reading *reading, char type, uint64_t *number) {
    const char *line_end = memmem(reading->at, (size_t)(reading->end - reading->at), "\r\n", 2);
    if (line_end == NULL || line_end == reading->at || *reading->at != type ||
        decimal_parse_u64(reading->at + 1, (size_t)(line_end - reading->at - 1), number) != 0)
        return false;
    reading->at = line_end + 2;
    return true;
}

/* Takes a bulk string as text; false if there is none, or it has no room. */
static bool take_text(struct reading *reading, char *out, size_t room_bytes) {
    uint64_t length = 0;
    if (!take_number(reading, '$', &length) ||
        length + 2 > (uint64_t)(reading->end - reading->at) || length >= room_bytes)
        return false;
    memcpy(out, reading->at, length);
    out[length] = 0;
    reading->at += length + 2;
    return true;
}

/* Takes the head of one server in the list: host and port. */
static bool take_server(struct reading *reading, char host[LOAD_TARGET_HOST_BYTES],
                        char port[LOAD_TARGET_PORT_BYTES]) {
    uint64_t parts = 0;
    uint64_t number = 0;
    char id[64];
    if (!take_number(reading, '*', &parts) || parts < 3 || parts > 4 ||
        !take_text(reading, host, LOAD_TARGET_HOST_BYTES) || !take_number(reading, ':', &number) ||
        number > 65535 || !take_text(reading, id, sizeof id))
        return false;
    (void)snprintf(port, LOAD_TARGET_PORT_BYTES, "%u", (unsigned)number);
    uint64_t none = 1;
    return parts == 3 || (take_number(reading, '*', &none) && none == 0);
}

void load_targets_slots(struct load_targets *targets, const char *reply, size_t length_bytes) {
    struct reading reading = {reply, reply + length_bytes};
    uint64_t ranges = 0;
    uint64_t parts = 0;
    uint64_t first = 1;
    uint64_t last = 0;
    if (!take_number(&reading, '*', &ranges) || ranges == 0 ||
        !take_number(&reading, '*', &parts) || parts < 3 || !take_number(&reading, ':', &first) ||
        !take_number(&reading, ':', &last))
        return;
    targets->sharded = ranges != 1 || first != 0 || last != 16383;
    if (targets->sharded)
        return;
    for (uint64_t i = 2; i < parts && i < 2 + LOAD_TARGETS_MAX; i++) {
        char host[LOAD_TARGET_HOST_BYTES];
        char port[LOAD_TARGET_PORT_BYTES];
        if (!take_server(&reading, host, port))
            return;
        /* A member whose address nobody knows has port 0: those behind it are listed, too. */
        const bool is_known = host[0] != 0 && strcmp(port, "0") != 0;
        const uint32_t place =
            is_known ? add(targets, host, port, AI_NUMERICHOST) : LOAD_TARGET_NONE;
        if (i == 2 && place != LOAD_TARGET_NONE)
            targets->preferred = place;
    }
}
