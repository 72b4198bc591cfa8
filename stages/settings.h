#ifndef WEIR_STAGES_SETTINGS_H
#define WEIR_STAGES_SETTINGS_H

/*
 * What CONFIG SET changes while the node runs, and what CONFIG RESETSTAT has set to zero.
 *
 * Each setting is a word: 0, as configured (struct node_options), or the value in force plus 1; so
 * zeroed memory is a node of which nothing was changed.  A reader takes a glance, and sees a change
 * at some moment soon; each setting is one for which that is enough.
 *
 * Writer: validate.  Readers: any thread, by the functions of stages/node_settings.h.
 */

#include <stdint.h>

enum { NODE_PASSWORD_BYTES_MAX = 512 }; /* without the zero behind it */

/* Counters of INFO that RESETSTAT sets to zero. */
enum node_stat {
    NODE_STAT_ACCEPTED = 0,
    NODE_STAT_REJECTED,
    NODE_STAT_ACCEPT_ERRORS,
    NODE_STAT_COMMANDS,
    NODE_STAT_REFUSED,
    NODE_STAT_AUTH_FAILURES,
    NODE_STAT_MACHINE_READS,
    NODE_STAT_MACHINE_WRITES,
    NODE_STAT_RECEIVED_BYTES,
    NODE_STAT_SENT_BYTES,
    NODE_STAT_SENDS,
    NODE_STAT_BUFFERS_EXHAUSTED,
    NODE_STAT_SLOW_CUT,
    NODE_STAT_HOG_CUT,
    NODE_STAT_REPLIES_REFUSED,
    NODE_STATS,
};

struct node_settings {
    uint64_t memory_bytes_max; /* maxmemory */
    uint64_t clients_max;      /* maxclients: at most as many as there are slots */
    uint64_t snapshot_log_bytes;
    uint64_t reads; /* enum read_mode of connections that choose none */
    uint64_t log_level;
    uint64_t slow_from; /* as node_options.slow_from */
    uint64_t slow_entries;
    uint64_t
        slow_forgotten; /* entries of the slow log before this one: SLOWLOG RESET; no setting */
    uint64_t password_required; /* 1 or 0, plus 1 */
    /* The password, if one is required and password_required is set: validate reads it alone. */
    char password[NODE_PASSWORD_BYTES_MAX + 1];
    /* What the counters were when they were last set to zero. */
    uint64_t stat_bases[NODE_STATS];
};

#endif
