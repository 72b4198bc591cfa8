#ifndef WEIR_IO_IO_H
#define WEIR_IO_IO_H

/*
 * The one door to sockets, files, timers and time.
 *
 * Everything in weir that touches the world does so through this header, and nothing else does.
 * It has two implementations, chosen at link time: io_uring (io/) and a seeded simulated world
 * (sim/).  All other objects are the same in both programs.
 *
 * Words
 *   io          the door of one core (one thread).  On Linux: one io_uring, owned by that thread
 *               (single issuer).  Every function takes it from its owning thread only, except
 *               io_wake, which any thread may call.
 *   port        the mailbox of one shard at its core's io.  An operation is started on a port and
 *               its completion is delivered to that port, to be taken by the shard's poll.
 *   operation   something started and later completed exactly once (accept and receive: several
 *               times, until a completion without IO_MORE).
 *   handle      a small number for a socket, file or directory; >= 0.  Valid until io_close.  A
 *               socket's is valid at every io of the process: one core may receive on it while
 *               another sends.  A file's or directory's is valid at the io that opened it.
 *   user        a u64 of the caller's, handed back with each completion of the operation.
 *
 * Rules
 *   - Starting never blocks and never fails for want of memory: the number of operations a port
 *     may have outstanding is fixed when the port is created (operations_max) and starting one
 *     more than that is a bug of the caller, which is asserted.
 *   - Completions of one socket's receives arrive in the order of its bytes.  Nothing else is
 *     ordered: not two sockets, not a send and a receive, not two file operations.
 *   - Memory given to an operation (also a name, also the array of an iovec) is borrowed until
 *     its completion was taken.
 *   - What is started takes effect at the next io_poll or io_park of its io, not before.
 *   - A port that does not take is full when operations_max completions wait in its mailbox.  Then
 *     its io delivers nothing more, to any port, until some are taken: so the order is kept, and
 *     the kernel holds the senders back.
 *   - Results are >= 0, or the negative of an errno value (-ECONNRESET, -EIO, -ENOSPC ...).
 *   - A file write that was told to sync and completed with success is on stable storage.
 *     A failed sync is final for that file: nothing may be concluded from a later one that works.
 *
 * Errors of the start-up functions (those that take a struct error_text) are a negative value of
 * base/error.h and a sentence that says what, where and what to do; nothing is left open.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/error.h"

struct io;
struct io_port;

enum io_kind {
    IO_ACCEPT = 1, /* result: handle of the new socket */
    IO_CONNECT,    /* result: handle of the connected socket; see io_connect_start */
    IO_RECEIVE,    /* result: bytes in `buffer`; see enum io_receive_end */
    IO_SEND,       /* result: bytes sent, possibly fewer than asked for */
    IO_TIMER,      /* result: 0 when due, -ECANCELED when replaced or stopped */
    IO_FILE_OPEN,  /* result: handle */
    IO_FILE_READ,  /* result: bytes read; fewer than asked for only at the end of the file */
    IO_FILE_WRITE, /* result: bytes written, always all of them; with IO_SYNC durable */
    IO_FILE_SYNC,
    IO_FILE_ALLOCATE,
    IO_FILE_RENAME,
    IO_FILE_REMOVE,
    IO_DIRECTORY_SYNC,
};

enum io_completion_flags {
    IO_MORE = 1,       /* the operation stays armed; without it this was its last completion */
    IO_HAS_BUFFER = 2, /* `buffer` is a receive buffer that now belongs to the taker */
};

/* Why an armed receive ended: `result` of the final IO_RECEIVE (the one without IO_MORE). */
enum io_receive_end {
    IO_RECEIVE_EOF = 0,          /* the peer closed its sending half */
    IO_RECEIVE_NO_BUFFERS = -105 /* -ENOBUFS: none was free; arm again when one has come home */
    /* -ECANCELED: io_receive_stop; any other negative errno: the connection is broken */
};

struct io_completion {
    uint64_t user;
    int32_t result;
    uint32_t buffer; /* valid with IO_HAS_BUFFER: its index in the group of the receive */
    uint8_t kind;    /* enum io_kind */
    uint8_t flags;   /* enum io_completion_flags */
};

/* What this kernel offers beyond the floor (Linux 6.1); each can be switched off. */
enum io_feature {
    IO_FEATURE_SINGLE_ISSUER = 1 << 0,
    IO_FEATURE_DEFER_TASKRUN = 1 << 1, /* needs SINGLE_ISSUER */
    IO_FEATURE_DIRECT_WRITE = 1 << 2,  /* IO_OPEN_DIRECT bypasses the page cache */
    IO_FEATURE_GATHER = 1 << 3,        /* io_park_gathering gathers; Linux 6.12 */
    IO_FEATURES_ALL = 0x7fffffff,
};

struct io_options {
    uint32_t submissions_max;  /* submission ring entries; power of two, [64, 32768] */
    uint32_t completions_max;  /* completion ring entries; power of two, >= submissions_max */
    uint32_t features_allowed; /* mask of enum io_feature; IO_FEATURES_ALL by default */
};

/*
 * Creates a door.  The first thread that adopts it, polls it or starts something on it owns it.
 * Blocks and allocates.  Errors: WEIR_EUNSUPPORTED if the host refuses io_uring or lacks a needed
 * feature, WEIR_ENOMEM if memory (also locked memory) does not suffice, WEIR_ELIMIT if no file
 * descriptor is left; the text says which limit to raise.
 */
int io_create(struct io **out, const struct io_options *options, struct error_text *error);

/*
 * Hands the door to the calling thread, before its first poll there; nothing is outstanding on its
 * ports.  Another thread may have used the door until then (to open files, say); handles,
 * registered buffers and ports stay as they are.  Start-up only; blocks.
 */
void io_adopt(struct io *io);

/* Closes it; all its ports must have been destroyed.  Its handles are closed by io_close only. */
void io_destroy(struct io *io);

/* The features in use: what was probed and allowed. */
uint32_t io_features(const struct io *io);

/*
 * Creates a port for at most operations_max outstanding operations; a receive counts as one plus
 * one for each buffer of its group that may wait in the mailbox, so give
 * connections + buffers + sends + ... as a commented sum.  Allocates.
 * At most 128 ports a door.  Errors: WEIR_ENOMEM.
 */
int io_port_create(struct io *io, struct io_port **out, uint32_t operations_max);

/* Destroys a port; asserts that nothing is outstanding. */
void io_port_destroy(struct io_port *port);

/* Takes up to `max` completions, oldest first; never blocks.  Returns how many. */
uint32_t io_take(struct io_port *port, struct io_completion *completions, uint32_t max);

/* Operations started and not yet finally taken. */
uint32_t io_outstanding(const struct io_port *port);

/* ---- the loop of a core ------------------------------------------------------------------ */

/*
 * Submits everything started since the last call, and delivers what has completed.  One system
 * call at most, none if there is neither anything to submit nor anything pending.  Returns the
 * number of completions delivered to ports.
 */
uint32_t io_poll(struct io *io);

/* Whether the last io_poll was a system call: it has taken time, though perhaps nothing completed.
 * Any door's owner; neither blocks nor allocates. */
bool io_called(const struct io *io);

/*
 * As io_poll, but waits up to timeout_ns (UINT64_MAX: for ever) until something completes or
 * io_wake is called.  The only function here that blocks on purpose after start-up.
 */
uint32_t io_park(struct io *io, uint64_t timeout_ns);

/*
 * io_park without a limit, for a core that is busy and would find one completion now and several a
 * little later: it may sleep on for up to gather_ns behind the first, io_wake included.  Each wake
 * costs the sleeper a switch and whoever wakes it an interrupt of another CPU, so fewer of them are
 * less work on both sides.
 *
 * It gathers as many as it has been finding, and none if waiting has not paid lately, so a client
 * that waits for its one reply is not delayed.  Never while an operation on a file is outstanding,
 * whose end others wait for, nor without IO_FEATURE_GATHER: then it is io_park.
 */
uint32_t io_park_gathering(struct io *io, uint64_t gather_ns);

/* Any thread: makes the current or the next io_park return.  Never blocks. */
void io_wake(struct io *io);

/* Monotonic nanoseconds; and wall-clock milliseconds since the Unix epoch, which may jump. */
uint64_t io_monotonic_ns(struct io *io);
uint64_t io_wall_ms(struct io *io);

/* Fills memory with unpredictable bytes (hash seed, incarnation).  Start-up only; may block. */
void io_entropy(struct io *io, void *memory, size_t length_bytes);

/* ---- sockets ----------------------------------------------------------------------------- */

/*
 * Groups of receive buffers of a core, numbered from 0.  Each receive draws from the one group that
 * it was started with, and from no other: a group that has run out does not hinder the receives of
 * another.  So what must go on for others to be answered (the members of a cluster) has a group
 * that clients cannot use up.
 */
enum {
    IO_BUFFER_GROUPS = 4,
    IO_BUFFERS_NONE = IO_BUFFER_GROUPS, /* in place of a group: see io_receive_start */
};

/*
 * Gives the core the receive buffers of a group (< IO_BUFFER_GROUPS), once: `count` buffers (power
 * of two, <= 32768) of buffer_bytes each at `memory`, which stays borrowed until io_destroy.  The
 * first `offered` of them are handed to the kernel at once, the others are the caller's until it
 * returns them: the kernel takes those that it has first in, first out, so fewer are warmer.
 * Start-up only.  Errors: WEIR_ENOMEM, WEIR_EUNSUPPORTED; the group is then not registered.
 */
int io_buffers_register(struct io *io, uint32_t group, uint8_t *memory, uint32_t buffer_bytes,
                        uint32_t count, uint32_t offered, struct error_text *error);

/* Gives buffer `index` of a group, taken with a completion or never offered before, for receiving.
 * O(1), no system call. */
void io_buffer_return(struct io *io, uint32_t group, uint32_t index);

/* Binds and listens on "host:port", "[v6]:port".  Start-up only.
 * Errors: WEIR_EINVAL (not an address, or not of this host), WEIR_EADDRINUSE, WEIR_EDENIED (a
 * privileged port), WEIR_EIO (anything else). */
int io_listen(struct io *io, const char *address, uint32_t backlog, int32_t *handle,
              struct error_text *error);

/* The port number that a listening socket got (for "host:0"). */
uint16_t io_listen_port(struct io *io, int32_t listener);

/*
 * Accepts until stopped: an IO_ACCEPT for each connection.  A negative result with IO_MORE is one
 * connection that could not be accepted (-EMFILE, -ECONNABORTED): accepting goes on; without
 * IO_MORE accepting ended and must be started again by the caller.  TCP_NODELAY is set; and whoever
 * has said nothing for IO_ALIVE_IDLE_S seconds is asked by the kernel whether it is still there,
 * IO_ALIVE_PROBES times IO_ALIVE_INTERVAL_S seconds long: then the connection is broken, at most
 * 300 + 3 * 60 = 480 s after its host has gone without a word.
 */
enum { IO_ALIVE_IDLE_S = 300, IO_ALIVE_INTERVAL_S = 60, IO_ALIVE_PROBES = 3 };
void io_accept_start(struct io_port *port, int32_t listener, uint64_t user);
void io_accept_stop(struct io_port *port, int32_t listener);

/*
 * Opens a TCP connection to "address:port" or "[v6-address]:port": numbers only, nothing is looked
 * up.  One IO_CONNECT follows: the handle of a connected socket with TCP_NODELAY set, which is the
 * taker's to close, or a negative errno, and then nothing is left open:
 *   -EINVAL         not such an address, or port 0
 *   -ECONNREFUSED   nothing listens there, or what answered was this very socket
 *   -ETIMEDOUT      no answer in the time that the host allows (two minutes); who has less sets a
 *                   timer and stops the attempt
 *   -ECANCELED      io_connect_stop
 *   -EMFILE, -ENFILE, -ENETUNREACH, -EHOSTUNREACH ...: as the host says
 * `address` is borrowed until the completion.  The attempt itself does not block.
 */
void io_connect_start(struct io_port *port, const char *address, uint64_t user);

/*
 * Asks the attempt of this port with this `user` to end; its one completion follows, whatever it
 * says: also a handle, if it had succeeded.  Nothing if that is in the mailbox already.  Of the
 * attempts in progress on a port at most one has this `user`.
 */
void io_connect_stop(struct io_port *port, uint64_t user);

/*
 * Receives until stopped: an IO_RECEIVE with IO_HAS_BUFFER for each piece of the stream, in a
 * buffer of this registered group.  The buffer belongs to the taker until io_buffer_return.  The
 * final completion (no IO_MORE) says why it ended and may itself carry a last buffer with
 * result > 0; then arm again, with the same group or another.
 *
 * With IO_BUFFERS_NONE it takes no bytes, and completes once, without a buffer: IO_RECEIVE_EOF when
 * the peer closed its sending half and all before that has arrived, though it was not taken yet;
 * -ECONNRESET when the connection is broken; -ECANCELED.  For who is not to be read for now, but to
 * be missed.
 */
void io_receive_start(struct io_port *port, int32_t socket, uint32_t group, uint64_t user);

/*
 * Asks an armed receive to end; its one final completion follows, whatever it says.  When that is
 * in the mailbox already (the receive ended by itself) this does nothing.  `user` is the one given
 * to io_receive_start.
 */
void io_receive_stop(struct io_port *port, int32_t socket, uint64_t user);

enum io_send_mode {
    IO_SEND_TRY,  /* completes at once with what the socket took, or -EAGAIN */
    IO_SEND_WAIT, /* completes when the socket took something */
};

/* Pieces of one send. */
enum { IO_SEND_PIECES_MAX = 64 };

/* Sends `count` pieces (1..IO_SEND_PIECES_MAX) in order; the iovec array is borrowed as well.
 * The caller has at most one send in flight on a socket. */
void io_send(struct io_port *port, int32_t socket, const struct iovec *pieces, uint32_t count,
             enum io_send_mode mode, uint64_t user);

/* Ends sending (FIN, after what was sent) and receiving, at once and for every core: armed receives
 * and waiting sends end by themselves.  Does not close. */
void io_shutdown(struct io *io, int32_t socket);

/* "address:port" of the other side into out (NUL-terminated); "?" if it is gone. */
void io_peer_name(struct io *io, int32_t socket, char out[64]);

/* The same of this side: where the connection was made to. */
void io_local_name(struct io *io, int32_t socket, char out[64]);

/* Releases a handle of any sort; no operation on it may be outstanding. */
void io_close(struct io *io, int32_t handle);

/*
 * Releases a socket likewise, with the next submission of the door's loop: what the kernel does at
 * the end of a connection, and what else is due to it then, is not time of the stage that says so.
 * The handle is gone for the caller at once, and io_destroy waits for no submission.  Called by the
 * owner's thread; neither blocks nor allocates.
 */
void io_socket_close(struct io *io, int32_t socket);

/* ---- timers ------------------------------------------------------------------------------ */

/*
 * Sets the port's timer to a monotonic deadline.  A previous one that is not due yet completes
 * with -ECANCELED.  Each set is one operation and has one completion.
 */
void io_timer_set(struct io_port *port, uint64_t deadline_ns, uint64_t user);

/* Completes the port's timer with -ECANCELED; nothing if none is set. */
void io_timer_stop(struct io_port *port);

/* ---- files ------------------------------------------------------------------------------- */

/*
 * Opens a directory, creating it (not its parents) if `create`.  Start-up and tools; blocks.
 * Errors: WEIR_ENOENT, WEIR_EEXISTS (something else has that name), WEIR_EDENIED, WEIR_EIO.  A
 * directory created here is durable in its parent.
 */
int io_directory_open(struct io *io, const char *path, bool create, int32_t *handle,
                      struct error_text *error);

/* Takes the directory's exclusive lock, held until the handle is closed or the process dies.
 * The kernel takes down the rings of a process behind its end, and until then an operation that was
 * under way may hold the lock: it is asked for again for half a second.
 * Errors: WEIR_ELOCKED if another process holds it.  Start-up and tools; blocks. */
int io_directory_lock(struct io *io, int32_t directory, struct error_text *error);

/* Calls `each` with the name, size and sort of every entry but "." and "..", in no order.
 * Start-up and tools; blocks.  Errors: WEIR_EIO. */
enum io_entry_sort { IO_ENTRY_FILE, IO_ENTRY_DIRECTORY, IO_ENTRY_OTHER };
int io_directory_list(struct io *io, int32_t directory,
                      void (*each)(void *context, const char *name, uint64_t size_bytes,
                                   enum io_entry_sort sort),
                      void *context);

enum io_open_flags {
    IO_OPEN_READ = 1,
    IO_OPEN_WRITE = 2,  /* implies read */
    IO_OPEN_CREATE = 4, /* must not exist: -EEXIST otherwise */
    IO_OPEN_DIRECT = 8, /* bypass the page cache where the file system can */
};

/* Bytes that one read or write may move. */
enum { IO_TRANSFER_BYTES_MAX = 1 << 30 };

/*
 * Opens `name` in a directory; without '/'.  -ENOENT, -EEXIST, -EACCES.  Never follows a symbolic
 * link (-ELOOP; with IO_OPEN_CREATE -EEXIST), never opens anything but a regular file (-EINVAL).
 * -EMFILE, -ENFILE: no descriptor; with IO_OPEN_CREATE the file may have been created all the same
 * (a descriptor above the limit that was in force at the start is given back).
 */
void io_file_open(struct io_port *port, int32_t directory, const char *name, uint32_t flags,
                  uint64_t user);

/* Bytes in the file now; never blocks for long. */
uint64_t io_file_size_bytes(struct io *io, int32_t file);

/*
 * Alignment in bytes that reads and writes of this file want: of memory, offset and length.  A
 * power of two, 512 to 4096.  Binding only on a file that was opened with IO_OPEN_DIRECT.
 */
uint32_t io_file_alignment_bytes(struct io *io, int32_t file);

/* Reads up to IO_TRANSFER_BYTES_MAX bytes; short reads, EAGAIN and EINTR are continued inside. */
void io_file_read(struct io_port *port, int32_t file, void *memory, size_t length_bytes,
                  uint64_t offset_bytes, uint64_t user);

/* Whether a write is durable when it completes. */
enum io_sync {
    IO_NO_SYNC = 0,
    IO_SYNC = 1,
    IO_SYNC_REWRITE = 2, /* IO_SYNC, and a hint: this range of the file was written before */
};

/*
 * Writes `count` pieces (1..1024) at an offset; short writes, EAGAIN and EINTR are continued
 * inside.  With IO_SYNC (or its variant, which promises the same) it completes when the data of
 * this write (and the size, if it grew) is on stable storage; for what other writes left behind use
 * io_file_sync.  After an error any part of it may have been written.
 * On a file opened with IO_OPEN_DIRECT, memory, length and offset are multiples of its alignment.
 */
void io_file_write(struct io_port *port, int32_t file, const struct iovec *pieces, uint32_t count,
                   uint64_t offset_bytes, enum io_sync sync, uint64_t user);

/* Makes durable what completed writes and allocations put into the file before, and its size; not
 * its name (io_directory_sync). */
void io_file_sync(struct io_port *port, int32_t file, uint64_t user);

/* Makes the file at least `length_bytes` long with that space reserved; what is new reads as
 * zeros.  -ENOSPC; -EOPNOTSUPP on a file system that cannot reserve. */
void io_file_allocate(struct io_port *port, int32_t file, uint64_t length_bytes, uint64_t user);

/* `name` strings are borrowed until completion.  Rename replaces an existing target. */
void io_file_rename(struct io_port *port, int32_t directory, const char *from, const char *to,
                    uint64_t user);
void io_file_remove(struct io_port *port, int32_t directory, const char *name, uint64_t user);
void io_directory_sync(struct io_port *port, int32_t directory, uint64_t user);

/*
 * Start-up and tools: parks until the next completion of this port and returns it, so that the
 * operations above can be used one after the other.  Completions of other ports of the same io
 * wait in their mailboxes meanwhile.
 */
struct io_completion io_wait(struct io_port *port);

#endif
