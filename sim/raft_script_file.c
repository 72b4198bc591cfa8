/*
 * Scenarios in files: commands, and behind each what it is expected to print.
 *
 * The happy path: line by line, comments and commands are copied to what the file should be; behind
 * each command stands what it printed; at the end that is compared with what the file is.
 *
 * Failure modes: a command that fails or is not understood is reported with its line; a scenario in
 * which something failed is never rewritten.
 */

#include "sim/raft_script_internal.h"

#include "base/error.h"

enum { FILE_BYTES_MAX = 1 << 20 };

/* Text that grows. */
struct text {
    char *bytes;
    size_t length;
    size_t capacity;
};

struct run {
    const char *path;
    FILE *messages;
    struct script_report *report;
    struct text printed; /* by the command at hand, each line with "> " before it */
};

static void text_add(struct text *text, const char *bytes, size_t length) {
    if (text->length + length + 1 > text->capacity) {
        text->capacity = 2 * (text->length + length + 1);
        text->bytes = realloc(text->bytes, text->capacity);
        ASSERT(text->bytes != NULL);
    }
    memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
    text->bytes[text->length] = '\0';
}

static void print(void *context, const char *line) {
    struct run *run = context;
    text_add(&run->printed, "> ", 2);
    text_add(&run->printed, line, strlen(line));
    text_add(&run->printed, "\n", 1);
}

static bool read_all(const char *path, struct text *text) {
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return false;
    char part[4096];
    size_t length = fread(part, 1, sizeof(part), file);
    while (length > 0 && text->length < FILE_BYTES_MAX) {
        text_add(text, part, length);
        length = fread(part, 1, sizeof(part), file);
    }
    bool good = !ferror(file) && feof(file);
    return fclose(file) == 0 && good;
}

static bool write_all(const char *path, const struct text *text) {
    FILE *file = fopen(path, "w");
    if (file == NULL)
        return false;
    bool good = fwrite(text->bytes, 1, text->length, file) == text->length;
    return fclose(file) == 0 && good;
}

/* The bytes of the lines from `at` on that begin with '>'. */
static size_t recorded_bytes(const char *at) {
    const char *end = at;
    while (*end == '>') {
        end += strcspn(end, "\n");
        end += *end == '\n';
    }
    return (size_t)(end - at);
}

/* Executes one line; reports how it went. */
static void run_line(struct run *run, struct script *script, const char *line, uint32_t number,
                     const char *recorded, size_t recorded_length) {
    run->printed.length = 0;
    text_add(&run->printed, "", 0);
    enum script_result result = script_line(script, line);
    if (result != SCRIPT_DONE) {
        run->report->failures++;
        fprintf(run->messages, "%s:%u: %s\n%s", run->path, number, line, run->printed.bytes);
    } else if (run->printed.length != recorded_length ||
               memcmp(run->printed.bytes, recorded, recorded_length) != 0) {
        run->report->differences++;
        fprintf(run->messages, "%s:%u: %s: prints\n%sand recorded is\n%.*s", run->path, number,
                line, run->printed.bytes, (int)recorded_length, recorded);
    }
}

/* Runs all lines; fills in what the file should be. */
static void run_text(struct run *run, const char *at, struct text *should_be) {
    struct script *script = script_create(print, run);
    uint32_t number = 1;
    while (*at != '\0') {
        char line[SCRIPT_LINE_BYTES_MAX + 1];
        size_t length = strcspn(at, "\n");
        snprintf(line, sizeof(line), "%.*s", (int)length, at);
        text_add(should_be, at, length);
        text_add(should_be, "\n", 1);
        at += length + (at[length] == '\n');
        size_t blank = strspn(line, " \t");
        size_t recorded_length = recorded_bytes(at);
        if (line[blank] != '\0' && line[blank] != '#') {
            run->report->commands++;
            run_line(run, script, line, number, at, recorded_length);
            text_add(should_be, run->printed.bytes, run->printed.length);
        }
        number++;
        for (const char *skipped = at; skipped < at + recorded_length; skipped++)
            number += *skipped == '\n';
        at += recorded_length;
    }
    run->printed.length = 0;
    if (script_end(script) != SCRIPT_DONE) {
        run->report->failures++;
        fprintf(run->messages, "%s:%u: at the end\n%s", run->path, number, run->printed.bytes);
    }
    run->report->expectations = script->expectations;
    script_destroy(script);
}

int script_file_run(const char *path, bool rewrite, FILE *messages, struct script_report *report) {
    *report = (struct script_report){0};
    struct run run = {.path = path, .messages = messages, .report = report};
    struct text text = {0};
    struct text should_be = {0};
    int result = WEIR_OK;
    if (!read_all(path, &text)) {
        fprintf(messages, "%s: cannot be read, or is larger than %d bytes\n", path, FILE_BYTES_MAX);
        result = WEIR_EIO;
        goto done;
    }
    run_text(&run, text.bytes != NULL ? text.bytes : "", &should_be);
    if (rewrite && report->failures == 0 && report->differences > 0) {
        if (!write_all(path, &should_be)) {
            fprintf(messages, "%s: cannot be written\n", path);
            result = WEIR_EIO;
            goto done;
        }
        fprintf(messages, "%s: recorded anew; read it before you keep it\n", path);
        report->differences = 0;
    }
done:
    free(run.printed.bytes);
    free(text.bytes);
    free(should_be.bytes);
    return result;
}
