/* Time first, then commands, then one execution in the order of happening. */

#include "tests/sim/history_maker.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tests/sim/history_maker_internal.h"

__attribute__((format(printf, 2, 3))) static void word_add(struct made_operation *operation,
                                                           const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    ASSERT(operation->word_count < MADE_WORDS_MAX);
    const int length =
        vsnprintf(operation->words[operation->word_count++], MADE_TEXT_BYTES, format, arguments);
    va_end(arguments);
    ASSERT(length >= 0 && length < MADE_TEXT_BYTES);
}

static void value_add(struct made *made, struct made_operation *operation) {
    if (made->options.few_values)
        word_add(operation, "%u", (unsigned)random_below(&made->random, 3));
    else
        word_add(operation, "v%u.%u", operation->connection, operation->sequence);
}

/* A value that the key may have had. */
static void guess_add(struct made *made, struct made_operation *operation) {
    if (made->options.few_values)
        word_add(operation, "%u", (unsigned)random_below(&made->random, 3));
    else
        word_add(operation, "v%u.%u", operation->connection,
                 (unsigned)random_below(&made->random, operation->sequence + 1));
}

/* Writes that answer with the old value, or depend on it, or change a part of it. */
static void string_exchange(struct made *made, struct made_operation *operation, const char *key) {
    static const char *const names[] = {"GETSET", "SETNX", "GETDEL", "CAS", "CAS", "SETRANGE"};
    const uint64_t kind = random_below(&made->random, 6);
    word_add(operation, "%s", names[kind]);
    word_add(operation, "%s", key);
    if (kind == 3)
        guess_add(made, operation);
    else if (kind == 4)
        word_add(operation, "%s", "");
    else if (kind == 5)
        word_add(operation, "%u", (unsigned)random_below(&made->random, 3));
    if (kind != 2)
        value_add(made, operation);
    if (kind == 4)
        word_add(operation, "ABSENT");
}

static void string_write(struct made *made, struct made_operation *operation, const char *key) {
    const uint64_t kind = random_below(&made->random, 14);
    operation->is_write = true;
    if (kind >= 10) {
        string_exchange(made, operation, key);
        return;
    }
    if (kind == 0) {
        word_add(operation, "DEL");
        word_add(operation, "%s", key);
        return;
    }
    word_add(operation, "SET");
    word_add(operation, "%s", key);
    value_add(made, operation);
    if (kind == 1)
        word_add(operation, "NX");
    else if (kind == 2)
        word_add(operation, "GET");
}

static void string_command(struct made *made, struct made_operation *operation) {
    char key[MADE_TEXT_BYTES];
    char other[MADE_TEXT_BYTES];
    const uint64_t number = random_below(&made->random, made->options.keys);
    const uint64_t kind = random_below(&made->random, 20);
    (void)snprintf(key, sizeof(key), "s%" PRIu64, number);
    (void)snprintf(other, sizeof(other), "s%" PRIu64, (number + 1) % made->options.keys);
    if (kind < 9) {
        string_write(made, operation, key);
    } else if (kind == 9 && !made->options.single_key) {
        operation->is_write = true;
        word_add(operation, "MSET");
        word_add(operation, "%s", key);
        value_add(made, operation);
        word_add(operation, "%s", other);
        value_add(made, operation);
    } else if (kind == 10 && !made->options.single_key) {
        word_add(operation, "MGET");
        word_add(operation, "%s", key);
        word_add(operation, "%s", other);
    } else {
        word_add(operation, kind == 11   ? "EXISTS"
                            : kind == 12 ? "STRLEN"
                            : kind == 13 ? "GETRANGE"
                                         : "GET");
        word_add(operation, "%s", key);
        if (kind == 13) {
            word_add(operation, "%u", (unsigned)random_below(&made->random, 3));
            word_add(operation, "9");
        }
    }
}

static void command_make(struct made *made, struct made_operation *operation) {
    static const uint64_t kinds[] = {5, 3, 2}; /* of ten commands */
    const uint64_t key = random_below(&made->random, made->options.keys);
    uint64_t kind = random_below(&made->random, 10);
    if (made->options.kind == 0)
        kind = kind < kinds[0] ? 1 : kind < kinds[0] + kinds[1] ? 2 : 3;
    else
        kind = made->options.kind;
    if (kind == 1) {
        string_command(made, operation);
    } else if (random_chance(&made->random, 1, 3)) {
        word_add(operation, "GET");
        word_add(operation, kind == 2 ? "n%" PRIu64 : "a%" PRIu64, key);
    } else if (kind == 2) {
        operation->is_write = true;
        word_add(operation, random_chance(&made->random, 3, 4) ? "INCR" : "DECR");
        word_add(operation, "n%" PRIu64, key);
    } else {
        operation->is_write = true;
        word_add(operation, "APPEND");
        word_add(operation, "a%" PRIu64, key);
        value_add(made, operation);
    }
}

/* One connection's clock while its operations are made. */
struct connection {
    uint32_t number;
    uint32_t sequence;
    uint64_t invoked_ns;
    uint64_t happened_ns;
    uint64_t returned_ns;
};

static void time_make(struct made *made, struct made_operation *operation,
                      struct connection *connection) {
    struct random *random = &made->random;
    const uint32_t gap = made->options.gap_ns;
    const uint32_t span = made->options.span_ns;
    const bool pipelines = random_chance(random, 1, 3);
    const uint64_t from = pipelines ? connection->invoked_ns : connection->returned_ns;
    operation->invoked_ns = from + random_below(random, gap + 1);
    const uint64_t after = operation->invoked_ns > connection->happened_ns + 1
                               ? operation->invoked_ns
                               : connection->happened_ns + 1;
    operation->happened_ns = after + random_below(random, span + 1);
    operation->returned_ns = operation->happened_ns + random_below(random, span + 1);
    if (operation->returned_ns < connection->returned_ns)
        operation->returned_ns = connection->returned_ns;
    connection->invoked_ns = operation->invoked_ns;
    const uint64_t fate = random_below(random, 1000);
    operation->outcome = HISTORY_OK;
    if (fate < made->options.refused_per_mille) {
        operation->outcome = HISTORY_REFUSED;
        operation->happened_ns = HISTORY_NEVER;
    } else if (fate < made->options.refused_per_mille + made->options.unknown_per_mille) {
        operation->outcome = HISTORY_UNKNOWN;
        operation->returned_ns = HISTORY_NEVER;
        operation->happened_ns += random_below(random, 20 * (uint64_t)span + 1);
        if (!operation->is_write || random_chance(random, 1, 2))
            operation->happened_ns = HISTORY_NEVER;
    } else {
        connection->happened_ns = operation->happened_ns;
    }
    if (operation->returned_ns != HISTORY_NEVER)
        connection->returned_ns = operation->returned_ns;
}

static int invoked_compare(const void *a, const void *b) {
    const struct made_operation *x = a;
    const struct made_operation *y = b;
    if (x->invoked_ns != y->invoked_ns)
        return x->invoked_ns < y->invoked_ns ? -1 : 1;
    if (x->connection != y->connection)
        return x->connection < y->connection ? -1 : 1;
    return x->sequence < y->sequence ? -1 : x->sequence > y->sequence;
}

static _Thread_local const struct made_operation *sorted_operations;

static int happened_compare(const void *a, const void *b) {
    const struct made_operation *x = &sorted_operations[*(const uint32_t *)a];
    const struct made_operation *y = &sorted_operations[*(const uint32_t *)b];
    if (x->happened_ns != y->happened_ns)
        return x->happened_ns < y->happened_ns ? -1 : 1;
    return x < y ? -1 : x > y;
}

void made_create(struct made *made, const struct maker_options *options) {
    *made = (struct made){.options = *options};
    random_seed(&made->random, options->seed);
    made->operations = calloc(options->operations, sizeof(*made->operations));
    made->happened = calloc(options->operations, sizeof(*made->happened));
    made->log = calloc(options->operations + 1, sizeof(*made->log));
    made->log_words = calloc(options->operations + 1, sizeof(*made->log_words));
    struct connection *connections = calloc(options->connections, sizeof(*connections));
    ASSERT(made->operations != NULL && made->happened != NULL && made->log != NULL &&
           made->log_words != NULL && connections != NULL);
    for (uint32_t i = 0; i < options->connections; i++)
        connections[i] = (struct connection){.number = i + 1, .invoked_ns = 1, .returned_ns = 1};
    for (made->count = 0; made->count < options->operations; made->count++) {
        struct made_operation *operation = &made->operations[made->count];
        struct connection *connection =
            &connections[random_below(&made->random, options->connections)];
        operation->connection = connection->number;
        operation->sequence = ++connection->sequence;
        command_make(made, operation);
        time_make(made, operation, connection);
    }
    free(connections);
    qsort(made->operations, made->count, sizeof(*made->operations), invoked_compare);
}

uint32_t made_words(const struct made_operation *operation, struct kv_model_word *words) {
    for (uint32_t i = 0; i < operation->word_count; i++)
        words[i] = (struct kv_model_word){operation->words[i], strlen(operation->words[i])};
    return operation->word_count;
}

void made_execute(struct made *made) {
    struct kv_model *model = kv_model_new(1 << 20);
    struct kv_model_text reply = {0};
    struct kv_model_word words[MADE_WORDS_MAX];
    made->happened_count = 0;
    for (uint32_t i = 0; i < made->count; i++)
        if (made->operations[i].happened_ns != HISTORY_NEVER)
            made->happened[made->happened_count++] = i;
    sorted_operations = made->operations;
    qsort(made->happened, made->happened_count, sizeof(*made->happened), happened_compare);
    for (uint32_t i = 0; i < made->happened_count; i++) {
        struct made_operation *operation = &made->operations[made->happened[i]];
        if (operation->is_lost)
            continue;
        const uint32_t count = made_words(operation, words);
        const struct kv_model_word get[] = {{"GET", 3}, words[1]};
        kv_model_execute(model, get, 2, 1, 1, &operation->before);
        kv_model_execute(model, words, count, 1, 1, &reply);
        if (operation->is_renamed)
            continue;
        operation->reply.length = 0;
        kv_model_text_append(&operation->reply, reply.data, reply.length);
    }
    kv_model_text_free(&reply);
    kv_model_free(model);
}

void made_record(struct made *made, bool said) {
    struct kv_model_word words[MADE_WORDS_MAX];
    int error = history_create(&made->history, made->count, (uint64_t)made->count * 2048 + 4096);
    ASSERT(error == 0);
    for (uint32_t i = 0; i < made->count; i++) {
        struct made_operation *operation = &made->operations[i];
        const struct history_call call = {.invoked_ns = operation->invoked_ns,
                                          .client = operation->connection,
                                          .connection = operation->connection,
                                          .sequence = operation->sequence,
                                          .words = words,
                                          .word_count = made_words(operation, words)};
        error = history_invoke(&made->history, &call, &operation->number);
        ASSERT(error == 0);
        if (operation->outcome == HISTORY_UNKNOWN && i % 2 == 0)
            continue; /* pending is as good */
        const bool is_ok = operation->outcome == HISTORY_OK;
        error = history_return(&made->history, operation->number, operation->returned_ns,
                               operation->outcome, operation->reply.data,
                               is_ok ? operation->reply.length : 0);
        ASSERT(error == 0);
    }
    made->log_count = 0;
    for (uint32_t i = 0; i < made->happened_count; i++) {
        struct made_operation *operation = &made->operations[made->happened[i]];
        if (!operation->is_write || operation->is_lost)
            continue;
        made->log[made->log_count] = (struct replay_command){
            .entry_index = 2 + made->log_count,
            .log_time_ms = 1 + made->log_count / 4,
            .words = made->log_words[made->log_count],
            .word_count = made_words(operation, made->log_words[made->log_count]),
            .operation = said ? operation->number : REPLAY_OPERATION_UNSAID};
        made->log_count++;
    }
}

void made_destroy(struct made *made) {
    for (uint32_t i = 0; i < made->count; i++) {
        kv_model_text_free(&made->operations[i].before);
        kv_model_text_free(&made->operations[i].reply);
    }
    if (made->history.operations != NULL)
        history_destroy(&made->history);
    free(made->operations);
    free(made->happened);
    free(made->log);
    free(made->log_words);
}
