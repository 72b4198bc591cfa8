/* What a list of reply pieces would send: its pieces, one behind the other. */
#ifndef WEIR_TESTS_WIRE_REPLY_JOINED_H
#define WEIR_TESTS_WIRE_REPLY_JOINED_H

#include <stdlib.h>
#include <string.h>

#include "tests/cmocka_wrapper.h"
#include "wire/reply_encode.h"

/* The concatenation of a list's pieces, malloc'ed. */
static inline uint8_t *joined(const struct reply_pieces *pieces, size_t *length) {
    *length = 0;
    for (uint32_t i = 0; i < pieces->count; i++)
        *length += pieces->piece[i].length;
    assert_int_equal(*length, pieces->length_bytes);
    uint8_t *bytes = malloc(*length + 1);
    assert_non_null(bytes);
    size_t at = 0;
    for (uint32_t i = 0; i < pieces->count; i++) {
        assert_true(pieces->piece[i].length > 0);
        memcpy(bytes + at, pieces->piece[i].data, pieces->piece[i].length);
        at += pieces->piece[i].length;
    }
    return bytes;
}

#endif
