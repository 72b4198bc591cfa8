/* Names are found in any case, keys where the table says; what is ambiguous is refused at start. */

#include "entry/entry.h"
#include "stages/connection_commands.h"
#include "stages/directory.h"

#include "tests/cmocka_wrapper.h"

#include <string.h>

static const struct machine_command rows[] = {
    {.name = "get", .id = 1, .arity = 2, .first_key = 1, .last_key = 1, .key_step = 1},
    {.name = "mget", .id = 2, .arity = -2, .first_key = 1, .last_key = -1, .key_step = 1},
    {.name = "mset", .id = 3, .arity = -3, .first_key = 1, .last_key = -1, .key_step = 2},
    {.name = "dbsize", .id = 4, .arity = 1},
    {.name = "log.append", .id = 5, .arity = 2},
};
static const struct machine_operations machine = {
    .name = "test", .commands = rows, .command_count = sizeof(rows) / sizeof(rows[0])};

static struct directory *directory_of(const struct machine_operations *operations) {
    struct directory *directory = NULL;
    struct error_text error = {.text = ""};
    if (directory_create(&directory, operations, &error) != 0) {
        fail_msg("%s", error.text);
    }
    return directory;
}

/* A machine with one row is refused with this error and words. */
static void refused(struct machine_command row, int expected, const char *words) {
    struct machine_command two[2] = {row, rows[0]};
    struct machine_operations bad = {.name = "bad", .commands = two, .command_count = 2};
    struct directory *directory = NULL;
    struct error_text error = {.text = ""};
    assert_int_equal(directory_create(&directory, &bad, &error), expected);
    assert_null(directory);
    if (strstr(error.text, words) == NULL) {
        fail_msg("\"%s\" lacks \"%s\"", error.text, words);
    }
}

static void a_machine_that_makes_no_sense_is_refused(void **state) {
    (void)state;
    refused((struct machine_command){.name = "", .arity = 1}, WEIR_EINVAL, "\"\" is no command");
    refused((struct machine_command){.name = "Get", .arity = 1}, WEIR_EINVAL, "\"Get\" is no");
    refused((struct machine_command){.name = "a234567890123456789012345678901b", .arity = 1},
            WEIR_EINVAL, "is no command name");
    refused((struct machine_command){.name = "get", .arity = 1}, WEIR_EEXISTS,
            "\"get\" is there already");
    refused((struct machine_command){.name = "ping", .arity = 1}, WEIR_EEXISTS,
            "a command about the connection");
    refused((struct machine_command){.name = "odd", .arity = -2, .flags = MACHINE_ODD_KEYS},
            WEIR_EINVAL, "no key_positions");
    refused((struct machine_command){.name = "none", .arity = 0}, WEIR_EINVAL, "arity 0");
    refused((struct machine_command){.name = "stuck", .arity = 2, .first_key = 1}, WEIR_EINVAL,
            "key step 0");
}

/* STORE destination numkeys key ...: the number is one digit. */
static void store_keys(uint32_t row, const struct machine_argument *arguments,
                       uint32_t argument_count, struct machine_keys *keys) {
    assert_int_equal(row, 0);
    keys->run[0] = (struct machine_key_run){0, 1, 1};
    keys->run[1] = (struct machine_key_run){2, 1, (uint32_t)(arguments[1].data[0] - '0')};
    assert_true(keys->run[1].count + 2 <= argument_count);
}

/* Finds the keys of the words from the name'th on; they stand one behind the other in a batch. */
static const char *keys_of(const struct directory *directory, const char *line, uint32_t name) {
    static char found[64];
    static uint8_t bytes[64];
    struct resp_argument arguments[16];
    struct batch batch = {.arguments = arguments};
    struct batch_command command = {.base = bytes};
    memcpy(bytes, line, strlen(line));
    for (const char *at = line; *at != 0; at += strspn(at, " ")) {
        const uint32_t length = (uint32_t)strcspn(at, " ");
        arguments[command.argument_count++] =
            (struct resp_argument){.offset = (uint32_t)(at - line), .length = length};
        at += length;
    }
    uint8_t table = TABLE_NONE;
    uint16_t row = 0;
    uint32_t length = 0;
    const uint8_t *word = batch_argument(&batch, &command, name, &length);
    directory_find(directory, word, length, &table, &row);
    assert_int_equal(table, TABLE_MACHINE);
    struct machine_keys keys;
    directory_keys(directory, row, &batch, &command, name, &keys);
    char *end = found;
    for (uint32_t i = 0; i < machine_keys_count(&keys); i++) {
        word = batch_argument(&batch, &command, name + 1 + machine_keys_at(&keys, i), &length);
        memcpy(end, word, length);
        end += length;
    }
    *end = 0;
    return found;
}

static void keys_are_found_by_the_table_or_by_the_machine(void **state) {
    (void)state;
    static const struct machine_command odd[] = {
        {.name = "store",
         .id = 6,
         .arity = -4,
         .flags = MACHINE_ODD_KEYS,
         .first_key = 1,
         .last_key = 1,
         .key_step = 1},
        {.name = "get", .id = 1, .arity = 2, .first_key = 1, .last_key = 1, .key_step = 1},
        {.name = "mset", .id = 3, .arity = -3, .first_key = 1, .last_key = -1, .key_step = 2},
        {.name = "bitop", .id = 7, .arity = -4, .first_key = 2, .last_key = -1, .key_step = 1},
        {.name = "dbsize", .id = 4, .arity = 1},
    };
    const struct machine_operations operations = {.name = "odd",
                                                  .commands = odd,
                                                  .command_count = sizeof(odd) / sizeof(odd[0]),
                                                  .key_positions = store_keys};
    struct directory *directory = directory_of(&operations);
    assert_string_equal(keys_of(directory, "dbsize", 0), "");
    assert_string_equal(keys_of(directory, "store d 0 a b c", 0), "d");
    assert_string_equal(keys_of(directory, "store d 3 a b c", 0), "dabc");
    assert_string_equal(keys_of(directory, "store d 2 a b WEIGHTS 1 2", 0), "dab");
    assert_string_equal(keys_of(directory, "get a", 0), "a");
    assert_string_equal(keys_of(directory, "mset a 1 b 2", 0), "ab");
    assert_string_equal(keys_of(directory, "bitop and d a b", 0), "dab");
    assert_string_equal(keys_of(directory, "command getkeys store d 2 a b", 2), "dab");
    assert_string_equal(keys_of(directory, "command getkeys mset a 1 b 2", 2), "ab");
    directory_destroy(directory);
}

static void expect(const struct directory *directory, const char *name, uint8_t table,
                   uint16_t row) {
    uint8_t found_table = 99;
    uint16_t found_row = 99;
    directory_find(directory, (const uint8_t *)name, (uint32_t)strlen(name), &found_table,
                   &found_row);
    assert_int_equal(found_table, table);
    assert_int_equal(found_row, row);
}

static void names_are_found_in_any_case(void **state) {
    (void)state;
    struct directory *directory = directory_of(&machine);
    expect(directory, "get", TABLE_MACHINE, 0);
    expect(directory, "GeT", TABLE_MACHINE, 0);
    expect(directory, "LOG.APPEND", TABLE_MACHINE, 4);
    expect(directory, "PING", TABLE_CONNECTION, CONNECTION_PING);
    for (uint32_t row = 0; row < CONNECTION_COMMAND_COUNT; row++) {
        expect(directory, connection_commands[row].name, TABLE_CONNECTION, (uint16_t)row);
    }
    directory_destroy(directory);
}

static void a_machine_does_not_have_the_ids_of_the_host(void **state) {
    (void)state;
    static const uint16_t ids[] = {ENTRY_COMMAND_ID_HOST, UINT16_MAX};
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        const struct machine_command command = {.name = "get", .id = ids[i], .arity = 2};
        struct machine_operations own = machine;
        own.commands = &command;
        own.command_count = 1;
        struct directory *directory = NULL;
        struct error_text error;
        assert_int_equal(directory_create(&directory, &own, &error), WEIR_EINVAL);
        assert_non_null(strstr(error.text, "expected 1 to 65279"));
    }
}

static void what_is_no_command_is_not_found(void **state) {
    (void)state;
    struct directory *directory = directory_of(&machine);
    const char *names[] = {"",
                           "ge",
                           "gett",
                           "get ",
                           "client|id",
                           ("log\x0e"
                            "append"),
                           "g\xe5t",
                           "dbsize7890123456789012345678901",
                           "dbsize78901234567890123456789012",
                           "[et",
                           "@et"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        expect(directory, names[i], TABLE_NONE, 0);
    }
    uint8_t table = 99;
    uint16_t row = 99;
    directory_find(directory, (const uint8_t *)"get\0", 4, &table, &row);
    assert_int_equal(table, TABLE_NONE);
    directory_destroy(directory);
}

static void the_table_of_ours_is_well_formed(void **state) {
    (void)state;
    for (uint32_t row = 0; row < CONNECTION_ROW_COUNT; row++) {
        const struct connection_command *command = &connection_commands[row];
        assert_non_null(command->name);
        assert_true(command->arity != 0);
        bool is_subcommand = row >= CONNECTION_COMMAND_COUNT;
        assert_int_equal(strchr(command->name, '|') != NULL, is_subcommand);
        if (is_subcommand) {
            const struct connection_command *container = &connection_commands[command->container];
            size_t length = strlen(container->name);
            assert_true((container->flags & CONNECTION_CONTAINER) != 0);
            assert_memory_equal(command->name, container->name, length);
            assert_int_equal(command->name[length], '|');
            const char *name = command->name + length + 1;
            assert_int_equal(connection_subcommand_find(command->container, (const uint8_t *)name,
                                                        (uint32_t)strlen(name)),
                             row);
        } else {
            assert_int_equal(command->container, row);
            assert_true(row == 0 || strcmp(connection_commands[row - 1].name, command->name) < 0);
        }
    }
    assert_int_equal(connection_subcommand_find(CONNECTION_CLIENT, (const uint8_t *)"iD", 2),
                     CONNECTION_CLIENT_ID);
    assert_int_equal(connection_subcommand_find(CONNECTION_CLIENT, (const uint8_t *)"idd", 3),
                     CONNECTION_ROW_COUNT);
    assert_int_equal(connection_subcommand_find(CONNECTION_CLIENT, (const uint8_t *)"docs", 4),
                     CONNECTION_ROW_COUNT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_machine_that_makes_no_sense_is_refused),
        cmocka_unit_test(a_machine_does_not_have_the_ids_of_the_host),
        cmocka_unit_test(keys_are_found_by_the_table_or_by_the_machine),
        cmocka_unit_test(names_are_found_in_any_case),
        cmocka_unit_test(what_is_no_command_is_not_found),
        cmocka_unit_test(the_table_of_ours_is_well_formed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
