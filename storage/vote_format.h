#ifndef WEIR_STORAGE_VOTE_FORMAT_H
#define WEIR_STORAGE_VOTE_FORMAT_H

/*
 * The bytes of the file "vote": two slots, each one sector at the start of a block of its own.
 * Pure; see format.h.  storage/vote.h says what the slots are for.
 */

#include "storage/format.h"
#include "storage/vote.h"

enum {
    VOTE_FORMAT_VERSION = 1,
    VOTE_SLOT_BYTES = 4096, /* from one slot to the next: no disk has larger blocks */
    VOTE_FILE_BYTES = 2 * VOTE_SLOT_BYTES,
};

/* What one slot says. */
struct vote_slot {
    uint64_t sequence; /* 1 for the first record; one more for every record stored */
    struct vote_record record;
};

/* Writes the sector of slot `number` (0 or 1). */
void vote_slot_write(uint8_t sector[SECTOR_BYTES], uint32_t number, const struct owner *owner,
                     const struct vote_slot *slot);

/*
 * Judges both slots of a file image of VOTE_FILE_BYTES (missing bytes zero) and chooses.
 * *out is what counts; *repair_slot is the slot to be rewritten with it, or -1; *reason says why.
 * `owner` may be NULL: any.
 * Errors: WEIR_ECORRUPT: neither slot is valid, or they contradict each other; WEIR_EIDENTITY;
 * WEIR_EVERSION.
 */
int vote_choose(const uint8_t image[VOTE_FILE_BYTES], const struct owner *owner,
                struct vote_slot *out, int *repair_slot, const char **reason,
                struct format_fault *fault);

/* Whose a valid slot is. */
struct owner vote_slot_owner(const uint8_t *image, uint32_t number);

/* Judges one slot.  FORMAT_BLANK counts as damaged.  For vote_choose and `weir inspect`. */
enum format_state vote_slot_read(const uint8_t *image, uint32_t number, const struct owner *owner,
                                 struct vote_slot *out, struct format_fault *fault);

#endif
