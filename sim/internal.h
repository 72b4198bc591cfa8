#ifndef WEIR_SIM_INTERNAL_H
#define WEIR_SIM_INTERNAL_H

/*
 * What the files of the simulated world share.
 *
 *   world.c       time, events, chance, clocks, trace, death
 *   door.c        io_create to io_wait: ports, submission, delivery, timers
 *   network.c     connections, listeners: how bytes move
 *   client.c      clients: connections that a test holds
 *   connect.c     connections that nodes open; addresses of hosts
 *   link.c        what befalls the links between hosts
 *   socket.c      io.h's socket functions: accept, receive, send
 *   image.c       the content of a file, in pieces
 *   disk.c        files, sectors, directories: what is durable, what a power cut leaves
 *   file.c        io.h's file functions: delays, parts, faults
 *   damage.c      sectors at rest that are altered, lost, misplaced or unreadable
 *   halt.c        a node that stops at a named point
 *
 * Life of an operation: started -> submitted (io_poll) -> completed, once or several times, into
 * the door's queue -> delivered (io_poll) to the mailbox.  An operation that a pending event refers
 * to (`scheduled`) is freed by that event if its door died meanwhile.
 */

#include "base/assert.h"
#include "base/random.h"
#include "io/mailbox.h"
#include "sim/disk_internal.h"
#include "sim/world.h"

enum {
    WORLD_DOORS_MAX = 64,   /* of one node */
    WORLD_PORTS_MAX = 128,  /* of one door, as the io_uring door */
    WORLD_HANDLE_FIRST = 3, /* handles look like descriptors */
};

/* ---- events ------------------------------------------------------------------------------ */

/* Something that will happen. */
struct world_event {
    uint64_t time_ns;
    uint64_t tie; /* drawn from the seed: the order within a moment */
    void (*run)(struct world *world, void *object, uint64_t argument);
    void *object;
    uint64_t argument;
};

/* ---- the network ------------------------------------------------------------------------- */

/* Bytes on their way, first in, first out; bounded.  Its memory grows with the most that were in
 * it: most connections carry little. */
struct byte_queue {
    uint8_t *bytes;
    uint32_t memory_bytes;
    uint32_t capacity;
    uint32_t head;
    uint32_t length;
};

/* One direction of a connection. */
struct stream {
    struct byte_queue sent;    /* by the side that writes */
    struct byte_queue arrived; /* at the side that reads */
    bool end_sent;
    bool end_arrived;
    bool moving;      /* an event that moves bytes is pending */
    bool aborted;     /* the writer has reset, or is broken: nothing of it comes any more */
    uint32_t resends; /* of what comes next: it was lost so often */
};

/* Who has one end of a connection. */
enum side_state {
    SIDE_WAITING,    /* to be accepted */
    SIDE_CONNECTING, /* a handle holds it, which nobody has been given */
    SIDE_ATTACHED,   /* a handle or a client holds it */
    SIDE_CLOSED,
};

/* One end of a connection. */
struct side {
    uint32_t host; /* node, or WORLD_OUTSIDE */
    enum side_state state;
    bool breaking;                 /* a reset is on its way here */
    bool break_due;                /* and an event brings it */
    bool shut;                     /* io_shutdown: neither sends nor receives */
    bool broken;                   /* a reset has arrived */
    bool told;                     /* the reset was reported once */
    bool receiving;                /* an event that completes a receive is pending */
    struct sim_operation *receive; /* armed and submitted */
    struct sim_operation *send;    /* waits for room */
    struct sim_operation *connect; /* of a connecting side */
    int32_t error;                 /* why it is broken: a negative errno */
};

/* Side 0 connected, side 1 accepted; streams[i] is written by side i. */
struct connection {
    struct world *world;
    struct connection *next;
    struct connection **link;
    uint64_t id;
    uint16_t port_number; /* of the listener */
    uint16_t client_port_number;
    uint32_t events; /* pending ones that refer to this */
    bool attempt;    /* a node has opened it, not a client */
    bool refused;    /* nothing listens: the answer is on its way */
    uint32_t tries;  /* of opening it, that were lost */
    uint64_t begun_ns;
    bool established; /* a listener has it, or had */
    bool offered;     /* it is in a listener's backlog */
    struct side sides[2];
    struct stream streams[2];
};

/* What a test holds of a connection: always side 0. */
struct world_client {
    struct connection *connection;
    struct world_client *next;
    struct world_client **link;
};

/* A port of a node that takes connections. */
struct listener {
    uint16_t port_number;
    uint32_t backlog_max;
    struct connection **backlog; /* oldest first */
    uint32_t backlog_count;
    struct sim_operation *accept; /* armed and submitted */
    struct node *node;
};

/* ---- nodes ------------------------------------------------------------------------------- */

/* What a handle stands for. */
enum handle_sort { HANDLE_FREE, HANDLE_LISTENER, HANDLE_SOCKET, HANDLE_FILE, HANDLE_DIRECTORY };

/* An entry of a node's table of handles, which all its doors share. */
struct handle {
    enum handle_sort sort;
    uint32_t open_flags; /* of a file */
    uint8_t side;        /* of a socket */
    union {
        struct listener *listener;
        struct connection *connection;
        struct file *file;
        struct directory *directory;
    };
};

/* Where a node is to stop. */
struct halt {
    enum world_point point;
    uint32_t left; /* times that it still passes there, and the one at which it stops; 0: never */
    char name[WORLD_NAME_BYTES]; /* how the file's name begins */
    bool halted;
};

/* A host. */
struct node {
    struct world *world;
    uint32_t number;
    struct io *doors[WORLD_DOORS_MAX];
    struct handle *handles;
    uint32_t handles_count;
    uint16_t next_port_number;
    bool paused;
    struct halt halt;
    struct disk disk;
    /* monotonic = clock_base + (now - clock_anchor) * (1 + rate) */
    uint64_t clock_anchor_ns;
    uint64_t clock_base_ns;
    int32_t clock_rate_ppm;
    int64_t wall_minus_monotonic_ns;
};

/* ---- doors ------------------------------------------------------------------------------- */

/* Something started and not finally completed. */
struct sim_operation {
    struct io_port *port;
    struct sim_operation *next; /* in the port's list of live operations */
    struct sim_operation **link;
    struct sim_operation *submit_next;
    struct sim_operation *disk_next; /* in flight on the disk */
    uint64_t id;
    uint64_t user;
    int32_t handle;
    uint8_t kind;         /* enum io_kind; 0: a stop */
    bool scheduled;       /* an event refers to it */
    bool dead;            /* its door died: the event frees it */
    bool held;            /* its event came while the disk was stalled */
    uint8_t send_mode;    /* enum io_send_mode */
    uint8_t buffer_group; /* of a receive */

    const struct iovec *pieces;
    struct iovec single;
    uint32_t pieces_count;
    uint64_t offset_bytes;
    uint64_t length_bytes;
    uint64_t done_bytes;
    uint64_t sequence;   /* of a sync: changes up to here; of a write: its last own change */
    uint64_t size_bytes; /* of a sync: the file's size when it began */
    uint64_t stops;      /* of a stop: the operation's id */
    uint8_t stops_kind;  /* and its kind */
    uint32_t open_flags;
    int error; /* decided at submission; 0: none */
    bool sync;
    struct file *file;
    struct directory *directory;
    const char *from;
    const char *to;
};

/* A port, as io.h has it. */
struct io_port {
    struct io *io;
    struct io_mailbox mailbox;
    struct sim_operation *operations;
    uint32_t operations_max;
    uint32_t outstanding;
    uint32_t index;
    uint64_t timer_deadline_ns;
    uint64_t timer_user;
    bool timer_set;
};

/* A completion that has not come to its mailbox. */
struct queued_completion {
    struct io_port *port;
    struct io_completion completion;
};

/* A group of receive buffers of a door. */
struct sim_buffers {
    uint8_t *memory; /* NULL: not registered */
    uint32_t buffer_bytes;
    uint32_t count;
    uint32_t *free; /* oldest first */
    uint32_t free_head;
    uint32_t free_count;
    uint32_t *filled; /* bytes of each that may have been written since it was last poisoned */
    bool *taken;
};

/* A door, as io.h has it. */
struct io {
    struct node *node;
    uint32_t index;
    uint32_t features;
    bool dead;
    bool woken;
    uint32_t posted;
    struct io_port *ports[WORLD_PORTS_MAX];
    uint32_t ports_high; /* one more than the highest index in use */
    struct sim_operation *submit_first;
    struct sim_operation **submit_last;
    struct queued_completion *queue; /* completed, not delivered: the completion ring */
    uint32_t queue_head;
    uint32_t queue_count;
    uint32_t queue_capacity;
    struct sim_buffers buffers[IO_BUFFER_GROUPS];
};

/* The way from one host to another. */
struct link {
    bool clogged;
    bool cut;
    uint32_t flip_chance;
    uint32_t loss_chance;
    uint64_t delay_ns_min;
    uint64_t delay_ns_max;
};

/* Everything; the one source of chance. */
struct world {
    struct world_options options;
    struct random random;
    uint64_t now_ns;
    struct world_event *events; /* binary heap */
    uint32_t events_count;
    uint32_t events_capacity;
    uint64_t next_id;
    bool ending; /* world_destroy: what is in flight is forgotten */
    struct node *nodes[WORLD_NODES_MAX];
    uint32_t nodes_count;
    struct connection *connections;
    struct world_client *clients;
    struct link links[WORLD_NODES_MAX + 1][WORLD_NODES_MAX + 1]; /* from, to */
    struct io *dead_doors[WORLD_NODES_MAX * WORLD_DOORS_MAX];    /* not destroyed yet */
    uint32_t dead_doors_count;
    uint64_t trace_hash;
    void (*trace)(void *context, const char *line);
    void *trace_context;
    void (*listen)(void *context, const struct world_bytes *bytes);
    void *listen_context;
};

/* ---- world.c ---- */

/* Lets `run` happen after a delay, in an order of the seed among what happens at that moment. */
void world_schedule(struct world *world, uint64_t delay_ns,
                    void (*run)(struct world *world, void *object, uint64_t argument), void *object,
                    uint64_t argument);

/* Chance: uniform over [min, max]; true so often in a thousand. */
uint64_t world_random_between(struct world *world, uint64_t min, uint64_t max);
bool world_chance(struct world *world, uint32_t in_a_thousand);

/* Adds to the trace: what happened, to what, with which size or result. */
void world_note(struct world *world, const char *what, uint64_t a, uint64_t b, int64_t c);

/* The node of a number. */
struct node *world_node(const struct world *world, uint32_t node);

/* A node's clocks now; and the first moment at which its monotonic one shows at least this. */
uint64_t node_monotonic_ns(const struct node *node);
uint64_t node_wall_ms(const struct node *node);
uint64_t node_world_time_ns(const struct node *node, uint64_t monotonic_ns);

/* An event without effect: time stops there. */
void world_time_comes(struct world *world, void *object, uint64_t argument);

/* Zeroed memory; a simulation without memory ends. */
void *world_allocate(size_t count, size_t size);

/* Grows an array to hold one more; elements are moved, so no pointer into it survives. */
void *world_grow(void *array, uint64_t count, uint64_t *capacity, size_t size);

/* ---- door.c ---- */

/* A new operation of a living door, to be submitted by the next poll; kind 0 is a stop. */
struct sim_operation *operation_start(struct io_port *port, uint8_t kind, int32_t handle,
                                      uint64_t user);

/* Queues a completion; without IO_MORE the operation is freed. */
void operation_complete(struct sim_operation *operation, int32_t result, uint8_t flags,
                        uint32_t buffer);

/* Frees an operation that is not going to complete. */
void operation_free(struct sim_operation *operation);

/* The lowest free handle, taken; and the handle of a number, which must be of this sort. */
int32_t handle_new(struct node *node, enum handle_sort sort);
struct handle *handle_get(struct node *node, int32_t handle, enum handle_sort sort);

/* Makes a door dead; frees a door and what is left of its ports. */
void door_kill(struct io *io);
void door_free(struct io *io);

/* ---- network.c ---- */

/* A connection that side 0 opens; it is on its way once connection_arrives is scheduled. */
struct connection *connection_create(struct world *world, uint32_t from, uint32_t node,
                                     uint16_t port_number);
void connection_arrives(struct world *world, void *object, uint64_t argument);

/* Lets `run` happen after a delay; the connection is not freed before. */
void connection_schedule(struct connection *connection, uint64_t delay_ns,
                         void (*run)(struct world *world, void *object, uint64_t argument),
                         uint64_t argument);

/* The link that leads away from a side; and a delay of it. */
struct link *side_link(const struct connection *connection, uint32_t side);
uint64_t side_delay_ns(const struct connection *connection, uint32_t side);

/* What moves it is tried again later: the link is clogged, or the backlog full; or the link is cut
 * and has lost it.  Or it has been tried for too long, and fails. */
void connection_wait(struct connection *connection, uint32_t side,
                     void (*run)(struct world *world, void *object, uint64_t argument));
void connection_lost(struct connection *connection,
                     void (*run)(struct world *world, void *object, uint64_t argument));

/* Tells whoever listens of bytes that a side has sent, or that have arrived from it. */
void connection_tell(const struct connection *connection, uint32_t writer, bool arrived,
                     const void *bytes, uint32_t length_bytes);

/* Forgets what is in a queue. */
void byte_queue_clear(struct byte_queue *queue);

/* Moves up to so many bytes of a writer to the other side, if there is room; returns how many. */
uint32_t stream_carry(struct connection *connection, uint32_t writer, uint64_t most);

/* A side is broken now: this negative errno is what its user is told. */
void side_break(struct connection *connection, uint32_t victim, int32_t error);

/* Schedules the reset that is on its way to a side, if nothing is in its way. */
void break_pump(struct connection *connection, uint32_t victim);

/* Room for more; puts or gets as much as there is room for or there is, and returns how much. */
uint32_t byte_queue_room(const struct byte_queue *queue);
uint32_t byte_queue_put(struct byte_queue *queue, const void *bytes, size_t length_bytes);
uint32_t byte_queue_get(struct byte_queue *queue, void *bytes, size_t length_bytes);

/* The listener of a port of a node; NULL: none. */
struct listener *node_listener(struct node *node, uint16_t port_number);

/* Accepts what is in the backlog, if an accept is armed. */
void listener_pump(struct listener *listener);

/* Frees it; what is in its backlog is reset. */
void listener_close(struct listener *listener);

/* Schedules what can happen next, if nothing is scheduled: bytes of a writer move, a reader's
 * receive completes; or completes at once: a writer's waiting send. */
void stream_pump(struct connection *connection, uint32_t writer);
void side_receive_pump(struct connection *connection, uint32_t reader);
void side_send_pump(struct connection *connection, uint32_t writer);

/* A side is closed in good order; or is gone, and nothing of it says so.  May free both. */
void side_close(struct connection *connection, uint32_t closing);
void side_vanish(struct connection *connection, uint32_t vanishing);

/* A reset is on its way to a side. */
void connection_break(struct connection *connection, uint32_t victim);

/* Frees a connection if nobody holds it any more; frees it whoever does. */
void connection_release(struct connection *connection);
void connection_free(struct connection *connection);

/* ---- connect.c ---- */

/* The node that an address means to one of its hosts: a negative errno if it means none. */
int32_t address_node(const struct node *node, const char *text, uint16_t *port_number);

/* Whether a listener of the node may have this address. */
bool address_is_own(const struct node *node, const char *host);

/* An attempt to connect is submitted; and one is to be stopped. */
void connect_submit(struct sim_operation *connect);
void connect_stop_submit(struct world *world, uint64_t id);

/* What the other host says to an attempt has arrived. */
void connect_answered(struct world *world, void *object, uint64_t argument);

/* The attempt is over: its operation completes, and its handle is free.  May free the
 * connection. */
void connect_fail(struct connection *connection, int32_t error);

/* The side that was connecting is gone: whoever has the other one gets a reset. */
void connect_abandon(struct connection *connection);

/* ---- socket.c ---- */

/* Starts a stop of this operation. */
void stop_start(const struct sim_operation *operation);

/* An operation of a socket, or a stop, takes effect. */
void socket_submit(struct sim_operation *operation);

/* The oldest free receive buffer of a group of a door; false: none. */
bool io_buffer_take(struct io *io, uint32_t group, uint32_t *index);

/* Whether there is something for the armed receive: bytes, if it takes any, or the end. */
bool side_receive_ready(const struct connection *connection, uint32_t reader);

/* Completes the armed receive, or the waiting send, with what there is now. */
void side_receive_run(struct connection *connection, uint32_t reader);
void side_send_run(struct connection *connection, uint32_t writer);

/* ---- disk.c ---- */

/* The directory of a path, or NULL; a new one, which is durable. */
struct directory *disk_directory(struct disk *disk, const char *path);
struct directory *disk_directory_add(struct disk *disk, const char *path);

/* The file of a name, or NULL. */
struct file *disk_directory_find(const struct directory *directory, const char *name);

/* Changes names, not durably: `from` disappears, `to` becomes this file; "" for neither. */
void disk_directory_change(struct node *node, struct directory *directory, const char *from,
                           const char *to, struct file *file);

/* Makes the changes of names durable that were made up to a change of the disk. */
void directory_make_durable(struct directory *directory, uint64_t sequence);

/* A file without a name and without references; it is freed with its last reference.  Visible
 * references (a current name, a handle) hold its space on the disk. */
struct file *file_create(struct node *node, enum file_sort sort);
void file_reference(struct file *file, bool visible);
void file_release(struct file *file, bool visible);

/* Changes the current content or size, not durably; false if the disk has no room for it. */
bool file_write(struct file *file, uint64_t offset_bytes, const uint8_t *bytes, uint64_t length);
bool file_grow(struct file *file, uint64_t size_bytes);

/* Makes durable what a range of sectors held after the change `sequence_last`, and the size. */
void file_make_durable(struct file *file, uint64_t sector_first, uint64_t sector_end,
                       uint64_t sequence_last, uint64_t size_bytes);

/* The same range is forgotten by the disk: a sync failed on it. */
void file_abandon(struct file *file, uint64_t sector_first, uint64_t sector_end,
                  uint64_t sequence_last);

/* The name that a file has now, anywhere on the disk; NULL: none. */
const char *disk_file_name(const struct disk *disk, const struct file *file);

/* What survives becomes what is. */
void disk_cut_power(struct node *node, enum world_power_cut cut);

/* Frees the directories and files of a node without handles. */
void disk_free(struct node *node);

/* ---- file.c ---- */

/* An operation of a file or directory begins. */
void file_submit(struct sim_operation *operation);

/* What is in flight takes effect, or not: its process or its power is gone. */
void file_in_flight_end(struct node *node, bool power_cut);

/* ---- damage.c ---- */

/* Whether bytes of a file cannot be read; and they can be from now on: they were written. */
bool file_unreadable(const struct file *file, uint64_t offset_bytes, uint64_t length_bytes);
void file_readable_again(struct file *file, uint64_t sector_first, uint64_t sector_end);

/* ---- halt.c ---- */

/* An operation of a file or directory, or a socket's, is at a point; the node may stop there. */
void halt_at_operation(const struct sim_operation *operation, enum world_point point);
void halt_at_socket(const struct connection *connection, uint32_t side, bool sends);

/* Whether the host of a side has stopped. */
bool side_halted(const struct connection *connection, uint32_t side);

#endif
