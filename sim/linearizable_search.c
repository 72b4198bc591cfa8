/*
 * Happy path: events_sort, then search_run. Its loop has two phases at each depth: the calls in the
 * list up to the first return, then the open-ended writes invoked before that. Whatever is taken
 * is pushed, and the depth below begins at the list's head. Where nothing can be taken, the last
 * one is put back and the search goes on behind it. Nothing left to put back: there is none.
 *
 * What fails is memory of a fixed size: then the key is undecided.
 */

#include "sim/linearizable_search.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/checksum.h"
#include "base/random.h"

enum {
    SHOWN_BEFORE = 6,     /* operations of the order, before the place where it ends */
    SHOWN_CANDIDATES = 16 /* operations of which one should have been next */
};

/* A value of the key. Number 0 is "absent". */
struct search_value {
    uint32_t offset;
    uint32_t length;
};

/* A place in a table belongs to the key whose generation it holds; others are free. */
struct value_slot {
    uint32_t number;
    uint32_t generation;
};

struct memory_slot {
    uint64_t set[2]; /* the xor of the marks of what is in the order */
    uint32_t value;
    uint32_t generation;
};

/* An operation in the search. Its events: 2 * index is the call, 2 * index + 1 the return. */
struct search_node {
    uint64_t mark[2];  /* random */
    uint32_t previous; /* of the same connection, and known; or NONE */
    uint32_t twin;     /* unknown: the nearest earlier one with the same step; or NONE */
    bool is_placed;
};

struct search_frame {
    uint32_t node;
    uint32_t value_before;
};

/* How far the search came at best. */
struct search_stuck {
    uint32_t rank; /* of the return that could not be passed */
    uint32_t placed;
    uint32_t value;
    uint32_t before_count;
    uint32_t candidate_count;
    bool reached; /* there is one */
    uint32_t before[SHOWN_BEFORE];
    uint32_t candidates[SHOWN_CANDIDATES];
};

#define NONE UINT32_MAX

struct search {
    struct linearizable_options options;
    uint32_t operations_max;
    uint32_t generation;

    const struct search_operation *operations;
    uint32_t count;
    struct search_node *nodes;
    uint32_t *order;     /* while it begins: events, then nodes, sorted */
    uint32_t *rank;      /* [event] */
    uint32_t *next;      /* [event]: the list of known events; [2 * operations_max]: its head */
    uint32_t *last;      /* [event]: backwards */
    uint32_t *open_next; /* [node]: the list of unknown ones; [operations_max]: its head */
    uint32_t *open_last;

    struct search_frame *frames;
    uint32_t depth;
    uint32_t known_left;
    uint32_t value;
    uint64_t set[2];
    uint64_t steps;
    struct search_stuck stuck;

    struct search_value *values;
    struct value_slot *value_slots; /* a power of two, twice values_max or more */
    uint32_t value_slots_max;
    uint32_t value_slots_used; /* a power of two: as many as this key seems to need */
    uint32_t value_count;
    uint32_t bytes_used;
    char *bytes;

    struct memory_slot *memory;
    uint32_t memory_slots_used; /* likewise */
    uint32_t memory_count;
    bool is_full;  /* a bound was reached */
    bool is_tight; /* only that of the slots used */
    const char *bound;
};

int search_create(struct search **out, const struct linearizable_options *options,
                  uint32_t operations_max) {
    struct search *search = calloc(1, sizeof(*search));
    if (search == NULL)
        return WEIR_ENOMEM;
    const size_t events = 2 * (size_t)operations_max + 1;
    uint32_t value_slots = 16;
    while (value_slots < 2 * options->values_max)
        value_slots *= 2;
    search->options = *options;
    search->operations_max = operations_max;
    search->value_slots_max = value_slots;
    search->nodes = calloc((size_t)operations_max + 1, sizeof(*search->nodes));
    search->order = calloc(events, sizeof(*search->order));
    search->rank = calloc(events, sizeof(*search->rank));
    search->next = calloc(events, sizeof(*search->next));
    search->last = calloc(events, sizeof(*search->last));
    search->open_next = calloc((size_t)operations_max + 1, sizeof(*search->open_next));
    search->open_last = calloc((size_t)operations_max + 1, sizeof(*search->open_last));
    search->frames = calloc((size_t)operations_max + 1, sizeof(*search->frames));
    search->values = calloc((size_t)options->values_max + 1, sizeof(*search->values));
    search->value_slots = calloc(value_slots, sizeof(*search->value_slots));
    search->bytes = malloc(options->value_bytes);
    search->memory = calloc(options->memory_slots, sizeof(*search->memory));
    if (search->nodes == NULL || search->order == NULL || search->rank == NULL ||
        search->next == NULL || search->last == NULL || search->open_next == NULL ||
        search->open_last == NULL || search->frames == NULL || search->values == NULL ||
        search->value_slots == NULL || search->bytes == NULL || search->memory == NULL) {
        search_destroy(search);
        return WEIR_ENOMEM;
    }
    *out = search;
    return 0;
}

void search_destroy(struct search *search) {
    if (search == NULL)
        return;
    free(search->nodes);
    free(search->order);
    free(search->rank);
    free(search->next);
    free(search->last);
    free(search->open_next);
    free(search->open_last);
    free(search->frames);
    free(search->values);
    free(search->value_slots);
    free(search->bytes);
    free(search->memory);
    free(search);
}

/* ---- What was reached ------------------------------------------------------------------------ */

static struct kv_model_word value_word(const struct search *search, uint32_t number) {
    if (number == 0)
        return (struct kv_model_word){0};
    const struct search_value *value = &search->values[number];
    return (struct kv_model_word){search->bytes + value->offset, value->length};
}

static void search_bound(struct search *search, const char *bound) {
    search->is_full = true;
    search->bound = bound;
}

/* The number of a value, whose bytes may stand at the end of those in use, or NONE if full. */
static uint32_t value_number(struct search *search, const struct kv_model_word *word) {
    if (word->data == NULL)
        return 0;
    ASSERT_HOT(word->length <= search->options.value_bytes);
    const uint32_t mask = search->value_slots_used - 1;
    uint32_t at = (uint32_t)checksum_64(word->data, word->length, 0) & mask;
    for (; search->value_slots[at].generation == search->generation; at = (at + 1) & mask) {
        const struct kv_model_word known = value_word(search, search->value_slots[at].number);
        if (known.length == word->length && memcmp(known.data, word->data, known.length) == 0)
            return search->value_slots[at].number;
    }
    if (search->value_count == search->options.values_max ||
        search->value_count == search->value_slots_used / 2) {
        search->is_tight = search->value_count < search->options.values_max;
        search_bound(search, "values");
        return NONE;
    }
    ASSERT_HOT(word->data == search->bytes + search->bytes_used);
    const uint32_t number = ++search->value_count;
    search->value_slots[at] = (struct value_slot){number, search->generation};
    search->values[number] = (struct search_value){search->bytes_used, (uint32_t)word->length};
    search->bytes_used += (uint32_t)word->length;
    return number;
}

/* True if the set with this value was not reached before; then it is now. */
static bool memory_enter(struct search *search, const uint64_t set[2], uint32_t value) {
    const uint32_t mask = search->memory_slots_used - 1;
    uint32_t at = (uint32_t)(set[0] ^ (uint64_t)value * UINT64_C(0x9e3779b97f4a7c15)) & mask;
    struct memory_slot *slot = &search->memory[at];
    for (; slot->generation == search->generation; slot = &search->memory[at]) {
        if (slot->set[0] == set[0] && slot->set[1] == set[1] && slot->value == value)
            return false;
        at = (at + 1) & mask;
    }
    if (search->memory_count == search->memory_slots_used / 2) {
        search->is_tight = search->memory_slots_used < search->options.memory_slots;
        search_bound(search, "memory of what was reached");
        return false;
    }
    search->memory_count++;
    *slot = (struct memory_slot){{set[0], set[1]}, value, search->generation};
    return true;
}

/* ---- Beginning ------------------------------------------------------------------------------- */

/* For qsort, which knows no context; one thread sorts at a time. */
static _Thread_local const struct search_operation *sorted_operations;

static uint64_t event_ns(uint32_t event) {
    const struct search_operation *operation = &sorted_operations[event / 2];
    return event % 2 == 0 ? operation->invoked_ns : operation->returned_ns;
}

/* Of two events at the same time, the call is first: then they overlap. */
static int event_compare(const void *a, const void *b) {
    const uint32_t x = *(const uint32_t *)a;
    const uint32_t y = *(const uint32_t *)b;
    const uint64_t x_ns = event_ns(x);
    const uint64_t y_ns = event_ns(y);
    if (x_ns != y_ns)
        return x_ns < y_ns ? -1 : 1;
    if (x % 2 != y % 2)
        return x % 2 == 0 ? -1 : 1;
    return x < y ? -1 : x > y;
}

/* Puts the events in their order and links the lists. */
static void events_link(struct search *search) {
    const uint32_t head = 2 * search->operations_max;
    const uint32_t open_head = search->operations_max;
    const uint32_t events = 2 * search->count;
    for (uint32_t i = 0; i < events; i++)
        search->order[i] = i;
    sorted_operations = search->operations;
    qsort(search->order, events, sizeof(*search->order), event_compare);
    uint32_t last = head;
    uint32_t open_last = open_head;
    for (uint32_t i = 0; i < events; i++) {
        const uint32_t event = search->order[i];
        search->rank[event] = i;
        if (!search->operations[event / 2].is_unknown) {
            search->next[last] = event;
            search->last[event] = last;
            last = event;
        } else if (event % 2 == 0) {
            search->open_next[open_last] = event / 2;
            search->open_last[event / 2] = open_last;
            open_last = event / 2;
        }
    }
    search->next[last] = head;
    search->last[head] = last;
    search->open_next[open_last] = open_head;
    search->open_last[open_head] = open_last;
}

/* By connection and sequence. */
static int program_compare(const void *a, const void *b) {
    const struct search_operation *x = &sorted_operations[*(const uint32_t *)a];
    const struct search_operation *y = &sorted_operations[*(const uint32_t *)b];
    if (x->connection != y->connection)
        return x->connection < y->connection ? -1 : 1;
    return x->sequence < y->sequence ? -1 : x->sequence > y->sequence;
}

/* Notes for each operation the last known one of its connection before it. */
static void nodes_link(struct search *search) {
    for (uint32_t i = 0; i < search->count; i++)
        search->order[i] = i;
    qsort(search->order, search->count, sizeof(*search->order), program_compare);
    uint32_t previous = NONE;
    for (uint32_t i = 0; i < search->count; i++) {
        const uint32_t node = search->order[i];
        if (previous != NONE &&
            search->operations[previous].connection != search->operations[node].connection)
            previous = NONE;
        search->nodes[node].previous = previous;
        if (!search->operations[node].is_unknown)
            previous = node;
    }
    /* Unknown ones are few; if they are not, the search is lost anyway. */
    const uint32_t open_head = search->operations_max;
    for (uint32_t i = search->open_next[open_head]; i != open_head; i = search->open_next[i]) {
        uint32_t twin = search->open_last[i];
        while (twin != open_head &&
               !key_step_equal(&search->operations[twin].step, &search->operations[i].step))
            twin = search->open_last[twin];
        search->nodes[i].twin = twin == open_head ? NONE : twin;
    }
}

/* The power of two at or above `wanted`, at most `max`, which is one. */
static uint32_t slots_for(uint64_t wanted, uint32_t max) {
    uint32_t slots = 16;
    while (slots < wanted && slots < max)
        slots *= 2;
    ASSERT(slots <= max);
    return slots;
}

/* Most keys need few slots, and few pages of memory are then touched: `scale` says how many more
 * than usual. */
static void search_begin(struct search *search, const struct search_operation *operations,
                         uint32_t count, uint64_t scale) {
    ASSERT(count <= search->operations_max);
    search->memory_slots_used = slots_for(8 * count * scale, search->options.memory_slots);
    search->value_slots_used = slots_for(4 * count * scale, search->value_slots_max);
    search->is_tight = false;
    struct random random;
    random_seed(&random, count);
    search->operations = operations;
    search->count = count;
    search->generation++;
    ASSERT(search->generation != 0);
    search->value_count = 0;
    search->bytes_used = 0;
    search->memory_count = 0;
    search->is_full = false;
    search->depth = 0;
    search->known_left = 0;
    search->value = 0;
    search->set[0] = 0;
    search->set[1] = 0;
    search->stuck = (struct search_stuck){0};
    for (uint32_t i = 0; i < count; i++) {
        search->nodes[i] = (struct search_node){
            .mark = {random_u64(&random), random_u64(&random)}, .previous = NONE, .twin = NONE};
        search->known_left += !operations[i].is_unknown;
    }
    events_link(search);
    nodes_link(search);
}

/* ---- One step -------------------------------------------------------------------------------- */

/* True if the operation's predecessor in its connection has its place. */
static bool node_is_due(const struct search *search, uint32_t node) {
    const uint32_t previous = search->nodes[node].previous;
    return previous == NONE || search->nodes[previous].is_placed;
}

/* True if an identical write, invoked earlier, could stand here as well. */
static bool node_has_twin(const struct search *search, uint32_t node) {
    for (uint32_t i = search->nodes[node].twin; i != NONE; i = search->nodes[i].twin)
        if (!search->nodes[i].is_placed && node_is_due(search, i))
            return true;
    return false;
}

/* True if the operation writes the same value, and what it replies tells nothing, whatever the
 * key held before. */
static bool is_blind(const struct search_operation *operation) {
    const struct key_step *step = &operation->step;
    const bool is_any = operation->reply.kind == KEY_REPLY_ANY;
    if (step->verb == KEY_SET)
        return !step->if_absent && !step->if_present && (is_any || !step->give_old);
    return (step->verb == KEY_DEL || step->verb == KEY_GETDEL) && is_any;
}

/* True if the last operation of the order is an open-ended one. */
static bool last_is_unknown(const struct search *search) {
    return search->depth > 0 &&
           search->operations[search->frames[search->depth - 1].node].is_unknown;
}

/* Takes call and return out of their list. */
static void node_lift(struct search *search, uint32_t node) {
    if (search->operations[node].is_unknown) {
        search->open_next[search->open_last[node]] = search->open_next[node];
        search->open_last[search->open_next[node]] = search->open_last[node];
        return;
    }
    for (uint32_t event = 2 * node; event < 2 * node + 2; event++) {
        search->next[search->last[event]] = search->next[event];
        search->last[search->next[event]] = search->last[event];
    }
}

/* Puts them back, in the reverse order of lifting. */
static void node_unlift(struct search *search, uint32_t node) {
    if (search->operations[node].is_unknown) {
        search->open_next[search->open_last[node]] = node;
        search->open_last[search->open_next[node]] = node;
        return;
    }
    for (uint32_t event = 2 * node + 2; event-- > 2 * node;) {
        search->next[search->last[event]] = event;
        search->last[search->next[event]] = event;
    }
}

static void node_flip(struct search *search, uint32_t node) {
    struct search_node *flipped = &search->nodes[node];
    flipped->is_placed = !flipped->is_placed;
    search->set[0] ^= flipped->mark[0];
    search->set[1] ^= flipped->mark[1];
    search->known_left += search->operations[node].is_unknown ? 0 : flipped->is_placed ? -1U : 1U;
}

/* Puts the operation at the end of the order, if it fits there and leads to something new. */
static bool node_place(struct search *search, uint32_t node) {
    const struct search_operation *operation = &search->operations[node];
    ASSERT_HOT(!search->nodes[node].is_placed);
    if (!node_is_due(search, node) || (operation->is_unknown && node_has_twin(search, node)))
        return false;
    /* What an open-ended write left, and a blind one covers, nobody saw: without it all is the
       same. So what is reached in two ways, with an open-ended write last in one of them, need not
       be told apart in memory: where a blind one is not tried behind it, it was without it. */
    if (last_is_unknown(search) && is_blind(operation))
        return false;
    if (++search->steps > search->options.steps_max) {
        search_bound(search, "steps");
        return false;
    }
    const struct kv_model_word value = value_word(search, search->value);
    struct kv_model_word next;
    struct key_reply reply;
    if (!key_step_take(&operation->step, search->options.value_bytes_max, &value,
                       search->bytes + search->bytes_used,
                       search->options.value_bytes - search->bytes_used, &next, &reply)) {
        search_bound(search, "bytes of values");
        return false;
    }
    if (!key_reply_fits(&operation->reply, &reply))
        return false;
    /* The length too: an empty value ends where it begins, and so does the room for the next. */
    const bool is_same = next.data == value.data && next.length == value.length;
    const uint32_t number = is_same ? search->value : value_number(search, &next);
    if (number == NONE || (operation->is_unknown && number == search->value))
        return false;
    const uint64_t set[2] = {search->set[0] ^ search->nodes[node].mark[0],
                             search->set[1] ^ search->nodes[node].mark[1]};
    if (!memory_enter(search, set, number))
        return false;
    search->frames[search->depth++] = (struct search_frame){node, search->value};
    node_flip(search, node);
    node_lift(search, node);
    search->value = number;
    return true;
}

/* Takes the last operation of the order back, and returns it. */
static uint32_t node_take_back(struct search *search) {
    const struct search_frame *frame = &search->frames[--search->depth];
    node_unlift(search, frame->node);
    node_flip(search, frame->node);
    search->value = frame->value_before;
    return frame->node;
}

/* Remembers where nothing could be placed before the return `event`, if no other was later. */
static void search_note_stuck(struct search *search, uint32_t event) {
    struct search_stuck *stuck = &search->stuck;
    if (stuck->reached && search->rank[event] <= stuck->rank)
        return;
    *stuck = (struct search_stuck){.rank = search->rank[event],
                                   .placed = search->depth,
                                   .value = search->value,
                                   .reached = true};
    const uint32_t from = search->depth > SHOWN_BEFORE ? search->depth - SHOWN_BEFORE : 0;
    for (uint32_t i = from; i < search->depth; i++)
        stuck->before[stuck->before_count++] = search->frames[i].node;
    /* The one that returned first comes first: it is the one that must have its place. */
    stuck->candidates[stuck->candidate_count++] = event / 2;
    const uint32_t head = 2 * search->operations_max;
    for (uint32_t i = search->next[head]; i != event; i = search->next[i])
        if (i / 2 != event / 2 && stuck->candidate_count < SHOWN_CANDIDATES)
            stuck->candidates[stuck->candidate_count++] = i / 2;
    const uint32_t open_head = search->operations_max;
    for (uint32_t i = search->open_next[open_head];
         i != open_head && search->rank[2 * i] < stuck->rank; i = search->open_next[i])
        if (stuck->candidate_count < SHOWN_CANDIDATES)
            stuck->candidates[stuck->candidate_count++] = i;
}

/* ---- The search ------------------------------------------------------------------------------ */

/* Places a call at or behind the event `at` and before the first return, or an open-ended write
 * at or behind `open`; false if none can be. `at` is NONE when the calls have been tried. */
static bool search_descend(struct search *search, uint32_t at, uint32_t open) {
    const uint32_t head = 2 * search->operations_max;
    const uint32_t open_head = search->operations_max;
    if (at == NONE) {
        at = search->next[head];
        while (at % 2 == 0)
            at = search->next[at];
    }
    for (; at % 2 == 0; at = search->next[at]) {
        ASSERT_HOT(at != head);
        if (node_place(search, at / 2))
            return true;
        if (search->is_full)
            return false;
    }
    const uint32_t rank = search->rank[at];
    for (; open != open_head && search->rank[2 * open] < rank; open = search->open_next[open]) {
        if (node_place(search, open))
            return true;
        if (search->is_full)
            return false;
    }
    search_note_stuck(search, at);
    return false;
}

static enum history_verdict search_once(struct search *search) {
    const uint32_t head = 2 * search->operations_max;
    const uint32_t open_head = search->operations_max;
    uint32_t at = search->next[head];
    uint32_t open = search->open_next[open_head];
    enum history_verdict verdict = HISTORY_RIGHT;
    while (verdict == HISTORY_RIGHT && search->known_left > 0) {
        if (search_descend(search, at, open)) {
            at = search->next[head];
            open = search->open_next[open_head];
        } else if (search->is_full) {
            verdict = HISTORY_UNDECIDED;
        } else if (search->depth == 0) {
            verdict = HISTORY_WRONG;
        } else {
            const uint32_t node = node_take_back(search);
            const bool was_unknown = search->operations[node].is_unknown;
            at = was_unknown ? NONE : search->next[2 * node];
            open = search->open_next[was_unknown ? node : open_head];
        }
    }
    return verdict;
}

enum history_verdict search_run(struct search *search, const struct search_operation *operations,
                                uint32_t count, uint64_t *steps) {
    enum history_verdict verdict = HISTORY_UNDECIDED;
    search->steps = 0;
    search->is_tight = true;
    /* A key that needs more room begins anew: that costs a seventh more at most. */
    for (uint64_t scale = 1; verdict == HISTORY_UNDECIDED && search->is_tight; scale *= 8) {
        search_begin(search, operations, count, scale);
        verdict = search_once(search);
    }
    *steps += search->steps;
    return verdict;
}

/* ---- Explaining ------------------------------------------------------------------------------ */

void search_explain(const struct search *search, const struct history *history,
                    struct kv_model_text *out) {
    const struct search_stuck *stuck = &search->stuck;
    if (search->is_full)
        history_print(out, "  undecided: more %s than allowed after %" PRIu64 " steps\n",
                      search->bound, search->steps);
    if (!stuck->reached)
        return;
    history_print(out, "  the longest order found has %" PRIu32 " of %" PRIu32 " operations%s\n",
                  stuck->placed, search->count, stuck->before_count > 0 ? ", and ends with" : "");
    for (uint32_t i = 0; i < stuck->before_count; i++) {
        history_print(out, "    ");
        history_print_operation(out, history, search->operations[stuck->before[i]].number);
        history_print(out, "\n");
    }
    const struct kv_model_word value = value_word(search, stuck->value);
    const struct key_reply held = {.kind = value.data == NULL ? KEY_REPLY_NULL : KEY_REPLY_BULK,
                                   .text = value};
    history_print(out, "  then the key holds ");
    key_reply_print(out, &held);
    history_print(out, ", and none of these can be next, of which the first returned first:\n");
    for (uint32_t i = 0; i < stuck->candidate_count; i++) {
        const struct search_operation *operation = &search->operations[stuck->candidates[i]];
        struct kv_model_word next;
        struct key_reply reply;
        history_print(out, "    ");
        history_print_operation(out, history, operation->number);
        if (key_step_take(&operation->step, search->options.value_bytes_max, &value,
                          search->bytes + search->bytes_used,
                          search->options.value_bytes - search->bytes_used, &next, &reply)) {
            history_print(out, "    (the reply here: ");
            key_reply_print(out, &reply);
            history_print(out, ")");
        }
        history_print(out, "\n");
    }
}
