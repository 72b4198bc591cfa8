/*
 * Every scenario of tests/scenarios: its expectations hold, and it prints what is recorded.
 *
 *   test_raft_scenarios            all of them
 *   test_raft_scenarios WORD       those whose file name contains the word
 *   WEIR_SCENARIO_REWRITE=1        what they print is recorded anew; read the difference
 *
 * Each runs in a process of its own, so that an assertion of the core fails one of them.
 */

#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim/raft_script.h"

/* A scenario that says so little is one that somebody forgot to finish. */
enum { EXPECTATIONS_MIN = 2 };

/* In the child: exit status 0 if all went well. */
static int run(const char *path, bool rewrite) {
    struct script_report report;
    if (script_file_run(path, rewrite, stderr, &report) != 0)
        return 1;
    if (report.expectations < EXPECTATIONS_MIN) {
        fprintf(stderr, "%s: only %u expectations: say what must hold\n", path,
                report.expectations);
        return 1;
    }
    return report.failures == 0 && report.differences == 0 ? 0 : 1;
}

/* True if the scenario went well. */
static bool run_apart(const char *path, bool rewrite) {
    fflush(NULL);
    pid_t child = fork();
    if (child < 0) {
        perror("fork");
        return false;
    }
    if (child == 0) {
        int status = run(path, rewrite);
        fflush(NULL);
        _exit(status);
    }
    int status = 0;
    if (waitpid(child, &status, 0) != child)
        return false;
    if (WIFSIGNALED(status))
        fprintf(stderr, "%s: ended by signal %d\n", path, WTERMSIG(status));
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(int argument_count, char **arguments) {
    const char *root = getenv("WEIR_SOURCE_DIR");
    const char *rewriting = getenv("WEIR_SCENARIO_REWRITE");
    bool rewrite = rewriting != NULL && strcmp(rewriting, "1") == 0;
    char pattern[4096];
    snprintf(pattern, sizeof(pattern), "%s/tests/scenarios/*%s*.txt", root != NULL ? root : ".",
             argument_count > 1 ? arguments[1] : "");
    glob_t found;
    if (glob(pattern, 0, NULL, &found) != 0 || found.gl_pathc == 0) {
        fprintf(stderr, "no scenario fits %s\n", pattern);
        return 1;
    }
    size_t failures = 0;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        bool good = run_apart(found.gl_pathv[i], rewrite);
        printf("[%s] %s\n", good ? "  OK  " : "FAILED", strrchr(found.gl_pathv[i], '/') + 1);
        failures += !good;
    }
    printf("%zu scenarios, %zu failed\n", found.gl_pathc, failures);
    globfree(&found);
    return failures == 0 ? 0 : 1;
}
