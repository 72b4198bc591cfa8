/*
 * One sorted set, compact or large.
 *
 * Compact: members and scores by turns, in order, in the key's record. What is looked for is walked
 * to; a member that gets another score is cut out and put in again.
 *
 * Large: a table of members, whose records hold the scores, and a tree over these records in order.
 * A member that gets another score keeps its record and changes its place in the tree. Every
 * operation is O(log n).
 */

#include "machines/kv_zset.h"

int kv_member_compare(struct kv_bytes a, struct kv_bytes b) {
    const uint32_t common = a.length_bytes < b.length_bytes ? a.length_bytes : b.length_bytes;
    const int order = common == 0 ? 0 : memcmp(a.data, b.data, common);
    if (order != 0)
        return order;
    return a.length_bytes < b.length_bytes ? -1 : a.length_bytes > b.length_bytes;
}

static uint64_t zset_order(double score) {
    uint64_t bits;
    ASSERT_HOT(!isnan(score));
    memcpy(&bits, &score, sizeof(bits));
    return kv_score_order(bits);
}

static struct kv_bytes zset_record_member(const struct kv_record *record) {
    return (struct kv_bytes){kv_key(record), kv_key_bytes(record)};
}

static struct kv_record *zset_entry_record(const struct kv_tree_entry *entry) {
    return (struct kv_record *)(uintptr_t)entry->word[1];
}

/* What a member and its score are in packed form. */
static uint32_t zset_packed_bytes(struct kv_bytes member) {
    return (uint32_t)(kv_packed_element_bytes(member.length_bytes) +
                      kv_packed_element_bytes(KV_SCORE_BYTES));
}

/* The pair at *offset, which moves behind it. */
static void zset_pair(const uint8_t *bytes, uint32_t length_bytes, uint32_t *offset,
                      struct kv_bytes *member, const uint8_t **score) {
    struct kv_bytes score_bytes;
    const bool paired = kv_packed_next(bytes, length_bytes, offset, member) &&
                        kv_packed_next(bytes, length_bytes, offset, &score_bytes);
    ASSERT_HOT(paired && score_bytes.length_bytes == KV_SCORE_BYTES);
    *score = paired ? score_bytes.data : NULL;
}

/* ---- Asking ---------------------------------------------------------------------------------- */

void kv_zset_open_large(struct kv_zset_view *view, const struct kv_collection *large) {
    ASSERT(large->type == KV_TYPE_ZSET && large->tree.count == large->table.count);
    view->large = large;
    view->bytes = NULL;
    view->length_bytes = 0;
    view->count = large->tree.count;
    view->run = (struct kv_tree_run){NULL, 0, 0};
}

void kv_zset_open(struct kv_zset_view *view, const struct kv_record *record) {
    if (record != NULL && kv_is_large(record)) {
        kv_zset_open_large(view, kv_collection_of(record));
        return;
    }
    view->large = NULL;
    view->bytes = record != NULL ? kv_value(record) : NULL;
    view->length_bytes = record != NULL ? kv_value_bytes(record) : 0;
    view->count = 0;
    uint32_t offset = 0;
    view->offsets[0] = 0;
    while (offset < view->length_bytes) {
        struct kv_bytes member;
        const uint8_t *score;
        ASSERT_HOT(view->count < KV_COMPACT_COUNT_MAX);
        zset_pair(view->bytes, view->length_bytes, &offset, &member, &score);
        view->offsets[++view->count] = (uint16_t)offset;
    }
}

void kv_zset_at(struct kv_zset_view *view, uint64_t rank, struct kv_zmember *at) {
    ASSERT_HOT(rank < view->count);
    if (view->large != NULL) {
        if (rank - view->run.rank >= view->run.count)
            view->run = kv_tree_run(&view->large->tree, rank);
        const struct kv_record *record =
            zset_entry_record(&view->run.entries[rank - view->run.rank]);
        at->member = zset_record_member(record);
        at->score = kv_score_get(kv_value(record));
        return;
    }
    uint32_t offset = view->offsets[rank];
    const uint8_t *score;
    zset_pair(view->bytes, view->length_bytes, &offset, &at->member, &score);
    at->score = kv_score_get(score);
}

/* What is sought: a score, and a member of it. */
struct zset_sought {
    uint64_t order;
    const struct kv_bytes *member; /* NULL: by the score alone */
    bool beyond;                   /* without a member: those of the score come before, too */
};

static bool zset_is_before(const struct zset_sought *sought, uint64_t order,
                           struct kv_bytes member) {
    if (order != sought->order)
        return order < sought->order;
    if (sought->member == NULL)
        return sought->beyond;
    return kv_member_compare(member, *sought->member) < 0;
}

static bool zset_entry_is_before(const void *context, const struct kv_tree_entry *entry) {
    const struct zset_sought *sought = context;
    if (entry->word[0] != sought->order || sought->member == NULL)
        return zset_is_before(sought, entry->word[0], (struct kv_bytes){NULL, 0});
    return zset_is_before(sought, entry->word[0], zset_record_member(zset_entry_record(entry)));
}

static uint64_t zset_rank_sought(const struct kv_zset_view *view,
                                 const struct zset_sought *sought) {
    if (view->large != NULL)
        return kv_tree_rank(&view->large->tree, zset_entry_is_before, sought);
    uint32_t offset = 0;
    for (uint64_t rank = 0; rank < view->count; rank++) {
        struct kv_bytes member;
        const uint8_t *score;
        zset_pair(view->bytes, view->length_bytes, &offset, &member, &score);
        if (!zset_is_before(sought, kv_score_order(bytes_get_u64(score)), member))
            return rank;
    }
    return view->count;
}

uint64_t kv_zset_rank_score(const struct kv_zset_view *view, double score, bool beyond) {
    const struct zset_sought sought = {zset_order(score), NULL, beyond};
    return zset_rank_sought(view, &sought);
}

uint64_t kv_zset_rank(const struct kv_zset_view *view, struct kv_bytes member, double score) {
    const struct zset_sought sought = {zset_order(score), &member, false};
    return zset_rank_sought(view, &sought);
}

bool kv_zset_score(struct kv_call *call, const struct kv_found *found, struct kv_bytes member,
                   double *score) {
    struct kv_bytes bytes;
    if (!kv_member_find(call, found, member, &bytes))
        return false;
    ASSERT_HOT(bytes.length_bytes == KV_SCORE_BYTES);
    *score = kv_score_get(bytes.data);
    return true;
}

bool kv_zset_large_score(const struct kv *kv, const struct kv_collection *large,
                         struct kv_bytes member, double *score) {
    const uint64_t hash = machine_key_hash(member.data, member.length_bytes, kv->options.hash_seed);
    const uint64_t *slot = kv_table_find(&large->table, hash, member.data, member.length_bytes);
    if (slot == NULL)
        return false;
    *score = kv_score_get(kv_value(kv_slot_record(*slot)));
    return true;
}

/* ---- Putting --------------------------------------------------------------------------------- */

static uint64_t zset_tree_rank(const struct kv_collection *large, struct kv_bytes member,
                               double score) {
    const struct zset_sought sought = {zset_order(score), &member, false};
    return kv_tree_rank(&large->tree, zset_entry_is_before, &sought);
}

uint32_t kv_zset_large_put(struct kv *kv, struct memory *memory, struct kv_collection *large,
                           struct kv_bytes member, double score, const double *old) {
    const uint64_t hash = machine_key_hash(member.data, member.length_bytes, kv->options.hash_seed);
    struct kv_record *record;
    uint32_t units = 3; /* table, tree, and the tree again: a line or two at each level */
    if (old != NULL) {
        const uint64_t *slot = kv_table_find(&large->table, hash, member.data, member.length_bytes);
        ASSERT(slot != NULL);
        record = kv_slot_record(*slot);
        const uint64_t rank = zset_tree_rank(large, member, *old);
        ASSERT_HOT(zset_entry_record(kv_tree_at(&large->tree, rank)) == record);
        kv_tree_remove(&large->tree, memory, rank, 1);
    } else {
        record = kv_record_make(kv, memory, hash, 0, false, member.length_bytes, KV_SCORE_BYTES);
        memcpy(record->bytes, member.data, member.length_bytes);
        units += kv_table_insert(&large->table, memory, hash, record);
        units += member.length_bytes / KV_UNIT_BYTES;
        large->packed_bytes += zset_packed_bytes(member);
    }
    memcpy(kv_value_place(record), &score, sizeof(score)); /* of 0, with its sign */
    const struct kv_tree_entry entry = {{zset_order(score), (uintptr_t)record}};
    kv_tree_insert(&large->tree, memory, zset_tree_rank(large, zset_record_member(record), score),
                   &entry);
    ASSERT_HOT(large->tree.count == large->table.count);
    return units;
}

/* Cuts the pair of a rank out of a compact set, which may be left empty. */
static void zset_compact_cut(struct kv_call *call, struct kv_found *found,
                             const struct kv_zset_view *view, uint64_t rank) {
    ASSERT_HOT(view->large == NULL && rank < view->count);
    kv_compact_splice(call, found, KV_TYPE_ZSET, view->offsets[rank],
                      (uint32_t)view->offsets[rank + 1] - view->offsets[rank], NULL, 0);
}

/* False: it would not be compact any more, and nothing was done. */
static bool zset_compact_put(struct kv_call *call, struct kv_found *found, struct kv_bytes member,
                             double score, const double *old) {
    struct kv_zset_view view;
    uint8_t bytes[KV_SCORE_BYTES];
    kv_zset_open(&view, found->present);
    if (old != NULL) {
        zset_compact_cut(call, found, &view, kv_zset_rank(&view, member, *old));
        kv_zset_open(&view, found->present);
        kv_spend(call, 2 * view.length_bytes / KV_UNIT_BYTES);
    } else if (!kv_compact_takes(view.count + 1,
                                 (uint64_t)view.length_bytes + zset_packed_bytes(member))) {
        return false;
    }
    kv_score_put(bytes, score);
    const struct kv_bytes pieces[2] = {member, {bytes, sizeof(bytes)}};
    kv_compact_splice(call, found, KV_TYPE_ZSET, view.offsets[kv_zset_rank(&view, member, score)],
                      0, pieces, 2);
    return true;
}

void kv_zset_put(struct kv_call *call, struct kv_found *found, struct kv_bytes member, double score,
                 const double *old) {
    uint8_t bytes[KV_SCORE_BYTES];
    ASSERT(member.length_bytes <= KV_KEY_BYTES_MAX);
    ASSERT_HOT(old == NULL || found->present != NULL);
    kv_score_put(bytes, score);
    kv_digest_element(call, found, KV_CHANGE_SCORE_PUT, 0, member,
                      (struct kv_bytes){bytes, sizeof(bytes)});
    if (found->present == NULL || !kv_is_large(found->present)) {
        if (zset_compact_put(call, found, member, score, old))
            return;
        kv_collection_open(call, found, KV_TYPE_ZSET);
    }
    struct kv_collection *large = kv_collection_of(found->present);
    kv_spend(call, kv_zset_large_put(call->kv, &found->partition->space.memory, large, member,
                                     kv_score_get(bytes), old));
    kv_collection_changed(call, found);
}

/* ---- Removing -------------------------------------------------------------------------------- */

static void zset_large_remove(struct kv_call *call, struct kv_found *found, uint64_t rank) {
    struct memory *memory = &found->partition->space.memory;
    struct kv_collection *large = kv_collection_of(found->present);
    struct kv_record *record = zset_entry_record(kv_tree_at(&large->tree, rank));
    const struct kv_bytes member = zset_record_member(record);
    const uint64_t hash =
        machine_key_hash(member.data, member.length_bytes, call->kv->options.hash_seed);
    large->packed_bytes -= zset_packed_bytes(member);
    kv_tree_remove(&large->tree, memory, rank, 1);
    kv_table_remove(&large->table, memory, kv_table_slot_of(&large->table, hash, record));
    kv_record_free(memory, record);
    kv_spend(call, 3);
    if (large->table.count == 0)
        kv_collection_remove(call, found);
    else
        kv_collection_changed(call, found);
}

void kv_zset_remove(struct kv_call *call, struct kv_found *found, uint64_t rank) {
    struct kv_zset_view view;
    struct kv_zmember at;
    kv_zset_open(&view, found->present);
    kv_zset_at(&view, rank, &at);
    kv_spend(call, view.length_bytes / KV_UNIT_BYTES);
    kv_digest_element(call, found, KV_CHANGE_SCORE_REMOVE, 0, at.member,
                      (struct kv_bytes){NULL, 0});
    if (view.large != NULL)
        zset_large_remove(call, found, rank);
    else if (view.count == 1)
        kv_collection_remove(call, found);
    else
        zset_compact_cut(call, found, &view, rank);
}
