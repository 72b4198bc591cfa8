/* One function a fault. Each picks a random place where the fault makes a difference. */

#include "tests/property/doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/property/answer.h"
#include "tests/property/judge.h"

struct patient {
    struct history history;
    struct logged logged;
    struct random *random;
};

static void text_copy(struct kv_model_text *to, const struct kv_model_text *from) {
    to->length = 0;
    kv_model_text_append(to, from->data, from->length);
}

static void patient_make(struct patient *patient, const struct history *history,
                         const struct logged *logged, struct random *random) {
    *patient = (struct patient){.random = random};
    history_init(&patient->history, history->lane_count);
    for (uint32_t i = 0; i < history->lane_count; i++) {
        for (size_t j = 0; j < history->lanes[i].count; j++) {
            const struct operation *from = &history->lanes[i].operations[j];
            struct operation *to = history_add(&patient->history, i, from->words, from->word_count);
            struct kv_model_word *words = to->words;
            *to = *from;
            to->words = words;
            to->expected = (struct kv_model_text){0};
            to->answer = (struct kv_model_text){0};
            text_copy(&to->expected, &from->expected);
            text_copy(&to->answer, &from->answer);
        }
    }
    for (size_t i = 0; logged != NULL && i < logged->count; i++) {
        const struct logged_command *from = &logged->commands[i];
        logged_add(&patient->logged, from->entry_index, from->log_time_ms, from->id,
                   from->arguments, from->argument_count);
    }
}

static void patient_free(struct patient *patient) {
    history_free(&patient->history);
    logged_free(&patient->logged);
}

/* True for a write whose answer is a number that depends on what came before. */
static bool counts(const struct operation *operation) {
    int64_t value;
    const struct kv_model_word *name = &operation->words[0];
    return operation->answered && answer_integer(&operation->answer, &value) &&
           (word_is(name, "incr") || word_is(name, "incrby") || word_is(name, "append") ||
            word_is(name, "log.append"));
}

/* A random operation that suits, or NULL. */
static struct operation *pick(struct patient *patient, bool (*suits)(const struct operation *),
                              uint32_t *lane_index, size_t *index) {
    const size_t size = history_size(&patient->history);
    size_t start = random_below(patient->random, size);
    for (size_t i = 0; i < size; i++) {
        size_t number = (start + i) % size;
        uint32_t lane = 0;
        while (number >= patient->history.lanes[lane].count)
            number -= patient->history.lanes[lane++].count;
        struct operation *operation = &patient->history.lanes[lane].operations[number];
        if (suits(operation)) {
            *lane_index = lane;
            *index = number;
            return operation;
        }
    }
    return NULL;
}

/* ---- Faults ---------------------------------------------------------------------------------- */

static void answers_swap(struct operation *a, struct operation *b) {
    const struct kv_model_text answer = a->answer;
    a->answer = b->answer;
    b->answer = answer;
}

/* Two replies of a connection in the wrong order. */
static bool fault_swapped(struct patient *patient) {
    uint32_t lane;
    size_t index;
    struct operation *first = pick(patient, counts, &lane, &index);
    if (first == NULL)
        return false;
    struct history_lane *in = &patient->history.lanes[lane];
    for (size_t i = 0; i < in->count; i++) {
        struct operation *second = &in->operations[i];
        if (i != index && counts(second) && !answer_equal(&first->answer, &second->answer)) {
            answers_swap(first, second);
            return true;
        }
    }
    return false;
}

/* A reply goes to another connection, and that one's here. */
static bool fault_crossed(struct patient *patient) {
    uint32_t lane;
    size_t index;
    struct operation *first = pick(patient, counts, &lane, &index);
    for (uint32_t i = 0; first != NULL && i < patient->history.lane_count; i++) {
        struct history_lane *other = &patient->history.lanes[i];
        for (size_t j = 0; i != lane && j < other->count; j++) {
            struct operation *second = &other->operations[j];
            if (counts(second) && !answer_equal(&first->answer, &second->answer)) {
                answers_swap(first, second);
                return true;
            }
        }
    }
    return false;
}

/* A reply is lost: those behind it move up by one, and the last operation waits for ever. */
static bool fault_lost(struct patient *patient) {
    uint32_t lane;
    size_t index;
    if (pick(patient, counts, &lane, &index) == NULL)
        return false;
    struct history_lane *in = &patient->history.lanes[lane];
    for (size_t i = index; i + 1 < in->count; i++)
        answers_swap(&in->operations[i], &in->operations[i + 1]);
    in->operations[in->count - 1].answered = false;
    in->operations[in->count - 1].responded_ns = UINT64_MAX;
    return true;
}

/* What INCRBY would have answered had it taken effect twice; false if that had been refused. */
static bool incrby_twice(const struct operation *operation, int64_t *twice) {
    struct kv_model_text amount = {0};
    text_print(&amount, ":%.*s\n", (int)operation->words[2].length, operation->words[2].data);
    int64_t by = 0;
    int64_t once = 0;
    (void)answer_integer(&amount, &by);
    (void)answer_integer(&operation->answer, &once);
    kv_model_text_free(&amount);
    return !__builtin_add_overflow(once, by, twice);
}

static bool is_incrby(const struct operation *operation) {
    int64_t twice;
    return counts(operation) && word_is(&operation->words[0], "incrby") &&
           incrby_twice(operation, &twice);
}

/* A write takes effect twice, and its reply is that of the second time. */
static bool fault_applied_twice(struct patient *patient) {
    uint32_t lane;
    size_t index;
    int64_t twice = 0;
    struct operation *operation = pick(patient, is_incrby, &lane, &index);
    if (operation == NULL || !incrby_twice(operation, &twice))
        return false;
    operation->answer.length = 0;
    text_print(&operation->answer, ":%lld\n", (long long)twice);
    return true;
}

static size_t pick_logged(struct patient *patient) {
    if (patient->logged.count == 0)
        return 0;
    const size_t start = random_below(patient->random, patient->logged.count);
    for (size_t i = 0; i < patient->logged.count; i++) {
        const size_t place = (start + i) % patient->logged.count;
        if (patient->logged.commands[place].id != 0)
            return place;
    }
    return patient->logged.count;
}

/* A write is in the log twice. */
static bool fault_logged_twice(struct patient *patient) {
    struct logged *logged = &patient->logged;
    const size_t place = pick_logged(patient);
    if (place >= logged->count)
        return false;
    const struct logged_command from = logged->commands[place];
    logged_add(logged, from.entry_index, from.log_time_ms, from.id, from.arguments,
               from.argument_count);
    const struct logged_command last = logged->commands[logged->count - 1];
    memmove(&logged->commands[place + 1], &logged->commands[place],
            (logged->count - 1 - place) * sizeof(last));
    logged->commands[place] = last;
    return true;
}

/* An acknowledged write is not in the log. */
static bool fault_not_logged(struct patient *patient) {
    struct logged *logged = &patient->logged;
    const size_t place = pick_logged(patient);
    if (place >= logged->count)
        return false;
    free(logged->commands[place].arguments);
    logged->count--;
    memmove(&logged->commands[place], &logged->commands[place + 1],
            (logged->count - place) * sizeof(logged->commands[0]));
    return true;
}

/* Two writes stand in the log in the wrong order. */
static bool fault_log_order(struct patient *patient) {
    struct logged *logged = &patient->logged;
    const size_t start = pick_logged(patient);
    for (size_t i = 0; i + 1 < logged->count; i++) {
        struct logged_command *a = &logged->commands[(start + i) % (logged->count - 1)];
        struct logged_command *b = a + 1;
        /* Of one batch, so of one connection. */
        if (a->id != 0 && b->id != 0 && a->entry_index == b->entry_index && a->id != b->id) {
            const struct logged_command first = *a;
            *a = *b;
            *b = first;
            return true;
        }
    }
    return false;
}

static bool is_read_of_value(const struct operation *operation) {
    return operation->answered && operation->expected.length == 0 &&
           (word_is(&operation->words[0], "get") || word_is(&operation->words[0], "log.get")) &&
           operation->answer.length > 0 && operation->answer.data[0] == '$';
}

/* A read misses a write that was acknowledged: an older value, or none. */
static bool fault_stale(struct patient *patient) {
    const size_t size = history_size(&patient->history);
    for (size_t tries = 0; tries < size; tries++) {
        uint32_t lane;
        size_t index;
        struct operation *get = pick(patient, is_read_of_value, &lane, &index);
        if (get == NULL)
            return false;
        struct operation *before = patient->history.lanes[lane].operations;
        for (size_t i = index; i-- > 0;) {
            /* The connection wrote the value itself, and a value is written once. */
            const bool own =
                before[i].word_count >= 3 && word_is(&before[i].words[0], "set") &&
                before[i].words[2].length > 0 && before[i].words[2].data[0] == 'v' &&
                before[i].words[1].length == get->words[1].length &&
                memcmp(before[i].words[1].data, get->words[1].data, get->words[1].length) == 0;
            struct kv_model_text value = {0};
            if (own)
                text_print(&value, "$%zu:", before[i].words[2].length);
            const bool seen = own && get->answer.length > value.length &&
                              memcmp(get->answer.data, value.data, value.length) == 0;
            kv_model_text_free(&value);
            if (!seen)
                continue;
            get->answer.length = 0;
            text_print(&get->answer, "$14:an older value\n");
            return true;
        }
        (void)random_u64(patient->random);
    }
    return false;
}

static const struct fault {
    const char *name;
    bool needs_log;
    bool needs_others; /* more than one connection */
    bool kv_only;
    bool (*apply)(struct patient *patient);
} faults[] = {
    {"two replies swapped", false, false, false, fault_swapped},
    {"replies of two connections crossed", false, true, false, fault_crossed},
    {"a reply lost", false, false, false, fault_lost},
    {"an effect twice", false, false, true, fault_applied_twice},
    {"a read that missed the own write", false, false, true, fault_stale},
    {"a write twice in the log", true, false, false, fault_logged_twice},
    {"an acknowledged write not in the log", true, false, false, fault_not_logged},
    {"two writes of a connection in the wrong order", true, false, true, fault_log_order},
};

bool doctor_all(const struct history *history, const struct logged *logged,
                enum twin_machine machine, struct random *random, bool verbose,
                struct kv_model_text *error) {
    bool right = true;
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        const struct fault *fault = &faults[i];
        if ((fault->needs_log && logged == NULL) || (fault->kv_only && machine != TWIN_KV) ||
            (fault->needs_others && history->lane_count < 2))
            continue;
        struct patient patient;
        struct kv_model_text verdict = {0};
        patient_make(&patient, history, logged, random);
        if (!fault->apply(&patient)) {
            text_print(error, "the history has no occasion for: %s\n", fault->name);
            right = false;
        } else if (logged != NULL
                       ? judge_shared(&patient.history, &patient.logged, machine, &verdict)
                       : judge_disjoint(&patient.history, machine, &verdict)) {
            text_print(error, "a doctored history was called right: %s\n", fault->name);
            right = false;
        } else if (verbose) {
            const char *end = memchr(verdict.data, ':', verdict.length);
            printf("  doctored: %-46s found: %.*s\n", fault->name,
                   (int)(end != NULL ? end - verdict.data : 0), verdict.data);
        }
        kv_model_text_free(&verdict);
        patient_free(&patient);
    }
    return right;
}
