/*
 * The keys of a node's place among others: its id, the other members, where it is reached.
 */

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/decimal.h"
#include "tools/config_internal.h"

/* Empty: not configured, as it is shown. */
static const char *take_announce_ip(struct config *config, const char *value) {
    if (value[0] == '\0') {
        config->announced_host[0] = '\0';
        return TAKEN;
    }
    struct config changed = *config;
    if (!config_take_host(changed.announced_host, value) ||
        config_host_is_wildcard(changed.announced_host)) {
        return "an address or a name by which clients reach this node";
    }
    *config = changed;
    return TAKEN;
}

static void show_announce_ip(const struct config *config, char *out, size_t capacity) {
    (void)snprintf(out, capacity, "%s", config->announced_host);
}

static const char *take_announce_port(struct config *config, const char *value) {
    uint64_t port = 0;
    if (!config_take_number(&port, value, 0, UINT16_MAX)) {
        return "a port, 0 to 65535 (0: the one that is listened on)";
    }
    config->announced_port = (uint16_t)port;
    return TAKEN;
}

static void show_announce_port(const struct config *config, char *out, size_t capacity) {
    config_show_number(config->announced_port, out, capacity);
}

static const char *take_advertise(struct config *config, const char *value) {
    char host[CONFIG_HOST_BYTES_MAX + 1];
    struct config changed = *config;
    if (value[0] == '\0') {
        config->announced_host[0] = '\0';
        config->announced_port = 0;
        return TAKEN;
    }
    const char *port = config_cut_port(host, value);
    if (port == NULL || take_announce_port(&changed, port) != TAKEN ||
        take_announce_ip(&changed, host) != TAKEN) {
        return "HOST:PORT by which clients reach this node, such as 192.0.2.1:7379";
    }
    *config = changed;
    return TAKEN;
}

static void show_advertise(const struct config *config, char *out, size_t capacity) {
    bool is_v6 = strchr(config->announced_host, ':') != NULL;
    out[0] = '\0';
    if (config->announced_host[0] != '\0') {
        (void)snprintf(out, capacity, is_v6 ? "[%s]:%u" : "%s:%u", config->announced_host,
                       config->announced_port);
    }
}

static const char *take_id(struct config *config, const char *value) {
    return config_take_number(&config->node_id, value, 1, UINT64_MAX) ? TAKEN
                                                                      : "a number, 1 or greater";
}

static void show_id(const struct config *config, char *out, size_t capacity) {
    config_show_number(config->node_id, out, capacity);
}

/* ---- members ------------------------------------------------------------------------------- */

/* A host and a port that somebody can connect to. */
static bool take_place(struct config_place *place, const char *value) {
    char host[CONFIG_HOST_BYTES_MAX + 1];
    struct config_place taken;
    uint64_t port = 0;
    const char *digits = config_cut_port(host, value);
    if (digits == NULL || !config_take_number(&port, digits, 1, UINT16_MAX) ||
        !config_take_host(taken.host, host)) {
        return false;
    }
    taken.port = (uint16_t)port;
    *place = taken;
    return true;
}

bool config_places_are_equal(const struct config_place *a, const struct config_place *b) {
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

/* "N=HOST:PORT" of `length` bytes, and "/HOST:PORT" for clients where that may be there. */
static bool take_member(struct config_member *member, const char *text, size_t length,
                        bool with_clients) {
    char item[3 * CONFIG_HOST_BYTES_MAX];
    struct config_member taken = {.node_id = 0};
    if (length >= sizeof(item)) {
        return false;
    }
    memcpy(item, text, length);
    item[length] = '\0';
    char *equals = strchr(item, '=');
    if (equals == NULL) {
        return false;
    }
    *equals = '\0';
    char *slash = with_clients ? strchr(equals + 1, '/') : NULL;
    if (slash != NULL) {
        *slash = '\0';
    }
    if (!config_take_number(&taken.node_id, item, 1, UINT64_MAX) ||
        !take_place(&taken.peer, equals + 1) || config_host_is_wildcard(taken.peer.host)) {
        return false;
    }
    if (slash != NULL && !take_place(&taken.client, slash + 1)) {
        return false;
    }
    *member = taken;
    return true;
}

/* Whether a member could be one beside those that are there. */
static bool member_fits(const struct config_members *members, const struct config_member *member) {
    for (uint32_t i = 0; i < members->count; i++) {
        if (members->member[i].node_id == member->node_id ||
            config_places_are_equal(&members->member[i].peer, &member->peer)) {
            return false;
        }
    }
    return members->count < CONFIGURATION_MEMBERS_MAX;
}

bool config_members_parse(struct config_members *members, const char *text, bool with_clients) {
    struct config_members taken = {.count = 0};
    for (const char *item = text;; item++) {
        struct config_member member;
        size_t length = strcspn(item, ",");
        if (!take_member(&member, item, length, with_clients) || !member_fits(&taken, &member)) {
            return false;
        }
        taken.member[taken.count++] = member;
        item += length;
        if (*item == '\0') {
            *members = taken;
            return true;
        }
    }
}

const struct config_member *config_members_find(const struct config_members *members,
                                                uint64_t node_id) {
    for (uint32_t i = 0; i < members->count; i++) {
        if (members->member[i].node_id == node_id) {
            return &members->member[i];
        }
    }
    return NULL;
}

const struct config_place *config_peer_place(const struct config *config) {
    const struct config_member *own = config_members_find(&config->peers, config->node_id);
    ASSERT(own != NULL);
    return config->peer_listen.host[0] != '\0' ? &config->peer_listen : &own->peer;
}

void config_place_text(const struct config_place *place, char out[CONFIG_HOST_BYTES_MAX + 16]) {
    bool is_v6 = strchr(place->host, ':') != NULL;
    (void)snprintf(out, CONFIG_HOST_BYTES_MAX + 16, is_v6 ? "[%s]:%u" : "%s:%u", place->host,
                   place->port);
}

static const char *take_peers(struct config *config, const char *value) {
    if (value[0] == '\0') {
        config->peers.count = 0;
        return TAKEN;
    }
    return config_members_parse(&config->peers, value, false)
               ? TAKEN
               : "the address of every member's port for members, this one's too: up to 16 "
                 "different N=HOST:PORT, such as 1=10.0.0.1:7380,2=10.0.0.2:7380,3=10.0.0.3:7380";
}

static void show_peers(const struct config *config, char *out, size_t capacity) {
    size_t used = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < config->peers.count && used < capacity; i++) {
        char place[CONFIG_HOST_BYTES_MAX + 16];
        config_place_text(&config->peers.member[i].peer, place);
        int length = snprintf(out + used, capacity - used, "%s%llu=%s", i == 0 ? "" : ",",
                              (unsigned long long)config->peers.member[i].node_id, place);
        ASSERT(length > 0);
        used += (size_t)length;
    }
}

static const char *take_peer_listen(struct config *config, const char *value) {
    if (value[0] == '\0') {
        config->peer_listen.host[0] = '\0';
        return TAKEN;
    }
    return take_place(&config->peer_listen, value)
               ? TAKEN
               : "HOST:PORT where members connect, such as 0.0.0.0:7380";
}

static void show_peer_listen(const struct config *config, char *out, size_t capacity) {
    char place[CONFIG_HOST_BYTES_MAX + 16];
    config_place_text(&config->peer_listen, place);
    (void)snprintf(out, capacity, "%s", config->peer_listen.host[0] == '\0' ? "" : place);
}

static const char *take_secret_file(struct config *config, const char *value) {
    return config_take_text(config->secret_file, sizeof(config->secret_file), value)
               ? TAKEN
               : "a path of at most 4095 bytes";
}

static void show_secret_file(const struct config *config, char *out, size_t capacity) {
    (void)snprintf(out, capacity, "%s", config->secret_file);
}

static const char *take_authentication(struct config *config, const char *value) {
    bool none = strcmp(value, "none") == 0;
    if (!none && strcmp(value, "secret") != 0) {
        return "secret (members prove that they have the one of secret-file) or none (whoever "
               "reaches the port for members is believed)";
    }
    config->peers_unauthenticated = none;
    return TAKEN;
}

static void show_authentication(const struct config *config, char *out, size_t capacity) {
    (void)snprintf(out, capacity, "%s", config->peers_unauthenticated ? "none" : "secret");
}

static const char *take_cluster_name(struct config *config, const char *value) {
    if (value[0] == '\0') {
        config->cluster_name[0] = '\0';
        return TAKEN;
    }
    bool printable = true;
    for (const char *at = value; *at != '\0'; at++) {
        /* It stands in the configuration, in unit files and in JSON, and needs no quotes there. */
        printable = printable && *at > ' ' && *at <= '~' && strchr("\"\\%#'", *at) == NULL;
    }
    return printable && config_take_text(config->cluster_name, sizeof(config->cluster_name), value)
               ? TAKEN
               : "1 to 64 printable characters, no spaces and none of \" \\ % # '";
}

static void show_cluster_name(const struct config *config, char *out, size_t capacity) {
    (void)snprintf(out, capacity, "%s", config->cluster_name);
}

static const char *take_election_timeout(struct config *config, const char *value) {
    uint64_t timeout_ms = 0;
    if (!config_take_number(&timeout_ms, value, NODE_ELECTION_TIMEOUT_MS_MIN,
                            NODE_ELECTION_TIMEOUT_MS_MAX)) {
        return "a number of milliseconds, 50 to 60000";
    }
    config->election_timeout_ms = (uint32_t)timeout_ms;
    return TAKEN;
}

static void show_election_timeout(const struct config *config, char *out, size_t capacity) {
    config_show_number(config->election_timeout_ms, out, capacity);
}

static const char *take_append_messages(struct config *config, const char *value) {
    uint64_t count = 0;
    if (!config_take_number(&count, value, 1, NODE_APPEND_MESSAGES_LIMIT)) {
        return "a number, 1 to 256";
    }
    config->append_messages_max = (uint32_t)count;
    return TAKEN;
}

static void show_append_messages(const struct config *config, char *out, size_t capacity) {
    config_show_number(config->append_messages_max, out, capacity);
}

static const char *take_append_bytes(struct config *config, const char *value) {
    return config_take_bytes(&config->append_bytes_max, value)
               ? TAKEN
               : "a number of bytes, such as 0 (as there is room) or 1mb";
}

static void show_append_bytes(const struct config *config, char *out, size_t capacity) {
    config_show_number(config->append_bytes_max, out, capacity);
}

const struct config_row config_cluster_rows[CONFIG_CLUSTER_ROWS] = {
    {"advertise", take_advertise, show_advertise},
    {"append-bytes", take_append_bytes, show_append_bytes},
    {"append-messages", take_append_messages, show_append_messages},
    {"cluster-announce-ip", take_announce_ip, show_announce_ip},
    {"cluster-announce-port", take_announce_port, show_announce_port},
    {"cluster-name", take_cluster_name, show_cluster_name},
    {"election-timeout", take_election_timeout, show_election_timeout},
    {"id", take_id, show_id},
    {"peer-authentication", take_authentication, show_authentication},
    {"peer-listen", take_peer_listen, show_peer_listen},
    {"peers", take_peers, show_peers},
    {"secret-file", take_secret_file, show_secret_file},
};

/* ---- what goes together -------------------------------------------------------------------- */

static int check_peers(const struct config *config, struct error_text *error) {
    if (config->node_id == 0) {
        error_text_set(error, "there are peers, but not which of them this node is: give --id N "
                              "(id in the configuration file)");
        return WEIR_EINVAL;
    }
    if (config_members_find(&config->peers, config->node_id) == NULL) {
        error_text_set(error,
                       "peers name no address of this node, %llu: name those of all members, this "
                       "one's too, as N=HOST:PORT",
                       (unsigned long long)config->node_id);
        return WEIR_EINVAL;
    }
    if (config->peers.count == 1) {
        error_text_set(error, "peers name this node only: name all members, or leave peers out for "
                              "a node alone");
        return WEIR_EINVAL;
    }
    if (config->secret_file[0] == '\0' && !config->peers_unauthenticated) {
        error_text_set(error, "there are peers, but no secret by which they know each other: give "
                              "--secret-file PATH, the same secret on all members (weir init makes "
                              "one), or say --peer-authentication none on a network that nobody "
                              "else reaches");
        return WEIR_EINVAL;
    }
    if (config->durability == DURABILITY_NONE) {
        error_text_set(error, "durability none is for a node alone: a member that forgets its log "
                              "when it ends takes the others' acknowledged writes along; say fsync "
                              "or write");
        return WEIR_EINVAL;
    }
    return 0;
}

int config_cluster_check(const struct config *config, struct error_text *error) {
    if (config->secret_file[0] != '\0' && config->peers_unauthenticated) {
        error_text_set(error, "secret-file %s, and peer-authentication none: leave one of both out",
                       config->secret_file);
        return WEIR_EINVAL;
    }
    if (config->peers.count > 0) {
        return check_peers(config, error);
    }
    if (config->secret_file[0] != '\0' || config->peer_listen.host[0] != '\0') {
        error_text_set(error,
                       "%s is for a node with peers, and there are none: name the members "
                       "with --peers, or leave it out",
                       config->secret_file[0] != '\0' ? "secret-file" : "peer-listen");
        return WEIR_EINVAL;
    }
    return 0;
}
