/*
 * What a key costs (MEMORY USAGE).
 *
 * Happy path: the record and what is in it is known at once, and so are the pages of a large
 * collection's table. The leaves of a tree are counted, one by one. Of what lies apart for each
 * element, `SAMPLES` elements are looked at, and the others are taken to be like them; with 0, all.
 *
 * The figure is the memory's, not the value's: two replicas whose histories differ (one was
 * restored from a snapshot) may have other tables and trees for the same elements.
 */

#include "machines/kv_memory.h"

#include "machines/kv_collection.h"
#include "machines/kv_help.h"

enum {
    KV_MEMORY_SAMPLES = 5, /* Redis's */
    /*
     * A key's share of its partition's table. A segment is split at 448 records, so those of a
     * table that grows hold between 224 and 448, 310 (448 ln 2) on average: a page for each.
     */
    KV_SLOT_SHARE_BYTES = 13,
    KV_HEAP_ENTRY_BYTES = sizeof(struct vector_element), /* of a deadline */
    KV_INNER_LEAVES = 64, /* at least so many leaves have an inner node in common, but the last */
};

_Static_assert(MEMORY_PAGE_BYTES * 100 / (KV_SEGMENT_RECORDS_MAX * 69) <= KV_SLOT_SHARE_BYTES &&
                   KV_SLOT_SHARE_BYTES * KV_SEGMENT_RECORDS_MAX < 2 * MEMORY_PAGE_BYTES,
               "a share between those of a full and of a half-full segment");

bool kv_options_memory(const struct machine_argument *arguments, uint32_t count,
                       struct kv_memory_options *options, struct reply_writer *error) {
    const bool usage = kv_is_word(&arguments[0], "USAGE");
    *options = (struct kv_memory_options){kv_is_word(&arguments[0], "HELP"), KV_MEMORY_SAMPLES};
    if (!usage && !options->help) {
        if (error != NULL)
            reply_error_format(
                error, "ERR unknown subcommand '%.*s'. Try MEMORY HELP.",
                (int)(arguments[0].length_bytes < 128 ? arguments[0].length_bytes : 128),
                (const char *)arguments[0].data);
        return false;
    }
    if (usage ? count < 2 : count > 1) {
        if (error != NULL)
            reply_error_format(error, "ERR wrong number of arguments for 'memory|%s' command",
                               usage ? "usage" : "help");
        return false;
    }
    for (uint32_t i = 2; i < count; i += 2) {
        const bool samples = kv_is_word(&arguments[i], "SAMPLES") && i + 1 < count;
        if (samples && !kv_integer(&arguments[i + 1], &options->samples, error))
            return false;
        if (!samples || options->samples < 0) {
            kv_error(error, kv_error_syntax);
            return false;
        }
        if (options->samples == 0)
            options->samples = INT64_MAX;
    }
    return true;
}

static void kv_memory_help(struct kv_call *call) {
    static const char *const lines[] = {
        "MEMORY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "USAGE <key> [SAMPLES <count>]",
        "    Return memory in bytes used by <key> and its value. Nested values are",
        "    sampled up to <count> times (default: 5, 0 means sample all).",
        "HELP",
        "    Prints this help.",
    };
    kv_reply_help(call, lines, ARRAY_COUNT(lines));
}

/* The record, what lies apart of it, its share of the table, and its place among deadlines. */
static uint64_t kv_memory_record(const struct kv_record *record) {
    uint64_t bytes = KV_SLOT_SHARE_BYTES + memory_usable_bytes(kv_record_bytes(record));
    if (kv_is_apart(record))
        bytes += memory_usable_bytes(kv_apart_get(record).capacity_bytes);
    if (kv_deadline_ms(record) != KV_DEADLINE_NONE)
        bytes += KV_HEAP_ENTRY_BYTES;
    return bytes;
}

/* The pages of a collection's table. Those of the directory are counted as if none were shared. */
static uint64_t kv_memory_table(const struct kv_table *table) {
    if (table->root == NULL)
        return 0;
    const uint64_t entries = UINT64_C(1) << table->depth;
    const uint64_t pages = (entries + KV_DIRECTORY_COUNT - 1) / KV_DIRECTORY_COUNT;
    return (uint64_t)table->segment_count * MEMORY_PAGE_BYTES +
           pages * memory_usable_bytes(KV_DIRECTORY_COUNT * sizeof(struct kv_segment *)) +
           memory_usable_bytes(pages * sizeof(struct kv_segment **));
}

/* What one element has in objects of its own. */
static uint64_t kv_memory_element(const struct kv_collection *collection,
                                  const struct kv_element *element) {
    const uint32_t first_bytes = element->first.length_bytes;
    const uint32_t second_bytes = element->second.length_bytes;
    if (collection->type == KV_TYPE_LIST)
        return first_bytes <= KV_ENTRY_INSIDE_BYTES_MAX ? 0 : memory_usable_bytes(first_bytes);
    return memory_usable_bytes(kv_record_bytes_of(false, first_bytes, second_bytes)) +
           (second_bytes > KV_INLINE_BYTES_MAX ? memory_usable_bytes(second_bytes) : 0);
}

/* Words: 0 the rank of the next leaf, 1 leaves, 2 the place of the next element, 3 how many were
 * looked at, 4 what they have. KV_DONE: *bytes is what the collection costs. */
static enum kv_step kv_memory_collection(struct kv_call *call,
                                         const struct kv_collection *collection, uint64_t count,
                                         const struct kv_record *record, uint64_t samples,
                                         uint64_t *bytes) {
    uint64_t *word = call->cursor->word;
    struct kv_element element;
    while (word[0] < collection->tree.count) {
        if (call->run->budget == 0)
            return KV_MORE;
        word[0] += kv_tree_run(&collection->tree, word[0]).count;
        word[1]++;
        kv_spend(call, 2);
    }
    for (; word[3] < samples && word[3] < count; word[3]++) {
        if (call->run->budget == 0)
            return KV_MORE;
        const bool there = kv_collection_next(record, &word[2], &element);
        ASSERT(there);
        word[4] += kv_memory_element(collection, &element);
        kv_spend(call, 1);
    }
    ASSERT(count > 0 && word[3] > 0 && word[3] <= count);
    const uint64_t inner =
        collection->tree.height > 1 ? (word[1] + KV_INNER_LEAVES - 1) / KV_INNER_LEAVES : 0;
    *bytes = memory_usable_bytes(sizeof(*collection)) + kv_memory_table(&collection->table) +
             (word[1] + inner) * MEMORY_PAGE_BYTES + word[4] * count / word[3];
    return KV_DONE;
}

enum kv_step kv_memory(struct kv_call *call) {
    const struct machine_operation *operation = call->operation;
    struct kv_memory_options options;
    if (!kv_options_memory(operation->arguments, operation->argument_count, &options, call->reply))
        return KV_DONE;
    if (options.help) {
        kv_memory_help(call);
        return KV_DONE;
    }
    const struct kv_found found = kv_find(call, 0, 1);
    uint64_t collection_bytes = 0;
    if (found.present == NULL) {
        kv_reply_null(call);
        return KV_DONE;
    }
    if (kv_is_large(found.present) &&
        kv_memory_collection(call, kv_collection_of(found.present),
                             kv_collection_count(found.present), found.present,
                             (uint64_t)options.samples, &collection_bytes) == KV_MORE)
        return KV_MORE;
    kv_reply_integer(call, (int64_t)(kv_memory_record(found.present) + collection_bytes));
    return KV_DONE;
}
