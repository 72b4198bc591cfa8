/*
 * A name is folded to lower case in a buffer of fixed size, hashed eight bytes at a time, and
 * looked for in an open-addressed table at most half full.  A name longer than any command's is
 * known to be none without being looked at.
 *
 * The table holds two sorts of rows, the machine's and ours, as (table, row).  It is built once;
 * what would make it ambiguous (a name in both, or twice) is an error at start, not a silent
 * preference.
 */

#include "stages/directory.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "entry/entry.h"
#include "stages/connection_commands.h"

enum {
    DIRECTORY_NAME_BYTES_MAX = 31,
    DIRECTORY_NAME_WORDS = 4, /* 8 bytes each: a name and at least one zero */
    DIRECTORY_SLOTS = 2048,   /* a power of two, at least twice the commands there can be */
    DIRECTORY_COMMANDS_MAX = 1024,
};
_Static_assert(DIRECTORY_SLOTS >= 2 * DIRECTORY_COMMANDS_MAX, "at most half full: short probes");
_Static_assert(DIRECTORY_NAME_WORDS * 8 > DIRECTORY_NAME_BYTES_MAX, "a name fits its words");

/* A name folded to lower case, padded with zeros. */
struct directory_key {
    uint64_t words[DIRECTORY_NAME_WORDS];
};

struct directory_slot {
    struct directory_key key;
    uint16_t row;
    uint8_t table; /* TABLE_NONE: free */
};

struct directory {
    const struct machine_operations *machine;
    struct directory_slot slots[DIRECTORY_SLOTS];
};

/* A to Z become a to z, eight bytes at once; all other bytes stay. */
static uint64_t directory_fold(uint64_t word) {
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t low = word & (0x7f * ones);
    uint64_t from_a = low + (0x80 - 'A') * ones;       /* bit 7: >= 'A' */
    uint64_t beyond_z = low + (0x80 - 'Z' - 1) * ones; /* bit 7: > 'Z' */
    uint64_t upper = (from_a & ~beyond_z & ~word) & (0x80 * ones);
    return word | upper >> 2;
}

/* 1 to 8 bytes as a little-endian word.  By loads that overlap, not by a copy to memory: a word
 * read from where single bytes were just written waits until they have left the store buffer. */
static uint64_t directory_word(const uint8_t *bytes, uint32_t length_bytes) {
    ASSERT_HOT(length_bytes >= 1 && length_bytes <= 8);
    if (length_bytes >= 4) {
        uint64_t high = bytes_get_u32(bytes + length_bytes - 4);
        return bytes_get_u32(bytes) | high << (length_bytes - 4) * 8;
    }
    uint64_t middle = bytes[length_bytes / 2];
    uint64_t last = bytes[length_bytes - 1];
    return bytes[0] | middle << length_bytes / 2 * 8 | last << (length_bytes - 1) * 8;
}

/* Folds a name of at most DIRECTORY_NAME_BYTES_MAX bytes and hashes it. */
static uint32_t directory_key_make(struct directory_key *key, const uint8_t *name,
                                   uint32_t length_bytes) {
    ASSERT_HOT(length_bytes <= DIRECTORY_NAME_BYTES_MAX);
    *key = (struct directory_key){{0}};
    uint64_t hash = length_bytes;
    for (uint32_t i = 0; i * 8 < length_bytes; i++) {
        uint32_t left = length_bytes - i * 8;
        key->words[i] = directory_fold(directory_word(name + (size_t)i * 8, left < 8 ? left : 8));
        /* The multiplier of splitmix64's finalizer: every bit of a word reaches the top ones. */
        hash = (hash ^ key->words[i]) * UINT64_C(0xbf58476d1ce4e5b9);
        hash ^= hash >> 32;
    }
    return (uint32_t)hash;
}

static bool directory_key_equal(const struct directory_key *a, const struct directory_key *b) {
    uint64_t difference = 0;
    for (uint32_t i = 0; i < DIRECTORY_NAME_WORDS; i++) {
        difference |= a->words[i] ^ b->words[i];
    }
    return difference == 0;
}

/* The slot that holds the key, or the free one where it belongs. */
static uint32_t directory_slot(const struct directory *directory, const struct directory_key *key,
                               uint32_t hash) {
    uint32_t slot = hash % DIRECTORY_SLOTS;
    while (directory->slots[slot].table != TABLE_NONE &&
           !directory_key_equal(&directory->slots[slot].key, key)) {
        slot = (slot + 1) % DIRECTORY_SLOTS;
    }
    return slot;
}

void directory_find(const struct directory *directory, const uint8_t *name, uint32_t length_bytes,
                    uint8_t *table, uint16_t *row) {
    *table = TABLE_NONE;
    *row = 0;
    if (length_bytes > DIRECTORY_NAME_BYTES_MAX) {
        return;
    }
    struct directory_key key;
    uint32_t hash = directory_key_make(&key, name, length_bytes);
    const struct directory_slot *slot = &directory->slots[directory_slot(directory, &key, hash)];
    *table = slot->table;
    *row = slot->row;
}

const char *directory_name(const struct directory *directory, uint8_t table, uint16_t row) {
    if (table == TABLE_MACHINE) {
        ASSERT_HOT(row < directory->machine->command_count);
        return directory->machine->commands[row].name;
    }
    ASSERT(table == TABLE_CONNECTION && row < CONNECTION_ROW_COUNT);
    return connection_commands[row].name;
}

int16_t directory_arity(const struct directory *directory, uint8_t table, uint16_t row) {
    if (table == TABLE_MACHINE) {
        ASSERT_HOT(row < directory->machine->command_count);
        return directory->machine->commands[row].arity;
    }
    ASSERT(table == TABLE_CONNECTION && row < CONNECTION_ROW_COUNT);
    return connection_commands[row].arity;
}

void directory_keys(const struct directory *directory, uint16_t row, const struct batch *batch,
                    const struct batch_command *command, uint32_t name, struct machine_keys *keys) {
    const struct machine_operations *machine = directory->machine;
    ASSERT_HOT(row < machine->command_count && name < command->argument_count);
    const uint32_t count = command->argument_count - name - 1;
    if ((machine->commands[row].flags & MACHINE_ODD_KEYS) == 0) {
        machine_keys_find(machine, row, NULL, count, keys);
        return;
    }
    struct machine_argument arguments[MACHINE_KEY_ARGUMENTS_MAX];
    for (uint32_t i = 0; i < count && i < MACHINE_KEY_ARGUMENTS_MAX; i++) {
        arguments[i].data =
            batch_argument(batch, command, name + 1 + i, &arguments[i].length_bytes);
    }
    machine_keys_find(machine, row, arguments, count, keys);
}

const struct machine_operations *directory_machine(const struct directory *directory) {
    return directory->machine;
}

/* ---- building ------------------------------------------------------------------------------ */

/* What makes a row of the machine's unusable, or 0. */
static int directory_judge(const struct machine_operations *machine, uint16_t row,
                           struct error_text *error) {
    const struct machine_command *command = &machine->commands[row];
    size_t length = strlen(command->name);
    if (length == 0 || length > DIRECTORY_NAME_BYTES_MAX ||
        strspn(command->name, "abcdefghijklmnopqrstuvwxyz0123456789._-") != length) {
        error_text_set(error,
                       "machine \"%s\": row %u: \"%s\" is no command name; expected 1 to %d "
                       "characters out of a-z 0-9 . _ -",
                       machine->name, row, command->name, DIRECTORY_NAME_BYTES_MAX);
        return WEIR_EINVAL;
    }
    if ((command->flags & MACHINE_ODD_KEYS) != 0 && machine->key_positions == NULL) {
        error_text_set(error,
                       "machine \"%s\": command \"%s\" has odd keys and the machine no "
                       "key_positions; expected the function that says where these keys are",
                       machine->name, command->name);
        return WEIR_EINVAL;
    }
    if (command->id >= ENTRY_COMMAND_ID_HOST) {
        error_text_set(error, "machine \"%s\": command \"%s\": id %u; expected 1 to %d",
                       machine->name, command->name, command->id, ENTRY_COMMAND_ID_HOST - 1);
        return WEIR_EINVAL;
    }
    if (command->arity == 0 || command->first_key < 0 ||
        (command->first_key > 0 && command->key_step <= 0)) {
        error_text_set(error,
                       "machine \"%s\": command \"%s\": arity %d, first key %d, key step %d make "
                       "no sense; expected arity not 0, first key not negative, step positive",
                       machine->name, command->name, command->arity, command->first_key,
                       command->key_step);
        return WEIR_EINVAL;
    }
    return 0;
}

static int directory_add(struct directory *directory, const char *name, uint8_t table, uint16_t row,
                         struct error_text *error) {
    struct directory_key key;
    uint32_t hash = directory_key_make(&key, (const uint8_t *)name, (uint32_t)strlen(name));
    struct directory_slot *slot = &directory->slots[directory_slot(directory, &key, hash)];
    if (slot->table != TABLE_NONE) {
        error_text_set(error,
                       "machine \"%s\": the command \"%s\" is there already%s; expected each name "
                       "once",
                       directory->machine->name, name,
                       slot->table == TABLE_CONNECTION ? " (a command about the connection)" : "");
        return WEIR_EEXISTS;
    }
    *slot = (struct directory_slot){.key = key, .row = row, .table = table};
    return 0;
}

int directory_create(struct directory **out, const struct machine_operations *machine,
                     struct error_text *error) {
    if (machine->command_count > DIRECTORY_COMMANDS_MAX - CONNECTION_COMMAND_COUNT) {
        error_text_set(error, "machine \"%s\" has %u commands; expected at most %d", machine->name,
                       machine->command_count, DIRECTORY_COMMANDS_MAX - CONNECTION_COMMAND_COUNT);
        return WEIR_EINVAL;
    }
    struct directory *directory = calloc(1, sizeof(*directory));
    if (directory == NULL) {
        error_text_set(error, "no memory for the directory of commands");
        return WEIR_ENOMEM;
    }
    directory->machine = machine;
    int status = 0;
    for (uint16_t row = 0; row < CONNECTION_COMMAND_COUNT && status == 0; row++) {
        status =
            directory_add(directory, connection_commands[row].name, TABLE_CONNECTION, row, error);
    }
    for (uint16_t row = 0; row < machine->command_count && status == 0; row++) {
        status = directory_judge(machine, row, error);
        if (status == 0) {
            status =
                directory_add(directory, machine->commands[row].name, TABLE_MACHINE, row, error);
        }
    }
    if (status != 0) {
        free(directory);
        return status;
    }
    *out = directory;
    return 0;
}

void directory_destroy(struct directory *directory) {
    free(directory);
}
