/*
 * Files.
 *
 * The happy path of the log: a file is opened past the page cache (O_DIRECT), and each write
 * carries RWF_DSYNC, so that one request moves the data and makes it durable; where the file system
 * or the caller says no, the same request through the page cache does both too, only slower.
 *
 * A range that was written before needs no change of the file's extents.  There the write itself is
 * issued at once and not on a kernel thread; but then RWF_DSYNC would end it with a sync on a
 * worker of the CPU that took the disk's interrupt, behind whatever runs there.  So the sync is a
 * request of its own, linked behind the write.  Of the two one completion comes: the sync's, or the
 * write's if it failed or fell short, which cuts the link.  So whenever the write's comes, its sync
 * has not run, and the write is not over, whatever the completion says was moved.
 *
 * Failure modes:
 *   - a write or read moves less than asked for: the rest is started again, from the last multiple
 *     of the alignment on a direct file, one piece at a time.  EINTR and EAGAIN are started again
 *     on a kernel thread, where nothing has to be non-blocking.
 *   - any other error of a write or sync is reported once and is final for the file: nothing is
 *     tried again, since the kernel forgets a failed page after telling.
 *   - the name is a symbolic link (-ELOOP), or not a regular file (-EINVAL): it is opened without
 *     waiting for the other end of a pipe, looked at, and closed.
 */

#include "io/uring.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ALIGNMENT_MIN_BYTES = 512,  /* a sector: what a disk writes whole */
    ALIGNMENT_MAX_BYTES = 4096, /* what every disk accepts */
    PIECES_MAX = 1024,          /* the kernel's UIO_MAXIOV */
    FILE_MODE = 0640,
};

/* ---- opening ----------------------------------------------------------------------------- */

static void entry_open(struct io_port *port, struct uring_operation *operation, const char *name) {
    uint32_t flags = operation->open_flags;
    /* Without O_DIRECT: a file system that has none would create the file, then refuse. */
    int how = O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    how |= flags & IO_OPEN_WRITE ? O_RDWR : O_RDONLY;
    how |= flags & IO_OPEN_CREATE ? O_CREAT | O_EXCL : 0;
    struct io_uring_sqe *entry = uring_entry(port->io);
    io_uring_prep_openat(entry, operation->handle, name, how, FILE_MODE);
    uring_entry_name(entry, port, operation);
}

void io_file_open(struct io_port *port, int32_t directory, const char *name, uint32_t flags,
                  uint64_t user) {
    ASSERT(flags & (IO_OPEN_READ | IO_OPEN_WRITE));
    ASSERT(strchr(name, '/') == NULL);
    struct uring_operation *operation = uring_start(port, IO_FILE_OPEN, directory, user);
    operation->open_flags = flags;
    entry_open(port, operation, name);
}

/* What direct reads and writes of the file must be multiples of; 0 if it has none. */
static uint32_t direct_alignment_bytes(int descriptor) {
    struct statx status;
    if (statx(descriptor, "", AT_EMPTY_PATH, STATX_DIOALIGN, &status) != 0)
        return ALIGNMENT_MAX_BYTES;
    if (!(status.stx_mask & STATX_DIOALIGN))
        return ALIGNMENT_MAX_BYTES; /* the file system does not say */
    uint32_t bytes = status.stx_dio_mem_align > status.stx_dio_offset_align
                         ? status.stx_dio_mem_align
                         : status.stx_dio_offset_align;
    if (bytes == 0 || bytes > ALIGNMENT_MAX_BYTES || !IS_POWER_OF_TWO(bytes))
        return 0;
    return bytes < ALIGNMENT_MIN_BYTES ? ALIGNMENT_MIN_BYTES : bytes;
}

/* Looks at what was opened and prepares it.  The handle, or a negative errno with it closed. */
static int32_t opened(struct io *io, int32_t descriptor, uint32_t flags) {
    struct stat status;
    int number = 0;
    if ((uint32_t)descriptor >= io->descriptors_max) {
        number = EMFILE;
        goto refuse;
    }
    if (fstat(descriptor, &status) != 0) {
        number = errno;
        goto refuse;
    }
    if (!S_ISREG(status.st_mode)) {
        number = EINVAL;
        goto refuse;
    }
    uint32_t alignment_bytes = 0;
    if ((flags & IO_OPEN_DIRECT) && (io->features & IO_FEATURE_DIRECT_WRITE))
        alignment_bytes = direct_alignment_bytes(descriptor);
    bool direct = alignment_bytes != 0 && fcntl(descriptor, F_SETFL, O_DIRECT) == 0;
    /* Either way O_NONBLOCK goes: with it the kernel would fail a transfer that has to wait. */
    if (!direct && fcntl(descriptor, F_SETFL, 0) != 0) {
        number = errno;
        goto refuse;
    }
    *uring_descriptor(io, descriptor) = (struct uring_descriptor){
        .alignment_bytes = (uint16_t)(direct ? alignment_bytes : ALIGNMENT_MIN_BYTES),
        .direct = direct,
    };
    return descriptor;

refuse:
    close(descriptor);
    return -number;
}

static void open_completed(struct io_port *port, struct uring_operation *operation,
                           int32_t result) {
    if (result >= 0)
        result = opened(port->io, result, operation->open_flags);
    else if (result == -EISDIR || result == -ENXIO)
        result = -EINVAL; /* a directory; a socket or the dead end of a pipe */
    uring_deliver(port, operation, result, 0, 0);
}

/* ---- reading and writing ----------------------------------------------------------------- */

/* The piece that holds the byte `done_bytes` of the transfer, from there on. */
static struct iovec piece_at(const struct uring_transfer *transfer, uint32_t done_bytes) {
    size_t skip = done_bytes;
    for (uint32_t i = 0; i < transfer->count; i++) {
        const struct iovec *piece = &transfer->pieces[i];
        if (skip < piece->iov_len)
            return (struct iovec){(uint8_t *)piece->iov_base + skip, piece->iov_len - skip};
        skip -= piece->iov_len;
    }
    UNREACHABLE("a transfer is as long as its pieces");
}

/* The sync behind a write: alone, or linked if the write was started just before. */
static void entry_sync_behind(struct io_port *port, const struct uring_operation *operation) {
    struct io_uring_sqe *sync = uring_entry(port->io);
    io_uring_prep_fsync(sync, operation->handle, IORING_FSYNC_DATASYNC);
    io_uring_sqe_set_data64(sync, uring_name(operation->generation, port->index | URING_PORT_SYNC,
                                             (uint32_t)(operation - port->operations)));
}

/* Starts what is left; `forced` on a kernel thread. */
static void entry_transfer(struct io_port *port, struct uring_operation *operation, bool forced) {
    const struct uring_transfer *transfer = &operation->transfer;
    if (transfer->sync_linked)
        uring_entries_together(port->io, 2);
    struct io_uring_sqe *entry = uring_entry(port->io);
    uint64_t offset_bytes = transfer->offset_bytes + transfer->done_bytes;
    bool whole = transfer->done_bytes == 0 && transfer->count > 1;
    struct iovec piece = whole ? (struct iovec){0} : piece_at(transfer, transfer->done_bytes);
    if (operation->kind == IO_FILE_READ)
        io_uring_prep_read(entry, operation->handle, piece.iov_base, (unsigned)piece.iov_len,
                           offset_bytes);
    else if (whole)
        io_uring_prep_writev(entry, operation->handle, transfer->pieces, transfer->count,
                             offset_bytes);
    else
        io_uring_prep_write(entry, operation->handle, piece.iov_base, (unsigned)piece.iov_len,
                            offset_bytes);
    if (transfer->sync && !transfer->sync_linked)
        entry->rw_flags = RWF_DSYNC;
    unsigned flags = forced ? IOSQE_ASYNC : 0;
    if (transfer->sync_linked)
        flags |= IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_flags(entry, flags);
    uring_entry_name(entry, port, operation);
    if (transfer->sync_linked)
        entry_sync_behind(port, operation);
}

void io_file_read(struct io_port *port, int32_t file, void *memory, size_t length_bytes,
                  uint64_t offset_bytes, uint64_t user) {
    ASSERT(length_bytes > 0 && length_bytes <= IO_TRANSFER_BYTES_MAX);
    struct uring_operation *operation = uring_start(port, IO_FILE_READ, file, user);
    operation->transfer = (struct uring_transfer){
        .single = {memory, length_bytes},
        .pieces = &operation->transfer.single,
        .count = 1,
        .offset_bytes = offset_bytes,
        .length_bytes = (uint32_t)length_bytes,
    };
    entry_transfer(port, operation, false);
}

void io_file_write(struct io_port *port, int32_t file, const struct iovec *pieces, uint32_t count,
                   uint64_t offset_bytes, enum io_sync sync, uint64_t user) {
    ASSERT(count >= 1 && count <= PIECES_MAX);
    const struct uring_descriptor *descriptor = uring_descriptor(port->io, file);
    uint64_t mask = descriptor->direct ? descriptor->alignment_bytes - 1u : 0;
    uint64_t length_bytes = 0;
    ASSERT((offset_bytes & mask) == 0);
    for (uint32_t i = 0; i < count; i++) {
        ASSERT(((pieces[i].iov_len | (uintptr_t)pieces[i].iov_base) & mask) == 0);
        length_bytes += pieces[i].iov_len;
    }
    ASSERT(length_bytes > 0 && length_bytes <= IO_TRANSFER_BYTES_MAX);
    struct uring_operation *operation = uring_start(port, IO_FILE_WRITE, file, user);
    operation->transfer = (struct uring_transfer){
        .pieces = pieces,
        .count = count,
        .offset_bytes = offset_bytes,
        .length_bytes = (uint32_t)length_bytes,
        .sync = sync != IO_NO_SYNC,
        .sync_linked = sync == IO_SYNC_REWRITE && descriptor->direct,
    };
    entry_transfer(port, operation, false);
}

static void transfer_completed(struct io_port *port, struct uring_operation *operation,
                               int32_t result, bool of_sync) {
    struct uring_transfer *transfer = &operation->transfer;
    if (of_sync) { /* if it failed, also by EINTR, what it covered is not known */
        uring_deliver(port, operation, result < 0 ? result : (int32_t)transfer->length_bytes, 0, 0);
        return;
    }
    if (result == -EAGAIN || result == -EINTR) {
        entry_transfer(port, operation, true);
        return;
    }
    if (result < 0) {
        uring_deliver(port, operation, result, 0, 0);
        return;
    }
    uint32_t done_bytes = transfer->done_bytes + (uint32_t)result;
    ASSERT(done_bytes <= transfer->length_bytes);
    bool ended = done_bytes == transfer->length_bytes;
    const struct uring_descriptor *descriptor = uring_descriptor(port->io, operation->handle);
    uint32_t misaligned = descriptor->direct ? done_bytes % descriptor->alignment_bytes : 0;
    if (operation->kind == IO_FILE_READ)
        ended = ended || result == 0 || misaligned != 0; /* the end of the file */
    if (ended && transfer->sync_linked) {
        entry_sync_behind(port, operation);
    } else if (ended) {
        uring_deliver(port, operation, (int32_t)done_bytes, 0, 0);
    } else if (result == 0) {
        uring_deliver(port, operation, -EIO, 0, 0); /* a write that moves nothing never ends */
    } else {
        transfer->done_bytes = done_bytes - misaligned;
        entry_transfer(port, operation, false);
    }
}

/* ---- sync, allocate, names --------------------------------------------------------------- */

static void entry_sync(struct io_port *port, struct uring_operation *operation) {
    struct io_uring_sqe *entry = uring_entry(port->io);
    /* fdatasync makes data and size durable; a directory's names need the full one. */
    io_uring_prep_fsync(entry, operation->handle,
                        operation->kind == IO_FILE_SYNC ? IORING_FSYNC_DATASYNC : 0);
    uring_entry_name(entry, port, operation);
}

void io_file_sync(struct io_port *port, int32_t file, uint64_t user) {
    entry_sync(port, uring_start(port, IO_FILE_SYNC, file, user));
}

void io_directory_sync(struct io_port *port, int32_t directory, uint64_t user) {
    entry_sync(port, uring_start(port, IO_DIRECTORY_SYNC, directory, user));
}

static void entry_allocate(struct io_port *port, struct uring_operation *operation) {
    struct io_uring_sqe *entry = uring_entry(port->io);
    io_uring_prep_fallocate(entry, operation->handle, 0, 0, (off_t)operation->length_bytes);
    uring_entry_name(entry, port, operation);
}

void io_file_allocate(struct io_port *port, int32_t file, uint64_t length_bytes, uint64_t user) {
    ASSERT(length_bytes > 0 && length_bytes <= INT64_MAX);
    struct uring_operation *operation = uring_start(port, IO_FILE_ALLOCATE, file, user);
    operation->length_bytes = length_bytes;
    entry_allocate(port, operation);
}

static void entry_names(struct io_port *port, struct uring_operation *operation) {
    struct io_uring_sqe *entry = uring_entry(port->io);
    if (operation->kind == IO_FILE_RENAME)
        io_uring_prep_renameat(entry, operation->handle, operation->names.from, operation->handle,
                               operation->names.to, 0);
    else
        io_uring_prep_unlinkat(entry, operation->handle, operation->names.from, 0);
    uring_entry_name(entry, port, operation);
}

void io_file_rename(struct io_port *port, int32_t directory, const char *from, const char *to,
                    uint64_t user) {
    ASSERT(strchr(from, '/') == NULL && strchr(to, '/') == NULL);
    struct uring_operation *operation = uring_start(port, IO_FILE_RENAME, directory, user);
    operation->names.from = from;
    operation->names.to = to;
    entry_names(port, operation);
}

void io_file_remove(struct io_port *port, int32_t directory, const char *name, uint64_t user) {
    ASSERT(strchr(name, '/') == NULL);
    struct uring_operation *operation = uring_start(port, IO_FILE_REMOVE, directory, user);
    operation->names.from = name;
    operation->names.to = NULL;
    entry_names(port, operation);
}

/* ---- completions ------------------------------------------------------------------------- */

void uring_file_completed(struct io_port *port, struct uring_operation *operation, int32_t result,
                          bool of_sync) {
    switch (operation->kind) {
    case IO_FILE_OPEN: open_completed(port, operation, result); return;
    case IO_FILE_READ:
    case IO_FILE_WRITE: transfer_completed(port, operation, result, of_sync); return;
    case IO_FILE_ALLOCATE:
        if (result == -EINTR || result == -EAGAIN)
            entry_allocate(port, operation);
        else
            uring_deliver(port, operation, result, 0, 0);
        return;
    case IO_FILE_SYNC:
    case IO_DIRECTORY_SYNC: /* an interrupted sync has failed: what it covered is not known */
    case IO_FILE_RENAME:
    case IO_FILE_REMOVE: uring_deliver(port, operation, result, 0, 0); return;
    default: UNREACHABLE("not an operation of a file");
    }
}

uint64_t io_file_size_bytes(struct io *io, int32_t file) {
    (void)io;
    struct stat status;
    int result = fstat(file, &status);
    ASSERT(result == 0 && S_ISREG(status.st_mode));
    return (uint64_t)status.st_size;
}

uint32_t io_file_alignment_bytes(struct io *io, int32_t file) {
    uint32_t bytes = uring_descriptor(io, file)->alignment_bytes;
    ASSERT(bytes >= ALIGNMENT_MIN_BYTES && bytes <= ALIGNMENT_MAX_BYTES);
    return bytes;
}
