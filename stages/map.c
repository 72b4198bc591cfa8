/*
 * From the map's text to threads.
 *
 * The happy path: map_parse takes a name ("fused", "pair", "split"), a specification, or nothing
 * at all, in which case it chooses; fills the threads; and writes the whole out again as a
 * specification, so that a log or INFO shows what really runs, whatever was typed.
 *
 * The failure modes are all of one sort: the text is not a map.  Each is answered with the text,
 * the column (from 1) at which it stops being one, and what was expected there.  Nothing is
 * guessed: a stage that is missing or stands twice is an error, not a default.
 *
 * The reading of affinity and quota, the only system calls, is map_cpus.c.
 */

#include "stages/map.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"

enum {
    /* The default leaves the one thread at this many CPUs' worth of time.  Below it a second thread
       takes from the clients' side of the same machine what it gains here. */
    MAP_PAIR_CPUS_MIN = 4,
};

static const char *const stage_names[STAGE_COUNT] = {
    [STAGE_READ] = "read",           [STAGE_PARSE] = "parse", [STAGE_VALIDATE] = "validate",
    [STAGE_REPLICATE] = "replicate", [STAGE_APPLY] = "apply", [STAGE_SERIALIZE] = "serialize",
    [STAGE_WRITE] = "write",
};

#define MAP_STAGES_EXPECTED "one of read, parse, validate, replicate, apply, serialize, write"

const char *map_stage_name(enum stage_id stage) {
    ASSERT((int)stage >= 0 && stage < STAGE_COUNT);
    return stage_names[stage];
}

/* The text being read, and how far. */
struct map_reader {
    const char *text;
    const char *position;
    struct error_text *error;
};

static uint32_t map_column(const struct map_reader *reader) {
    return (uint32_t)(reader->position - reader->text) + 1;
}

/* "found 'x'" or "found the end". */
static int map_expected(const struct map_reader *reader, const char *expected) {
    if (*reader->position == '\0') {
        error_text_set(reader->error, "map \"%s\": at column %u, its end, expected %s",
                       reader->text, map_column(reader), expected);
    } else {
        error_text_set(reader->error, "map \"%s\": at column %u, \"%s\": expected %s", reader->text,
                       map_column(reader), reader->position, expected);
    }
    return WEIR_EINVAL;
}

/* Reads a decimal number below 100,000, without leading zeros. */
static int map_read_number(struct map_reader *reader, uint32_t *number, const char *expected) {
    const char *start = reader->position;
    uint32_t value = 0;
    size_t digits = strspn(start, "0123456789");
    if (digits == 0 || digits > 5 || (digits > 1 && *start == '0')) {
        return map_expected(reader, expected);
    }
    for (size_t i = 0; i < digits; i++) {
        value = value * 10 + (uint32_t)(start[i] - '0');
    }
    reader->position += digits;
    *number = value;
    return 0;
}

static bool map_cpu_usable(const struct map_cpus *cpus, uint32_t cpu) {
    for (uint32_t i = 0; i < cpus->count; i++) {
        if (cpus->cpu[i] == cpu) {
            return true;
        }
    }
    return false;
}

/* "0, 2, 3" or, beyond sixteen, "0, 2, 3 ... and 61 more". */
static void map_cpus_format(const struct map_cpus *cpus, char *out, size_t capacity) {
    size_t used = 0;
    for (uint32_t i = 0; i < cpus->count && used < capacity; i++) {
        if (i == 16) {
            (void)snprintf(out + used, capacity - used, " and %u more", cpus->count - i);
            return;
        }
        int written =
            snprintf(out + used, capacity - used, i == 0 ? "%u" : ", %u", (unsigned)cpus->cpu[i]);
        ASSERT(written > 0);
        used += (size_t)written;
    }
}

static int map_read_cpu(struct map_reader *reader, const struct map_cpus *cpus, uint32_t *cpu) {
    struct map_reader start = *reader;
    int status = map_read_number(reader, cpu, "a CPU number (or the map fused, pair or split)");
    if (status != 0) {
        return status;
    }
    if (!map_cpu_usable(cpus, *cpu)) {
        char usable[128];
        map_cpus_format(cpus, usable, sizeof(usable));
        error_text_set(reader->error,
                       "map \"%s\": at column %u: CPU %u is not among those that this process may "
                       "use; expected one of %s",
                       reader->text, map_column(&start), *cpu, usable);
        return WEIR_ELIMIT;
    }
    if (*reader->position != ':') {
        return map_expected(reader, "\":\" and the stages of this thread");
    }
    reader->position++;
    return 0;
}

/* Reads stage [ "*" shards ] and appends it to the thread; `seen` has a bit for each stage. */
static int map_read_stage(struct map_reader *reader, struct map_thread *thread, uint32_t *seen) {
    size_t length = strspn(reader->position, "abcdefghijklmnopqrstuvwxyz");
    uint32_t stage = 0;
    while (stage < STAGE_COUNT && (strlen(stage_names[stage]) != length ||
                                   memcmp(stage_names[stage], reader->position, length) != 0)) {
        stage++;
    }
    if (stage == STAGE_COUNT) {
        return map_expected(reader, "a stage: " MAP_STAGES_EXPECTED);
    }
    if ((*seen & (1u << stage)) != 0) {
        error_text_set(reader->error,
                       "map \"%s\": at column %u: the stage %s stands here a second time; expected "
                       "each stage exactly once",
                       reader->text, map_column(reader), stage_names[stage]);
        return WEIR_EINVAL;
    }
    *seen |= 1u << stage;
    reader->position += length;
    if (*reader->position == '*') {
        reader->position++;
        struct map_reader start = *reader;
        uint32_t shards = 0;
        int status = map_read_number(reader, &shards, "a number of shards");
        if (status != 0) {
            return status;
        }
        if (shards != 1) {
            return map_expected(&start, "1: this version runs one shard of each stage");
        }
    }
    ASSERT(thread->stage_count < STAGE_COUNT);
    thread->stages[thread->stage_count++] = (uint8_t)stage;
    return 0;
}

static int map_read_thread(struct map_reader *reader, const struct map_cpus *cpus,
                           struct map_thread *thread, uint32_t *seen) {
    *thread = (struct map_thread){0};
    int status = map_read_cpu(reader, cpus, &thread->cpu);
    if (status != 0) {
        return status;
    }
    for (;;) {
        status = map_read_stage(reader, thread, seen);
        if (status != 0) {
            return status;
        }
        if (*reader->position != '+') {
            return 0;
        }
        reader->position++;
    }
}

static int map_read_specification(struct map *map, const char *text, const struct map_cpus *cpus,
                                  struct error_text *error) {
    struct map_reader reader = {.text = text, .position = text, .error = error};
    uint32_t seen = 0;
    for (;;) {
        /* Each stage stands once, so there cannot be more threads than stages. */
        ASSERT(map->thread_count < STAGE_COUNT);
        int status = map_read_thread(&reader, cpus, &map->threads[map->thread_count], &seen);
        if (status != 0) {
            return status;
        }
        map->thread_count++;
        if (*reader.position == '\0') {
            break;
        }
        if (*reader.position != ',' || seen == (1u << STAGE_COUNT) - 1) {
            return map_expected(&reader, seen == (1u << STAGE_COUNT) - 1
                                             ? "the end: every stage has its place"
                                             : "\"+\" and a stage, or \",\" and a thread");
        }
        reader.position++;
    }
    for (uint32_t stage = 0; stage < STAGE_COUNT; stage++) {
        if ((seen & (1u << stage)) == 0) {
            error_text_set(error,
                           "map \"%s\": at column %u, its end: the stage %s is missing; expected "
                           "each stage exactly once",
                           text, map_column(&reader), stage_names[stage]);
            return WEIR_EINVAL;
        }
    }
    return 0;
}

_Static_assert((int)MAP_THREADS_MAX >= (int)STAGE_COUNT, "a thread for each stage");

/* The named maps: for each, the thread of each stage; threads are dealt over the usable CPUs, those
 * that follow one another in the path to the same one as far as there are too few: what is passed
 * to a thread of the same CPU wakes no other CPU, and waits there for more of its kind. */
static const struct map_named {
    const char *name;
    uint8_t thread_count;
    uint8_t thread_of[STAGE_COUNT];
} named_maps[] = {
    {"fused", 1, {0}},
    {"pair", 2, {[STAGE_REPLICATE] = 1, [STAGE_APPLY] = 1}},
    {"split",
     STAGE_COUNT,
     {STAGE_READ, STAGE_PARSE, STAGE_VALIDATE, STAGE_REPLICATE, STAGE_APPLY, STAGE_SERIALIZE,
      STAGE_WRITE}},
};

static const struct map_named *map_named_find(const char *text) {
    for (size_t i = 0; i < ARRAY_COUNT(named_maps); i++) {
        if (strcmp(named_maps[i].name, text) == 0) {
            return &named_maps[i];
        }
    }
    return NULL;
}

static void map_fill_named(struct map *map, const struct map_named *named,
                           const struct map_cpus *cpus) {
    uint32_t count = named->thread_count;
    uint32_t used = cpus->count < count ? cpus->count : count;
    map->thread_count = count;
    for (uint32_t i = 0; i < count; i++) {
        map->threads[i] = (struct map_thread){.cpu = cpus->cpu[i * used / count]};
    }
    for (uint32_t stage = 0; stage < STAGE_COUNT; stage++) {
        struct map_thread *thread = &map->threads[named->thread_of[stage]];
        thread->stages[thread->stage_count++] = (uint8_t)stage;
    }
}

void map_cpus_cap(struct map_cpus *cpus, uint32_t wanted, uint64_t place) {
    ASSERT(wanted > 0 && cpus->count > 0 && cpus->count <= MAP_CPUS_MAX);
    if (wanted >= cpus->count) {
        return;
    }
    const struct map_cpus all = *cpus;
    const uint32_t first = (uint32_t)(place % all.count * wanted % all.count);
    bool kept[MAP_CPUS_MAX] = {false};
    for (uint32_t i = 0; i < wanted; i++) {
        kept[(first + i) % all.count] = true;
    }
    cpus->count = 0;
    for (uint32_t i = 0; i < all.count; i++) {
        if (kept[i]) {
            cpus->cpu[cpus->count++] = all.cpu[i];
        }
    }
    ASSERT(cpus->count == wanted);
}

/* CPUs' worth of time: the affinity's count, cut by the quota. */
static double map_cpus_worth(const struct map_cpus *cpus) {
    double count = (double)cpus->count;
    return cpus->quota > 0 && cpus->quota < count ? cpus->quota : count;
}

/* Split is never chosen: on how many CPUs it wins is the operator's measurement. */
static const char *map_default(const struct map_cpus *cpus) {
    return map_cpus_worth(cpus) < MAP_PAIR_CPUS_MIN ? "fused" : "pair";
}

/* Two threads on a CPU, or more threads than the quota pays for. */
static bool map_oversubscribes(const struct map *map, const struct map_cpus *cpus) {
    for (uint32_t i = 0; i < map->thread_count; i++) {
        for (uint32_t other = 0; other < i; other++) {
            if (map->threads[i].cpu == map->threads[other].cpu) {
                return true;
            }
        }
    }
    return (double)map->thread_count > map_cpus_worth(cpus);
}

/* The longest map written out: 7 threads "65535:" and ",", all stage names and "+", and a NUL. */
_Static_assert(MAP_TEXT_BYTES_MAX > STAGE_COUNT * (sizeof("65535:,") + sizeof("replicate+")),
               "every map fits its text");

static void map_write_out(struct map *map) {
    size_t used = 0;
    for (uint32_t i = 0; i < map->thread_count; i++) {
        const struct map_thread *thread = &map->threads[i];
        ASSERT(thread->stage_count > 0);
        used += (size_t)snprintf(map->text + used, sizeof(map->text) - used,
                                 "%s%u:", i == 0 ? "" : ",", thread->cpu);
        for (uint32_t place = 0; place < thread->stage_count; place++) {
            used += (size_t)snprintf(map->text + used, sizeof(map->text) - used, "%s%s",
                                     place == 0 ? "" : "+", stage_names[thread->stages[place]]);
            ASSERT(used < sizeof(map->text));
        }
    }
}

int map_parse(struct map *out, const char *text, const struct map_cpus *cpus,
              struct error_text *error) {
    ASSERT(cpus->count > 0 && cpus->count <= MAP_CPUS_MAX);
    const char *wanted = text == NULL ? map_default(cpus) : text;
    const struct map_named *named = map_named_find(wanted);
    struct map map = {0};
    if (named != NULL) {
        map_fill_named(&map, named, cpus);
    } else {
        int status = map_read_specification(&map, wanted, cpus, error);
        if (status != 0) {
            return status;
        }
    }
    memset(map.shard_counts, 1, sizeof(map.shard_counts)); /* map_read_stage refuses more */
    map.oversubscribed = map_oversubscribes(&map, cpus);
    map_write_out(&map);
    *out = map;
    return 0;
}
