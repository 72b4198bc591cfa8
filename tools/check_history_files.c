/*
 * Happy path: measure the files, create a history with room for all of them, load one after the
 * other, move its numbers behind those of the files before it, look at each connection's order.
 *
 * Failure modes: a file that cannot be read, a line that is no operation, numbers that contradict
 * each other. Each ends the check, since a history with a hole proves nothing.
 */

#include "tools/check_history_files.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

/* A file in memory. */
struct text {
    char *data;
    size_t length;
};

/*
 * What a byte of text can take of the arena: a word of one letter is two bytes of text with its
 * space, and five in the arena with its length; RESP 3's null is five bytes as text and five as
 * RESP 2's.
 */
enum { ARENA_BYTES_PER_TEXT_BYTE = 3 };

/* "client 0 connection 0 #0 [0, 0] ok: A -> :" and a newline: no operation is shorter. */
enum { OPERATION_TEXT_BYTES_MIN = 40 };

static int file_read(const char *name, struct text *text, struct error_text *error_text) {
    int error = WEIR_EIO;
    *text = (struct text){0};
    FILE *file = fopen(name, "re");
    if (file == NULL) {
        error_text_set(error_text, "%s: %s", name, strerror(errno));
        return errno == ENOENT ? WEIR_ENOENT : WEIR_EIO;
    }
    size_t room = 0;
    size_t received = 1;
    while (received > 0) {
        if (text->length == room) {
            room = 2 * room + 65536;
            char *larger = realloc(text->data, room);
            if (larger == NULL) {
                error_text_set(error_text, "%s: no memory to read it", name);
                error = WEIR_ENOMEM;
                break;
            }
            text->data = larger;
        }
        received = fread(text->data + text->length, 1, room - text->length, file);
        text->length += received;
    }
    if (received == 0 && ferror(file) == 0)
        error = 0;
    else if (error == WEIR_EIO)
        error_text_set(error_text, "%s: cannot be read: %s", name, strerror(errno));
    (void)fclose(file);
    if (error != 0) {
        free(text->data);
        *text = (struct text){0};
    }
    return error;
}

/* ---- Numbers --------------------------------------------------------------------------------- */

/* For qsort, which knows no context; one thread sorts at a time. */
static _Thread_local const struct history_operation *sorted_operations;

static int order_compare(const void *a, const void *b) {
    const struct history_operation *x = &sorted_operations[*(const uint32_t *)a];
    const struct history_operation *y = &sorted_operations[*(const uint32_t *)b];
    if (x->connection != y->connection)
        return x->connection < y->connection ? -1 : 1;
    return x->sequence < y->sequence ? -1 : x->sequence > y->sequence;
}

/* Why two neighbours in a connection's order contradict each other; NULL if they do not. */
static const char *neighbours_judge(const struct history_operation *earlier,
                                    const struct history_operation *later) {
    if (earlier->sequence == later->sequence)
        return "has the number of another one";
    if (earlier->client != later->client)
        return "is of another client than the one before it";
    if (earlier->invoked_ns > later->invoked_ns)
        return "was invoked before the one that stands before it";
    return NULL;
}

static int connections_judge(const struct history *history, const struct check_file *file,
                             struct error_text *error) {
    uint32_t *order = malloc(((size_t)file->operation_count + 1) * sizeof(*order));
    if (order == NULL) {
        error_text_set(error, "no memory to sort %" PRIu32 " operations", file->operation_count);
        return WEIR_ENOMEM;
    }
    for (uint32_t i = 0; i < file->operation_count; i++)
        order[i] = file->operation_first + i;
    sorted_operations = history->operations;
    qsort(order, file->operation_count, sizeof(*order), order_compare);
    const char *wrong = NULL;
    for (uint32_t i = 1; wrong == NULL && i < file->operation_count; i++) {
        const struct history_operation *earlier = &history->operations[order[i - 1]];
        const struct history_operation *later = &history->operations[order[i]];
        if (earlier->connection != later->connection)
            continue;
        wrong = neighbours_judge(earlier, later);
        if (wrong != NULL)
            error_text_set(error, "%s: #%" PRIu32 " of connection %" PRIu32 " %s", file->name,
                           later->sequence, later->connection, wrong);
    }
    free(order);
    return wrong == NULL ? 0 : WEIR_EINVAL;
}

/* Moves the numbers of the file loaded last behind those of all before it. */
static int numbers_move(struct history *history, struct check_file *file,
                        struct error_text *error) {
    uint32_t client_max = 0;
    uint32_t connection_max = 0;
    for (uint32_t i = 0; i < file->operation_first; i++) {
        const struct history_operation *operation = &history->operations[i];
        client_max = operation->client > client_max ? operation->client : client_max;
        connection_max =
            operation->connection > connection_max ? operation->connection : connection_max;
    }
    if (file->operation_first == 0)
        return 0;
    for (uint32_t i = file->operation_first; i < history->operation_count; i++) {
        struct history_operation *operation = &history->operations[i];
        if (operation->client >= UINT32_MAX - client_max ||
            operation->connection >= UINT32_MAX - connection_max) {
            error_text_set(error,
                           "%s: the numbers of clients or connections are too large to be "
                           "told from those of the files before it",
                           file->name);
            return WEIR_ELIMIT;
        }
        operation->client += client_max + 1;
        operation->connection += connection_max + 1;
    }
    file->client_offset = client_max + 1;
    file->connection_offset = connection_max + 1;
    return 0;
}

/* ---- Files ----------------------------------------------------------------------------------- */

static int file_load(struct check_file *file, const struct text *text, struct history *history,
                     struct error_text *error_text) {
    struct error_text reason = {{0}};
    file->operation_first = history->operation_count;
    int error = history_load(history, text->data, text->length, &reason);
    file->operation_count = history->operation_count - file->operation_first;
    if (error != 0) {
        error_text_set(error_text, "%s: %s", file->name, reason.text);
        return error == WEIR_EFULL ? WEIR_ELIMIT : error;
    }
    error = connections_judge(history, file, error_text);
    return error != 0 ? error : numbers_move(history, file, error_text);
}

/* A history with room for so much text. */
static int history_make(struct history *history, uint64_t text_bytes, struct error_text *error) {
    uint64_t operations = text_bytes / OPERATION_TEXT_BYTES_MIN + 1;
    uint64_t bytes = ARENA_BYTES_PER_TEXT_BYTE * text_bytes + 1;
    if (operations > HISTORY_OPERATIONS_MAX)
        operations = HISTORY_OPERATIONS_MAX;
    if (bytes > HISTORY_BYTES_MAX)
        bytes = HISTORY_BYTES_MAX;
    const int status = history_create(history, (uint32_t)operations, bytes);
    if (status != 0)
        error_text_set(error, "no memory for histories of %" PRIu64 " MB", text_bytes >> 20);
    return status;
}

int check_files_load(struct check_file *files, uint32_t count, struct history *history,
                     struct error_text *error_text) {
    ASSERT(count >= 1 && count <= CHECK_FILES_MAX);
    struct text *texts = calloc(count, sizeof(*texts));
    uint64_t text_bytes = 0;
    int error = texts == NULL ? WEIR_ENOMEM : 0;
    if (error != 0)
        error_text_set(error_text, "no memory");
    for (uint32_t i = 0; error == 0 && i < count; i++) {
        error = file_read(files[i].name, &texts[i], error_text);
        text_bytes += texts[i].length;
    }
    if (error == 0)
        error = history_make(history, text_bytes, error_text);
    if (error == 0) {
        for (uint32_t i = 0; error == 0 && i < count; i++)
            error = file_load(&files[i], &texts[i], history, error_text);
        if (error != 0)
            history_destroy(history);
    }
    for (uint32_t i = 0; texts != NULL && i < count; i++)
        free(texts[i].data);
    free(texts);
    return error;
}
