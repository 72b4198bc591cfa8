/*
 * Files, one step after the other: see files.h.
 *
 * Happy path: start, wait, done.  Failure modes: the completion carries a negative errno, which
 * becomes an error and a sentence; a read that ends early means that somebody shortened the file.
 */

#include "storage/files.h"

#include "base/assert.h"
#include "base/bytes.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* One read of files_read: large enough for full bandwidth, a multiple of every block. */
#define FILES_PIECE_BYTES     ((size_t)1024 * 1024)
#define FILES_HUGE_PAGE_BYTES ((size_t)2 * 1024 * 1024) /* of x86-64, and of arm64 as is usual */

uint8_t *files_memory(size_t length_bytes) {
    ASSERT(length_bytes > 0);
    void *memory = mmap(NULL, length_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

void files_memory_free(uint8_t *memory, size_t length_bytes) {
    if (memory != NULL)
        munmap(memory, length_bytes);
}

uint8_t *files_memory_huge(size_t length_bytes) {
    ASSERT(length_bytes > 0);
    /* Wherever the mapping begins, there are so many whole huge pages in it. */
    const size_t used_bytes = ALIGN_UP(length_bytes, FILES_HUGE_PAGE_BYTES);
    const size_t mapped_bytes = used_bytes + FILES_HUGE_PAGE_BYTES;
    uint8_t *mapped = files_memory(mapped_bytes);
    if (mapped == NULL)
        return NULL;
    uint8_t *memory = (uint8_t *)ALIGN_UP((uintptr_t)mapped, (uintptr_t)FILES_HUGE_PAGE_BYTES);
    const size_t before_bytes = (size_t)(memory - mapped);
    files_memory_free(before_bytes > 0 ? mapped : NULL, before_bytes);
    const size_t behind_bytes = mapped_bytes - before_bytes - used_bytes;
    files_memory_free(behind_bytes > 0 ? memory + used_bytes : NULL, behind_bytes);
    (void)madvise(memory, used_bytes, MADV_HUGEPAGE); /* a wish: failing it changes nothing */
    return memory;
}

void files_memory_huge_free(uint8_t *memory, size_t length_bytes) {
    files_memory_free(memory, ALIGN_UP(length_bytes, FILES_HUGE_PAGE_BYTES));
}

int files_error(int32_t negative_errno) {
    ASSERT(negative_errno < 0);
    switch (-negative_errno) {
    case ENOENT: return WEIR_ENOENT;
    case EEXIST: return WEIR_EEXISTS;
    case ENOSPC:
    case EDQUOT: return WEIR_ENOSPC;
    case EACCES:
    case EPERM: return WEIR_EDENIED;
    case ELOOP:
    case EINVAL:
    case EISDIR:
    case ENXIO: return WEIR_ECORRUPT;
    default: return WEIR_EIO;
    }
}

/* The sentence for a failed operation on a file. */
static int files_refuse(int32_t negative_errno, const char *verb, const char *name,
                        struct error_text *error) {
    const int result = files_error(negative_errno);
    const char *advice = result == WEIR_ENOSPC    ? "free some space and try again"
                         : result == WEIR_EDENIED ? "check the owner and mode of the directory"
                                                  : "check the disk and the kernel's log";
    error_text_set(error, "cannot %s \"%s\": %s; %s", verb, name, strerror(-negative_errno),
                   advice);
    return result;
}

static int files_finish(struct io_port *port, const char *verb, const char *name,
                        struct error_text *error) {
    const struct io_completion completion = io_wait(port);
    return completion.result >= 0 ? 0 : files_refuse(completion.result, verb, name, error);
}

int files_open(struct io_port *port, int32_t directory, const char *name, uint32_t flags,
               int32_t *file, struct error_text *error) {
    io_file_open(port, directory, name, flags, 0);
    const struct io_completion completion = io_wait(port);
    ASSERT(completion.kind == IO_FILE_OPEN);
    if (completion.result >= 0) {
        *file = completion.result;
        return 0;
    }
    const int result = files_error(completion.result);
    if (result == WEIR_ECORRUPT) {
        error_text_set(error, "\"%s\" is not a regular file; move it out of the data directory",
                       name);
        return result;
    }
    return files_refuse(completion.result, "open", name, error);
}

int files_read(struct io_port *port, int32_t file, const char *name, uint8_t *memory,
               size_t length_bytes, uint64_t offset, struct error_text *error) {
    size_t started = 0;
    uint32_t outstanding = 0;
    int result = 0;
    int32_t failed = 0;
    bool is_short = false;
    while (outstanding > 0 || (started < length_bytes && result == 0)) {
        while (started < length_bytes && outstanding < FILES_OPERATIONS_MAX && result == 0) {
            const size_t left = length_bytes - started;
            const size_t piece = left < FILES_PIECE_BYTES ? left : FILES_PIECE_BYTES;
            /* The tag is the length, so that a short answer is recognised. */
            io_file_read(port, file, memory + started, piece, offset + started, piece);
            started += piece;
            outstanding++;
        }
        const struct io_completion completion = io_wait(port);
        ASSERT(completion.kind == IO_FILE_READ);
        outstanding--;
        if (completion.result < 0 && failed == 0) {
            failed = completion.result;
            result = WEIR_EIO;
        } else if (completion.result >= 0 && (uint64_t)completion.result != completion.user) {
            is_short = true;
            result = WEIR_EIO;
        }
    }
    if (failed != 0)
        (void)files_refuse(failed, "read", name, error);
    else if (is_short)
        error_text_set(error, "\"%s\" ended while it was read; somebody shortened it", name);
    return result;
}

int files_write(struct io_port *port, int32_t file, const char *name, const uint8_t *memory,
                size_t length_bytes, uint64_t offset, enum io_sync sync, struct error_text *error) {
    /* iovec has no const; the door only reads what it writes to a file. */
    const struct iovec piece = {.iov_base = (void *)(uintptr_t)memory, .iov_len = length_bytes};
    io_file_write(port, file, &piece, 1, offset, sync, 0);
    return files_finish(port, "write", name, error);
}

int files_sync(struct io_port *port, int32_t file, const char *name, struct error_text *error) {
    io_file_sync(port, file, 0);
    return files_finish(port, "sync", name, error);
}

int files_allocate(struct io_port *port, int32_t file, const char *name, uint64_t length_bytes,
                   struct error_text *error) {
    io_file_allocate(port, file, length_bytes, 0);
    return files_finish(port, "allocate space for", name, error);
}

int files_rename(struct io_port *port, int32_t directory, const char *from, const char *to,
                 struct error_text *error) {
    io_file_rename(port, directory, from, to, 0);
    return files_finish(port, "rename to", to, error);
}

int files_remove(struct io_port *port, int32_t directory, const char *name,
                 struct error_text *error) {
    io_file_remove(port, directory, name, 0);
    const struct io_completion completion = io_wait(port);
    if (completion.result >= 0 || completion.result == -ENOENT)
        return 0;
    return files_refuse(completion.result, "remove", name, error);
}

int files_directory_sync(struct io_port *port, int32_t directory, struct error_text *error) {
    io_directory_sync(port, directory, 0);
    return files_finish(port, "sync", "the data directory", error);
}
