/*
 * A merge sort from the bottom up, in two arrays that change their roles with each pass; so it can
 * stop after any step, even in the middle of a long comparison.
 *
 * Happy path: load every element with the number or the first 8 bytes that it is compared by; then
 * passes over runs of 1, 2, 4 ... elements. Equal elements are equal in all bytes, so their order
 * does not show.
 *
 * Failure modes: an element is no number, found while loading; the host has no memory left.
 */

#include "machines/kv_float.h"
#include "machines/kv_score.h"
#include "machines/kv_sort.h"

enum { KV_SORT_UNIT_ENTRIES = 8 }; /* merged by their order alone, some 10 ns each */

struct kv_sort {
    uint64_t count;
    uint64_t loaded;
    uint64_t place; /* of the walk */
    uint64_t width; /* of the runs being merged; 0: not all is loaded */
    uint64_t begin; /* of the left one of two */
    uint64_t left;  /* the next entry of each */
    uint64_t right;
    uint64_t out;      /* entries merged in this pass */
    uint64_t compared; /* bytes of the two */
    bool is_no_number;
    struct kv_sort_entry *from;
    struct kv_sort_entry *to;
    struct kv_sort_entry entry[];
};

/* Takes the scratch memory; false after the error. */
static bool kv_sort_begin(struct kv_call *call, const struct kv_found *found, bool stores) {
    struct kv *kv = call->kv;
    const uint64_t count = kv_collection_count(found->present);
    const size_t length_bytes =
        ALIGN_UP(sizeof(struct kv_sort) + 2 * count * sizeof(struct kv_sort_entry),
                 (size_t)MEMORY_PAGE_BYTES);
    kv_scratch_give(kv); /* of a call that was abandoned */
    kv->scratch = kv->host.pages_take(kv->host.context, length_bytes);
    if (kv->scratch == NULL) {
        if (stores)
            UNREACHABLE("the machine's host has no page left for a SORT that is in the log; "
                        "restart with more memory: the log replays it");
        kv_error(call->reply, "ERR Insufficient memory, failed allocating transient memory for "
                              "SORT");
        return false;
    }
    kv->scratch_bytes = length_bytes;
    struct kv_sort *sort = kv->scratch;
    sort->count = count;
    sort->from = sort->entry;
    sort->to = sort->entry + count;
    return true;
}

enum kv_step kv_sort_end(struct kv_call *call) {
    struct kv *kv = call->kv;
    while (kv->scratch != NULL) {
        if (call->run->budget == 0)
            return KV_MORE;
        const uint64_t part_bytes =
            kv->scratch_bytes < MEMORY_GIVE_BYTES_MAX ? kv->scratch_bytes : MEMORY_GIVE_BYTES_MAX;
        kv->scratch_bytes -= part_bytes; /* from its end */
        kv->host.pages_give(kv->host.context, (uint8_t *)kv->scratch + kv->scratch_bytes,
                            part_bytes);
        if (kv->scratch_bytes == 0)
            kv->scratch = NULL;
        kv_spend(call, part_bytes / MEMORY_PAGE_BYTES);
    }
    return KV_DONE;
}

/* ---- Loading --------------------------------------------------------------------------------- */

/* As strtod of all the text up to a zero byte; false: it is no number. */
static bool kv_sort_number(struct kv_call *call, struct kv_bytes bytes, uint64_t *order) {
    const uint8_t *at = bytes.data;
    const uint8_t *end = at + bytes.length_bytes;
    double number = 0;
    uint32_t units = 0;
    uint64_t bits;
    if (at != end && *at != 0) {
        if (!kv_score_text(&at, &end))
            return false;
        const enum kv_double result = kv_double_parse(at, (uint32_t)(end - at), &number, &units);
        kv_spend(call, units + (uint32_t)(end - bytes.data) / KV_UNIT_BYTES);
        if (result != KV_DOUBLE_EXACT)
            return false;
    }
    memcpy(&bits, &number, sizeof(bits));
    *order = kv_score_order(bits);
    return true;
}

/* The first 8 bytes, so that numbers compare as the bytes do; shorter ones end in zeros. */
static uint64_t kv_sort_prefix(struct kv_bytes bytes) {
    uint64_t prefix = 0;
    const uint32_t length_bytes = bytes.length_bytes < 8 ? bytes.length_bytes : 8;
    for (uint32_t i = 0; i < length_bytes; i++)
        prefix |= (uint64_t)bytes.data[i] << (56 - 8 * i);
    return prefix;
}

static enum kv_step kv_sort_load(struct kv_call *call, const struct kv_record *record,
                                 const struct kv_sort_options *options, struct kv_sort *sort) {
    struct kv_element element;
    for (; sort->loaded < sort->count; sort->loaded++) {
        if (call->run->budget == 0)
            return KV_MORE;
        const bool there = kv_collection_next(record, &sort->place, &element);
        ASSERT(there);
        struct kv_sort_entry *entry = &sort->from[sort->loaded];
        entry->bytes = element.first;
        kv_spend(call, 1);
        if (options->alpha)
            entry->order = kv_sort_prefix(element.first);
        else if (!kv_sort_number(call, element.first, &entry->order))
            sort->is_no_number = true;
        if (sort->is_no_number)
            return KV_DONE;
    }
    sort->width = 1;
    sort->right = sort->count < 1 ? sort->count : 1;
    return KV_DONE;
}

/* ---- Merging --------------------------------------------------------------------------------- */

/* Whether `b` must stand in front of `a`. */
static enum kv_step kv_sort_is_before(struct kv_call *call, struct kv_sort *sort,
                                      const struct kv_sort_entry *b, const struct kv_sort_entry *a,
                                      bool descending, bool *before) {
    if (a->order != b->order) {
        *before = (b->order < a->order) != descending;
        return KV_DONE;
    }
    const uint32_t both_bytes = a->bytes.length_bytes < b->bytes.length_bytes
                                    ? a->bytes.length_bytes
                                    : b->bytes.length_bytes;
    int order = 0;
    kv_spend(call, 1);
    while (order == 0 && sort->compared < both_bytes) {
        const uint64_t left = both_bytes - sort->compared;
        const size_t slice = left < KV_SLICE_BYTES ? (size_t)left : KV_SLICE_BYTES;
        order = memcmp(b->bytes.data + sort->compared, a->bytes.data + sort->compared, slice);
        sort->compared += slice;
        kv_spend(call, slice / KV_UNIT_BYTES);
        if (order == 0 && sort->compared < both_bytes && call->run->budget == 0)
            return KV_MORE;
    }
    sort->compared = 0;
    if (order == 0)
        order = (b->bytes.length_bytes > a->bytes.length_bytes) -
                (b->bytes.length_bytes < a->bytes.length_bytes);
    *before = descending ? order > 0 : order < 0;
    return KV_DONE;
}

static uint64_t kv_sort_cut(const struct kv_sort *sort, uint64_t end) {
    return end < sort->count ? end : sort->count;
}

/* One pass over all pairs of runs. */
static enum kv_step kv_sort_pass(struct kv_call *call, struct kv_sort *sort, bool descending) {
    while (sort->out < sort->count) {
        if (call->run->budget == 0)
            return KV_MORE;
        const uint64_t left_end = kv_sort_cut(sort, sort->begin + sort->width);
        const uint64_t right_end = kv_sort_cut(sort, left_end + sort->width);
        bool takes_right = sort->left == left_end;
        if (sort->left < left_end && sort->right < right_end &&
            kv_sort_is_before(call, sort, &sort->from[sort->right], &sort->from[sort->left],
                              descending, &takes_right) == KV_MORE)
            return KV_MORE;
        sort->to[sort->out++] = sort->from[takes_right ? sort->right++ : sort->left++];
        if (sort->out % KV_SORT_UNIT_ENTRIES == 0)
            kv_spend(call, 1);
        if (sort->out == right_end) {
            sort->begin = sort->left = right_end;
            sort->right = kv_sort_cut(sort, right_end + sort->width);
        }
    }
    return KV_DONE;
}

static enum kv_step kv_sort_merge(struct kv_call *call, struct kv_sort *sort, bool descending) {
    while (sort->width < sort->count) {
        if (kv_sort_pass(call, sort, descending) == KV_MORE)
            return KV_MORE;
        struct kv_sort_entry *merged = sort->to;
        sort->to = sort->from;
        sort->from = merged;
        sort->width *= 2;
        sort->begin = sort->left = sort->out = 0;
        sort->right = kv_sort_cut(sort, sort->width);
    }
    return KV_DONE;
}

enum kv_step kv_sort_all(struct kv_call *call, const struct kv_found *found,
                         const struct kv_sort_options *options,
                         const struct kv_sort_entry **entries, bool *failed) {
    uint64_t *word = call->cursor->word;
    *entries = NULL;
    *failed = false;
    if (word[1] == KV_SORT_BEGIN && !kv_sort_begin(call, found, options->store != 0)) {
        *failed = true;
        return KV_DONE;
    }
    word[1] = KV_SORT_ON;
    struct kv_sort *sort = call->kv->scratch;
    if (sort->width == 0 && !sort->is_no_number &&
        kv_sort_load(call, found->present, options, sort) == KV_MORE)
        return KV_MORE;
    if (sort->is_no_number)
        return KV_DONE;
    if (kv_sort_merge(call, sort, options->descending) == KV_MORE)
        return KV_MORE;
    *entries = sort->from;
    return KV_DONE;
}
