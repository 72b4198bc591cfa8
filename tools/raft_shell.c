/*
 * raft_shell: the consensus core by hand.
 *
 * The happy path: lines of the scenario language (sim/raft_script.h) are read from a terminal, a
 * pipe or files, and what the cores do is printed.
 *
 * Failure modes: on a terminal a mistake is explained and the next line is asked for; otherwise it
 * is named with its line, and the exit status says it: 1 something failed, 2 wrong usage.
 */

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sim/raft_script.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, LINE_BYTES_MAX = 1024 };

static const char usage[] =
    "usage: raft_shell [--check | --record] [FILE...]\n"
    "\n"
    "Drives a cluster of consensus cores in memory, line by line, and prints each step.\n"
    "\n"
    "  raft_shell                 asks for lines; `help` lists the commands, `quit` ends it\n"
    "  raft_shell FILE...         executes the lines of scenario files and prints what happens\n"
    "  raft_shell < FILE          the same from standard input\n"
    "  raft_shell --check FILE... compares what happens with what is recorded in the files\n"
    "  raft_shell --record FILE.. records what happens in the files, unless something failed\n"
    "\n"
    "Exit status: 0 all went well, 1 something expected or safety failed, 2 wrong usage.\n"
    "\n"
    "Try: nodes 3, elect 1, propose 1 \"a\", settle, status\n";

static void print(void *context, const char *line) {
    (void)context;
    puts(line);
}

/* True for the words that end a session. */
static bool is_quit(const char *line) {
    return strcmp(line, "quit\n") == 0 || strcmp(line, "exit\n") == 0 ||
           strcmp(line, "quit") == 0 || strcmp(line, "exit") == 0;
}

/* Executes the lines of a stream.  What is recorded in it is not compared. */
static int run_stream(FILE *stream, const char *name, bool ask) {
    struct script *script = script_create(print, NULL);
    int status = EXIT_DONE;
    char line[LINE_BYTES_MAX];
    for (unsigned number = 1;; number++) {
        if (ask) {
            fputs("raft> ", stdout);
            fflush(stdout);
        }
        if (fgets(line, sizeof(line), stream) == NULL || is_quit(line))
            break;
        if (line[0] == '>')
            continue;
        if (!ask)
            fputs(line, stdout);
        if (script_line(script, line) != SCRIPT_DONE) {
            status = EXIT_FAILED;
            if (!ask)
                fprintf(stderr, "raft_shell: %s:%u: %s", name, number, line);
        }
    }
    if (script_end(script) != SCRIPT_DONE)
        status = EXIT_FAILED;
    script_destroy(script);
    return ask ? EXIT_DONE : status;
}

static int run_file(const char *path) {
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        fprintf(stderr, "raft_shell: %s cannot be read\n", path);
        return EXIT_FAILED;
    }
    int status = run_stream(file, path, false);
    fclose(file);
    return status;
}

/* Compares or records one scenario. */
static int check_file(const char *path, bool record) {
    struct script_report report;
    if (script_file_run(path, record, stderr, &report) != 0)
        return EXIT_FAILED;
    bool good = report.failures == 0 && report.differences == 0;
    printf("%s: %u commands, %u expectations, %s\n", path, report.commands, report.expectations,
           good ? "as expected" : "FAILED");
    return good ? EXIT_DONE : EXIT_FAILED;
}

int main(int argument_count, char **arguments) {
    bool check = argument_count > 1 && strcmp(arguments[1], "--check") == 0;
    bool record = argument_count > 1 && strcmp(arguments[1], "--record") == 0;
    if (argument_count > 1 && strcmp(arguments[1], "--help") == 0) {
        fputs(usage, stdout);
        return EXIT_DONE;
    }
    int first = check || record ? 2 : 1;
    if ((first == 2 && argument_count == 2) ||
        (first < argument_count && arguments[first][0] == '-')) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    if (argument_count == 1)
        return run_stream(stdin, "standard input", isatty(STDIN_FILENO) == 1);
    int status = EXIT_DONE;
    for (int i = first; i < argument_count; i++) {
        int one = first == 2 ? check_file(arguments[i], record) : run_file(arguments[i]);
        status = one != EXIT_DONE ? one : status;
    }
    return status;
}
