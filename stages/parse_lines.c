/*
 * Happy path: one client asks at a time.  Its batch is lined up and taken, and is all there is.
 *
 * Nothing can fail after the start: a batch has one place, and a connection too.
 */

#include "stages/parse_lines.h"

#include <stdlib.h>

#include "base/assert.h"
#include "stages/batch.h"

enum parse_line_id { LINE_SHORT, LINE_LONG, LINES };

/* A batch that waits. */
struct waiting {
    uint32_t next; /* of its connection, or BATCH_NO_BLOCK */
    uint32_t length_bytes;
};

/* A connection. */
struct place {
    uint32_t head; /* its batches, or BATCH_NO_BLOCK */
    uint32_t tail;
    uint32_t next;  /* slot, in its line */
    uint8_t state;  /* enum parse_place_state */
    uint32_t bytes; /* of its turn, while it is LINED */
};

struct line {
    uint32_t head; /* slots, or BATCH_NO_BLOCK */
    uint32_t tail;
};

struct parse_lines {
    struct line line[LINES];
    uint32_t passed_bytes; /* of SHORT since LONG had a turn or was empty */
    uint32_t count;        /* of batches that are not done */
    bool under_way;        /* a batch is taken and not done */
    uint32_t connections_max;
    uint32_t batches_max;
    struct place *places;    /* by slot */
    struct waiting *waiting; /* by batch */
};

static const bool place_moves[PARSE_PLACE_STATES][PARSE_PLACE_STATES] = {
    [PARSE_ABSENT][PARSE_LINED] = true,
    [PARSE_LINED][PARSE_UNDER_WAY] = true,
    [PARSE_UNDER_WAY][PARSE_LINED] = true,
    [PARSE_UNDER_WAY][PARSE_ABSENT] = true,
};

static void state_set(struct place *place, enum parse_place_state state) {
    ASSERT_HOT(place_moves[place->state][state]);
    place->state = (uint8_t)state;
}

struct parse_lines *parse_lines_create(uint32_t connections_max, uint32_t batches_max) {
    ASSERT(connections_max > 0 && batches_max > 0);
    struct parse_lines *lines = calloc(1, sizeof(*lines));
    if (lines == NULL) {
        return NULL;
    }
    lines->places = calloc(connections_max, sizeof(*lines->places));
    lines->waiting = calloc(batches_max, sizeof(*lines->waiting));
    if (lines->places == NULL || lines->waiting == NULL) {
        parse_lines_destroy(lines);
        return NULL;
    }
    lines->connections_max = connections_max;
    lines->batches_max = batches_max;
    for (uint32_t slot = 0; slot < connections_max; slot++) {
        lines->places[slot].head = BATCH_NO_BLOCK;
    }
    for (int id = 0; id < LINES; id++) {
        lines->line[id].head = BATCH_NO_BLOCK;
    }
    return lines;
}

void parse_lines_destroy(struct parse_lines *lines) {
    if (lines != NULL) {
        free(lines->places);
        free(lines->waiting);
        free(lines);
    }
}

/* Puts a connection that has a batch at the end of the line that suits it. */
static void line_up(struct parse_lines *lines, uint32_t slot, uint32_t unparsed_bytes) {
    struct place *place = &lines->places[slot];
    ASSERT_HOT(place->head != BATCH_NO_BLOCK);
    place->bytes = lines->waiting[place->head].length_bytes + unparsed_bytes;
    place->next = BATCH_NO_BLOCK;
    state_set(place, PARSE_LINED);
    struct line *line = &lines->line[place->bytes <= PARSE_SHORT_BYTES ? LINE_SHORT : LINE_LONG];
    if (line->head == BATCH_NO_BLOCK) {
        line->head = slot;
    } else {
        lines->places[line->tail].next = slot;
    }
    line->tail = slot;
}

void parse_lines_add(struct parse_lines *lines, uint32_t slot, uint32_t batch,
                     uint32_t length_bytes, uint32_t unparsed_bytes) {
    ASSERT_HOT(slot < lines->connections_max && batch < lines->batches_max);
    struct place *place = &lines->places[slot];
    lines->waiting[batch] = (struct waiting){.next = BATCH_NO_BLOCK, .length_bytes = length_bytes};
    if (place->head == BATCH_NO_BLOCK) {
        place->head = batch;
    } else {
        lines->waiting[place->tail].next = batch;
    }
    place->tail = batch;
    lines->count++;
    if (place->state == PARSE_ABSENT) {
        line_up(lines, slot, unparsed_bytes);
    }
}

/* Which line has the turn. */
static enum parse_line_id line_next(const struct parse_lines *lines) {
    if (lines->line[LINE_SHORT].head == BATCH_NO_BLOCK) {
        return LINE_LONG;
    }
    bool long_is_due =
        lines->line[LINE_LONG].head != BATCH_NO_BLOCK && lines->passed_bytes >= PARSE_PASS_BYTES;
    return long_is_due ? LINE_LONG : LINE_SHORT;
}

uint32_t parse_lines_count(const struct parse_lines *lines) {
    ASSERT_HOT(lines->count <= lines->batches_max);
    ASSERT_HOT(lines->count > 0 || !lines->under_way);
    return lines->count;
}

uint32_t parse_lines_peek(const struct parse_lines *lines) {
    uint32_t slot = lines->line[line_next(lines)].head;
    return slot == BATCH_NO_BLOCK ? BATCH_NO_BLOCK : lines->places[slot].head;
}

uint32_t parse_lines_take(struct parse_lines *lines) {
    ASSERT(!lines->under_way);
    enum parse_line_id id = line_next(lines);
    struct line *line = &lines->line[id];
    if (line->head == BATCH_NO_BLOCK) {
        return BATCH_NO_BLOCK;
    }
    struct place *place = &lines->places[line->head];
    line->head = place->next;
    state_set(place, PARSE_UNDER_WAY);
    lines->under_way = true;
    lines->passed_bytes = id == LINE_SHORT && lines->line[LINE_LONG].head != BATCH_NO_BLOCK
                              ? lines->passed_bytes + place->bytes + PARSE_BATCH_COST_BYTES
                              : 0;
    uint32_t batch = place->head;
    ASSERT_HOT(batch < lines->batches_max);
    place->head = lines->waiting[batch].next;
    return batch;
}

void parse_lines_done(struct parse_lines *lines, uint32_t slot, uint32_t unparsed_bytes) {
    ASSERT(lines->under_way && slot < lines->connections_max);
    struct place *place = &lines->places[slot];
    ASSERT(place->state == PARSE_UNDER_WAY);
    lines->under_way = false;
    lines->count--;
    if (place->head == BATCH_NO_BLOCK) {
        state_set(place, PARSE_ABSENT);
    } else {
        line_up(lines, slot, unparsed_bytes);
    }
}
