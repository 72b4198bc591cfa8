/*
 * The bytes of the identity file: see identity_format.h.
 *
 * Failure modes: a wrong length, checksum, version, or content that identity_create never writes.
 */

#include "storage/identity_format.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/checksum.h"

/* "weiriden" as a little-endian number. */
#define IDENTITY_MAGIC UINT64_C(0x6e65646972696577)

/* Offsets; what is between is zero; the last 8 bytes are the checksum of all before them. */
enum {
    IDENTITY_OFFSET_MAGIC = 0,
    IDENTITY_OFFSET_VERSION = 8, /* u32 */
    IDENTITY_OFFSET_OWNER = 16,
    IDENTITY_OFFSET_NAME_LENGTH = 40, /* u32 */
    IDENTITY_OFFSET_NAME = 48,
    IDENTITY_OFFSET_CONFIGURATION_LENGTH = 112, /* u32 */
    IDENTITY_OFFSET_CONFIGURATION = 120,
    IDENTITY_OFFSET_CHECKSUM = IDENTITY_FILE_BYTES - 8,
};
_Static_assert(IDENTITY_OFFSET_NAME + (int)IDENTITY_NAME_BYTES_MAX ==
                   IDENTITY_OFFSET_CONFIGURATION_LENGTH,
               "the longest name fits");
_Static_assert(IDENTITY_OFFSET_CONFIGURATION + (int)CONFIGURATION_BYTES_MAX <
                   IDENTITY_OFFSET_CHECKSUM,
               "the largest configuration fits");

bool identity_name_is_valid(const char *name) {
    size_t length = 0;
    for (; name[length] != '\0'; length++) {
        if (length == IDENTITY_NAME_BYTES_MAX || name[length] <= ' ' || name[length] > '~')
            return false;
    }
    return length > 0;
}

uint64_t identity_cluster_id(const char *cluster_name, const struct configuration *members) {
    uint8_t ids[8 * CONFIGURATION_MEMBERS_MAX];
    for (uint32_t i = 0; i < members->member_count; i++)
        bytes_put_u64(ids + (size_t)8 * i, members->members[i].node_id);
    const uint64_t name_hash = checksum_64(cluster_name, strlen(cluster_name), 0);
    return checksum_64(ids, (size_t)8 * members->member_count, name_hash);
}

void identity_format_write(uint8_t *out, const struct identity *identity) {
    ASSERT(identity_name_is_valid(identity->cluster_name));
    const struct owner owner = owner_of(identity);
    const size_t name_length = strlen(identity->cluster_name);
    memset(out, 0, IDENTITY_FILE_BYTES);
    bytes_put_u64(out + IDENTITY_OFFSET_MAGIC, IDENTITY_MAGIC);
    bytes_put_u32(out + IDENTITY_OFFSET_VERSION, IDENTITY_FORMAT_VERSION);
    owner_put(out + IDENTITY_OFFSET_OWNER, &owner);
    bytes_put_u32(out + IDENTITY_OFFSET_NAME_LENGTH, (uint32_t)name_length);
    memcpy(out + IDENTITY_OFFSET_NAME, identity->cluster_name, name_length);
    bytes_put_u32(out + IDENTITY_OFFSET_CONFIGURATION_LENGTH,
                  configuration_write(out + IDENTITY_OFFSET_CONFIGURATION, &identity->members));
    bytes_put_u64(out + IDENTITY_OFFSET_CHECKSUM, checksum_64(out, IDENTITY_OFFSET_CHECKSUM, 0));
}

/* The fields of an image whose checksum is right; NULL, or what is wrong. */
static const char *identity_fields_read(const uint8_t *image, struct identity *out) {
    const struct owner owner = owner_get(image + IDENTITY_OFFSET_OWNER);
    const uint32_t name_length = bytes_get_u32(image + IDENTITY_OFFSET_NAME_LENGTH);
    const uint32_t configuration_length =
        bytes_get_u32(image + IDENTITY_OFFSET_CONFIGURATION_LENGTH);
    if (name_length > IDENTITY_NAME_BYTES_MAX || configuration_length > CONFIGURATION_BYTES_MAX)
        return "a length is out of range";
    memset(out, 0, sizeof(*out));
    memcpy(out->cluster_name, image + IDENTITY_OFFSET_NAME, name_length);
    out->cluster_id = owner.cluster_id;
    out->node_id = owner.node_id;
    out->incarnation = owner.incarnation;
    if (!identity_name_is_valid(out->cluster_name) || strlen(out->cluster_name) != name_length)
        return "the cluster's name holds a character that is never written";
    if (configuration_read(image + IDENTITY_OFFSET_CONFIGURATION, configuration_length,
                           &out->members) != 0)
        return "the list of members is not valid";
    if (out->incarnation == 0 || out->node_id == 0)
        return "the node has no id, or no incarnation";
    if (out->cluster_id != identity_cluster_id(out->cluster_name, &out->members))
        return "the cluster's id is not that of its name and members";
    return NULL;
}

int identity_format_read(const uint8_t *image, uint64_t length_bytes, struct identity *out,
                         struct format_fault *fault) {
    if (length_bytes != IDENTITY_FILE_BYTES)
        return format_refuse(fault, WEIR_ECORRUPT, 0, "the file's length is not 4096 bytes");
    if (bytes_get_u64(image + IDENTITY_OFFSET_MAGIC) != IDENTITY_MAGIC)
        return format_refuse(fault, WEIR_ECORRUPT, IDENTITY_OFFSET_MAGIC, "not an identity file");
    if (bytes_get_u64(image + IDENTITY_OFFSET_CHECKSUM) !=
        checksum_64(image, IDENTITY_OFFSET_CHECKSUM, 0))
        return format_refuse(fault, WEIR_ECORRUPT, 0, "the checksum does not match");
    if (bytes_get_u32(image + IDENTITY_OFFSET_VERSION) != IDENTITY_FORMAT_VERSION)
        return format_refuse(fault, WEIR_EVERSION, IDENTITY_OFFSET_VERSION,
                             "written by a version of weir that this one cannot read");
    struct identity identity;
    const char *reason = identity_fields_read(image, &identity);
    if (reason != NULL)
        return format_refuse(fault, WEIR_ECORRUPT, IDENTITY_OFFSET_OWNER, reason);
    *out = identity;
    return 0;
}
