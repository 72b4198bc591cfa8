/*
 * Replays a corpus through a fuzz target, in every build that is not the fuzz preset:
 *
 *     fuzz_NAME FILE-OR-DIRECTORY...
 *
 * Each file is handed once to LLVMFuzzerTestOneInput, in memory of exactly its size, so that the
 * address sanitizer sees one byte too far. The order is that of the names. Ends with the number of
 * inputs; none at all is a failure, since a test over nothing cannot fail.
 */

#include "base/assert.h"

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* libFuzzer's own name for the target; returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static _Noreturn void replay_fail(const char *path, const char *what) {
    fprintf(stderr, "fuzz_replay: %s: %s: %s\n", path, what, strerror(errno));
    exit(EXIT_FAILURE);
}

static size_t replay_file(const char *path) {
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        replay_fail(path, "cannot open");
    struct stat status;
    if (fstat(fileno(file), &status) != 0)
        replay_fail(path, "cannot stat");

    const size_t size = (size_t)status.st_size;
    uint8_t *data = malloc(size);
    if (data == NULL && size > 0)
        replay_fail(path, "no memory");
    if (size > 0 && fread(data, 1, size, file) != size)
        replay_fail(path, "cannot read");
    fclose(file);

    fprintf(stderr, "replay %s (%zu bytes)\n", path, size); /* names the input that crashes */
    int result = LLVMFuzzerTestOneInput(data, size);
    ASSERT(result == 0);
    free(data);
    return 1;
}

static int replay_is_visible(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

static size_t replay_directory(const char *directory) {
    struct dirent **entries;
    int entry_count = scandir(directory, &entries, replay_is_visible, alphasort);
    if (entry_count < 0)
        replay_fail(directory, "cannot list");

    size_t input_count = 0;
    for (int i = 0; i < entry_count; i++) {
        char path[4096];
        int length = snprintf(path, sizeof(path), "%s/%s", directory, entries[i]->d_name);
        ASSERT(length > 0 && (size_t)length < sizeof(path));
        input_count += replay_file(path);
        free(entries[i]);
    }
    free(entries);
    return input_count;
}

int main(int argc, char **argv) {
    size_t input_count = 0;
    for (int i = 1; i < argc; i++) {
        struct stat status;
        if (stat(argv[i], &status) != 0)
            replay_fail(argv[i], "cannot stat");
        input_count += S_ISDIR(status.st_mode) ? replay_directory(argv[i]) : replay_file(argv[i]);
    }
    printf("%zu inputs replayed\n", input_count);
    return input_count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
