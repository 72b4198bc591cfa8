#ifndef WEIR_TESTS_SIM_NODE_TALK_H
#define WEIR_TESTS_SIM_NODE_TALK_H

/*
 * A connection of a scenario's own to one node of a group: what it says, and what it is answered
 * with, while the whole group goes on.
 */

#include "tests/sim/node_group.h"

enum { TALK_BYTES = 64 * 1024 };

struct talk {
    struct group *group;
    uint32_t node;
    struct world_client *connection; /* NULL: none */
    char text[TALK_BYTES];           /* received and not yet looked at, zero-terminated */
    size_t text_bytes;
};

/* Connects to a node that lets clients in; fails the test otherwise. */
void talk_open(struct talk *talk, struct group *group, uint32_t node);
void talk_close(struct talk *talk);

/* Sends bytes, or a text.  What they become, batch or batches, is up to what runs in between. */
void talk_send(struct talk *talk, const void *bytes, size_t length_bytes);
void talk_say(struct talk *talk, const char *text);

/*
 * Runs the group until so many replies (statuses, errors, integers, bulks) are there, at most
 * limit_ns.  Returns them, each on a line: a bulk without its length, its absence as "(nil)"; those
 * that came until then if they are fewer.  Valid until the next call.
 */
const char *talk_hear(struct talk *talk, uint32_t replies, uint64_t limit_ns);

/* One line said, one reply heard, within a second of the world. */
const char *talk_ask(struct talk *talk, const char *line);

/* Fails the test unless that reply begins so. */
void talk_expect(struct talk *talk, const char *line, const char *reply);

#endif
