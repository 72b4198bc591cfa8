#ifndef WEIR_TOOLS_CONFIG_H
#define WEIR_TOOLS_CONFIG_H

/*
 * What an operator can configure, wherever it is written.
 *
 * A configuration is a set of keys.  Each has one place in struct config, one default, one range,
 * and one function that takes its value; the file, the command line and the tests set it through
 * that function, so a value means the same everywhere.  Where Redis has a key for the thing, the
 * key is Redis's, with its spelling of values (100mb, notice).
 *
 * The file, as Redis's: a line is a key, blanks, and a value; '#' begins a comment line; a value
 * may stand in "double quotes" (with \" \\ \n \r \t \xHH inside) or 'single' ones.  A key that we
 * do not know is an error: what is configured and not done is worse than a refusal to start.
 *
 * Nothing here is used after the start.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/log.h"
#include "stages/map.h"
#include "stages/node.h"
#include "storage/identity.h"

/* Lengths of texts, without the zero byte. */
enum {
    CONFIG_PATH_BYTES_MAX = 4095,
    CONFIG_HOST_BYTES_MAX = 255,
    CONFIG_LINE_BYTES_MAX = 8191,
    CONFIG_NAME_BYTES_MAX = 31,
};

/* An address, or a name, and a port. */
struct config_place {
    char host[CONFIG_HOST_BYTES_MAX + 1]; /* without brackets; empty: not given */
    uint16_t port;
};

/* A member of a cluster. */
struct config_member {
    uint64_t node_id;           /* not 0 */
    struct config_place peer;   /* where members reach it */
    struct config_place client; /* where clients do, if that was named */
};
struct config_members {
    uint32_t count;
    struct config_member member[CONFIGURATION_MEMBERS_MAX]; /* in the order given */
};

/* Everything that is configured; see the table in config.c for the keys. */
struct config {
    char data_directory[CONFIG_PATH_BYTES_MAX + 1]; /* dir */
    char host[CONFIG_HOST_BYTES_MAX + 1];           /* bind, listen: without brackets */
    uint16_t port;                                  /* port, listen; 0: any */
    char
        announced_host[CONFIG_HOST_BYTES_MAX + 1]; /* cluster-announce-ip, advertise; empty: host */
    uint16_t announced_port;                       /* cluster-announce-port; 0: that in use */
    uint64_t node_id;                              /* id; 0: not given */
    char cluster_name[IDENTITY_NAME_BYTES_MAX + 1]; /* cluster-name; empty: not given */
    struct config_members peers;                    /* peers: all members; none: a node alone */
    struct config_place peer_listen;                /* peer-listen; no host: as in peers */
    char secret_file[CONFIG_PATH_BYTES_MAX + 1];    /* secret-file; empty: none */
    bool peers_unauthenticated;                     /* peer-authentication none */
    char map[MAP_TEXT_BYTES_MAX];                   /* map; empty: chosen for this machine */
    uint32_t cores_max;                             /* cores; 0: all that the process may use */
    char machine[CONFIG_NAME_BYTES_MAX + 1];        /* machine */
    enum durability durability;                     /* durability */
    char password[NODE_PASSWORD_BYTES_MAX + 1];     /* requirepass; empty: none */
    uint32_t connections_max;                       /* maxclients */
    bool connections_max_given;                     /* somebody configured it */
    uint64_t memory_bytes_max;                      /* maxmemory; 0: no limit */
    uint32_t bulk_bytes_max;                        /* proto-max-bulk-len */
    uint64_t snapshot_log_bytes;                    /* snapshot-log-bytes; 0: never */
    uint64_t slow_from;             /* slowlog-log-slower-than, us, plus 1; 0: nothing is slow */
    uint64_t slow_entries;          /* slowlog-max-len */
    uint64_t snapshot_rate_bytes_s; /* snapshot-rate; 0: no limit */
    uint8_t reads;                  /* reads: enum read_mode */
    enum node_leases leases;        /* leases */
    uint32_t election_timeout_ms;   /* election-timeout */
    uint32_t append_messages_max;   /* append-messages */
    uint64_t append_bytes_max;      /* append-bytes; 0: as there is room */
    uint64_t log_time_jump_s_max;   /* log-time-jump-max; 0: no limit */
    enum log_level log_level;       /* loglevel */
    uint32_t io_features;           /* io-features: mask of enum io_feature */
};

/* The defaults. */
void config_default(struct config *config);

/*
 * Sets one key.  `where` names the place for the error sentence ("weir.conf:3", "--map").
 * Errors, with config unchanged: WEIR_ENOENT, there is no such key (the nearest is named);
 * WEIR_EINVAL, the value is not one that the key takes (those that it takes are named).
 */
int config_set(struct config *config, const char *key, const char *value, const char *where,
               struct error_text *error);

/*
 * Reads a file and sets what it says, from its first line to its last; of a key that stands twice
 * the last one counts.  Blocks.  Errors: those of config_set with file and line, WEIR_EINVAL also
 * for a line that is no key and value, WEIR_ENOENT or WEIR_EIO if the file cannot be read.
 */
int config_read(struct config *config, const char *path, struct error_text *error);

/* Splits a line into key and value, in place.  1: there is a key; 0: the line is empty or a
 * comment; WEIR_EINVAL with what is wrong (without the place). */
int config_line_split(char *line, char **key, char **value, struct error_text *error);

/*
 * Reads "N=HOST:PORT,...", all of different nodes and places, with clients also
 * "N=HOST:PORT/HOST:PORT", the second one being where clients connect.  False, and *members
 * unchanged, if it is none.
 */
bool config_members_parse(struct config_members *members, const char *text, bool with_clients);

/* The member with an id; NULL: none. */
const struct config_member *config_members_find(const struct config_members *members,
                                                uint64_t node_id);

/* Whether both are one host, by the same name, and one port. */
bool config_places_are_equal(const struct config_place *a, const struct config_place *b);

/* Where members connect to the node itself: of a configuration that has passed
 * config_cluster_check, and has peers. */
const struct config_place *config_peer_place(const struct config *config);

/* "host:port", with brackets around a v6 address. */
void config_place_text(const struct config_place *place, char out[CONFIG_HOST_BYTES_MAX + 16]);

/* Whether what is configured of a cluster goes together.  Errors: WEIR_EINVAL, with what is missing
 * or too much, and what to do. */
int config_cluster_check(const struct config *config, struct error_text *error);

/* The value of a key as it is in force, as CONFIG GET shows it, into `out`; false if the key is
 * never shown (a secret). */
bool config_show(const struct config *config, const char *key, char *out, size_t capacity);

/* Number of keys, and key `index`. */
uint32_t config_key_count(void);
const char *config_key(uint32_t index);

/* Whether the host is one that only this machine can reach. */
bool config_host_is_loopback(const char *host);

/* Whether the host is no address of anybody's but stands for all of a machine's: 0.0.0.0 or ::. */
bool config_host_is_wildcard(const char *host);

/* Whether the host is a name, which may stand for any address. */
bool config_host_is_name(const char *host);

/* "host:port", with brackets around a v6 address. */
void config_address(const struct config *config, char out[CONFIG_HOST_BYTES_MAX + 16]);

#endif
