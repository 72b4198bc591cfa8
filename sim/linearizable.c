/*
 * Happy path: parts_collect splits each operation into its keys' parts, parts_sort brings those of
 * a key together, and each key is searched. Failures are of memory alone; what is not understood
 * makes its keys undecided.
 */

#include "sim/linearizable.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/checksum.h"
#include "sim/linearizable_search.h"
#include "sim/linearizable_witness.h"

enum { EXPLAINED_KEYS_MAX = 4 };

/* One key's part of one operation. */
struct part {
    struct kv_model_word key;
    uint64_t key_hash;
    bool is_unmodelled;
    struct search_operation operation;
};

/* Parts, with room that doubles. */
struct parts {
    struct part *parts;
    size_t count;
    size_t capacity;
};

struct checking {
    const struct history *history;
    const struct linearizable_options *options;
    struct linearizable_report *report;
    struct parts keyed;
    struct parts every;                  /* those of FLUSHALL: for every key */
    struct search_operation *operations; /* of one key */
    struct search *search;
    struct witness *witness; /* NULL: nothing is suggested */
};

struct linearizable_options linearizable_options_default(void) {
    return (struct linearizable_options){
        .steps_max = 20 * 1000 * 1000,
        .memory_slots = 1 << 21, /* of 24 bytes: 48 MiB */
        .values_max = 1 << 18,   /* of 8 bytes, and twice as many slots of 8 bytes: 6 MiB */
        .value_bytes = 16 << 20,
        .value_bytes_max = 512 << 20,
    };
}

/* ---- Parts ----------------------------------------------------------------------------------- */

static int part_add(struct parts *parts, const struct part *part) {
    if (parts->count == parts->capacity) {
        const size_t capacity = parts->capacity * 2 + 1024;
        struct part *grown = realloc(parts->parts, capacity * sizeof(*grown));
        if (grown == NULL)
            return WEIR_ENOMEM;
        parts->parts = grown;
        parts->capacity = capacity;
    }
    ASSERT_HOT(parts->count < parts->capacity);
    parts->parts[parts->count++] = *part;
    return 0;
}

/* Whether the operation says anything: it happened, or may have. */
static bool operation_counts(const struct checking *checking, uint32_t number, bool is_write) {
    const struct history_operation *operation = &checking->history->operations[number];
    if (operation->outcome == HISTORY_REFUSED || (operation->stale && !is_write))
        return false;
    if (operation->outcome == HISTORY_OK)
        return true;
    const uint8_t *never = checking->options->never_applied;
    return is_write && (never == NULL || never[number] == 0);
}

/* Adds the parts of one operation. */
static int parts_add(struct checking *checking, uint32_t number) {
    struct kv_model_word words[HISTORY_WORDS_MAX];
    struct key_part split[HISTORY_WORDS_MAX];
    uint32_t split_count;
    const struct history_operation *operation = &checking->history->operations[number];
    const uint32_t word_count = history_words(checking->history, number, words);
    const bool is_ok = operation->outcome == HISTORY_OK;
    const struct kv_model_word reply =
        is_ok ? history_reply(checking->history, number) : (struct kv_model_word){0};
    const enum key_split kind = key_model_split(words, word_count, reply, split, &split_count);
    const bool is_unmodelled = kind == KEY_SPLIT_UNMODELLED;
    if (kind == KEY_SPLIT_NOTHING)
        return 0;
    if (is_unmodelled && split_count == 0)
        checking->report->unmodelled += operation_counts(checking, number, true);
    for (uint32_t i = 0; i < split_count; i++) {
        if (!operation_counts(checking, number, is_unmodelled || key_step_is_write(&split[i].step)))
            continue;
        const struct part part = {
            .key = split[i].key,
            .key_hash = checksum_64(split[i].key.data, split[i].key.length, 0),
            .is_unmodelled = is_unmodelled,
            .operation = {.invoked_ns = operation->invoked_ns,
                          .returned_ns = is_ok ? operation->returned_ns : HISTORY_NEVER,
                          .number = number,
                          .connection = operation->connection,
                          .sequence = operation->sequence,
                          .is_unknown = !is_ok,
                          .step = split[i].step,
                          .reply = split[i].reply}};
        struct parts *parts = kind == KEY_SPLIT_EVERY_KEY ? &checking->every : &checking->keyed;
        if (part_add(parts, &part) != 0)
            return WEIR_ENOMEM;
    }
    return 0;
}

static int key_compare(const struct part *a, const struct part *b) {
    if (a->key_hash != b->key_hash)
        return a->key_hash < b->key_hash ? -1 : 1;
    if (a->key.length != b->key.length)
        return a->key.length < b->key.length ? -1 : 1;
    return a->key.length == 0 ? 0 : memcmp(a->key.data, b->key.data, a->key.length);
}

/* By key, then by number. */
static int part_compare(const void *a, const void *b) {
    const struct part *x = a;
    const struct part *y = b;
    const int key = key_compare(x, y);
    if (key != 0)
        return key;
    return x->operation.number < y->operation.number ? -1
                                                     : x->operation.number > y->operation.number;
}

/* ---- Keys ------------------------------------------------------------------------------------ */

/* Names the key in the text, if there is room for it. */
static bool key_name(struct checking *checking, const struct part *part, const char *what) {
    struct linearizable_report *report = checking->report;
    if (report->keys_wrong + report->keys_undecided + report->keys_unmodelled > EXPLAINED_KEYS_MAX)
        return false;
    history_print(&report->text, "key ");
    history_print_bytes(&report->text, part->key.data, part->key.length, true);
    history_print(&report->text, ": %s\n", what);
    return true;
}

/* Judges the key that parts [first, end) are about. */
static void key_check(struct checking *checking, size_t first, size_t end) {
    struct linearizable_report *report = checking->report;
    const struct part *parts = checking->keyed.parts;
    uint32_t count = 0;
    bool is_modelled = true;
    for (size_t i = first; i < end; i++) {
        checking->operations[count++] = parts[i].operation;
        is_modelled = is_modelled && !parts[i].is_unmodelled;
    }
    for (size_t i = 0; i < checking->every.count; i++)
        checking->operations[count++] = checking->every.parts[i].operation;
    report->keys++;
    if (!is_modelled) {
        report->keys_unmodelled++;
        (void)key_name(checking, &parts[first],
                       "not judged: it has commands about deadlines, or "
                       "of a form that is not known");
        return;
    }
    report->operations += count;
    for (uint32_t i = 0; i < count; i++)
        report->unknown_writes += checking->operations[i].is_unknown;
    if (checking->witness != NULL &&
        witness_explains(checking->witness, checking->operations, count)) {
        report->keys_right++;
        report->keys_explained++;
        return;
    }
    const enum history_verdict verdict =
        search_run(checking->search, checking->operations, count, &report->steps);
    if (verdict == HISTORY_RIGHT) {
        report->keys_right++;
        return;
    }
    const bool is_wrong = verdict == HISTORY_WRONG;
    if (is_wrong)
        report->keys_wrong++;
    else
        report->keys_undecided++;
    if (key_name(checking, &parts[first],
                 is_wrong ? "no order of its operations explains the replies"
                          : "undecided whether an order of its operations explains the replies"))
        search_explain(checking->search, checking->history, &report->text);
}

/* Judges each key; one key's parts lie together. */
static int keys_check(struct checking *checking) {
    const struct parts *keyed = &checking->keyed;
    size_t largest = 0;
    for (size_t first = 0, i = 0; i < keyed->count; i++) {
        if (key_compare(&keyed->parts[first], &keyed->parts[i]) != 0)
            first = i;
        if (i + 1 - first > largest)
            largest = i + 1 - first;
    }
    largest += checking->every.count;
    checking->operations = calloc(largest + 1, sizeof(*checking->operations));
    if (checking->operations == NULL)
        return WEIR_ENOMEM;
    int error = search_create(&checking->search, checking->options, (uint32_t)largest);
    if (error == 0 && checking->options->places != NULL)
        error = witness_create(&checking->witness, checking->options, (uint32_t)largest);
    if (error != 0)
        return error;
    for (size_t first = 0; first < keyed->count;) {
        size_t end = first + 1;
        while (end < keyed->count && key_compare(&keyed->parts[first], &keyed->parts[end]) == 0)
            end++;
        key_check(checking, first, end);
        first = end;
    }
    return 0;
}

static bool options_are_valid(const struct linearizable_options *options) {
    return options->steps_max > 0 && options->memory_slots >= 16 &&
           IS_POWER_OF_TWO(options->memory_slots) && options->values_max > 0 &&
           options->values_max <= 1 << 24 && options->value_bytes > 0;
}

int linearizable_check(const struct history *history, const struct linearizable_options *options,
                       struct linearizable_report *report) {
    *report = (struct linearizable_report){.verdict = HISTORY_RIGHT};
    if (!options_are_valid(options))
        return WEIR_EINVAL;
    struct checking checking = {.history = history, .options = options, .report = report};
    int error = 0;
    for (uint32_t i = 0; error == 0 && i < history->operation_count; i++)
        error = parts_add(&checking, i);
    if (error == 0 && checking.keyed.count > 0) {
        qsort(checking.keyed.parts, checking.keyed.count, sizeof(*checking.keyed.parts),
              part_compare);
        error = keys_check(&checking);
    }
    witness_destroy(checking.witness);
    search_destroy(checking.search);
    free(checking.operations);
    free(checking.keyed.parts);
    free(checking.every.parts);
    if (error != 0) {
        kv_model_text_free(&report->text);
        *report = (struct linearizable_report){0};
        return error;
    }
    if (report->unmodelled > 0)
        history_print(&report->text, "%" PRIu32 " commands are not known\n", report->unmodelled);
    if (report->keys_wrong > 0)
        report->verdict = HISTORY_WRONG;
    else if (report->keys_undecided + report->keys_unmodelled + report->unmodelled > 0)
        report->verdict = HISTORY_UNDECIDED;
    ASSERT(report->keys == report->keys_right + report->keys_wrong + report->keys_undecided +
                               report->keys_unmodelled);
    return 0;
}
