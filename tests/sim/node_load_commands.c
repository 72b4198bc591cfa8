/* See node_load_commands.h. */

#include "tests/sim/node_load_commands.h"

#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 2 * LOAD_KEYS + 2 };

/* A command being made: words in one buffer, by offsets until it is complete. */
struct maker {
    struct kv_model_text text;
    size_t offsets[WORDS_MAX + 1];
    size_t count;
};

static void add_bytes(struct maker *maker, const void *bytes, size_t length) {
    ASSERT(maker->count < WORDS_MAX);
    maker->offsets[maker->count++] = maker->text.length;
    kv_model_text_append(&maker->text, bytes, length);
    maker->offsets[maker->count] = maker->text.length;
}

static void add_word(struct maker *maker, const char *word) {
    add_bytes(maker, word, strlen(word));
}

static void add_key(struct maker *maker, uint32_t client, uint64_t key) {
    char name[32];
    (void)snprintf(name, sizeof(name), "client:%u:key:%llu", client, (unsigned long long)key);
    add_word(maker, name);
}

static uint64_t random_string_key(struct load *load) {
    return 2 + random_below(&load->random, LOAD_KEYS - 2);
}

/* A value that says whose it is and which one, however long. */
static void add_value(struct load *load, uint32_t number, struct maker *maker) {
    struct load_client *client = &load->clients[number];
    uint64_t sort = random_below(&load->random, 100);
    uint64_t limit = sort < load->options.large_share ? load->options.value_bytes_max
                     : sort < 75                      ? 40
                                                      : 2000;
    size_t length = (size_t)random_below(&load->random, limit + 1);
    char stamp[48];
    int stamp_length =
        snprintf(stamp, sizeof(stamp), "<%u:%llu>", number, (unsigned long long)client->serial++);
    char *value = malloc(length + sizeof(stamp));
    ASSERT(value != NULL);
    for (size_t at = 0; at < length + 1; at += (size_t)stamp_length)
        memcpy(value + at, stamp,
               length + 1 - at < (size_t)stamp_length ? length + 1 - at : (size_t)stamp_length);
    /* At least the whole stamp. */
    if (length < (size_t)stamp_length) {
        length = (size_t)stamp_length;
        memcpy(value, stamp, length);
    }
    add_bytes(maker, value, length);
    free(value);
}

static void make_keys(struct load *load, uint32_t client, struct maker *maker, const char *name,
                      uint64_t keys_max) {
    add_word(maker, name);
    for (uint64_t i = 1 + random_below(&load->random, keys_max); i > 0; i--)
        add_key(maker, client, random_below(&load->random, LOAD_KEYS));
}

static void make_write(struct load *load, uint32_t client, struct maker *maker) {
    uint64_t sort = random_below(&load->random, 60);
    if (sort < 20) {
        add_word(maker, "SET");
        add_key(maker, client, random_string_key(load));
        add_value(load, client, maker);
        static const char *const modes[] = {"NX", "XX", "GET"};
        if (sort < 6)
            add_word(maker, modes[sort / 2]);
    } else if (sort < 30) {
        add_word(maker, "MSET");
        for (uint64_t i = 2 + random_below(&load->random, 4); i > 0; i--) {
            add_key(maker, client, random_string_key(load));
            add_value(load, client, maker);
        }
    } else if (sort < 46) {
        static const char *const names[] = {"INCR", "decr", "INCRBY"};
        uint64_t which = random_below(&load->random, 3);
        add_word(maker, names[which]);
        /* Now and then a value that is no number: an error, decided in apply. */
        add_key(maker, client, random_below(&load->random, sort == 30 ? LOAD_KEYS : 2));
        if (which == 2)
            add_word(maker, "-17");
    } else if (sort < 54) {
        add_word(maker, "APPEND");
        add_key(maker, client, random_string_key(load));
        add_value(load, client, maker);
    } else {
        make_keys(load, client, maker, "DEL", 3);
    }
}

static void make_command(struct load *load, uint32_t client, struct maker *maker) {
    uint64_t sort = random_below(&load->random, 100);
    if (sort < 60)
        make_write(load, client, maker);
    else if (sort < 70)
        make_keys(load, client, maker, "GET", 1);
    else if (sort < 80)
        make_keys(load, client, maker, "MGET", LOAD_KEYS);
    else if (sort < 86)
        make_keys(load, client, maker, "EXISTS", 4);
    else if (sort < 92)
        make_keys(load, client, maker, "strlen", 1);
    else if (sort < 95)
        make_keys(load, client, maker, "TYPE", 1);
    else if (sort < 97)
        add_word(maker, "GET"); /* wrong number of arguments */
    else
        make_keys(load, client, maker, "NOSUCH", 2);
}

/* The common counter, or a key that expires. */
static void make_common(struct load *load, uint32_t number, struct maker *maker,
                        enum load_sort sort, uint32_t lease) {
    struct load_client *client = &load->clients[number];
    static const char *const lives_ms[] = {"1", "5", "30", "200", "2000"};
    char name[48];
    (void)snprintf(name, sizeof(name), "client:%u:lease:%u", number, lease);
    switch (sort) {
    case LOAD_COUNT:
        add_word(maker, "INCR");
        add_word(maker, "common:counter");
        break;
    case LOAD_COUNT_READ:
        add_word(maker, "GET");
        add_word(maker, "common:counter");
        break;
    case LOAD_LEASE_SET:
        add_word(maker, "SET");
        add_word(maker, name);
        (void)snprintf(name, sizeof(name), "%llu", (unsigned long long)client->serial++);
        add_word(maker, name);
        add_word(maker, "PX");
        add_word(maker, lives_ms[random_below(&load->random, 5)]);
        break;
    case LOAD_LEASE_READ:
        add_word(maker, "GET");
        add_word(maker, name);
        break;
    case LOAD_OWN: UNREACHABLE("make_command makes these");
    }
}

static enum load_sort random_sort(struct load *load) {
    static const enum load_sort sorts[] = {LOAD_COUNT, LOAD_COUNT_READ, LOAD_LEASE_SET,
                                           LOAD_LEASE_READ, LOAD_LEASE_READ};
    /* Without a share nothing is drawn: seeds that once found something go on finding it. */
    if (load->options.common_share == 0 ||
        random_below(&load->random, 100) >= load->options.common_share)
        return LOAD_OWN;
    enum load_sort sort = sorts[random_below(&load->random, 5)];
    return sort == LOAD_COUNT && load->counts_made == LOAD_COUNTS_MAX ? LOAD_COUNT_READ : sort;
}

static struct load_command *command_new(struct maker *maker) {
    struct load_command *command = calloc(1, sizeof(*command));
    ASSERT(command != NULL);
    command->words = calloc(maker->count, sizeof(*command->words));
    char *data = malloc(maker->text.length + 1);
    ASSERT(command->words != NULL && data != NULL);
    memcpy(data, maker->text.data, maker->text.length);
    command->word_count = maker->count;
    for (size_t i = 0; i < maker->count; i++)
        command->words[i] = (struct kv_model_word){
            .data = data + maker->offsets[i], .length = maker->offsets[i + 1] - maker->offsets[i]};
    kv_model_text_free(&maker->text);
    return command;
}

void load_command_free(struct load_command *command) {
    free((void *)(uintptr_t)command->words[0].data);
    free(command->words);
    kv_model_text_free(&command->bytes);
    free(command);
}

static bool could_be_a_line(const struct load_command *command) {
    for (size_t i = 0; i < command->word_count; i++)
        if (command->words[i].length >= 100)
            return false;
    return true;
}

static void format_line(struct load_command *command) {
    for (size_t i = 0; i < command->word_count; i++) {
        kv_model_text_append(&command->bytes, " ", i == 0 ? 0 : 1);
        kv_model_text_append(&command->bytes, command->words[i].data, command->words[i].length);
    }
    kv_model_text_append(&command->bytes, "\r\n", 2);
}

static void format_array(struct load_command *command) {
    char head[32];
    int length = snprintf(head, sizeof(head), "*%zu\r\n", command->word_count);
    kv_model_text_append(&command->bytes, head, (size_t)length);
    for (size_t i = 0; i < command->word_count; i++) {
        length = snprintf(head, sizeof(head), "$%zu\r\n", command->words[i].length);
        kv_model_text_append(&command->bytes, head, (size_t)length);
        kv_model_text_append(&command->bytes, command->words[i].data, command->words[i].length);
        kv_model_text_append(&command->bytes, "\r\n", 2);
    }
}

struct load_command *load_command_random(struct load *load, uint32_t client) {
    struct maker maker = {.count = 0};
    enum load_sort sort = random_sort(load);
    uint32_t lease = 0;
    if (sort == LOAD_OWN) {
        make_command(load, client, &maker);
    } else {
        lease = (uint32_t)random_below(&load->random, LOAD_LEASES);
        make_common(load, client, &maker, sort, lease);
    }
    struct load_command *command = command_new(&maker);
    command->sort = sort;
    command->made_ns = world_now_ns(load->world);
    command->count_floor = load->count_high;
    command->lease = lease;
    load->counts_made += sort == LOAD_COUNT ? 1 : 0;
    if (could_be_a_line(command) && random_chance(&load->random, 1, 10))
        format_line(command);
    else
        format_array(command);
    return command;
}

struct load_command *load_command_all_keys(uint32_t client) {
    struct maker maker = {.count = 0};
    add_word(&maker, "MGET");
    for (uint32_t i = 0; i < LOAD_KEYS; i++)
        add_key(&maker, client, i);
    struct load_command *command = command_new(&maker);
    format_array(command);
    return command;
}
