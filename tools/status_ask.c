/*
 * The question of weir status.  See tools/status_ask.h.
 *
 * Happy path: connect, AUTH if there is a password, INFO, read the one bulk.
 *
 * Failure modes: each is a sentence; nothing takes longer than PATIENCE_S a step.
 */

#include "tools/status_ask.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/decimal.h"

enum { PATIENCE_S = 5, PLACE_TEXT_BYTES = CONFIG_HOST_BYTES_MAX + 16 };

static const char question[] =
    "*5\r\n$4\r\nINFO\r\n$4\r\nraft\r\n$4\r\nweir\r\n$11\r\nreplication\r\n"
    "$5\r\npeers\r\n";

/* A connected socket, or a negative error with a sentence. */
static int connect_to(const struct config_place *place, const char *text,
                      struct error_text *error) {
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct timeval patience = {.tv_sec = PATIENCE_S};
    struct addrinfo *found = NULL;
    char port[8];
    (void)snprintf(port, sizeof(port), "%u", place->port);
    int status = getaddrinfo(place->host, port, &hints, &found);
    if (status != 0) {
        error_text_set(error, "cannot resolve %s: %s", place->host, gai_strerror(status));
        return WEIR_ENOENT;
    }
    int client = -1;
    for (const struct addrinfo *each = found; each != NULL && client < 0; each = each->ai_next) {
        client = socket(each->ai_family, each->ai_socktype | SOCK_CLOEXEC, 0);
        if (client < 0) {
            continue;
        }
        (void)setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        (void)setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
        if (connect(client, each->ai_addr, each->ai_addrlen) != 0) {
            status = errno;
            (void)close(client);
            client = -1;
        }
    }
    freeaddrinfo(found);
    if (client < 0) {
        error_text_set(error,
                       "%s does not answer: %s; a member serves clients once it has met the "
                       "others, or its log says why not",
                       text, strerror(status == EINPROGRESS ? ETIMEDOUT : status));
        return WEIR_ECLOSED;
    }
    return client;
}

static bool send_all(int client, const char *bytes, size_t length) {
    while (length > 0) {
        ssize_t sent = send(client, bytes, length, MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        bytes += sent;
        length -= (size_t)sent;
    }
    return true;
}

/* How long the whole reply is that begins at `text`; 0: not all of it is there, or it is none. */
static size_t reply_bytes(const char *text, size_t length) {
    const char *end = memchr(text, '\n', length);
    uint64_t bulk = 0;
    if (end == NULL) {
        return 0;
    }
    size_t line = (size_t)(end + 1 - text);
    if (text[0] != '$') {
        return line;
    }
    if (line < 4 || decimal_parse_u64(text + 1, line - 3, &bulk) != 0 || bulk > STATUS_TEXT_BYTES ||
        line + bulk + 2 > length) {
        return 0;
    }
    return line + bulk + 2;
}

/* Reads one reply to its end into `out`; its length, or 0 with a sentence. */
static size_t receive(int client, const char *text, char out[STATUS_TEXT_BYTES],
                      struct error_text *error) {
    size_t length = 0;
    size_t whole = 0;
    while (whole == 0 && length < STATUS_TEXT_BYTES - 1) {
        ssize_t got = recv(client, out + length, STATUS_TEXT_BYTES - 1 - length, 0);
        if (got <= 0) {
            error_text_set(error, "%s %s", text,
                           got == 0 ? "has closed the connection"
                                    : "has accepted, and says nothing: it may be stopped");
            return 0;
        }
        length += (size_t)got;
        whole = reply_bytes(out, length);
    }
    if (whole == 0) {
        error_text_set(error, "what listens at %s is no node of weir", text);
    }
    out[whole] = '\0';
    return whole;
}

/* AUTH; its status. */
static int authenticate(int client, const char *text, const char *password,
                        struct error_text *error) {
    static char reply[STATUS_TEXT_BYTES];
    char command[NODE_PASSWORD_BYTES_MAX + 64];
    int length = snprintf(command, sizeof(command), "*2\r\n$4\r\nAUTH\r\n$%zu\r\n%s\r\n",
                          strlen(password), password);
    bool asked = send_all(client, command, (size_t)length);
    explicit_bzero(command, sizeof(command));
    if (!asked) {
        error_text_set(error, "%s has closed the connection", text);
        return WEIR_ECLOSED;
    }
    if (receive(client, text, reply, error) == 0) {
        return WEIR_ECLOSED;
    }
    if (reply[0] != '+') {
        error_text_set(error, "%s does not take the password: %.*s", text,
                       (int)strcspn(reply + 1, "\r\n"), reply + 1);
        return WEIR_EDENIED;
    }
    return WEIR_OK;
}

static int ask(int client, const char *text, char out[STATUS_TEXT_BYTES],
               struct error_text *error) {
    if (!send_all(client, question, sizeof(question) - 1)) {
        error_text_set(error, "%s has closed the connection", text);
        return WEIR_ECLOSED;
    }
    if (receive(client, text, out, error) == 0) {
        return WEIR_ECLOSED;
    }
    if (strncmp(out, "-NOAUTH", strlen("-NOAUTH")) == 0) {
        error_text_set(error,
                       "%s wants a password: give --config FILE, the node's own, which has "
                       "requirepass",
                       text);
        return WEIR_EDENIED;
    }
    if (out[0] != '$' || strstr(out, "raft_role:") == NULL) {
        error_text_set(error, "what listens at %s is no node of weir, or an older one", text);
        return WEIR_EPROTOCOL;
    }
    return WEIR_OK;
}

int status_ask(const struct config_place *place, const char *password, char out[STATUS_TEXT_BYTES],
               struct error_text *error) {
    char text[PLACE_TEXT_BYTES];
    config_place_text(place, text);
    int client = connect_to(place, text, error);
    if (client < 0) {
        return client;
    }
    int status = WEIR_OK;
    if (password[0] != '\0') {
        status = authenticate(client, text, password, error);
    }
    if (status == WEIR_OK) {
        status = ask(client, text, out, error);
    }
    (void)close(client);
    return status;
}
