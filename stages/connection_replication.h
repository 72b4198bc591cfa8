#ifndef WEIR_STAGES_CONNECTION_REPLICATION_H
#define WEIR_STAGES_CONNECTION_REPLICATION_H

/*
 * What INFO says of other members; part of stages/connection_info.c's text, and of its bound.
 */

#include "stages/connection_run.h"

enum {
    /* Two lines of each other member, one with a host; those of the leader, and of heartbeats. */
    CONNECTION_MEMBER_BYTES = 2 * 256 + NODE_HOST_BYTES_MAX,
    CONNECTION_REPLICATION_BYTES = (CONFIGURATION_MEMBERS_MAX - 1) * CONNECTION_MEMBER_BYTES + 512 +
                                   NODE_HOST_BYTES_MAX + 2 * 128,
};

/* The lines of the section replication. */
void connection_replication_add(struct connection_run *run);

/* A line of each other member, for the section raft. */
void connection_members_add(struct connection_run *run);

/* What it and the leader know of heartbeats: how many, and how late they were, in microseconds. */
void connection_heartbeats_add(struct connection_run *run);

#endif
