#ifndef WEIR_ENTRY_TRANSACTION_H
#define WEIR_ENTRY_TRANSACTION_H

/*
 * The command record of a transaction (EXEC): everything that decides it, in one record.
 *
 * It has ENTRY_COMMAND_ID_EXEC, no keys of its own, and four arguments, the first three of which
 * are multiples of 8 long; so everything in it is aligned as in the body of an entry.
 *
 *   0  head      u32 number of commands, u32 number of watched keys
 *   1  watches   of each watched key:
 *                  0   8  index of the entry after which it was watched; not 0
 *                  8   8  its hash
 *                 16   4  its length
 *                 20   4  1: it was there then; 0: it was not
 *                 24   n  the key; then zeros to a multiple of 8
 *   2  commands  command records without a session (entry/entry.h), one after the other; their ids
 *                are the machine's, or ENTRY_COMMAND_ID_REPLY: the place of a command whose reply
 *                is known already, with what was asked as arguments
 *   3  replies   for each ENTRY_COMMAND_ID_REPLY, in order: u32 length of the reply, not 0, u32 0,
 *                the reply as a neutral stream (wire/reply.h), zeros to a multiple of 8
 *
 * Valid if and only if all this holds and nothing follows.  What the neutral streams hold is not
 * looked at: their bytes are the leader's own.
 *
 * Pure; any thread.
 */

#include "entry/entry.h"

/* Counts and sizes of the format above. */
enum {
    ENTRY_TRANSACTION_ARGUMENTS = 4,
    ENTRY_TRANSACTION_HEAD_BYTES = 8,
    ENTRY_WATCH_HEADER_BYTES = 24,
    ENTRY_REPLY_HEADER_BYTES = 8,
};

/* A transaction, taken apart; every pointer borrows the record's bytes. */
struct entry_transaction {
    uint32_t command_count;
    uint32_t watch_count;
    const uint8_t *watches;
    const uint8_t *commands;
    const uint8_t *replies;
    uint32_t watch_bytes;
    uint32_t command_bytes;
    uint32_t reply_bytes;
};

/* A watched key. */
struct entry_watch {
    uint64_t index;
    uint64_t key_hash;
    const uint8_t *key;
    uint32_t key_bytes;
    bool present;
};

/* Bytes of a watched key, a multiple of 8. */
static inline uint32_t entry_watch_bytes(uint32_t key_bytes) {
    return ENTRY_WATCH_HEADER_BYTES + entry_stride_bytes(key_bytes);
}

/* Writes a watched key (entry_watch_bytes() of room); returns its bytes. */
uint32_t entry_watch_write(uint8_t *out, const struct entry_watch *watch);

/* Tells when a watched key that was written was watched, and whether it was there; returns its
 * bytes. */
uint32_t entry_watch_settle(uint8_t *at, uint64_t index, bool present);

/* Reads a watched key of a valid transaction; returns its bytes. */
uint32_t entry_watch_read(const uint8_t *at, struct entry_watch *watch);

/* Writes the head. */
void entry_transaction_head(uint8_t out[ENTRY_TRANSACTION_HEAD_BYTES], uint32_t command_count,
                            uint32_t watch_count);

/* Takes a valid record with ENTRY_COMMAND_ID_EXEC apart. */
void entry_transaction_read(const struct entry_command *command,
                            struct entry_transaction *transaction);

/* A cursor before the first of its commands. */
struct entry_cursor entry_transaction_cursor(const struct entry_transaction *transaction);

/* Whether the four arguments, `bytes` long together, are a transaction.  Foreign bytes are safe
 * here.  `record_bytes` judges a record's shape: its bytes, or 0. */
bool entry_transaction_check(const uint8_t *lengths, const uint8_t *arguments,
                             uint32_t (*record_bytes)(const uint8_t *record,
                                                      size_t available_bytes));

#endif
