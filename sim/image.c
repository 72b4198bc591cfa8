/*
 * The content of a simulated file, in pieces: what was never written takes no memory.
 *
 * The happy path: a file is allocated with its whole length, is zero, and is written from its
 * beginning.  Pieces appear where something other than zero is put; reading gives zeros elsewhere.
 *
 * Failure modes: none; a simulation without memory ends.
 */

#include "sim/internal.h"

#include <stdlib.h>
#include <string.h>

static bool all_zero(const uint8_t *bytes, uint64_t length_bytes) {
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, length_bytes - 1) == 0;
}

/* How much of a range lies in the piece in which it begins. */
static uint64_t in_piece(uint64_t offset_bytes, uint64_t length_bytes) {
    uint64_t room = IMAGE_PIECE_BYTES - offset_bytes % IMAGE_PIECE_BYTES;
    return length_bytes < room ? length_bytes : room;
}

static uint8_t *piece_of(const struct image *image, uint64_t offset_bytes) {
    uint64_t piece = offset_bytes / IMAGE_PIECE_BYTES;
    return piece < image->pieces_count ? image->pieces[piece] : NULL;
}

/* The piece in which an offset lies, made if it is not there. */
static uint8_t *piece_make(struct image *image, uint64_t offset_bytes) {
    uint64_t piece = offset_bytes / IMAGE_PIECE_BYTES;
    if (piece >= image->pieces_count) {
        uint64_t count = 2 * image->pieces_count > piece + 1 ? 2 * image->pieces_count : piece + 1;
        image->pieces = realloc(image->pieces, count * sizeof(*image->pieces));
        ASSERT(image->pieces != NULL);
        memset(image->pieces + image->pieces_count, 0,
               (count - image->pieces_count) * sizeof(*image->pieces));
        image->pieces_count = count;
    }
    if (image->pieces[piece] == NULL)
        image->pieces[piece] = world_allocate(1, IMAGE_PIECE_BYTES);
    return image->pieces[piece];
}

void image_get(const struct image *image, uint64_t offset_bytes, uint8_t *bytes,
               uint64_t length_bytes) {
    while (length_bytes > 0) {
        uint64_t some = in_piece(offset_bytes, length_bytes);
        const uint8_t *piece = piece_of(image, offset_bytes);
        if (piece == NULL)
            memset(bytes, 0, some);
        else
            memcpy(bytes, piece + offset_bytes % IMAGE_PIECE_BYTES, some);
        offset_bytes += some;
        bytes += some;
        length_bytes -= some;
    }
}

void image_put(struct image *image, uint64_t offset_bytes, const uint8_t *bytes,
               uint64_t length_bytes) {
    while (length_bytes > 0) {
        uint64_t some = in_piece(offset_bytes, length_bytes);
        if (piece_of(image, offset_bytes) != NULL || !all_zero(bytes, some)) {
            uint8_t *piece = piece_make(image, offset_bytes);
            memcpy(piece + offset_bytes % IMAGE_PIECE_BYTES, bytes, some);
        }
        offset_bytes += some;
        bytes += some;
        length_bytes -= some;
    }
}

void image_cut(struct image *image, uint64_t size_bytes) {
    image->size_bytes = size_bytes;
    uint8_t *last = piece_of(image, size_bytes);
    uint64_t kept = size_bytes % IMAGE_PIECE_BYTES;
    if (last != NULL)
        memset(last + kept, 0, IMAGE_PIECE_BYTES - kept);
    for (uint64_t i = size_bytes / IMAGE_PIECE_BYTES + 1; i < image->pieces_count; i++) {
        free(image->pieces[i]);
        image->pieces[i] = NULL;
    }
}

void image_copy(struct image *to, const struct image *from) {
    for (uint64_t i = 0; i < to->pieces_count; i++) {
        bool stays = i < from->pieces_count && from->pieces[i] != NULL;
        if (!stays && to->pieces[i] != NULL) {
            free(to->pieces[i]);
            to->pieces[i] = NULL;
        }
    }
    for (uint64_t i = 0; i < from->pieces_count; i++)
        if (from->pieces[i] != NULL)
            memcpy(piece_make(to, i * IMAGE_PIECE_BYTES), from->pieces[i], IMAGE_PIECE_BYTES);
    to->size_bytes = from->size_bytes;
}

void image_free(struct image *image) {
    for (uint64_t i = 0; i < image->pieces_count; i++)
        free(image->pieces[i]);
    free(image->pieces);
    *image = (struct image){0};
}
