#ifndef WEIR_SIM_WORLD_H
#define WEIR_SIM_WORLD_H

/*
 * The simulated world: hosts with clocks and disks, and the network between them and the clients
 * outside.  It implements io/io.h (library weir_sim in place of weir_io), so that the same objects
 * of everything else run in it, on one thread, from one seed.
 *
 * Words
 *   world    everything, and the only source of chance.  The same seed, options and calls give the
 *            same events at the same times: world_trace_hash is then equal.
 *   time     nanoseconds of the world.  It moves only by world_step (and by io_park and io_wait,
 *            which step the world themselves): code takes no time, only disk and network do.
 *   node     a host: a disk, two clocks that may run and jump by themselves, listening sockets,
 *            and any number of doors (struct io), one for each of its cores.
 *   client   the far end of a connection to a node, driven by the test: a plain byte stream.
 *   event    something that happens at a time; those of one moment happen in an order drawn from
 *            the seed.
 *
 * What the network does.  A connection is two byte streams.  Bytes that a side has sent move to the
 * other in pieces of random size after random delays, in order; a socket holds a bounded number of
 * bytes in each direction, so a reader that does not read stops the sender.  A side may end its
 * sending half (the other reads the end after the last byte), close, or reset at any byte; a link
 * can be clogged, in one direction too: then nothing moves until it is opened, and nothing is lost.
 *
 * Nodes connect to nodes: node n has the address 10.0.0.<n+1>, and is to itself 127.0.0.1, ::1 and
 * 0.0.0.0 as well.  A port of a node is one listener, whichever of these it was bound to, and is
 * reached from everywhere.  Opening a connection is refused if nothing listens, and waits while the
 * link is clogged or cut, either way, or the backlog is full, for 127 s: then it has timed out.
 *
 * A link that is cut loses what it is given, in that direction.  What is lost is sent again, as TCP
 * does: after 200 ms, and then after twice as long each time, up to two minutes; so a connection
 * goes on by itself after the link was mended, though not at once, and gives up (-ETIMEDOUT) after
 * 15 times, which are a quarter of an hour.  Opening is tried again after 1 s, 2 s and so on.  A
 * reset that is lost is not sent again: the other end then learns of it when it sends, or never.
 * Acknowledgements do not exist: the other direction is not hindered.
 *
 * What the disk does.  Files consist of sectors of WORLD_SECTOR_BYTES.  A completed write is seen
 * by every later read, but only a sync makes it durable.  A power cut keeps what was synced, and of
 * the rest any combination: each unsynced sector has, independently, one of the contents that were
 * written to it since its last sync, or the synced one; a sector is never torn.  Writes in flight
 * count as unsynced, also the part of them that had not been reached yet.  Sizes and names behave
 * alike: a growth, creation, rename or removal that was not synced (the file, or its directory) is
 * there or is not.  A sync that fails forgets: what it covered is read as written until the power
 * cut, and no later sync makes it durable, as ext4 does.
 *
 * Death.  world_kill ends the node's processes: their doors are dead, the disk keeps everything
 * that was written.  world_crash cuts the power.  The far ends of connections of a killed node see
 * the end, or, if something was unread, and between nodes now and then without a reason, a reset;
 * those of one that lost power a reset, or nothing until they send.  A host that stays away is one
 * whose links are cut as well.  A dead door accepts every call and does nothing;
 * its ports and the door itself are still to be destroyed by whoever made them, or are freed with
 * the world.  A node starts again by making new doors.
 *
 * Everything here is called by one thread, allocates, and never fails but by assertion.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/io.h"

struct world;
struct world_client;

enum {
    WORLD_SECTOR_BYTES = 512,
    WORLD_NODES_MAX = 16,
    WORLD_OUTSIDE = WORLD_NODES_MAX, /* where clients are, as an end of a link */
    WORLD_ADDRESS_BYTES = 64,
    WORLD_NAME_BYTES = 256, /* of a file, with the end */
};

/* Chances are in a thousand.  Delays are drawn uniformly from [min, max]. */
struct world_options {
    uint64_t network_delay_ns_min; /* for each piece that moves, and for each end of a stream */
    uint64_t network_delay_ns_max;
    uint32_t network_piece_bytes_max; /* largest piece that moves at once */
    uint32_t socket_send_bytes;       /* sent by a side and not moved yet */
    uint32_t socket_receive_bytes;    /* moved and not received yet */
    uint32_t send_partial_chance;     /* a send takes a part although there is room for all */
    uint32_t no_buffers_chance;       /* a receive ends with -ENOBUFS although there are some */
    uint32_t receive_end_chance;      /* a piece is the last of its receive */
    uint32_t accept_error_chance;     /* a connection is aborted as it is accepted */
    uint32_t network_flip_chance; /* a piece between nodes has one wrong byte; world_link_flip */

    uint64_t disk_delay_ns_min; /* of each operation, and of each part of a write */
    uint64_t disk_delay_ns_max;
    uint32_t disk_read_times;      /* reads take so many times as long, [1, 1000] */
    uint32_t disk_parts_max;       /* a write reaches the disk in 1 to so many parts */
    uint32_t disk_alignment_bytes; /* of direct files: 512 to 4096 */
    uint64_t disk_capacity_bytes;  /* of each node */
    uint32_t clock_drift_ppm_max;  /* each node's clock runs wrong by up to this, either way */
};

/* Delays of a fast local network and disk; no error that is not provoked by the code itself. */
struct world_options world_options_calm(void);

/* As calm, with every spurious outcome at a few in a hundred and sockets of a few hundred bytes. */
struct world_options world_options_rough(void);

/* A world without nodes; and its end, with every door that was not destroyed. */
struct world *world_create(uint64_t seed, const struct world_options *options);
void world_destroy(struct world *world);

/* Adds a host; returns its number, counting from 0. */
uint32_t world_node_add(struct world *world);

/* A door on a node, as if a thread of its had called io_create. */
struct io *world_io(struct world *world, uint32_t node);

/* The address of a port of a node, as io_connect_start takes it; of WORLD_OUTSIDE, as io_peer_name
 * shows it. */
void world_address(char out[WORLD_ADDRESS_BYTES], uint32_t node, uint16_t port_number);

/* From now on io_create makes doors on this node.  NULL: on none. */
void world_enter(struct world *world, uint32_t node);

/* ---- time -------------------------------------------------------------------------------- */

/* Lets the next event happen; false if nothing will ever happen by itself. */
bool world_step(struct world *world);

/* As world_step, but only if the event is not later than a time; else time moves there. */
bool world_step_until(struct world *world, uint64_t time_ns);

/* When the next event happens; UINT64_MAX: nothing ever does by itself. */
uint64_t world_next_ns(const struct world *world);

/* The time of the world, which no node shows. */
uint64_t world_now_ns(const struct world *world);

/* Whether io_poll on this door would do or deliver something now: a scheduler asks before.  False
 * for a paused node, and a dead door. */
bool world_io_ready(const struct io *io);

/* The wall clock of a node jumps, either way. */
void world_clock_jump(struct world *world, uint32_t node, int64_t by_ms);

/* Both clocks of a node run fast by so many millionths (negative: slow), up to 100000. */
void world_clock_rate(struct world *world, uint32_t node, int32_t ppm);

/* ---- the trace --------------------------------------------------------------------------- */

/* A hash of all that happened: event by event, with times, sizes and results. */
uint64_t world_trace_hash(const struct world *world);

/* Calls `each` with every event as a line of text; NULL: no longer. */
void world_trace_to(struct world *world, void (*each)(void *context, const char *line),
                    void *context);

/* Bytes between two nodes: put into a connection by one of them, or come to the other. */
struct world_bytes {
    uint64_t connection; /* its number: unique in the world */
    uint32_t from;       /* hosts */
    uint32_t to;
    bool opener;  /* `from` has opened the connection */
    bool arrived; /* at `to`, as they were sent: flips come behind this */
    const uint8_t *bytes;
    uint32_t length_bytes;
};

/* Calls `each` with all bytes between nodes, for the time of the call; NULL: no longer.  Whoever
 * listens changes nothing: the trace is the same.  A halted node has sent nothing. */
void world_listen(struct world *world, void (*each)(void *context, const struct world_bytes *bytes),
                  void *context);

/* ---- death ------------------------------------------------------------------------------- */

/* What a power cut does to what was not synced. */
enum world_power_cut {
    WORLD_KEEP_RANDOM, /* any combination; now and then all or nothing */
    WORLD_KEEP_NOTHING,
    WORLD_KEEP_ALL,
};

/*
 * The node's processes stop, as by SIGSTOP, or go on: while they are stopped their doors submit
 * nothing, deliver nothing and have nothing to take.  Time, clocks and what was submitted go on;
 * connections are put into backlogs.  A process that dies is no longer paused.
 */
void world_pause(struct world *world, uint32_t node, bool paused);
bool world_paused(const struct world *world, uint32_t node);

/* The node's processes end, as by SIGKILL. */
void world_kill(struct world *world, uint32_t node);

/* The node loses power, and has it again: its disk is as described above. */
void world_crash(struct world *world, uint32_t node, enum world_power_cut cut);

/* The node's disk is replaced by an empty one; it has no process. */
void world_disk_lose(struct world *world, uint32_t node);

/*
 * The disk goes dead after so many more steps (see world_disk_steps): from then on every operation
 * on it fails with -EIO and changes nothing.  So code that waits inside io_wait comes back, and the
 * test then calls world_crash or world_kill, which is what really happened.  0: at once;
 * UINT64_MAX: never, and what was dead lives again.
 */
void world_disk_die_after(struct world *world, uint32_t node, uint64_t steps);

/* How often the disk has changed: parts of writes, syncs, allocations, and changes of names. */
uint64_t world_disk_steps(const struct world *world, uint32_t node);

/* ---- named points ------------------------------------------------------------------------ */

/*
 * Places that a node passes, as its host sees them.  A node stops at one before what is said of it
 * has an effect; at those called DONE, after it had one and before the node is told.  With them the
 * steps of a request are found from outside, so that production code knows nothing of this:
 *
 *   the request is parsed, nothing is submitted   WRITE of the log's file
 *   its append is submitted, nothing is written   WRITE_BEGIN of the log's file
 *   before and after its sync has an effect       SYNC and SYNC_DONE of the log's file
 *   before append messages are sent               SEND_PEER of a leader
 *   before a stored append is acknowledged        SEND_PEER of a follower
 *   before a committed entry is applied           RECEIVE_PEER of a leader: what would commit it
 *   between apply and reply                       SEND_CLIENT
 *   before and after a snapshot has its name      RENAME and RENAME_DONE
 *   before and after the log is trimmed           REMOVE and REMOVE_DONE of the log's files
 *   before and after term and vote are durable    SYNC and SYNC_DONE of the vote's files
 */
enum world_point {
    WORLD_POINT_WRITE,       /* a write is submitted */
    WORLD_POINT_WRITE_BEGIN, /* its first part is to be written */
    WORLD_POINT_SYNC,        /* of a file, also the one of a write with IO_SYNC */
    WORLD_POINT_SYNC_DONE,
    WORLD_POINT_ALLOCATE,
    WORLD_POINT_CREATE, /* of a file */
    WORLD_POINT_RENAME, /* the name is the old one; also at RENAME_DONE */
    WORLD_POINT_RENAME_DONE,
    WORLD_POINT_REMOVE,
    WORLD_POINT_REMOVE_DONE,
    WORLD_POINT_SYNC_NAMES, /* of a directory; it has no name here */
    WORLD_POINT_SYNC_NAMES_DONE,
    WORLD_POINT_SEND_PEER,      /* some bytes are to be sent to a node */
    WORLD_POINT_SEND_CLIENT,    /* or outside */
    WORLD_POINT_RECEIVE_PEER,   /* some bytes of a node are to be received */
    WORLD_POINT_RECEIVE_CLIENT, /* or of a client */
    WORLD_POINTS,
};

/* As in `sync done`; for traces. */
const char *world_point_name(enum world_point point);

/*
 * The node halts the nth time from now (1: the next one) that it is at this point with a file whose
 * name begins with `name_prefix` ("": any; names say nothing at the points of sockets).  One order
 * a node: a new one replaces it, nth 0 withdraws it.
 *
 * A halted node does nothing more that anybody could see: its disk is dead, what it sends is
 * swallowed, and nothing arrives.  Its code runs on, and ends by itself, as its disk is dead; the
 * test then calls world_crash or world_kill, which is what really happened at that point.
 */
void world_halt_at(struct world *world, uint32_t node, enum world_point point,
                   const char *name_prefix, uint32_t nth);
bool world_halted(const struct world *world, uint32_t node);

/* ---- faults of the disk ------------------------------------------------------------------ */

enum world_disk_operation {
    WORLD_DISK_OPEN,
    WORLD_DISK_READ,
    WORLD_DISK_WRITE,
    WORLD_DISK_SYNC, /* of a file or directory, also the one inside a write with IO_SYNC */
    WORLD_DISK_ALLOCATE,
    WORLD_DISK_NAMES,  /* rename, remove */
    WORLD_DISK_OPENED, /* an open that has found its file, or created it, and gets no handle */
    WORLD_DISK_OPERATIONS,
};

/*
 * The nth operation of this sort from now (1: the next one), and the following ones, `times` in
 * all, fail with this negative errno.  A write that fails may have written any part of itself.
 * times 0 withdraws an earlier call.
 */
void world_disk_fail(struct world *world, uint32_t node, enum world_disk_operation operation,
                     uint32_t nth, uint32_t times, int error);

/* While stalled no disk operation completes. */
void world_disk_stall(struct world *world, uint32_t node, bool stalled);

/* Delays of this node's disk from now on. */
void world_disk_delay(struct world *world, uint32_t node, uint64_t ns_min, uint64_t ns_max);

/* Limits the disk; less than is in use is allowed, and leaves no room.  And what is in use. */
void world_disk_capacity(struct world *world, uint32_t node, uint64_t bytes);
uint64_t world_disk_used_bytes(const struct world *world, uint32_t node);

/* ---- files at rest ----------------------------------------------------------------------- */

/* The bytes of a file as a read would see them, a copy that is valid until the next step, or until
 * they are asked for again; NULL if it is not. */
const uint8_t *world_file_bytes(struct world *world, uint32_t node, const char *directory,
                                const char *name, uint64_t *length_bytes);

/* Whether there is such a file, and its size, otherwise 0; and a part of its bytes, which has to
 * lie within them. */
bool world_file_size(struct world *world, uint32_t node, const char *directory, const char *name,
                     uint64_t *size_bytes);
void world_file_read(struct world *world, uint32_t node, const char *directory, const char *name,
                     uint64_t offset_bytes, uint8_t *bytes, uint64_t length_bytes);

/* Flips the bits of `mask` in one byte, durably. */
void world_file_flip(struct world *world, uint32_t node, const char *directory, const char *name,
                     uint64_t offset_bytes, uint8_t mask);

/* Replaces a file, or makes it, durably: with its name, and with its content. */
void world_file_put(struct world *world, uint32_t node, const char *directory, const char *name,
                    const void *bytes, size_t length_bytes);

/* What may stand in place of a file. */
enum world_obstacle { WORLD_SYMBOLIC_LINK, WORLD_DIRECTORY, WORLD_PIPE };

/* A file of a directory, for whoever chooses what to damage. */
struct world_file {
    char name[WORLD_NAME_BYTES];
    uint64_t size_bytes;
    /* The last sync that made something of it durable (world_disk_steps of that moment), and the
     * range of sectors [first, end) in which that was; all 0: none. */
    uint64_t synced_step;
    uint64_t synced_sector_first;
    uint64_t synced_sector_end;
};

/* The files of a directory, by name; at most `max`, which must be enough.  Returns how many. */
uint32_t world_files(struct world *world, uint32_t node, const char *directory,
                     struct world_file *out, uint32_t max);

/* What has become of a sector at rest. */
enum world_damage {
    WORLD_DAMAGE_FLIPPED,     /* one to eight bits of a byte are wrong */
    WORLD_DAMAGE_STALE,       /* its last durable write was lost: what was there before is read */
    WORLD_DAMAGE_MISDIRECTED, /* that write went to another sector of the file instead */
    WORLD_DAMAGE_UNREADABLE,  /* reads that touch it fail with -EIO until it is written */
};

/* As in `stale`; for traces. */
const char *world_damage_name(enum world_damage damage);

/*
 * Damages a sector of a file, durably; `to_sector` says where a misdirected write went, and nothing
 * for the others.  Both lie within the file.  Returns whether a read sees a difference: a sector
 * that was written once with what it held before is not stale.  A later write mends it.
 */
bool world_sector_damage(struct world *world, uint32_t node, const char *directory,
                         const char *name, enum world_damage damage, uint64_t sector,
                         uint64_t to_sector);

/* Puts something that is no file into a directory. */
void world_obstruct(struct world *world, uint32_t node, const char *directory, const char *name,
                    enum world_obstacle obstacle);

/* ---- clients and links ------------------------------------------------------------------- */

enum world_client_state {
    WORLD_CLIENT_OPEN,
    WORLD_CLIENT_EOF,   /* the node ended its sending half, and all before it was received */
    WORLD_CLIENT_RESET, /* broken, or refused */
};

/* Connects to a port of a node; NULL if nothing listens there now. */
struct world_client *world_client_connect(struct world *world, uint32_t node, uint16_t port_number);

/* Sends what there is room for; returns how much, 0 also after a reset or a half-close. */
size_t world_client_send(struct world_client *client, const void *bytes, size_t length_bytes);

/* Receives what has arrived; returns how much. */
size_t world_client_receive(struct world_client *client, void *bytes, size_t length_bytes);

/* What has become of the connection, once everything that arrived was received. */
enum world_client_state world_client_state(const struct world_client *client);

/* What a client can notice.  As long as it is the same, and the client does nothing, sending and
 * receiving give what they gave before. */
struct world_client_look {
    uint32_t arrived_bytes; /* and not received */
    uint32_t unsent_bytes;  /* given to the host, and not moved */
    bool over;              /* the end has arrived, or a reset */
};
struct world_client_look world_client_look(const struct world_client *client);

/* Ends the sending half, after what was sent. */
void world_client_half_close(struct world_client *client);

/* Breaks the connection; what was sent and has not arrived is lost.  Frees the client. */
void world_client_reset(struct world_client *client);

/* Closes: as half-close, and what still arrives is answered by a reset.  Frees the client. */
void world_client_close(struct world_client *client);

/* Opens or clogs the link from one host (or WORLD_OUTSIDE) to another, in this direction: what is
 * given to a clogged one waits, and goes on at once when it is opened. */
void world_link_clog(struct world *world, uint32_t from, uint32_t to, bool clogged);

/* Cuts or mends the link, in this direction: what is given to a cut one is lost. */
void world_link_cut(struct world *world, uint32_t from, uint32_t to, bool cut);

/* Delays of this link from now on: of each piece, so that they also bound how much it carries. */
void world_link_delay(struct world *world, uint32_t from, uint32_t to, uint64_t ns_min,
                      uint64_t ns_max);

/* How many of a thousand pieces over this link have a byte flipped from now on.  At first this is
 * network_flip_chance between nodes, and 0 to and from outside. */
void world_link_flip(struct world *world, uint32_t from, uint32_t to, uint32_t chance);

/*
 * How many of a thousand pieces over this link are lost from now on, at most half; at first none.
 * They are sent again, as by TCP: half of them as soon as what comes behind would tell, after a
 * delay there and back, the rest when the time for an answer has passed, which doubles.  What comes
 * behind waits. A piece that the network doubles is nothing to a stream: TCP drops it.
 */
enum { WORLD_LOSS_CHANCE_MAX = 500 };
void world_link_loss(struct world *world, uint32_t from, uint32_t to, uint32_t chance);

/* How many of a thousand connections are aborted as they are accepted, from now on. */
void world_accept_errors(struct world *world, uint32_t chance);

/*
 * Resets all connections between two hosts, now, as a box between them may: both ends see it at
 * once, also if the link is clogged or cut, and of the bytes on their way any first part has
 * arrived.  Connections in a backlog are reset too; attempts to connect are refused.
 */
void world_link_reset(struct world *world, uint32_t a, uint32_t b);

#endif
