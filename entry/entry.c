/*
 * Encoding, sealing and judging entries.
 *
 * Happy path, leader: the caller writes command records behind the header's place, entry_seal adds
 * header, chain and padding.  Happy path, everybody else: entry_check once, when the bytes arrive
 * from a peer or a disk; then entry_cursor_next as often as wanted.
 *
 * Failure modes: only entry_check meets foreign bytes.  It looks at nothing beyond available_bytes,
 * believes no count before it has seen that the bytes for it are there, and judges cheap fields
 * first and the chain before the body, so that damage is called damage and only bytes that somebody
 * really sealed are called ill-formed.
 */

#include "entry/entry.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/checksum.h"
#include "base/mutant.h"
#include "entry/address.h"
#include "entry/configuration.h"
#include "entry/transaction.h"

/* Offsets of the header's fields; entry.h has the table. */
enum {
    OFFSET_LENGTH = 0,
    OFFSET_KIND = 4,
    OFFSET_VERSION = 5,
    OFFSET_COMMAND_COUNT = 6,
    OFFSET_TERM = 8,
    OFFSET_INDEX = 16,
    OFFSET_LOG_TIME = 24,
    OFFSET_CHAIN = 32,
};
_Static_assert((int)OFFSET_CHAIN == (int)ENTRY_CHAINED_HEADER_BYTES,
               "the chain covers what precedes it");
_Static_assert((int)OFFSET_CHAIN + 8 == (int)ENTRY_HEADER_BYTES,
               "the chain is the header's last field");
_Static_assert((int)ENTRY_HEADER_BYTES % (int)ENTRY_ALIGN_BYTES == 0, "the body starts aligned");

/* Offsets of a command record's fields. */
enum {
    COMMAND_ID = 0,
    COMMAND_FLAGS = 2,
    COMMAND_RESERVED = 3,
    COMMAND_ARGUMENT_COUNT = 4,
    COMMAND_KEY_COUNT = 8,
    COMMAND_RECORD_LENGTH = 12,
};
_Static_assert((int)COMMAND_RECORD_LENGTH + 4 == (int)ENTRY_COMMAND_HEADER_BYTES,
               "the record's header");

struct entry_tail entry_tail_origin(void) {
    return (struct entry_tail){
        .index = 0, .term = 0, .log_time_ms = 0, .chain = ENTRY_CHAIN_ORIGIN};
}

/* ---- writing ------------------------------------------------------------------------------ */

uint32_t entry_command_bytes(uint32_t argument_count, uint32_t key_count,
                             uint64_t argument_bytes_total, bool has_session) {
    if (argument_bytes_total > UINT32_MAX)
        return 0; /* so that the sum below cannot wrap */
    uint64_t length_bytes = ENTRY_COMMAND_HEADER_BYTES;
    length_bytes += has_session ? ENTRY_COMMAND_SESSION_BYTES : 0;
    length_bytes += UINT64_C(8) * key_count + UINT64_C(4) * argument_count + argument_bytes_total;
    length_bytes = ALIGN_UP(length_bytes, (uint64_t)ENTRY_ALIGN_BYTES);
    return length_bytes > UINT32_MAX ? 0 : (uint32_t)length_bytes;
}

/* Writes key hashes, lengths and bytes behind the fixed part at `out`, and then the fixed part. */
static uint32_t command_finish(uint8_t *out, uint8_t *position, uint16_t id, uint8_t flags,
                               const struct entry_argument *arguments, uint32_t argument_count,
                               const uint64_t *key_hashes, uint32_t key_count) {
    for (uint32_t i = 0; i < key_count; i++) {
        bytes_put_u64(position, key_hashes[i]);
        position += 8;
    }
    uint8_t *bytes = position + (size_t)4 * argument_count;
    for (uint32_t i = 0; i < argument_count; i++) {
        const uint32_t length_bytes = arguments[i].length_bytes;
        bytes_put_u32(position, length_bytes);
        position += 4;
        if (length_bytes > 0)
            memcpy(bytes, arguments[i].data, length_bytes);
        bytes += length_bytes;
    }
    while ((size_t)(bytes - out) % ENTRY_ALIGN_BYTES != 0)
        *bytes++ = 0;

    const size_t record_bytes = (size_t)(bytes - out);
    ASSERT_HOT(record_bytes <= UINT32_MAX);
    bytes_put_u16(out + COMMAND_ID, id);
    out[COMMAND_FLAGS] = flags;
    out[COMMAND_RESERVED] = 0;
    bytes_put_u32(out + COMMAND_ARGUMENT_COUNT, argument_count);
    bytes_put_u32(out + COMMAND_KEY_COUNT, key_count);
    bytes_put_u32(out + COMMAND_RECORD_LENGTH, (uint32_t)record_bytes);
    return (uint32_t)record_bytes;
}

uint32_t entry_command_write(uint8_t *out, uint16_t id, const struct entry_argument *arguments,
                             uint32_t argument_count, const uint64_t *key_hashes,
                             uint32_t key_count) {
    ASSERT_HOT((uintptr_t)out % ENTRY_ALIGN_BYTES == 0);
    ASSERT_HOT(id != 0);
    return command_finish(out, out + ENTRY_COMMAND_HEADER_BYTES, id, 0, arguments, argument_count,
                          key_hashes, key_count);
}

uint32_t entry_command_write_session(uint8_t *out, uint16_t id, uint64_t session, uint64_t sequence,
                                     const struct entry_argument *arguments,
                                     uint32_t argument_count, const uint64_t *key_hashes,
                                     uint32_t key_count) {
    ASSERT_HOT((uintptr_t)out % ENTRY_ALIGN_BYTES == 0);
    ASSERT_HOT(id != 0);
    bytes_put_u64(out + ENTRY_COMMAND_HEADER_BYTES, session);
    bytes_put_u64(out + ENTRY_COMMAND_HEADER_BYTES + 8, sequence);
    return command_finish(out, out + ENTRY_COMMAND_HEADER_BYTES + ENTRY_COMMAND_SESSION_BYTES, id,
                          ENTRY_COMMAND_SESSION, arguments, argument_count, key_hashes, key_count);
}

/* Begins a record whose key hashes are at `hash`. */
static void command_begin(struct entry_command_writer *writer, uint8_t *out, uint8_t *hash,
                          uint16_t id, uint8_t flags, uint32_t argument_count, uint32_t key_count) {
    ASSERT_HOT((uintptr_t)out % ENTRY_ALIGN_BYTES == 0);
    ASSERT_HOT(id != 0);
    bytes_put_u16(out + COMMAND_ID, id);
    out[COMMAND_FLAGS] = flags;
    out[COMMAND_RESERVED] = 0;
    bytes_put_u32(out + COMMAND_ARGUMENT_COUNT, argument_count);
    bytes_put_u32(out + COMMAND_KEY_COUNT, key_count);
    writer->out = out;
    writer->hash = hash;
    writer->table = writer->hash + (size_t)8 * key_count;
    writer->length = writer->table;
    writer->data = writer->table + (size_t)4 * argument_count;
    writer->bytes = writer->data;
}

void entry_command_begin(struct entry_command_writer *writer, uint8_t *out, uint16_t id,
                         uint32_t argument_count, uint32_t key_count) {
    command_begin(writer, out, out + ENTRY_COMMAND_HEADER_BYTES, id, 0, argument_count, key_count);
}

void entry_command_begin_session(struct entry_command_writer *writer, uint8_t *out, uint16_t id,
                                 uint64_t session, uint64_t sequence, uint32_t argument_count,
                                 uint32_t key_count) {
    uint8_t *position = out + ENTRY_COMMAND_HEADER_BYTES;
    bytes_put_u64(position, session);
    bytes_put_u64(position + 8, sequence);
    command_begin(writer, out, position + ENTRY_COMMAND_SESSION_BYTES, id, ENTRY_COMMAND_SESSION,
                  argument_count, key_count);
}

void entry_command_key(struct entry_command_writer *writer, uint64_t key_hash) {
    ASSERT_HOT(writer->hash < writer->table);
    bytes_put_u64(writer->hash, key_hash);
    writer->hash += 8;
}

void entry_command_argument(struct entry_command_writer *writer, uint32_t length_bytes) {
    ASSERT_HOT(writer->length < writer->data);
    bytes_put_u32(writer->length, length_bytes);
    writer->length += 4;
}

void entry_command_data(struct entry_command_writer *writer, const uint8_t *data,
                        uint32_t length_bytes) {
    if (length_bytes > 0)
        memcpy(writer->bytes, data, length_bytes);
    writer->bytes += length_bytes;
}

uint32_t entry_command_end(struct entry_command_writer *writer) {
    ASSERT(writer->hash == writer->table && writer->length == writer->data);
    while ((size_t)(writer->bytes - writer->out) % ENTRY_ALIGN_BYTES != 0)
        *writer->bytes++ = 0;
    const size_t record_bytes = (size_t)(writer->bytes - writer->out);
    ASSERT(record_bytes <= UINT32_MAX);
    bytes_put_u32(writer->out + COMMAND_RECORD_LENGTH, (uint32_t)record_bytes);
    return (uint32_t)record_bytes;
}

uint64_t entry_chain(const uint8_t *entry, uint32_t length_bytes, uint64_t previous_chain) {
    ASSERT_HOT(length_bytes >= ENTRY_HEADER_BYTES);
    const uint64_t header = checksum_64(entry, ENTRY_CHAINED_HEADER_BYTES, previous_chain);
    return checksum_64(entry + ENTRY_HEADER_BYTES, length_bytes - ENTRY_HEADER_BYTES, header);
}

/* Header, but for the chain, and padding. */
static void seal_prepare(uint8_t *entry, const struct entry_header *header,
                         const struct entry_tail *tail) {
    const uint32_t length_bytes = header->length_bytes;
    ASSERT((uintptr_t)entry % ENTRY_ALIGN_BYTES == 0);
    ASSERT(length_bytes >= ENTRY_HEADER_BYTES && length_bytes <= UINT32_MAX - ENTRY_ALIGN_BYTES);
    ASSERT(header->term > 0 && header->term >= tail->term);
    ASSERT(header->log_time_ms >= tail->log_time_ms);
    ASSERT(header->kind == ENTRY_COMMANDS || header->command_count == 0);
    const uint8_t version = header->version != 0 ? header->version : ENTRY_VERSION;
    ASSERT(entry_version_is_known(header->kind, version));

    bytes_put_u32(entry + OFFSET_LENGTH, length_bytes);
    entry[OFFSET_KIND] = header->kind;
    entry[OFFSET_VERSION] = version;
    bytes_put_u16(entry + OFFSET_COMMAND_COUNT, header->command_count);
    bytes_put_u64(entry + OFFSET_TERM, header->term);
    bytes_put_u64(entry + OFFSET_INDEX, tail->index + 1);
    bytes_put_u64(entry + OFFSET_LOG_TIME, header->log_time_ms);
    memset(entry + length_bytes, 0, entry_stride_bytes(length_bytes) - length_bytes);
}

static void seal_finish(uint8_t *entry, const struct entry_header *header, uint64_t chain,
                        struct entry_tail *tail) {
    bytes_put_u64(entry + OFFSET_CHAIN, chain);
    *tail = (struct entry_tail){.index = tail->index + 1,
                                .term = header->term,
                                .log_time_ms = header->log_time_ms,
                                .chain = chain};
}

void entry_seal(uint8_t *entry, const struct entry_header *header, struct entry_tail *tail) {
    seal_prepare(entry, header, tail);
    seal_finish(entry, header, entry_chain(entry, header->length_bytes, tail->chain), tail);
}

void entry_seal_begin(struct entry_sealing *sealing, uint8_t *entry,
                      const struct entry_header *header, const struct entry_tail *tail) {
    seal_prepare(entry, header, tail);
    sealing->header = *header;
    sealing->header.index = tail->index + 1;
    sealing->chained_bytes = ENTRY_HEADER_BYTES;
    checksum_begin(&sealing->checksum, checksum_64(entry, ENTRY_CHAINED_HEADER_BYTES, tail->chain));
}

bool entry_seal_slice(struct entry_sealing *sealing, const uint8_t *entry, uint32_t length_bytes) {
    const uint32_t left = sealing->header.length_bytes - sealing->chained_bytes;
    const uint32_t slice = length_bytes < left ? length_bytes : left;
    checksum_update(&sealing->checksum, entry + sealing->chained_bytes, slice);
    sealing->chained_bytes += slice;
    return sealing->chained_bytes == sealing->header.length_bytes;
}

void entry_seal_end(const struct entry_sealing *sealing, uint8_t *entry, struct entry_tail *tail) {
    ASSERT(sealing->chained_bytes == sealing->header.length_bytes);
    ASSERT(sealing->header.index == tail->index + 1);
    seal_finish(entry, &sealing->header, checksum_end(&sealing->checksum), tail);
}

/* ---- judging ------------------------------------------------------------------------------ */

struct entry_header entry_header_read(const uint8_t *entry) {
    return (struct entry_header){
        .length_bytes = bytes_get_u32(entry + OFFSET_LENGTH),
        .kind = entry[OFFSET_KIND],
        .version = entry[OFFSET_VERSION],
        .command_count = bytes_get_u16(entry + OFFSET_COMMAND_COUNT),
        .term = bytes_get_u64(entry + OFFSET_TERM),
        .index = bytes_get_u64(entry + OFFSET_INDEX),
        .log_time_ms = bytes_get_u64(entry + OFFSET_LOG_TIME),
        .chain = bytes_get_u64(entry + OFFSET_CHAIN),
    };
}

/* Whether a record, whose fixed part and session are there, may have its id and session. */
static bool command_owner_is_valid(const uint8_t *record, uint8_t flags) {
    const bool has_session = (flags & ENTRY_COMMAND_SESSION) != 0;
    const bool of_session_0 =
        has_session && bytes_get_u64(record + ENTRY_COMMAND_HEADER_BYTES) == 0;
    if (bytes_get_u16(record + COMMAND_ID) < ENTRY_COMMAND_ID_HOST)
        return !of_session_0;
    if (bytes_get_u16(record + COMMAND_ID) == ENTRY_COMMAND_ID_EXEC)
        return !of_session_0 &&
               bytes_get_u32(record + COMMAND_ARGUMENT_COUNT) == ENTRY_TRANSACTION_ARGUMENTS &&
               bytes_get_u32(record + COMMAND_KEY_COUNT) == 0;
    return bytes_get_u16(record + COMMAND_ID) == ENTRY_COMMAND_ID_OPEN && of_session_0 &&
           bytes_get_u32(record + COMMAND_ARGUMENT_COUNT) == 0 &&
           bytes_get_u32(record + COMMAND_KEY_COUNT) == 0;
}

/* Where the lengths of a record's arguments begin. */
static uint64_t command_lengths_offset(const uint8_t *record) {
    const bool has_session = (record[COMMAND_FLAGS] & ENTRY_COMMAND_SESSION) != 0;
    const uint64_t session_bytes = has_session ? ENTRY_COMMAND_SESSION_BYTES : 0;
    return ENTRY_COMMAND_HEADER_BYTES + session_bytes +
           UINT64_C(8) * bytes_get_u32(record + COMMAND_KEY_COUNT);
}

/* Bytes of the command record at `record`, or 0 if the bytes there do not have the shape of one.
 * What it may be is not judged. */
static uint32_t command_shape(const uint8_t *record, size_t available_bytes) {
    if (available_bytes < ENTRY_COMMAND_HEADER_BYTES)
        return 0;
    const uint8_t flags = record[COMMAND_FLAGS];
    const uint32_t argument_count = bytes_get_u32(record + COMMAND_ARGUMENT_COUNT);
    const uint32_t record_bytes = bytes_get_u32(record + COMMAND_RECORD_LENGTH);
    if (bytes_get_u16(record + COMMAND_ID) == 0 || (flags & ~ENTRY_COMMAND_SESSION) != 0 ||
        record[COMMAND_RESERVED] != 0)
        return 0;
    if (record_bytes > available_bytes || record_bytes % ENTRY_ALIGN_BYTES != 0)
        return 0;

    const uint64_t lengths_offset = command_lengths_offset(record);
    uint64_t end = lengths_offset + UINT64_C(4) * argument_count;
    if (end > record_bytes)
        return 0; /* before the lengths are read: they may not be there */
    const uint8_t *length = record + lengths_offset;
    for (uint32_t i = 0; i < argument_count; i++) {
        end += bytes_get_u32(length);
        length += 4;
    }
    if (ALIGN_UP(end, (uint64_t)ENTRY_ALIGN_BYTES) != record_bytes)
        return 0;
    for (uint64_t i = end; i < record_bytes; i++) {
        if (record[i] != 0)
            return 0;
    }
    return record_bytes;
}

/* Bytes of the valid command record at `record`, or 0 if the bytes there are not one. */
static uint32_t command_check(const uint8_t *record, size_t available_bytes) {
    const uint32_t record_bytes = command_shape(record, available_bytes);
    if (record_bytes == 0 || !command_owner_is_valid(record, record[COMMAND_FLAGS]))
        return 0;
    if (bytes_get_u16(record + COMMAND_ID) != ENTRY_COMMAND_ID_EXEC)
        return record_bytes;
    const uint8_t *lengths = record + command_lengths_offset(record);
    const uint8_t *arguments = lengths + 4 * ENTRY_TRANSACTION_ARGUMENTS;
    return entry_transaction_check(lengths, arguments, command_shape) ? record_bytes : 0;
}

static bool commands_are_valid(const uint8_t *body, size_t body_bytes, uint32_t command_count) {
    size_t position = 0;
    uint32_t opens = 0;
    for (uint32_t i = 0; i < command_count; i++) {
        const uint32_t record_bytes = command_check(body + position, body_bytes - position);
        if (record_bytes == 0)
            return false;
        opens += bytes_get_u16(body + position + COMMAND_ID) == ENTRY_COMMAND_ID_OPEN;
        position += record_bytes;
    }
    return command_count > 0 && position == body_bytes && opens <= 1;
}

static bool genesis_is_valid(uint8_t version, const uint8_t *body, size_t body_bytes) {
    if (body_bytes != ENTRY_GENESIS_BODY_BYTES)
        return false;
    const uint32_t partition_count = bytes_get_u32(body + 8);
    const uint32_t value_bytes_max = bytes_get_u32(body + 12);
    return IS_POWER_OF_TWO(partition_count) && partition_count <= ENTRY_PARTITIONS_MAX &&
           value_bytes_max <= ENTRY_VALUE_BYTES_MAX &&
           (value_bytes_max > 0) == (version == ENTRY_GENESIS_VERSION);
}

static bool digest_is_valid(const struct entry_header *header, const uint8_t *body,
                            size_t body_bytes) {
    if (body_bytes < ENTRY_DIGEST_HEADER_BYTES)
        return false;
    const uint64_t index = bytes_get_u64(body);
    const uint32_t count = bytes_get_u32(body + 8);
    return index > 0 && index < header->index && IS_POWER_OF_TWO(count) &&
           count <= ENTRY_PARTITIONS_MAX && bytes_get_u32(body + 12) == 0 &&
           body_bytes == entry_digest_bytes(count);
}

static bool body_is_valid(const struct entry_header *header, const uint8_t *body) {
    const size_t body_bytes = header->length_bytes - ENTRY_HEADER_BYTES;
    if (header->kind == ENTRY_COMMANDS)
        return commands_are_valid(body, body_bytes, header->command_count);
    if (header->command_count != 0)
        return false;
    struct configuration configuration;
    struct entry_address address;
    switch ((enum entry_kind)header->kind) {
    case ENTRY_CONFIGURATION: return configuration_read(body, body_bytes, &configuration) == 0;
    case ENTRY_GENESIS: return genesis_is_valid(header->version, body, body_bytes);
    case ENTRY_NOOP:
    case ENTRY_TIME: return body_bytes == 0;
    case ENTRY_DIGEST: return digest_is_valid(header, body, body_bytes);
    case ENTRY_ADDRESS: return entry_address_read(body, body_bytes, &address);
    case ENTRY_COMMANDS:
    case ENTRY_SESSION: break;
    }
    UNREACHABLE("entry_check lets no other kind through");
}

bool entry_version_is_known(uint8_t kind, uint8_t version) {
    return version == ENTRY_VERSION || (kind == ENTRY_GENESIS && version == ENTRY_GENESIS_VERSION);
}

/* The kinds that this version writes and understands; the reserved one is not among them. */
static bool kind_is_known(uint8_t kind) {
    return kind >= ENTRY_COMMANDS && kind <= ENTRY_ADDRESS && kind != ENTRY_SESSION;
}

enum entry_fault entry_check(const uint8_t *entry, size_t available_bytes,
                             uint32_t length_max_bytes, struct entry_tail *tail) {
    ASSERT_HOT(length_max_bytes <= UINT32_MAX - ENTRY_ALIGN_BYTES);
    if (available_bytes < ENTRY_HEADER_BYTES)
        return ENTRY_FAULT_SHORT;
    const struct entry_header header = entry_header_read(entry);
    if (header.length_bytes < ENTRY_HEADER_BYTES || header.length_bytes > length_max_bytes)
        return ENTRY_FAULT_LENGTH;
    if (header.length_bytes > available_bytes)
        return ENTRY_FAULT_SHORT;
    if (!entry_version_is_known(header.kind, header.version))
        return ENTRY_FAULT_VERSION;
    if (!kind_is_known(header.kind))
        return ENTRY_FAULT_KIND;
    if (header.index != tail->index + 1)
        return ENTRY_FAULT_INDEX;
    if (header.term == 0 || header.term < tail->term)
        return ENTRY_FAULT_TERM;
    if (header.log_time_ms < tail->log_time_ms)
        return ENTRY_FAULT_TIME;
    if (MUTANT(CHECKSUM_UNVERIFIED, false,
               header.chain != entry_chain(entry, header.length_bytes, tail->chain)))
        return ENTRY_FAULT_CHAIN;
    if (!body_is_valid(&header, entry + ENTRY_HEADER_BYTES))
        return ENTRY_FAULT_BODY;

    *tail = (struct entry_tail){.index = header.index,
                                .term = header.term,
                                .log_time_ms = header.log_time_ms,
                                .chain = header.chain};
    return ENTRY_VALID;
}

const char *entry_fault_name(enum entry_fault fault) {
    switch (fault) {
    case ENTRY_VALID: return "valid";
    case ENTRY_FAULT_SHORT: return "cut short";
    case ENTRY_FAULT_LENGTH: return "length out of range";
    case ENTRY_FAULT_KIND: return "unknown kind";
    case ENTRY_FAULT_VERSION: return "unknown version";
    case ENTRY_FAULT_INDEX: return "index does not follow";
    case ENTRY_FAULT_TERM: return "term goes back or is zero";
    case ENTRY_FAULT_TIME: return "log time goes back";
    case ENTRY_FAULT_CHAIN: return "chain mismatch";
    case ENTRY_FAULT_BODY: return "body is not what its kind demands";
    }
    return "unknown fault";
}

/* ---- reading what is known to be valid ---------------------------------------------------- */

void entry_cursor_begin(struct entry_cursor *cursor, const uint8_t *entry) {
    const struct entry_header header = entry_header_read(entry);
    ASSERT(header.kind == ENTRY_COMMANDS && header.command_count > 0);
    cursor->position = entry + ENTRY_HEADER_BYTES;
    cursor->end = entry + header.length_bytes;
    cursor->commands_left = header.command_count;
}

bool entry_cursor_next(struct entry_cursor *cursor, struct entry_command *command) {
    if (cursor->commands_left == 0) {
        ASSERT_HOT(cursor->position == cursor->end);
        return false;
    }
    const uint8_t *record = cursor->position;
    const uint32_t record_bytes = bytes_get_u32(record + COMMAND_RECORD_LENGTH);
    ASSERT_HOT(record_bytes >= ENTRY_COMMAND_HEADER_BYTES);
    ASSERT_HOT(record_bytes <= (size_t)(cursor->end - record));

    command->id = bytes_get_u16(record + COMMAND_ID);
    command->flags = record[COMMAND_FLAGS];
    command->argument_count = bytes_get_u32(record + COMMAND_ARGUMENT_COUNT);
    command->key_count = bytes_get_u32(record + COMMAND_KEY_COUNT);
    command->session = 0;
    command->sequence = 0;
    const uint8_t *position = record + ENTRY_COMMAND_HEADER_BYTES;
    if (command->flags & ENTRY_COMMAND_SESSION) {
        command->session = bytes_get_u64(position);
        command->sequence = bytes_get_u64(position + 8);
        position += ENTRY_COMMAND_SESSION_BYTES;
    }
    command->key_hashes = position;
    command->argument_lengths = position + (size_t)8 * command->key_count;
    command->arguments = command->argument_lengths + (size_t)4 * command->argument_count;

    cursor->position = record + record_bytes;
    cursor->commands_left--;
    return true;
}

bool entry_cursor_at_session(const struct entry_cursor *cursor) {
    return cursor->commands_left > 0 &&
           (cursor->position[COMMAND_FLAGS] & ENTRY_COMMAND_SESSION) != 0;
}

uint8_t entry_genesis_version(const struct entry_genesis *genesis) {
    return genesis->value_bytes_max > 0 ? ENTRY_GENESIS_VERSION : ENTRY_VERSION;
}

uint16_t entry_cursor_id(const struct entry_cursor *cursor) {
    return cursor->commands_left > 0 ? bytes_get_u16(cursor->position + COMMAND_ID) : 0;
}

void entry_genesis_write(uint8_t *body, const struct entry_genesis *genesis) {
    ASSERT(IS_POWER_OF_TWO(genesis->partition_count));
    ASSERT(genesis->partition_count <= ENTRY_PARTITIONS_MAX);
    bytes_put_u64(body, genesis->hash_seed);
    ASSERT(genesis->value_bytes_max <= ENTRY_VALUE_BYTES_MAX);
    bytes_put_u32(body + 8, genesis->partition_count);
    bytes_put_u32(body + 12, genesis->value_bytes_max);
}

struct entry_genesis entry_genesis_read(const uint8_t *body) {
    const struct entry_genesis genesis = {.hash_seed = bytes_get_u64(body),
                                          .partition_count = bytes_get_u32(body + 8),
                                          .value_bytes_max = bytes_get_u32(body + 12)};
    ASSERT(genesis_is_valid(entry_genesis_version(&genesis), body, ENTRY_GENESIS_BODY_BYTES));
    return genesis;
}

void entry_digest_write(uint8_t *body, uint64_t index, const uint64_t *digests, uint32_t count) {
    ASSERT(index > 0);
    ASSERT(IS_POWER_OF_TWO(count) && count <= ENTRY_PARTITIONS_MAX);
    bytes_put_u64(body, index);
    bytes_put_u32(body + 8, count);
    bytes_put_u32(body + 12, 0);
    for (uint32_t i = 0; i < count; i++)
        bytes_put_u64(body + ENTRY_DIGEST_HEADER_BYTES + 8 * (size_t)i, digests[i]);
}

struct entry_digest entry_digest_read(const uint8_t *body) {
    const struct entry_digest digest = {.index = bytes_get_u64(body),
                                        .count = bytes_get_u32(body + 8),
                                        .digests = body + ENTRY_DIGEST_HEADER_BYTES};
    ASSERT(digest.index > 0);
    ASSERT(IS_POWER_OF_TWO(digest.count) && digest.count <= ENTRY_PARTITIONS_MAX);
    return digest;
}
