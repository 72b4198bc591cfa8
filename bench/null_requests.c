/*
 * Bytes are counted where they lie. Only when they end inside a request whose length is not known
 * yet, its part is kept, and the next bytes are put behind it and counted there.
 */
#include "bench/null_requests.h"

#include <stdbool.h>
#include <string.h>

#include "base/assert.h"

/*
 * Reads the number between a type byte and CRLF. Returns the bytes used, or 0 when the line is not
 * complete yet.
 */
static size_t read_length_line(const uint8_t *bytes, size_t available_bytes, uint64_t *number) {
    const uint8_t *end = memchr(bytes, '\n', available_bytes);
    if (!end)
        return 0;
    uint64_t value = 0;
    for (const uint8_t *at = bytes + 1; at < end; at++) {
        if (*at >= '0' && *at <= '9')
            value = value * 10 + (uint64_t)(*at - '0');
    }
    *number = value;
    return (size_t)(end - bytes) + 1;
}

/*
 * The length of the request that begins at `bytes`, or 0 when too little of it is there to say. It
 * may be more than is available.
 */
static uint64_t measure_request(const uint8_t *bytes, size_t available_bytes) {
    uint64_t words = 0;
    size_t at = read_length_line(bytes, available_bytes, &words);
    if (at == 0 || bytes[0] != '*')
        return at; /* an inline request is its line */
    for (uint64_t i = 0; i < words; i++) {
        uint64_t word_bytes = 0;
        if (at >= available_bytes)
            return 0;
        size_t header = read_length_line(bytes + at, available_bytes - at, &word_bytes);
        if (header == 0)
            return 0;
        at += header;
        if (i + 1 == words)
            return at + word_bytes + 2;
        if (word_bytes + 2 > available_bytes - at)
            return 0;
        at += word_bytes + 2;
    }
    return at;
}

/* Whether a complete request of the last one's shape and length seems to stand at `bytes`. */
static bool is_like_the_last(const struct null_requests *stream, const uint8_t *bytes,
                             size_t available_bytes) {
    uint32_t length = stream->request_bytes;
    return length > 0 && length <= available_bytes &&
           memcmp(bytes, stream->request_head, NULL_REQUESTS_HEAD_BYTES) == 0 &&
           bytes[length - 1] == '\n' && bytes[length - 2] == '\r' &&
           (length == available_bytes || bytes[length] == '*');
}

/* Counts from the beginning of a request on; *used_bytes is up to where. */
static uint64_t count_whole(struct null_requests *stream, const uint8_t *bytes,
                            size_t available_bytes, size_t *used_bytes) {
    uint64_t count = 0;
    size_t at = 0;
    while (at < available_bytes) {
        uint64_t length = stream->request_bytes;
        if (!is_like_the_last(stream, bytes + at, available_bytes - at)) {
            length = measure_request(bytes + at, available_bytes - at);
            if (length == 0)
                break;
            if (length > available_bytes - at) {
                stream->skip_bytes = length - (available_bytes - at);
                at = available_bytes;
                count++;
                break;
            }
            if (length >= NULL_REQUESTS_HEAD_BYTES) {
                stream->request_bytes = (uint32_t)length;
                memcpy(stream->request_head, bytes + at, NULL_REQUESTS_HEAD_BYTES);
            }
        }
        at += length;
        count++;
    }
    *used_bytes = at;
    return count;
}

uint64_t null_requests_count(struct null_requests *stream, const uint8_t *bytes,
                             size_t length_bytes) {
    uint64_t count = 0;
    size_t used = stream->skip_bytes < length_bytes ? (size_t)stream->skip_bytes : length_bytes;
    stream->skip_bytes -= used;
    bytes += used;
    length_bytes -= used;
    while (length_bytes > 0) {
        if (stream->tail_bytes == 0) {
            count += count_whole(stream, bytes, length_bytes, &used);
            bytes += used;
            length_bytes -= used;
        }
        size_t room = NULL_REQUESTS_TAIL_BYTES - stream->tail_bytes;
        size_t kept = length_bytes < room ? length_bytes : room;
        memcpy(stream->tail + stream->tail_bytes, bytes, kept);
        bytes += kept;
        length_bytes -= kept;
        size_t tail_bytes = stream->tail_bytes + kept;
        count += count_whole(stream, stream->tail, tail_bytes, &used);
        memmove(stream->tail, stream->tail + used, tail_bytes - used);
        stream->tail_bytes = (uint32_t)(tail_bytes - used);
        if (stream->tail_bytes == NULL_REQUESTS_TAIL_BYTES)
            return NULL_REQUESTS_TOO_LONG;
        if (stream->skip_bytes > 0) {
            used = stream->skip_bytes < length_bytes ? (size_t)stream->skip_bytes : length_bytes;
            stream->skip_bytes -= used;
            bytes += used;
            length_bytes -= used;
        }
    }
    return count;
}
