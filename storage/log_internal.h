#ifndef WEIR_STORAGE_LOG_INTERNAL_H
#define WEIR_STORAGE_LOG_INTERNAL_H

/*
 * The inside of the log, shared by its files and by nobody else:
 *
 *   log.c           appending, group commit, completions, the small questions
 *   log_memory.c    the log's memory: writes laid out as on disk, a queue of them, the entry ring
 *   log_segment.c   the spare segment, the switch to it (roll-over, truncation), marks, removal
 *   log_read.c      entries that are only on disk; the sparse index
 *   log_create.c    a segment created while nothing else happens, the first one above all
 *   log_open.c      recovery, closing
 *
 * A write's life:
 *
 *     OPEN --close--> CLOSED --submit--> FLYING --completed--> DONE --released--> (memory free)
 *
 * At most one write is OPEN (the newest) and one FLYING; they stand in one queue in log order.
 *
 * Place on disk.  An entry is accepted only if its write has a place: behind the writes queued
 * before it in the active segment, or else in the spare one.  `placed` follows the queue with the
 * same first-fit rule as the submission does, so an accepted entry always finds its room.
 */

#include "base/error.h"
#include "storage/log.h"
#include "storage/log_format.h"

enum {
    /* Kept free at the end of the last allocated segment for protocol entries: a no-op takes one
       block or two, so even with blocks of 4096 bytes this is one a restart for 32 restarts. */
    LOG_RESERVE_BYTES = 256 * 1024,
    /* Of which so much is left by clients' entries of an earlier term, that a new leader's first
       entry has to wait for. */
    LOG_RESERVE_EARLIER_BYTES = LOG_RESERVE_BYTES / 2,
    LOG_SEGMENTS_MAX = 8192,
    LOG_TERM_RUNS_MAX = 1024,
    LOG_SAMPLES_MAX = 32768,
    LOG_SAMPLE_STRIDE_BYTES = 64 * 1024,
    /* As soon as so much of the memory's front is free, writes begin there again. */
    LOG_HOT_BYTES = 512 * 1024,
    /* One piece of filling ahead: an entry that comes just then waits for so much. */
    LOG_ZEROS_BYTES = 256 * 1024,
    /* Smallest write in memory (a header sector and a data sector) and smallest mean entry that
       the tables are made for; beyond them memory counts as full a little earlier. */
    LOG_MEMORY_BYTES_PER_WRITE = 1024,
    LOG_MEMORY_BYTES_PER_ENTRY = 64,
};

/* Nothing to do for so long after a write: the log is idle and its end is recorded. */
#define LOG_IDLE_NS        UINT64_C(20000000)
/* Pause between two attempts to allocate a segment on a full disk, or to open one when no file
   descriptor is left. */
#define LOG_SPACE_RETRY_NS UINT64_C(200000000)

/* The part of a segment that entries may use: its last two blocks are for the mark of a clean stop
   and for the seal. */
static inline uint64_t segment_usable_bytes(uint64_t segment_bytes, uint32_t block_bytes) {
    return segment_bytes - 2 * (uint64_t)block_bytes;
}

/* Operations on the port, at most one of each at a time. */
enum log_operation {
    LOG_OPERATION_WRITE,  /* the one write to the log: entries, mark, segment header, seal */
    LOG_OPERATION_SPARE,  /* preparing the next segment */
    LOG_OPERATION_REMOVE, /* removing old segments */
    LOG_OPERATION_RETIRE, /* DURABILITY_WRITE: syncing a segment that was left */
    LOG_OPERATION_READ,   /* the caller's reader */
    LOG_OPERATION_SEEK,   /* the reader of log_truncate */
    LOG_OPERATION_COUNT,
};
_Static_assert((int)LOG_OPERATION_COUNT <= (int)LOG_OPERATIONS_MAX, "as the header promises");

/* Drawn above. */
enum log_write_state { LOG_WRITE_OPEN, LOG_WRITE_CLOSED, LOG_WRITE_FLYING, LOG_WRITE_DONE };

/* One write in memory. */
struct log_write {
    uint64_t memory_offset;
    uint32_t length_bytes;   /* header sectors and entries so far */
    uint32_t capacity_bytes; /* what the header's table can cover */
    uint32_t entry_count;
    uint16_t header_sectors;
    uint8_t state;            /* enum log_write_state */
    uint32_t summed_sectors;  /* whose checksums are in its header already */
    struct entry_tail before; /* of its first entry */
    uint64_t last_index;
};

/* The memory: see log_memory.c. */
struct log_memory {
    uint8_t *bytes;
    uint64_t size_bytes;
    uint32_t block_bytes; /* writes start at multiples of it */

    struct log_write *writes; /* ring, indexed by sequence & write_mask */
    uint64_t write_mask;
    uint64_t writes_begin;  /* oldest write that still holds memory */
    uint64_t writes_submit; /* next one to submit */
    uint64_t writes_end;    /* one past the newest */

    uint32_t *entries; /* ring, indexed by entry index & entry_mask: place / ENTRY_ALIGN_BYTES */
    uint64_t entry_mask;
    uint64_t first_index; /* oldest entry in memory; last index + 1 if none is */
    uint64_t used_bytes;  /* of all writes of the queue */
};

/* One segment file. */
struct log_segment {
    uint64_t number;
    uint64_t generation;
    struct entry_tail before;
    uint32_t block_bytes;
};

/* Term `term` begins at entry `index`. */
struct log_term_run {
    uint64_t index;
    uint64_t term;
};

/* A write of entries begins at this place. */
struct log_sample {
    uint64_t first_index;
    struct log_position position;
};

/* The next segment.  Transitions in log_segment.c. */
enum spare_state {
    SPARE_ABSENT,
    SPARE_CREATING,
    SPARE_ALLOCATING,
    SPARE_SYNCING,  /* the file: its size */
    SPARE_ENTERING, /* the directory is being synced: its name */
    SPARE_READY,
    SPARE_REMOVING, /* no space, no descriptor: what was created goes again */
    SPARE_STARVED,  /* no space: waiting to try again */
};

/* Going over to the next segment.  Transitions in log_segment.c. */
enum switch_state {
    SWITCH_NONE,
    SWITCH_WANTED, /* waits until the spare is ready */
    SWITCH_HEADER, /* the new segment's header is being written */
    SWITCH_SEAL,   /* the old segment's seal is being written */
};

enum truncate_state {
    TRUNCATE_NONE,
    TRUNCATE_SEEKING, /* the tail is being read from disk */
    TRUNCATE_PENDING, /* waits for the writes before it, then for the switch */
};

/* What LOG_OPERATION_WRITE is writing. */
enum log_writing {
    WRITING_ENTRIES,
    WRITING_MARK,
    WRITING_HEADER,
    WRITING_SEAL,
    WRITING_STOP_SYNC,
    WRITING_ZEROS,
};

/* STARVED: no file descriptor was left, opening is tried again at retry_ns.  DONE until the result
 * was taken. */
enum reader_state { READER_IDLE, READER_OPENING, READER_STARVED, READER_READING, READER_DONE };

/* Reads entries back from disk; see log_read.c. */
struct log_reader {
    enum reader_state state;
    enum log_operation operation;
    int32_t file;
    uint64_t file_segment; /* which segment `file` is; 0: none open */
    uint64_t file_bytes;
    uint64_t wanted_index;
    uint64_t limit_index; /* entries beyond it were truncated meanwhile */
    uint64_t retry_ns;    /* while STARVED */
    struct log_position position;
    uint8_t *scratch;
    size_t scratch_bytes;
    uint8_t *buffer;
    size_t buffer_bytes;
    size_t length_bytes;
    uint64_t first_index;
    uint32_t count;
    int error;
    char name[FILE_NAME_BYTES];
};

struct log {
    struct io *io;
    struct io_port *port;
    int32_t directory;
    struct identity identity;
    struct log_options options;
    enum log_state state;
    struct error_text error;
    uint32_t operations_busy; /* bit set of enum log_operation */
    uint64_t now_ns;          /* as last given to log_maintain */

    /* The log. */
    struct entry_tail tail;
    uint64_t durable_index;
    uint64_t released_index;
    uint64_t submitted_index; /* the highest entry ever handed to the disk in this generation */
    uint64_t stored_index;    /* the highest entry whose write completed: readable from disk */
    struct log_memory memory;
    uint32_t reserved_bytes; /* of the last log_reserve; 0: none */
    struct log_counters counters;

    /* The active segment, and places in it. */
    struct segment_header active;
    int32_t active_file;
    uint64_t active_offset;           /* where the next write goes */
    struct log_position durable_end;  /* synced up to here */
    struct log_position recorded_end; /* the durable end that a write on disk records */
    struct log_position entries_end;  /* behind the last write of entries that completed */
    bool placed_in_spare;             /* where the newest write of the queue will be ... */
    uint64_t placed_offset;           /* ... and the offset behind it */
    bool active_unsynced;             /* DURABILITY_WRITE: written and not synced */

    bool appending;               /* an entry, in slices: */
    struct entry_sealing sealing; /* its chain */
    bool sealed;                  /* that is complete; the sectors are being summed */

    /* The write in flight. */
    enum log_writing writing;
    struct iovec piece;
    struct write_header flying;
    uint64_t flying_bytes;
    uint64_t flying_started_ns;
    uint64_t write_last_ns;        /* when the last write of entries completed */
    uint32_t write_expected_bytes; /* how large the next one may become */
    uint8_t *blocks;               /* two of BLOCK_BYTES_MAX: segment header; mark or seal */

    /* Filling with zeros ahead: done up to these offsets. */
    uint8_t *zeros; /* LOG_ZEROS_BYTES; NULL if zero_ahead_bytes is 0 */
    uint64_t active_zeroed;
    uint64_t spare_zeroed;
    bool zeroing_spare; /* what is in flight goes there */

    /* The spare and the switch. */
    enum spare_state spare;
    int32_t spare_file; /* -1: none */
    uint32_t spare_block_bytes;
    uint64_t spare_retry_ns;
    bool is_short_of_space; /* from the first refusal by the file system until the spare is ready */
    bool is_short_of_descriptors; /* and what it is short of is not space */
    char spare_name[FILE_NAME_BYTES];
    enum switch_state switching;
    struct segment_header next; /* the header being written */

    enum truncate_state truncate;
    enum segment_origin truncate_origin; /* SEGMENT_TRUNCATE or SEGMENT_RESTART */
    struct entry_tail truncate_tail;

    int32_t retire_file; /* -1: none */
    uint64_t retire_number;

    /* All segments, oldest first; the last is the active one. */
    struct log_segment *segments;
    uint32_t segment_count;
    uint32_t remove_count;  /* of them, how many at the front are to be removed */
    bool remove_is_syncing; /* the directory is being synced */
    bool remove_is_blocked; /* it failed; the next log_compact tries again */
    char remove_name[FILE_NAME_BYTES];

    struct log_term_run *term_runs; /* ascending */
    uint32_t term_run_count;
    struct log_sample *samples; /* ascending */
    uint32_t sample_count;
    uint64_t sample_stride_bytes;
    uint64_t sample_bytes; /* since the last sample */

    struct log_reader reader;
    struct log_reader seeker;
    _Alignas(8) uint8_t seek_header[ENTRY_HEADER_BYTES];

    bool stopping;
    bool stopped;
};

/* ---- log.c ---- */
void log_fail(struct log *log, const char *what, const char *name, int32_t negative_errno);
bool log_is_busy(const struct log *log, enum log_operation operation);
uint64_t log_user(enum log_operation operation);
void log_set_busy(struct log *log, enum log_operation operation);
void log_pump(struct log *log, bool close_open);
void log_write_start(struct log *log, enum log_writing writing, int32_t file, uint8_t *memory,
                     uint64_t length_bytes, uint64_t offset, enum io_sync sync);
void log_terms_append(struct log *log, uint64_t index, uint64_t term);

/* ---- log_memory.c ---- */
int log_memory_create(struct log_memory *memory, uint64_t size_bytes, uint32_t block_bytes,
                      uint64_t first_index);
void log_memory_destroy(struct log_memory *memory);
struct log_write *log_memory_write(const struct log_memory *memory, uint64_t sequence);
struct log_write *log_memory_open(const struct log_memory *memory);
bool log_memory_can_grow(const struct log_memory *memory, const struct log_write *write,
                         uint64_t length_bytes);
bool log_memory_find_room(const struct log_memory *memory, uint64_t length_bytes,
                          uint64_t room_wanted_bytes, uint64_t *offset);
struct log_write *log_memory_push(struct log_memory *memory, uint64_t offset,
                                  uint32_t header_sectors, const struct entry_tail *before);
void log_memory_free_done(struct log_memory *memory, uint64_t index);
void log_memory_truncate(struct log_memory *memory, uint64_t index);
const uint8_t *log_memory_entry(const struct log_memory *memory, uint64_t index);
void log_memory_append(struct log_memory *memory, struct log_write *write, uint64_t index,
                       uint32_t length_bytes);
void log_memory_drop_open(struct log_memory *memory);

/* ---- log_segment.c ---- */
void segment_spare_start(struct log *log);
void segment_spare_completed(struct log *log, int32_t result);
void segment_space_ran_out(struct log *log);
void segment_switch_start(struct log *log, enum segment_origin origin,
                          const struct entry_tail *before);
void segment_switch_pump(struct log *log);
void segment_switch_completed(struct log *log);
void segment_mark_write(struct log *log, enum write_kind kind);
bool segment_zeros_wanted(const struct log *log, bool *in_spare, uint64_t *offset,
                          uint64_t *length_bytes);
void segment_zeros_write(struct log *log);
void segment_zeros_completed(struct log *log);
void segment_remove_pump(struct log *log);
void segment_remove_completed(struct log *log, int32_t result);
void segment_retire_completed(struct log *log, int32_t result);
void segment_adopt(struct log *log, const struct segment_header *header, int32_t file,
                   uint64_t offset);

/* ---- log_create.c ---- */
int segment_create(struct io *io, struct io_port *port, int32_t directory,
                   struct segment_header *header, uint8_t *block, int32_t *out,
                   struct error_text *error);

/* ---- log_read.c ---- */
int reader_create(struct log_reader *reader, enum log_operation operation, size_t scratch_bytes);
void reader_destroy(struct log *log, struct log_reader *reader);
void reader_start(struct log *log, struct log_reader *reader, uint64_t index, uint8_t *buffer,
                  size_t buffer_bytes);
void reader_retry(struct log *log, struct log_reader *reader);
void reader_completed(struct log *log, struct log_reader *reader, int32_t result);
void samples_add(struct log *log, uint64_t first_index, struct log_position position,
                 uint64_t stride_bytes);
void samples_truncate(struct log *log, uint64_t index);

#endif
