/*
 * Names, owners, faults and zeros: see format.h.  Nothing here fails.
 */

#include "storage/format.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/checksum.h"

#include <stdio.h>

enum { NUMBER_DIGITS = 16 };

_Static_assert(sizeof(FILE_NAME_SNAPSHOT_PREFIX) + NUMBER_DIGITS <= FILE_NAME_BYTES,
               "the longest name fits");

static void name_write(char out[FILE_NAME_BYTES], const char *prefix, uint64_t number) {
    ASSERT(number > 0 && number < UINT64_C(10000000000000000)); /* NUMBER_DIGITS digits */
    const int length = snprintf(out, FILE_NAME_BYTES, "%s%0*llu", prefix, NUMBER_DIGITS,
                                (unsigned long long)number);
    ASSERT(length > 0 && length < FILE_NAME_BYTES);
}

static uint64_t name_read(const char *name, const char *prefix) {
    const size_t prefix_length = strlen(prefix);
    if (strncmp(name, prefix, prefix_length) != 0)
        return 0;
    if (strlen(name) != prefix_length + NUMBER_DIGITS)
        return 0;
    uint64_t number = 0;
    for (const char *digit = name + prefix_length; *digit != '\0'; digit++) {
        if (*digit < '0' || *digit > '9')
            return 0;
        number = number * 10 + (uint64_t)(*digit - '0');
    }
    return number;
}

void segment_name(char out[FILE_NAME_BYTES], uint64_t number) {
    name_write(out, FILE_NAME_SEGMENT_PREFIX, number);
}

uint64_t segment_name_number(const char *name) {
    return name_read(name, FILE_NAME_SEGMENT_PREFIX);
}

void snapshot_name(char out[FILE_NAME_BYTES], uint64_t index) {
    name_write(out, FILE_NAME_SNAPSHOT_PREFIX, index);
}

uint64_t snapshot_name_index(const char *name) {
    return name_read(name, FILE_NAME_SNAPSHOT_PREFIX);
}

struct owner owner_of(const struct identity *identity) {
    return (struct owner){.cluster_id = identity->cluster_id,
                          .node_id = identity->node_id,
                          .incarnation = identity->incarnation};
}

void owner_put(uint8_t *out, const struct owner *owner) {
    bytes_put_u64(out, owner->cluster_id);
    bytes_put_u64(out + 8, owner->node_id);
    bytes_put_u64(out + 16, owner->incarnation);
}

struct owner owner_get(const uint8_t *from) {
    return (struct owner){.cluster_id = bytes_get_u64(from),
                          .node_id = bytes_get_u64(from + 8),
                          .incarnation = bytes_get_u64(from + 16)};
}

const char *owner_difference(const struct owner *expected, const struct owner *found) {
    if (expected->cluster_id != found->cluster_id)
        return "it belongs to another cluster";
    if (expected->node_id != found->node_id)
        return "it belongs to another node";
    if (expected->incarnation != found->incarnation)
        return "it belongs to another incarnation (an earlier life) of this node";
    return NULL;
}

int format_refuse(struct format_fault *fault, int error, uint64_t offset, const char *reason) {
    ASSERT(error < 0);
    *fault = (struct format_fault){.error = error, .offset = offset, .reason = reason};
    return error;
}

int format_refuse_owner(struct format_fault *fault, uint64_t offset, const char *difference) {
    return format_refuse(fault, WEIR_EIDENTITY, offset, difference);
}

bool format_all_zero(const uint8_t *bytes, size_t length_bytes) {
    /* Bytes equal to themselves moved by a word, the first word being zero: memcmp is as fast as
       memory. */
    if (length_bytes < 8)
        return format_zero_bytes(bytes, length_bytes) == length_bytes;
    return bytes_get_u64(bytes) == 0 && memcmp(bytes, bytes + 8, length_bytes - 8) == 0;
}

size_t format_zero_bytes(const uint8_t *bytes, size_t length_bytes) {
    size_t position = 0;
    while (length_bytes - position >= SECTOR_BYTES &&
           format_all_zero(bytes + position, SECTOR_BYTES))
        position += SECTOR_BYTES;
    while (position < length_bytes && bytes[position] == 0)
        position++;
    return position;
}

void sector_seal(uint8_t sector[SECTOR_BYTES], uint64_t seed) {
    bytes_put_u64(sector + SECTOR_CHECKSUM_OFFSET,
                  checksum_64(sector, SECTOR_CHECKSUM_OFFSET, seed));
}

bool sector_is_sealed(const uint8_t sector[SECTOR_BYTES], uint64_t seed) {
    return bytes_get_u64(sector + SECTOR_CHECKSUM_OFFSET) ==
           checksum_64(sector, SECTOR_CHECKSUM_OFFSET, seed);
}
