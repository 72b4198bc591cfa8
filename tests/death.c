/* fork, a pipe for standard error, read to its end, waitpid. Fails only with the host. */

#include "tests/death.h"

#include "tests/cmocka_wrapper.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

static void death_child(void (*action)(void *), void *context, int output) {
    const struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    signal(SIGABRT, SIG_DFL); /* cmocka and the sanitizers may have handlers */
    if (dup2(output, STDERR_FILENO) < 0)
        _exit(126);
    close(output);
    action(context);
    _exit(0);
}

void death_run(void (*action)(void *context), void *context, struct death *death) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(ends[0]);
        death_child(action, context, ends[1]);
    }
    close(ends[1]);

    size_t length_bytes = 0;
    char surplus[512]; /* read on when the text is full: the child must not block on the pipe */
    for (;;) {
        const size_t room_bytes = sizeof(death->text) - 1 - length_bytes;
        char *to = room_bytes > 0 ? death->text + length_bytes : surplus;
        ssize_t count = read(ends[0], to, room_bytes > 0 ? room_bytes : sizeof(surplus));
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            break;
        if (room_bytes > 0)
            length_bytes += (size_t)count;
    }
    death->text[length_bytes] = '\0';
    close(ends[0]);

    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    death->exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    death->signal_number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

void death_expect_abort(void (*action)(void *context), void *context, const char *expected) {
    struct death death;
    death_run(action, context, &death);
    assert_int_equal(death.signal_number, SIGABRT);
    if (strstr(death.text, expected) == NULL)
        fail_msg("expected \"%s\" in: %s", expected, death.text);
}
