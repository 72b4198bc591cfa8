/*
 * weir check-history.  See check_history.h.
 *
 * Happy path: load the files into one history, read the logs, replay the one that would win an
 * election, search key by key (with what replay knows of unknown writes), print, add up verdicts.
 *
 * Failure modes: usage; files that cannot be read. What cannot be judged is undecided, and said.
 */

#include "tools/check_history.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/decimal.h"
#include "sim/committed_commands.h"
#include "sim/linearizable.h"
#include "tools/check_history_files.h"
#include "tools/check_history_log.h"
#include "tools/inspect_report.h"

enum { EXIT_RIGHT = 0, EXIT_WRONG = 1, EXIT_USAGE = 2, EXIT_UNDECIDED = 3 };

/* As many as a configuration has members. */
enum { LOGS_MAX = CONFIGURATION_MEMBERS_MAX };

/* Of one key's different values together: a thousand of the largest that is usual, 1 MiB.  Memory
   that is not needed is not touched. */
enum { VALUE_BYTES = 1024 << 20 };

/* The state of one invocation. Not on the stack: files are many. */
struct checking {
    struct check_file files[CHECK_FILES_MAX];
    uint32_t file_count;
    const char *log_names[LOGS_MAX];
    uint32_t log_count;
    uint64_t steps_max; /* of one key's search; 0: the default */
    struct history history;
    struct check_log logs[LOGS_MAX];
    struct report report;
    enum history_verdict verdict; /* so far */
    const char *undecided;        /* why, in a sentence; the first reason */
};

static void print_usage(FILE *stream) {
    (void)fprintf(stream,
                  "usage: weir check-history FILE... [--log DIR]... [--steps N] [--json]\n\n"
                  "Says whether what clients have recorded (weir bench --history) can have\n"
                  "happened: whether each key's operations have an order that explains every\n"
                  "reply. Several files of one machine are merged.\n\n"
                  "  --log DIR   the data directory of a stopped node; give those of a majority.\n"
                  "              Replays the log, which decides unknown writes and finds\n"
                  "              acknowledged ones that are missing. The files must then hold all\n"
                  "              that was ever written\n"
                  "  --steps N   tries at most N operations for a key (default 20000000)\n"
                  "  --json      prints one JSON object\n"
                  "  --help      this text\n\n"
                  "Exit status: 0 it can have happened, 1 it cannot, 2 usage or a file that\n"
                  "cannot be read, 3 undecided.\n");
}

static int usage_error(const char *what, const char *value) {
    (void)fprintf(stderr,
                  "weir check-history: %s \"%s\"; weir check-history --help shows what it takes\n",
                  what, value);
    return EXIT_USAGE;
}

static int options_parse(int argc, char **argv, struct checking *checking) {
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--json") == 0) {
            checking->report.json = true;
        } else if (strcmp(argv[i], "--log") == 0 && value != NULL) {
            if (checking->log_count == LOGS_MAX)
                return usage_error("more data directories than a cluster has members:", value);
            checking->log_names[checking->log_count++] = value;
            i++;
        } else if (strcmp(argv[i], "--steps") == 0 && value != NULL) {
            if (decimal_parse_u64(value, strlen(value), &checking->steps_max) != 0 ||
                checking->steps_max == 0)
                return usage_error("--steps takes a number from 1, not", value);
            i++;
        } else if (argv[i][0] == '-') {
            return usage_error("do not know what to do with", argv[i]);
        } else if (checking->file_count == CHECK_FILES_MAX) {
            return usage_error("more files than are merged:", argv[i]);
        } else {
            checking->files[checking->file_count++].name = argv[i];
        }
    }
    return checking->file_count == 0 ? usage_error("there is no file to check:", "FILE") : 0;
}

/* ---- Verdicts -------------------------------------------------------------------------------- */

/* A violation is final; what is undecided stays so unless it turns out to be one. */
static void verdict_add(struct checking *checking, enum history_verdict verdict,
                        const char *undecided) {
    if (verdict == HISTORY_WRONG)
        checking->verdict = HISTORY_WRONG;
    if (verdict != HISTORY_UNDECIDED)
        return;
    if (checking->verdict == HISTORY_RIGHT)
        checking->verdict = HISTORY_UNDECIDED;
    if (checking->undecided == NULL)
        checking->undecided = undecided;
}

/* A checker's text, line by line, below its record. */
static void print_explanation(struct report *report, const char *of,
                              const struct kv_model_text *text) {
    const char *at = text->data;
    const char *end = text->data + text->length;
    while (text->length > 0 && at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const int length = (int)((newline == NULL ? end : newline) - at);
        if (!report->json) {
            (void)fprintf(report->stream, "    %.*s\n", length, at);
        } else {
            char *line = strndup(at, (size_t)length);
            ASSERT(line != NULL);
            report_begin(report, "explanation");
            report_text(report, "of", of);
            report_text(report, "line", line);
            report_end(report);
            free(line);
        }
        at += length + 1;
    }
}

/* ---- The history ----------------------------------------------------------------------------- */

static void print_files(struct checking *checking) {
    struct report *report = &checking->report;
    for (uint32_t i = 0; i < checking->file_count; i++) {
        const struct check_file *file = &checking->files[i];
        report_begin(report, "file");
        report_text(report, "name", file->name);
        report_number(report, "operations", file->operation_count);
        report_number(report, "clients_from", file->client_offset);
        report_number(report, "connections_from", file->connection_offset);
        report_end(report);
    }
}

static void print_history(struct checking *checking) {
    struct report *report = &checking->report;
    const struct history *history = &checking->history;
    uint64_t outcomes[HISTORY_UNKNOWN + 1] = {0};
    uint64_t first_ns = HISTORY_NEVER;
    uint64_t last_ns = 0;
    for (uint32_t i = 0; i < history->operation_count; i++) {
        const struct history_operation *operation = &history->operations[i];
        outcomes[operation->outcome]++;
        if (operation->invoked_ns < first_ns)
            first_ns = operation->invoked_ns;
        if (operation->returned_ns != HISTORY_NEVER && operation->returned_ns > last_ns)
            last_ns = operation->returned_ns;
    }
    report_begin(report, "history");
    report_number(report, "operations", history->operation_count);
    report_number(report, "ok", outcomes[HISTORY_OK]);
    report_number(report, "refused", outcomes[HISTORY_REFUSED]);
    report_number(report, "unknown", outcomes[HISTORY_UNKNOWN] + outcomes[HISTORY_PENDING]);
    report_number(report, "milliseconds", last_ns > first_ns ? (last_ns - first_ns) / 1000000 : 0);
    report_end(report);
    if (outcomes[HISTORY_OK] == 0)
        verdict_add(checking, HISTORY_UNDECIDED, "no operation was answered");
}

/* ---- Key by key ------------------------------------------------------------------------------ */

/* `replay`: what it found, if it is right; otherwise NULL. */
static int keys_check(struct checking *checking, const struct replay_report *replay) {
    struct linearizable_options options = linearizable_options_default();
    struct linearizable_report found;
    options.value_bytes = VALUE_BYTES;
    if (checking->steps_max > 0)
        options.steps_max = checking->steps_max;
    if (replay != NULL) {
        options.never_applied = replay->never_applied;
        options.places = replay->places;
    }
    const int error = linearizable_check(&checking->history, &options, &found);
    if (error != 0)
        return error;
    struct report *report = &checking->report;
    report_begin(report, "keys");
    report_text(report, "verdict", history_verdict_name(found.verdict));
    report_number(report, "keys", found.keys);
    report_number(report, "right", found.keys_right);
    report_number(report, "wrong", found.keys_wrong);
    report_number(report, "undecided", found.keys_undecided);
    report_number(report, "not_modelled", found.keys_unmodelled);
    report_number(report, "operations", found.operations);
    report_number(report, "unknown_writes", found.unknown_writes);
    report_number(report, "steps", found.steps);
    report_end(report);
    print_explanation(report, "keys", &found.text);
    kv_model_text_free(&found.text);
    /* Replay has judged the same operations, and more strictly. */
    if (found.verdict != HISTORY_UNDECIDED || replay == NULL)
        verdict_add(checking, found.verdict, "not every key could be judged");
    return 0;
}

/* ---- Replay ---------------------------------------------------------------------------------- */

/* Why the logs cannot judge; NULL if they can. */
static const char *logs_judge(const struct checking *checking, const struct check_log *newest) {
    uint64_t node_ids[LOGS_MAX];
    for (uint32_t i = 0; i < checking->log_count; i++) {
        node_ids[i] = checking->logs[i].node_id;
        if (checking->logs[i].cluster_id != newest->cluster_id)
            return "the logs are of different clusters";
    }
    if (!newest->is_whole)
        return "the log does not begin with entry 1: a snapshot stands for what was before";
    if (!check_log_is_majority(&newest->configuration, node_ids, checking->log_count))
        return "the logs are not those of a majority of the voters: what was committed may be in "
               "another one";
    return NULL;
}

static void print_log(struct checking *checking, const struct check_log *log,
                      const char *directory) {
    struct report *report = &checking->report;
    report_begin(report, "log");
    report_text(report, "directory", directory);
    report_number(report, "node", log->node_id);
    report_range(report, "entries", log->first_index, log->end.index);
    report_number(report, "term", log->end.term);
    report_number(report, "of", checking->log_count);
    report_end(report);
}

static int replay_run(struct checking *checking, const struct check_log *log) {
    struct committed_commands commands;
    struct replay_report found;
    const uint64_t value_bytes_max = linearizable_options_default().value_bytes_max;
    committed_commands_collect(check_log_entry, log, log->end.index, NULL, NULL, &commands);
    if (commands.not_known > 0) {
        verdict_add(checking, HISTORY_UNDECIDED, "the log is not one of machine kv");
        committed_commands_free(&commands);
        return keys_check(checking, NULL);
    }
    int error = replay_check(&checking->history, commands.commands, commands.count, value_bytes_max,
                             &found);
    if (error == 0) {
        struct report *report = &checking->report;
        report_begin(report, "replay");
        report_text(report, "verdict", history_verdict_name(found.verdict));
        report_number(report, "writes", found.writes);
        report_number(report, "reads", found.reads);
        report_number(report, "unknown_applied", found.unknown_applied);
        report_number(report, "unknown_absent", found.unknown_absent);
        report_number(report, "not_judged", found.not_judged);
        report_number(report, "once_repeated", commands.once_repeated);
        report_end(report);
        print_explanation(report, "replay", &found.text);
        verdict_add(checking, found.verdict, "replay of the log is undecided");
        error = keys_check(checking, found.verdict == HISTORY_RIGHT ? &found : NULL);
        replay_free(&found);
    }
    committed_commands_free(&commands);
    return error;
}

/* Reads the logs, and has the one judge that would win an election. */
static int replay(struct checking *checking, struct error_text *error_text) {
    uint32_t newest = 0;
    for (uint32_t i = 0; i < checking->log_count; i++) {
        struct error_text reason = {{0}};
        const int error = check_log_read(&checking->logs[i], checking->log_names[i], &reason);
        if (error != 0) {
            error_text_set(error_text, "%s: %s", checking->log_names[i], reason.text);
            return error;
        }
        if (check_log_is_newer(&checking->logs[i], &checking->logs[newest]))
            newest = i;
    }
    const struct check_log *log = &checking->logs[newest];
    print_log(checking, log, checking->log_names[newest]);
    const char *cannot = logs_judge(checking, log);
    if (cannot == NULL)
        return replay_run(checking, log);
    verdict_add(checking, HISTORY_UNDECIDED, cannot);
    return keys_check(checking, NULL);
}

/* ---- All of it ------------------------------------------------------------------------------- */

static int check(struct checking *checking, struct error_text *error_text) {
    struct report *report = &checking->report;
    int error =
        check_files_load(checking->files, checking->file_count, &checking->history, error_text);
    if (error != 0)
        return error;
    if (report->json)
        (void)fprintf(report->stream, "{\"records\":[");
    print_files(checking);
    print_history(checking);
    error = checking->log_count > 0 ? replay(checking, error_text) : keys_check(checking, NULL);
    if (error == 0) {
        report_begin(report, "verdict");
        report_text(report, "verdict", history_verdict_name(checking->verdict));
        if (checking->undecided != NULL)
            report_text(report, "undecided", checking->undecided);
        report_end(report);
    }
    if (report->json)
        (void)fprintf(report->stream, "\n],\"verdict\":\"%s\"}\n",
                      error == 0 ? history_verdict_name(checking->verdict) : "none");
    history_destroy(&checking->history);
    return error;
}

static int exit_status(enum history_verdict verdict) {
    switch (verdict) {
    case HISTORY_RIGHT: return EXIT_RIGHT;
    case HISTORY_WRONG: return EXIT_WRONG;
    case HISTORY_UNDECIDED: return EXIT_UNDECIDED;
    }
    UNREACHABLE("every verdict has a status");
}

int check_history_main(int argc, char **argv) {
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        print_usage(stdout);
        return EXIT_RIGHT;
    }
    struct checking *checking = calloc(1, sizeof(*checking));
    if (checking == NULL) {
        (void)fprintf(stderr, "weir check-history: no memory\n");
        return EXIT_USAGE;
    }
    checking->report.stream = stdout;
    int status = options_parse(argc, argv, checking);
    if (status == 0) {
        struct error_text error_text = {{0}};
        const int error = check(checking, &error_text);
        status = exit_status(checking->verdict);
        if (error != 0 || fflush(stdout) != 0) {
            (void)fprintf(stderr, "weir check-history: %s\n",
                          error_text.text[0] != '\0' ? error_text.text
                          : error != 0               ? error_name(error)
                                                     : "the report cannot be written");
            status = EXIT_USAGE;
        }
        for (uint32_t i = 0; i < checking->log_count; i++)
            check_log_free(&checking->logs[i]);
    }
    free(checking);
    return status;
}
