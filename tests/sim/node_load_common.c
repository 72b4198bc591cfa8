/* See node_load_common.h. */

#include "tests/sim/node_load_common.h"

#include "base/assert.h"
#include "base/decimal.h"

#include <stdio.h>
#include <string.h>

/* What a clock that runs wrong, and rounding to milliseconds, may do to a time of life. */
static uint64_t tolerance_ns(uint64_t life_ns) {
    return 2000000 + life_ns / 500;
}

static void find(struct load *load, uint32_t client, const char *what, int64_t got,
                 uint64_t wanted) {
    if (load->finding[0] == '\0' && !load->is_blind)
        (void)snprintf(load->finding, sizeof(load->finding), "client %u: %s: %lld, %llu", client,
                       what, (long long)got, (unsigned long long)wanted);
}

/* An answer: a number, or a status or an error, or a bulk that is a number, or nothing. */
struct answer {
    char kind;
    bool is_null;
    int64_t number;
    size_t length; /* 0: not all of it is there */
};

static struct answer answer_read(const struct kv_model_text *received) {
    struct answer answer = {.kind = received->data[0]};
    const char *end = memchr(received->data, '\n', received->length);
    if (end == NULL)
        return answer;
    size_t line_bytes = (size_t)(end + 1 - received->data);
    (void)decimal_parse_i64(received->data + 1, line_bytes - 3, &answer.number);
    answer.length = line_bytes;
    if (answer.kind != '$')
        return answer;
    answer.is_null = answer.number < 0;
    if (answer.is_null)
        return answer;
    size_t bulk_bytes = (size_t)answer.number;
    answer.length = 0;
    if (received->length < line_bytes + bulk_bytes + 2)
        return answer;
    answer.length = line_bytes + bulk_bytes + 2;
    if (decimal_parse_i64(received->data + line_bytes, bulk_bytes, &answer.number) != 0)
        answer.kind = '?';
    return answer;
}

static void count_judge(struct load *load, uint32_t number, const struct load_command *command,
                        const struct answer *answer) {
    const bool is_read = command->sort == LOAD_COUNT_READ;
    const int64_t count = answer->is_null ? 0 : answer->number;
    const uint64_t least = command->count_floor + (is_read ? 0 : 1);
    if (answer->kind != (is_read ? '$' : ':') || count < 0 || (uint64_t)count < least)
        find(load, number, "the common counter went back, or was lost", count, least);
    else if ((uint64_t)count > load->counts_made)
        find(load, number, "the common counter is ahead of all that was sent", count,
             load->counts_made);
    else if (!is_read && load->counts_answered[count]++ > 0)
        find(load, number, "two were told the same count", count, (uint64_t)count);
    else if ((uint64_t)count > load->count_high)
        load->count_high = (uint64_t)count;
}

static void lease_set_judge(struct load *load, uint32_t number, const struct load_command *command,
                            const struct answer *answer) {
    struct load_lease *lease = &load->clients[number].leases[command->lease];
    int64_t value = 0;
    int64_t life_ms = 0;
    (void)decimal_parse_i64(command->words[2].data, command->words[2].length, &value);
    (void)decimal_parse_i64(command->words[4].data, command->words[4].length, &life_ms);
    if (answer->kind != '+')
        find(load, number, "a key with a time of life was not set", answer->number, 0);
    const uint64_t life_ns = (uint64_t)life_ms * 1000000;
    *lease = (struct load_lease){
        .is_known = true,
        .value = (uint64_t)value,
        .first_end_ns = command->made_ns + life_ns - tolerance_ns(life_ns) / 2,
        .last_end_ns = world_now_ns(load->world) + life_ns + tolerance_ns(life_ns)};
    if (lease->first_end_ns < command->made_ns)
        lease->first_end_ns = command->made_ns;
}

static void lease_read_judge(struct load *load, uint32_t number, const struct load_command *command,
                             const struct answer *answer) {
    const struct load_lease *lease = &load->clients[number].leases[command->lease];
    const uint64_t delay_ns = load->options.expiry_delay_ns;
    if (answer->kind != '$') {
        find(load, number, "a key that expires was answered otherwise", answer->number, 0);
    } else if (!lease->is_known) {
        return;
    } else if (answer->is_null) {
        load->leases_gone++;
        if (world_now_ns(load->world) < lease->first_end_ns)
            find(load, number, "a key was gone before its time, in ns",
                 (int64_t)(lease->first_end_ns - world_now_ns(load->world)), 0);
    } else {
        load->leases_alive++;
        if ((uint64_t)answer->number != lease->value)
            find(load, number, "a key that expires has another value", answer->number,
                 lease->value);
        else if (delay_ns > 0 && command->made_ns > lease->last_end_ns + delay_ns)
            find(load, number, "a key outlived its time, by ns",
                 (int64_t)(command->made_ns - lease->last_end_ns), delay_ns);
    }
}

size_t load_common_judge(struct load *load, uint32_t number) {
    const struct load_client *client = &load->clients[number];
    const struct load_command *command = client->commands[client->first];
    const struct answer answer = answer_read(&client->received);
    if (answer.length == 0)
        return 0;
    switch (command->sort) {
    case LOAD_COUNT:
    case LOAD_COUNT_READ: count_judge(load, number, command, &answer); break;
    case LOAD_LEASE_SET: lease_set_judge(load, number, command, &answer); break;
    case LOAD_LEASE_READ: lease_read_judge(load, number, command, &answer); break;
    case LOAD_OWN: UNREACHABLE("the model judges these");
    }
    return answer.length;
}

void load_common_forget(struct load_client *client) {
    for (uint32_t i = 0; i < LOAD_LEASES; i++)
        client->leases[i].is_known = false;
}
