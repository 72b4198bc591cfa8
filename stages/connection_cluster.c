/*
 * CLUSTER, READONLY and READWRITE.
 *
 * One leader serves all slots; the other members are its replicas.  Members are those of the
 * configuration, leader and term are figures (one glance each), addresses are the options'.  What
 * is not known is not made up: a member without a known address has the host "?" (in NODES ":0"
 * and the flag noaddr), and before a leader was ever known nobody serves the slots.
 *
 * While none is known, as between two of them, SLOTS, SHARDS and NODES go on naming the last one,
 * as Redis does until another master has taken over: clients of a cluster (python3-redis, say) are
 * at a loss with a cluster without masters.  INFO says that the state is fail.
 *
 * NODES has the leader once more, under an id that no member has: redis-benchmark --cluster refuses
 * a cluster with fewer than two masters that have slots, and never looks at other flags than slave
 * and myself.  The line has the leader's address, so whoever believes it is served, and the flags
 * noaddr and disconnected, for which other clients skip it.  It comes before the members, so that
 * who keeps lines by address keeps theirs.
 *
 * READONLY says that the connection takes what a replica may answer: a node that does not lead then
 * answers its reads from what it has applied (stages/consistency.h).  It is shown as flag r of
 * CLIENT LIST.
 */

#include "stages/connection_run.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/checksum.h"
#include "raft/raft.h"
#include "wire/cluster_slot.h"

enum {
    /* As Redis's ids: 40 digits. */
    CLUSTER_ID_BYTES = 40,
    /* KEYSLOT: the longest key of any machine. */
    CLUSTER_KEY_BYTES_MAX = 64 * 1024,
    /* A line of NODES: two ids, a host, flags and numbers of at most 20 digits. */
    CLUSTER_LINE_BYTES_MAX = 2 * CLUSTER_ID_BYTES + NODE_HOST_BYTES_MAX + 177,
    CLUSTER_NODES_BYTES_MAX = (CONFIGURATION_MEMBERS_MAX + 1) * CLUSTER_LINE_BYTES_MAX,
    CLUSTER_INFO_BYTES_MAX = 512, /* 11 lines of at most 45 bytes */
};
_Static_assert(CLUSTER_KEY_BYTES_MAX / CLUSTER_SLOT_UNIT_BYTES + STAGE_POLL_UNITS + 64 <=
                   STAGE_POLL_UNITS_MAX,
               "the longest KEYSLOT ends within the poll that begins it");

/* ---- members ------------------------------------------------------------------------------- */

/* A member as it is shown. */
struct cluster_member {
    char id[CLUSTER_ID_BYTES + 1];
    /* "?": not known; empty, of this node only: where the client reached it */
    char host[ENTRY_ADDRESS_HOST_BYTES_MAX + 1];
    uint16_t port;
    bool known; /* the address */
    bool self;
    bool leads;
};

/* The leader of a recent moment, which is a member; 0: none is known. */
static uint64_t cluster_leader(const struct connection_run *run) {
    uint64_t leader = node_figure(&run->node->replicate.leader);
    return configuration_find(&run->node->options->identity.members, leader) != NULL ? leader : 0;
}

/* Whose the slots are: the leader's, or while none is known the last one's; 0: none ever was. */
static uint64_t cluster_owner(const struct connection_run *run) {
    uint64_t leader = cluster_leader(run);
    if (leader != 0 || node_figure(&run->node->replicate.leader) != 0) {
        return leader;
    }
    uint64_t last = node_figure(&run->node->replicate.leader_last);
    return configuration_find(&run->node->options->identity.members, last) != NULL ? last : 0;
}

/*
 * A member's id: the cluster's id, a checksum of node id and incarnation, and the low half of the
 * node id.  It is the same as long as the member keeps its data directory.  Of another member that
 * was never met the incarnation is not known (0); the id then differs from what that one says of
 * itself.
 */
static void cluster_id_write(const struct identity *identity,
                             const struct configuration_member *member,
                             char out[CLUSTER_ID_BYTES + 1]) {
    bool self = member->node_id == identity->node_id;
    uint64_t life[2] = {member->node_id, self ? identity->incarnation : member->incarnation};
    uint8_t bytes[sizeof(life)];
    bytes_put_u64(bytes, life[0]);
    bytes_put_u64(bytes + sizeof(life[0]), life[1]);
    int written = snprintf(
        out, CLUSTER_ID_BYTES + 1, "%016llx%016llx%08x", (unsigned long long)identity->cluster_id,
        (unsigned long long)checksum_64(bytes, sizeof(bytes), identity->cluster_id),
        (unsigned)(member->node_id & UINT32_MAX));
    ASSERT(written == CLUSTER_ID_BYTES);
}

/* In which life this node knows another member, by what replicate has published; 0: in none. */
static uint64_t incarnation_known(const struct connection_run *run, uint64_t node_id) {
    const struct node_peer_figures *figures = run->node->peer_figures;
    for (uint32_t row = 0; row < CONFIGURATION_MEMBERS_MAX - 1; row++) {
        if (node_figure(&figures[row].node_id) == node_id) {
            return node_figure(&figures[row].incarnation);
        }
    }
    return 0;
}

static struct cluster_member cluster_member_at(const struct connection_run *run, uint32_t index,
                                               uint64_t leader) {
    const struct identity *identity = &run->node->options->identity;
    ASSERT(index < identity->members.member_count);
    const struct configuration_member *member = &identity->members.members[index];
    struct configuration_member met = *member;
    struct cluster_member shown = {.host = "?",
                                   .self = member->node_id == identity->node_id,
                                   .leads = member->node_id == leader};
    if (met.incarnation == 0) {
        met.incarnation = incarnation_known(run, member->node_id);
    }
    cluster_id_write(identity, &met, shown.id);
    struct entry_address endpoint;
    if (node_endpoint_find(run->node, member->node_id, &endpoint) &&
        (endpoint.host[0] != '\0' || shown.self)) {
        memcpy(shown.host, endpoint.host, sizeof(shown.host));
        shown.port = endpoint.port;
        shown.known = true;
    }
    return shown;
}

static uint32_t cluster_member_count(const struct connection_run *run) {
    return run->node->options->identity.members.member_count;
}

static void text_bulk(struct reply_writer *writer, const char *text) {
    reply_bulk(writer, text, strlen(text));
}

/* ---- MYID, KEYSLOT, INFO ------------------------------------------------------------------- */

void connection_cluster_myid_write(const struct connection_run *run, struct reply_writer *writer) {
    const struct identity *identity = &run->node->options->identity;
    struct configuration_member self = {.node_id = identity->node_id};
    char id[CLUSTER_ID_BYTES + 1];
    cluster_id_write(identity, &self, id);
    text_bulk(writer, id);
}

enum connection_step connection_cluster_keyslot(struct connection_run *run) {
    uint32_t length = 0;
    const uint8_t *key = batch_argument(run->batch, run->command, 2, &length);
    if (length > CLUSTER_KEY_BYTES_MAX) {
        return connection_canned(run, CONNECTION_REPLY_KEY_LENGTH);
    }
    run->note = cluster_slot(key, length);
    run->units = length / CLUSTER_SLOT_UNIT_BYTES;
    return CONNECTION_WRITES;
}

void connection_cluster_keyslot_write(const struct connection_run *run,
                                      struct reply_writer *writer) {
    ASSERT(run->note < CLUSTER_SLOTS);
    reply_integer(writer, run->note);
}

void connection_cluster_info_write(const struct connection_run *run, struct reply_writer *writer) {
    char text[CLUSTER_INFO_BYTES_MAX];
    bool led = cluster_leader(run) != 0;
    unsigned slots = led ? CLUSTER_SLOTS : 0;
    unsigned long long term = node_figure(&run->node->replicate.term);
    /* pfail and fail: nobody is suspected, for nobody is watched. */
    int written = snprintf(text, sizeof(text),
                           "cluster_state:%s\r\n"
                           "cluster_slots_assigned:%u\r\n"
                           "cluster_slots_ok:%u\r\n"
                           "cluster_slots_pfail:0\r\n"
                           "cluster_slots_fail:0\r\n"
                           "cluster_known_nodes:%u\r\n"
                           "cluster_size:%d\r\n"
                           "cluster_current_epoch:%llu\r\n"
                           "cluster_my_epoch:%llu\r\n",
                           led ? "ok" : "fail", slots, slots, cluster_member_count(run),
                           led ? 1 : 0, term, term);
    ASSERT(written > 0 && (size_t)written < sizeof(text));
    reply_verbatim(writer, "txt", text, (size_t)written);
}

/* ---- NODES --------------------------------------------------------------------------------- */

/* "<id> <host>:<port>@<peer port> <flags> <leader's id or -> <ping> <pong> <term> <link> <slots>".
 * Pings there are none, nor is a peer port configured, nor a link to another member. */
static size_t cluster_line_write(char *out, const struct cluster_member *member,
                                 const char *leader_id, uint64_t term) {
    int written =
        snprintf(out, CLUSTER_LINE_BYTES_MAX, "%s %s:%u@0 %s%s%s %s 0 0 %llu %s%s\n", member->id,
                 member->known ? member->host : "", member->port, member->self ? "myself," : "",
                 member->leads ? "master" : "slave", member->known ? "" : ",noaddr",
                 member->leads ? "-" : leader_id, (unsigned long long)term,
                 member->self ? "connected" : "disconnected", member->leads ? " 0-16383" : "");
    ASSERT(written > 0 && written < CLUSTER_LINE_BYTES_MAX);
    return (size_t)written;
}
_Static_assert(CLUSTER_SLOTS == 16384, "the line says so");

/* The leader's second line; see above. */
static size_t cluster_second_line_write(char *out, const struct cluster_member *leader,
                                        uint64_t term) {
    char id[CLUSTER_ID_BYTES + 1];
    memcpy(id, leader->id, sizeof(id));
    /* No member's: who differs in the last digit differs in the checksum. */
    id[CLUSTER_ID_BYTES - 1] = id[CLUSTER_ID_BYTES - 1] == '0' ? '1' : '0';
    int written = snprintf(out, CLUSTER_LINE_BYTES_MAX,
                           "%s %s:%u@0 master,noaddr - 0 0 %llu disconnected 0-16383\n", id,
                           leader->host, leader->port, (unsigned long long)term);
    ASSERT(leader->known && written > 0 && written < CLUSTER_LINE_BYTES_MAX);
    return (size_t)written;
}

void connection_cluster_nodes_write(const struct connection_run *run, struct reply_writer *writer) {
    char text[CLUSTER_NODES_BYTES_MAX];
    char leader_id[CLUSTER_ID_BYTES + 1] = "-";
    size_t used = 0;
    uint64_t leader = cluster_owner(run);
    uint64_t term = node_figure(&run->node->replicate.term);
    for (uint32_t i = 0; i < cluster_member_count(run); i++) {
        struct cluster_member member = cluster_member_at(run, i, leader);
        if (member.leads) {
            memcpy(leader_id, member.id, sizeof(leader_id));
        }
        if (member.leads && member.known && member.host[0] != '\0') {
            used += cluster_second_line_write(text + used, &member, term);
        }
    }
    for (uint32_t i = 0; i < cluster_member_count(run); i++) {
        struct cluster_member member = cluster_member_at(run, i, leader);
        used += cluster_line_write(text + used, &member, leader_id, term);
    }
    ASSERT(used <= sizeof(text));
    reply_verbatim(writer, "txt", text, used);
}

/* ---- SLOTS and SHARDS ---------------------------------------------------------------------- */

static void slots_member_write(const struct cluster_member *member, struct reply_writer *writer) {
    reply_array(writer, 4);
    text_bulk(writer, member->host);
    reply_integer(writer, member->port);
    text_bulk(writer, member->id);
    reply_map(writer, 0); /* other names of it */
}

void connection_cluster_slots_write(const struct connection_run *run, struct reply_writer *writer) {
    uint64_t leader = cluster_owner(run);
    if (leader == 0) {
        reply_array(writer, 0);
        return;
    }
    reply_array(writer, 1);
    reply_array(writer, 2 + cluster_member_count(run));
    reply_integer(writer, 0);
    reply_integer(writer, CLUSTER_SLOTS - 1);
    /* The leader first, then the others. */
    for (uint32_t pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < cluster_member_count(run); i++) {
            struct cluster_member member = cluster_member_at(run, i, leader);
            if (member.leads == (pass == 0)) {
                slots_member_write(&member, writer);
            }
        }
    }
}

/* Health and replication-offset are this node's only: of the others they are not known. */
static void shards_member_write(const struct connection_run *run,
                                const struct cluster_member *member, struct reply_writer *writer) {
    reply_map(writer, member->self ? 7 : 5);
    text_bulk(writer, "id");
    text_bulk(writer, member->id);
    text_bulk(writer, "port");
    reply_integer(writer, member->port);
    text_bulk(writer, "ip");
    text_bulk(writer, member->host);
    text_bulk(writer, "endpoint");
    text_bulk(writer, member->host);
    text_bulk(writer, "role");
    text_bulk(writer, member->leads ? "master" : "replica");
    if (member->self) {
        text_bulk(writer, "replication-offset");
        reply_integer(writer, (int64_t)node_figure(&run->node->apply.applied_index));
        text_bulk(writer, "health");
        text_bulk(writer, "online");
    }
}

void connection_cluster_shards_write(const struct connection_run *run,
                                     struct reply_writer *writer) {
    uint64_t leader = cluster_owner(run);
    reply_array(writer, 1);
    reply_map(writer, 2);
    text_bulk(writer, "slots");
    reply_array(writer, leader == 0 ? 0 : 2);
    if (leader != 0) {
        reply_integer(writer, 0);
        reply_integer(writer, CLUSTER_SLOTS - 1);
    }
    text_bulk(writer, "nodes");
    reply_array(writer, cluster_member_count(run));
    for (uint32_t i = 0; i < cluster_member_count(run); i++) {
        struct cluster_member member = cluster_member_at(run, i, leader);
        shards_member_write(run, &member, writer);
    }
}

void connection_cluster_help_write(const struct connection_run *run, struct reply_writer *writer) {
    (void)run;
    static const char *const lines[] = {
        "CLUSTER <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "INFO",
        "    Return information about the cluster.",
        "KEYSLOT <key>",
        "    Return the hash slot for <key>.",
        "MYID",
        "    Return the node id.",
        "NODES",
        "    Return the members as seen by this node. Output format:",
        "    <id> <ip:port@0> <flags> <leader> <0> <0> <term> <link> <slots>",
        "SHARDS",
        "    Return the slots and the members that serve them.",
        "SLOTS",
        "    Return the slots and where they are served.",
        "HELP",
        "    Prints this help.",
    };
    connection_help_write(writer, lines, sizeof(lines) / sizeof(lines[0]));
}

/* ---- READONLY and READWRITE ---------------------------------------------------------------- */

enum connection_step connection_readonly(struct connection_run *run) {
    run->connection->accepts_replica = true;
    return connection_canned(run, CONNECTION_REPLY_OK);
}

enum connection_step connection_readwrite(struct connection_run *run) {
    run->connection->accepts_replica = false;
    return connection_canned(run, CONNECTION_REPLY_OK);
}
