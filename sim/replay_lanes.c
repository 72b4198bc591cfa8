/*
 * Operations by connection. Lanes begin as time goes on: only those that may hold a due operation
 * are looked at, so that a thousand connections one after the other cost what one does.
 */

#include "sim/replay_internal.h"

#include <stdlib.h>

#include "base/assert.h"

/* For qsort, which knows no context; one thread sorts at a time. */
static _Thread_local const struct history_operation *sorted_operations;
static _Thread_local const uint32_t *sorted_ordered;

static int connection_compare(const void *a, const void *b) {
    const struct history_operation *x = &sorted_operations[*(const uint32_t *)a];
    const struct history_operation *y = &sorted_operations[*(const uint32_t *)b];
    if (x->connection != y->connection)
        return x->connection < y->connection ? -1 : 1;
    return x->sequence < y->sequence ? -1 : x->sequence > y->sequence;
}

static uint64_t lane_begin_ns(const struct replay_lane *lane) {
    return sorted_operations[sorted_ordered[lane->first]].invoked_ns;
}

static int lane_compare(const void *a, const void *b) {
    const struct replay_lane *x = a;
    const struct replay_lane *y = b;
    const uint64_t x_ns = lane_begin_ns(x);
    const uint64_t y_ns = lane_begin_ns(y);
    if (x_ns != y_ns)
        return x_ns < y_ns ? -1 : 1;
    return x->connection < y->connection ? -1 : x->connection > y->connection;
}

static int connection_find(const void *key, const void *element) {
    const uint32_t connection = *(const uint32_t *)key;
    const struct history_operation *operation = &sorted_operations[*(const uint32_t *)element];
    if (connection != operation->connection)
        return connection < operation->connection ? -1 : 1;
    return 0;
}

/* Notes for operations without a place in a lane which lane their connection has. */
static void lanes_attach(struct replay *replay) {
    for (uint32_t i = 0; i < replay->lane_count; i++)
        for (uint32_t j = 0; j < replay->lanes[i].count; j++)
            replay->lane_of[replay->ordered[replay->lanes[i].first + j]] = i;
    for (uint32_t i = 0; i < replay->history->operation_count; i++) {
        if (replay->lane_of[i] != REPLAY_NONE || replay->ordered_count == 0)
            continue;
        const uint32_t *found =
            bsearch(&replay->history->operations[i].connection, replay->ordered,
                    replay->ordered_count, sizeof(*replay->ordered), connection_find);
        if (found != NULL)
            replay->lane_of[i] = replay->lane_of[*found];
    }
}

int replay_lanes_create(struct replay *replay) {
    const struct history *history = replay->history;
    const size_t room = (size_t)history->operation_count + 1;
    replay->ordered = calloc(room, sizeof(*replay->ordered));
    replay->lanes = calloc(room, sizeof(*replay->lanes));
    replay->lane_of = calloc(room, sizeof(*replay->lane_of));
    replay->active = calloc(room, sizeof(*replay->active));
    if (replay->ordered == NULL || replay->lanes == NULL || replay->lane_of == NULL ||
        replay->active == NULL)
        return WEIR_ENOMEM;
    for (uint32_t i = 0; i < history->operation_count; i++) {
        replay->lane_of[i] = REPLAY_NONE;
        if (replay->kinds[i] == REPLAY_READ || replay->kinds[i] == REPLAY_WRITE)
            replay->ordered[replay->ordered_count++] = i;
    }
    sorted_operations = history->operations;
    sorted_ordered = replay->ordered;
    qsort(replay->ordered, replay->ordered_count, sizeof(*replay->ordered), connection_compare);
    for (uint32_t i = 0; i < replay->ordered_count; i++) {
        const uint32_t connection = history->operations[replay->ordered[i]].connection;
        if (i == 0 || replay->lanes[replay->lane_count - 1].connection != connection)
            replay->lanes[replay->lane_count++] =
                (struct replay_lane){.connection = connection, .first = i};
        replay->lanes[replay->lane_count - 1].count++;
    }
    qsort(replay->lanes, replay->lane_count, sizeof(*replay->lanes), lane_compare);
    lanes_attach(replay);
    return 0;
}

bool replay_lanes_in_order(struct replay *replay) {
    for (uint32_t i = 1; i < replay->ordered_count; i++) {
        const uint32_t before = replay->ordered[i - 1];
        const uint32_t after = replay->ordered[i];
        const struct history_operation *x = &replay->history->operations[before];
        const struct history_operation *y = &replay->history->operations[after];
        if (x->connection != y->connection ||
            (x->returned_ns <= y->returned_ns && x->sequence != y->sequence))
            continue;
        history_print(&replay->report->text,
                      x->sequence == y->sequence
                          ? "two operations have the same place in their connection\n    "
                          : "the replies of a connection came out of its order\n    ");
        history_print_operation(&replay->report->text, replay->history, before);
        history_print(&replay->report->text, "\n    ");
        history_print_operation(&replay->report->text, replay->history, after);
        history_print(&replay->report->text, "\n");
        return false;
    }
    return true;
}

uint32_t replay_lane_next(const struct replay *replay, const struct replay_lane *lane) {
    ASSERT_HOT(lane->next <= lane->count);
    return lane->next == lane->count ? REPLAY_NONE : replay->ordered[lane->first + lane->next];
}

void replay_lane_advance(struct replay *replay, struct replay_lane *lane) {
    ASSERT(lane->next < lane->count);
    lane->next++;
    replay_lanes_look(replay);
}

/* Who of the active lanes returned first; lanes that are through leave. */
static void active_look(struct replay *replay) {
    replay->returned_min_ns = HISTORY_NEVER;
    replay->returned_min = REPLAY_NONE;
    for (uint32_t i = 0; i < replay->active_count;) {
        const uint32_t number = replay_lane_next(replay, &replay->lanes[replay->active[i]]);
        if (number == REPLAY_NONE) {
            replay->active[i] = replay->active[--replay->active_count];
            continue;
        }
        const uint64_t returned_ns = replay->history->operations[number].returned_ns;
        if (returned_ns < replay->returned_min_ns) {
            replay->returned_min_ns = returned_ns;
            replay->returned_min = number;
        }
        i++;
    }
}

void replay_lanes_look(struct replay *replay) {
    active_look(replay);
    /* Lanes are in the order of their first invocation: one that begins later than the first return
       has nothing that is due, and returns later too. */
    while (replay->lanes_begun < replay->lane_count) {
        const uint32_t number = replay_lane_next(replay, &replay->lanes[replay->lanes_begun]);
        ASSERT(number != REPLAY_NONE);
        const struct history_operation *operation = &replay->history->operations[number];
        if (operation->invoked_ns > replay->returned_min_ns)
            break;
        replay->active[replay->active_count++] = replay->lanes_begun++;
        if (operation->returned_ns < replay->returned_min_ns) {
            replay->returned_min_ns = operation->returned_ns;
            replay->returned_min = number;
        }
    }
}

bool replay_is_due(const struct replay *replay, uint32_t number) {
    return replay->returned_min_ns >= replay->history->operations[number].invoked_ns;
}
