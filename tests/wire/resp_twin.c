/* The twin parser. It sees all bytes at once, copies freely, and reads like the specification. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tests/wire/resp_feed.h"

struct twin {
    const uint8_t *stream;
    size_t length;
    size_t at; /* where the current command begins */
    const struct resp_limits *limits;
    bool authenticated;
    FILE *transcript;
};

static const size_t NOWHERE = (size_t)-1;

static void put_bytes(FILE *to, const uint8_t *bytes, size_t length) {
    fprintf(to, " %zu\"", length);
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] < ' ' || bytes[i] > '~')
            fprintf(to, "\\x%02x", (unsigned)bytes[i]);
        else
            fputc(bytes[i], to);
    }
    fputc('"', to);
}

/* Each of these ends the transcript. */
static bool stop(struct twin *twin, const char *text) {
    fprintf(twin->transcript, "%s\n", text);
    return false;
}

static bool fail(struct twin *twin, const char *text) {
    fprintf(twin->transcript, "error ERR Protocol error: %s\n", text);
    return false;
}

static size_t find(const struct twin *twin, size_t from, uint8_t byte) {
    for (size_t i = from; i < twin->length; i++) {
        if (twin->stream[i] == byte)
            return i;
    }
    return NOWHERE;
}

/* The only spelling of a number is the one that printf gives. */
static bool canonical(const uint8_t *text, size_t length, long long *value) {
    const bool negative = length > 0 && text[0] == '-';
    long long number = 0;
    for (size_t i = negative ? 1 : 0; i < length; i++) {
        const int digit = text[i] - '0';
        if (digit < 0 || digit > 9 || __builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, negative ? -digit : digit, &number))
            return false;
    }
    *value = number;
    char back[32];
    snprintf(back, sizeof(back), "%lld", number);
    return strlen(back) == length && memcmp(text, back, length) == 0;
}

/* A line's CR at an offset, or an answer that ends everything. */
static bool line_end(struct twin *twin, size_t from, const char *too_long, size_t *end) {
    *end = find(twin, from, '\r');
    const size_t longest = twin->limits->inline_length_max;
    if (*end == NOWHERE ? twin->length - from > longest : *end - from > longest)
        return fail(twin, too_long);
    if (*end == NOWHERE || *end + 1 == twin->length)
        return stop(twin, "more");
    return true;
}

static bool twin_argument(struct twin *twin, size_t *at, long long still_to_come, FILE *line) {
    size_t end;
    if (!line_end(twin, *at, "too big bulk count string", &end))
        return false;
    if (twin->stream[*at] != '$') {
        char text[64];
        const uint8_t byte = twin->stream[*at];
        const bool printable = byte != '\r' && byte != '\n' && byte != '\0';
        snprintf(text, sizeof(text), "expected '$', got '%c'", printable ? byte : ' ');
        return fail(twin, text);
    }
    long long length;
    if (!canonical(twin->stream + *at + 1, end - *at - 1, &length) || length < 0 ||
        length > (long long)twin->limits->bulk_length_max || twin->stream[end + 1] != '\n')
        return fail(twin, "invalid bulk length");
    if (!twin->authenticated && length > (long long)twin->limits->unauthenticated_bulk_length_max)
        return fail(twin, "unauthenticated bulk length");
    const size_t payload = end + 2;
    const size_t next = payload + (size_t)length + 2;
    if (next - twin->at + 6 * (size_t)still_to_come > twin->limits->command_length_max)
        return fail(twin, "too big request");
    if (next > twin->length)
        return stop(twin, "more");
    if (memcmp(twin->stream + next - 2, "\r\n", 2) != 0)
        return fail(twin, "bulk not followed by CRLF");
    put_bytes(line, twin->stream + payload, (size_t)length);
    *at = next;
    return true;
}

static bool twin_multibulk(struct twin *twin) {
    size_t end;
    if (!line_end(twin, twin->at, "too big mbulk count string", &end))
        return false;
    long long count;
    if (!canonical(twin->stream + twin->at + 1, end - twin->at - 1, &count) ||
        twin->stream[end + 1] != '\n' || count > (long long)twin->limits->argument_count_max)
        return fail(twin, "invalid multibulk length");
    if (!twin->authenticated && count > (long long)twin->limits->unauthenticated_argument_count_max)
        return fail(twin, "unauthenticated multibulk length");
    size_t at = end + 2;
    if (count <= 0) {
        twin->at = at;
        fputs("empty\n", twin->transcript);
        return true;
    }
    if (at - twin->at + 6 * (size_t)count > twin->limits->command_length_max)
        return fail(twin, "too big request");

    char *text = NULL;
    size_t text_length = 0;
    FILE *line = open_memstream(&text, &text_length);
    ASSERT(line != NULL);
    bool goes_on = true;
    for (long long i = 0; i < count && goes_on; i++)
        goes_on = twin_argument(twin, &at, count - i - 1, line);
    fclose(line);
    if (goes_on) {
        fprintf(twin->transcript, "command %lld:%s\n", count, text);
        twin->at = at;
    }
    free(text);
    return goes_on;
}

static bool space(int c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\v' || c == '\f' || c == '\r';
}

static int hex_value(char digit) {
    static const char digits[] = "0123456789abcdef";
    return (int)(strchr(digits, tolower((unsigned char)digit)) - digits);
}

/* Split a NUL-terminated line by the rules of Redis's redis-cli and inline commands, one word at a
 * time into `word`. Returns its length, -1 at the end, -2 for unbalanced quotes. */
static long split_word(const char **line, char *word) {
    const char *p = *line;
    long n = 0;
    while (space(*p))
        p++;
    if (*p == '\0')
        return -1;
    for (;; p++) {
        if (*p == '\0' || strchr(" \t\r\n", *p) != NULL)
            break;
        if (*p != '"' && *p != '\'') {
            word[n++] = *p;
            continue;
        }
        const char quote = *p++;
        for (; *p != quote; p++) {
            if (*p == '\0')
                return -2;
            if (quote == '\'' && p[0] == '\\' && p[1] == '\'') {
                word[n++] = *++p;
            } else if (quote == '\'' || *p != '\\' || p[1] == '\0') {
                word[n++] = *p;
            } else if (p[1] == 'x' && isxdigit((unsigned char)p[2]) &&
                       isxdigit((unsigned char)p[3])) {
                word[n++] = (char)(hex_value(p[2]) * 16 + hex_value(p[3]));
                p += 3;
            } else {
                static const char from[] = "nrtba", to[] = "\n\r\t\b\a";
                const char *known = strchr(from, *++p);
                word[n++] = known != NULL ? to[known - from] : *p;
            }
        }
        p++;
        if (*p != '\0' && !space(*p))
            return -2;
        break;
    }
    *line = p;
    return n;
}

static bool twin_inline(struct twin *twin) {
    const size_t longest = twin->limits->inline_length_max;
    const size_t end = find(twin, twin->at, '\n');
    const size_t nul = find(twin, twin->at, '\0');
    if (nul != NOWHERE && nul < end && nul - twin->at <= longest)
        return fail(twin, "unexpected NUL in inline request");
    if (end == NOWHERE ? twin->length - twin->at > longest : end - twin->at > longest)
        return fail(twin, "too big inline request");
    if (end == NOWHERE)
        return stop(twin, "more");

    const size_t cut = end > twin->at && twin->stream[end - 1] == '\r' ? end - 1 : end;
    char *line = strndup((const char *)twin->stream + twin->at, cut - twin->at);
    char *word = malloc(cut - twin->at + 1);
    char *text = NULL;
    size_t text_length = 0;
    FILE *words = open_memstream(&text, &text_length);
    ASSERT(line != NULL && word != NULL && words != NULL);
    const char *p = line;
    bool http = false;
    size_t count = 0;
    long n;
    while ((n = split_word(&p, word)) >= 0) {
        word[n] = '\0';
        if (count == 0)
            http = strcasecmp(word, "post") == 0 || strcasecmp(word, "host:") == 0;
        put_bytes(words, (const uint8_t *)word, (size_t)n);
        count++;
    }
    fclose(words);
    bool goes_on = true;
    if (n == -2)
        goes_on = fail(twin, "unbalanced quotes in request");
    else if (http)
        goes_on = stop(twin, "cross-protocol");
    else if (count == 0)
        fputs("empty\n", twin->transcript);
    else
        fprintf(twin->transcript, "command %zu:%s\n", count, text);
    free(text);
    free(word);
    free(line);
    twin->at = end + 1;
    return goes_on;
}

char *resp_twin(const uint8_t *stream, size_t length, const struct resp_limits *limits,
                bool authenticated) {
    char *text = NULL;
    size_t text_length = 0;
    FILE *transcript = open_memstream(&text, &text_length);
    ASSERT(transcript != NULL);
    struct twin twin = {stream, length, 0, limits, authenticated, transcript};
    bool goes_on = true;
    while (goes_on && twin.at < length)
        goes_on = stream[twin.at] == '*' ? twin_multibulk(&twin) : twin_inline(&twin);
    fclose(transcript);
    return text;
}
