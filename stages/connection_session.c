/*
 * AUTH, HELLO, RESET, QUIT, SELECT, PING, ECHO: what changes or probes the session itself.
 *
 * As in Redis, HELLO takes its options one after the other, and those before a wrong one keep
 * their effect; the protocol version changes last, when everything else was right.
 */

#include "stages/connection_run.h"

#include <limits.h>
#include <string.h>

#include "base/assert.h"
#include "base/decimal.h"
#include "raft/raft.h"
#include "stages/node_settings.h"

/* The one user there is. */
static const char user_name[] = "default";

static bool session_password_required(const struct connection_run *run) {
    return node_password_required(run->node);
}

/* Whether user (argument, or the default one for index 0) and password open the connection. */
static bool session_authenticates(struct connection_run *run, uint32_t user, uint32_t password) {
    bool user_exists = user == 0;
    uint32_t length = 0;
    if (user != 0) {
        const uint8_t *name = batch_argument(run->batch, run->command, user, &length);
        user_exists = length == strlen(user_name) && memcmp(name, user_name, length) == 0;
    }
    const uint8_t *given = batch_argument(run->batch, run->command, password, &length);
    bool right = !session_password_required(run) ||
                 connection_password_equal(node_password(run->node), given, length);
    if (!user_exists || !right) {
        node_figure_add(&run->node->validate.auth_failures, 1);
        return false;
    }
    connection_transit(run->connection, CONNECTION_UNLOCKED, session_password_required(run));
    return true;
}

enum connection_step connection_auth(struct connection_run *run) {
    uint32_t count = run->command->argument_count;
    if (count > 3) {
        return connection_canned(run, CONNECTION_REPLY_SYNTAX);
    }
    if (count == 2 && !session_password_required(run)) {
        return connection_canned(run, CONNECTION_REPLY_PASSWORD_NONE);
    }
    bool opened = session_authenticates(run, count == 3 ? 1 : 0, count - 1);
    return connection_canned(run, opened ? CONNECTION_REPLY_OK : CONNECTION_REPLY_PASSWORD_WRONG);
}

enum connection_reply connection_name_set(struct connection_run *run, uint32_t index) {
    uint32_t length = 0;
    const uint8_t *name = batch_argument(run->batch, run->command, index, &length);
    for (uint32_t i = 0; i < length; i++) {
        if (name[i] < '!' || name[i] > '~') {
            return CONNECTION_REPLY_NAME_CHARACTERS;
        }
    }
    if (length >= sizeof(run->connection->name)) {
        return CONNECTION_REPLY_NAME_LENGTH;
    }
    memset(run->connection->name, 0, sizeof(run->connection->name));
    memcpy(run->connection->name, name, length);
    connection_names_publish(run);
    return 0;
}

/* Takes HELLO's options from argument 2 on.  0, a canned error, or `note` is the wrong one. */
static enum connection_reply session_hello_options(struct connection_run *run) {
    uint32_t count = run->command->argument_count;
    for (uint32_t i = 2; i < count; i++) {
        uint32_t more = count - 1 - i;
        if (connection_argument_is(run, i, "auth") && more >= 2) {
            if (!session_authenticates(run, i + 1, i + 2)) {
                return CONNECTION_REPLY_PASSWORD_WRONG;
            }
            i += 2;
        } else if (connection_argument_is(run, i, "setname") && more >= 1) {
            enum connection_reply error = connection_name_set(run, i + 1);
            if (error != 0) {
                return error;
            }
            i += 1;
        } else {
            run->note = i;
            return 0;
        }
    }
    return 0;
}

enum connection_step connection_hello(struct connection_run *run) {
    int64_t version = 0;
    if (run->command->argument_count >= 2) {
        uint32_t length = 0;
        const uint8_t *text = batch_argument(run->batch, run->command, 1, &length);
        if (decimal_parse_i64((const char *)text, length, &version) != 0) {
            return connection_canned(run, CONNECTION_REPLY_VERSION_NUMBER);
        }
        if (version < RESP_VERSION_2 || version > RESP_VERSION_3) {
            return connection_canned(run, CONNECTION_REPLY_VERSION);
        }
    }
    enum connection_reply error = session_hello_options(run);
    if (error != 0) {
        return connection_canned(run, error);
    }
    if (run->note != 0) {
        return CONNECTION_WRITES;
    }
    if (run->connection->state == CONNECTION_LOCKED) {
        return connection_canned(run, CONNECTION_REPLY_HELLO_AUTH);
    }
    if (version != 0) {
        run->connection->resp_version = (uint8_t)version;
    }
    return CONNECTION_WRITES;
}

static void session_pair(struct reply_writer *writer, const char *key, const char *value) {
    reply_bulk(writer, key, strlen(key));
    reply_bulk(writer, value, strlen(value));
}

void connection_hello_write(const struct connection_run *run, struct reply_writer *writer) {
    if (run->note != 0) {
        uint32_t length = 0;
        const uint8_t *option = batch_argument(run->batch, run->command, run->note, &length);
        int shown = length > INT_MAX ? INT_MAX : (int)length;
        reply_error_format(writer, "ERR Syntax error in HELLO option '%.*s'", shown,
                           (const char *)option);
        return;
    }
    reply_map(writer, 7);
    session_pair(writer, "server", "weir");
    session_pair(writer, "version", run->node->options->version);
    reply_bulk(writer, "proto", 5);
    reply_integer(writer, run->connection->resp_version);
    reply_bulk(writer, "id", 2);
    reply_integer(writer, (int64_t)node_figure(&connection_record(run)->client_id));
    session_pair(writer, "mode", "standalone");
    bool leads = node_figure(&run->node->replicate.role) == RAFT_LEADER;
    session_pair(writer, "role", leads ? "master" : "replica");
    reply_bulk(writer, "modules", 7);
    reply_array(writer, 0);
}

enum connection_step connection_reset(struct connection_run *run) {
    connection_transit(run->connection, CONNECTION_RESETTED, session_password_required(run));
    connection_names_publish(run);
    return connection_canned(run, CONNECTION_REPLY_RESET);
}

enum connection_step connection_quit(struct connection_run *run) {
    connection_transit(run->connection, CONNECTION_CLOSED, session_password_required(run));
    return connection_canned(run, CONNECTION_REPLY_OK);
}

enum connection_step connection_select(struct connection_run *run) {
    uint32_t length = 0;
    const uint8_t *text = batch_argument(run->batch, run->command, 1, &length);
    int64_t index = 0;
    if (decimal_parse_i64((const char *)text, length, &index) != 0) {
        return connection_canned(run, CONNECTION_REPLY_NUMBER);
    }
    if (index < INT_MIN || index > INT_MAX) {
        return connection_canned(run, CONNECTION_REPLY_NUMBER_RANGE);
    }
    return connection_canned(run, index == 0 ? CONNECTION_REPLY_OK : CONNECTION_REPLY_DB_RANGE);
}

enum connection_step connection_ping(struct connection_run *run) {
    /* The table cannot say "one or two arguments": validate does, see validate_arity. */
    ASSERT(run->command->argument_count <= 2);
    return connection_canned(run, run->command->argument_count == 1 ? CONNECTION_REPLY_PONG
                                                                    : CONNECTION_REPLY_ARGUMENT);
}

enum connection_step connection_echo(struct connection_run *run) {
    return connection_canned(run, CONNECTION_REPLY_ARGUMENT);
}
