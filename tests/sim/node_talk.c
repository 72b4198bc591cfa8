/* See node_talk.h. */

#include "tests/sim/node_talk.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/decimal.h"

#define ANSWER_NS UINT64_C(1000000000)

void talk_open(struct talk *talk, struct group *group, uint32_t node) {
    memset(talk, 0, sizeof(*talk));
    talk->group = group;
    talk->node = node;
    talk->connection = world_client_connect(group->world, group->nodes[node].host, SIM_NODE_PORT);
    if (talk->connection == NULL) {
        fail_msg("seed %" PRIu64 ": node %u lets nobody in", group->seed, node + 1);
    }
}

void talk_close(struct talk *talk) {
    if (talk->connection != NULL) {
        world_client_reset(talk->connection);
    }
    talk->connection = NULL;
}

void talk_send(struct talk *talk, const void *bytes, size_t length_bytes) {
    const uint8_t *left = bytes;
    for (uint32_t rounds = 0; length_bytes > 0; rounds++) {
        size_t sent = world_client_send(talk->connection, left, length_bytes);
        left += sent;
        length_bytes -= sent;
        if (sent == 0 && (rounds > 100000 || !group_step(talk->group))) {
            fail_msg("node %u takes nothing more", talk->node + 1);
        }
    }
}

void talk_say(struct talk *talk, const char *text) {
    talk_send(talk, text, strlen(text));
}

/* The bytes of the first reply at `text`; 0: it is not complete.  *line: its words. */
static size_t reply_bytes(const char *text, size_t length, const char **line, size_t *line_bytes) {
    const char *end = memchr(text, '\n', length);
    if (end == NULL) {
        return 0;
    }
    size_t first = (size_t)(end + 1 - text);
    *line = text;
    *line_bytes = first - 2;
    if (text[0] != '$') {
        return first;
    }
    if (text[1] == '-') {
        *line = "(nil)";
        *line_bytes = strlen(*line);
        return first;
    }
    uint64_t bulk = 0;
    assert_int_equal(decimal_parse_u64(text + 1, first - 3, &bulk), 0);
    *line = text + first;
    *line_bytes = bulk;
    return length < first + bulk + 2 ? 0 : first + bulk + 2;
}

static void receive(struct talk *talk) {
    if (talk->connection != NULL) {
        talk->text_bytes += world_client_receive(talk->connection, talk->text + talk->text_bytes,
                                                 sizeof(talk->text) - 1 - talk->text_bytes);
    }
}

/* Whether so many are there; how many and how long they are. */
static uint32_t replies_there(const struct talk *talk, uint32_t wanted, size_t *bytes) {
    uint32_t count = 0;
    *bytes = 0;
    while (count < wanted) {
        const char *line;
        size_t line_bytes;
        size_t length =
            reply_bytes(talk->text + *bytes, talk->text_bytes - *bytes, &line, &line_bytes);
        if (length == 0) {
            break;
        }
        *bytes += length;
        count++;
    }
    return count;
}

const char *talk_hear(struct talk *talk, uint32_t replies, uint64_t limit_ns) {
    static char answer[TALK_BYTES];
    uint64_t until_ns = world_now_ns(talk->group->world) + limit_ns;
    size_t bytes;
    receive(talk);
    while (replies_there(talk, replies, &bytes) < replies &&
           world_now_ns(talk->group->world) < until_ns && group_step(talk->group)) {
        receive(talk);
    }
    size_t used = 0;
    for (size_t at = 0; at < bytes;) {
        const char *line = NULL;
        size_t line_bytes = 0;
        at += reply_bytes(talk->text + at, talk->text_bytes - at, &line, &line_bytes);
        memcpy(answer + used, line, line_bytes);
        used += line_bytes;
        answer[used++] = '\n';
    }
    answer[used] = '\0';
    memmove(talk->text, talk->text + bytes, talk->text_bytes - bytes);
    talk->text_bytes -= bytes;
    return answer;
}

const char *talk_ask(struct talk *talk, const char *line) {
    talk_say(talk, line);
    talk_say(talk, "\r\n");
    return talk_hear(talk, 1, ANSWER_NS);
}

void talk_expect(struct talk *talk, const char *line, const char *reply) {
    const char *answer = talk_ask(talk, line);
    if (strncmp(answer, reply, strlen(reply)) != 0) {
        fail_msg("seed %" PRIu64 ", map %s: node %u answers \"%s\" to \"%s\", not \"%s\"",
                 talk->group->seed, talk->group->nodes[0].options.map, talk->node + 1, answer, line,
                 reply);
    }
}
