#ifndef WEIR_TOOLS_SERVE_NAMES_H
#define WEIR_TOOLS_SERVE_NAMES_H

/*
 * The resolver of members' names (stages/peer_name.h): a thread for each name, which sleeps until
 * it is asked, and asks the system (getaddrinfo: /etc/hosts, DNS, whatever nsswitch.conf says).
 *
 * A thread for each, since getaddrinfo blocks for as long as resolv.conf allows (with its defaults
 * 10 s for each name server), which is the time-out, and cannot be stopped: a name whose server
 * does not answer must not hold up another one.  They are never joined: the process ends without
 * them.  (A library that does not block would need no thread, but does not know what nsswitch.conf
 * says: a name would mean one thing to weir and another to the rest of the machine.)
 *
 * Bounds.  Between the end of one look-up of a name and the next there is a pause,
 * NAME_PAUSE_NS_MIN to NAME_PAUSE_NS_MAX, doubled by each that brings nothing new.  A failure is
 * logged once a minute at most, an address when it changes.
 */

#include "stages/peer_name.h"
#include "tools/config.h"

#define NAME_PAUSE_NS_MIN UINT64_C(250000000)
#define NAME_PAUSE_NS_MAX UINT64_C(4000000000)
#define NAME_LOG_NS       UINT64_C(60000000000)

/* Addresses of one name that are looked at. */
enum { NAME_FOUND_MAX = 8 };

/* What a look-up has found: hosts in numbers, in the order in which the system wants them tried. */
struct names_found {
    uint32_t count;
    char hosts[NAME_FOUND_MAX][PEER_NAME_ADDRESS_BYTES];
};

/* What the resolver needs of the world; tests have others. */
struct names_door {
    /* Looks a name up.  NULL: there is at least one; otherwise why there is none.  Blocks. */
    const char *(*look_up)(void *context, const char *host, struct names_found *found);
    uint64_t (*now_ns)(void *context); /* monotonic */
    void *context;
};

/* One name, and what the resolver knows of it.  Zeroed, but for name and door. */
struct names_job {
    struct peer_name *name;
    const struct names_door *door;
    char host[PEER_NAME_ADDRESS_BYTES]; /* as answered last */
    uint64_t due_ns;                    /* no look-up before */
    uint64_t pause_ns;
    uint64_t logged_ns; /* when a failure last was; 0: none since it was last found */
};

/*
 * One turn of a name's thread: answers, if that was asked and is due.  Returns when it has to be
 * called again at the latest; UINT64_MAX: when it is asked.  Blocks as long as the door does.
 */
uint64_t names_job_turn(struct names_job *job);

/*
 * Makes a member's name one that is resolved, by a thread of its own, which begins at once; what is
 * made is kept for the process's life.  Errors, with a sentence: WEIR_ENOMEM.
 */
int serve_names_add(struct peer_name **out, const struct config_member *member,
                    struct error_text *error);

#endif
