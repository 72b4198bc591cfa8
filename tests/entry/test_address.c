/* Addresses of members: invalid texts and bodies first. */

#include <string.h>

#include "base/bytes.h"
#include "entry/address.h"
#include "tests/cmocka_wrapper.h"

static struct entry_address address_of(const char *text) {
    struct entry_address address = {.node_id = 3};
    assert_true(entry_address_parse(text, strlen(text), &address));
    return address;
}

static void what_is_no_host_and_port_is_refused(void **state) {
    (void)state;
    static const char *const texts[] = {"",          ":",
                                        "a",         "a:",
                                        ":1",        "a:0",
                                        "a:01",      "a:65536",
                                        "a:123456",  "a:-1",
                                        "a:1 ",      "a b:1",
                                        "::1:7379",  "[::1]",
                                        "[::1]7379", "[]:1",
                                        "[a:1",      "a]:1",
                                        "a\x7f:1",   "\xc3\xa4:1",
                                        "[[a]]:1",   "a:99999999999999999999"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct entry_address address = {.node_id = 9, .host = "kept", .port = 7};
        assert_false(entry_address_parse(texts[i], strlen(texts[i]), &address));
        assert_string_equal(address.host, "kept");
        assert_int_equal(address.port, 7);
    }
}

static void a_host_longer_than_a_name_may_be_is_refused(void **state) {
    (void)state;
    char text[ENTRY_ADDRESS_BYTES_MAX + 8];
    struct entry_address address = {0};
    for (size_t host = 250; host < 262; host++) {
        memset(text, 'x', host);
        memcpy(text + host, ":65535", sizeof(":65535"));
        assert_int_equal(entry_address_parse(text, strlen(text), &address),
                         host <= ENTRY_ADDRESS_HOST_BYTES_MAX);
    }
}

static void a_body_with_any_bit_flipped_is_refused_or_another_address(void **state) {
    (void)state;
    struct entry_address address = address_of("[2001:db8::1]:7379");
    uint8_t body[ENTRY_ADDRESS_BODY_BYTES_MAX];
    uint32_t bytes = entry_address_bytes(&address);
    entry_address_write(body, &address);
    for (uint32_t bit = 0; bit < bytes * 8; bit++) {
        body[bit / 8] ^= (uint8_t)(1U << bit % 8);
        struct entry_address back = {0};
        if (entry_address_read(body, bytes, &back)) {
            uint8_t again[ENTRY_ADDRESS_BODY_BYTES_MAX];
            entry_address_write(again, &back);
            assert_memory_equal(again, body, bytes); /* there is one form of each address */
        }
        body[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
}

static void a_body_of_another_length_is_refused(void **state) {
    (void)state;
    struct entry_address address = address_of("weir.example:1");
    uint8_t body[ENTRY_ADDRESS_BODY_BYTES_MAX + 16] = {0};
    uint32_t bytes = entry_address_bytes(&address);
    entry_address_write(body, &address);
    struct entry_address back;
    for (uint32_t length = 0; length < sizeof(body); length++) {
        assert_int_equal(entry_address_read(body, length, &back), length == bytes);
    }
    bytes_put_u64(body, 0); /* of nobody */
    assert_false(entry_address_read(body, bytes, &back));
}

static void an_address_comes_back_as_it_was_written(void **state) {
    (void)state;
    static const char *const texts[] = {"a:1", "10.0.0.3:7379", "weir-2.example.org:65535",
                                        "[::1]:10", "[fe80::1%eth0]:32768"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct entry_address address = address_of(texts[i]);
        char text[ENTRY_ADDRESS_BYTES_MAX + 1];
        assert_int_equal(entry_address_text(&address, text), strlen(texts[i]));
        assert_string_equal(text, texts[i]);
        uint8_t body[ENTRY_ADDRESS_BODY_BYTES_MAX];
        uint32_t bytes = entry_address_bytes(&address);
        assert_int_equal(bytes % 8, 0);
        entry_address_write(body, &address);
        struct entry_address back;
        assert_true(entry_address_read(body, bytes, &back));
        assert_int_equal(back.node_id, 3);
        assert_string_equal(back.host, address.host);
        assert_int_equal(back.port, address.port);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_host_and_port_is_refused),
        cmocka_unit_test(a_host_longer_than_a_name_may_be_is_refused),
        cmocka_unit_test(a_body_with_any_bit_flipped_is_refused_or_another_address),
        cmocka_unit_test(a_body_of_another_length_is_refused),
        cmocka_unit_test(an_address_comes_back_as_it_was_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
