/*
 * One function a command. Answers that are not the same on every node, or at every time, are
 * wild cards; the table of them, with the reasons, is in test_property.c.
 */

#include "tests/property/session.h"

#include <string.h>

#include "base/decimal.h"
#include "tests/property/history.h"

#define ANY_INTEGER "\x01:"
#define ANY_BULK    "\x01$"
#define ANY         "\x01?"

struct session_call {
    struct session *session;
    const struct kv_model_word *words;
    size_t count;
    struct kv_model_text *pattern;
};

static void say(struct session_call *call, const char *text) {
    kv_model_text_append(call->pattern, text, strlen(text));
}

static void say_bulk(struct session_call *call, const char *text, size_t length) {
    text_print(call->pattern, "$%zu:", length);
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\x01') /* no wild card */
            kv_model_text_append(call->pattern, text + i, 1);
        kv_model_text_append(call->pattern, text + i, 1);
    }
    say(call, "\n");
}

static void say_word(struct session_call *call, const char *text) {
    say_bulk(call, text, strlen(text));
}

static void say_arity(struct session_call *call, const char *name) {
    text_print(call->pattern, "-ERR wrong number of arguments for '%s' command\n", name);
}

void session_init(struct session *session) {
    *session = (struct session){.resp_version = 2};
}

static void session_ping(struct session_call *call) {
    if (call->count > 2)
        say_arity(call, "ping");
    else if (call->count == 2)
        say_bulk(call, call->words[1].data, call->words[1].length);
    else
        say(call, "+PONG\n");
}

static void session_echo(struct session_call *call) {
    if (call->count != 2)
        say_arity(call, "echo");
    else
        say_bulk(call, call->words[1].data, call->words[1].length);
}

static void session_select(struct session_call *call) {
    int64_t number;
    if (call->count != 2)
        say_arity(call, "select");
    else if (decimal_parse_i64(call->words[1].data, call->words[1].length, &number) != 0)
        say(call, "-ERR value is not an integer or out of range\n");
    else
        say(call, number == 0 ? "+OK\n" : "-ERR DB index is out of range\n");
}

static const char wrong_password[] =
    "-WRONGPASS invalid username-password pair or user is disabled.\n";

static void session_auth(struct session_call *call) {
    if (call->count == 1)
        say_arity(call, "auth");
    else if (call->count == 2)
        say(call, "-ERR AUTH <password> called without any password configured for the default "
                  "user. Are you sure your configuration is correct?\n");
    else if (call->count > 3)
        say(call, "-ERR syntax error\n");
    else
        say(call, word_is(&call->words[1], "default") ? "+OK\n" : wrong_password);
}

static bool name_is_plain(const struct kv_model_word *word) {
    for (size_t i = 0; i < word->length; i++)
        if (word->data[i] <= ' ' || word->data[i] > '~')
            return false;
    return true;
}

/* False with the error said if the name cannot be. */
static bool session_name(struct session_call *call, const struct kv_model_word *name) {
    if (!name_is_plain(name)) {
        say(call, "-ERR Client names cannot contain spaces, newlines or special characters.\n");
        return false;
    }
    memset(call->session->name, 0, sizeof(call->session->name));
    memcpy(call->session->name, name->data, name->length);
    return true;
}

static bool hello_options(struct session_call *call) {
    for (size_t i = 2; i < call->count; i++) {
        if (word_is(&call->words[i], "auth") && i + 2 < call->count) {
            if (!word_is(&call->words[i + 1], "default")) {
                say(call, wrong_password);
                return false;
            }
            i += 2;
        } else if (word_is(&call->words[i], "setname") && i + 1 < call->count) {
            if (!session_name(call, &call->words[++i]))
                return false;
        } else {
            say(call, "-ERR Syntax error in HELLO option '");
            kv_model_text_append(call->pattern, call->words[i].data, call->words[i].length);
            say(call, "'\n");
            return false;
        }
    }
    return true;
}

static void session_hello(struct session_call *call) {
    uint32_t version = call->session->resp_version;
    if (call->count > 1) {
        const struct kv_model_word *word = &call->words[1];
        version = word->length == 1 ? (uint32_t)(word->data[0] - '0') : 0;
        if (version > 9) {
            say(call, "-ERR Protocol version is not an integer or out of range\n");
            return;
        }
        if (version != 2 && version != 3) {
            say(call, "-NOPROTO unsupported protocol version\n");
            return;
        }
    }
    if (!hello_options(call))
        return;
    call->session->resp_version = version;
    say(call, version == 3 ? "%7\n" : "*14\n");
    say_word(call, "server");
    say(call, ANY_BULK);
    say_word(call, "version");
    say(call, ANY_BULK);
    say_word(call, "proto");
    text_print(call->pattern, ":%u\n", version);
    say_word(call, "id");
    say(call, ANY_INTEGER);
    say_word(call, "mode");
    say_word(call, "standalone");
    say_word(call, "role");
    say_word(call, "master");
    say_word(call, "modules");
    say(call, "*0\n");
}

static void session_reset(struct session_call *call) {
    if (call->count != 1) {
        say_arity(call, "reset");
        return;
    }
    session_init(call->session);
    say(call, "+RESET\n");
}

static void client_setinfo(struct session_call *call) {
    const struct kv_model_word *option = &call->words[2];
    if (!word_is(option, "lib-name") && !word_is(option, "lib-ver")) {
        say(call, "-ERR Unrecognized option '");
        kv_model_text_append(call->pattern, option->data, option->length);
        say(call, "'\n");
    } else if (!name_is_plain(&call->words[3])) {
        say(call, "-ERR ");
        kv_model_text_append(call->pattern, option->data, option->length);
        say(call, " cannot contain spaces, newlines or special characters.\n");
    } else {
        say(call, "+OK\n");
    }
}

static void session_client(struct session_call *call) {
    const struct kv_model_word *subcommand = &call->words[1];
    if (call->count < 2) {
        say_arity(call, "client");
    } else if (word_is(subcommand, "id") && call->count == 2) {
        say(call, ANY_INTEGER);
    } else if (word_is(subcommand, "getname") && call->count == 2) {
        if (call->session->name[0] != 0)
            say_word(call, call->session->name);
        else
            say(call, "_\n");
    } else if (word_is(subcommand, "setname") && call->count == 3) {
        if (session_name(call, &call->words[2]))
            say(call, "+OK\n");
    } else if (word_is(subcommand, "setinfo") && call->count == 4) {
        client_setinfo(call);
    } else if ((word_is(subcommand, "info") || word_is(subcommand, "list")) && call->count == 2) {
        say(call, call->session->resp_version == 3 ? "\x01=" : ANY_BULK);
    } else if (word_is(subcommand, "setname")) {
        say_arity(call, "client|setname");
    } else {
        say(call, "-ERR unknown subcommand '");
        kv_model_text_append(call->pattern, subcommand->data, subcommand->length);
        say(call, "'. Try CLIENT HELP.\n");
    }
}

static void session_command(struct session_call *call) {
    const bool count = call->count == 2 && word_is(&call->words[1], "count");
    say(call, count ? ANY_INTEGER : ANY);
}

static void session_config(struct session_call *call) {
    /* The generator asks only for what exists nowhere. */
    say(call, call->session->resp_version == 3 ? "%0\n" : "*0\n");
}

static void session_info(struct session_call *call) {
    say(call, call->session->resp_version == 3 ? "\x01=" : ANY_BULK);
}

static void session_time(struct session_call *call) {
    if (call->count != 1)
        say_arity(call, "time");
    else
        say(call, "*2\n" ANY_BULK ANY_BULK);
}

bool session_execute(struct session *session, const struct kv_model_word *words, size_t count,
                     struct kv_model_text *pattern) {
    static const struct {
        const char *name;
        void (*execute)(struct session_call *call);
    } commands[] = {
        {"ping", session_ping},     {"echo", session_echo},       {"select", session_select},
        {"auth", session_auth},     {"hello", session_hello},     {"reset", session_reset},
        {"client", session_client}, {"command", session_command}, {"config", session_config},
        {"info", session_info},     {"time", session_time},
    };
    struct session_call call = {session, words, count, pattern};
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (word_is(&words[0], commands[i].name)) {
            pattern->length = 0;
            commands[i].execute(&call);
            return true;
        }
    }
    return false;
}
