/* Edits of a plan as options.  See tools/sim_edit.h. */

#include "tools/sim_edit.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/decimal.h"

enum {
    UNTIL_MS_MAX = 1000 * 1000,
    CLIENTS_MAX = CLUSTER_CLIENTS_MAX,
    DECIMALS = 3, /* of seconds */
};

/* ---- from options -------------------------------------------------------------------------- */

static bool number_parse(const char *text, size_t length, uint64_t max, uint64_t *number) {
    return decimal_parse_u64(text, length, number) == 0 && *number >= 1 && *number <= max;
}

/* "3,7..9" or "none": marks these. */
static bool list_parse(const char *text, bool marked[SWARM_ACTIONS_MAX]) {
    memset(marked, 0, SWARM_ACTIONS_MAX * sizeof(marked[0]));
    if (strcmp(text, "none") == 0) {
        return true;
    }
    for (;;) {
        size_t length = strcspn(text, ",");
        const char *dots = strstr(text, "..");
        bool range = dots != NULL && (size_t)(dots - text) < length;
        size_t first_length = range ? (size_t)(dots - text) : length;
        uint64_t first;
        uint64_t last;
        if (!number_parse(text, first_length, SWARM_ACTIONS_MAX, &first)) {
            return false;
        }
        last = first;
        if (range &&
            (!number_parse(dots + 2, length - first_length - 2, SWARM_ACTIONS_MAX, &last) ||
             last < first)) {
            return false;
        }
        for (uint64_t i = first; i <= last; i++) {
            marked[i - 1] = true;
        }
        if (text[length] == '\0') {
            return true;
        }
        text += length + 1;
    }
}

/* Seconds with up to three decimals, as milliseconds. */
static bool seconds_parse(const char *text, uint64_t *ms) {
    size_t whole = strcspn(text, ".");
    uint64_t seconds;
    uint64_t part = 0;
    if (decimal_parse_u64(text, whole, &seconds) != 0 || seconds > UNTIL_MS_MAX / 1000) {
        return false;
    }
    if (text[whole] == '.') {
        char digits[DECIMALS + 1] = "000";
        size_t count = strlen(text + whole + 1);
        if (count < 1 || count > DECIMALS) {
            return false;
        }
        memcpy(digits, text + whole + 1, count);
        /* "050" is 50: decimal_parse_u64 takes no zeros in front. */
        size_t zeros = strspn(digits, "0");
        if (zeros < DECIMALS && decimal_parse_u64(digits + zeros, DECIMALS - zeros, &part) != 0) {
            return false;
        }
    }
    *ms = seconds * 1000 + part;
    return *ms > 0;
}

static bool value_parse(const char *name, const char *value, struct swarm_edit *edit) {
    bool marked[SWARM_ACTIONS_MAX];
    uint64_t number = 0;
    if (strcmp(name, "--only") == 0 || strcmp(name, "--without") == 0) {
        bool only = strcmp(name, "--only") == 0;
        if (!list_parse(value, marked)) {
            return false;
        }
        for (uint32_t i = 0; i < SWARM_ACTIONS_MAX; i++) {
            edit->left_out[i] |= marked[i] != only;
        }
        return true;
    }
    if (strcmp(name, "--until") == 0) {
        return seconds_parse(value, &edit->until_ms);
    }
    if (strcmp(name, "--first-nodes") == 0) {
        bool good = number_parse(value, strlen(value), SWARM_NODES_MAX, &number);
        edit->nodes = (uint32_t)number;
        return good;
    }
    ASSERT(strcmp(name, "--clients") == 0);
    bool good = number_parse(value, strlen(value), CLIENTS_MAX, &number);
    edit->clients = (uint32_t)number;
    return good;
}

enum sim_edit_option sim_edit_parse(const char *name, const char *value, struct swarm_edit *edit,
                                    bool *has_value) {
    static const char *const valued[] = {"--only", "--without", "--until", "--first-nodes",
                                         "--clients"};
    *has_value = false;
    if (strcmp(name, "--calm") == 0) {
        edit->calm = true;
        return SIM_EDIT_TAKEN;
    }
    if (strcmp(name, "--plain") == 0) {
        edit->plain = true;
        return SIM_EDIT_TAKEN;
    }
    for (size_t i = 0; i < sizeof(valued) / sizeof(valued[0]); i++) {
        if (strcmp(name, valued[i]) == 0) {
            *has_value = true;
            return value != NULL && value_parse(name, value, edit) ? SIM_EDIT_TAKEN
                                                                   : SIM_EDIT_VALUE_WRONG;
        }
    }
    return SIM_EDIT_NOT_MINE;
}

/* ---- to options ---------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static void add(char *text, size_t text_bytes,
                                                      const char *format, ...) {
    size_t used = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text + used, text_bytes - used, format, arguments);
    va_end(arguments);
    ASSERT(length >= 0 && (size_t)length < text_bytes - used);
}

/* Those that are left out, or those that are not: whichever are fewer. */
static void list_print(const struct swarm_edit *edit, uint32_t count, char *text,
                       size_t text_bytes) {
    uint32_t left_out = 0;
    for (uint32_t i = 0; i < count; i++) {
        left_out += edit->left_out[i];
    }
    if (left_out == 0) {
        return;
    }
    bool only = 2 * left_out > count;
    const char *between = only ? " --only " : " --without ";
    if (left_out == count) {
        add(text, text_bytes, " --only none");
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t last = i;
        if (edit->left_out[i] == only) {
            continue;
        }
        while (last + 1 < count && edit->left_out[last + 1] != only) {
            last++;
        }
        add(text, text_bytes, last == i ? "%s%u" : "%s%u..%u", between, i + 1, last + 1);
        between = ",";
        i = last;
    }
}

bool sim_edit_any(const struct swarm_edit *edit) {
    static const struct swarm_edit none;
    return memcmp(edit->left_out, none.left_out, sizeof(none.left_out)) != 0 ||
           edit->until_ms != 0 || edit->nodes != 0 || edit->clients != 0 || edit->calm ||
           edit->plain;
}

void sim_edit_print(const struct swarm_edit *edit, const struct swarm_plan *drawn, char *text,
                    size_t text_bytes) {
    ASSERT(text_bytes > 0);
    text[0] = '\0';
    list_print(edit, drawn->action_count, text, text_bytes);
    if (edit->until_ms != 0) {
        add(text, text_bytes, " --until %" PRIu64 ".%03" PRIu64, edit->until_ms / 1000,
            edit->until_ms % 1000);
    }
    if (edit->nodes != 0) {
        add(text, text_bytes, " --first-nodes %u", edit->nodes);
    }
    if (edit->clients != 0) {
        add(text, text_bytes, " --clients %u", edit->clients);
    }
    add(text, text_bytes, "%s%s", edit->calm ? " --calm" : "", edit->plain ? " --plain" : "");
}
