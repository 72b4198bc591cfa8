/*
 * Sectors at rest that are damaged: altered, lost, misplaced, unreadable.
 *
 * The happy path: whoever makes trouble lists the files of a directory, picks a sector that may be
 * hit, and says what has become of it.  The damage is done to what is read and to what a power cut
 * keeps alike; a content of that sector that was written and not synced becomes the damaged one
 * too.  The next write mends it.
 *
 * A lost write and a misdirected one are made afterwards, out of what the sector held before its
 * last write became durable: who reads it sees what he would have seen had the disk lost the write
 * when it was made, and acknowledged it.
 */

#include "sim/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *world_damage_name(enum world_damage damage) {
    switch (damage) {
    case WORLD_DAMAGE_FLIPPED: return "flipped";
    case WORLD_DAMAGE_STALE: return "stale";
    case WORLD_DAMAGE_MISDIRECTED: return "misdirected";
    case WORLD_DAMAGE_UNREADABLE: return "unreadable";
    }
    UNREACHABLE("a sort of damage");
}

/* ---- what there is ----------------------------------------------------------------------- */

static int file_compare(const void *a, const void *b) {
    return strcmp(((const struct world_file *)a)->name, ((const struct world_file *)b)->name);
}

uint32_t world_files(struct world *world, uint32_t node, const char *directory,
                     struct world_file *out, uint32_t max) {
    const struct directory *listed = disk_directory(&world_node(world, node)->disk, directory);
    uint32_t count = 0;
    for (uint32_t i = 0; listed != NULL && i < listed->current.count; i++) {
        const struct directory_entry *entry = &listed->current.entries[i];
        if (entry->file->sort != FILE_REGULAR)
            continue;
        ASSERT(count < max);
        struct world_file *file = &out[count++];
        *file = (struct world_file){.size_bytes = entry->file->current.size_bytes,
                                    .synced_step = entry->file->synced_step,
                                    .synced_sector_first = entry->file->synced_first,
                                    .synced_sector_end = entry->file->synced_end};
        memcpy(file->name, entry->name, sizeof(file->name));
    }
    if (count > 0)
        qsort(out, count, sizeof(*out), file_compare);
    return count;
}

/* ---- sectors that cannot be read --------------------------------------------------------- */

bool file_unreadable(const struct file *file, uint64_t offset_bytes, uint64_t length_bytes) {
    ASSERT(length_bytes > 0);
    uint64_t first = offset_bytes / WORLD_SECTOR_BYTES;
    uint64_t last = (offset_bytes + length_bytes - 1) / WORLD_SECTOR_BYTES;
    for (uint64_t i = 0; i < file->unreadable_count; i++)
        if (file->unreadable[i] >= first && file->unreadable[i] <= last)
            return true;
    return false;
}

void file_readable_again(struct file *file, uint64_t sector_first, uint64_t sector_end) {
    ASSERT(sector_first < sector_end);
    uint64_t kept = 0;
    for (uint64_t i = 0; i < file->unreadable_count; i++)
        if (file->unreadable[i] < sector_first || file->unreadable[i] >= sector_end)
            file->unreadable[kept++] = file->unreadable[i];
    file->unreadable_count = kept;
}

static bool make_unreadable(struct file *file, uint64_t sector) {
    if (file_unreadable(file, sector * WORLD_SECTOR_BYTES, WORLD_SECTOR_BYTES))
        return false;
    file->unreadable = world_grow(file->unreadable, file->unreadable_count,
                                  &file->unreadable_capacity, sizeof(*file->unreadable));
    file->unreadable[file->unreadable_count++] = sector;
    return true;
}

/* ---- sectors that hold something else ---------------------------------------------------- */

static void sector_get(const struct image *image, uint64_t sector,
                       uint8_t bytes[WORLD_SECTOR_BYTES]) {
    image_get(image, sector * WORLD_SECTOR_BYTES, bytes, WORLD_SECTOR_BYTES);
}

/* The sector holds this, in every state that it may be read in.  Returns whether it differs from
 * what was read. */
static bool sector_replace(struct file *file, uint64_t sector, uint8_t bytes[WORLD_SECTOR_BYTES]) {
    uint64_t offset = sector * WORLD_SECTOR_BYTES;
    ASSERT(offset < file->current.size_bytes);
    uint64_t left = file->current.size_bytes - offset;
    if (left < WORLD_SECTOR_BYTES)
        memset(bytes + left, 0, WORLD_SECTOR_BYTES - left); /* nothing stands behind the end */
    uint8_t before[WORLD_SECTOR_BYTES];
    sector_get(&file->current, sector, before);
    bool differs = memcmp(before, bytes, WORLD_SECTOR_BYTES) != 0;
    image_put(&file->current, offset, bytes, WORLD_SECTOR_BYTES);
    if (offset < file->durable.size_bytes)
        image_put(&file->durable, offset, bytes, WORLD_SECTOR_BYTES);
    for (uint64_t i = 0; i < file->versions_count; i++)
        if (file->versions[i].sector == sector)
            memcpy(file->versions[i].bytes, bytes, WORLD_SECTOR_BYTES);
    return differs;
}

static bool make_flipped(struct file *file, uint64_t sector) {
    struct world *world = file->node->world;
    uint8_t bytes[WORLD_SECTOR_BYTES];
    sector_get(&file->current, sector, bytes);
    uint64_t size = file->current.size_bytes - sector * WORLD_SECTOR_BYTES;
    if (size > WORLD_SECTOR_BYTES)
        size = WORLD_SECTOR_BYTES;
    uint8_t *byte = &bytes[world_random_between(world, 0, size - 1)];
    *byte ^= (uint8_t)world_random_between(world, 1, UINT8_MAX);
    return sector_replace(file, sector, bytes);
}

static bool make_stale(struct file *file, uint64_t sector) {
    uint8_t bytes[WORLD_SECTOR_BYTES];
    sector_get(&file->previous, sector, bytes);
    return sector_replace(file, sector, bytes);
}

static bool make_misdirected(struct file *file, uint64_t sector, uint64_t to_sector) {
    uint8_t bytes[WORLD_SECTOR_BYTES];
    sector_get(&file->current, sector, bytes);
    bool there = sector_replace(file, to_sector, bytes);
    return (sector != to_sector && make_stale(file, sector)) || there;
}

bool world_sector_damage(struct world *world, uint32_t node, const char *directory,
                         const char *name, enum world_damage damage, uint64_t sector,
                         uint64_t to_sector) {
    const struct directory *found = disk_directory(&world_node(world, node)->disk, directory);
    struct file *file = found == NULL ? NULL : disk_directory_find(found, name);
    ASSERT(file != NULL && file->sort == FILE_REGULAR);
    ASSERT(sector * WORLD_SECTOR_BYTES < file->current.size_bytes);
    bool differs = false;
    switch (damage) {
    case WORLD_DAMAGE_FLIPPED: differs = make_flipped(file, sector); break;
    case WORLD_DAMAGE_STALE: differs = make_stale(file, sector); break;
    case WORLD_DAMAGE_MISDIRECTED:
        ASSERT(to_sector * WORLD_SECTOR_BYTES < file->current.size_bytes);
        differs = make_misdirected(file, sector, to_sector);
        break;
    case WORLD_DAMAGE_UNREADABLE: differs = make_unreadable(file, sector); break;
    }
    char what[WORLD_NAME_BYTES + 32];
    snprintf(what, sizeof(what), "%s %s", world_damage_name(damage), name);
    world_note(world, what, node, sector, differs);
    return differs;
}
