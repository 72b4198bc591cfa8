/* The log machine's model is a list of texts, in full in log_execute. */

#include "tests/property/twin.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/decimal.h"
#include "tests/property/answer.h"
#include "tests/property/twin_once.h"

enum { TWIN_VALUE_BYTES_MAX = 512 * 1024 * 1024 };

struct twin {
    enum twin_machine machine;
    struct kv_model *kv;
    struct twin_once *once;
    struct kv_model_text *values; /* of the log machine */
    size_t value_count;
    size_t value_capacity;
    struct kv_model_text reply; /* RESP 2, kept for its memory */
};

struct twin *twin_new(enum twin_machine machine) {
    struct twin *twin = calloc(1, sizeof(*twin));
    ASSERT(twin != NULL);
    twin->machine = machine;
    twin->kv = kv_model_new(TWIN_VALUE_BYTES_MAX);
    twin->once = twin_once_new();
    return twin;
}

void twin_free(struct twin *twin) {
    for (size_t i = 0; i < twin->value_count; i++)
        kv_model_text_free(&twin->values[i]);
    free(twin->values);
    kv_model_free(twin->kv);
    twin_once_free(twin->once);
    kv_model_text_free(&twin->reply);
    free(twin);
}

struct twin_once *twin_sessions(struct twin *twin) {
    return twin->once;
}

static void log_bulk(struct twin *twin, const struct kv_model_text *value) {
    text_print(&twin->reply, "$%zu\r\n", value->length);
    kv_model_text_append(&twin->reply, value->data, value->length);
    text_print(&twin->reply, "\r\n");
}

/* An index, or an error. */
static bool log_index(struct twin *twin, const struct kv_model_word *word, uint64_t *index) {
    if (decimal_parse_u64(word->data, word->length, index) == 0)
        return true;
    text_print(&twin->reply, "-ERR value is not an integer or out of range\r\n");
    return false;
}

static void log_append(struct twin *twin, const struct kv_model_word *word) {
    if (twin->value_count == twin->value_capacity) {
        twin->value_capacity = twin->value_capacity * 2 + 64;
        twin->values = realloc(twin->values, twin->value_capacity * sizeof(*twin->values));
        ASSERT(twin->values != NULL);
    }
    twin->values[twin->value_count] = (struct kv_model_text){0};
    kv_model_text_append(&twin->values[twin->value_count], word->data, word->length);
    text_print(&twin->reply, ":%zu\r\n", twin->value_count++);
}

static void log_range(struct twin *twin, const struct kv_model_word *words) {
    uint64_t first;
    uint64_t last;
    if (!log_index(twin, &words[1], &first) || !log_index(twin, &words[2], &last))
        return;
    const uint64_t end = last < twin->value_count ? last + 1 : twin->value_count;
    const uint64_t count = first < end ? end - first : 0;
    text_print(&twin->reply, "*%zu\r\n", (size_t)count);
    for (uint64_t i = 0; i < count; i++)
        log_bulk(twin, &twin->values[first + i]);
}

/* Redis's words: at most 128 bytes of the name, and arguments until 128 bytes are full. */
static void log_unknown(struct twin *twin, const struct kv_model_word *words, size_t count) {
    text_print(&twin->reply, "-ERR unknown command '%.*s', with args beginning with: ",
               (int)(words[0].length < 128 ? words[0].length : 128), words[0].data);
    for (size_t i = 1, used = 0; i < count && used < 128; i++) {
        const size_t length = words[i].length < 128 - used ? words[i].length : 128 - used;
        text_print(&twin->reply, "'%.*s' ", (int)length, words[i].data);
        used += length + 3;
    }
    text_print(&twin->reply, "\r\n");
}

static void log_execute(struct twin *twin, const struct kv_model_word *words, size_t count) {
    static const struct {
        const char *name;
        size_t words;
    } commands[] = {{"log.append", 2}, {"log.get", 2}, {"log.range", 3}, {"log.len", 1}};
    uint64_t index;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (word_is(&words[0], commands[i].name) && count != commands[i].words) {
            text_print(&twin->reply, "-ERR wrong number of arguments for '%s' command\r\n",
                       commands[i].name);
            return;
        }
    }
    if (word_is(&words[0], "log.append")) {
        log_append(twin, &words[1]);
    } else if (word_is(&words[0], "log.get")) {
        if (!log_index(twin, &words[1], &index))
            return;
        if (index < twin->value_count)
            log_bulk(twin, &twin->values[index]);
        else
            text_print(&twin->reply, "$-1\r\n");
    } else if (word_is(&words[0], "log.range")) {
        log_range(twin, words);
    } else if (word_is(&words[0], "log.len")) {
        text_print(&twin->reply, ":%zu\r\n", twin->value_count);
    } else {
        log_unknown(twin, words, count);
    }
}

void twin_execute(struct twin *twin, const struct kv_model_word *words, size_t count,
                  uint64_t log_time_ms, uint64_t clock_ms, struct kv_model_text *answer) {
    twin->reply.length = 0;
    if (twin->machine == TWIN_KV)
        kv_model_execute(twin->kv, words, count, log_time_ms, clock_ms, &twin->reply);
    else
        log_execute(twin, words, count);
    answer_of_model(answer, &twin->reply);
    if (word_is(&words[0], "keys"))
        answer_sort(answer, 0);
    size_t offset;
    bool complete;
    if (word_is(&words[0], "scan") && answer_scan(answer, &offset, &complete))
        answer_sort(answer, offset);
}

uint16_t twin_write_id(enum twin_machine machine, const struct kv_model_word *name) {
    static const struct {
        const char *name;
        uint16_t id;
    } kv_writes[] = {
        {"set", 2},      {"del", 3},      {"incr", 5},      {"decr", 6},
        {"incrby", 7},   {"append", 8},   {"mset", 11},     {"expire", 14},
        {"pexpire", 15}, {"persist", 16}, {"flushall", 19}, {"flushdb", 20},
    };
    if (machine == TWIN_LOG)
        return word_is(name, "log.append") ? 1 : 0;
    for (size_t i = 0; i < sizeof(kv_writes) / sizeof(kv_writes[0]); i++)
        if (word_is(name, kv_writes[i].name))
            return kv_writes[i].id;
    return 0;
}

uint16_t twin_logged_id(enum twin_machine machine, const struct kv_model_word *words,
                        size_t count) {
    const uint16_t id = twin_write_id(machine, &words[0]);
    if (id == 0)
        return 0;
    /* A store without keys refuses nothing but forms. */
    struct twin *empty = twin_new(machine);
    struct kv_model_text answer = {0};
    twin_execute(empty, words, count, 1, 1, &answer);
    const bool refused = answer_is_error(&answer);
    kv_model_text_free(&answer);
    twin_free(empty);
    return refused ? 0 : id;
}
