/*
 * A round: every connection sends one piece, if it has one, and takes the replies that are there.
 * When nobody could do anything the thread waits in poll() for the sockets.
 */

#include "tests/property/driver.h"

#include <arpa/inet.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "tests/property/answer.h"
#include "tests/property/session.h"

enum {
    RECEIVE_BYTES = 256 * 1024,
    BURST_COMMANDS_MAX = 700, /* more than a batch holds */
    BURST_BYTES_MAX = 4 * 1024 * 1024,
    CONNECTIONS_MAX = 16,
    TINY_BYTES = 8,
};

struct client {
    uint32_t lane;
    int socket;
    struct random commands; /* what is asked */
    struct random cuts;     /* how it is sent */
    struct deck deck;
    struct draft draft;
    struct session session;
    uint32_t drawn_card; /* drawn and not yet written, or UINT32_MAX */

    struct kv_model_text burst;
    size_t *ends; /* in the burst, of each operation from `unsent` on */
    size_t burst_operations;
    size_t sent;        /* bytes of the burst */
    size_t piece_end;   /* the piece being sent ends here */
    size_t piece_limit; /* longest piece of this burst */
    size_t unsent;      /* the lane's first operation whose last byte was not sent */
    size_t unanswered;  /* the lane's first without a reply */
    size_t awaited_max; /* the next burst waits until no more replies are awaited */
    bool is_done;       /* every round is drawn */
    bool quits;         /* the burst ends in a QUIT: the node is to close the connection */

    redisReader *reader;        /* has all bytes while the next reply is RESP 2 */
    struct kv_model_text resp3; /* has them while it is RESP 3 */
};

struct driver {
    const struct drive_options *options;
    struct history *history;
    struct drive_figures *figures;
    struct kv_model_text *error;
    struct client *clients;
    char *received;
};

static uint64_t time_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- What is sent ---------------------------------------------------------------------------- */

/* As a person types it: quoted where it must be. */
static void burst_add_inline(struct client *client) {
    struct kv_model_text *burst = &client->burst;
    for (size_t i = 0; i < client->draft.word_count; i++) {
        const struct kv_model_text *word = &client->draft.words[i];
        bool plain = word->length > 0;
        for (size_t j = 0; j < word->length; j++)
            plain &= word->data[j] > ' ' && word->data[j] <= '~' &&
                     strchr("\"'\\", word->data[j]) == NULL;
        text_print(burst, i > 0 ? " " : "");
        if (plain) {
            kv_model_text_append(burst, word->data, word->length);
            continue;
        }
        text_print(burst, "\"");
        for (size_t j = 0; j < word->length; j++)
            text_print(burst, "\\x%02x", (unsigned char)word->data[j]);
        text_print(burst, "\"");
    }
    text_print(burst, random_chance(&client->commands, 1, 2) ? "\r\n" : "\n");
}

static void burst_add_multibulk(struct client *client) {
    const char *words[DRAFT_WORDS_MAX];
    size_t lengths[DRAFT_WORDS_MAX];
    for (size_t i = 0; i < client->draft.word_count; i++) {
        words[i] = client->draft.words[i].length > 0 ? client->draft.words[i].data : "";
        lengths[i] = client->draft.words[i].length;
    }
    char *bytes;
    const int length =
        redisFormatCommandArgv(&bytes, (int)client->draft.word_count, words, lengths);
    ASSERT(length > 0);
    kv_model_text_append(&client->burst, bytes, (size_t)length);
    redisFreeCommand(bytes);
}

/* Records the draft as the lane's next operation, with what its session says to it. */
static void operation_add(struct driver *driver, struct client *client, uint32_t card) {
    struct kv_model_word words[DRAFT_WORDS_MAX];
    for (size_t i = 0; i < client->draft.word_count; i++)
        words[i] =
            (struct kv_model_word){client->draft.words[i].data, client->draft.words[i].length};
    struct operation *operation =
        history_add(driver->history, client->lane, words, client->draft.word_count);
    operation->card = card;
    (void)session_execute(&client->session, operation->words, operation->word_count,
                          &operation->expected);
    operation->resp_version = client->session.resp_version;
}

/* Draws the next card; false when every round is through. */
static bool card_next(struct driver *driver, struct client *client) {
    if (client->drawn_card != UINT32_MAX)
        return true;
    client->drawn_card = deck_draw(&client->deck, &client->commands);
    client->is_done = client->deck.round > driver->options->rounds;
    return !client->is_done;
}

/* Writes the next burst, and how it is to be cut. */
static void burst_write(struct driver *driver, struct client *client) {
    static const uint64_t depths[] = {1, 4, 16, 100, BURST_COMMANDS_MAX};
    static const uint64_t pieces[] = {TINY_BYTES, 64, 1500, 20000, 1 << 20};
    const uint64_t style = random_below(&client->commands, 40);
    const uint64_t depth_max = depths[style < 39 ? style % 4 : 4];
    const uint64_t depth = 1 + random_below(&client->commands, depth_max);
    client->burst.length = 0;
    client->burst_operations = 0;
    while (client->burst_operations < depth && client->burst.length < BURST_BYTES_MAX &&
           !client->quits && card_next(driver, client)) {
        if (random_chance(&client->commands, 1, 50))
            text_print(&client->burst, random_chance(&client->commands, 1, 2) ? "*0\r\n" : "\r\n");
        client->draft.serial++;
        draft_write(&client->draft, client->drawn_card);
        operation_add(driver, client, client->drawn_card);
        client->drawn_card = UINT32_MAX;
        client->quits = word_is(
            &(struct kv_model_word){client->draft.words[0].data, client->draft.words[0].length},
            "quit");
        if (client->draft.is_inline)
            burst_add_inline(client);
        else
            burst_add_multibulk(client);
        client->ends[client->burst_operations++] = client->burst.length;
    }
    client->sent = 0;
    client->piece_end = 0;
    client->piece_limit = pieces[random_below(&client->cuts, 5)];
    /* A burst of megabytes is not cut into a million pieces. */
    if (client->piece_limit < client->burst.length / 1000)
        client->piece_limit = client->burst.length / 1000;
    client->awaited_max = random_chance(&client->cuts, 1, 2) ? 0 : random_below(&client->cuts, 200);
}

/* Marks the operations whose last byte is sent. */
static void operations_sent(struct driver *driver, struct client *client, uint64_t now_ns,
                            uint64_t wall_ns) {
    struct history_lane *lane = &driver->history->lanes[client->lane];
    while (client->unsent < lane->count) {
        const size_t in_burst = client->burst_operations - (lane->count - client->unsent);
        if (client->ends[in_burst] > client->sent)
            break;
        lane->operations[client->unsent].invoked_ns = now_ns;
        lane->operations[client->unsent].invoked_wall_ms = wall_ns / 1000000;
        client->unsent++;
    }
    const uint64_t depth = client->unsent - client->unanswered;
    if (depth > driver->figures->depth_max)
        driver->figures->depth_max = depth;
}

/* Sends the current piece, or what the socket takes of it. 1: something was sent; -1: it failed. */
static int piece_send(struct driver *driver, struct client *client) {
    if (client->sent == client->piece_end)
        client->piece_end += 1 + random_below(&client->cuts, client->piece_limit);
    if (client->piece_end > client->burst.length)
        client->piece_end = client->burst.length;
    const uint64_t now_ns = time_ns(CLOCK_MONOTONIC);
    const uint64_t wall_ns = time_ns(CLOCK_REALTIME);
    const ssize_t sent = send(client->socket, client->burst.data + client->sent,
                              client->piece_end - client->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (sent < 0) {
        text_print(driver->error, "connection %u: cannot send: %s\n", client->lane,
                   strerror(errno));
        return -1;
    }
    client->sent += (size_t)sent;
    driver->figures->bytes_sent += (uint64_t)sent;
    driver->figures->sends++;
    driver->figures->sends_tiny += sent <= TINY_BYTES;
    operations_sent(driver, client, now_ns, wall_ns);
    return 1;
}

/* ---- What is received ------------------------------------------------------------------------ */

static bool receive_fails(struct driver *driver, const struct client *client, const char *what) {
    text_print(driver->error, "%s: ", what);
    const struct history_lane *lane = &driver->history->lanes[client->lane];
    if (client->unanswered < lane->count)
        operation_print(driver->error, client->lane, client->unanswered,
                        &lane->operations[client->unanswered]);
    else
        text_print(driver->error, "connection %u, which awaits nothing", client->lane);
    text_print(driver->error, "\n");
    return false;
}

/* Bytes go to the decoder of the protocol in which the next reply comes. */
static void bytes_move(struct client *client, uint32_t resp_version) {
    redisReader *reader = client->reader;
    if (resp_version == 3 && reader->len > reader->pos) {
        kv_model_text_append(&client->resp3, reader->buf + reader->pos, reader->len - reader->pos);
        redisReaderFree(reader);
        client->reader = redisReaderCreate();
    } else if (resp_version == 2 && client->resp3.length > 0) {
        redisReaderFeed(reader, client->resp3.data, client->resp3.length);
        client->resp3.length = 0;
    }
}

/* Reads one reply into `answer`. 1: it is there; 0: not yet; -1: it is malformed. */
static int reply_read(struct client *client, uint32_t resp_version, struct kv_model_text *answer) {
    bytes_move(client, resp_version);
    if (resp_version == 2) {
        void *reply = NULL;
        if (redisReaderGetReply(client->reader, &reply) != REDIS_OK)
            return -1;
        if (reply == NULL)
            return 0;
        answer_of_hiredis(answer, reply);
        freeReplyObject(reply);
        return 1;
    }
    struct resp3_value *value;
    size_t consumed;
    const enum resp3_result result =
        resp3_decode(client->resp3.data, client->resp3.length, &value, &consumed);
    if (result != RESP3_OK)
        return result == RESP3_MORE ? 0 : -1;
    answer_of_resp3(answer, value);
    resp3_free(value);
    client->resp3.length -= consumed;
    memmove(client->resp3.data, client->resp3.data + consumed, client->resp3.length);
    return 1;
}

/* The order of a listing is the hash seed's. */
static void answer_order(struct operation *operation) {
    size_t offset;
    bool complete;
    if (word_is(&operation->words[0], "keys"))
        answer_sort(&operation->answer, 0);
    else if (word_is(&operation->words[0], "scan") &&
             answer_scan(&operation->answer, &offset, &complete))
        answer_sort(&operation->answer, offset);
}

/* The session that was opened is used from now on; a brief one has another lifetime than none, or
 * ten minutes. */
static void answer_opens(struct client *client, const struct operation *operation) {
    int64_t id;
    if (word_is(&operation->words[0], "once.open") && answer_integer(&operation->answer, &id))
        draft_opened(&client->draft, (uint64_t)id,
                     operation->word_count == 3 && !word_is(&operation->words[2], "600000"));
}

/* Takes all replies that are complete. */
static bool replies_take(struct driver *driver, struct client *client) {
    struct history_lane *lane = &driver->history->lanes[client->lane];
    const uint64_t now_ns = time_ns(CLOCK_MONOTONIC);
    const uint64_t wall_ms = time_ns(CLOCK_REALTIME) / 1000000;
    while (client->unanswered < client->unsent) {
        struct operation *operation = &lane->operations[client->unanswered];
        const int result = reply_read(client, operation->resp_version, &operation->answer);
        if (result < 0)
            return receive_fails(driver, client, "a malformed reply");
        if (result == 0)
            return true;
        answer_order(operation);
        answer_opens(client, operation);
        operation->answered = true;
        operation->responded_ns = now_ns;
        operation->responded_wall_ms = wall_ms;
        driver->figures->replies_resp3 += operation->resp_version == 3;
        client->unanswered++;
    }
    if (client->reader->len > client->reader->pos || client->resp3.length > 0)
        return receive_fails(driver, client, "a reply that nobody asked for");
    return true;
}

/* ---- The clients ----------------------------------------------------------------------------- */

static bool client_connect(struct driver *driver, struct client *client) {
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons(driver->options->port),
                                        .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const int one = 1;
    client->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->socket < 0 ||
        connect(client->socket, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        text_print(driver->error, "cannot connect to port %u: %s\n", driver->options->port,
                   strerror(errno));
        return false;
    }
    setsockopt(client->socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return true;
}

/* 1: something came; 0: nothing; -1: it failed. */
static int bytes_receive(struct driver *driver, struct client *client) {
    const ssize_t length = recv(client->socket, driver->received, RECEIVE_BYTES, MSG_DONTWAIT);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    const struct history_lane *lane = &driver->history->lanes[client->lane];
    if (length == 0 && client->quits && client->unanswered == lane->count) {
        client->quits = false;
        close(client->socket);
        return client_connect(driver, client) ? 1 : -1;
    }
    if (length <= 0) {
        (void)receive_fails(driver, client,
                            length == 0 ? "the node closed the connection" : strerror(errno));
        return -1;
    }
    if (client->unanswered < lane->count && lane->operations[client->unanswered].resp_version == 3)
        kv_model_text_append(&client->resp3, driver->received, (size_t)length);
    else
        redisReaderFeed(client->reader, driver->received, (size_t)length);
    return replies_take(driver, client) ? 1 : -1;
}

static bool client_open(struct driver *driver, uint32_t lane) {
    struct client *client = &driver->clients[lane];
    const struct drive_options *options = driver->options;
    client->lane = lane;
    random_seed(&client->commands, options->seed * 2 * CONNECTIONS_MAX + 2 * lane);
    random_seed(&client->cuts, options->seed * 2 * CONNECTIONS_MAX + 2 * lane + 1);
    deck_init(&client->deck, options->kind);
    session_init(&client->session);
    client->drawn_card = UINT32_MAX;
    client->draft.random = &client->commands;
    client->draft.kind = options->kind;
    client->draft.connection = lane;
    client->draft.connection_count = options->connection_count;
    client->ends = calloc(BURST_COMMANDS_MAX, sizeof(*client->ends));
    client->reader = redisReaderCreate();
    ASSERT(client->ends != NULL && client->reader != NULL);
    return client_connect(driver, client);
}

static void client_close(struct client *client) {
    if (client->socket >= 0)
        close(client->socket);
    draft_free(&client->draft);
    kv_model_text_free(&client->burst);
    kv_model_text_free(&client->resp3);
    redisReaderFree(client->reader);
    free(client->ends);
}

/* One turn of a client. 1: it did something; 0: nothing to do now; -1: failed. */
static int client_turn(struct driver *driver, struct client *client) {
    const struct history_lane *lane = &driver->history->lanes[client->lane];
    if (client->sent == client->burst.length && !client->is_done && !client->quits &&
        lane->count - client->unanswered <= client->awaited_max)
        burst_write(driver, client);
    int did = 0;
    if (client->sent < client->burst.length) {
        did = piece_send(driver, client);
        if (did < 0)
            return -1;
    }
    const int received = bytes_receive(driver, client);
    return received < 0 ? -1 : did | received;
}

static bool client_rests(const struct driver *driver, const struct client *client) {
    return client->is_done && !client->quits && client->sent == client->burst.length &&
           client->unanswered == driver->history->lanes[client->lane].count;
}

/* Waits until a socket can do something. */
static bool sockets_wait(struct driver *driver) {
    struct pollfd sockets[CONNECTIONS_MAX];
    const uint32_t count = driver->options->connection_count;
    for (uint32_t i = 0; i < count; i++) {
        const struct client *client = &driver->clients[i];
        const bool sends = client->sent < client->burst.length;
        sockets[i] = (struct pollfd){.fd = client->socket,
                                     .events = (short)(sends ? POLLIN | POLLOUT : POLLIN)};
    }
    const int result = poll(sockets, count, (int)driver->options->reply_limit_s * 1000);
    if (result > 0 || (result < 0 && errno == EINTR))
        return true;
    for (uint32_t i = 0; i < count; i++)
        if (!client_rests(driver, &driver->clients[i]))
            (void)receive_fails(driver, &driver->clients[i], "a reply does not come");
    return false;
}

static bool drive_on(struct driver *driver) {
    for (;;) {
        bool did = false;
        bool rest = true;
        for (uint32_t i = 0; i < driver->options->connection_count; i++) {
            const int result = client_turn(driver, &driver->clients[i]);
            if (result < 0)
                return false;
            did |= result > 0;
            rest &= client_rests(driver, &driver->clients[i]);
        }
        if (rest)
            return true;
        if (!did && !sockets_wait(driver))
            return false;
    }
}

bool drive(const struct drive_options *options, struct history *history,
           struct drive_figures *figures, struct kv_model_text *error) {
    ASSERT(options->connection_count >= 1 && options->connection_count <= CONNECTIONS_MAX);
    struct driver driver = {
        .options = options, .history = history, .figures = figures, .error = error};
    history_init(history, options->connection_count);
    driver.clients = calloc(options->connection_count, sizeof(*driver.clients));
    driver.received = malloc(RECEIVE_BYTES);
    ASSERT(driver.clients != NULL && driver.received != NULL);
    bool right = true;
    uint32_t opened = 0;
    while (right && opened < options->connection_count)
        right = client_open(&driver, opened++);
    right = right && drive_on(&driver);
    for (uint32_t i = 0; i < opened; i++)
        client_close(&driver.clients[i]);
    free(driver.clients);
    free(driver.received);
    return right;
}
