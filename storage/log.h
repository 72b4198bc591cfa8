#ifndef WEIR_STORAGE_LOG_H
#define WEIR_STORAGE_LOG_H

/*
 * The replicated log: its memory, and its segments on disk.
 *
 * Memory = disk = wire.  log_reserve gives the place of the next entry in the log's memory; the
 * entry is encoded there, once, and from there it is written to disk (the memory is laid out as
 * the file is, write headers and padding included, so a write is one contiguous, aligned piece),
 * sent to peers, and decoded by apply.  A range of memory is used again only when the caller has
 * released it (applied, no longer being sent) and it is durable.
 *
 * Group commit.  One write to the log is in flight at a time.  While it is, entries gather in the
 * open write; when it completes, the open write is closed, its header filled in, and submitted.
 * Nothing waits for a timer.  An entry that does not fit into the open write closes it, and queues
 * it if another write is in flight.
 *
 * Disk.  A log is a sequence of segment files, numbered from 1, allocated ahead and reading as
 * zeros, never recycled.  A write starts on a fresh sector with a write header (cluster, node,
 * incarnation, generation, segment, offset, the durable end known when it was submitted, length, a
 * checksum of each of its sectors and of itself); its entries follow unchanged.  A sector that is
 * durable is never written again.  When the log falls idle after a write, one small write without
 * entries records the durable end; a clean stop records it too.  A segment that is left for the
 * next one is sealed by such a write, so that a missing successor is noticed.  docs/formats.md has
 * every byte.
 *
 * Start.  A log that ends before the snapshot that the machine was restored from (a snapshot of
 * another node may be newer than this node's log) begins again behind the snapshot, in a new
 * segment of the next generation; what is in earlier segments is then void.  The same if its entry
 * there is of another term: what the snapshot covers is committed, so the log is of a history that
 * was given up, and the process ended between installing the snapshot and log_restart.
 *
 * Truncation of a suffix never overwrites.  It opens a new segment whose header says {generation
 * + 1, after index i, term and chain at i} and is synced, with its directory, before anything is
 * appended; entries after i of older generations are void from then on.
 *
 * Torn or corrupt.  A durable end is (generation, offset), the highest one found in any write of
 * the newest generation.  Damage below it is corruption: the log does not open, and says file,
 * offset and reason; nothing is cut or repaired.  A damaged tail above it is torn if and only if
 * it is in the last segment, no valid write of this log follows it, and every sector of that write
 * that fails its checksum reads as all zeros, or a sector of its write header does; it is then cut,
 * by ending the log there (new writes go to a new segment with the next generation, so that the
 * torn bytes are never taken for anything).  Everything else is corruption.
 *
 * Errors.  ENOSPC while allocating the next segment is a warning while the active one has room;
 * the first client's entry that finds none there makes the log LOG_FULL: clients' entries are
 * refused, everything else goes on, and it recovers by itself when there is room; the space for
 * protocol entries is reserved.  The same if no file descriptor is left for it (EMFILE, ENFILE); a
 * read, and a truncation that has to read, wait for one.  An entry that was accepted always has its
 * place on disk: log_reserve answers NULL while the place it would need (in the next segment) is
 * not there yet.
 * Any failed write or sync inside a segment is final (LOG_FAILED): nothing that was not yet durable
 * will be called durable, ever, by this process.
 *
 * Durability: DURABILITY_FSYNC: durable means synced.  DURABILITY_WRITE: durable means written (a
 * segment is synced in the background once it is full, and the last one by a clean stop; after a
 * power cut the log may be found damaged and refused).
 * DURABILITY_NONE: entries are kept in memory only and count as durable at once; nothing of them
 * survives the process.
 *
 * Owner: the replicate thread (start-up: the main thread).  Nothing but log_open and log_close
 * blocks or allocates.
 */

#include <stdbool.h>
#include <stdint.h>

#include "entry/entry.h"
#include "storage/identity.h"

/* When an entry counts as durable; see above. */
enum durability { DURABILITY_FSYNC = 0, DURABILITY_WRITE = 1, DURABILITY_NONE = 2 };

enum log_state {
    LOG_READY,
    LOG_FULL,   /* no room, and no space for a next segment: clients' entries are refused */
    LOG_FAILED, /* final: stop, say log_error_text(), exit non-zero */
};

struct log_options {
    uint64_t segment_bytes;   /* file size of a segment; multiple of 1 MiB */
    uint64_t memory_bytes;    /* log memory; multiple of 1 MiB, <= segment_bytes */
    uint32_t entry_bytes_max; /* largest entry; < memory_bytes / 2 (asserted) */
    uint32_t write_bytes_max; /* a write is closed at this size unless one entry is larger */
    enum durability durability;
    /* While idle, so many bytes behind the log's end are filled with zeros: syncs of writes there
       need no change of the file's extents and are a third quicker.  0: none. */
    uint64_t zero_ahead_bytes;
};

/* Where the log begins: just after the snapshot that the machine was restored from. */
struct log_start {
    struct entry_tail tail; /* entry_tail_origin() without a snapshot */
};

struct log;

/*
 * Opens and verifies the whole log on disk from `start` on.  On return the entries
 * [log_first_index, log_last_index] are there and their chain was checked.  `progress` (may be
 * NULL) is called now and then with bytes verified and in total.  Blocks and allocates.
 * `on_entry` (may be NULL) sees each entry once, in order, for configurations.
 *
 * Errors, each with a sentence that names file, offset, reason and what to do:
 * WEIR_ECORRUPT (damage that is not a torn tail; a gap; a file of another kind in the way),
 * WEIR_EIDENTITY (a segment of another cluster, node or incarnation), WEIR_EVERSION,
 * WEIR_ENOSPC, WEIR_EIO.
 */
int log_open(struct log **out, struct io *io, struct io_port *port, int32_t directory,
             const struct identity *identity, const struct log_start *start,
             const struct log_options *options,
             void (*progress)(void *context, uint64_t bytes_done, uint64_t bytes_total),
             void (*on_entry)(void *context, const uint8_t *entry), void *context,
             struct error_text *error);

/*
 * Creates the first segment of a new log with entry 1, the configuration `identity->members`, and
 * syncs it and the directory.  For identity_create.  Errors: WEIR_EEXISTS, WEIR_ENOSPC, WEIR_EIO,
 * WEIR_ENOMEM.
 */
int log_create(struct io *io, struct io_port *port, int32_t directory,
               const struct identity *identity, struct error_text *error);

/* Operations the log may have outstanding on its port: for the port's size.  Their `user` has
 * "WLOG" in its upper half, the vote file's "WVOT", a snapshot writer's "WSNP": others on the same
 * port must not. */
enum { LOG_OPERATIONS_MAX = 16 };

/* The first entry there is; last + 1 if there is none. */
uint64_t log_first_index(const struct log *log);

/* The last entry appended. */
uint64_t log_last_index(const struct log *log);

/* The last entry that is durable; grows, except by log_truncate. */
uint64_t log_durable_index(const struct log *log);

/* What the next entry will be checked against.  Not while a truncation to an entry that is only on
 * disk is under way (asserted): its tail is known when that is done. */
const struct entry_tail *log_tail(const struct log *log);

/* Ready, full or failed; see above. */
enum log_state log_state(const struct log *log);

/* Clients' entries cannot be taken for want of space on the disk: LOG_FULL, or a truncation or
 * restart waits for it. */
bool log_out_of_room(const struct log *log);

/* The sentence of LOG_FAILED or LOG_FULL. */
const char *log_error_text(const struct log *log);

/* Term of the entry at index (or of the snapshot before the first); 0 if it is not known. */
uint64_t log_term(const struct log *log, uint64_t index);

/*
 * What an entry's successor is checked against (index, term, log time, chain of the entry), without
 * reading the disk.  False if the entry is only there, and neither the last one nor the one before
 * a segment's first, or before the first in memory.  Not while a truncation is under way
 * (asserted).
 */
bool log_tail_at(const struct log *log, uint64_t index, struct entry_tail *out);

/*
 * Room for one entry of length_bytes, 8-aligned, zeroed only as far as entry_seal does it.  NULL
 * if there is no room now (state LOG_READY: try again after a release or a completion) or the state
 * is not LOG_READY, which this call may bring about, except that `protocol` entries (small: no-op,
 * configuration, time) may still use reserved space in LOG_FULL.  A reservation not followed by
 * log_append is forgotten by the next log_reserve.
 */
uint8_t *log_reserve(struct log *log, uint32_t length_bytes, bool protocol);

/* Seals (chain, index) and appends the entry whose body was written into the reserved place.
 * Returns its index. */
uint64_t log_append(struct log *log, const struct entry_header *header);

/*
 * The same in slices, for a long entry.  begin is called for a reservation, before its body is
 * written or after; once the body stands there slice, again and again, each for about length_bytes
 * of work, until it returns true; and then end, which is log_append's moment: before it nobody sees
 * the entry.  Meanwhile nothing else may be reserved and nothing truncated (asserted), and what was
 * appended to the same write before waits for it.  cancel gives the reservation up, any time before
 * end.
 */
void log_append_begin(struct log *log, const struct entry_header *header);
bool log_append_slice(struct log *log, uint32_t length_bytes);
uint64_t log_append_end(struct log *log);
void log_append_cancel(struct log *log);

/* Appends an entry received from a peer: copies it into memory after checking it as the successor
 * of the tail.  `earlier`: it is of an earlier term than its sender leads, so that nobody appends
 * more of these; a client's may then use half of the reserved space, in LOG_FULL, too.  Errors:
 * WEIR_ECORRUPT, WEIR_EFULL (memory), WEIR_ENOSPC (LOG_FULL). */
int log_append_copy(struct log *log, const uint8_t *entry, size_t available_bytes, bool earlier);

/* Submits the open write if none is in flight; call once a poll, after the appends of that poll. */
void log_flush(struct log *log);

/* Offers a completion of the port; true if it was the log's.  Submits the next write if that is
 * already closed; the open one waits for the flush at the end of the poll, and so takes along what
 * this poll appends. */
bool log_completion(struct log *log, const struct io_completion *completion);

/* Background work: allocates the next segment, records the durable end when idle, removes old
 * segments, retries what found no room or no file descriptor.  Cheap; call once a poll. */
void log_maintain(struct log *log, uint64_t now_ns);

/* When log_maintain has something to do at the latest; UINT64_MAX: nothing before a completion. */
uint64_t log_deadline_ns(const struct log *log);

/* The entry in memory, or NULL if it is only on disk.  Borrowed until released past. */
const uint8_t *log_entry(const struct log *log, uint64_t index);

/* Everything up to `index` may leave the memory (once durable). */
void log_release(struct log *log, uint64_t index);

/* Bytes of memory that are not free: whole writes, of which an entry is not released or not
 * durable. */
uint64_t log_memory_used_bytes(const struct log *log);

/*
 * Reads entries from `index` on that are only on disk into `buffer` (borrowed, 4096-aligned):
 * whole entries, back to back at ENTRY_ALIGN_BYTES, checked.  One read at a time (asserted).  The
 * result is offered by log_read_result once a completion brought it; while no file descriptor is
 * left, log_maintain tries again.
 */
void log_read(struct log *log, uint64_t index, uint8_t *buffer, size_t buffer_bytes);

/* True once the read is done: *first_index, *count and *length_bytes describe what is in the
 * buffer; count 0 with *error < 0 if it failed (WEIR_EIO, WEIR_ECORRUPT, WEIR_ENOENT: its segment
 * was removed or truncated meanwhile, WEIR_EFULL: the buffer is too small for the first entry,
 * *length_bytes tells its size). */
bool log_read_result(struct log *log, uint64_t *first_index, uint32_t *count, size_t *length_bytes,
                     int *error);

/*
 * Makes `index` the last entry (>= log_first_index - 1).  Entries after it are gone from memory
 * at once; log_truncating is true until the new segment is durable, and nothing may be appended
 * meanwhile (log_reserve answers NULL).  The durable index shrinks to at most `index`.  If nothing
 * of what goes had been handed to the disk, it is done at once.
 */
void log_truncate(struct log *log, uint64_t index);

/*
 * Begins the log again behind `tail`, the last entry of a snapshot that is durable under its name,
 * whether or not the log has an entry there.  Nothing of the old log is left: entries are gone from
 * memory at once (so nobody may borrow one any more), a read under way gives WEIR_ENOENT, and the
 * old segments are removed.  As with log_truncate, log_truncating is true until the new segment is
 * durable; for want of space on the disk that can last.  A crash before leaves the old log, which
 * log_open then begins again in the same way.
 */
void log_restart(struct log *log, const struct entry_tail *tail);

/* A truncation or a restart is under way. */
bool log_truncating(const struct log *log);

/* A snapshot covers everything up to `index`: whole segments before it may be removed. */
void log_compact(struct log *log, uint64_t index);

/* Starts a clean stop: flushes, records the durable end; log_stopped tells when it is done.  A
 * truncation that finds no room on the disk is given up: what it removed is there again at the next
 * start, as if the power had gone now. */
void log_stop(struct log *log);

/* The clean stop is complete: the log may be closed. */
bool log_stopped(const struct log *log);

/* Frees; asserts that nothing is in flight (or that the state is LOG_FAILED). */
void log_close(struct log *log);

/* ---- figures for the monitor --------------------------------------------------------------- */
struct log_counters {
    uint64_t writes;      /* writes completed */
    uint64_t write_bytes; /* bytes of them, headers and padding included */
    uint64_t entries;     /* entries appended */
    uint64_t entry_bytes; /* bytes of them */
    uint64_t syncs;
    uint64_t write_ns_total; /* submission to completion */
    uint64_t write_ns_max;
    uint64_t segments;   /* files there are */
    uint64_t zero_bytes; /* written ahead */
};
void log_counters(const struct log *log, struct log_counters *out);

#endif
