/*
 * weir inspect.  See tools/inspect.h.
 *
 * Happy path: open and lock the directory, list it, hand each sort of file to its part
 * (inspect_files.c, inspect_log.c), close the report.
 *
 * Failure modes: a wrong option; a directory that is not there or whose node runs.
 */

#include "tools/inspect.h"

#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"
#include "storage/files.h"
#include "tools/inspect_files.h"

enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };

static void print_usage(FILE *stream) {
    (void)fprintf(stream,
                  "usage: weir inspect --data DIR [--entries] [--index A..B] [--json]\n\n"
                  "Prints and verifies a data directory: identity, term and vote,\n"
                  "incarnations, snapshots, log.\n"
                  "Changes nothing. The node must not be running.\n\n"
                  "  --data DIR    the data directory\n"
                  "  --entries     prints every entry too\n"
                  "  --index A..B  prints the entries A to B\n"
                  "  --json        prints one JSON object\n"
                  "  --help        this text\n\n"
                  "Exit status: 0 all is well, 1 damage was found or nothing could be read, "
                  "2 usage.\n");
}

static int usage_error(const char *what, const char *value) {
    (void)fprintf(stderr, "weir inspect: %s \"%s\"; weir inspect --help shows what it takes\n",
                  what, value);
    return EXIT_USAGE;
}

/* ---- options ------------------------------------------------------------------------------ */

/* "A..B" */
static bool range_parse(const char *text, struct inspection *inspection) {
    const char *dots = strstr(text, "..");
    return dots != NULL &&
           decimal_parse_u64(text, (size_t)(dots - text), &inspection->entry_first) == 0 &&
           decimal_parse_u64(dots + 2, strlen(dots + 2), &inspection->entry_last) == 0 &&
           inspection->entry_first <= inspection->entry_last;
}

static int options_parse(int argc, char **argv, struct inspection *inspection, const char **data) {
    inspection->entry_last = UINT64_MAX;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--entries") == 0) {
            inspection->entries = true;
        } else if (strcmp(argv[i], "--json") == 0) {
            inspection->report.json = true;
        } else if (strcmp(argv[i], "--data") == 0 && value != NULL) {
            *data = value;
            i++;
        } else if (strcmp(argv[i], "--index") == 0 && value != NULL) {
            if (!range_parse(value, inspection))
                return usage_error("--index takes A..B, not", value);
            inspection->entries = true;
            i++;
        } else {
            return usage_error("do not know what to do with", argv[i]);
        }
    }
    return *data == NULL ? usage_error("the option is missing:", "--data") : 0;
}

/* ---- the directory ------------------------------------------------------------------------ */

static uint32_t ascending_insert(uint64_t *numbers, uint32_t count, uint64_t number) {
    if (count == INSPECT_FILES_MAX)
        return count;
    uint32_t at = count;
    while (at > 0 && numbers[at - 1] > number) {
        numbers[at] = numbers[at - 1];
        at--;
    }
    numbers[at] = number;
    return count + 1;
}

static void note_file(void *context, const char *name, uint64_t size_bytes,
                      enum io_entry_sort sort) {
    struct inspection *inspection = context;
    (void)size_bytes;
    (void)sort; /* what is no regular file is refused, and so reported, when it is opened */
    const uint64_t segment = segment_name_number(name);
    const uint64_t snapshot = snapshot_name_index(name);
    if (segment != 0)
        inspection->segment_count =
            ascending_insert(inspection->segments, inspection->segment_count, segment);
    if (snapshot != 0)
        inspection->snapshot_count =
            ascending_insert(inspection->snapshots, inspection->snapshot_count, snapshot);
}

static int directory_inspect(struct inspection *inspection) {
    inspection->segments = calloc(INSPECT_FILES_MAX, sizeof(uint64_t));
    inspection->snapshots = calloc(INSPECT_FILES_MAX, sizeof(uint64_t));
    int result = inspection->segments == NULL || inspection->snapshots == NULL ? WEIR_ENOMEM : 0;
    if (result == 0)
        result = io_directory_list(inspection->io, inspection->directory, note_file, inspection);
    if (result == 0)
        result = io_port_create(inspection->io, &inspection->port, FILES_OPERATIONS_MAX);
    if (result == 0) {
        report_open(&inspection->report);
        inspect_identity(inspection);
        inspect_vote(inspection);
        inspect_incarnations(inspection);
        inspect_snapshots(inspection);
        inspect_log(inspection);
        inspect_agreement(inspection);
        report_close(&inspection->report);
        io_port_destroy(inspection->port);
    }
    free(inspection->segments);
    free(inspection->snapshots);
    return result;
}

static int inspect_run(struct inspection *inspection, const char *data, struct error_text *error) {
    int result = io_directory_open(inspection->io, data, false, &inspection->directory, error);
    if (result != 0)
        return result;
    result = io_directory_lock(inspection->io, inspection->directory, error);
    if (result == 0)
        result = directory_inspect(inspection);
    io_close(inspection->io, inspection->directory);
    return result;
}

int inspect_main(int argc, char **argv) {
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        print_usage(stdout);
        return 0;
    }
    struct inspection inspection = {.report = {.stream = stdout}};
    const char *data = NULL;
    const int usage = options_parse(argc, argv, &inspection, &data);
    if (usage != 0)
        return usage;
    const struct io_options io_options = {
        .submissions_max = 64, .completions_max = 128, .features_allowed = IO_FEATURES_ALL};
    struct error_text error = {{0}};
    int result = io_create(&inspection.io, &io_options, &error);
    if (result == 0) {
        result = inspect_run(&inspection, data, &error);
        io_destroy(inspection.io);
    }
    if (result != 0) {
        (void)fprintf(stderr, "weir inspect: %s: %s\n", data,
                      error.text[0] != '\0' ? error.text : error_name(result));
        return EXIT_FAILED;
    }
    return inspection.report.damage_count == 0 && fflush(stdout) == 0 ? 0 : EXIT_FAILED;
}
