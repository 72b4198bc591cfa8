/* See twin_once.h. */

#include "tests/property/twin_once.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/decimal.h"
#include "tests/property/answer.h"

enum {
    WINDOW = 128,
    KEPT_BYTES_MAX = 1024,
    BRIEF_MS_MAX = 60 * 1000, /* longer than a run's clock may be off, shorter than others live */
};

static const uint64_t number_max = INT64_MAX;
static const uint64_t lifetime_max_ms = UINT64_C(30) * 24 * 3600 * 1000;

struct used {
    uint64_t sequence;
    struct kv_model_text words; /* with their lengths */
    struct kv_model_text answer;
};

struct session_twin {
    uint64_t id;
    bool is_brief;
    bool is_gone;
    uint64_t highest;
    struct used *used;
    size_t used_count;
};

struct twin_once {
    struct session_twin *sessions; /* by rising id */
    size_t count;
};

struct twin_once *twin_once_new(void) {
    struct twin_once *once = calloc(1, sizeof(*once));
    ASSERT(once != NULL);
    return once;
}

void twin_once_free(struct twin_once *once) {
    for (size_t i = 0; i < once->count; i++) {
        for (size_t j = 0; j < once->sessions[i].used_count; j++) {
            kv_model_text_free(&once->sessions[i].used[j].words);
            kv_model_text_free(&once->sessions[i].used[j].answer);
        }
        free(once->sessions[i].used);
    }
    free(once->sessions);
    free(once);
}

/* As a number from 1 to `max`; 0: it is none. */
static uint64_t number_of(const struct kv_model_word *word, uint64_t max) {
    uint64_t number = 0;
    if (decimal_parse_u64(word->data, word->length, &number) != 0 || number > max)
        return 0;
    return number;
}

static struct session_twin *session_find(const struct twin_once *once,
                                         const struct kv_model_word *words, size_t count) {
    const uint64_t id = count > 1 ? number_of(&words[1], number_max) : 0;
    for (size_t i = 0; i < once->count; i++)
        if (once->sessions[i].id == id)
            return &once->sessions[i];
    return NULL;
}

bool twin_once_open(struct twin_once *once, uint64_t id, const struct kv_model_word *words,
                    size_t count) {
    if (id == 0 || (once->count > 0 && once->sessions[once->count - 1].id >= id))
        return false;
    once->sessions = realloc(once->sessions, (once->count + 1) * sizeof(*once->sessions));
    ASSERT(once->sessions != NULL);
    const uint64_t lifetime_ms = count == 3 ? number_of(&words[2], lifetime_max_ms) : UINT64_MAX;
    once->sessions[once->count++] =
        (struct session_twin){.id = id, .is_brief = lifetime_ms < BRIEF_MS_MAX};
    return true;
}

bool twin_once_is_brief(const struct twin_once *once, const struct kv_model_word *words,
                        size_t count) {
    const struct session_twin *session = session_find(once, words, count);
    return session != NULL && session->is_brief;
}

void twin_once_gone(struct twin_once *once, const struct kv_model_word *words, size_t count) {
    struct session_twin *session = session_find(once, words, count);
    ASSERT(session != NULL && session->is_brief);
    session->is_gone = true;
}

void twin_once_open_fault(const struct kv_model_word *words, size_t count,
                          struct kv_model_text *answer) {
    answer->length = 0;
    if (count == 1)
        return;
    if (count != 3 || !word_is(&words[1], "px"))
        text_print(answer, "-ERR syntax error\n");
    else if (number_of(&words[2], lifetime_max_ms) == 0)
        text_print(answer, "-ERR a session's lifetime must be from 1 ms to 30 days\n");
}

/* ---- ONCE ------------------------------------------------------------------------------------ */

/* What is refused whatever the session is; false: nothing. */
static bool form_refused(struct twin *twin, const struct kv_model_word *words, size_t count,
                         struct kv_model_text *answer) {
    answer->length = 0;
    if (count < 4) {
        text_print(answer, "-ERR wrong number of arguments for 'once' command\n");
        return true;
    }
    const struct kv_model_word *inner = words + 3;
    if (word_is(inner, "get") || word_is(inner, "ping")) {
        text_print(answer, "-ERR ONCE takes a command that writes, and '%s' is none\n",
                   word_is(inner, "get") ? "get" : "ping");
        return true;
    }
    if (twin_write_id(TWIN_KV, inner) == 0) {
        twin_execute(twin, inner, count - 3, 0, 0, answer); /* unknown */
        ASSERT(answer_is_error(answer));
        return true;
    }
    if (number_of(&words[1], number_max) == 0 || number_of(&words[2], number_max) == 0) {
        text_print(answer, "-ERR session and sequence must be integers from 1 to 2^63-1\n");
        return true;
    }
    if (twin_logged_id(TWIN_KV, inner, count - 3) == 0) { /* its own form is wrong */
        twin_execute(twin, inner, count - 3, 0, 0, answer);
        return true;
    }
    return false;
}

static void words_join(struct kv_model_text *out, const struct kv_model_word *words, size_t count) {
    for (size_t i = 0; i < count; i++) {
        text_print(out, "%zu:", words[i].length);
        kv_model_text_append(out, words[i].data, words[i].length);
    }
}

static struct used *used_find(const struct session_twin *session, uint64_t sequence) {
    for (size_t i = session->used_count; i-- > 0;)
        if (session->used[i].sequence == sequence)
            return &session->used[i];
    return NULL;
}

/* Bytes of a bulk's payload; of others nothing counts here. */
static uint64_t payload_bytes(const struct kv_model_text *answer) {
    uint64_t bytes = 0;
    if (answer->length > 0 && answer->data[0] == '$') {
        const char *colon = memchr(answer->data, ':', answer->length);
        if (colon != NULL)
            (void)decimal_parse_u64(answer->data + 1, (size_t)(colon - answer->data - 1), &bytes);
    }
    return bytes;
}

static void repeated(const struct used *used, const struct kv_model_text *joined, uint64_t id,
                     struct kv_model_text *answer) {
    const unsigned long long sequence = used->sequence;
    const unsigned long long session = id;
    if (!answer_equal(joined, &used->words))
        text_print(answer,
                   "-SEQUENCE %llu of session %llu belongs to another command: nothing was done\n",
                   sequence, session);
    else if (payload_bytes(&used->answer) > KEPT_BYTES_MAX)
        text_print(answer,
                   "-APPLIED sequence %llu of session %llu was applied, once; its reply was not "
                   "kept\n",
                   sequence, session);
    else
        kv_model_text_append(answer, used->answer.data, used->answer.length);
}

void twin_once_execute(struct twin_once *once, struct twin *twin, const struct kv_model_word *words,
                       size_t count, uint64_t now_ms, struct kv_model_text *answer) {
    if (form_refused(twin, words, count, answer))
        return;
    struct session_twin *session = session_find(once, words, count);
    const uint64_t id = number_of(&words[1], number_max);
    const uint64_t sequence = number_of(&words[2], number_max);
    if (session == NULL || session->is_gone) {
        text_print(answer, "-SESSION %llu is unknown or has expired: nothing was done\n",
                   (unsigned long long)id);
        return;
    }
    if (session->highest >= WINDOW && sequence <= session->highest - WINDOW) {
        text_print(answer,
                   "-SEQUENCE %llu of session %llu is below the last %d: nothing was done now, and "
                   "whether it was applied before is not known any more\n",
                   (unsigned long long)sequence, (unsigned long long)id, WINDOW);
        return;
    }
    struct kv_model_text joined = {0};
    words_join(&joined, words + 3, count - 3);
    const struct used *before = used_find(session, sequence);
    if (before != NULL) {
        repeated(before, &joined, id, answer);
        kv_model_text_free(&joined);
        return;
    }
    twin_execute(twin, words + 3, count - 3, now_ms, now_ms, answer);
    session->used = realloc(session->used, (session->used_count + 1) * sizeof(*session->used));
    ASSERT(session->used != NULL);
    struct used *used = &session->used[session->used_count++];
    *used = (struct used){.sequence = sequence, .words = joined};
    kv_model_text_append(&used->answer, answer->data, answer->length);
    session->highest = sequence > session->highest ? sequence : session->highest;
}
