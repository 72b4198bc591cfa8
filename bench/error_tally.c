/*
 * Errors are rare or all alike, so a row is found by comparing names from the first row on.
 * Nothing can fail; what has no room is cut (texts) or counted as "other" (kinds).
 */
#include "bench/error_tally.h"

#include <string.h>

#include "base/assert.h"

/* Foreign bytes end up on a terminal and in JSON: only printable ASCII is kept. */
static void copy_printable(char *to, size_t room_bytes, const char *from, size_t length_bytes) {
    ASSERT(room_bytes > 0);
    size_t length = length_bytes < room_bytes - 1 ? length_bytes : room_bytes - 1;
    for (size_t i = 0; i < length; i++)
        to[i] = from[i] >= ' ' && from[i] <= '~' ? from[i] : '?';
    to[length] = 0;
}

static struct error_kind *find_or_create(struct error_tally *tally, const char *name) {
    char cut[ERROR_TALLY_NAME_BYTES];
    copy_printable(cut, sizeof cut, name, strlen(name));
    for (uint32_t i = 0; i < tally->kinds_used; i++) {
        if (strcmp(tally->kinds[i].name, cut) == 0)
            return &tally->kinds[i];
    }
    if (tally->kinds_used == ERROR_TALLY_KIND_COUNT_MAX)
        return &tally->kinds[ERROR_TALLY_KIND_COUNT_MAX - 1];
    struct error_kind *kind = &tally->kinds[tally->kinds_used++];
    if (tally->kinds_used == ERROR_TALLY_KIND_COUNT_MAX)
        copy_printable(cut, sizeof cut, "other", strlen("other"));
    memcpy(kind->name, cut, sizeof cut);
    return kind;
}

void error_tally_reset(struct error_tally *tally) {
    memset(tally, 0, sizeof *tally);
}

void error_tally_add(struct error_tally *tally, const char *name, uint64_t count,
                     const char *example, size_t example_bytes) {
    if (count == 0)
        return;
    struct error_kind *kind = find_or_create(tally, name);
    if (kind->count == 0)
        copy_printable(kind->example, sizeof kind->example, example, example_bytes);
    kind->count += count;
    tally->count += count;
}

void error_tally_add_reply(struct error_tally *tally, const char *text, size_t length_bytes) {
    char name[ERROR_TALLY_NAME_BYTES];
    size_t length = 0;
    while (length < length_bytes && length < sizeof name - 1 && text[length] >= 'A' &&
           text[length] <= 'Z')
        length++;
    memcpy(name, text, length);
    name[length] = 0;
    error_tally_add(tally, length > 0 ? name : "unnamed", 1, text, length_bytes);
}

void error_tally_merge(struct error_tally *into, const struct error_tally *from) {
    ASSERT(into != from);
    for (uint32_t i = 0; i < from->kinds_used; i++) {
        const struct error_kind *kind = &from->kinds[i];
        error_tally_add(into, kind->name, kind->count, kind->example, strlen(kind->example));
    }
}
