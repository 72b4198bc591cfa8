/* Entries: every fault, the exact bytes, and random ones there and back. */

#include "entry/entry.h"

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/random.h"
#include "entry/configuration.h"

#include "tests/cmocka_wrapper.h"

#include <stdlib.h>
#include <string.h>

enum { LIMIT = 1 << 20 };

static _Alignas(8) uint8_t memory[1 << 20];

static struct entry_header commands_header(uint32_t body_bytes, uint16_t command_count) {
    return (struct entry_header){.length_bytes = ENTRY_HEADER_BYTES + body_bytes,
                                 .kind = ENTRY_COMMANDS,
                                 .command_count = command_count,
                                 .term = 5,
                                 .log_time_ms = 1000};
}

/* One command SET k v with a key hash, at entry 1. */
static uint32_t simple_entry(uint8_t *entry, struct entry_tail *tail) {
    const struct entry_argument arguments[] = {{(const uint8_t *)"k", 1},
                                               {(const uint8_t *)"val", 3}};
    const uint64_t hash = UINT64_C(0x0102030405060708);
    const uint32_t body =
        entry_command_write(entry + ENTRY_HEADER_BYTES, 0x0a0b, arguments, 2, &hash, 1);
    const struct entry_header header = commands_header(body, 1);
    entry_seal(entry, &header, tail);
    return header.length_bytes;
}

/* Seals again after a change, so that only what was changed is wrong. */
static void chain_again(uint8_t *entry, const struct entry_tail *before) {
    bytes_put_u64(entry + 32, entry_chain(entry, bytes_get_u32(entry), before->chain));
}

/* Judges an exact copy on the heap: the sanitizer sees a byte too far. */
static enum entry_fault judge(const uint8_t *entry, size_t available,
                              const struct entry_tail *tail) {
    uint8_t *copy = malloc(available + 1);
    memcpy(copy, entry, available);
    struct entry_tail after = *tail;
    uint8_t *exact = realloc(copy, available == 0 ? 1 : available);
    const enum entry_fault fault = entry_check(exact, available, LIMIT, &after);
    assert_true((fault == ENTRY_VALID) == (memcmp(&after, tail, sizeof(after)) != 0));
    free(exact);
    return fault;
}

static void its_bytes_are_the_documented_ones(void **state) {
    (void)state;
    static const uint8_t expected[] = {
        80,   0,    0,   0,   1,  1, 1, 0, /* length, ENTRY_COMMANDS, version 1, 1 command */
        5,    0,    0,   0,   0,  0, 0, 0, /* term */
        1,    0,    0,   0,   0,  0, 0, 0, /* index */
        0xe8, 3,    0,   0,   0,  0, 0, 0, /* log time 1000 */
        0,    0,    0,   0,   0,  0, 0, 0, /* chain: below */
        0x0b, 0x0a, 0,   0,   2,  0, 0, 0, /* command id, no flags, 2 arguments */
        1,    0,    0,   0,   40, 0, 0, 0, /* 1 key, record of 40 bytes */
        8,    7,    6,   5,   4,  3, 2, 1, /* key hash */
        1,    0,    0,   0,   3,  0, 0, 0, /* argument lengths */
        'k',  'v',  'a', 'l', 0,  0, 0, 0, /* arguments, zeros to a multiple of 8 */
    };
    struct entry_tail tail = entry_tail_origin();
    assert_true(tail.chain == ENTRY_CHAIN_ORIGIN && tail.index == 0);
    assert_int_equal(simple_entry(memory, &tail), sizeof(expected));
    assert_memory_equal(memory, expected, 32);
    assert_memory_equal(memory + 40, expected + 40, sizeof(expected) - 40);
    /* chain = H(body, seed = H(first 32 bytes, seed = "weirlog1")) */
    const uint64_t seed = bytes_get_u64((const uint8_t *)"weirlog1");
    const uint64_t chain = checksum_64(memory + 40, 40, checksum_64(memory, 32, seed));
    assert_true(bytes_get_u64(memory + 32) == chain);
    assert_true(chain == UINT64_C(0xbee9166422f7a899)); /* for ever */
    assert_true(tail.index == 1 && tail.term == 5 && tail.log_time_ms == 1000);
    assert_true(tail.chain == chain);
}

static void every_fault_is_named(void **state) {
    (void)state;
    struct entry_tail origin = entry_tail_origin();
    struct entry_tail tail = origin;
    const uint32_t length = simple_entry(memory, &tail);
    assert_int_equal(judge(memory, length, &origin), ENTRY_VALID);
    for (uint32_t shorter = 0; shorter < length; shorter++)
        assert_int_equal(judge(memory, shorter, &origin), ENTRY_FAULT_SHORT);
    static const struct {
        uint32_t offset;
        uint8_t value;
        enum entry_fault fault;
    } wrongs[] = {
        {0, 39, ENTRY_FAULT_LENGTH}, {3, 0xff, ENTRY_FAULT_LENGTH}, {0, 81, ENTRY_FAULT_SHORT},
        {4, 0, ENTRY_FAULT_KIND},    {4, 7, ENTRY_FAULT_KIND},      {4, 9, ENTRY_FAULT_KIND},
        {5, 0, ENTRY_FAULT_VERSION}, {5, 2, ENTRY_FAULT_VERSION},   {16, 2, ENTRY_FAULT_INDEX},
        {16, 0, ENTRY_FAULT_INDEX},  {8, 0, ENTRY_FAULT_TERM},      {32, 1, ENTRY_FAULT_CHAIN},
        {79, 1, ENTRY_FAULT_CHAIN},
    };
    for (size_t i = 0; i < ARRAY_COUNT(wrongs); i++) {
        const uint8_t saved = memory[wrongs[i].offset];
        memory[wrongs[i].offset] = wrongs[i].value;
        assert_int_equal(judge(memory, length, &origin), wrongs[i].fault);
        memory[wrongs[i].offset] = saved;
    }
    struct entry_tail before = {.index = 0, .term = 6, .chain = ENTRY_CHAIN_ORIGIN};
    assert_int_equal(judge(memory, length, &before), ENTRY_FAULT_TERM);
    before = (struct entry_tail){.log_time_ms = 1001, .chain = ENTRY_CHAIN_ORIGIN};
    assert_int_equal(judge(memory, length, &before), ENTRY_FAULT_TIME);
    before = (struct entry_tail){.chain = ENTRY_CHAIN_ORIGIN + 1};
    assert_int_equal(judge(memory, length, &before), ENTRY_FAULT_CHAIN);
    struct entry_tail limited = origin;
    assert_int_equal(entry_check(memory, length, length - 1, &limited), ENTRY_FAULT_LENGTH);
    for (int fault = ENTRY_VALID; fault <= ENTRY_FAULT_BODY; fault++)
        assert_true(strlen(entry_fault_name((enum entry_fault)fault)) > 3);
}

/* Sealed by somebody who does not keep to the format: the chain is right, the body is not. */
static void an_ill_formed_body_is_refused_although_its_chain_is_right(void **state) {
    (void)state;
    struct entry_tail origin = entry_tail_origin();
    struct entry_tail tail = origin;
    const uint32_t length = simple_entry(memory, &tail);
    static const struct {
        uint32_t offset;
        uint8_t value;
    } wrongs[] = {
        {6, 0},     /* no command */
        {6, 2},     /* two commands, one record */
        {40, 0},    /* command id 0x0a00 is allowed; with the next line it is 0 */
        {42, 2},    /* unknown flag */
        {42, 1},    /* session: its 16 bytes are not there */
        {41, 0xff}, /* the host's command 0xff01: there is none */
        {43, 1},    /* reserved */
        {44, 3},    /* more arguments than lengths */
        {47, 0xff}, /* far more */
        {48, 2},    /* more keys */
        {51, 0xff}, /* far more */
        {52, 32},   /* record shorter */
        {52, 48},   /* record longer than the body */
        {52, 41},   /* not a multiple of 8 */
        {64, 9},    /* argument longer than the record */
        {67, 0xff}, /* far longer */
        {68, 0},    /* arguments shorter: zeros where none belong */
        {79, 1},    /* padding not zero */
    };
    for (size_t i = 0; i < ARRAY_COUNT(wrongs); i++) {
        const uint8_t saved = memory[wrongs[i].offset];
        memory[wrongs[i].offset] = wrongs[i].value;
        if (wrongs[i].offset == 40)
            memory[41] = 0;
        chain_again(memory, &origin);
        if (judge(memory, length, &origin) != ENTRY_FAULT_BODY)
            fail_msg("a %u at offset %u was taken", wrongs[i].value, wrongs[i].offset);
        memory[41] = 0x0a;
        memory[wrongs[i].offset] = saved;
    }
    chain_again(memory, &origin);
    assert_int_equal(judge(memory, length, &origin), ENTRY_VALID);
}

/* An entry of so many records that open a session, and then maybe a command of session `session`.
 * */
static uint32_t session_entry(uint16_t opens, uint64_t session, bool has_command) {
    struct entry_tail tail = entry_tail_origin();
    const uint64_t key = 7;
    const struct entry_argument argument = {.data = (const uint8_t *)"k", .length_bytes = 1};
    uint32_t body = 0;
    for (uint16_t i = 0; i < opens; i++)
        body += entry_command_write_session(memory + ENTRY_HEADER_BYTES + body,
                                            ENTRY_COMMAND_ID_OPEN, 0, 1000, NULL, 0, NULL, 0);
    if (has_command)
        body += entry_command_write_session(memory + ENTRY_HEADER_BYTES + body, 1, session, 5,
                                            &argument, 1, &key, 1);
    struct entry_header header = commands_header(body, (uint16_t)(opens + has_command));
    header.term = 1;
    entry_seal(memory, &header, &tail);
    return header.length_bytes;
}

static void at_most_one_session_is_opened_in_an_entry_and_none_is_0(void **state) {
    (void)state;
    const struct entry_tail origin = entry_tail_origin();
    assert_int_equal(judge(memory, session_entry(2, 0, false), &origin), ENTRY_FAULT_BODY);
    assert_int_equal(judge(memory, session_entry(0, 0, true), &origin), ENTRY_FAULT_BODY);
    const uint32_t length = session_entry(1, 9, true);
    assert_int_equal(judge(memory, length, &origin), ENTRY_VALID);
    struct entry_cursor cursor;
    struct entry_command command;
    entry_cursor_begin(&cursor, memory);
    for (uint32_t i = 0; i < 2; i++) {
        assert_true(entry_cursor_at_session(&cursor));
        assert_true(entry_cursor_next(&cursor, &command));
    }
    assert_false(entry_cursor_at_session(&cursor));
    assert_true(command.session == 9 && command.sequence == 5 && command.key_count == 1);
    /* Opening has no session, no arguments, no keys, and has the flag. */
    static const uint32_t offsets[] = {42, 44, 48, 56};
    for (size_t i = 0; i < ARRAY_COUNT(offsets); i++) {
        assert_int_equal(session_entry(1, 0, false), ENTRY_HEADER_BYTES + 32);
        memory[offsets[i]] ^= 1;
        chain_again(memory, &origin);
        assert_int_equal(judge(memory, ENTRY_HEADER_BYTES + 32, &origin), ENTRY_FAULT_BODY);
    }
}

static void a_session_command_written_bit_by_bit_is_the_same(void **state) {
    (void)state;
    const uint64_t key = 77;
    const struct entry_argument arguments[] = {{(const uint8_t *)"key", 3}, {NULL, 0}};
    _Alignas(8) uint8_t whole[128];
    _Alignas(8) uint8_t bits[128];
    const uint32_t length = entry_command_write_session(whole, 3, 11, 12, arguments, 2, &key, 1);
    struct entry_command_writer writer;
    entry_command_begin_session(&writer, bits, 3, 11, 12, 2, 1);
    entry_command_key(&writer, key);
    entry_command_argument(&writer, 3);
    entry_command_data(&writer, (const uint8_t *)"ke", 2);
    entry_command_data(&writer, (const uint8_t *)"y", 1);
    entry_command_argument(&writer, 0);
    assert_int_equal(entry_command_end(&writer), length);
    assert_memory_equal(whole, bits, length);
}

/* A genesis record, sealed. */
static uint32_t genesis_entry(uint32_t value_bytes_max) {
    struct entry_tail tail = entry_tail_origin();
    const struct entry_genesis genesis = {
        .hash_seed = 77, .partition_count = 16, .value_bytes_max = value_bytes_max};
    const struct entry_header header = {.length_bytes =
                                            ENTRY_HEADER_BYTES + ENTRY_GENESIS_BODY_BYTES,
                                        .kind = ENTRY_GENESIS,
                                        .version = entry_genesis_version(&genesis),
                                        .term = 1};
    entry_genesis_write(memory + ENTRY_HEADER_BYTES, &genesis);
    entry_seal(memory, &header, &tail);
    return header.length_bytes;
}

static void a_genesis_record_says_the_largest_value_or_is_of_the_version_before(void **state) {
    (void)state;
    const struct entry_tail origin = entry_tail_origin();
    static const struct {
        uint32_t value_bytes_max;
        uint8_t version;
        enum entry_fault fault;
    } rows[] = {
        {0, 1, ENTRY_VALID},
        {0, 2, ENTRY_FAULT_BODY},
        {0, 3, ENTRY_FAULT_VERSION},
        {1, 1, ENTRY_FAULT_BODY},
        {1, 2, ENTRY_VALID},
        {ENTRY_VALUE_BYTES_MAX, 2, ENTRY_VALID},
        {ENTRY_VALUE_BYTES_MAX + 1, 2, ENTRY_FAULT_BODY},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const uint32_t length = genesis_entry(0);
        memory[5] = rows[i].version;
        bytes_put_u32(memory + ENTRY_HEADER_BYTES + 12, rows[i].value_bytes_max);
        chain_again(memory, &origin);
        assert_int_equal(judge(memory, length, &origin), rows[i].fault);
    }
    for (uint32_t largest = 0; largest <= ENTRY_VALUE_BYTES_MAX; largest = 2 * largest + 1) {
        const uint32_t length = genesis_entry(largest);
        assert_int_equal(judge(memory, length, &origin), ENTRY_VALID);
        assert_int_equal(memory[5], largest == 0 ? 1 : 2);
        const struct entry_genesis back = entry_genesis_read(memory + ENTRY_HEADER_BYTES);
        assert_true(back.hash_seed == 77 && back.partition_count == 16);
        assert_int_equal(back.value_bytes_max, largest);
    }
}

static void each_kind_has_its_body(void **state) {
    (void)state;
    static const struct configuration one = {
        .member_count = 1, .members = {{.node_id = 1, .roles = CONFIGURATION_VOTER}}};
    static const struct entry_genesis genesis = {.hash_seed = 77, .partition_count = 16};
    struct entry_tail origin = entry_tail_origin();
    const uint32_t configuration_length = configuration_write(memory + ENTRY_HEADER_BYTES, &one);
    struct {
        uint8_t kind;
        uint32_t right_bytes;
    } kinds[] = {
        {ENTRY_CONFIGURATION, configuration_length},
        {ENTRY_NOOP, 0},
        {ENTRY_GENESIS, ENTRY_GENESIS_BODY_BYTES},
        {ENTRY_TIME, 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        for (uint32_t body = 0; body < 64; body += 8) {
            struct entry_tail tail = origin;
            struct entry_header header = {
                .length_bytes = ENTRY_HEADER_BYTES + body, .kind = kinds[i].kind, .term = 1};
            memset(memory + ENTRY_HEADER_BYTES, 0, 64);
            if (kinds[i].kind == ENTRY_CONFIGURATION)
                configuration_write(memory + ENTRY_HEADER_BYTES, &one);
            if (kinds[i].kind == ENTRY_GENESIS)
                entry_genesis_write(memory + ENTRY_HEADER_BYTES, &genesis);
            entry_seal(memory, &header, &tail);
            const bool is_right = body == kinds[i].right_bytes;
            assert_int_equal(judge(memory, header.length_bytes, &origin),
                             is_right ? ENTRY_VALID : ENTRY_FAULT_BODY);
            if (!is_right)
                continue;
            if (kinds[i].kind == ENTRY_GENESIS) {
                const struct entry_genesis back = entry_genesis_read(memory + ENTRY_HEADER_BYTES);
                assert_true(back.hash_seed == 77 && back.partition_count == 16);
                bytes_put_u32(memory + ENTRY_HEADER_BYTES + 8, 12); /* not a power of two */
                chain_again(memory, &origin);
                assert_int_equal(judge(memory, header.length_bytes, &origin), ENTRY_FAULT_BODY);
                bytes_put_u32(memory + ENTRY_HEADER_BYTES + 8, 512); /* too many */
                chain_again(memory, &origin);
                assert_int_equal(judge(memory, header.length_bytes, &origin), ENTRY_FAULT_BODY);
            }
            bytes_put_u16(memory + 6, 1); /* commands in an entry that has none */
            chain_again(memory, &origin);
            assert_int_equal(judge(memory, header.length_bytes, &origin), ENTRY_FAULT_BODY);
        }
    }
}

/* Seals a digest entry behind entry 8 and judges it. */
static enum entry_fault digest_judge(uint64_t index, uint32_t count, uint32_t reserved,
                                     uint32_t body_bytes) {
    const struct entry_tail before = {.index = 8, .term = 1, .chain = 5};
    struct entry_tail tail = before;
    uint8_t *body = memory + ENTRY_HEADER_BYTES;
    const struct entry_header header = {
        .length_bytes = ENTRY_HEADER_BYTES + body_bytes, .kind = ENTRY_DIGEST, .term = 1};
    memset(body, 0x5a, body_bytes);
    if (body_bytes >= ENTRY_DIGEST_HEADER_BYTES) {
        bytes_put_u64(body, index);
        bytes_put_u32(body + 8, count);
        bytes_put_u32(body + 12, reserved);
    }
    entry_seal(memory, &header, &tail);
    return judge(memory, header.length_bytes, &before);
}

static void a_digest_of_what_is_not_before_it_or_of_another_size_is_refused(void **state) {
    (void)state;
    const uint32_t four = entry_digest_bytes(4);
    assert_int_equal(digest_judge(0, 4, 0, four), ENTRY_FAULT_BODY);
    assert_int_equal(digest_judge(9, 4, 0, four), ENTRY_FAULT_BODY); /* its own index */
    assert_int_equal(digest_judge(10, 4, 0, four), ENTRY_FAULT_BODY);
    assert_int_equal(digest_judge(UINT64_MAX, 4, 0, four), ENTRY_FAULT_BODY);
    assert_int_equal(digest_judge(8, 4, 1, four), ENTRY_FAULT_BODY);
    assert_int_equal(digest_judge(8, 0, 0, entry_digest_bytes(0)), ENTRY_FAULT_BODY);
    assert_int_equal(digest_judge(8, 3, 0, entry_digest_bytes(3)), ENTRY_FAULT_BODY);
    assert_int_equal(digest_judge(8, 512, 0, entry_digest_bytes(512)), ENTRY_FAULT_BODY);
    assert_int_equal(digest_judge(8, UINT32_C(1) << 31, 0, ENTRY_DIGEST_HEADER_BYTES),
                     ENTRY_FAULT_BODY);
    for (uint32_t body_bytes = 0; body_bytes < 2 * four; body_bytes++)
        assert_int_equal(digest_judge(8, 4, 0, body_bytes),
                         body_bytes == four ? ENTRY_VALID : ENTRY_FAULT_BODY);
}

static void a_digest_comes_back_as_it_was_written(void **state) {
    (void)state;
    uint64_t digests[ENTRY_PARTITIONS_MAX];
    for (uint32_t i = 0; i < ENTRY_PARTITIONS_MAX; i++)
        digests[i] = i * UINT64_C(0x9e3779b97f4a7c15);
    for (uint32_t count = 1; count <= ENTRY_PARTITIONS_MAX; count *= 2) {
        const struct entry_tail before = {.index = 2048, .term = 3, .chain = 7};
        struct entry_tail tail = before;
        const struct entry_header header = {.length_bytes =
                                                ENTRY_HEADER_BYTES + entry_digest_bytes(count),
                                            .kind = ENTRY_DIGEST,
                                            .term = 3};
        entry_digest_write(memory + ENTRY_HEADER_BYTES, 2048, digests, count);
        entry_seal(memory, &header, &tail);
        assert_int_equal(judge(memory, header.length_bytes, &before), ENTRY_VALID);
        const struct entry_digest back = entry_digest_read(memory + ENTRY_HEADER_BYTES);
        assert_true(back.index == 2048 && back.count == count);
        for (uint32_t i = 0; i < count; i++)
            assert_true(bytes_get_u64(back.digests + 8 * (size_t)i) == digests[i]);
    }
}

static void sizes_that_cannot_be_are_0(void **state) {
    (void)state;
    assert_int_equal(entry_command_bytes(0, 0, 0, false), 16);
    assert_int_equal(entry_command_bytes(0, 0, 0, true), 32);
    assert_int_equal(entry_command_bytes(2, 1, 4, false), 40);
    assert_int_equal(entry_command_bytes(1, 0, UINT32_MAX, false), 0);
    assert_int_equal(entry_command_bytes(1, 0, UINT64_MAX, false), 0);
    assert_int_equal(entry_command_bytes(UINT32_MAX, UINT32_MAX, 0, false), 0);
    assert_int_equal(entry_command_bytes(1, 0, UINT32_MAX - 27, false), UINT32_MAX - 7);
    assert_int_equal(entry_command_bytes(1, 0, UINT32_MAX - 26, false), 0);
}

/* ---- random entries ----------------------------------------------------------------------- */

enum { COMMANDS_MAX = 12, ARGUMENTS_MAX = 9, KEYS_MAX = 5, ARGUMENT_BYTES_MAX = 300 };

struct random_command {
    uint16_t id;
    bool has_session;
    uint64_t session;
    uint64_t sequence;
    uint32_t argument_count;
    uint32_t key_count;
    struct entry_argument arguments[ARGUMENTS_MAX];
    uint64_t keys[KEYS_MAX];
};

static uint8_t noise[65536];

static struct random_command random_command(struct random *random) {
    struct random_command command = {
        .id = (uint16_t)(1 + random_below(random, ENTRY_COMMAND_ID_HOST - 1)),
        .has_session = random_chance(random, 1, 3),
        .session = random_u64(random) | 1,
        .sequence = random_u64(random),
        .argument_count = (uint32_t)random_below(random, ARGUMENTS_MAX + 1),
        .key_count = (uint32_t)random_below(random, KEYS_MAX + 1),
    };
    for (uint32_t i = 0; i < command.argument_count; i++) {
        command.arguments[i].length_bytes = (uint32_t)random_below(random, ARGUMENT_BYTES_MAX);
        command.arguments[i].data =
            noise + random_below(random, sizeof(noise) - ARGUMENT_BYTES_MAX);
        if (command.arguments[i].length_bytes == 0)
            command.arguments[i].data = NULL;
    }
    for (uint32_t i = 0; i < command.key_count; i++)
        command.keys[i] = random_u64(random);
    return command;
}

static uint32_t command_encode(uint8_t *out, const struct random_command *command) {
    uint64_t total = 0;
    for (uint32_t i = 0; i < command->argument_count; i++)
        total += command->arguments[i].length_bytes;
    const uint32_t bytes = entry_command_bytes(command->argument_count, command->key_count, total,
                                               command->has_session);
    const uint32_t written =
        command->has_session
            ? entry_command_write_session(out, command->id, command->session, command->sequence,
                                          command->arguments, command->argument_count,
                                          command->keys, command->key_count)
            : entry_command_write(out, command->id, command->arguments, command->argument_count,
                                  command->keys, command->key_count);
    assert_int_equal(written, bytes);
    return written;
}

static void command_compare(const struct entry_command *got, const struct random_command *put) {
    assert_int_equal(got->id, put->id);
    assert_int_equal(got->argument_count, put->argument_count);
    assert_int_equal(got->key_count, put->key_count);
    assert_true(got->session == (put->has_session ? put->session : 0));
    assert_true(got->sequence == (put->has_session ? put->sequence : 0));
    for (uint32_t i = 0; i < put->key_count; i++)
        assert_true(bytes_get_u64(got->key_hashes + 8 * (size_t)i) == put->keys[i]);
    const uint8_t *argument = got->arguments;
    for (uint32_t i = 0; i < put->argument_count; i++) {
        const uint32_t length = bytes_get_u32(got->argument_lengths + 4 * (size_t)i);
        assert_int_equal(length, put->arguments[i].length_bytes);
        if (length > 0)
            assert_memory_equal(argument, put->arguments[i].data, length);
        argument += length;
    }
}

static void random_entries_come_back_as_they_went(void **state) {
    (void)state;
    struct random random;
    random_seed(&random, 11);
    for (size_t i = 0; i < sizeof(noise); i++)
        noise[i] = (uint8_t)random_u64(&random);
    struct entry_tail tail = entry_tail_origin();
    for (int round = 0; round < 3000; round++) {
        struct random_command commands[COMMANDS_MAX];
        const uint32_t count = 1 + (uint32_t)random_below(&random, COMMANDS_MAX);
        uint32_t body = 0;
        memset(memory, 0xee, 65536); /* what the log's memory held before */
        for (uint32_t i = 0; i < count; i++) {
            commands[i] = random_command(&random);
            body += command_encode(memory + ENTRY_HEADER_BYTES + body, &commands[i]);
        }
        struct entry_header header = commands_header(body, (uint16_t)count);
        header.term = tail.term + random_below(&random, 2) + (tail.term == 0);
        header.log_time_ms = tail.log_time_ms + random_below(&random, 3);
        const struct entry_tail before = tail;
        entry_seal(memory, &header, &tail);
        assert_int_equal(judge(memory, header.length_bytes, &before), ENTRY_VALID);

        struct entry_cursor cursor;
        struct entry_command command;
        entry_cursor_begin(&cursor, memory);
        for (uint32_t i = 0; i < count; i++) {
            assert_true(entry_cursor_next(&cursor, &command));
            command_compare(&command, &commands[i]);
        }
        assert_false(entry_cursor_next(&cursor, &command));

        /* Any flipped bit is seen. */
        const uint64_t bit = random_below(&random, (uint64_t)header.length_bytes * 8);
        memory[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(judge(memory, header.length_bytes, &before), ENTRY_VALID);
    }
}

/* Bytes altered at will and sealed again: judged without reading where nothing is. */
static void hostile_entries_are_judged_in_bounds(void **state) {
    (void)state;
    struct random random;
    random_seed(&random, 12);
    struct entry_tail origin = entry_tail_origin();
    uint32_t valid_count = 0;
    for (int round = 0; round < 100000; round++) {
        struct entry_tail tail = origin;
        const uint32_t length = simple_entry(memory, &tail);
        const uint64_t changes = 1 + random_below(&random, 3);
        for (uint64_t i = 0; i < changes; i++)
            memory[40 + random_below(&random, 40)] = (uint8_t)random_u64(&random);
        chain_again(memory, &origin);
        valid_count += judge(memory, length, &origin) == ENTRY_VALID;
    }
    assert_true(valid_count > 1000 && valid_count < 99000); /* both really happened */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_fault_is_named),
        cmocka_unit_test(an_ill_formed_body_is_refused_although_its_chain_is_right),
        cmocka_unit_test(at_most_one_session_is_opened_in_an_entry_and_none_is_0),
        cmocka_unit_test(a_session_command_written_bit_by_bit_is_the_same),
        cmocka_unit_test(a_digest_of_what_is_not_before_it_or_of_another_size_is_refused),
        cmocka_unit_test(a_genesis_record_says_the_largest_value_or_is_of_the_version_before),
        cmocka_unit_test(each_kind_has_its_body),
        cmocka_unit_test(a_digest_comes_back_as_it_was_written),
        cmocka_unit_test(sizes_that_cannot_be_are_0),
        cmocka_unit_test(its_bytes_are_the_documented_ones),
        cmocka_unit_test(random_entries_come_back_as_they_went),
        cmocka_unit_test(hostile_entries_are_judged_in_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
