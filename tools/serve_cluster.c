/* A member's options.  See tools/serve_cluster.h. */

#include "tools/serve_cluster.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/assert.h"
#include "tools/secret_file.h"
#include "tools/serve_names.h"

enum { PLACE_TEXT_BYTES = CONFIG_HOST_BYTES_MAX + 16 };

/* ---- the data directory -------------------------------------------------------------------- */

static bool is_among(const struct configuration *members, uint64_t node_id) {
    for (uint32_t i = 0; i < members->member_count; i++) {
        if (members->members[i].node_id == node_id) {
            return true;
        }
    }
    return false;
}

/* A member of the first configuration without an address is either gone, or forgotten. */
static void warn_of_missing(const struct config *config, const struct identity *identity) {
    for (uint32_t i = 0; i < identity->members.member_count; i++) {
        uint64_t node_id = identity->members.members[i].node_id;
        if (config_members_find(&config->peers, node_id) == NULL) {
            log_warn("peer_without_address",
                     "peer=%lu advice=\"it was a member when the cluster was made: name its "
                     "address in peers, unless it was removed\"",
                     node_id);
        }
    }
}

int serve_cluster_judge(const struct config *config, const struct identity *identity,
                        struct error_text *error) {
    uint32_t count = identity->members.member_count;
    bool alone = count == 1 && is_among(&identity->members, identity->node_id);
    if (config->cluster_name[0] != '\0' &&
        strcmp(config->cluster_name, identity->cluster_name) != 0) {
        error_text_set(error,
                       "the data directory %s belongs to the cluster \"%s\", not to \"%s\": give "
                       "the right --data, or the right cluster-name",
                       config->data_directory, identity->cluster_name, config->cluster_name);
        return WEIR_EIDENTITY;
    }
    if (config->peers.count == 0 && !alone) {
        error_text_set(error,
                       "the data directory %s belongs to node %llu of a cluster of %u members: say "
                       "where all of them are reached, with --peers or peers in the configuration "
                       "file",
                       config->data_directory, (unsigned long long)identity->node_id, count);
        return WEIR_EIDENTITY;
    }
    if (config->peers.count > 0 && alone) {
        error_text_set(error,
                       "the data directory %s belongs to a node alone, and there are peers: leave "
                       "them out, or choose another directory and make it with weir init",
                       config->data_directory);
        return WEIR_EIDENTITY;
    }
    if (config->peers.count > 0) {
        warn_of_missing(config, identity);
    }
    return WEIR_OK;
}

void serve_cluster_directory_missing(const struct config *config, struct error_text *error) {
    error_text_set(
        error,
        "there is no data directory %s, and a node with peers makes none by itself, lest "
        "one that lost its disk comes back as if nothing had happened: make it once, with "
        "weir init --data %s --id %llu --cluster NAME --members LIST, or weir init "
        "--config FILE",
        config->data_directory, config->data_directory, (unsigned long long)config->node_id);
}

/* ---- addresses ----------------------------------------------------------------------------- */

/* "address:port" of what is a number, as the system writes it, on the heap; NULL, with a
 * sentence. */
static char *place_number(const struct config_place *place, uint64_t node_id,
                          struct error_text *error) {
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    struct addrinfo *found = NULL;
    struct config_place numeric = {.port = place->port};
    char text[PLACE_TEXT_BYTES];
    int status = getaddrinfo(place->host, NULL, &hints, &found);
    if (status == 0) {
        status = getnameinfo(found->ai_addr, found->ai_addrlen, numeric.host, sizeof(numeric.host),
                             NULL, 0, NI_NUMERICHOST);
        freeaddrinfo(found);
    }
    if (status != 0) {
        error_text_set(error, "%s, the address of node %llu in peers, is none: %s", place->host,
                       (unsigned long long)node_id, gai_strerror(status));
        return NULL;
    }
    config_place_text(&numeric, text);
    char *kept = strdup(text);
    if (kept == NULL) {
        error_text_set(error, "no memory for the addresses of members");
    }
    return kept;
}

static int address_book(struct node_options *options, const struct config *config,
                        struct error_text *error) {
    for (uint32_t i = 0; i < config->peers.count; i++) {
        const struct config_member *member = &config->peers.member[i];
        if (member->node_id == options->identity.node_id) {
            continue;
        }
        struct node_peer peer = {.node_id = member->node_id};
        int status = WEIR_OK;
        if (config_host_is_name(member->peer.host)) {
            status = serve_names_add(&peer.name, member, error);
        } else {
            peer.address = place_number(&member->peer, member->node_id, error);
            status = peer.address == NULL ? WEIR_EINVAL : WEIR_OK;
        }
        if (status != WEIR_OK) {
            return status;
        }
        ASSERT(options->peer_count < CONFIGURATION_MEMBERS_MAX - 1);
        options->peers[options->peer_count++] = peer;
    }
    return WEIR_OK;
}

/* Where members reach this node, unless it is told to listen elsewhere. */
static int listen_place(struct node_options *options, const struct config *config,
                        struct error_text *error) {
    char text[PLACE_TEXT_BYTES];
    ASSERT(config->node_id == options->identity.node_id);
    config_place_text(config_peer_place(config), text);
    options->peer_listen_address = strdup(text);
    if (options->peer_listen_address == NULL) {
        error_text_set(error, "no memory for the addresses of members");
        return WEIR_ENOMEM;
    }
    return WEIR_OK;
}

/* ---- the secret ---------------------------------------------------------------------------- */

static int secret(struct node_options *options, const struct config *config,
                  struct error_text *error) {
    if (config->peers_unauthenticated) {
        log_warn("peers_unauthenticated",
                 "advice=\"whoever reaches the port for members can write as one\"");
        return WEIR_OK;
    }
    struct mac_key *key = malloc(sizeof(*key));
    if (key == NULL) {
        error_text_set(error, "no memory for the secret");
        return WEIR_ENOMEM;
    }
    int status = secret_file_read(config->secret_file, key, error);
    if (status != WEIR_OK) {
        free(key);
        return status;
    }
    options->peer_secret = key;
    return WEIR_OK;
}

int serve_cluster_options(struct node_options *options, const struct config *config,
                          struct error_text *error) {
    if (config->peers.count == 0) {
        return WEIR_OK;
    }
    int status = secret(options, config, error);
    if (status == WEIR_OK) {
        status = address_book(options, config, error);
    }
    if (status == WEIR_OK) {
        status = listen_place(options, config, error);
    }
    return status;
}
