/*
 * SINTER, SUNION and SDIFF, what stores their results, and SINTERCARD.
 *
 * Happy path: all keys are looked at once, whether they are sets; then the members of one source
 * (of the smallest, of each, of the first) are walked, in a canonical order (kv_set_chunk), and the
 * others are asked for each. What passes is replied, or counted, or added to a collection that is
 * no key's yet. That one becomes the destination's value in one step, at the end, so the
 * destination may be a source, and nothing of a half-built result is seen.
 *
 * Asking some other sources is cheaper than keeping what was seen. But it is linear in their
 * number; with many of them, SUNION keeps what it has passed, and SDIFF first gathers what it must
 * not pass if that is less than asking. Where a result is stored, SUNION asks that.
 *
 * Collections that were needed on the way, and a result that is short enough to be compact, are
 * given back before the command ends.
 *
 * Words of the cursor:
 *
 *     0  the phase
 *     1  the source that is looked at, or walked
 *     2  the place in it; while keys are looked at: whether one was absent
 *     3  the member in its chunk
 *     4  the source that is asked; while keys are looked at: the smallest so far
 *     5  how many members have passed; while keys are looked at: how many members there are
 *     6  what was seen, a collection, or 0
 *     7  the mark of the reply; or the result, a collection, or 0
 */

#include "machines/kv_set.h"

enum kv_set_phase { KV_SET_LOOK, KV_SET_GATHER, KV_SET_WALK, KV_SET_STORE, KV_SET_GIVE };

enum kv_set_operation { KV_SET_INTER, KV_SET_UNION, KV_SET_DIFF };

/* What a command asks for. */
struct kv_algebra {
    enum kv_set_operation operation;
    bool stores;
    bool counts;
    uint32_t first_key;      /* of the sources among the keys */
    uint32_t first_argument; /* and among the arguments */
    uint32_t source_count;
    uint64_t limit; /* of what is counted; UINT64_MAX: none */
};

static struct kv_found kv_source(const struct kv_call *call, const struct kv_algebra *algebra,
                                 uint64_t source) {
    ASSERT_HOT(source < algebra->source_count);
    return kv_find(call, algebra->first_key + (uint32_t)source,
                   algebra->first_argument + (uint32_t)source);
}

/* ---- Collections on the way ------------------------------------------------------------------ */

static struct kv_collection *kv_collection_word(uint64_t word) {
    return (struct kv_collection *)(uintptr_t)word;
}

/* The first key, a destination if there is one, without looking for it. */
static struct kv_found kv_target(const struct kv_call *call) {
    const uint64_t hash = call->operation->key_hashes[0];
    const uint32_t bits = call->kv->options.partition_bits;
    return (struct kv_found){.partition = &call->kv->partition[machine_partition(hash, bits)],
                             .hash = hash};
}

/* They lie in the memory of its partition. */
static struct kv_space *kv_way_space(const struct kv_call *call) {
    return &kv_target(call).partition->space;
}

static bool kv_way_has(const struct kv_call *call, uint64_t word, struct kv_bytes member) {
    if (word == 0)
        return false;
    const uint64_t hash =
        machine_key_hash(member.data, member.length_bytes, call->kv->options.hash_seed);
    return kv_table_find(&kv_collection_word(word)->table, hash, member.data,
                         member.length_bytes) != NULL;
}

static void kv_way_make(const struct kv_call *call, uint64_t *word) {
    *word = (uintptr_t)kv_collection_make(&kv_way_space(call)->memory, KV_TYPE_SET);
}

static void kv_way_add(struct kv_call *call, uint64_t *word, struct kv_bytes member) {
    struct memory *memory = &kv_way_space(call)->memory;
    const struct kv_element element = {.first = member};
    uint8_t *place;
    if (*word == 0)
        kv_way_make(call, word);
    kv_spend(call,
             kv_collection_add(call->kv, memory, kv_collection_word(*word), &element, &place));
}

/* Gives one back, if there is one. */
static enum kv_step kv_way_give(struct kv_call *call, uint64_t *word) {
    if (*word != 0 && kv_collection_give(&kv_way_space(call)->memory, kv_collection_word(*word),
                                         &call->run->budget))
        return KV_MORE;
    *word = 0;
    return KV_DONE;
}

/* ---- Looking at the keys --------------------------------------------------------------------- */

/* Whether it is less to gather the others' members than to ask the others for each of the first's,
 * as Redis decides it. */
static bool kv_gathers(const struct kv_call *call, const struct kv_algebra *algebra,
                       uint64_t member_count) {
    if (algebra->operation != KV_SET_DIFF || algebra->source_count <= KV_ASKED_MAX)
        return false;
    const struct kv_found first = kv_source(call, algebra, 0);
    const uint64_t asked = kv_collection_count(first.present) * algebra->source_count / 2;
    return member_count < asked;
}

/* Decides what comes next, when all keys are absent or sets. */
static void kv_looked(struct kv_call *call, const struct kv_algebra *algebra) {
    uint64_t *word = call->cursor->word;
    const bool one_absent = word[2] != 0;
    const uint64_t smallest = word[4];
    const uint64_t member_count = word[5];
    word[1] = algebra->operation == KV_SET_INTER ? smallest : 0;
    word[2] = word[3] = word[4] = word[5] = 0;
    word[0] = KV_SET_WALK;
    if (call->reply != NULL && !algebra->stores && !algebra->counts)
        word[7] = (uintptr_t)reply_set_begin(call->reply).position;
    const bool empty =
        algebra->operation == KV_SET_INTER
            ? one_absent
            : algebra->operation == KV_SET_DIFF && kv_source(call, algebra, 0).present == NULL;
    if (empty) {
        word[1] = algebra->source_count;
        return;
    }
    if (kv_gathers(call, algebra, member_count)) {
        kv_way_make(call, &word[6]);
        word[0] = KV_SET_GATHER;
        word[1] = 1;
    }
}

/* False: out of budget, or an error has been written and *failed is set. */
static bool kv_look(struct kv_call *call, const struct kv_algebra *algebra, bool *failed) {
    uint64_t *word = call->cursor->word;
    uint64_t smallest_count = UINT64_MAX;
    if (word[1] > 0) {
        const struct kv_found smallest = kv_source(call, algebra, word[4]);
        if (smallest.present != NULL)
            smallest_count = kv_collection_count(smallest.present);
    }
    for (; word[1] < algebra->source_count; word[1]++) {
        if (call->run->budget == 0)
            return false;
        const struct kv_found source = kv_source(call, algebra, word[1]);
        if (!kv_typed(call, &source, KV_TYPE_SET)) {
            *failed = true;
            return false;
        }
        const uint64_t count = source.present != NULL ? kv_collection_count(source.present) : 0;
        word[2] |= source.present == NULL;
        word[5] += count;
        if (count < smallest_count) {
            smallest_count = count;
            word[4] = word[1];
        }
        kv_spend(call, 1);
    }
    kv_looked(call, algebra);
    return true;
}

/* ---- Members, one by one --------------------------------------------------------------------- */

/* Asks the other sources for a member. Returns false in the middle of that, out of budget. */
static bool kv_ask(struct kv_call *call, const struct kv_algebra *algebra, struct kv_bytes member,
                   bool *passes) {
    uint64_t *word = call->cursor->word;
    const bool keeps = algebra->operation == KV_SET_UNION &&
                       (algebra->stores || algebra->source_count > KV_ASKED_MAX);
    *passes = false;
    if (keeps || word[6] != 0) {
        *passes = !kv_way_has(call, algebra->stores && keeps ? word[7] : word[6], member);
        return true;
    }
    const uint64_t end = algebra->operation == KV_SET_UNION ? word[1] : algebra->source_count;
    for (; word[4] < end; word[4]++) {
        if (word[4] == word[1])
            continue;
        if (call->run->budget == 0)
            return false;
        const struct kv_found other = kv_source(call, algebra, word[4]);
        const bool there = kv_member_find(call, &other, member, NULL);
        kv_spend(call, 1);
        if (there != (algebra->operation == KV_SET_INTER)) {
            word[4] = 0;
            return true;
        }
    }
    word[4] = 0;
    *passes = true;
    return true;
}

/* What is done with a member that has passed. */
static void kv_passed(struct kv_call *call, const struct kv_algebra *algebra,
                      struct kv_bytes member) {
    uint64_t *word = call->cursor->word;
    word[5]++;
    if (algebra->counts)
        return;
    if (algebra->stores) {
        const struct kv_found target = kv_target(call);
        const struct kv_bytes none = {NULL, 0};
        kv_digest_element(call, &target, KV_CHANGE_MEMBER_ADD, 0, member, none);
        kv_way_add(call, &word[7], member);
    } else {
        if (algebra->operation == KV_SET_UNION && algebra->source_count > KV_ASKED_MAX)
            kv_way_add(call, &word[6], member);
        reply_bulk(call->reply, member.data, member.length_bytes);
    }
    kv_spend(call, 1 + member.length_bytes / KV_UNIT_BYTES);
}

/* One member of the source that is walked. False: out of budget. */
static bool kv_walked(struct kv_call *call, const struct kv_algebra *algebra,
                      struct kv_bytes member) {
    uint64_t *word = call->cursor->word;
    if (word[0] == KV_SET_GATHER) {
        if (!kv_way_has(call, word[6], member))
            kv_way_add(call, &word[6], member);
        kv_spend(call, 1);
        return true;
    }
    bool passes;
    if (!kv_ask(call, algebra, member, &passes))
        return false;
    if (passes)
        kv_passed(call, algebra, member);
    kv_spend(call, 1);
    return true;
}

/* Walks the members of a source that is there. */
static enum kv_step kv_walk_source(struct kv_call *call, const struct kv_algebra *algebra,
                                   const struct kv_record *set) {
    uint64_t *word = call->cursor->word;
    while (word[2] != KV_SET_END) {
        struct kv_bytes members[KV_PICK_RECORDS_MAX];
        uint64_t next = word[2];
        uint32_t units;
        if (call->run->budget == 0)
            return KV_MORE;
        const uint32_t count = kv_set_chunk(set, &next, members, &units);
        for (; word[3] < count; word[3]++) {
            if (call->run->budget == 0 || !kv_walked(call, algebra, members[word[3]]))
                return KV_MORE;
            if (word[5] == algebra->limit) {
                word[2] = KV_SET_END;
                return KV_DONE;
            }
        }
        kv_spend(call, units);
        word[2] = next;
        word[3] = 0;
    }
    return KV_DONE;
}

/* Walks the sources of a phase: all that are left, or one. */
static enum kv_step kv_walk_sources(struct kv_call *call, const struct kv_algebra *algebra) {
    uint64_t *word = call->cursor->word;
    const bool all = word[0] == KV_SET_GATHER || algebra->operation == KV_SET_UNION;
    while (word[1] < algebra->source_count) {
        if (call->run->budget == 0)
            return KV_MORE;
        const struct kv_found source = kv_source(call, algebra, word[1]);
        if (source.present != NULL && kv_walk_source(call, algebra, source.present) == KV_MORE)
            return KV_MORE;
        kv_spend(call, 1);
        word[1] = all ? word[1] + 1 : algebra->source_count;
        word[2] = word[3] = 0;
    }
    if (word[0] == KV_SET_GATHER) {
        word[0] = KV_SET_WALK;
        word[1] = 0;
        return kv_walk_sources(call, algebra);
    }
    word[0] = KV_SET_STORE;
    return KV_DONE;
}

/* ---- The end --------------------------------------------------------------------------------- */

/* The members of a collection that is small, in a canonical order. */
static uint32_t kv_way_members(const struct kv_collection *collection,
                               struct kv_bytes members[KV_COMPACT_COUNT_MAX]) {
    const struct kv_pick pick = kv_pick_make(collection->table.count, 0);
    uint32_t count = 0;
    uint32_t budget = 0;
    for (uint64_t cell = 0; cell < kv_pick_cells(&pick); cell++) {
        struct kv_record *records[KV_PICK_RECORDS_MAX];
        const uint32_t there = kv_pick_cell(&collection->table, &pick, cell, records, &budget);
        for (uint32_t i = 0; i < there; i++) {
            ASSERT(count < KV_COMPACT_COUNT_MAX);
            members[count++] = (struct kv_bytes){kv_key(records[i]), kv_key_bytes(records[i])};
        }
    }
    ASSERT(count == collection->table.count);
    return count;
}

/* Gives the destination the result. */
static enum kv_step kv_store_result(struct kv_call *call) {
    uint64_t *word = call->cursor->word;
    struct kv_found target = kv_find(call, 0, 0);
    if (kv_protect(call, &target) == KV_MORE)
        return KV_MORE;
    if (target.present != NULL)
        kv_store_remove(call, &target);
    struct kv_collection *result = kv_collection_word(word[7]);
    if (result != NULL && kv_compact_takes(result->table.count, result->packed_bytes)) {
        struct kv_bytes members[KV_COMPACT_COUNT_MAX];
        const uint32_t count = kv_way_members(result, members);
        kv_compact_splice(call, &target, KV_TYPE_SET, 0, 0, members, count);
        kv_spend(call, count);
    } else if (result != NULL) {
        kv_collection_install(call, &target, result, KV_DEADLINE_NONE);
        kv_collection_changed(call, &target);
        word[7] = 0;
    }
    return KV_DONE;
}

/* Completes the reply. Word 7 is a result that is to be given back, or 0, from then on. */
static void kv_set_reply_end(struct kv_call *call, const struct kv_algebra *algebra) {
    uint64_t *word = call->cursor->word;
    if (algebra->stores || algebra->counts) {
        kv_reply_integer(call, (int64_t)word[5]);
    } else {
        const struct reply_mark mark = {(uint8_t *)(uintptr_t)word[7], 0};
        reply_array_end(call->reply, mark, word[5]);
        word[7] = 0;
    }
}

static enum kv_step kv_set_algebra(struct kv_call *call, const struct kv_algebra *algebra) {
    uint64_t *word = call->cursor->word;
    bool failed = false;
    if (!algebra->stores && call->reply == NULL)
        return KV_DONE;
    if (word[0] == KV_SET_LOOK && !kv_look(call, algebra, &failed))
        return failed ? KV_DONE : KV_MORE;
    if (word[0] < KV_SET_STORE && kv_walk_sources(call, algebra) == KV_MORE)
        return KV_MORE;
    if (word[0] == KV_SET_STORE) {
        if (algebra->stores && kv_store_result(call) == KV_MORE)
            return KV_MORE;
        kv_set_reply_end(call, algebra);
        word[0] = KV_SET_GIVE;
    }
    if (kv_way_give(call, &word[7]) == KV_MORE)
        return KV_MORE;
    return kv_way_give(call, &word[6]);
}

/* ---- Commands -------------------------------------------------------------------------------- */

static enum kv_step kv_set_reply(struct kv_call *call, enum kv_set_operation operation) {
    const struct kv_algebra algebra = {
        .operation = operation,
        .source_count = call->operation->key_count,
        .limit = UINT64_MAX,
    };
    return kv_set_algebra(call, &algebra);
}

static enum kv_step kv_set_store(struct kv_call *call, enum kv_set_operation operation) {
    const struct kv_algebra algebra = {
        .operation = operation,
        .stores = true,
        .first_key = 1,
        .first_argument = 1,
        .source_count = call->operation->key_count - 1,
        .limit = UINT64_MAX,
    };
    return kv_set_algebra(call, &algebra);
}

enum kv_step kv_sinter(struct kv_call *call) {
    return kv_set_reply(call, KV_SET_INTER);
}

enum kv_step kv_sunion(struct kv_call *call) {
    return kv_set_reply(call, KV_SET_UNION);
}

enum kv_step kv_sdiff(struct kv_call *call) {
    return kv_set_reply(call, KV_SET_DIFF);
}

enum kv_step kv_sinterstore(struct kv_call *call) {
    return kv_set_store(call, KV_SET_INTER);
}

enum kv_step kv_sunionstore(struct kv_call *call) {
    return kv_set_store(call, KV_SET_UNION);
}

enum kv_step kv_sdiffstore(struct kv_call *call) {
    return kv_set_store(call, KV_SET_DIFF);
}

enum kv_step kv_sintercard(struct kv_call *call) {
    const struct machine_operation *operation = call->operation;
    struct kv_algebra algebra = {
        .operation = KV_SET_INTER,
        .counts = true,
        .first_argument = 1,
    };
    if (!kv_options_sintercard(operation->arguments, operation->argument_count,
                               &algebra.source_count, &algebra.limit, call->reply))
        return KV_DONE;
    ASSERT(algebra.source_count == operation->key_count);
    if (algebra.limit == 0)
        algebra.limit = UINT64_MAX;
    return kv_set_algebra(call, &algebra);
}
