/*
 * Happy path: has_room, invoke, return, and at the end write. What fails is room, which ends the
 * run and is said, and the file.
 */
#include "bench/load_history.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/random.h"

enum { COUNT_BITS = 26, WORKER_BITS = 6 };

_Static_assert(HISTORY_OPERATIONS_MAX <= 1 << COUNT_BITS, "a count for each operation");

int load_history_create(struct load_history *history, uint32_t worker, uint32_t workers,
                        uint64_t operations_max, uint64_t operation_bytes_max) {
    ASSERT(worker < workers && workers <= 1 << WORKER_BITS);
    uint64_t bytes_max = operations_max * operation_bytes_max;
    if (bytes_max > HISTORY_BYTES_MAX)
        bytes_max = HISTORY_BYTES_MAX;
    *history = (struct load_history){
        .worker = worker, .workers = workers, .operation_bytes_max = operation_bytes_max};
    struct random random;
    random_seed(&random, clock_monotonic_ns() ^ ((uint64_t)getpid() << 40));
    const uint64_t run = random_u64(&random) << (COUNT_BITS + WORKER_BITS);
    history->unique = run | (uint64_t)worker << COUNT_BITS;
    return history_create(&history->history, (uint32_t)operations_max, bytes_max);
}

void load_history_destroy(struct load_history *history) {
    if (history->history.operations != NULL)
        history_destroy(&history->history);
}

uint32_t load_history_connection(struct load_history *history) {
    return 1 + history->worker + history->workers * history->connection_next++;
}

void load_history_unique(struct load_history *history, uint8_t *out) {
    static const char digits[] = "0123456789abcdef";
    uint64_t number = history->unique++;
    for (int i = LOAD_HISTORY_UNIQUE_BYTES - 1; i >= 0; i--) {
        out[i] = (uint8_t)digits[number & 15];
        number >>= 4;
    }
}

bool load_history_has_room(struct load_history *history, uint64_t count) {
    const struct history *recorded = &history->history;
    const uint64_t bytes = (count + history->pending) * history->operation_bytes_max;
    if (history->full == NULL && count > recorded->operations_max - recorded->operation_count)
        history->full = "it has as many operations as it may: raise --history-operations, or lower "
                        "--duration or --rate";
    if (history->full == NULL && bytes > recorded->bytes_max - recorded->bytes_used)
        history->full = "its 4 GiB of words and replies are used up: lower --duration or --rate";
    return history->full == NULL;
}

/* The number in a RESP line "*3\r\n" or "$3\r\n" of our own making; moves *at behind it. */
static size_t line_number(const uint8_t **at) {
    size_t number = 0;
    for ((*at)++; **at != '\r'; (*at)++)
        number = number * 10 + (size_t)(**at - '0');
    *at += 2;
    return number;
}

uint32_t load_history_invoke(struct load_history *history, uint32_t client, uint32_t connection,
                             uint32_t sequence, uint64_t now_ns, const uint8_t *request,
                             size_t length_bytes) {
    struct kv_model_word words[HISTORY_WORDS_MAX];
    const uint8_t *at = request;
    const size_t count = line_number(&at);
    ASSERT(count > 0 && count <= HISTORY_WORDS_MAX);
    for (size_t i = 0; i < count; i++) {
        words[i].length = line_number(&at);
        words[i].data = (const char *)at;
        at += words[i].length + 2;
    }
    ASSERT(at == request + length_bytes);
    const struct history_call call = {.invoked_ns = now_ns,
                                      .client = client,
                                      .connection = connection,
                                      .sequence = sequence,
                                      .words = words,
                                      .word_count = (uint32_t)count};
    uint32_t number = UINT32_MAX;
    const int error = history_invoke(&history->history, &call, &number);
    ASSERT(error == 0);
    history->pending++;
    return number;
}

void load_history_return(struct load_history *history, uint32_t number, uint64_t now_ns,
                         const char *reply, size_t length_bytes) {
    ASSERT(history->pending > 0);
    history->pending--;
    if (length_bytes > history->operation_bytes_max ||
        history_return(&history->history, number, now_ns, history_outcome_of(reply, length_bytes),
                       reply, length_bytes) != 0)
        history->full = "a reply is longer than was reckoned with: values must not grow";
}

void load_history_lose(struct load_history *history, uint32_t number) {
    ASSERT(history->pending > 0);
    history->pending--;
    const int error =
        history_return(&history->history, number, HISTORY_NEVER, HISTORY_UNKNOWN, NULL, 0);
    ASSERT(error == 0);
}

int load_history_write(const struct load_history *const *histories, uint32_t count,
                       const char *path, struct error_text *error) {
    struct kv_model_text line = {0};
    FILE *file = fopen(path, "we");
    bool failed = file == NULL;
    for (uint32_t i = 0; !failed && i < count; i++) {
        const struct history *history = &histories[i]->history;
        for (uint32_t number = 0; !failed && number < history->operation_count; number++) {
            line.length = 0;
            history_print_operation(&line, history, number);
            kv_model_text_append(&line, "\n", 1);
            failed = fwrite(line.data, 1, line.length, file) != line.length;
        }
    }
    if (file != NULL && fclose(file) != 0)
        failed = true;
    kv_model_text_free(&line);
    if (failed)
        error_text_set(error, "cannot write the history %s: %s", path, strerror(errno));
    return failed ? WEIR_EIO : 0;
}
