/*
 * Reading a snapshot back, and removing old ones.
 *
 * Happy path: the newest snapshot is verified from its first byte to its last, then read again from
 * the beginning, block by block, each judged once more as it is handed out.
 *
 * Failure modes: the newest is damaged.  If an older one verifies and the log still begins at or
 * before its end, that one is used and the damage reported; otherwise the node must not start:
 * what the damaged file held is nowhere else.
 */

#include "storage/snapshot.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/log.h"
#include "storage/files.h"
#include "storage/log_format.h"
#include "storage/snapshot_format.h"

#include <stdlib.h>

enum { SNAPSHOTS_MAX = 64 };

struct snapshot_reader {
    struct io *io;
    struct io_port *port;
    int32_t file;
    char name[FILE_NAME_BYTES];
    uint64_t file_bytes;
    uint64_t offset;
    uint64_t number;
    uint64_t seed;
    bool last;
    uint8_t *block; /* SNAPSHOT_BLOCK_BYTES */
};

/* ---- what is there ------------------------------------------------------------------------ */

struct snapshot_list {
    uint64_t indices[SNAPSHOTS_MAX]; /* newest first */
    uint32_t count;
    uint64_t segment_first; /* the lowest segment number; 0: none */
};

static void note_entry(void *context, const char *name, uint64_t size_bytes,
                       enum io_entry_sort sort) {
    struct snapshot_list *list = context;
    (void)size_bytes;
    const uint64_t segment = segment_name_number(name);
    if (segment != 0 && (list->segment_first == 0 || segment < list->segment_first))
        list->segment_first = segment;
    const uint64_t index = snapshot_name_index(name);
    if (index == 0 || sort != IO_ENTRY_FILE)
        return;
    uint32_t at = list->count;
    while (at > 0 && list->indices[at - 1] < index)
        at--;
    if (at == SNAPSHOTS_MAX)
        return; /* older than all that fit */
    if (list->count < SNAPSHOTS_MAX)
        list->count++;
    memmove(&list->indices[at + 1], &list->indices[at],
            (list->count - 1 - at) * sizeof(list->indices[0]));
    list->indices[at] = index;
}

static int list_read(struct io *io, int32_t directory, struct snapshot_list *list,
                     struct error_text *error) {
    *list = (struct snapshot_list){0};
    const int result = io_directory_list(io, directory, note_entry, list);
    if (result != 0)
        error_text_set(error, "cannot list the data directory; check the disk");
    return result;
}

/* ---- one file ----------------------------------------------------------------------------- */

static void reader_free(struct snapshot_reader *reader) {
    if (reader->file >= 0)
        io_close(reader->io, reader->file);
    files_memory_free(reader->block, SNAPSHOT_BLOCK_BYTES);
    free(reader);
}

static int reader_open(struct snapshot_reader **out, struct io *io, struct io_port *port,
                       int32_t directory, uint64_t index, struct error_text *error) {
    struct snapshot_reader *reader = calloc(1, sizeof(*reader));
    if (reader == NULL)
        return WEIR_ENOMEM;
    *reader = (struct snapshot_reader){
        .io = io, .port = port, .file = -1, .block = files_memory(SNAPSHOT_BLOCK_BYTES)};
    snapshot_name(reader->name, index);
    int result = reader->block == NULL ? WEIR_ENOMEM : 0;
    if (result == 0)
        result = files_open(port, directory, reader->name, IO_OPEN_READ | IO_OPEN_DIRECT,
                            &reader->file, error);
    if (result != 0) {
        reader_free(reader);
        return result;
    }
    reader->file_bytes = io_file_size_bytes(io, reader->file);
    *out = reader;
    return 0;
}

static int reader_refuse(const struct snapshot_reader *reader, const struct format_fault *fault,
                         struct error_text *error) {
    error_text_set(error,
                   "%s: at offset %llu: %s; nothing was changed; restore the file from a backup of "
                   "this node, or remove the data directory and add the node again as a new member",
                   reader->name, (unsigned long long)fault->offset, fault->reason);
    return fault->error;
}

/* Reads up to a block at `offset`; *available_bytes is how much is there. */
static int reader_fetch(struct snapshot_reader *reader, uint64_t offset, uint64_t *available_bytes,
                        struct error_text *error) {
    const uint64_t left = reader->file_bytes - offset;
    *available_bytes = left < SNAPSHOT_BLOCK_BYTES ? left : SNAPSHOT_BLOCK_BYTES;
    if (*available_bytes == 0)
        return 0;
    return files_read(reader->port, reader->file, reader->name, reader->block,
                      (size_t)*available_bytes, offset, error);
}

/* Reads the header and goes to the first block. */
static int reader_rewind(struct snapshot_reader *reader, const struct owner *owner,
                         struct snapshot_meta *meta, struct error_text *error) {
    uint64_t available_bytes;
    struct format_fault fault;
    if (reader->file_bytes % SNAPSHOT_ALIGN_BYTES != 0) {
        format_refuse(&fault, WEIR_ECORRUPT, reader->file_bytes, "the file ends within a block");
        return reader_refuse(reader, &fault, error);
    }
    const int result = reader_fetch(reader, 0, &available_bytes, error);
    if (result != 0)
        return result;
    if (snapshot_header_read(reader->block, available_bytes, owner,
                             snapshot_name_index(reader->name), meta, &reader->seed, &fault) != 0)
        return reader_refuse(reader, &fault, error);
    reader->offset = SNAPSHOT_HEADER_BYTES;
    reader->number = 0;
    reader->last = false;
    return 0;
}

int snapshot_read(struct snapshot_reader *reader, const uint8_t **bytes, size_t *length_bytes,
                  struct error_text *error) {
    *length_bytes = 0;
    if (reader->last)
        return 0;
    uint64_t available_bytes;
    struct format_fault fault;
    struct snapshot_block block;
    const int result = reader_fetch(reader, reader->offset, &available_bytes, error);
    if (result != 0)
        return result;
    if (snapshot_block_read(reader->block, available_bytes, reader->offset, reader->number,
                            &reader->seed, &block, &fault) != 0)
        return reader_refuse(reader, &fault, error);
    reader->offset += snapshot_block_stride(block.payload_bytes);
    reader->number++;
    reader->last = block.last;
    if (block.last && reader->offset != reader->file_bytes) {
        format_refuse(&fault, WEIR_ECORRUPT, reader->offset,
                      "the file goes on behind its last block");
        return reader_refuse(reader, &fault, error);
    }
    *bytes = reader->block + SNAPSHOT_BLOCK_HEADER_BYTES;
    *length_bytes = block.payload_bytes;
    return 0;
}

/* Verifies the whole file and goes back to its first block. */
static int reader_verify(struct snapshot_reader *reader, const struct owner *owner,
                         struct snapshot_meta *meta, struct error_text *error) {
    int result = reader_rewind(reader, owner, meta, error);
    uint64_t machine_bytes = 0;
    while (result == 0 && !reader->last) {
        const uint8_t *bytes;
        size_t length_bytes;
        result = snapshot_read(reader, &bytes, &length_bytes, error);
        machine_bytes += length_bytes;
    }
    if (result == 0)
        result = reader_rewind(reader, owner, meta, error);
    meta->machine_bytes = machine_bytes;
    if (result == 0 && meta->session_bytes > machine_bytes) {
        struct format_fault fault;
        format_refuse(&fault, WEIR_ECORRUPT, 0,
                      "it holds fewer bytes than its header says for the sessions");
        return reader_refuse(reader, &fault, error);
    }
    return result;
}

/* ---- choosing ----------------------------------------------------------------------------- */

/* The index before the log's first entry; UINT64_MAX if that cannot be told. */
static uint64_t log_begin_index(struct io *io, struct io_port *port, int32_t directory,
                                uint64_t segment_first, const struct owner *owner) {
    uint64_t before_index = UINT64_MAX;
    char name[FILE_NAME_BYTES];
    int32_t file;
    uint8_t *header = files_memory(SEGMENT_HEADER_BYTES);
    if (segment_first == 0 || header == NULL) {
        files_memory_free(header, SEGMENT_HEADER_BYTES);
        return before_index;
    }
    segment_name(name, segment_first);
    if (files_open(port, directory, name, IO_OPEN_READ | IO_OPEN_DIRECT, &file, NULL) == 0) {
        struct segment_header segment;
        struct format_fault fault;
        if (io_file_size_bytes(io, file) >= SEGMENT_HEADER_BYTES &&
            files_read(port, file, name, header, SEGMENT_HEADER_BYTES, 0, NULL) == 0 &&
            segment_header_read(header, SEGMENT_HEADER_BYTES, owner, segment_first, &segment,
                                &fault) == FORMAT_VALID)
            before_index = segment.before.index;
        io_close(io, file);
    }
    files_memory_free(header, SEGMENT_HEADER_BYTES);
    return before_index;
}

int snapshot_open(struct snapshot_reader **out, struct io *io, struct io_port *port,
                  int32_t directory, const struct identity *identity, struct snapshot_meta *meta,
                  struct error_text *error) {
    const struct owner owner = owner_of(identity);
    struct snapshot_list list;
    int result = list_read(io, directory, &list, error);
    if (result == 0)
        result = files_remove(port, directory, FILE_NAME_SNAPSHOT_PARTIAL, error);
    if (result != 0)
        return result;
    *out = NULL;
    int result_newest = 0;
    for (uint32_t i = 0; i < list.count; i++) {
        struct snapshot_reader *reader;
        struct error_text reason = {{0}};
        result = reader_open(&reader, io, port, directory, list.indices[i], &reason);
        if (result == 0) {
            result = reader_verify(reader, &owner, meta, &reason);
            const bool is_enough =
                result == 0 && (i == 0 || log_begin_index(io, port, directory, list.segment_first,
                                                          &owner) <= meta->tail.index);
            if (is_enough) {
                *out = reader;
                return 0;
            }
            reader_free(reader);
        }
        if (i == 0) {
            result_newest = result;
            error_text_set(error, "%s", reason.text);
        }
        if (result != 0)
            log_warn("snapshot_damaged", "index=%llu reason=\"%s\"",
                     (unsigned long long)list.indices[i], reason.text);
    }
    return result_newest;
}

uint64_t snapshot_reader_file_bytes(const struct snapshot_reader *reader) {
    return reader->file_bytes;
}

void snapshot_close(struct snapshot_reader *reader) {
    reader_free(reader);
}

int snapshot_prune_behind(struct io *io, struct io_port *port, int32_t directory, uint64_t index) {
    struct snapshot_list list;
    const int result = list_read(io, directory, &list, NULL);
    uint32_t older_count = 0;
    for (uint32_t i = 0; i < list.count && result == 0; i++) {
        char name[FILE_NAME_BYTES];
        if (list.indices[i] >= index || older_count++ == 0)
            continue;
        snapshot_name(name, list.indices[i]);
        (void)files_remove(port, directory, name, NULL);
    }
    return result;
}

int snapshot_prune(struct io *io, struct io_port *port, int32_t directory, uint32_t keep) {
    struct snapshot_list list;
    int result = list_read(io, directory, &list, NULL);
    if (result == 0)
        result = files_remove(port, directory, FILE_NAME_SNAPSHOT_PARTIAL, NULL);
    for (uint32_t i = keep; i < list.count && result == 0; i++) {
        char name[FILE_NAME_BYTES];
        snapshot_name(name, list.indices[i]);
        result = files_remove(port, directory, name, NULL);
    }
    return result != 0 ? result : files_directory_sync(port, directory, NULL);
}
