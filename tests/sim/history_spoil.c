/*
 * Spoiling: each way picks a random place, and looks on from there for one that suits. A place is
 * chosen so that the history is wrong, or nearly always: what else might explain it is said there.
 */

#include "tests/sim/history_maker.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tests/sim/history_maker_internal.h"

static bool texts_equal(const struct kv_model_text *a, const struct kv_model_text *b) {
    return a->length == b->length && memcmp(a->data, b->data, a->length) == 0;
}

static bool name_is(const struct made_operation *operation, const char *name) {
    return strcmp(operation->words[0], name) == 0;
}

static bool same_key(const struct made_operation *a, const struct made_operation *b) {
    return strcmp(a->words[1], b->words[1]) == 0;
}

/* Whether the operation may change the key of the other one. */
static bool changes_key(const struct made_operation *write, const struct made_operation *other) {
    return write->is_write &&
           (same_key(write, other) ||
            (name_is(write, "MSET") && strcmp(write->words[3], other->words[1]) == 0));
}

static void reply_set(struct made_operation *operation, const char *data, size_t length) {
    operation->is_renamed = true;
    operation->reply.length = 0;
    kv_model_text_append(&operation->reply, data, length);
}

/* The position-th of those that happened, counted from a random one on. */
static uint32_t place(const struct made *made, uint32_t begin, uint32_t position) {
    return (begin + position) % made->happened_count;
}

static struct made_operation *at(struct made *made, uint32_t place) {
    return &made->operations[made->happened[place]];
}

/* A plain SET, acknowledged, that changes its key. */
static bool is_set(const struct made_operation *operation) {
    return name_is(operation, "SET") && operation->word_count == 3 &&
           operation->outcome == HISTORY_OK;
}

static bool is_get(const struct made_operation *operation) {
    return name_is(operation, "GET") && operation->outcome == HISTORY_OK;
}

/* A read gives the value, not null, that was there before a SET that had returned before the read
 * was invoked. The old value's own write may overlap that SET, and then nothing is wrong but that
 * the log has them the other way round. */
static bool stale_read(struct made *made, uint32_t begin) {
    for (uint32_t i = 0; i < made->happened_count; i++) {
        struct made_operation *read = at(made, place(made, begin, i));
        if (!is_get(read))
            continue;
        for (uint32_t j = place(made, begin, i); j-- > 0;) {
            struct made_operation *write = at(made, j);
            if (!is_set(write) || !same_key(write, read) ||
                write->returned_ns >= read->invoked_ns ||
                texts_equal(&write->before, &read->reply) || write->before.data[1] == '-')
                continue;
            reply_set(read, write->before.data, write->before.length);
            return true;
        }
    }
    return false;
}

/* Only a later read tells a client; in the log it is always missing. */
static bool lost_update(struct made *made, uint32_t begin) {
    for (uint32_t i = 0; i < made->happened_count; i++) {
        const uint32_t chosen = place(made, begin, i);
        struct made_operation *write = at(made, chosen);
        if (!is_set(write))
            continue;
        for (uint32_t j = chosen + 1; j < made->happened_count; j++) {
            struct made_operation *next = at(made, j);
            if (changes_key(next, write))
                break;
            if (!is_get(next) || !same_key(write, next) || next->invoked_ns <= write->returned_ns)
                continue;
            write->is_lost = true;
            write->is_renamed = true;
            made_execute(made);
            return true;
        }
    }
    return false;
}

static bool same_number(struct made *made, uint32_t begin) {
    for (uint32_t i = 0; i < made->happened_count; i++) {
        const uint32_t chosen = place(made, begin, i);
        struct made_operation *one = at(made, chosen);
        if (!name_is(one, "INCR") || one->outcome != HISTORY_OK)
            continue;
        for (uint32_t j = chosen + 1; j < made->happened_count; j++) {
            struct made_operation *other = at(made, j);
            if (!same_key(one, other) || !other->is_write)
                continue;
            if (!name_is(other, "INCR") || other->outcome != HISTORY_OK)
                break;
            reply_set(other, one->reply.data, one->reply.length);
            return true;
        }
    }
    return false;
}

/* Two of a connection, of different commands, so that the replies' types or values differ. */
static bool swapped_replies(struct made *made, uint32_t begin) {
    for (uint32_t i = 0; i < made->happened_count; i++) {
        const uint32_t chosen = place(made, begin, i);
        struct made_operation *one = at(made, chosen);
        for (uint32_t j = chosen + 1; one->outcome == HISTORY_OK && j < made->happened_count; j++) {
            struct made_operation *other = at(made, j);
            if (other->connection != one->connection || other->outcome != HISTORY_OK)
                continue;
            if (texts_equal(&one->reply, &other->reply))
                break;
            const struct kv_model_text reply = one->reply;
            one->reply = other->reply;
            other->reply = reply;
            one->is_renamed = true;
            other->is_renamed = true;
            return true;
        }
    }
    return false;
}

static bool invented_value(struct made *made, uint32_t begin) {
    for (uint32_t i = 0; i < made->happened_count; i++) {
        struct made_operation *read = at(made, place(made, begin, i));
        if (!is_get(read))
            continue;
        reply_set(read, "$7\r\nnowhere\r\n", 13);
        return true;
    }
    return false;
}

static void reply_set_bulk(struct made_operation *read, const char *value) {
    struct kv_model_text text = {0};
    history_print(&text, "$%zu\r\n%s\r\n", strlen(value), value);
    reply_set(read, text.data, text.length);
    kv_model_text_free(&text);
}

/* An unknown SET that did not happen: one read of its key sees it. The next read of the key, later
 * in time and with no write between, does not. */
static bool seen_then_gone(struct made *made, uint32_t begin) {
    for (uint32_t i = 0; i < made->count; i++) {
        struct made_operation *write = &made->operations[(begin + i) % made->count];
        if (!name_is(write, "SET") || write->word_count != 3 || write->outcome != HISTORY_UNKNOWN ||
            write->happened_ns != HISTORY_NEVER)
            continue;
        struct made_operation *seen = NULL;
        for (uint32_t j = 0; j < made->happened_count; j++) {
            struct made_operation *next = at(made, j);
            if (changes_key(next, write))
                seen = NULL;
            if (!same_key(next, write) || next->invoked_ns < write->invoked_ns)
                continue;
            if (is_get(next) && seen != NULL && next->invoked_ns > seen->returned_ns) {
                reply_set_bulk(seen, write->words[2]);
                return true;
            } else if (is_get(next) && seen == NULL)
                seen = next;
        }
    }
    return false;
}

/* A read sees the value of a SET that another read, which had returned, saw replaced. */
static bool undead(struct made *made, uint32_t begin) {
    for (uint32_t i = 0; i < made->happened_count; i++) {
        const uint32_t chosen = place(made, begin, i);
        struct made_operation *write = at(made, chosen);
        struct made_operation *witness = NULL;
        for (uint32_t j = chosen + 1; is_set(write) && j < made->happened_count; j++) {
            struct made_operation *read = at(made, j);
            if (!is_get(read) || !same_key(read, write) ||
                memmem(read->reply.data, read->reply.length, write->words[2],
                       strlen(write->words[2])) != NULL)
                continue;
            if (witness == NULL && read->invoked_ns > write->returned_ns) {
                witness = read;
            } else if (witness != NULL && read->invoked_ns > witness->returned_ns) {
                reply_set_bulk(read, write->words[2]);
                return true;
            }
        }
    }
    return false;
}

/* A SET is moved in the order of happening behind a GET invoked after its return. */
static bool late_effect(struct made *made, uint32_t begin) {
    for (uint32_t i = 0; i < made->happened_count; i++) {
        const uint32_t chosen = place(made, begin, i);
        struct made_operation *write = at(made, chosen);
        for (uint32_t j = chosen + 1; is_set(write) && j < made->happened_count; j++) {
            struct made_operation *read = at(made, j);
            if (changes_key(read, write))
                break;
            if (!is_get(read) || !same_key(read, write) || read->invoked_ns <= write->returned_ns)
                continue;
            write->happened_ns = read->happened_ns + 1;
            made_execute(made);
            return true;
        }
    }
    return false;
}

static bool refused_happened(struct made *made, uint32_t begin) {
    for (uint32_t i = 0; i < made->count; i++) {
        struct made_operation *write = &made->operations[(begin + i) % made->count];
        if (!name_is(write, "SET") || write->word_count != 3 || write->outcome != HISTORY_REFUSED)
            continue;
        write->happened_ns = write->returned_ns;
        made_execute(made);
        return true;
    }
    return false;
}

static bool replies_out_of_order(struct made *made, uint32_t begin) {
    for (uint32_t i = 0; i < made->count; i++) {
        struct made_operation *one = &made->operations[(begin + i) % made->count];
        for (uint32_t j = 0; one->outcome == HISTORY_OK && j < made->count; j++) {
            struct made_operation *other = &made->operations[j];
            if (other->connection != one->connection || other->sequence != one->sequence + 1 ||
                other->outcome != HISTORY_OK || other->invoked_ns >= one->returned_ns)
                continue;
            other->returned_ns = one->returned_ns - 1;
            return true;
        }
    }
    return false;
}

/* ---- The log --------------------------------------------------------------------------------- */

static bool hidden_write(struct made *made, uint32_t begin) {
    for (uint32_t i = 0; i < made->log_count; i++) {
        const size_t chosen = (begin + i) % made->log_count;
        if (made->history.operations[made->log[chosen].operation].outcome != HISTORY_OK)
            continue;
        made->log_count--;
        memmove(&made->log[chosen], &made->log[chosen + 1],
                (made->log_count - chosen) * sizeof(made->log[0]));
        return true;
    }
    return false;
}

static bool twice_in_log(struct made *made, uint32_t begin) {
    const size_t chosen = begin % made->log_count;
    const size_t behind = chosen + 1 + random_below(&made->random, made->log_count - chosen);
    ASSERT(behind <= made->log_count);
    memmove(&made->log[behind + 1], &made->log[behind],
            (made->log_count - behind) * sizeof(made->log[0]));
    made->log[behind] = made->log[chosen];
    made->log[behind].log_time_ms = made->log[behind - 1].log_time_ms;
    made->log_count++;
    return true;
}

static bool log_order(struct made *made, uint32_t begin) {
    const struct history_operation *operations = made->history.operations;
    for (uint32_t i = 0; i + 1 < made->log_count; i++) {
        const size_t chosen = (begin + i) % (made->log_count - 1);
        struct replay_command *one = &made->log[chosen];
        struct replay_command *other = &made->log[chosen + 1];
        const struct history_operation *first = &operations[one->operation];
        if (first->outcome != HISTORY_OK ||
            first->returned_ns >= operations[other->operation].invoked_ns)
            continue;
        const struct replay_command command = *one;
        *one = *other;
        *other = command;
        other->log_time_ms = one->log_time_ms;
        return true;
    }
    return false;
}

bool made_spoil(struct made *made, enum spoiling spoiling, bool said) {
    static bool (*const ways[SPOILINGS])(struct made *, uint32_t) = {
        [SPOIL_STALE_READ] = stale_read,
        [SPOIL_LOST_UPDATE] = lost_update,
        [SPOIL_SAME_NUMBER] = same_number,
        [SPOIL_SWAPPED_REPLIES] = swapped_replies,
        [SPOIL_INVENTED_VALUE] = invented_value,
        [SPOIL_SEEN_THEN_GONE] = seen_then_gone,
        [SPOIL_UNDEAD] = undead,
        [SPOIL_LATE_EFFECT] = late_effect,
        [SPOIL_HIDDEN_WRITE] = hidden_write,
        [SPOIL_TWICE_IN_LOG] = twice_in_log,
        [SPOIL_REFUSED_HAPPENED] = refused_happened,
        [SPOIL_LOG_ORDER] = log_order,
        [SPOIL_REPLIES_OUT_OF_ORDER] = replies_out_of_order,
    };
    const bool is_of_log = spoiling == SPOIL_HIDDEN_WRITE || spoiling == SPOIL_TWICE_IN_LOG ||
                           spoiling == SPOIL_LOG_ORDER;
    const uint32_t begin = (uint32_t)random_below(&made->random, made->count);
    if (!is_of_log && !ways[spoiling](made, begin))
        return false;
    made_record(made, said || is_of_log);
    const bool spoilt = !is_of_log || ways[spoiling](made, begin);
    for (size_t i = 0; !said && i < made->log_count; i++)
        made->log[i].operation = REPLAY_OPERATION_UNSAID;
    return spoilt;
}

const char *spoiling_name(enum spoiling spoiling) {
    static const char *const names[SPOILINGS] = {
        [SPOIL_STALE_READ] = "a stale read",
        [SPOIL_LOST_UPDATE] = "a lost update",
        [SPOIL_SAME_NUMBER] = "two increments, one number",
        [SPOIL_SWAPPED_REPLIES] = "two replies exchanged",
        [SPOIL_INVENTED_VALUE] = "a value that nobody wrote",
        [SPOIL_SEEN_THEN_GONE] = "an unknown write, seen and gone",
        [SPOIL_UNDEAD] = "a replaced value comes back",
        [SPOIL_LATE_EFFECT] = "an effect after the reply",
        [SPOIL_HIDDEN_WRITE] = "not in the log",
        [SPOIL_TWICE_IN_LOG] = "twice in the log",
        [SPOIL_REFUSED_HAPPENED] = "a refused write happened",
        [SPOIL_LOG_ORDER] = "the log against time",
        [SPOIL_REPLIES_OUT_OF_ORDER] = "replies out of order",
    };
    ASSERT(spoiling < SPOILINGS);
    return names[spoiling];
}
