/* A configuration says what is wrong, where, and what was expected; what is right is in force. */

#include "tools/config.h"

#include "tests/cmocka_wrapper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void has(const char *text, const char *part) {
    if (text == NULL || strstr(text, part) == NULL) {
        fail_msg("\"%s\" lacks \"%s\"", text == NULL ? "(nothing)" : text, part);
    }
}

/* Whether two configurations are the same in every key. */
static void same(const struct config *a, const struct config *b) {
    assert_string_equal(a->password, b->password);
    assert_int_equal(a->connections_max_given, b->connections_max_given);
    for (uint32_t i = 0; i < config_key_count(); i++) {
        char value_a[CONFIG_PATH_BYTES_MAX + 1];
        char value_b[CONFIG_PATH_BYTES_MAX + 1];
        if (config_show(a, config_key(i), value_a, sizeof(value_a))) {
            assert_true(config_show(b, config_key(i), value_b, sizeof(value_b)));
            assert_string_equal(value_a, value_b);
        }
    }
}

/* Setting fails with this error, these words, and no change. */
static void refused(const char *key, const char *value, int expected, const char *words) {
    struct config config;
    config_default(&config);
    struct config before = config;
    struct error_text error = {.text = ""};
    assert_int_equal(config_set(&config, key, value, "here:7", &error), expected);
    has(error.text, "here:7: ");
    has(error.text, words);
    same(&config, &before);
}

static void an_unknown_key_names_its_neighbour(void **state) {
    (void)state;
    refused("maxclient", "1", WEIR_ENOENT,
            "unknown key \"maxclient\"; did you mean \"maxclients\"?");
    refused("requirepas", "1", WEIR_ENOENT, "did you mean \"requirepass\"?");
    refused("ports", "1", WEIR_ENOENT, "did you mean \"port\"?");
    refused("appendonly", "yes", WEIR_ENOENT, "unknown key \"appendonly\"; weir serve --help");
    refused("", "yes", WEIR_ENOENT, "weir serve --help");
}

static void a_value_out_of_range_names_the_range(void **state) {
    (void)state;
    refused("port", "65536", WEIR_EINVAL, "port \"65536\" is not possible; expected a port, 0 to");
    refused("port", "-1", WEIR_EINVAL, "0 to 65535");
    refused("port", "", WEIR_EINVAL, "0 to 65535");
    refused("maxclients", "0", WEIR_EINVAL, "1 to 65000");
    refused("reads", "fresh", WEIR_EINVAL, "expected quorum, lease or stale");
    refused("reads", "", WEIR_EINVAL, "expected quorum, lease or stale");
    refused("leases", "yes", WEIR_EINVAL, "expected keep, on or off");
    refused("log-time-jump-max", "1h", WEIR_EINVAL, "a number of seconds, such as 0 (no limit)");
    refused("log-time-jump-max", "3162240001", WEIR_EINVAL, "a number of seconds");
    refused("maxclients", "65001", WEIR_EINVAL, "1 to 65000");
    refused("maxmemory", "1tb", WEIR_EINVAL, "such as 0 (no limit), 100mb or 4gb");
    refused("maxmemory", "mb", WEIR_EINVAL, "100mb");
    refused("maxmemory", "99999999999gb", WEIR_EINVAL, "100mb");
    refused("proto-max-bulk-len", "1023kb", WEIR_EINVAL, "1mb to 512mb");
    refused("proto-max-bulk-len", "513mb", WEIR_EINVAL, "1mb to 512mb");
    refused("durability", "always", WEIR_EINVAL, "fsync, write or none");
    refused("machine", "sql", WEIR_EINVAL, "kv or log");
    refused("machine", "./m.so", WEIR_EINVAL, "not in this version");
    refused("id", "0", WEIR_EINVAL, "1 or greater");
    refused("loglevel", "verbose", WEIR_EINVAL, "debug, notice or warning");
    refused("listen", "7379", WEIR_EINVAL, "HOST:PORT");
    refused("peers", "1", WEIR_EINVAL, "N=HOST:PORT");
    refused("peers", "1=10.0.0.1:7380,1=10.0.0.2:7380", WEIR_EINVAL, "different N=HOST:PORT");
    refused("peers", "1=10.0.0.1:7380,2=10.0.0.1:7380", WEIR_EINVAL, "different N=HOST:PORT");
    refused("peers", "1=0.0.0.0:7380", WEIR_EINVAL, "N=HOST:PORT");
    refused("peers", "1=::1:7380", WEIR_EINVAL, "N=HOST:PORT");
    refused("peers", "1=10.0.0.1:7380/10.0.0.1:7379", WEIR_EINVAL, "N=HOST:PORT");
    refused("peers", "1=10.0.0.1:7380,", WEIR_EINVAL, "N=HOST:PORT");
    refused("election-timeout", "49", WEIR_EINVAL, "milliseconds, 50 to 60000");
    refused("election-timeout", "60001", WEIR_EINVAL, "milliseconds, 50 to 60000");
    refused("election-timeout", "1s", WEIR_EINVAL, "milliseconds, 50 to 60000");
    refused("append-messages", "0", WEIR_EINVAL, "a number, 1 to 256");
    refused("append-messages", "257", WEIR_EINVAL, "a number, 1 to 256");
    refused("append-bytes", "some", WEIR_EINVAL, "such as 0 (as there is room) or 1mb");
    refused("peer-listen", "7380", WEIR_EINVAL, "HOST:PORT where members connect");
    refused("peer-authentication", "tls", WEIR_EINVAL, "expected secret");
    refused("cluster-name", "two words", WEIR_EINVAL, "1 to 64 printable characters");
    refused("listen", ":7379", WEIR_EINVAL, "HOST:PORT");
    refused("listen", "::1:7379", WEIR_EINVAL, "HOST:PORT");
    refused("listen", "127.0.0.1:http", WEIR_EINVAL, "HOST:PORT");
    refused("listen", "300.1.1.1:0", WEIR_EINVAL, "an address or a name before the port");
    refused("listen", "[::g]:0", WEIR_EINVAL, "an address or a name before the port");
    refused("listen", "[]:0", WEIR_EINVAL, "an address or a name before the port");
    refused("advertise", "10.0.0.1", WEIR_EINVAL, "HOST:PORT by which clients");
    refused("advertise", "0.0.0.0:7379", WEIR_EINVAL, "HOST:PORT by which clients");
    refused("advertise", "10.0.0.1:65536", WEIR_EINVAL, "HOST:PORT by which clients");
    refused("cluster-announce-ip", "[::]", WEIR_EINVAL, "by which clients reach this node");
    refused("cluster-announce-ip", "a b", WEIR_EINVAL, "by which clients reach this node");
    refused("cluster-announce-port", "-1", WEIR_EINVAL, "0 to 65535");
    refused("bind", "127.0.0.1 ::1", WEIR_EINVAL, "one address");
    refused("bind", "127.0.0", WEIR_EINVAL, "one address");
    refused("bind", "::1::", WEIR_EINVAL, "one address");
    refused("dir", "", WEIR_EINVAL, "a path");
    refused("map", "", WEIR_EINVAL, "fused, pair, split");
}

static void a_secret_is_not_repeated(void **state) {
    (void)state;
    char password[NODE_PASSWORD_BYTES_MAX + 2];
    memset(password, 's', sizeof(password) - 1);
    password[sizeof(password) - 1] = '\0';
    refused("requirepass", password, WEIR_EINVAL, "requirepass \"...\" is not possible");
    struct config config;
    char shown[16];
    config_default(&config);
    assert_int_equal(config_set(&config, "requirepass", "secret", "here", NULL), 0);
    assert_string_equal(config.password, "secret");
    assert_false(config_show(&config, "requirepass", shown, sizeof(shown)));
}

static void set(struct config *config, const char *key, const char *value) {
    struct error_text error = {.text = ""};
    if (config_set(config, key, value, "here", &error) != 0) {
        fail_msg("%s", error.text);
    }
}

static void units_are_those_of_redis(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } cases[] = {{"0", 0},         {"1", 1},           {"1b", 1},
                 {"1k", 1000},     {"1kb", 1024},      {"2M", 2000000},
                 {"2MB", 2097152}, {"3g", 3000000000}, {"3Gb", 3221225472}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct config config;
        config_default(&config);
        set(&config, "maxmemory", cases[i].text);
        assert_true(config.memory_bytes_max == cases[i].bytes);
    }
}

static void an_address_may_come_in_one_piece_or_two(void **state) {
    (void)state;
    struct config config;
    char address[CONFIG_HOST_BYTES_MAX + 16];
    config_default(&config);
    config_address(&config, address);
    assert_string_equal(address, "127.0.0.1:7379");
    set(&config, "listen", "[::1]:6400");
    config_address(&config, address);
    assert_string_equal(address, "[::1]:6400");
    set(&config, "port", "0");
    set(&config, "bind", "10.0.0.1");
    config_address(&config, address);
    assert_string_equal(address, "10.0.0.1:0");
    set(&config, "BIND", "[fe80::1]");
    assert_string_equal(config.host, "fe80::1");
}

static void an_announced_address_may_come_in_one_piece_or_two(void **state) {
    (void)state;
    struct config config;
    char shown[CONFIG_HOST_BYTES_MAX + 16];
    config_default(&config);
    assert_true(config_show(&config, "advertise", shown, sizeof(shown)));
    assert_string_equal(shown, "");
    set(&config, "cluster-announce-ip", "[fd00::1]");
    set(&config, "cluster-announce-port", "6400");
    assert_true(config_show(&config, "advertise", shown, sizeof(shown)));
    assert_string_equal(shown, "[fd00::1]:6400");
    set(&config, "advertise", "one.example:7001");
    assert_true(config_show(&config, "cluster-announce-ip", shown, sizeof(shown)));
    assert_string_equal(shown, "one.example");
    assert_int_equal(config.announced_port, 7001);
    set(&config, "advertise", "");
    assert_string_equal(config.announced_host, "");
    assert_int_equal(config.announced_port, 0);
    assert_true(config_host_is_wildcard("0.0.0.0") && config_host_is_wildcard("::"));
    assert_false(config_host_is_wildcard("127.0.0.1") || config_host_is_wildcard("::1") ||
                 config_host_is_wildcard("zero"));
}

static void loopback_is_what_only_this_host_reaches(void **state) {
    (void)state;
    const char *inside[] = {"127.0.0.1", "127.9.9.9", "::1",
                            "localhost", "LOCALHOST", "::ffff:127.0.0.1"};
    const char *outside[] = {"0.0.0.0",
                             "::",
                             "10.0.0.1",
                             "128.0.0.1",
                             "127.0.0.1.example.com",
                             "127.1",
                             "",
                             "::ffff:10.0.0.1",
                             "localhost.example.com"};
    for (size_t i = 0; i < sizeof(inside) / sizeof(inside[0]); i++) {
        assert_true(config_host_is_loopback(inside[i]));
    }
    for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
        assert_false(config_host_is_loopback(outside[i]));
    }
}

static void what_is_shown_can_be_set_again(void **state) {
    (void)state;
    struct config config;
    config_default(&config);
    set(&config, "id", "5");
    set(&config, "map", "pair");
    set(&config, "maxmemory", "5mb");
    set(&config, "append-messages", "256");
    set(&config, "election-timeout", "60000");
    set(&config, "append-bytes", "64kb");
    struct config again;
    config_default(&again);
    for (uint32_t i = 0; i < config_key_count(); i++) {
        char value[CONFIG_PATH_BYTES_MAX + 1];
        if (config_show(&config, config_key(i), value, sizeof(value))) {
            set(&again, config_key(i), value);
        }
    }
    config.connections_max_given = again.connections_max_given;
    same(&config, &again);
}

/* ---- lines and files ----------------------------------------------------------------------- */

static void split_refused(const char *text, const char *words) {
    char line[128];
    char *key = NULL;
    char *value = NULL;
    struct error_text error = {.text = ""};
    (void)snprintf(line, sizeof(line), "%s", text);
    assert_int_equal(config_line_split(line, &key, &value, &error), WEIR_EINVAL);
    has(error.text, words);
}

static void split_gives(const char *text, const char *key_expected, const char *value_expected) {
    char line[128];
    char *key = NULL;
    char *value = NULL;
    struct error_text error = {.text = ""};
    (void)snprintf(line, sizeof(line), "%s", text);
    assert_int_equal(config_line_split(line, &key, &value, &error), 1);
    assert_string_equal(key, key_expected);
    assert_string_equal(value, value_expected);
}

static void a_line_is_a_key_and_a_value(void **state) {
    (void)state;
    char *key = NULL;
    char *value = NULL;
    char empty[] = " \t\r\n";
    char comment[] = "  # port 1\n";
    assert_int_equal(config_line_split(empty, &key, &value, NULL), 0);
    assert_int_equal(config_line_split(comment, &key, &value, NULL), 0);
    split_gives("port 1\n", "port", "1");
    split_gives("\tport\t 1 \r\n", "port", "1");
    split_gives("requirepass \"a b\\\"\\\\\\x41\\n\"\n", "requirepass", "a b\"\\A\n");
    split_gives("requirepass 'a \\n \"b\"'\n", "requirepass", "a \\n \"b\"");
    split_gives("save \"\"", "save", "");
    split_refused("port", "the key \"port\" has no value");
    split_refused("port 1 2", "more than one value");
    split_refused("port \"1\" 2", "more than one value");
    split_refused("port \"1\"2", "more than one value");
    split_refused("port \"1", "the quote \" is not closed");
    split_refused("port '1\"", "the quote ' is not closed");
    split_refused("port \"\\", "is no escape");
    split_refused("port \"\\q\"", "\\q is no escape");
    split_refused("port \"\\x4\"", "\\x needs two hexadecimal digits");
    split_refused("port \"\\x00\"", "not both 0");
}

static int read_text(struct config *config, const char *text, struct error_text *error) {
    char path[] = "/tmp/weir_test_config.XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(write(file, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(close(file), 0);
    int status = config_read(config, path, error);
    assert_int_equal(unlink(path), 0);
    return status;
}

static void a_file_is_wrong_at_a_line(void **state) {
    (void)state;
    struct config config;
    struct config before;
    struct error_text error = {.text = ""};
    config_default(&config);
    before = config;
    assert_int_equal(read_text(&config, "# c\nport 1\n\nmaxclient 3\nport 2\n", &error),
                     WEIR_ENOENT);
    has(error.text, ":4: unknown key \"maxclient\"; did you mean \"maxclients\"?");
    assert_int_equal(read_text(&config, "port 1\nport\n", &error), WEIR_EINVAL);
    has(error.text, ":2: the key \"port\" has no value");
    assert_int_equal(read_text(&config, "port x", &error), WEIR_EINVAL);
    has(error.text, ":1: port \"x\" is not possible");
    assert_int_equal(config_read(&config, "/nonexistent/weir.conf", &error), WEIR_ENOENT);
    has(error.text, "/nonexistent/weir.conf");
    same(&config, &before);
}

static void of_a_key_that_stands_twice_the_last_counts(void **state) {
    (void)state;
    struct config config;
    struct error_text error = {.text = ""};
    config_default(&config);
    assert_int_equal(read_text(&config, "port 1\nmaxmemory 1mb\nport 2", &error), 0);
    assert_int_equal(config.port, 2);
    assert_int_equal(config.memory_bytes_max, 1048576);
    assert_false(config.connections_max_given);
}

/* Sets keys, and checks what goes together; the sentence, or "" if all is well. */
static const char *checked(const char *const keys[][2], uint32_t count) {
    static struct error_text error;
    struct config config;
    config_default(&config);
    error.text[0] = '\0';
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(config_set(&config, keys[i][0], keys[i][1], "here", &error), 0);
    }
    int status = config_cluster_check(&config, &error);
    assert_int_equal(status, error.text[0] == '\0' ? 0 : WEIR_EINVAL);
    return error.text;
}

static void a_cluster_is_configured_whole_or_not_at_all(void **state) {
    (void)state;
    const char *const three[] = {"peers", "1=10.0.0.1:1,2=h:2,3=[::1]:3"};
    const char *const id[] = {"id", "2"};
    const char *const secret[] = {"secret-file", "/etc/weir/secret"};
    const char *const none[] = {"peer-authentication", "none"};
    const char *const listen[] = {"peer-listen", "0.0.0.0:2"};
    has(checked((const char *const[][2]){{three[0], three[1]}, {secret[0], secret[1]}}, 2),
        "--id N");
    has(checked((const char *const[][2]){{three[0], three[1]}, {id[0], "4"}}, 2),
        "no address of this node, 4");
    has(checked((const char *const[][2]){{"peers", "2=h:2"}, {id[0], id[1]}}, 2), "this node only");
    has(checked((const char *const[][2]){{three[0], three[1]}, {id[0], id[1]}}, 2),
        "--secret-file PATH");
    has(checked((const char *const[][2]){{secret[0], secret[1]}, {none[0], none[1]}}, 2),
        "leave one of both out");
    has(checked((const char *const[][2]){{secret[0], secret[1]}}, 1), "secret-file is for a node");
    has(checked((const char *const[][2]){{listen[0], listen[1]}}, 1), "peer-listen is for a node");
    has(checked((const char *const[][2]){{three[0], three[1]},
                                         {id[0], id[1]},
                                         {secret[0], secret[1]},
                                         {"durability", "none"}},
                4),
        "durability none is for a node alone");
    assert_string_equal(
        checked((const char *const[][2]){{three[0], three[1]}, {id[0], id[1]}, {none[0], none[1]}},
                3),
        "");
    assert_string_equal(checked((const char *const[][2]){{three[0], three[1]},
                                                         {id[0], id[1]},
                                                         {secret[0], secret[1]},
                                                         {listen[0], listen[1]}},
                                4),
                        "");
    assert_string_equal(checked(NULL, 0), "");
}

static void a_line_too_long_is_refused(void **state) {
    (void)state;
    char text[CONFIG_LINE_BYTES_MAX + 100];
    struct config config;
    struct error_text error = {.text = ""};
    config_default(&config);
    memset(text, ' ', sizeof(text));
    memcpy(text + sizeof(text) - 8, "port 1\n", 8);
    assert_int_equal(read_text(&config, text, &error), WEIR_EINVAL);
    has(error.text, ":1: a line longer than 8191 bytes");
}

static void the_manual_has_a_row_for_each_key(void **state) {
    (void)state;
    static char manual[64 * 1024];
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/docs/operations.md", getenv("WEIR_SOURCE_DIR"));
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t length = fread(manual, 1, sizeof(manual) - 1, file);
    assert_int_equal(fclose(file), 0);
    assert_true(length < sizeof(manual) - 1);
    for (uint32_t i = 0; i < config_key_count(); i++) {
        char row[CONFIG_NAME_BYTES_MAX + 16];
        (void)snprintf(row, sizeof(row), "\n| `%s` | ", config_key(i));
        if (strstr(manual, row) == NULL) {
            fail_msg("%s has no row for the key %s", path, config_key(i));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unknown_key_names_its_neighbour),
        cmocka_unit_test(a_value_out_of_range_names_the_range),
        cmocka_unit_test(a_secret_is_not_repeated),
        cmocka_unit_test(units_are_those_of_redis),
        cmocka_unit_test(an_address_may_come_in_one_piece_or_two),
        cmocka_unit_test(an_announced_address_may_come_in_one_piece_or_two),
        cmocka_unit_test(loopback_is_what_only_this_host_reaches),
        cmocka_unit_test(what_is_shown_can_be_set_again),
        cmocka_unit_test(a_line_is_a_key_and_a_value),
        cmocka_unit_test(a_file_is_wrong_at_a_line),
        cmocka_unit_test(of_a_key_that_stands_twice_the_last_counts),
        cmocka_unit_test(a_cluster_is_configured_whole_or_not_at_all),
        cmocka_unit_test(a_line_too_long_is_refused),
        cmocka_unit_test(the_manual_has_a_row_for_each_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
