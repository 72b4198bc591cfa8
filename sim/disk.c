/*
 * What is on a disk, and what a power cut leaves of it.
 *
 * The happy path: a write changes the current image of a file and keeps a copy of each sector that
 * it touched, as a version; a sync copies versions into the durable image and drops them.  Names
 * are kept the same way: a current table, a durable one, and the list of changes in between.
 *
 * A power cut, for each file: the size becomes one that the file had since its last sync; each
 * sector becomes its durable content or one of its versions, chosen apart from every other sector.
 * For each directory: each change of names is kept or not, chosen apart.  The survivors are then
 * both current and durable.
 *
 * A failed sync marks versions as abandoned: readers go on seeing them, no later sync moves them.
 */

#include "sim/internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- files ------------------------------------------------------------------------------- */

struct file *file_create(struct node *node, enum file_sort sort) {
    struct file *file = world_allocate(1, sizeof(*file));
    file->node = node;
    file->sort = sort;
    file->link = &node->disk.files;
    file->next = node->disk.files;
    if (file->next != NULL)
        file->next->link = &file->next;
    node->disk.files = file;
    return file;
}

void file_reference(struct file *file, bool visible) {
    file->references++;
    if (!visible)
        return;
    if (file->visible++ == 0)
        file->node->disk.used_bytes += file->current.size_bytes;
}

void file_release(struct file *file, bool visible) {
    ASSERT(file->references > 0 && (!visible || file->visible > 0));
    if (visible && --file->visible == 0)
        file->node->disk.used_bytes -= file->current.size_bytes;
    if (--file->references > 0)
        return;
    *file->link = file->next;
    if (file->next != NULL)
        file->next->link = file->link;
    image_free(&file->current);
    image_free(&file->durable);
    image_free(&file->previous);
    free(file->whole);
    free(file->unreadable);
    free(file->versions);
    free(file);
}

bool file_grow(struct file *file, uint64_t size_bytes) {
    struct disk *disk = &file->node->disk;
    if (size_bytes <= file->current.size_bytes)
        return true;
    uint64_t more = size_bytes - file->current.size_bytes;
    if (disk->used_bytes + more > disk->capacity_bytes)
        return false;
    file->current.size_bytes = size_bytes;
    if (file->visible > 0)
        disk->used_bytes += more;
    return true;
}

bool file_write(struct file *file, uint64_t offset_bytes, const uint8_t *bytes, uint64_t length) {
    ASSERT(length > 0);
    if (!file_grow(file, offset_bytes + length))
        return false;
    image_put(&file->current, offset_bytes, bytes, length);
    uint64_t sequence = ++file->node->disk.sequence;
    uint64_t end = (offset_bytes + length + WORLD_SECTOR_BYTES - 1) / WORLD_SECTOR_BYTES;
    file_readable_again(file, offset_bytes / WORLD_SECTOR_BYTES, end);
    for (uint64_t sector = offset_bytes / WORLD_SECTOR_BYTES; sector < end; sector++) {
        file->versions = world_grow(file->versions, file->versions_count, &file->versions_capacity,
                                    sizeof(*file->versions));
        struct sector_version *version = &file->versions[file->versions_count++];
        version->sector = sector;
        version->sequence = sequence;
        version->abandoned = false;
        image_get(&file->current, sector * WORLD_SECTOR_BYTES, version->bytes, WORLD_SECTOR_BYTES);
    }
    return true;
}

static bool version_covered(const struct sector_version *version, uint64_t sector_first,
                            uint64_t sector_end, uint64_t sequence_last) {
    return version->sector >= sector_first && version->sector < sector_end &&
           version->sequence <= sequence_last;
}

/* A sector has this durable content from now on; what it had is kept as the previous one. */
static void sector_set_durable(struct file *file, uint64_t sector, const uint8_t *bytes) {
    uint8_t before[WORLD_SECTOR_BYTES];
    image_get(&file->durable, sector * WORLD_SECTOR_BYTES, before, WORLD_SECTOR_BYTES);
    image_put(&file->previous, sector * WORLD_SECTOR_BYTES, before, WORLD_SECTOR_BYTES);
    image_put(&file->durable, sector * WORLD_SECTOR_BYTES, bytes, WORLD_SECTOR_BYTES);
}

void file_make_durable(struct file *file, uint64_t sector_first, uint64_t sector_end,
                       uint64_t sequence_last, uint64_t size_bytes) {
    uint64_t kept = 0;
    uint64_t first = UINT64_MAX;
    uint64_t end = 0;
    /* In the order of the writes, so that the last one stays. */
    for (uint64_t i = 0; i < file->versions_count; i++) {
        const struct sector_version *version = &file->versions[i];
        if (!version_covered(version, sector_first, sector_end, sequence_last) ||
            version->abandoned) {
            file->versions[kept++] = *version;
            continue;
        }
        sector_set_durable(file, version->sector, version->bytes);
        first = version->sector < first ? version->sector : first;
        end = version->sector + 1 > end ? version->sector + 1 : end;
    }
    file->versions_count = kept;
    if (file->durable.size_bytes < size_bytes)
        file->durable.size_bytes = size_bytes;
    file->node->disk.sequence++;
    if (first < end) {
        file->synced_step = file->node->disk.sequence;
        file->synced_first = first;
        file->synced_end = end;
    }
}

void file_abandon(struct file *file, uint64_t sector_first, uint64_t sector_end,
                  uint64_t sequence_last) {
    for (uint64_t i = 0; i < file->versions_count; i++)
        if (version_covered(&file->versions[i], sector_first, sector_end, sequence_last))
            file->versions[i].abandoned = true;
}

/* ---- names ------------------------------------------------------------------------------- */

static struct directory_entry *table_find(const struct entry_table *table, const char *name) {
    for (uint32_t i = 0; i < table->count; i++)
        if (strcmp(table->entries[i].name, name) == 0)
            return &table->entries[i];
    return NULL;
}

static void table_remove(struct entry_table *table, struct directory_entry *entry, bool visible) {
    struct file *file = entry->file;
    *entry = table->entries[--table->count];
    file_release(file, visible);
}

static void name_copy(char to[WORLD_NAME_BYTES], const char *from) {
    size_t length = strlen(from);
    ASSERT(length < WORLD_NAME_BYTES);
    memcpy(to, from, length + 1);
}

static void table_set(struct entry_table *table, const char *name, struct file *file,
                      bool visible) {
    file_reference(file, visible);
    struct directory_entry *entry = table_find(table, name);
    if (entry != NULL) {
        file_release(entry->file, visible);
        entry->file = file;
        return;
    }
    uint64_t capacity = table->capacity;
    table->entries = world_grow(table->entries, table->count, &capacity, sizeof(*table->entries));
    table->capacity = (uint32_t)capacity;
    entry = &table->entries[table->count++];
    name_copy(entry->name, name);
    entry->file = file;
}

static void change_apply(struct entry_table *table, const struct directory_change *change,
                         bool visible) {
    file_reference(change->file, false); /* it may leave this table before it comes back */
    struct directory_entry *from = table_find(table, change->from);
    if (from != NULL && from->file == change->file)
        table_remove(table, from, visible);
    if (change->to[0] != '\0')
        table_set(table, change->to, change->file, visible);
    file_release(change->file, false);
}

struct file *disk_directory_find(const struct directory *directory, const char *name) {
    const struct directory_entry *entry = table_find(&directory->current, name);
    return entry == NULL ? NULL : entry->file;
}

void disk_directory_change(struct node *node, struct directory *directory, const char *from,
                           const char *to, struct file *file) {
    uint64_t capacity = directory->changes_capacity;
    directory->changes = world_grow(directory->changes, directory->changes_count, &capacity,
                                    sizeof(*directory->changes));
    directory->changes_capacity = (uint32_t)capacity;
    struct directory_change *change = &directory->changes[directory->changes_count++];
    name_copy(change->from, from);
    name_copy(change->to, to);
    change->file = file;
    change->sequence = ++node->disk.sequence;
    file_reference(file, false);
    change_apply(&directory->current, change, true);
}

void directory_make_durable(struct directory *directory, uint64_t sequence) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < directory->changes_count; i++) {
        if (directory->changes[i].sequence > sequence) {
            directory->changes[kept++] = directory->changes[i];
            continue;
        }
        change_apply(&directory->durable, &directory->changes[i], false);
        file_release(directory->changes[i].file, false);
    }
    directory->changes_count = kept;
}

struct directory *disk_directory(struct disk *disk, const char *path) {
    struct directory *directory = disk->directories;
    while (directory != NULL && strcmp(directory->path, path) != 0)
        directory = directory->next;
    return directory;
}

const char *disk_file_name(const struct disk *disk, const struct file *file) {
    for (const struct directory *each = disk->directories; each != NULL; each = each->next)
        for (uint32_t i = 0; i < each->current.count; i++)
            if (each->current.entries[i].file == file)
                return each->current.entries[i].name;
    return NULL;
}

struct directory *disk_directory_add(struct disk *disk, const char *path) {
    struct directory *directory = world_allocate(1, sizeof(*directory));
    directory->path = strdup(path);
    ASSERT(directory->path != NULL);
    directory->locked_by = -1;
    directory->next = disk->directories;
    disk->directories = directory;
    return directory;
}

/* ---- power cuts -------------------------------------------------------------------------- */

/* Each sector's versions beside each other, oldest first. */
static int version_compare(const void *a, const void *b) {
    const struct sector_version *left = a;
    const struct sector_version *right = b;
    if (left->sector != right->sector)
        return left->sector < right->sector ? -1 : 1;
    return left->sequence < right->sequence ? -1 : left->sequence > right->sequence;
}

/* The size that a file has afterwards. */
static uint64_t cut_size(struct world *world, const struct file *file, enum world_power_cut cut) {
    uint64_t least = file->durable.size_bytes;
    uint64_t most = file->current.size_bytes;
    if (cut == WORLD_KEEP_NOTHING || most <= least)
        return least;
    uint64_t choice = cut == WORLD_KEEP_ALL ? 1 : world_random_between(world, 0, 2);
    if (choice == 0)
        return least;
    if (choice == 1)
        return most;
    uint64_t between = world_random_between(world, least, most);
    between -= between % WORLD_SECTOR_BYTES;
    return between < least ? least : between;
}

static void file_cut_power(struct file *file, enum world_power_cut cut) {
    struct world *world = file->node->world;
    struct image *durable = &file->durable;
    if (file->versions_count > 0)
        qsort(file->versions, file->versions_count, sizeof(*file->versions), version_compare);
    for (uint64_t first = 0; first < file->versions_count;) {
        uint64_t end = first;
        while (end < file->versions_count &&
               file->versions[end].sector == file->versions[first].sector)
            end++;
        /* 0: the synced content; i: the ith version. */
        uint64_t choice = cut == WORLD_KEEP_NOTHING ? 0 : end - first;
        if (cut == WORLD_KEEP_RANDOM)
            choice = world_random_between(world, 0, end - first);
        if (choice > 0)
            sector_set_durable(file, file->versions[first].sector,
                               file->versions[first + choice - 1].bytes);
        world_note(world, "sector", file->versions[first].sector, end - first, (int64_t)choice);
        first = end;
    }
    file->versions_count = 0;
    image_cut(durable, cut_size(world, file, cut));
    if (file->visible > 0)
        file->node->disk.used_bytes -= file->current.size_bytes;
    image_copy(&file->current, durable);
    if (file->visible > 0)
        file->node->disk.used_bytes += file->current.size_bytes;
}

static void table_clear(struct entry_table *table, bool visible) {
    while (table->count > 0)
        table_remove(table, &table->entries[table->count - 1], visible);
}

static void directory_cut_power(struct world *world, struct directory *directory,
                                enum world_power_cut cut) {
    for (uint32_t i = 0; i < directory->changes_count; i++) {
        const struct directory_change *change = &directory->changes[i];
        bool keep = cut == WORLD_KEEP_ALL || (cut == WORLD_KEEP_RANDOM && world_chance(world, 500));
        world_note(world, "name", change->sequence, i, keep);
        if (keep)
            change_apply(&directory->durable, change, false);
    }
    table_clear(&directory->current, true);
    for (uint32_t i = 0; i < directory->durable.count; i++)
        table_set(&directory->current, directory->durable.entries[i].name,
                  directory->durable.entries[i].file, true);
    for (uint32_t i = 0; i < directory->changes_count; i++)
        file_release(directory->changes[i].file, false);
    directory->changes_count = 0;
}

void disk_cut_power(struct node *node, enum world_power_cut cut) {
    struct world *world = node->world;
    if (cut == WORLD_KEEP_RANDOM) {
        uint64_t extreme = world_random_between(world, 0, 9);
        if (extreme == 0)
            cut = WORLD_KEEP_NOTHING;
        else if (extreme == 1)
            cut = WORLD_KEEP_ALL;
    }
    for (struct file *file = node->disk.files; file != NULL; file = file->next)
        file_cut_power(file, cut);
    for (struct directory *each = node->disk.directories; each != NULL; each = each->next)
        directory_cut_power(world, each, cut);
}

void disk_free(struct node *node) {
    while (node->disk.directories != NULL) {
        struct directory *directory = node->disk.directories;
        node->disk.directories = directory->next;
        directory_make_durable(directory, UINT64_MAX);
        table_clear(&directory->current, true);
        table_clear(&directory->durable, false);
        free(directory->current.entries);
        free(directory->durable.entries);
        free(directory->changes);
        free(directory->path);
        free(directory);
    }
    ASSERT(node->disk.files == NULL && node->disk.used_bytes == 0);
}
