/*
 * See tools/status_file.h.
 *
 * Happy path: compose, write under another name, rename; or look through the directory, read,
 * compare the first line.
 *
 * Failure modes: no shared memory, or no room there: there is no file, and weir status asks the
 * node, which does not answer.  A file of a process that is gone: it is passed over.
 */

#include "tools/status_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/decimal.h"
#include "stages/connection_run.h"

static const char directory_path[] = "/dev/shm";
static const char name_prefix[] = "weir-";
static const char name_suffix[] = ".status";
static const char first_line[] = "listen:";

static void path_make(const char *gauge_path, const char *more, char out[STATUS_FILE_PATH_BYTES]) {
    int length = snprintf(out, STATUS_FILE_PATH_BYTES, "%s%s%s", gauge_path, name_suffix, more);
    ASSERT(length > 0 && length < STATUS_FILE_PATH_BYTES);
}

void status_file_write(const char *gauge_path, struct node *node, const struct config *config) {
    static char text[STATUS_TEXT_BYTES]; /* the main thread's */
    char path[STATUS_FILE_PATH_BYTES];
    char part[STATUS_FILE_PATH_BYTES];
    char address[CONFIG_HOST_BYTES_MAX + 16];
    if (gauge_path[0] == '\0') {
        return;
    }
    config_address(config, address);
    int head = snprintf(text, sizeof(text), "%s%s\r\n", first_line, address);
    ASSERT(head > 0 && (size_t)head < sizeof(text) / 2);
    struct stage_moment moment = {.monotonic_ns = clock_monotonic_ns(), .wall_ms = clock_wall_ms()};
    size_t length = (size_t)head +
                    connection_info_status(node, &moment, text + head, sizeof(text) - (size_t)head);
    path_make(gauge_path, "", path);
    path_make(gauge_path, ".new", part);
    int file = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (file < 0) {
        return;
    }
    bool written = write(file, text, length) == (ssize_t)length;
    (void)close(file);
    if (!written || rename(part, path) != 0) {
        (void)unlink(part);
    }
}

void status_file_remove(const char *gauge_path) {
    char path[STATUS_FILE_PATH_BYTES];
    if (gauge_path[0] != '\0') {
        path_make(gauge_path, "", path);
        (void)unlink(path);
    }
}

/* Whether a name is that of such a file, and of a process that lives. */
static bool name_counts(const char *name) {
    const char *dash = strrchr(name, '-');
    if (strncmp(name, name_prefix, sizeof(name_prefix) - 1) != 0 || dash == NULL) {
        return false;
    }
    int64_t pid = 0;
    size_t digits = strspn(dash + 1, "0123456789");
    return strcmp(dash + 1 + digits, name_suffix) == 0 &&
           decimal_parse_i64(dash + 1, digits, &pid) == WEIR_OK && pid > 0 &&
           (kill((pid_t)pid, 0) == 0 || errno == EPERM);
}

/* Whether the text is of a node that listens there. */
static bool listens_at(const char *text, const struct config_place *place) {
    static const char *const everywhere[] = {"0.0.0.0", "[::]", "::"};
    char exact[CONFIG_HOST_BYTES_MAX + 16];
    char port[8];
    if (strncmp(text, first_line, sizeof(first_line) - 1) != 0) {
        return false;
    }
    const char *address = text + sizeof(first_line) - 1;
    size_t length = strcspn(address, "\r\n");
    config_place_text(place, exact);
    if (strlen(exact) == length && memcmp(exact, address, length) == 0) {
        return true;
    }
    (void)snprintf(port, sizeof(port), ":%u", place->port);
    for (size_t i = 0; i < sizeof(everywhere) / sizeof(everywhere[0]); i++) {
        size_t host = strlen(everywhere[i]);
        if (length == host + strlen(port) && memcmp(address, everywhere[i], host) == 0 &&
            memcmp(address + host, port, strlen(port)) == 0) {
            return true;
        }
    }
    return false;
}

bool status_file_find(const struct config_place *place, char out[STATUS_TEXT_BYTES]) {
    DIR *directory = opendir(directory_path);
    bool found = false;
    if (directory == NULL) {
        return false;
    }
    for (struct dirent *entry; !found && (entry = readdir(directory)) != NULL;) {
        if (!name_counts(entry->d_name)) {
            continue;
        }
        int file = openat(dirfd(directory), entry->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (file < 0) {
            continue; /* it serves now */
        }
        ssize_t length = read(file, out, STATUS_TEXT_BYTES - 1);
        (void)close(file);
        out[length > 0 ? length : 0] = '\0';
        found = listens_at(out, place);
    }
    (void)closedir(directory);
    return found;
}
