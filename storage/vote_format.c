/*
 * The bytes of the vote file: see vote_format.h; the rules of choice are in vote.h.
 */

#include "storage/vote_format.h"

#include "base/assert.h"
#include "base/bytes.h"

/* "weirvote" as a little-endian number. */
#define VOTE_MAGIC UINT64_C(0x65746f7672696577)

/* Offsets in a slot's sector; its last 8 bytes are its checksum; what is between is zero. */
enum {
    VOTE_OFFSET_MAGIC = 0,
    VOTE_OFFSET_VERSION = 8, /* u32 */
    VOTE_OFFSET_SLOT = 12,   /* u32 */
    VOTE_OFFSET_OWNER = 16,
    VOTE_OFFSET_SEQUENCE = 40,
    VOTE_OFFSET_TERM = 48,
    VOTE_OFFSET_VOTED_FOR = 56,
};

void vote_slot_write(uint8_t sector[SECTOR_BYTES], uint32_t number, const struct owner *owner,
                     const struct vote_slot *slot) {
    ASSERT(number < 2 && slot->sequence > 0);
    memset(sector, 0, SECTOR_BYTES);
    bytes_put_u64(sector + VOTE_OFFSET_MAGIC, VOTE_MAGIC);
    bytes_put_u32(sector + VOTE_OFFSET_VERSION, VOTE_FORMAT_VERSION);
    bytes_put_u32(sector + VOTE_OFFSET_SLOT, number);
    owner_put(sector + VOTE_OFFSET_OWNER, owner);
    bytes_put_u64(sector + VOTE_OFFSET_SEQUENCE, slot->sequence);
    bytes_put_u64(sector + VOTE_OFFSET_TERM, slot->record.term);
    bytes_put_u64(sector + VOTE_OFFSET_VOTED_FOR, slot->record.voted_for);
    sector_seal(sector, 0);
}

enum format_state vote_slot_read(const uint8_t *image, uint32_t number, const struct owner *owner,
                                 struct vote_slot *out, struct format_fault *fault) {
    const uint64_t base = (uint64_t)number * VOTE_SLOT_BYTES;
    const uint8_t *sector = image + base;
    if (format_all_zero(sector, SECTOR_BYTES)) {
        format_refuse(fault, WEIR_ECORRUPT, base, "the slot is empty");
        return FORMAT_BLANK;
    }
    if (bytes_get_u64(sector + VOTE_OFFSET_MAGIC) != VOTE_MAGIC || !sector_is_sealed(sector, 0)) {
        format_refuse(fault, WEIR_ECORRUPT, base, "the slot's checksum does not match");
        return FORMAT_DAMAGED;
    }
    if (bytes_get_u32(sector + VOTE_OFFSET_VERSION) != VOTE_FORMAT_VERSION) {
        format_refuse(fault, WEIR_EVERSION, base + VOTE_OFFSET_VERSION,
                      "written by a version of weir that this one cannot read");
        return FORMAT_REFUSED;
    }
    const struct owner found = owner_get(sector + VOTE_OFFSET_OWNER);
    const char *difference = owner == NULL ? NULL : owner_difference(owner, &found);
    if (difference != NULL) {
        format_refuse_owner(fault, base + VOTE_OFFSET_OWNER, difference);
        return FORMAT_REFUSED;
    }
    const struct vote_slot slot = {
        .sequence = bytes_get_u64(sector + VOTE_OFFSET_SEQUENCE),
        .record = {.term = bytes_get_u64(sector + VOTE_OFFSET_TERM),
                   .voted_for = bytes_get_u64(sector + VOTE_OFFSET_VOTED_FOR)},
    };
    if (bytes_get_u32(sector + VOTE_OFFSET_SLOT) != number || slot.sequence == 0) {
        format_refuse(fault, WEIR_ECORRUPT, base + VOTE_OFFSET_SLOT,
                      "the slot belongs to another place: it was copied here");
        return FORMAT_REFUSED;
    }
    *out = slot;
    return FORMAT_VALID;
}

struct owner vote_slot_owner(const uint8_t *image, uint32_t number) {
    ASSERT(number < 2);
    return owner_get(image + (uint64_t)number * VOTE_SLOT_BYTES + VOTE_OFFSET_OWNER);
}

static bool records_are_equal(const struct vote_record *a, const struct vote_record *b) {
    return a->term == b->term && a->voted_for == b->voted_for;
}

int vote_choose(const uint8_t image[VOTE_FILE_BYTES], const struct owner *owner,
                struct vote_slot *out, int *repair_slot, const char **reason,
                struct format_fault *fault) {
    struct vote_slot slots[2];
    struct format_fault faults[2];
    enum format_state states[2];
    for (uint32_t i = 0; i < 2; i++) {
        states[i] = vote_slot_read(image, i, owner, &slots[i], &faults[i]);
        if (states[i] == FORMAT_REFUSED) {
            *fault = faults[i];
            return fault->error;
        }
    }
    *repair_slot = -1;
    *reason = NULL;
    const bool is_valid[2] = {states[0] == FORMAT_VALID, states[1] == FORMAT_VALID};
    if (!is_valid[0] && !is_valid[1])
        return format_refuse(fault, WEIR_ECORRUPT, 0, "neither slot is valid");
    if (!is_valid[0] || !is_valid[1]) {
        const int good = is_valid[0] ? 0 : 1;
        *out = slots[good];
        *repair_slot = 1 - good;
        *reason = faults[1 - good].reason;
        return 0;
    }
    if (slots[0].sequence == slots[1].sequence) {
        if (!records_are_equal(&slots[0].record, &slots[1].record))
            return format_refuse(fault, WEIR_ECORRUPT, 0,
                                 "the two slots have the same sequence and different records");
        *out = slots[0];
        return 0;
    }
    const int newer = slots[0].sequence > slots[1].sequence ? 0 : 1;
    if (slots[newer].record.term < slots[1 - newer].record.term)
        return format_refuse(fault, WEIR_ECORRUPT, 0,
                             "the term of the newer slot is the lower one");
    *out = slots[newer];
    *repair_slot = 1 - newer;
    *reason = "the slot is older: the power went between the two writes";
    return 0;
}
