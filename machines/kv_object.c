/*
 * What a key is like (OBJECT), and any key (RANDOMKEY).
 */

#include "machines/kv_collection.h"
#include "machines/kv_help.h"

#include "base/decimal.h"

/* Redis's limits, as it has them unless configured otherwise. */
enum {
    KV_EMBEDDED_BYTES_MAX = 44,
    KV_INTSET_COUNT_MAX = 512,
    KV_LISTPACK_COUNT_MAX = 128,
    KV_LISTPACK_BYTES_MAX = 64,
};

/* Whether Redis would keep a set, a sorted set or a hash in its compact way. A walk over at most
 * KV_INTSET_COUNT_MAX elements. */
static bool kv_encoding_is_small(const struct kv_record *record) {
    const bool is_set = kv_type_of(record) == KV_TYPE_SET;
    struct kv_element element;
    uint64_t place = 0;
    int64_t number;
    if (kv_collection_count(record) > (is_set ? KV_INTSET_COUNT_MAX : KV_LISTPACK_COUNT_MAX))
        return false;
    while (kv_collection_next(record, &place, &element)) {
        if (is_set && decimal_parse_i64((const char *)element.first.data,
                                        element.first.length_bytes, &number) != 0)
            return false;
        if (!is_set && (element.first.length_bytes > KV_LISTPACK_BYTES_MAX ||
                        element.second.length_bytes > KV_LISTPACK_BYTES_MAX))
            return false;
    }
    return true;
}

/* What Redis would make of the value if it were built now. What its history would have made of it,
 * a string's APPENDs or the elements that are gone, is not kept: it is no part of the state. */
static const char *kv_encoding(const struct kv_record *record) {
    switch (kv_type_of(record)) {
    case KV_TYPE_LIST: return "quicklist";
    case KV_TYPE_SET: return kv_encoding_is_small(record) ? "intset" : "hashtable";
    case KV_TYPE_ZSET: return kv_encoding_is_small(record) ? "listpack" : "skiplist";
    case KV_TYPE_HASH: return kv_encoding_is_small(record) ? "listpack" : "hashtable";
    case KV_TYPE_STRING:
    case KV_TYPES: break;
    }
    const uint32_t value_bytes = kv_value_bytes(record);
    int64_t number;
    if (decimal_parse_i64((const char *)kv_value(record), value_bytes, &number) == 0)
        return "int";
    return value_bytes <= KV_EMBEDDED_BYTES_MAX ? "embstr" : "raw";
}

static void kv_object_help(struct kv_call *call) {
    static const char *const lines[] = {
        "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "ENCODING <key>",
        "    Return the kind of internal representation used in order to store the value",
        "    associated with a <key>.",
        "HELP",
        "    Prints this help.",
    };
    kv_reply_help(call, lines, ARRAY_COUNT(lines));
}

enum kv_step kv_object(struct kv_call *call) {
    const struct machine_operation *operation = call->operation;
    bool help;
    if (!kv_options_object(operation->arguments, operation->argument_count, &help, call->reply))
        return KV_DONE;
    if (help) {
        kv_object_help(call);
        return KV_DONE;
    }
    const struct kv_found found = kv_find(call, 0, 1);
    if (found.present == NULL) {
        kv_reply_null(call);
    } else if (call->reply != NULL) {
        const char *encoding = kv_encoding(found.present);
        reply_bulk(call->reply, encoding, strlen(encoding));
    }
    return KV_DONE;
}

/* ---- RANDOMKEY ------------------------------------------------------------------------------- */

/*
 * Happy path: a segment, and a slot in it, are drawn until the slot holds a key that is there. A
 * segment is drawn by the directory entry whose number is its own pattern, so every segment, and so
 * every key, is as likely as the others.
 *
 * If that does not find one soon (few keys in a table that was large, or most of them due), the
 * walk of SCAN goes on from a drawn place to the first key that is there.
 */
enum { KV_DRAWS_MAX = 64 };

/* The next number of a sequence that no other reply shows. A read has no random source of the log,
 * and leaves the state as it is: the count of draws is no part of it. */
static uint64_t kv_draw(struct kv *kv, uint64_t salt) {
    uint64_t value = kv->options.hash_seed ^ salt ^ ++kv->draws * UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

/* The partition of the number'th record of all. */
static const struct kv_table *kv_table_of_number(const struct kv *kv, uint64_t number) {
    for (uint32_t i = 0;; i++) {
        const struct kv_table *table = &kv->partition[i].space.table;
        ASSERT_HOT(i < kv->partition_count);
        if (number < table->count)
            return table;
        number -= table->count;
    }
}

/* A record of the table, or NULL if the draw hit none. */
static const struct kv_record *kv_draw_record(struct kv_call *call, const struct kv_table *table) {
    const uint64_t draw = kv_draw(call->kv, call->run->moment.clock_ms);
    const struct kv_segment *segment = kv_table_segment(table, draw);
    if ((draw & ((UINT64_C(1) << table->depth) - 1)) != segment->pattern)
        return NULL;
    const uint64_t place = (draw >> KV_DEPTH_MAX) % (KV_SEGMENT_BUCKETS * KV_BUCKET_SLOTS);
    const uint64_t slot = segment->bucket[place / KV_BUCKET_SLOTS].slot[place % KV_BUCKET_SLOTS];
    if (slot == 0)
        return NULL;
    const struct kv_record *record = kv_slot_record(slot);
    return kv_deadline_ms(record) > call->now_ms ? record : NULL;
}

/* One step of a walk over all partitions: the first record of a home that is there. Words: 1 the
 * partition, 2 the position in it, 3 how many partitions were begun. */
static const struct kv_record *kv_walk_record(struct kv_call *call) {
    const struct kv *kv = call->kv;
    uint64_t *word = call->cursor->word;
    struct kv_record *records[KV_SEGMENT_RECORDS_MAX];
    const uint32_t count = kv_table_walk(&kv->partition[word[1]].space.table, &word[2], records);
    kv_spend(call, 1 + count);
    if (word[2] == KV_POSITION_END) {
        word[1] = (word[1] + 1) % kv->partition_count;
        word[2] = 0;
        word[3]++;
    }
    for (uint32_t i = 0; i < count; i++)
        if (kv_deadline_ms(records[i]) > call->now_ms)
            return records[i];
    return NULL;
}

/* Word 0: how often it was drawn; from KV_DRAWS_MAX on it walks. */
enum kv_step kv_randomkey(struct kv_call *call) {
    struct kv *kv = call->kv;
    uint64_t *word = call->cursor->word;
    uint64_t record_count = 0;
    for (uint32_t i = 0; i < kv->partition_count; i++)
        record_count += kv->partition[i].space.table.count;
    const struct kv_record *record = NULL;
    for (; record_count > 0 && record == NULL && word[0] < KV_DRAWS_MAX; word[0]++) {
        const uint64_t draw = kv_draw(kv, call->run->moment.clock_ms);
        record = kv_draw_record(call, kv_table_of_number(kv, draw % record_count));
        kv_spend(call, 2);
        word[1] = draw >> 32 & (kv->partition_count - 1);
        word[2] = draw & (KV_POSITION_END - 1);
        word[3] = 0;
    }
    /* Once around, and the partition where it began from its beginning. */
    while (record_count > 0 && record == NULL && word[3] <= kv->partition_count) {
        if (call->run->budget == 0)
            return KV_MORE;
        record = kv_walk_record(call);
    }
    if (record == NULL)
        kv_reply_null(call);
    else if (call->reply != NULL)
        reply_bulk(call->reply, kv_key(record), kv_key_bytes(record));
    return KV_DONE;
}
