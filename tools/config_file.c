/*
 * The configuration file: lines to keys and values.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "tools/config.h"

static int hex_digit(char digit) {
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'a' && digit <= 'f') {
        return digit - 'a' + 10;
    }
    return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

/* Undoes the quoting that begins at *from, in place; *from is then behind it. */
static int unquote(char **from, char **value, struct error_text *error) {
    char quote = **from;
    char *read = *from + 1;
    char *write = read;
    *value = read;
    for (; *read != quote; read++) {
        if (*read == '\0') {
            error_text_set(error, "the quote %c is not closed", quote);
            return WEIR_EINVAL;
        }
        if (*read != '\\' || quote == '\'') {
            *write++ = *read;
            continue;
        }
        read++;
        switch (*read) {
        case 'n': *write++ = '\n'; break;
        case 'r': *write++ = '\r'; break;
        case 't': *write++ = '\t'; break;
        case '"': *write++ = '"'; break;
        case '\\': *write++ = '\\'; break;
        case 'x': {
            int high = hex_digit(read[1]);
            int low = high < 0 ? -1 : hex_digit(read[2]);
            if (low < 0 || high * 16 + low == 0) {
                error_text_set(error, "\\x needs two hexadecimal digits, not both 0");
                return WEIR_EINVAL;
            }
            *write++ = (char)(high * 16 + low);
            read += 2;
            break;
        }
        default:
            error_text_set(error, "\\%c is no escape; expected \\n \\r \\t \\\" \\\\ or \\xHH",
                           *read == '\0' ? ' ' : *read);
            return WEIR_EINVAL;
        }
    }
    *write = '\0';
    *from = read + 1;
    return 0;
}

int config_line_split(char *line, char **key, char **value, struct error_text *error) {
    static const char blanks[] = " \t\r\n";
    char *start = line + strspn(line, blanks);
    if (*start == '\0' || *start == '#') {
        return 0;
    }
    char *key_end = start + strcspn(start, blanks);
    char *rest = key_end + strspn(key_end, blanks);
    if (*rest == '\0') {
        *key_end = '\0';
        error_text_set(error, "the key \"%s\" has no value; an empty one is written \"\"", start);
        return WEIR_EINVAL;
    }
    if (*rest == '"' || *rest == '\'') {
        int status = unquote(&rest, value, error);
        if (status != 0) {
            return status;
        }
    } else {
        *value = rest;
        rest += strcspn(rest, blanks);
    }
    if (rest[strspn(rest, blanks)] != '\0') {
        error_text_set(error, "more than one value; quote a value that has blanks");
        return WEIR_EINVAL;
    }
    *rest = '\0';
    *key_end = '\0';
    *key = start;
    return 1;
}

static int config_read_line(struct config *config, char *line, const char *where,
                            struct error_text *error) {
    char *key = NULL;
    char *value = NULL;
    struct error_text wrong = {.text = ""};
    int status = config_line_split(line, &key, &value, &wrong);
    if (status < 0) {
        error_text_set(error, "%s: %s", where, wrong.text);
        return status;
    }
    return status == 0 ? 0 : config_set(config, key, value, where, error);
}

int config_read(struct config *config, const char *path, struct error_text *error) {
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        int status = errno == ENOENT ? WEIR_ENOENT : WEIR_EIO;
        error_text_set(error, "cannot read the configuration file %s: %s", path, strerror(errno));
        return status;
    }
    struct config changed = *config;
    char line[CONFIG_LINE_BYTES_MAX + 1];
    char where[CONFIG_PATH_BYTES_MAX + 16];
    int status = 0;
    for (unsigned number = 1; status == 0 && fgets(line, sizeof(line), file) != NULL; number++) {
        (void)snprintf(where, sizeof(where), "%s:%u", path, number);
        if (strlen(line) == sizeof(line) - 1 && line[sizeof(line) - 2] != '\n') {
            error_text_set(error, "%s: a line longer than %d bytes", where, CONFIG_LINE_BYTES_MAX);
            status = WEIR_EINVAL;
        } else {
            status = config_read_line(&changed, line, where, error);
        }
    }
    if (status == 0 && ferror(file) != 0) {
        error_text_set(error, "cannot read the configuration file %s: %s", path, strerror(errno));
        status = WEIR_EIO;
    }
    (void)fclose(file);
    if (status == 0) {
        *config = changed;
    }
    return status;
}
