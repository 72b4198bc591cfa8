/*
 * Happy path: those that have a place are sorted by it and taken one after the other.
 *
 * An order that explains nothing, or values that need more room than there is, are no failure: the
 * search looks for another one.
 */

#include "sim/linearizable_witness.h"

#include <stdlib.h>

#include "base/assert.h"

struct placed {
    uint32_t place;
    uint32_t connection;
    uint32_t sequence;
    bool is_unknown;
    const struct search_operation *operation;
};

struct witness {
    struct linearizable_options options;
    uint32_t operations_max;
    struct placed *placed;
    char *rooms[2]; /* of value_bytes each: the value and the next one, in turn */
};

int witness_create(struct witness **out, const struct linearizable_options *options,
                   uint32_t operations_max) {
    ASSERT(options->places != NULL && options->value_bytes > 0);
    struct witness *witness = calloc(1, sizeof(*witness));
    if (witness == NULL)
        return WEIR_ENOMEM;
    witness->options = *options;
    witness->operations_max = operations_max;
    witness->placed = malloc(((size_t)operations_max + 1) * sizeof(*witness->placed));
    witness->rooms[0] = malloc(options->value_bytes);
    witness->rooms[1] = malloc(options->value_bytes);
    if (witness->placed == NULL || witness->rooms[0] == NULL || witness->rooms[1] == NULL) {
        witness_destroy(witness);
        return WEIR_ENOMEM;
    }
    *out = witness;
    return 0;
}

void witness_destroy(struct witness *witness) {
    if (witness == NULL)
        return;
    free(witness->rooms[1]);
    free(witness->rooms[0]);
    free(witness->placed);
    free(witness);
}

/* The parts of one operation, which may name a key twice, stay as they were given. */
static int place_compare(const void *a, const void *b) {
    const struct placed *x = a;
    const struct placed *y = b;
    if (x->place != y->place)
        return x->place < y->place ? -1 : 1;
    return x->operation < y->operation ? -1 : x->operation > y->operation;
}

/* The unknown ones come last: they keep no order. */
static int connection_compare(const void *a, const void *b) {
    const struct placed *x = a;
    const struct placed *y = b;
    if (x->is_unknown != y->is_unknown)
        return x->is_unknown ? 1 : -1;
    if (x->connection != y->connection)
        return x->connection < y->connection ? -1 : 1;
    return x->sequence < y->sequence ? -1 : x->sequence > y->sequence;
}

/* Those that have a place; false if one that happened has none. */
static bool places_collect(struct witness *witness, const struct search_operation *operations,
                           uint32_t count, uint32_t *placed_count) {
    *placed_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t place = witness->options.places[operations[i].number];
        if (place == 0 && !operations[i].is_unknown)
            return false;
        if (place > 0)
            witness->placed[(*placed_count)++] =
                (struct placed){.place = place,
                                .connection = operations[i].connection,
                                .sequence = operations[i].sequence,
                                .is_unknown = operations[i].is_unknown,
                                .operation = &operations[i]};
    }
    return true;
}

/* Whether what one connection asked stands in its order. */
static bool connections_agree(struct witness *witness, uint32_t count) {
    struct placed *placed = witness->placed;
    qsort(placed, count, sizeof(*placed), connection_compare);
    for (uint32_t i = 1; i < count; i++) {
        const bool is_next =
            !placed[i].is_unknown && placed[i - 1].connection == placed[i].connection;
        if (is_next && placed[i - 1].place > placed[i].place)
            return false;
    }
    return true;
}

/* Whether nothing stands behind what was invoked after its return; no two operations may have one
 * place. */
static bool time_agrees(struct witness *witness, uint32_t count) {
    struct placed *placed = witness->placed;
    uint64_t invoked_max_ns = 0;
    qsort(placed, count, sizeof(*placed), place_compare);
    for (uint32_t i = 0; i < count; i++) {
        const struct search_operation *operation = placed[i].operation;
        const bool is_shared = i > 0 && placed[i - 1].place == placed[i].place &&
                               placed[i - 1].operation->number != operation->number;
        if (is_shared || operation->returned_ns < invoked_max_ns)
            return false;
        if (operation->invoked_ns > invoked_max_ns)
            invoked_max_ns = operation->invoked_ns;
    }
    return true;
}

/* Whether each reply is the model's at its place. */
static bool replies_agree(struct witness *witness, uint32_t count) {
    struct kv_model_word value = {0}; /* absent */
    uint32_t room = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct search_operation *operation = witness->placed[i].operation;
        struct kv_model_word next;
        struct key_reply reply;
        if (!key_step_take(&operation->step, witness->options.value_bytes_max, &value,
                           witness->rooms[room], witness->options.value_bytes, &next, &reply))
            return false;
        if (!operation->is_unknown && !key_reply_fits(&operation->reply, &reply))
            return false;
        if (next.data == witness->rooms[room])
            room ^= 1;
        value = next;
    }
    return true;
}

bool witness_explains(struct witness *witness, const struct search_operation *operations,
                      uint32_t count) {
    uint32_t placed_count = 0;
    ASSERT(count <= witness->operations_max);
    return places_collect(witness, operations, count, &placed_count) &&
           connections_agree(witness, placed_count) && time_agrees(witness, placed_count) &&
           replies_agree(witness, placed_count);
}
