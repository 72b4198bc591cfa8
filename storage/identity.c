/*
 * Creating a data directory, and saying whose it is.
 *
 * Happy path: vote file, a blank table of incarnations, log with entry 1, then the identity:
 * written under a temporary name, synced, renamed, the directory synced.  Only a directory with a
 * valid identity is ever served.
 *
 * Failure modes: a crash in between leaves vote or log without an identity.  If these prove that
 * the directory was never used (identity_unfinished.h), identity_create removes them and begins
 * again; otherwise both functions refuse it (removing it is the operator's to decide).
 */

#include "storage/identity.h"

#include "storage/files.h"
#include "storage/identity_format.h"
#include "storage/identity_unfinished.h"
#include "storage/incarnations.h"
#include "storage/log.h"
#include "storage/vote.h"

#include <stdio.h>
#include <string.h>

/* What a directory holds of ours. */
struct directory_content {
    bool has_identity;
    bool has_other;
    char other_name[FILE_NAME_BYTES];
};

static bool has_prefix(const char *name, const char *prefix) {
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

static void note_entry(void *context, const char *name, uint64_t size_bytes,
                       enum io_entry_sort sort) {
    struct directory_content *content = context;
    (void)size_bytes;
    (void)sort;
    if (strcmp(name, FILE_NAME_IDENTITY) == 0) {
        content->has_identity = true;
    } else if (strcmp(name, FILE_NAME_VOTE) == 0 || strcmp(name, FILE_NAME_INCARNATIONS) == 0 ||
               strcmp(name, FILE_NAME_IDENTITY_PARTIAL) == 0 ||
               has_prefix(name, FILE_NAME_SEGMENT_PREFIX) ||
               has_prefix(name, FILE_NAME_SNAPSHOT_PREFIX)) {
        content->has_other = true;
        snprintf(content->other_name, FILE_NAME_BYTES, "%s", name);
    }
}

static int directory_look(struct io *io, int32_t directory, struct directory_content *content,
                          struct error_text *error) {
    *content = (struct directory_content){0};
    const int result = io_directory_list(io, directory, note_entry, content);
    if (result != 0)
        error_text_set(error, "cannot list the data directory; check the disk and the mode");
    return result;
}

/* ---- creating ----------------------------------------------------------------------------- */

static int identity_write(struct io *io, struct io_port *port, int32_t directory,
                          const struct identity *identity, struct error_text *error) {
    uint8_t *image = files_memory(IDENTITY_FILE_BYTES);
    if (image == NULL)
        return WEIR_ENOMEM;
    identity_format_write(image, identity);
    int32_t file;
    int result = files_open(port, directory, FILE_NAME_IDENTITY_PARTIAL,
                            IO_OPEN_WRITE | IO_OPEN_CREATE, &file, error);
    if (result == 0) {
        result = files_write(port, file, FILE_NAME_IDENTITY_PARTIAL, image, IDENTITY_FILE_BYTES, 0,
                             IO_SYNC, error);
        io_close(io, file);
    }
    files_memory_free(image, IDENTITY_FILE_BYTES);
    if (result == 0)
        result =
            files_rename(port, directory, FILE_NAME_IDENTITY_PARTIAL, FILE_NAME_IDENTITY, error);
    return result != 0 ? result : files_directory_sync(port, directory, error);
}

static int arguments_check(const char *cluster_name, uint64_t node_id,
                           const struct configuration *members, bool joining,
                           struct error_text *error) {
    if (!identity_name_is_valid(cluster_name)) {
        error_text_set(error, "a cluster's name has 1 to %d printable characters without spaces",
                       IDENTITY_NAME_BYTES_MAX);
        return WEIR_EINVAL;
    }
    const bool is_first = configuration_find(members, node_id) != NULL;
    if (node_id == 0 || (!joining && !is_first)) {
        error_text_set(error, "node %llu is not among the members", (unsigned long long)node_id);
        return WEIR_EINVAL;
    }
    if (joining && is_first) {
        error_text_set(error,
                       "node %llu is one of the cluster's first members, and what joins later must "
                       "not be taken for it: choose an id that was never used",
                       (unsigned long long)node_id);
        return WEIR_EINVAL;
    }
    return 0;
}

static int create(struct io *io, int32_t directory, const char *cluster_name, uint64_t node_id,
                  const struct configuration *members, bool joining, struct identity *out,
                  struct error_text *error) {
    struct directory_content content;
    int result = arguments_check(cluster_name, node_id, members, joining, error);
    if (result == 0)
        result = directory_look(io, directory, &content, error);
    if (result != 0)
        return result;
    struct owner owner;
    if (!content.has_identity && content.has_other &&
        identity_is_unfinished(io, directory, &owner)) {
        result = identity_unfinished_remove(io, directory, error);
        if (result != 0)
            return result;
        content.has_other = false;
    }
    if (content.has_identity || content.has_other) {
        error_text_set(error,
                       "the directory already holds \"%s\": it belongs to a node; choose another "
                       "directory, or empty this one if nothing in it is needed",
                       content.has_identity ? FILE_NAME_IDENTITY : content.other_name);
        return WEIR_EEXISTS;
    }

    struct identity identity = {.node_id = node_id, .members = *members};
    memcpy(identity.cluster_name, cluster_name, strlen(cluster_name));
    identity.cluster_id = identity_cluster_id(cluster_name, members);
    do {
        io_entropy(io, &identity.incarnation, sizeof(identity.incarnation));
    } while (identity.incarnation == 0);

    struct io_port *port;
    result = io_port_create(io, &port, FILES_OPERATIONS_MAX);
    if (result != 0)
        return result;
    /* Entry 1 has term 1, and a node's term is never below its log's. */
    const struct vote_record vote = {.term = 1, .voted_for = 0};
    result = vote_create(io, port, directory, &identity, &vote, error);
    if (result == 0 && incarnations_needed(&identity))
        result = incarnations_create(io, port, directory, error);
    if (result == 0)
        result = log_create(io, port, directory, &identity, error);
    if (result == 0)
        result = identity_write(io, port, directory, &identity, error);
    io_port_destroy(port);
    if (result == 0)
        *out = identity;
    return result;
}

int identity_create(struct io *io, int32_t directory, const char *cluster_name, uint64_t node_id,
                    const struct configuration *members, struct identity *out,
                    struct error_text *error) {
    return create(io, directory, cluster_name, node_id, members, false, out, error);
}

int identity_create_joining(struct io *io, int32_t directory, const char *cluster_name,
                            uint64_t node_id, const struct configuration *members,
                            struct identity *out, struct error_text *error) {
    return create(io, directory, cluster_name, node_id, members, true, out, error);
}

/* ---- loading ------------------------------------------------------------------------------ */

static int identity_read(struct io *io, struct io_port *port, int32_t directory,
                         struct identity *out, struct error_text *error) {
    int32_t file;
    int result = files_open(port, directory, FILE_NAME_IDENTITY, IO_OPEN_READ, &file, error);
    if (result != 0)
        return result;
    uint8_t *image = files_memory(IDENTITY_FILE_BYTES);
    const uint64_t size_bytes = io_file_size_bytes(io, file);
    if (image == NULL)
        result = WEIR_ENOMEM;
    else if (size_bytes == IDENTITY_FILE_BYTES)
        result = files_read(port, file, FILE_NAME_IDENTITY, image, IDENTITY_FILE_BYTES, 0, error);
    io_close(io, file);
    if (result == 0) {
        struct format_fault fault;
        result = identity_format_read(image, size_bytes, out, &fault);
        if (result != 0)
            error_text_set(error,
                           "%s: at offset %llu: %s; nothing was changed; restore the file from a "
                           "backup of this node, or remove the data directory and add the node "
                           "again as a new member",
                           FILE_NAME_IDENTITY, (unsigned long long)fault.offset, fault.reason);
    }
    files_memory_free(image, IDENTITY_FILE_BYTES);
    return result;
}

int identity_load(struct io *io, int32_t directory, struct identity *out,
                  struct error_text *error) {
    struct directory_content content;
    int result = directory_look(io, directory, &content, error);
    if (result != 0)
        return result;
    if (!content.has_identity && !content.has_other) {
        *out = (struct identity){0};
        error_text_set(error, "the directory is empty: create it with `weir init`");
        return WEIR_ENOENT;
    }
    struct owner owner;
    if (!content.has_identity && identity_is_unfinished(io, directory, &owner)) {
        *out = (struct identity){.cluster_id = owner.cluster_id, .node_id = owner.node_id};
        error_text_set(error, "the creation of the directory was interrupted before it was used: "
                              "create it again with `weir init`");
        return WEIR_ENOENT;
    }
    if (!content.has_identity) {
        error_text_set(error,
                       "the directory holds \"%s\" but no identity: it was used, and the file was "
                       "removed; restore it from a backup, or, if nothing in the directory is "
                       "needed, empty it and run `weir init` again",
                       content.other_name);
        return WEIR_ECORRUPT;
    }
    struct io_port *port;
    result = io_port_create(io, &port, FILES_OPERATIONS_MAX);
    if (result != 0)
        return result;
    result = identity_read(io, port, directory, out, error);
    io_port_destroy(port);
    return result;
}
