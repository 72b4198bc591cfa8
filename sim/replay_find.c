/*
 * Whose command it is, by its words. Happy path: one operation has them. If several do, those that
 * can stand here are counted, and the best is taken.
 */

#include "sim/replay_internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/assert.h"
#include "base/checksum.h"

static uint64_t lower_hash(const struct kv_model_word *word, uint64_t hash) {
    for (size_t i = 0; i < word->length; i++)
        hash = hash * 31 + (uint64_t)tolower((unsigned char)word->data[i]);
    return hash;
}

static uint64_t words_hash(const struct kv_model_word *words, uint32_t count) {
    const bool is_exec = history_word_is(&words[0], "exec");
    uint64_t hash = count;
    for (uint32_t i = 1; i < count; i++)
        hash = is_exec ? lower_hash(&words[i], hash + i)
                       : checksum_64(words[i].data, words[i].length, hash);
    return lower_hash(&words[0], hash);
}

static int words_compare(const void *a, const void *b) {
    const struct replay_words *x = a;
    const struct replay_words *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

int replay_find_create(struct replay *replay) {
    const struct history *history = replay->history;
    struct kv_model_word words[HISTORY_WORDS_MAX];
    replay->words = calloc((size_t)history->operation_count + 1, sizeof(*replay->words));
    if (replay->words == NULL)
        return WEIR_ENOMEM;
    for (uint32_t i = 0; i < history->operation_count; i++) {
        if (replay->kinds[i] != REPLAY_WRITE && replay->kinds[i] != REPLAY_OPEN &&
            replay->kinds[i] != REPLAY_REFUSED)
            continue;
        const uint32_t count = history_words(history, i, words);
        replay->words[replay->words_count++] = (struct replay_words){words_hash(words, count), i};
    }
    ASSERT(replay->words_count <= history->operation_count);
    qsort(replay->words, replay->words_count, sizeof(*replay->words), words_compare);
    return 0;
}

bool replay_words_equal(const struct replay *replay, uint32_t number,
                        const struct kv_model_word *words, uint32_t count) {
    struct kv_model_word own[HISTORY_WORDS_MAX];
    const bool is_exec = history_word_is(&words[0], "exec"); /* there are names in it */
    if (history_words(replay->history, number, own) != count)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (own[i].length != words[i].length)
            return false;
        if (i == 0 || is_exec
                ? strncasecmp(own[i].data, words[i].data, own[i].length) != 0
                : own[i].length > 0 && memcmp(own[i].data, words[i].data, own[i].length) != 0)
            return false;
    }
    return true;
}

/* How well an operation would stand here; the smaller the better. */
enum fitness {
    FITS_ANSWERED,
    FITS_OPEN,
    FITS_NOT, /* it has no place, and cannot stand here */
    FITS_REFUSED,
    FITS_PLACED, /* it has its place */
};

static enum fitness operation_fitness(struct replay *replay, uint32_t number,
                                      const struct kv_model_word *words, uint32_t count) {
    const uint8_t kind = replay->kinds[number];
    if (kind == REPLAY_REFUSED)
        return FITS_REFUSED;
    if (replay->report->applied[number] != 0)
        return FITS_PLACED;
    const uint32_t lane_index = replay->lane_of[number];
    const uint32_t next = lane_index == REPLAY_NONE
                              ? REPLAY_NONE
                              : replay_lane_next(replay, &replay->lanes[lane_index]);
    if (!replay_is_due(replay, number))
        return FITS_NOT;
    if (kind == REPLAY_OPEN) {
        const struct history_operation *operations = replay->history->operations;
        return next == REPLAY_NONE || operations[next].sequence > operations[number].sequence
                   ? FITS_OPEN
                   : FITS_NOT;
    }
    const struct kv_model_word reply = history_reply(replay->history, number);
    return next == number && (replay_reply_is_free(words, count, &reply) ||
                              replay_reply_fits(replay, words, count, &reply))
               ? FITS_ANSWERED
               : FITS_NOT;
}

/* Where the words of this hash begin. */
static uint32_t words_first(const struct replay *replay, uint64_t hash) {
    uint32_t low = 0;
    uint32_t high = replay->words_count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (replay->words[middle].hash < hash)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint32_t replay_find_only(struct replay *replay, const struct kv_model_word *words,
                          uint32_t count) {
    const uint64_t hash = words_hash(words, count);
    uint32_t only = REPLAY_NONE;
    for (uint32_t i = words_first(replay, hash);
         i < replay->words_count && replay->words[i].hash == hash; i++) {
        const uint32_t number = replay->words[i].number;
        if (!replay_words_equal(replay, number, words, count))
            continue;
        if (only != REPLAY_NONE)
            return REPLAY_NONE;
        only = number;
    }
    return only;
}

/* By return, and then by invocation. */
static bool operation_is_earlier(const struct replay *replay, uint32_t a, uint32_t b) {
    const struct history_operation *x = &replay->history->operations[a];
    const struct history_operation *y = &replay->history->operations[b];
    if (x->returned_ns != y->returned_ns)
        return x->returned_ns < y->returned_ns;
    return x->invoked_ns < y->invoked_ns;
}

/*
 * True if it might have been right to take the answered operation `other` here, and `best` later.
 *
 * They have the same words, so the states are the same whichever is first. Whoever puts `best`,
 * which returned first, behind this place can exchange the two: nothing invoked after best's return
 * stands between them. Only what follows `other` in its connection, invoked before that, may.
 */
static bool is_choice(const struct replay *replay, uint32_t best, uint32_t other) {
    const struct replay_lane *lane = &replay->lanes[replay->lane_of[other]];
    if (lane->next + 1 == lane->count)
        return false;
    const struct history_operation *operations = replay->history->operations;
    const uint32_t follower = replay->ordered[lane->first + lane->next + 1];
    ASSERT(operations[follower].connection == operations[other].connection);
    return operations[follower].invoked_ns <= operations[best].returned_ns;
}

uint32_t replay_find(struct replay *replay, const struct kv_model_word *words, uint32_t count) {
    const uint64_t hash = words_hash(words, count);
    const uint32_t first = words_first(replay, hash);
    uint32_t best = REPLAY_NONE;
    enum fitness best_fitness = FITS_PLACED;
    uint32_t answered = 0;
    for (uint32_t i = first; i < replay->words_count && replay->words[i].hash == hash; i++) {
        const uint32_t number = replay->words[i].number;
        if (!replay_words_equal(replay, number, words, count))
            continue;
        const enum fitness fitness = operation_fitness(replay, number, words, count);
        answered += fitness == FITS_ANSWERED;
        if (best == REPLAY_NONE || fitness < best_fitness ||
            (fitness == best_fitness && operation_is_earlier(replay, number, best))) {
            best = number;
            best_fitness = fitness;
        }
    }
    /* An unknown one that could stand here can stand at every later place too: no choice. */
    bool is_clear = true;
    for (uint32_t i = first;
         answered > 1 && i < replay->words_count && replay->words[i].hash == hash; i++) {
        const uint32_t number = replay->words[i].number;
        if (number != best && replay_words_equal(replay, number, words, count) &&
            operation_fitness(replay, number, words, count) == FITS_ANSWERED &&
            is_choice(replay, best, number)) {
            replay->passed_over_at[number] = replay->at;
            is_clear = false;
        }
    }
    replay->report->choices += !is_clear;
    return best;
}
