/*
 * The cell between write and a resolver.  See stages/peer_name.h for its states; the words that are
 * not atomic are handed over with it.
 */

#include "stages/peer_name.h"

#include <string.h>

#include "base/assert.h"
#include "queues/atomic.h"

bool peer_name_ask(struct peer_name *name, bool has_failed) {
    ASSERT(name->wake != NULL);
    /* Partner: the release in peer_name_answer; a resolver that is still at work owns the rest. */
    if (atomic_load_acquire_u32(&name->state) != PEER_NAME_QUIET) {
        return false;
    }
    name->has_failed = has_failed;
    atomic_store_release_u32(&name->state, PEER_NAME_ASKED);
    name->wake(name->context);
    return true;
}

bool peer_name_take(struct peer_name *name, char address[PEER_NAME_ADDRESS_BYTES]) {
    if (atomic_load_acquire_u32(&name->state) != PEER_NAME_ANSWERED) {
        return false;
    }
    ASSERT(memchr(name->address, '\0', sizeof(name->address)) != NULL);
    bool is_new = name->address[0] != '\0' && strcmp(name->address, address) != 0;
    if (is_new) {
        memcpy(address, name->address, PEER_NAME_ADDRESS_BYTES);
    }
    atomic_store_release_u32(&name->state, PEER_NAME_QUIET);
    return is_new;
}

bool peer_name_asked(const struct peer_name *name, bool *has_failed) {
    /* Partner: the release in peer_name_ask. */
    if (atomic_load_acquire_u32(&name->state) != PEER_NAME_ASKED) {
        return false;
    }
    *has_failed = name->has_failed;
    return true;
}

void peer_name_answer(struct peer_name *name, const char *address) {
    ASSERT(atomic_load_acquire_u32(&name->state) == PEER_NAME_ASKED);
    ASSERT(strlen(address) < PEER_NAME_ADDRESS_BYTES);
    memset(name->address, 0, sizeof(name->address));
    memcpy(name->address, address, strlen(address));
    atomic_store_release_u32(&name->state, PEER_NAME_ANSWERED);
}
