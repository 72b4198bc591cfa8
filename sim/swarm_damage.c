/*
 * Damage to disks at rest.
 *
 * What may be damaged: any sector of a file of the data directory, but not what was synced last in
 * it, which a torn write could have left as well; and one of both slots of the vote.  What must be
 * kept: disks that are damaged or lost are together a minority of every configuration that is or
 * may come into force, so that every entry that was acknowledged is on a disk that is not.
 *
 * A node whose disk was damaged may go on (nobody reads the sector), stop, or refuse to start; in
 * any case nothing is demanded of it any more, but that it does no harm.
 */

#include "sim/swarm_internal.h"

#include <string.h>

#include "base/assert.h"
#include "storage/format.h"
#include "storage/vote_format.h"

enum { FILES_MAX = 64 };

/* Whether the sector is one of those that were synced last in its file. */
static bool is_newest(const struct world_file *file, uint64_t sector) {
    return sector >= file->synced_sector_first && sector < file->synced_sector_end;
}

/* Founders that are all made again, members or not, are a cluster of their own, as they were the
 * first time: nobody is left who knows better.  Who does that begins another cluster. */
static bool is_last_founder(const struct swarm *swarm, uint32_t index) {
    uint32_t others = 0;
    for (uint32_t i = 0; i < swarm->plan->founder_count; i++) {
        others += i != index && !swarm->nodes[i].lost;
    }
    return index < swarm->plan->founder_count && others == 0;
}

void swarm_lose_disk(struct swarm *swarm, uint32_t index) {
    struct swarm_node *node = &swarm->nodes[index];
    if (node->absent || node->wipe || is_last_founder(swarm, index) ||
        !swarm_voters_may_lose(swarm, index)) {
        swarm_say(swarm, "node %u keeps its disk: a quorum has to", index + 1);
        return;
    }
    node->lost = true;
    node->wipe = true;
    node->added_anew = false;
    if (node->process == SWARM_DOWN && node->start_at_ns == UINT64_MAX) {
        node->start_at_ns = 0; /* that somebody had to look at: it has */
    }
    swarm_process_end(swarm, index, SWARM_END_POWER, WORLD_KEEP_NOTHING, 0);
}

void swarm_damage(struct swarm *swarm, uint32_t index, uint64_t seed) {
    static const enum world_damage damages[] = {WORLD_DAMAGE_FLIPPED, WORLD_DAMAGE_STALE,
                                                WORLD_DAMAGE_MISDIRECTED, WORLD_DAMAGE_UNREADABLE};
    struct swarm_node *node = &swarm->nodes[index];
    struct world_file files[FILES_MAX];
    struct random random;
    random_seed(&random, seed);
    uint32_t count = world_files(swarm->world, node->host, sim_node_directory, files, FILES_MAX);
    if (count == 0 || (!node->damaged && !swarm_voters_may_lose(swarm, index))) {
        return;
    }
    const struct world_file *file = &files[random_below(&random, count)];
    uint64_t sectors = file->size_bytes / WORLD_SECTOR_BYTES;
    if (sectors < 2) {
        return;
    }
    /* Most of a segment is zeros that nobody reads: half of the damage is where the log is. */
    uint64_t end = random_below(&random, 2) == 0 && file->synced_sector_end > 1
                       ? file->synced_sector_end
                       : sectors;
    uint64_t sector = random_below(&random, end);
    uint64_t to_sector = random_below(&random, end);
    enum world_damage damage = damages[random_below(&random, 4)];
    if (strcmp(file->name, FILE_NAME_VOTE) == 0) {
        /* One of both slots, once: the other one has the same, or what was stored before. */
        sector = random_below(&random, VOTE_FILE_BYTES / WORLD_SECTOR_BYTES);
        to_sector = sector ^ 1;
        if (node->vote_damaged) {
            return;
        }
        node->vote_damaged = true;
    } else if (is_newest(file, sector) || is_newest(file, to_sector) || sector == to_sector) {
        return;
    }
    node->damaged = true;
    node->may_fail = true;
    (void)world_sector_damage(swarm->world, node->host, sim_node_directory, file->name, damage,
                              sector, to_sector);
    swarm_say(swarm, "node %u: sector %llu of %s is %s", index + 1, (unsigned long long)sector,
              file->name, world_damage_name(damage));
}
