/*
 * io.h's directories in the simulated world, and files at rest as a test sees them.  All of it
 * takes effect at once: it belongs to start-up.
 *
 * Directories are known by their path.  A directory without a '/' in front of its name stands at
 * the root, which is always there.
 */

#include "sim/internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- io.h: directories ------------------------------------------------------------------- */

/* The directory that `path` is in, and the name it has there; NULL: the root. */
static struct directory *parent_of(struct disk *disk, const char *path, const char **name,
                                   bool *found) {
    const char *slash = strrchr(path, '/');
    *name = slash == NULL ? path : slash + 1;
    *found = true;
    if (slash == NULL || slash == path || strncmp(path, "./", (size_t)(slash - path) + 1) == 0)
        return NULL;
    char *parent = strndup(path, (size_t)(slash - path));
    ASSERT(parent != NULL);
    struct directory *directory = disk_directory(disk, parent);
    free(parent);
    *found = directory != NULL;
    return directory;
}

int io_directory_open(struct io *io, const char *path, bool create, int32_t *handle,
                      struct error_text *error) {
    ASSERT(!io->dead);
    struct node *node = io->node;
    struct directory *directory = disk_directory(&node->disk, path);
    if (directory == NULL) {
        const char *name;
        bool found;
        struct directory *parent = parent_of(&node->disk, path, &name, &found);
        const struct file *file = parent == NULL ? NULL : disk_directory_find(parent, name);
        if (file != NULL && file->sort != FILE_DIRECTORY) {
            error_text_set(error, "cannot open the directory %s: something else has that name",
                           path);
            return WEIR_EEXISTS;
        }
        if (!found || (file == NULL && !create)) {
            error_text_set(error, "cannot open the directory %s: it does not exist", path);
            return WEIR_ENOENT;
        }
        directory = disk_directory_add(&node->disk, path);
        if (parent != NULL && file == NULL) {
            disk_directory_change(node, parent, "", name, file_create(node, FILE_DIRECTORY));
            directory_make_durable(parent, UINT64_MAX);
        }
    }
    *handle = handle_new(node, HANDLE_DIRECTORY);
    node->handles[*handle].directory = directory;
    return 0;
}

int io_directory_lock(struct io *io, int32_t directory, struct error_text *error) {
    ASSERT(!io->dead);
    struct directory *locked = handle_get(io->node, directory, HANDLE_DIRECTORY)->directory;
    if (locked->locked_by >= 0 && locked->locked_by != directory) {
        error_text_set(error, "the directory %s is locked: another process uses it", locked->path);
        return WEIR_ELOCKED;
    }
    locked->locked_by = directory;
    return 0;
}

int io_directory_list(struct io *io, int32_t directory,
                      void (*each)(void *context, const char *name, uint64_t size_bytes,
                                   enum io_entry_sort sort),
                      void *context) {
    ASSERT(!io->dead);
    const struct directory *listed = handle_get(io->node, directory, HANDLE_DIRECTORY)->directory;
    for (uint32_t i = 0; i < listed->current.count; i++) {
        const struct directory_entry *entry = &listed->current.entries[i];
        enum io_entry_sort sort = IO_ENTRY_OTHER;
        if (entry->file->sort == FILE_REGULAR)
            sort = IO_ENTRY_FILE;
        else if (entry->file->sort == FILE_DIRECTORY)
            sort = IO_ENTRY_DIRECTORY;
        each(context, entry->name, entry->file->current.size_bytes, sort);
    }
    return 0;
}

/* ---- files at rest ----------------------------------------------------------------------- */

static struct file *file_at_rest(struct world *world, uint32_t node, const char *path,
                                 const char *name) {
    struct directory *directory = disk_directory(&world_node(world, node)->disk, path);
    return directory == NULL ? NULL : disk_directory_find(directory, name);
}

const uint8_t *world_file_bytes(struct world *world, uint32_t node, const char *directory,
                                const char *name, uint64_t *length_bytes) {
    struct file *file = file_at_rest(world, node, directory, name);
    if (file == NULL)
        return NULL;
    *length_bytes = file->current.size_bytes;
    file->whole = realloc(file->whole, *length_bytes + 1); /* one more: not NULL if it is empty */
    ASSERT(file->whole != NULL);
    image_get(&file->current, 0, file->whole, *length_bytes);
    return file->whole;
}

bool world_file_size(struct world *world, uint32_t node, const char *directory, const char *name,
                     uint64_t *size_bytes) {
    const struct file *file = file_at_rest(world, node, directory, name);
    *size_bytes = file == NULL ? 0 : file->current.size_bytes;
    return file != NULL;
}

void world_file_read(struct world *world, uint32_t node, const char *directory, const char *name,
                     uint64_t offset_bytes, uint8_t *bytes, uint64_t length_bytes) {
    const struct file *file = file_at_rest(world, node, directory, name);
    ASSERT(file != NULL && offset_bytes <= file->current.size_bytes);
    ASSERT(length_bytes <= file->current.size_bytes - offset_bytes);
    image_get(&file->current, offset_bytes, bytes, length_bytes);
}

static void image_flip(struct image *image, uint64_t offset_bytes, uint8_t mask) {
    uint8_t byte;
    image_get(image, offset_bytes, &byte, 1);
    byte ^= mask;
    image_put(image, offset_bytes, &byte, 1);
}

void world_file_flip(struct world *world, uint32_t node, const char *directory, const char *name,
                     uint64_t offset_bytes, uint8_t mask) {
    struct file *file = file_at_rest(world, node, directory, name);
    ASSERT(file != NULL && offset_bytes < file->current.size_bytes);
    world_note(world, "flip", node, offset_bytes, mask);
    image_flip(&file->current, offset_bytes, mask);
    if (offset_bytes < file->durable.size_bytes)
        image_flip(&file->durable, offset_bytes, mask);
    for (uint64_t i = 0; i < file->versions_count; i++)
        if (file->versions[i].sector == offset_bytes / WORLD_SECTOR_BYTES)
            file->versions[i].bytes[offset_bytes % WORLD_SECTOR_BYTES] ^= mask;
}

/* Puts an entry of this sort there, durably, in place of what had the name. */
static struct file *entry_put(struct world *world, uint32_t number, const char *path,
                              const char *name, enum file_sort sort) {
    struct node *node = world_node(world, number);
    struct directory *directory = disk_directory(&node->disk, path);
    ASSERT(directory != NULL);
    struct file *file = file_create(node, sort);
    disk_directory_change(node, directory, "", name, file);
    directory_make_durable(directory, UINT64_MAX);
    return file;
}

void world_file_put(struct world *world, uint32_t node, const char *directory, const char *name,
                    const void *bytes, size_t length_bytes) {
    world_note(world, "put", node, length_bytes, 0);
    struct file *file = entry_put(world, node, directory, name, FILE_REGULAR);
    if (length_bytes == 0)
        return;
    bool written = file_write(file, 0, bytes, length_bytes);
    ASSERT(written);
    file_make_durable(file, 0, UINT64_MAX, UINT64_MAX, length_bytes);
}

void world_obstruct(struct world *world, uint32_t node, const char *directory, const char *name,
                    enum world_obstacle obstacle) {
    static const enum file_sort SORTS[] = {
        [WORLD_SYMBOLIC_LINK] = FILE_SYMBOLIC_LINK,
        [WORLD_DIRECTORY] = FILE_DIRECTORY,
        [WORLD_PIPE] = FILE_PIPE,
    };
    entry_put(world, node, directory, name, SORTS[obstacle]);
}
