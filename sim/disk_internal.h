#ifndef WEIR_SIM_DISK_INTERNAL_H
#define WEIR_SIM_DISK_INTERNAL_H

/* What a simulated disk consists of: files, sectors, names.  Belongs to sim/internal.h. */

#include "sim/world.h"

/* What a name stands for; all but the first are only in the way. */
enum file_sort { FILE_REGULAR, FILE_SYMBOLIC_LINK, FILE_DIRECTORY, FILE_PIPE };

/* A content of a sector that was written and not synced. */
struct sector_version {
    uint64_t sector;
    uint64_t sequence; /* of the disk's changes */
    bool abandoned;    /* a sync failed on it: no later one makes it durable */
    uint8_t bytes[WORLD_SECTOR_BYTES];
};

enum { IMAGE_PIECE_BYTES = 4096 }; /* what a log writes at once: 8 sectors of 512 bytes */

/* One state of a file: what is read, what survives, or what survived before.  Zeros behind size. */
struct image {
    uint8_t **pieces; /* of IMAGE_PIECE_BYTES each; NULL, and all behind the last one: zeros */
    uint64_t pieces_count;
    uint64_t size_bytes;
};

/* A file, whatever its names. */
struct file {
    struct node *node;
    struct file *next; /* in the disk's list of all files */
    struct file **link;
    enum file_sort sort;
    uint32_t references; /* entries, changes, handles, operations */
    uint32_t visible;    /* of these: current entries and handles, which hold the space */
    struct image current;
    struct image durable;
    struct image previous; /* of each sector, what was durable before */
    uint8_t *whole;        /* for world_file_bytes; NULL: not asked for yet */
    uint64_t synced_step;  /* of the last sync that made something of it durable */
    uint64_t synced_first; /* and the range of sectors that it made durable */
    uint64_t synced_end;
    uint64_t *unreadable; /* sectors, in no order */
    uint64_t unreadable_count;
    uint64_t unreadable_capacity;
    struct sector_version *versions;
    uint64_t versions_count;
    uint64_t versions_capacity;
};

/* A name in a directory. */
struct directory_entry {
    char name[WORLD_NAME_BYTES];
    struct file *file;
};

/* All names of a directory, in no order. */
struct entry_table {
    struct directory_entry *entries;
    uint32_t count;
    uint32_t capacity;
};

/* A change of names that is not synced: after it, `to` is this file and `from` is not. */
struct directory_change {
    char from[WORLD_NAME_BYTES]; /* empty: nothing disappears */
    char to[WORLD_NAME_BYTES];   /* empty: nothing appears */
    struct file *file;
    uint64_t sequence;
};

/* A directory: its names as they are, as they are on the disk, and what lies between. */
struct directory {
    char *path;
    struct directory *next;
    struct entry_table current;
    struct entry_table durable;
    struct directory_change *changes;
    uint32_t changes_count;
    uint32_t changes_capacity;
    int32_t locked_by; /* handle, or -1 */
};

/* A fault that a test has ordered. */
struct disk_fault {
    uint32_t skip; /* operations that still succeed */
    uint32_t times;
    int error;
};

/* The disk of a node. */
struct disk {
    struct directory *directories;
    struct file *files;
    uint64_t capacity_bytes;
    uint64_t used_bytes;
    uint64_t sequence; /* counts changes: world_disk_steps */
    uint64_t dies_at;  /* in steps; UINT64_MAX: never */
    uint64_t delay_ns_min;
    uint64_t delay_ns_max;
    bool stalled;
    struct disk_fault faults[WORLD_DISK_OPERATIONS];
    struct sim_operation *in_flight; /* submitted file operations, by disk_next */
};

/* ---- image.c ---- */

/* What stands there, zeros where nothing was put; and puts it there.  The size is left as it is. */
void image_get(const struct image *image, uint64_t offset_bytes, uint8_t *bytes,
               uint64_t length_bytes);
void image_put(struct image *image, uint64_t offset_bytes, const uint8_t *bytes,
               uint64_t length_bytes);

/* Sets the size; what stands behind it becomes zeros. */
void image_cut(struct image *image, uint64_t size_bytes);

/* Makes `to` the same as `from`; frees what an image has, and leaves it empty. */
void image_copy(struct image *to, const struct image *from);
void image_free(struct image *image);

#endif
