/*
 * The committed log of a simulated cluster. See sim/committed_log.h.
 *
 * The happy path: a look finds one or two new entries at the end of a node's log and copies them;
 * a little later the node has applied them, and they are linked to what was committed before.
 *
 * Failure modes. An entry that was never seen leaves a gap, which is noted and never filled by
 * guessing. A chain that differs at an index that was applied elsewhere is the finding.
 */

#include "sim/committed_log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "entry/entry.h"
#include "queues/atomic.h"

/* An entry that was seen; several at one index, of which one at most is committed. */
struct seen_entry {
    struct seen_entry *next; /* of this index */
    uint64_t chain;
    uint8_t *bytes;
};

/* What is known of an index. */
struct committed_place {
    struct seen_entry *seen;
    const struct seen_entry *committed; /* NULL: not, or not known which */
};

struct committed_log {
    struct committed_place *places; /* by index; 0 is not used */
    uint64_t place_count;
    uint64_t committed_index;
    uint64_t missing; /* committed entries that nobody has seen */
    char finding[256];
};

struct committed_log *committed_log_create(void) {
    struct committed_log *log = calloc(1, sizeof(*log));
    ASSERT(log != NULL);
    return log;
}

void committed_log_destroy(struct committed_log *log) {
    for (uint64_t i = 0; i < log->place_count; i++) {
        while (log->places[i].seen != NULL) {
            struct seen_entry *entry = log->places[i].seen;
            log->places[i].seen = entry->next;
            free(entry->bytes);
            free(entry);
        }
    }
    free(log->places);
    free(log);
}

/* ---- Seeing ---------------------------------------------------------------------------------- */

static struct committed_place *place_at(struct committed_log *log, uint64_t index) {
    if (index >= log->place_count) {
        const uint64_t count = 2 * index + 1024;
        log->places = realloc(log->places, count * sizeof(*log->places));
        ASSERT(log->places != NULL);
        memset(log->places + log->place_count, 0,
               (count - log->place_count) * sizeof(*log->places));
        log->place_count = count;
    }
    return &log->places[index];
}

static struct seen_entry *seen_find(const struct committed_place *place, uint64_t chain) {
    for (struct seen_entry *entry = place->seen; entry != NULL; entry = entry->next)
        if (entry->chain == chain)
            return entry;
    return NULL;
}

/* Copies what is new: from the end backwards, to the first that is known, or not in memory. */
static void see_new(struct committed_log *log, const struct log *node_log) {
    for (uint64_t index = log_last_index(node_log); index > 0; index--) {
        const uint8_t *bytes = log_entry(node_log, index);
        if (bytes == NULL)
            return;
        const struct entry_header header = entry_header_read(bytes);
        ASSERT(header.index == index);
        struct committed_place *place = place_at(log, index);
        if (seen_find(place, header.chain) != NULL)
            return;
        struct seen_entry *entry = calloc(1, sizeof(*entry));
        ASSERT(entry != NULL);
        *entry = (struct seen_entry){
            .next = place->seen, .chain = header.chain, .bytes = malloc(header.length_bytes)};
        ASSERT(entry->bytes != NULL);
        memcpy(entry->bytes, bytes, header.length_bytes);
        place->seen = entry;
    }
}

/* ---- Committing ------------------------------------------------------------------------------ */

/* The entry before this one: of those seen, the one whose chain leads to it. */
static const struct seen_entry *seen_before(struct committed_log *log, uint64_t index,
                                            const struct seen_entry *entry) {
    const uint32_t length = entry_header_read(entry->bytes).length_bytes;
    for (struct seen_entry *before = place_at(log, index - 1)->seen; before != NULL;
         before = before->next)
        if (entry_chain(entry->bytes, length, before->chain) == entry->chain)
            return before;
    return NULL;
}

static void find_difference(struct committed_log *log, uint64_t index, uint64_t chain,
                            uint64_t other) {
    if (log->finding[0] == '\0')
        (void)snprintf(log->finding, sizeof(log->finding),
                       "two nodes have applied different entries at %" PRIu64 ": chains %016" PRIx64
                       " and %016" PRIx64,
                       index, other, chain);
}

/* A node has applied everything up to the entry of this index and chain. */
static void commit(struct committed_log *log, uint64_t applied, uint64_t chain) {
    struct committed_place *place = place_at(log, applied);
    if (applied <= log->committed_index) {
        if (place->committed != NULL && place->committed->chain != chain)
            find_difference(log, applied, chain, place->committed->chain);
        return;
    }
    const struct seen_entry *entry = seen_find(place, chain);
    for (uint64_t index = applied; index > log->committed_index; index--) {
        log->places[index].committed = entry;
        /* Entry 1 is not seen, by nobody. */
        log->missing += entry == NULL && index > 1;
        if (entry != NULL)
            entry = seen_before(log, index, entry);
    }
    /* What was committed before must be what this chain leads back to. */
    const uint64_t before = log->committed_index;
    const struct seen_entry *known = before == 0 ? NULL : log->places[before].committed;
    const struct seen_entry *first = log->places[before + 1].committed;
    if (known != NULL && first != NULL && entry != known)
        find_difference(log, before, entry == NULL ? 0 : entry->chain, known->chain);
    log->committed_index = applied;
}

void committed_log_look(struct committed_log *log, const struct sim_node *node) {
    const struct node_apply_figures *figures = &sim_node_figures(node)->apply;
    see_new(log, sim_node_log(node));
    const uint64_t applied = node_figure(&figures->applied_index);
    if (applied > 0)
        commit(log, applied, node_figure(&figures->applied_chain));
}

uint64_t committed_log_index(const struct committed_log *log) {
    return log->committed_index;
}

const uint8_t *committed_log_entry(const struct committed_log *log, uint64_t index) {
    if (index == 0 || index > log->committed_index || log->places[index].committed == NULL)
        return NULL;
    return log->places[index].committed->bytes;
}

bool committed_log_complete(const struct committed_log *log) {
    return log->missing == 0;
}

const char *committed_log_finding(const struct committed_log *log) {
    return log->finding[0] == '\0' ? NULL : log->finding;
}

static const uint8_t *entry_at(const void *source, uint64_t index) {
    return committed_log_entry(source, index);
}

void committed_log_commands(const struct committed_log *log, committed_once *once,
                            const void *context, struct committed_commands *out) {
    committed_commands_collect(entry_at, log, committed_log_index(log), once, context, out);
    ASSERT(out->not_known == 0);
}
