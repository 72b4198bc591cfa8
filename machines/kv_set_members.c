/*
 * Commands about the members of a set.
 *
 * Happy path: the key is found, it is a set, and each member is looked for, added or removed, in
 * the bytes of a compact set or the table of a large one (kv_member.c).
 *
 * A member that is longer than any can be (validate refuses to add it) is in no set, and is not
 * looked for: it could be as long as a value.
 */

#include "machines/kv_set.h"

static bool kv_set_has(struct kv_call *call, const struct kv_found *found, struct kv_bytes member) {
    return member.length_bytes <= KV_KEY_BYTES_MAX && kv_member_find(call, found, member, NULL);
}

/* ---- Walking --------------------------------------------------------------------------------- */

/* A place is an offset in the packed bytes + 1, so that it is not 0 again. */
static uint32_t kv_set_chunk_compact(const struct kv_record *set, uint64_t *place,
                                     struct kv_bytes members[KV_PICK_RECORDS_MAX]) {
    uint32_t offset = *place == 0 ? 0 : (uint32_t)*place - 1;
    uint32_t count = 0;
    while (count < KV_PICK_RECORDS_MAX &&
           kv_packed_next(kv_value(set), kv_value_bytes(set), &offset, &members[count]))
        count++;
    *place = offset == kv_value_bytes(set) ? KV_SET_END : (uint64_t)offset + 1;
    return count;
}

uint32_t kv_set_chunk(const struct kv_record *set, uint64_t *place,
                      struct kv_bytes members[KV_PICK_RECORDS_MAX], uint32_t *units) {
    ASSERT_HOT(kv_type_of(set) == KV_TYPE_SET && *place != KV_SET_END);
    if (!kv_is_large(set)) {
        *units = 1;
        return kv_set_chunk_compact(set, place, members);
    }
    /* A place is the number of a cell. */
    const struct kv_table *table = &kv_collection_of(set)->table;
    const struct kv_pick pick = kv_pick_make(table->count, 0);
    struct kv_record *records[KV_PICK_RECORDS_MAX];
    uint32_t budget = UINT32_MAX;
    const uint32_t count = kv_pick_cell(table, &pick, *place, records, &budget);
    *units = UINT32_MAX - budget;
    for (uint32_t i = 0; i < count; i++)
        members[i] = (struct kv_bytes){kv_key(records[i]), kv_key_bytes(records[i])};
    ++*place;
    if (*place == kv_pick_cells(&pick))
        *place = KV_SET_END;
    return count;
}

bool kv_set_reply_all(struct kv_call *call, const struct kv_record *set, bool as_array) {
    uint64_t *word = call->cursor->word;
    if (call->reply == NULL)
        return true;
    if (word[4] == 0) {
        const uint64_t count = kv_collection_count(set);
        if (as_array)
            reply_array(call->reply, count);
        else
            reply_set(call->reply, count);
        word[4] = 1;
    }
    while (word[2] != KV_SET_END) {
        struct kv_bytes members[KV_PICK_RECORDS_MAX];
        uint64_t next = word[2];
        uint32_t units;
        const uint32_t count = kv_set_chunk(set, &next, members, &units);
        for (; word[3] < count; word[3]++) {
            if (call->run->budget == 0)
                return false;
            const struct kv_bytes member = members[word[3]];
            reply_bulk(call->reply, member.data, member.length_bytes);
            kv_spend(call, member.length_bytes / KV_UNIT_BYTES);
        }
        kv_spend(call, units);
        word[2] = next;
        word[3] = 0;
        if (call->run->budget == 0 && next != KV_SET_END)
            return false;
    }
    return true;
}

enum kv_step kv_smembers(struct kv_call *call) {
    const struct kv_found found = kv_find(call, 0, 0);
    if (!kv_typed(call, &found, KV_TYPE_SET) || call->reply == NULL)
        return KV_DONE;
    if (found.present != NULL)
        return kv_set_reply_all(call, found.present, false) ? KV_DONE : KV_MORE;
    reply_set(call->reply, 0);
    return KV_DONE;
}

/* ---- Asking ---------------------------------------------------------------------------------- */

enum kv_step kv_scard(struct kv_call *call) {
    const struct kv_found found = kv_find(call, 0, 0);
    if (!kv_typed(call, &found, KV_TYPE_SET))
        return KV_DONE;
    kv_reply_integer(call, found.present != NULL ? (int64_t)kv_collection_count(found.present) : 0);
    return KV_DONE;
}

enum kv_step kv_sismember(struct kv_call *call) {
    const struct kv_found found = kv_find(call, 0, 0);
    if (!kv_typed(call, &found, KV_TYPE_SET))
        return KV_DONE;
    kv_reply_integer(call, kv_set_has(call, &found, kv_member_of(&call->operation->arguments[1])));
    return KV_DONE;
}

/* Words: 0 the member it is at, 1 whether it has begun. */
enum kv_step kv_smismember(struct kv_call *call) {
    const struct machine_operation *operation = call->operation;
    uint64_t *word = call->cursor->word;
    const struct kv_found found = kv_find(call, 0, 0);
    if (!kv_typed(call, &found, KV_TYPE_SET) || call->reply == NULL)
        return KV_DONE;
    const uint32_t count = operation->argument_count - 1;
    if (word[1] == 0)
        reply_array(call->reply, count);
    word[1] = 1;
    for (; word[0] < count; word[0]++) {
        if (call->run->budget == 0)
            return KV_MORE;
        const struct kv_bytes member = kv_member_of(&operation->arguments[1 + word[0]]);
        kv_reply_integer(call, kv_set_has(call, &found, member));
        kv_spend(call, 1 + member.length_bytes / KV_UNIT_BYTES);
    }
    return KV_DONE;
}

/* ---- Changing -------------------------------------------------------------------------------- */

/* Adds a member that is not there. */
static void kv_set_add(struct kv_call *call, struct kv_found *found, struct kv_bytes member) {
    bool created;
    const enum kv_step step = kv_member_put(call, found, KV_TYPE_SET, member, NULL, &created);
    ASSERT(step == KV_DONE && created);
}

/* Words: 0 the member it is at, 1 how many were added. */
enum kv_step kv_sadd(struct kv_call *call) {
    const struct machine_operation *operation = call->operation;
    uint64_t *word = call->cursor->word;
    struct kv_found found = kv_find(call, 0, 0);
    if (!kv_typed(call, &found, KV_TYPE_SET))
        return KV_DONE;
    for (; word[0] + 1 < operation->argument_count; word[0]++) {
        const struct kv_bytes member = kv_member_of(&operation->arguments[1 + word[0]]);
        if (call->run->budget == 0 || kv_protect_member(call, &found, member) == KV_MORE)
            return KV_MORE;
        if (!kv_set_has(call, &found, member)) {
            kv_set_add(call, &found, member);
            word[1]++;
        }
        kv_spend(call, 1 + member.length_bytes / KV_UNIT_BYTES);
    }
    kv_reply_integer(call, (int64_t)word[1]);
    return KV_DONE;
}

/* Words: 0 the member it is at, 1 how many were removed. */
enum kv_step kv_srem(struct kv_call *call) {
    const struct machine_operation *operation = call->operation;
    uint64_t *word = call->cursor->word;
    struct kv_found found = kv_find(call, 0, 0);
    if (!kv_typed(call, &found, KV_TYPE_SET))
        return KV_DONE;
    for (; found.present != NULL && word[0] + 1 < operation->argument_count; word[0]++) {
        const struct kv_bytes member = kv_member_of(&operation->arguments[1 + word[0]]);
        if (call->run->budget == 0 || kv_protect_member(call, &found, member) == KV_MORE)
            return KV_MORE;
        word[1] += kv_member_remove(call, &found, member);
        kv_spend(call, 1 + member.length_bytes / KV_UNIT_BYTES);
    }
    kv_reply_integer(call, (int64_t)word[1]);
    return KV_DONE;
}

enum kv_step kv_smove(struct kv_call *call) {
    struct kv_found source = kv_find(call, 0, 0);
    struct kv_found target = kv_find(call, 1, 1);
    if (source.present == NULL) {
        kv_reply_integer(call, 0);
        return KV_DONE;
    }
    if (!kv_typed(call, &source, KV_TYPE_SET) || !kv_typed(call, &target, KV_TYPE_SET))
        return KV_DONE;
    const struct kv_bytes member = kv_member_of(&call->operation->arguments[2]);
    const bool there = kv_set_has(call, &source, member);
    if (!there || source.present == target.present) {
        kv_reply_integer(call, there);
        return KV_DONE;
    }
    if (kv_protect_member(call, &source, member) == KV_MORE ||
        kv_protect_member(call, &target, member) == KV_MORE)
        return KV_MORE;
    const bool removed = kv_member_remove(call, &source, member);
    ASSERT(removed);
    target = kv_find(call, 1, 1); /* the table may have been merged */
    if (!kv_set_has(call, &target, member))
        kv_set_add(call, &target, member);
    kv_reply_integer(call, 1);
    return KV_DONE;
}

enum kv_step kv_sscan(struct kv_call *call) {
    return kv_scan_elements(call, KV_TYPE_SET);
}
