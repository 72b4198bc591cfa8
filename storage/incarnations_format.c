/*
 * The bytes of the table of incarnations: see incarnations_format.h.
 *
 * Failure modes: a wrong length, checksum, version or owner, or content that is never written.
 */

#include "storage/incarnations_format.h"

#include "base/assert.h"
#include "base/bytes.h"

/* "weirlife" as a little-endian number. */
#define INCARNATIONS_MAGIC UINT64_C(0x6566696c72696577)

/* Offsets in the first sector; its last 8 bytes are its checksum; what is between is zero. */
enum {
    INCARNATIONS_OFFSET_MAGIC = 0,
    INCARNATIONS_OFFSET_VERSION = 8, /* u32 */
    INCARNATIONS_OFFSET_COUNT = 12,  /* u32 */
    INCARNATIONS_OFFSET_OWNER = 16,
    INCARNATIONS_OFFSET_MEMBERS = 40, /* node id and incarnation of each, u64 */
    INCARNATIONS_MEMBER_BYTES = 16,
};
_Static_assert(INCARNATIONS_OFFSET_MEMBERS +
                       INCARNATIONS_MEMBER_BYTES * (int)CONFIGURATION_MEMBERS_MAX <=
                   (int)SECTOR_CHECKSUM_OFFSET,
               "the table is one sector, which is written whole or not at all");

void incarnations_format_write(uint8_t *out, const struct owner *owner,
                               const struct configuration *table) {
    ASSERT(table->member_count >= 1 && table->member_count <= CONFIGURATION_MEMBERS_MAX);
    memset(out, 0, INCARNATIONS_FILE_BYTES);
    bytes_put_u64(out + INCARNATIONS_OFFSET_MAGIC, INCARNATIONS_MAGIC);
    bytes_put_u32(out + INCARNATIONS_OFFSET_VERSION, INCARNATIONS_FORMAT_VERSION);
    bytes_put_u32(out + INCARNATIONS_OFFSET_COUNT, table->member_count);
    owner_put(out + INCARNATIONS_OFFSET_OWNER, owner);
    for (uint32_t i = 0; i < table->member_count; i++) {
        uint8_t *at = out + INCARNATIONS_OFFSET_MEMBERS + (size_t)INCARNATIONS_MEMBER_BYTES * i;
        ASSERT(table->members[i].incarnation != 0);
        bytes_put_u64(at, table->members[i].node_id);
        bytes_put_u64(at + sizeof(uint64_t), table->members[i].incarnation);
    }
    sector_seal(out, 0);
}

/* The members of an image whose checksum is right; NULL, or what is wrong. */
static const char *members_read(const uint8_t *image, struct configuration *out) {
    const uint32_t count = bytes_get_u32(image + INCARNATIONS_OFFSET_COUNT);
    const struct owner owner = owner_get(image + INCARNATIONS_OFFSET_OWNER);
    *out = (struct configuration){.member_count = count};
    if (count < 1 || count > CONFIGURATION_MEMBERS_MAX)
        return "the number of members is out of range";
    uint64_t before = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *at =
            image + INCARNATIONS_OFFSET_MEMBERS + (size_t)INCARNATIONS_MEMBER_BYTES * i;
        struct configuration_member *member = &out->members[i];
        member->node_id = bytes_get_u64(at);
        member->incarnation = bytes_get_u64(at + sizeof(uint64_t));
        if (member->node_id <= before || member->incarnation == 0)
            return "a member's id is out of order, or an incarnation is 0";
        before = member->node_id;
    }
    const struct configuration_member *own = configuration_find(out, owner.node_id);
    if (own == NULL || own->incarnation != owner.incarnation)
        return "the node itself is not in it with its own incarnation";
    return NULL;
}

static enum format_state damaged(struct format_fault *fault, uint64_t offset, const char *reason) {
    format_refuse(fault, WEIR_ECORRUPT, offset, reason);
    return FORMAT_DAMAGED;
}

enum format_state incarnations_format_read(const uint8_t *image, uint64_t length_bytes,
                                           const struct owner *owner, struct configuration *out,
                                           struct format_fault *fault) {
    if (length_bytes != INCARNATIONS_FILE_BYTES)
        return damaged(fault, 0, "the file's length is not 4096 bytes");
    const size_t zero_bytes = format_zero_bytes(image, INCARNATIONS_FILE_BYTES);
    if (zero_bytes == INCARNATIONS_FILE_BYTES)
        return FORMAT_BLANK;
    if (bytes_get_u64(image + INCARNATIONS_OFFSET_MAGIC) != INCARNATIONS_MAGIC ||
        !sector_is_sealed(image, 0))
        return damaged(fault, 0, "the checksum does not match");
    if (!format_all_zero(image + SECTOR_BYTES, INCARNATIONS_FILE_BYTES - SECTOR_BYTES))
        return damaged(fault, SECTOR_BYTES, "there is something behind the first sector");
    if (bytes_get_u32(image + INCARNATIONS_OFFSET_VERSION) != INCARNATIONS_FORMAT_VERSION) {
        format_refuse(fault, WEIR_EVERSION, INCARNATIONS_OFFSET_VERSION,
                      "written by a version of weir that this one cannot read");
        return FORMAT_REFUSED;
    }
    const struct owner found = owner_get(image + INCARNATIONS_OFFSET_OWNER);
    const char *difference = owner == NULL ? NULL : owner_difference(owner, &found);
    if (difference != NULL) {
        format_refuse_owner(fault, INCARNATIONS_OFFSET_OWNER, difference);
        return FORMAT_REFUSED;
    }
    struct configuration table;
    const char *reason = members_read(image, &table);
    if (reason != NULL)
        return damaged(fault, INCARNATIONS_OFFSET_COUNT, reason);
    *out = table;
    return FORMAT_VALID;
}
