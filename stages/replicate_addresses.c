/*
 * Where clients reach the members: said by each, logged by the leader.
 *
 * Happy path: a member's control connection brings its address, this node leads, and the log says
 * something else, or nothing: an address entry is appended.  Its own address is treated alike.
 * Every node remembers what the others have said, for the time when it leads.
 *
 * Failure modes: not the leader: nothing is appended.  No room in the log, or among what is
 * uncommitted: tried again.  One entry at a time: what the log says is known when it is applied.
 */

#include <string.h>

#include "base/assert.h"
#include "stages/replicate_internal.h"

/* This node's own address, once it is known on which port it listens. */
static void own_note(struct replicate_shard *shard) {
    struct entry_address own;
    if (node_endpoint_configured(shard->node, shard->node->options->identity.node_id, &own) &&
        own.host[0] != '\0' && own.port != 0) {
        /* Others judge what is logged: what they would not take is not logged. */
        char text[ENTRY_ADDRESS_BYTES_MAX + 1];
        if (!entry_address_parse(text, entry_address_text(&own, text), &own)) {
            return;
        }
        shard->peers->addresses.announced[PEERS_MAX] = own;
    }
}

void replicate_address_announced(struct replicate_shard *shard, const struct peer_link *link,
                                 const struct entry_address *address) {
    struct replicate_addresses *addresses = &shard->peers->addresses;
    size_t row = (size_t)(link - shard->links->links);
    ASSERT(row < PEERS_MAX);
    ASSERT(address->node_id == 0 || address->node_id == link->node_id);
    if (address->node_id != 0) {
        addresses->announced[row] = *address;
        addresses->look = true;
    }
}

/* Whether the log says so already. */
static bool known(const struct replicate_shard *shard, const struct entry_address *address) {
    struct entry_address logged;
    return addresses_find(&shard->node->addresses, address->node_id, &logged) &&
           logged.port == address->port && strcmp(logged.host, address->host) == 0;
}

/* The first address that the log does not have; NULL: there is none. */
static const struct entry_address *missing(const struct replicate_shard *shard) {
    const struct configuration *configuration = raft_configuration(shard->raft);
    for (uint32_t i = 0; i <= PEERS_MAX; i++) {
        const struct entry_address *address = &shard->peers->addresses.announced[i];
        if (i < PEERS_MAX &&
            !replicate_members_heard(shard, &shard->links->links[i], PEER_CONTROL)) {
            continue; /* not of one that is not let in */
        }
        if (address->node_id != 0 && configuration_find(configuration, address->node_id) != NULL &&
            !known(shard, address)) {
            return address;
        }
    }
    return NULL;
}

bool replicate_address_entry(struct replicate_shard *shard, uint64_t now_ns) {
    if (shard->peers == NULL || !shard->serving || shard->encode.batch != NULL ||
        raft_role(shard->raft) != RAFT_LEADER || replicate_incoming_busy(shard)) {
        return false;
    }
    struct replicate_addresses *addresses = &shard->peers->addresses;
    if (addresses->leadership != shard->leadership) {
        addresses->leadership = shard->leadership;
        addresses->look = true;
        addresses->pending_index = 0;
        own_note(shard);
    }
    if (!addresses->look || addresses->pending_index > shard->applied) {
        return false;
    }
    const struct entry_address *address = missing(shard);
    if (address == NULL) {
        addresses->look = false;
        return false;
    }
    uint64_t index;
    uint64_t term;
    uint32_t length_bytes = ENTRY_HEADER_BYTES + entry_address_bytes(address);
    int result = raft_propose(shard->raft, 1, length_bytes, &index, &term);
    uint8_t *entry = result == WEIR_OK ? log_reserve(shard->log, length_bytes, true) : NULL;
    if (entry == NULL) {
        return false; /* what makes room, a commit or a write, brings us here again */
    }
    entry_address_write(entry + ENTRY_HEADER_BYTES, address);
    struct entry_header header = {.length_bytes = length_bytes,
                                  .kind = ENTRY_ADDRESS,
                                  .version = ENTRY_VERSION,
                                  .term = term,
                                  .log_time_ms = replicate_log_time(shard, now_ns)};
    addresses->pending_index = index;
    uint64_t appended = replicate_append(shard, &header);
    ASSERT(appended == index);
    return true;
}
