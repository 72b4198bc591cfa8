/*
 * Receiving a snapshot: see snapshot_receive.h.
 *
 *     EMPTY ──> SCANNING (after a restart) ──> REOPENING ─────────────────────┐
 *       │           │ nothing of use                                          v
 *       └───────────┴──> CLEARING ──> CREATING ──> ALLOCATING ──────────────> OPEN <──> WRITING
 *                                                                              │ all there
 *     PLACED <── ENTERING <── RENAMING <── ADOPTING <── FETCHING <── WHOLE <── JUDGING <── SYNCING
 *
 *     anything before WHOLE, and drop ──> REMOVING ──> EMPTY
 *     JUDGING, without a file descriptor ──> OPEN
 *     FETCHING to ENTERING, on a failure ──> FAILED
 *
 * Happy path: along the arrows.  Failure modes: as drawn; each says why in a sentence.  What is
 * there to be judged, and cannot be opened for want of a descriptor, stays; the next piece, which
 * can only be one that is there already, has it tried again.
 */

#include "storage/snapshot_receive.h"

#include "base/assert.h"
#include "base/error.h"
#include "storage/files.h"
#include "storage/snapshot_format.h"
#include "storage/snapshot_stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RECEIVE_USER UINT64_C(0x575245434549) /* "WRECEI" */

enum receive_step {
    STEP_EMPTY,
    STEP_SCANNING,
    STEP_REOPENING,
    STEP_CLEARING,
    STEP_CREATING,
    STEP_ALLOCATING,
    STEP_OPEN,
    STEP_WRITING,
    STEP_SYNCING,
    STEP_JUDGING,
    STEP_WHOLE,
    STEP_FETCHING,
    STEP_ADOPTING,
    STEP_RENAMING,
    STEP_ENTERING,
    STEP_PLACED,
    STEP_REMOVING,
    STEP_FAILED,
};

struct snapshot_receiver {
    struct io *io;
    struct io_port *port;
    int32_t directory;
    struct owner owner;
    struct snapshot_stream *stream;
    enum receive_step step;
    bool outstanding; /* an operation of its own, not the stream's */
    bool leftover;    /* of an earlier process: not looked at yet */
    bool owed;
    bool stopping;
    bool out_of_room;           /* the last attempt found none, and none has since */
    int32_t file;               /* -1: none */
    struct snapshot_piece what; /* index, term, size; offset: bytes that are there */
    uint64_t pending_offset;    /* of the piece in the buffer */
    uint32_t pending_bytes;     /* 0: none */
    struct iovec pieces[1];
    char name[FILE_NAME_BYTES];
    uint8_t *bytes;
    uint32_t capacity_bytes;
    struct snapshot_meta meta;
    struct error_text error;
    struct snapshot_receiver_counters counters;
};

static const uint32_t step_transitions[] = {
    [STEP_EMPTY] = 1 << STEP_SCANNING | 1 << STEP_CLEARING,
    [STEP_SCANNING] = 1 << STEP_REOPENING | 1 << STEP_CLEARING,
    [STEP_REOPENING] = 1 << STEP_OPEN | 1 << STEP_REMOVING,
    [STEP_CLEARING] = 1 << STEP_CREATING | 1 << STEP_REMOVING,
    [STEP_CREATING] = 1 << STEP_ALLOCATING | 1 << STEP_REMOVING,
    [STEP_ALLOCATING] = 1 << STEP_OPEN | 1 << STEP_REMOVING,
    [STEP_OPEN] = 1 << STEP_WRITING | 1 << STEP_SYNCING | 1 << STEP_CLEARING | 1 << STEP_REMOVING,
    [STEP_WRITING] = 1 << STEP_OPEN | 1 << STEP_REMOVING,
    [STEP_SYNCING] = 1 << STEP_JUDGING | 1 << STEP_REMOVING,
    [STEP_JUDGING] = 1 << STEP_WHOLE | 1 << STEP_OPEN | 1 << STEP_REMOVING,
    [STEP_WHOLE] = 1 << STEP_FETCHING | 1 << STEP_CLEARING | 1 << STEP_REMOVING,
    [STEP_FETCHING] = 1 << STEP_ADOPTING | 1 << STEP_FAILED,
    [STEP_ADOPTING] = 1 << STEP_RENAMING | 1 << STEP_FAILED,
    [STEP_RENAMING] = 1 << STEP_ENTERING | 1 << STEP_FAILED,
    [STEP_ENTERING] = 1 << STEP_PLACED | 1 << STEP_FAILED,
    [STEP_PLACED] = 1 << STEP_EMPTY,
    [STEP_REMOVING] = 1 << STEP_EMPTY,
    [STEP_FAILED] = 0,
};

static void step_move(struct snapshot_receiver *receiver, enum receive_step to) {
    ASSERT(step_transitions[receiver->step] & 1u << to);
    receiver->step = to;
}

static uint64_t step_user(struct snapshot_receiver *receiver) {
    ASSERT(!receiver->outstanding);
    receiver->outstanding = true;
    return RECEIVE_USER;
}

int snapshot_receiver_create(struct snapshot_receiver **out, struct io *io, struct io_port *port,
                             int32_t directory, const struct identity *identity,
                             uint32_t piece_bytes_max) {
    ASSERT(piece_bytes_max >= SNAPSHOT_HEADER_BYTES && piece_bytes_max % SNAPSHOT_ALIGN_BYTES == 0);
    struct snapshot_receiver *receiver = calloc(1, sizeof(*receiver));
    struct snapshot_stream *stream = NULL;
    uint8_t *bytes = files_memory(piece_bytes_max);
    if (receiver == NULL || bytes == NULL ||
        snapshot_stream_create(&stream, io, port, directory, identity) != 0) {
        free(receiver);
        files_memory_free(bytes, piece_bytes_max);
        return WEIR_ENOMEM;
    }
    *receiver = (struct snapshot_receiver){.io = io,
                                           .port = port,
                                           .directory = directory,
                                           .owner = owner_of(identity),
                                           .stream = stream,
                                           .leftover = true,
                                           .file = -1,
                                           .bytes = bytes,
                                           .capacity_bytes = piece_bytes_max};
    *out = receiver;
    return 0;
}

static void file_close(struct snapshot_receiver *receiver) {
    if (receiver->file >= 0)
        io_close(receiver->io, receiver->file);
    receiver->file = -1;
}

void snapshot_receiver_destroy(struct snapshot_receiver *receiver) {
    if (receiver == NULL)
        return;
    while (receiver->outstanding) {
        const struct io_completion completion = io_wait(receiver->port);
        if (completion.user == RECEIVE_USER) {
            receiver->outstanding = false;
            if (completion.kind == IO_FILE_OPEN && completion.result >= 0)
                receiver->file = completion.result;
        }
    }
    file_close(receiver);
    snapshot_stream_destroy(receiver->stream);
    files_memory_free(receiver->bytes, receiver->capacity_bytes);
    free(receiver);
}

/* ---- small questions ---------------------------------------------------------------------- */

enum snapshot_receiver_state snapshot_receiver_state(const struct snapshot_receiver *receiver) {
    switch (receiver->step) {
    case STEP_EMPTY: return SNAPSHOT_RECEIVER_EMPTY;
    case STEP_OPEN: return SNAPSHOT_RECEIVER_OPEN;
    case STEP_WHOLE: return SNAPSHOT_RECEIVER_WHOLE;
    case STEP_PLACED: return SNAPSHOT_RECEIVER_PLACED;
    case STEP_FAILED: return SNAPSHOT_RECEIVER_FAILED;
    default: return SNAPSHOT_RECEIVER_BUSY;
    }
}

const struct snapshot_meta *snapshot_receiver_meta(const struct snapshot_receiver *receiver) {
    ASSERT(receiver->step >= STEP_WHOLE && receiver->step <= STEP_PLACED);
    return &receiver->meta;
}

uint64_t snapshot_receiver_index(const struct snapshot_receiver *receiver) {
    return receiver->step == STEP_EMPTY ? 0 : receiver->what.index;
}

bool snapshot_receiver_out_of_room(const struct snapshot_receiver *receiver) {
    return receiver->out_of_room;
}

const char *snapshot_receiver_error(const struct snapshot_receiver *receiver) {
    return receiver->error.text;
}

void snapshot_receiver_counters(const struct snapshot_receiver *receiver,
                                struct snapshot_receiver_counters *out) {
    *out = receiver->counters;
}

bool snapshot_receiver_report(struct snapshot_receiver *receiver, struct snapshot_piece *out,
                              bool *whole) {
    const bool can =
        receiver->step == STEP_EMPTY || receiver->step == STEP_OPEN || receiver->step == STEP_WHOLE;
    if (!receiver->owed || !can)
        return false;
    receiver->owed = false;
    *out = receiver->what;
    out->offset = receiver->step == STEP_EMPTY ? 0 : receiver->what.offset;
    *whole = receiver->step == STEP_WHOLE;
    return true;
}

/* ---- leaving ------------------------------------------------------------------------------ */

static void file_remove(struct snapshot_receiver *receiver) {
    file_close(receiver);
    receiver->pending_bytes = 0;
    step_move(receiver, STEP_REMOVING);
    io_file_remove(receiver->port, receiver->directory, FILE_NAME_SNAPSHOT_RECEIVED,
                   step_user(receiver));
}

static void error_say(struct snapshot_receiver *receiver, const char *reason) {
    error_text_set(&receiver->error, "the snapshot up to entry %llu was not received: %s",
                   (unsigned long long)receiver->what.index, reason);
}

static void receive_fail(struct snapshot_receiver *receiver, const char *reason) {
    error_say(receiver, reason);
    file_remove(receiver);
}

static void place_fail(struct snapshot_receiver *receiver, const char *reason) {
    error_text_set(&receiver->error,
                   "installing the snapshot up to entry %llu failed: %s; check the disk, then "
                   "start again",
                   (unsigned long long)receiver->what.index, reason);
    file_close(receiver);
    step_move(receiver, STEP_FAILED);
}

void snapshot_receiver_drop(struct snapshot_receiver *receiver) {
    ASSERT(receiver->step == STEP_OPEN || receiver->step == STEP_WHOLE);
    receiver->owed = false;
    file_remove(receiver);
}

void snapshot_receiver_stop(struct snapshot_receiver *receiver) {
    receiver->stopping = true;
}

void snapshot_receiver_release(struct snapshot_receiver *receiver) {
    step_move(receiver, STEP_EMPTY);
    receiver->owed = false;
}

/* ---- pieces ------------------------------------------------------------------------------- */

static bool is_same(const struct snapshot_piece *a, const struct snapshot_piece *b) {
    return a->index == b->index && a->term == b->term && a->size_bytes == b->size_bytes;
}

/* Writes the piece in the buffer if it is the next one; goes on if all is there. */
static void open_go_on(struct snapshot_receiver *receiver) {
    ASSERT(receiver->step == STEP_OPEN);
    if (receiver->what.offset == receiver->what.size_bytes) {
        step_move(receiver, STEP_SYNCING);
        io_file_sync(receiver->port, receiver->file, step_user(receiver));
        return;
    }
    const bool is_next =
        receiver->pending_bytes > 0 && receiver->pending_offset == receiver->what.offset;
    if (!is_next) {
        receiver->pending_bytes = 0;
        return;
    }
    receiver->pieces[0] =
        (struct iovec){.iov_base = receiver->bytes, .iov_len = receiver->pending_bytes};
    step_move(receiver, STEP_WRITING);
    io_file_write(receiver->port, receiver->file, receiver->pieces, 1, receiver->what.offset,
                  IO_NO_SYNC, step_user(receiver));
}

/* Begins with another snapshot. */
static void receive_begin(struct snapshot_receiver *receiver, const struct snapshot_piece *piece) {
    file_close(receiver);
    receiver->what = *piece;
    receiver->what.offset = 0;
    if (receiver->leftover) {
        receiver->leftover = false;
        step_move(receiver, STEP_SCANNING);
        snapshot_stream_open(receiver->stream, FILE_NAME_SNAPSHOT_RECEIVED, piece->index, true);
        return;
    }
    step_move(receiver, STEP_CLEARING);
    io_file_remove(receiver->port, receiver->directory, FILE_NAME_SNAPSHOT_RECEIVED,
                   step_user(receiver));
}

void snapshot_receive(struct snapshot_receiver *receiver, const struct snapshot_piece *piece,
                      const uint8_t *bytes) {
    ASSERT(piece->index > 0 && piece->offset + piece->length_bytes <= piece->size_bytes);
    const enum snapshot_receiver_state state = snapshot_receiver_state(receiver);
    ASSERT(state != SNAPSHOT_RECEIVER_PLACED);
    if (state == SNAPSHOT_RECEIVER_BUSY || state == SNAPSHOT_RECEIVER_FAILED) {
        receiver->owed = receiver->owed || is_same(&receiver->what, piece);
        return;
    }
    receiver->owed = true;
    receiver->pending_bytes = 0;
    /* Blocks are multiples of this: who sends other pieces, or longer ones, is not heard. */
    if (piece->length_bytes <= receiver->capacity_bytes &&
        piece->length_bytes % SNAPSHOT_ALIGN_BYTES == 0 &&
        piece->offset % SNAPSHOT_ALIGN_BYTES == 0) {
        memcpy(receiver->bytes, bytes, piece->length_bytes);
        receiver->pending_offset = piece->offset;
        receiver->pending_bytes = piece->length_bytes;
    }
    if (state == SNAPSHOT_RECEIVER_EMPTY || !is_same(&receiver->what, piece))
        receive_begin(receiver, piece);
    else if (state == SNAPSHOT_RECEIVER_OPEN)
        open_go_on(receiver);
}

void snapshot_receiver_place(struct snapshot_receiver *receiver) {
    step_move(receiver, STEP_FETCHING);
    io_file_read(receiver->port, receiver->file, receiver->bytes, SNAPSHOT_HEADER_BYTES, 0,
                 step_user(receiver));
}

/* ---- what has come back ------------------------------------------------------------------- */

/* What an earlier process had received was looked at. */
static void scanned(struct snapshot_receiver *receiver) {
    struct snapshot_stream *stream = receiver->stream;
    enum snapshot_stream_state state = snapshot_stream_state(stream);
    while (state == SNAPSHOT_STREAM_BLOCK && !receiver->stopping) {
        receiver->meta = *snapshot_stream_meta(stream);
        snapshot_stream_next(stream);
        state = snapshot_stream_state(stream);
    }
    if (state == SNAPSHOT_STREAM_BUSY || receiver->stopping)
        return;
    const uint64_t right_bytes = snapshot_stream_offset(stream);
    const bool is_of_use = right_bytes > SNAPSHOT_HEADER_BYTES &&
                           receiver->meta.tail.index == receiver->what.index &&
                           receiver->meta.tail.term == receiver->what.term &&
                           snapshot_stream_file_bytes(stream) == receiver->what.size_bytes;
    snapshot_stream_close(stream);
    if (is_of_use) {
        receiver->what.offset = right_bytes;
        receiver->counters.resumed += right_bytes;
        step_move(receiver, STEP_REOPENING);
        io_file_open(receiver->port, receiver->directory, FILE_NAME_SNAPSHOT_RECEIVED,
                     IO_OPEN_WRITE | IO_OPEN_DIRECT, step_user(receiver));
        return;
    }
    step_move(receiver, STEP_CLEARING);
    io_file_remove(receiver->port, receiver->directory, FILE_NAME_SNAPSHOT_RECEIVED,
                   step_user(receiver));
}

static void judged(struct snapshot_receiver *receiver) {
    struct snapshot_stream *stream = receiver->stream;
    enum snapshot_stream_state state = snapshot_stream_state(stream);
    while (state == SNAPSHOT_STREAM_BLOCK && !receiver->stopping) {
        snapshot_stream_next(stream);
        state = snapshot_stream_state(stream);
    }
    if (state == SNAPSHOT_STREAM_BUSY || receiver->stopping)
        return;
    const char *reason = "its header has another term than its sender said";
    bool is_right = false;
    bool is_no_descriptor = false;
    if (state == SNAPSHOT_STREAM_END) {
        receiver->meta = *snapshot_stream_meta(stream);
        is_right = receiver->meta.tail.term == receiver->what.term;
    } else {
        is_no_descriptor = snapshot_stream_error(stream, &reason) == WEIR_ELIMIT;
    }
    receiver->out_of_room = is_no_descriptor;
    if (is_right) {
        step_move(receiver, STEP_WHOLE);
    } else if (is_no_descriptor) {
        error_say(receiver, reason);
        step_move(receiver, STEP_OPEN);
    } else {
        receiver->counters.refused++;
        receive_fail(receiver, reason);
    }
    snapshot_stream_close(stream);
}

/* The operation before WHOLE succeeded. */
static void received(struct snapshot_receiver *receiver, int32_t result) {
    switch (receiver->step) {
    case STEP_CLEARING:
        step_move(receiver, STEP_CREATING);
        io_file_open(receiver->port, receiver->directory, FILE_NAME_SNAPSHOT_RECEIVED,
                     IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_DIRECT, step_user(receiver));
        break;
    case STEP_CREATING:
        receiver->file = result;
        step_move(receiver, STEP_ALLOCATING);
        io_file_allocate(receiver->port, receiver->file, receiver->what.size_bytes,
                         step_user(receiver));
        break;
    case STEP_REOPENING:
        receiver->file = result;
        step_move(receiver, STEP_OPEN);
        open_go_on(receiver);
        break;
    case STEP_ALLOCATING:
        step_move(receiver, STEP_OPEN);
        open_go_on(receiver);
        break;
    case STEP_WRITING:
        receiver->out_of_room = false;
        receiver->counters.pieces++;
        receiver->what.offset += receiver->pending_bytes;
        receiver->pending_bytes = 0;
        step_move(receiver, STEP_OPEN);
        open_go_on(receiver);
        break;
    case STEP_SYNCING:
        step_move(receiver, STEP_JUDGING);
        snapshot_stream_open(receiver->stream, FILE_NAME_SNAPSHOT_RECEIVED, receiver->what.index,
                             true);
        break;
    default: UNREACHABLE("no operation of the receiver's is under way in this step");
    }
}

/* The operation while placing succeeded. */
static void placed_on(struct snapshot_receiver *receiver) {
    switch (receiver->step) {
    case STEP_FETCHING:
        if (snapshot_header_adopt(receiver->bytes, &receiver->owner) != 0) {
            place_fail(receiver, "it was written by an older version of weir");
            return;
        }
        receiver->pieces[0] =
            (struct iovec){.iov_base = receiver->bytes, .iov_len = SNAPSHOT_HEADER_BYTES};
        step_move(receiver, STEP_ADOPTING);
        io_file_write(receiver->port, receiver->file, receiver->pieces, 1, 0, IO_SYNC,
                      step_user(receiver));
        break;
    case STEP_ADOPTING:
        file_close(receiver);
        snapshot_name(receiver->name, receiver->what.index);
        step_move(receiver, STEP_RENAMING);
        io_file_rename(receiver->port, receiver->directory, FILE_NAME_SNAPSHOT_RECEIVED,
                       receiver->name, step_user(receiver));
        break;
    case STEP_RENAMING:
        step_move(receiver, STEP_ENTERING);
        io_directory_sync(receiver->port, receiver->directory, step_user(receiver));
        break;
    case STEP_ENTERING: step_move(receiver, STEP_PLACED); break;
    default: UNREACHABLE("it is not being placed");
    }
}

static bool is_for_want_of_room(int32_t result) {
    return result == -ENOSPC || result == -EDQUOT || result == -EMFILE || result == -ENFILE;
}

static bool is_harmless(const struct snapshot_receiver *receiver, int32_t result) {
    return (receiver->step == STEP_CLEARING && result == -ENOENT) ||
           (receiver->step == STEP_ALLOCATING && result == -EOPNOTSUPP);
}

bool snapshot_receiver_completion(struct snapshot_receiver *receiver,
                                  const struct io_completion *completion) {
    if (snapshot_stream_completion(receiver->stream, completion)) {
        ASSERT(receiver->step == STEP_SCANNING || receiver->step == STEP_JUDGING);
        if (receiver->step == STEP_SCANNING)
            scanned(receiver);
        else
            judged(receiver);
        return true;
    }
    if (completion->user != RECEIVE_USER)
        return false;
    ASSERT(receiver->outstanding);
    receiver->outstanding = false;
    const int32_t result = completion->result;
    if (receiver->stopping) {
        if (completion->kind == IO_FILE_OPEN && result >= 0)
            receiver->file = result; /* destroy closes it */
        return true;
    }
    if (receiver->step == STEP_REMOVING) {
        step_move(receiver, STEP_EMPTY); /* what cannot be removed is cleared by the next one */
    } else if (result < 0 && receiver->step > STEP_WHOLE) {
        place_fail(receiver, strerror(-result));
    } else if (result < 0 && !is_harmless(receiver, result)) {
        receiver->out_of_room = is_for_want_of_room(result);
        receive_fail(receiver, strerror(-result));
    } else if (receiver->step > STEP_WHOLE) {
        placed_on(receiver);
    } else {
        received(receiver, result);
    }
    return true;
}
