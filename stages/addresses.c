/*
 * Addresses of the members: see stages/addresses.h.
 *
 * Failure modes: a row changes while it is read: it is read again.  A record that is not valid
 * (restore): its bytes have a checksum, so that this is a defect of whoever wrote them.
 */

#include "stages/addresses.h"

#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/error.h"
#include "queues/atomic.h"

/* Offsets in a record, and of what precedes each body. */
enum { RECORD_LENGTH = 40, RECORD_COUNT = 44, PLACE_LENGTH = 0, PLACE_RESERVED = 4, PLACE = 8 };
_Static_assert(RECORD_COUNT + 4 == (int)ADDRESSES_RECORD_HEADER_BYTES, "no gap in the record");
_Static_assert(sizeof(struct entry_address) % sizeof(uint32_t) == 0, "copied by words");

/* ---- the table ------------------------------------------------------------------------------ */

/* A copy of a row as of one moment. */
static struct entry_address row_read(const struct addresses_row *row) {
    union {
        uint32_t words[ADDRESSES_WORDS];
        struct entry_address address;
    } copy;
    for (;;) {
        /* Partner: the last release in row_write. */
        uint32_t version = atomic_load_acquire_u32(&row->version);
        for (uint32_t i = 0; i < ADDRESSES_WORDS; i++) {
            /* Partner: the release of the same word: who sees it sees the odd version before it. */
            copy.words[i] = atomic_load_acquire_u32(&row->words[i]);
        }
        if (version % 2 == 0 && atomic_load_relaxed_u32(&row->version) == version) {
            return copy.address;
        }
        atomic_pause();
    }
}

static void row_write(struct addresses_row *row, const struct entry_address *address) {
    union {
        uint32_t words[ADDRESSES_WORDS];
        struct entry_address address;
    } copy = {.words = {0}};
    copy.address = *address;
    uint32_t version = row->version;
    ASSERT(version % 2 == 0);
    atomic_store_relaxed_u32(&row->version, version + 1);
    for (uint32_t i = 0; i < ADDRESSES_WORDS; i++) {
        /* Partner: the acquire in row_read. */
        atomic_store_release_u32(&row->words[i], copy.words[i]);
    }
    /* Partner: the acquire at the beginning of row_read. */
    atomic_store_release_u32(&row->version, version + 2);
}

bool addresses_find(const struct addresses *addresses, uint64_t node_id,
                    struct entry_address *out) {
    ASSERT(node_id != 0);
    for (uint32_t i = 0; i < ADDRESSES_MAX; i++) {
        if (atomic_load_acquire_u32(&addresses->rows[i].version) == 0) {
            return false; /* rows are filled from the first on */
        }
        struct entry_address address = row_read(&addresses->rows[i]);
        if (address.node_id == node_id) {
            *out = address;
            return true;
        }
    }
    return false;
}

void addresses_set(struct addresses *addresses, const struct entry_address *address) {
    ASSERT(address->node_id != 0 && address->port != 0);
    struct addresses_row *chosen = &addresses->rows[0];
    for (uint32_t i = 0; i < ADDRESSES_MAX; i++) {
        struct addresses_row *row = &addresses->rows[i];
        if (row->version == 0 || row_read(row).node_id == address->node_id) {
            chosen = row;
            break;
        }
        if (row->order < chosen->order) {
            chosen = row;
        }
    }
    chosen->order = addresses->order++;
    row_write(chosen, address);
}

/* ---- in snapshots --------------------------------------------------------------------------- */

/* The row written next after `order`; NULL: there is none.  *order is then its own, plus one. */
static const struct addresses_row *row_after(const struct addresses *addresses, uint64_t *order) {
    const struct addresses_row *found = NULL;
    for (uint32_t i = 0; i < ADDRESSES_MAX && addresses->rows[i].version != 0; i++) {
        const struct addresses_row *row = &addresses->rows[i];
        if (row_read(row).node_id != 0 && row->order >= *order &&
            (found == NULL || row->order < found->order)) {
            found = row;
        }
    }
    if (found != NULL) {
        *order = found->order + 1;
    }
    return found;
}

uint32_t addresses_record_bytes(const struct addresses *addresses) {
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < ADDRESSES_MAX && addresses->rows[i].version != 0; i++) {
        struct entry_address address = row_read(&addresses->rows[i]);
        if (address.node_id != 0) { /* a snapshot without it may have emptied the row */
            bytes += PLACE + entry_address_bytes(&address);
        }
    }
    return bytes == 0 ? 0 : ADDRESSES_RECORD_HEADER_BYTES + bytes;
}

void addresses_record_write(const struct addresses *addresses, uint8_t *out) {
    uint8_t *position = out + ADDRESSES_RECORD_HEADER_BYTES;
    uint32_t count = 0;
    uint64_t order = 0;
    memset(out, 0, ADDRESSES_RECORD_HEADER_BYTES);
    for (const struct addresses_row *row = row_after(addresses, &order); row != NULL;
         row = row_after(addresses, &order)) {
        struct entry_address address = row_read(row);
        uint32_t bytes = entry_address_bytes(&address);
        bytes_put_u32(position + PLACE_LENGTH, bytes);
        bytes_put_u32(position + PLACE_RESERVED, 0);
        entry_address_write(position + PLACE, &address);
        position += PLACE + bytes;
        count++;
    }
    ASSERT(position == out + addresses_record_bytes(addresses));
    bytes_put_u32(out + RECORD_LENGTH, (uint32_t)(position - out));
    bytes_put_u32(out + RECORD_COUNT, count);
}

bool addresses_record_is(const uint8_t *bytes, size_t length_bytes) {
    return length_bytes >= ADDRESSES_RECORD_HEADER_BYTES && bytes_get_u64(bytes) == 0;
}

/* Reads so many bodies; false if they are not valid, or do not end where the record does. */
static bool bodies_read(struct addresses *addresses, const uint8_t *bytes, const uint8_t *end,
                        uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        struct entry_address address;
        if ((size_t)(end - bytes) < PLACE) {
            return false;
        }
        uint32_t body_bytes = bytes_get_u32(bytes + PLACE_LENGTH);
        if (bytes_get_u32(bytes + PLACE_RESERVED) != 0 ||
            body_bytes > (size_t)(end - bytes) - PLACE ||
            !entry_address_read(bytes + PLACE, body_bytes, &address)) {
            return false;
        }
        addresses_set(addresses, &address);
        bytes += PLACE + body_bytes;
    }
    return bytes == end;
}

/* Empties the table, for whoever reads it at the same time too. */
static void addresses_clear(struct addresses *addresses) {
    static const struct entry_address nobody;
    for (uint32_t i = 0; i < ADDRESSES_MAX && addresses->rows[i].version != 0; i++) {
        row_write(&addresses->rows[i], &nobody);
        addresses->rows[i].order = 0;
    }
}

int addresses_restore(struct addresses *addresses, const uint8_t *bytes, size_t length_bytes,
                      size_t *length_out) {
    ASSERT(addresses_record_is(bytes, length_bytes));
    uint32_t record_bytes = bytes_get_u32(bytes + RECORD_LENGTH);
    uint32_t count = bytes_get_u32(bytes + RECORD_COUNT);
    addresses_clear(addresses);
    if (record_bytes < ADDRESSES_RECORD_HEADER_BYTES || record_bytes > length_bytes || count == 0 ||
        count > ADDRESSES_MAX ||
        !bodies_read(addresses, bytes + ADDRESSES_RECORD_HEADER_BYTES, bytes + record_bytes,
                     count)) {
        addresses_clear(addresses);
        return WEIR_ECORRUPT;
    }
    *length_out = record_bytes;
    return WEIR_OK;
}
