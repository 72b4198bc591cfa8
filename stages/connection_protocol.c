/*
 * The transitions of a connection's protocol state, all of them.
 */

#include "stages/connection_protocol.h"

#include <string.h>

#include "base/assert.h"
#include "wire/reply_encode.h"

/* Not a state: there is no such transition. */
#define NONE CONNECTION_STATES

/* From (row) by event (column), if a password is required... */
static const uint8_t transitions_locked[CONNECTION_STATES][CONNECTION_EVENTS] = {
    [CONNECTION_ABSENT] = {[CONNECTION_OPENED] = CONNECTION_LOCKED,
                           [CONNECTION_UNLOCKED] = NONE,
                           [CONNECTION_RESETTED] = NONE,
                           [CONNECTION_CLOSED] = NONE,
                           [CONNECTION_ENDED] = NONE},
    [CONNECTION_LOCKED] = {[CONNECTION_OPENED] = NONE,
                           [CONNECTION_UNLOCKED] = CONNECTION_READY,
                           [CONNECTION_RESETTED] = CONNECTION_LOCKED,
                           [CONNECTION_CLOSED] = CONNECTION_CLOSING,
                           [CONNECTION_ENDED] = CONNECTION_ABSENT},
    [CONNECTION_READY] = {[CONNECTION_OPENED] = NONE,
                          [CONNECTION_UNLOCKED] = CONNECTION_READY,
                          [CONNECTION_RESETTED] = CONNECTION_LOCKED,
                          [CONNECTION_CLOSED] = CONNECTION_CLOSING,
                          [CONNECTION_ENDED] = CONNECTION_ABSENT},
    [CONNECTION_CLOSING] = {[CONNECTION_OPENED] = NONE,
                            [CONNECTION_UNLOCKED] = NONE,
                            [CONNECTION_RESETTED] = NONE,
                            [CONNECTION_CLOSED] = CONNECTION_CLOSING,
                            [CONNECTION_ENDED] = CONNECTION_ABSENT},
};

/* ... and if not, only these two differ. */
static uint8_t connection_target(uint8_t state, enum connection_event event,
                                 bool password_required) {
    uint8_t target = transitions_locked[state][event];
    return target == CONNECTION_LOCKED && !password_required ? CONNECTION_READY : target;
}

void connection_transit(struct connection *connection, enum connection_event event,
                        bool password_required) {
    ASSERT(connection->state < CONNECTION_STATES && event < CONNECTION_EVENTS);
    uint8_t target = connection_target(connection->state, event, password_required);
    ASSERT(target != NONE);
    connection->state = target;
    if (event == CONNECTION_OPENED || event == CONNECTION_RESETTED || event == CONNECTION_ENDED) {
        connection->resp_version = RESP_VERSION_2;
        connection->accepts_replica = false;
        connection->reads_chosen = false;
        connection->reply_off = false;
        memset(connection->name, 0, sizeof(connection->name));
        memset(connection->library_name, 0, sizeof(connection->library_name));
        memset(connection->library_version, 0, sizeof(connection->library_version));
    }
    if (event == CONNECTION_OPENED || event == CONNECTION_ENDED) {
        connection->reply_skip = CONNECTION_SKIPS_NOTHING; /* RESET's own reply may be skipped */
        connection->no_evict = false;
        connection->no_touch = false;
    }
}

bool connection_password_equal(const char password[NODE_PASSWORD_BYTES_MAX + 1],
                               const uint8_t *given, uint32_t length_bytes) {
    /* Every byte given is compared with some byte of the password's room; what is too long still
       costs as much as what is not. */
    uint32_t difference = length_bytes > NODE_PASSWORD_BYTES_MAX ? 1 : 0;
    uint32_t compared =
        length_bytes > NODE_PASSWORD_BYTES_MAX ? NODE_PASSWORD_BYTES_MAX : length_bytes;
    for (uint32_t i = 0; i < compared; i++) {
        /* A zero byte given is no byte of a password, though it may equal the room's filling. */
        difference |= (uint32_t)((uint8_t)password[i] ^ given[i]) | (given[i] == 0 ? 1u : 0u);
    }
    /* The password must end where the given one does. */
    difference |= (uint8_t)password[compared];
    return difference == 0;
}
