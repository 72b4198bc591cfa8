/*
 * weir status.  See tools/status.h.
 *
 * Happy path: options, one question, the answer as a table or as JSON.  A node of this machine that
 * serves nobody is not asked: it leaves its answer in a file (tools/status_file.h).
 *
 * Failure modes: usage; nobody answers, or not what was asked: a sentence.
 */

#include "tools/status.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "tools/status_ask.h"
#include "tools/status_file.h"

enum { EXIT_FAILED = 1, EXIT_USAGE = 2, VALUE_BYTES = 512, MEMBERS_MAX = 16 };

struct status_options {
    struct config config; /* where, and with which password */
    bool json;
};

static void print_usage(FILE *stream) {
    (void)fprintf(
        stream,
        "usage: weir status [--server HOST:PORT | --config FILE] [--json]\n\n"
        "Shows what a node says of itself, and how far the other members are.\n\n"
        "  --server H:P   where clients reach the node; 127.0.0.1:7379\n"
        "  --config FILE  the node's own configuration, for address and password\n"
        "  --json         one JSON object\n"
        "  --help         this text\n\n"
        "Exit status: 0 it serves clients and knows a leader, 1 not so, or no answer, 2 usage.\n"
        "A node that serves nobody shows itself on its own machine only.\n");
}

static int usage_error(const char *what, const char *value) {
    (void)fprintf(stderr, "weir status: %s \"%s\"; weir status --help shows what it takes\n", what,
                  value);
    return EXIT_USAGE;
}

/* Sets what an option says; 0 or EXIT_USAGE after saying why. */
static int option_set(struct status_options *options, const char *name, const char *value) {
    struct error_text error = {{0}};
    int status = strcmp(name, "--server") == 0
                     ? config_set(&options->config, "listen", value, "--server", &error)
                     : config_read(&options->config, value, &error);
    if (status == 0) {
        return 0;
    }
    (void)fprintf(stderr, "weir status: %s\n", error.text);
    return EXIT_USAGE;
}

/* The file first, then what overrides it.  0, or EXIT_USAGE after saying why. */
static int options_parse(int argc, char **argv, struct status_options *options) {
    config_default(&options->config);
    options->json = false;
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 1; i < argc; i++) {
            bool server = strcmp(argv[i], "--server") == 0;
            if (strcmp(argv[i], "--json") == 0) {
                options->json = true;
                continue;
            }
            if (!server && strcmp(argv[i], "--config") != 0) {
                return usage_error("do not know the option", argv[i]);
            }
            if (i + 1 == argc) {
                return usage_error("a value is missing after", argv[i]);
            }
            int status = server == (pass == 1) ? option_set(options, argv[i], argv[i + 1]) : 0;
            if (status != 0) {
                return status;
            }
            i++;
        }
    }
    return 0;
}

/* ---- the answer ---------------------------------------------------------------------------- */

/* The value of a line "key:value", "" if there is none. */
static const char *value_of(const char *text, const char *key, char out[VALUE_BYTES]) {
    size_t length = strlen(key);
    out[0] = '\0';
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, length) == 0 && line[length] == ':') {
            (void)snprintf(out, VALUE_BYTES, "%.*s", (int)strcspn(line + length + 1, "\r\n"),
                           line + length + 1);
            break;
        }
    }
    return out;
}

/* The value of "name=value" in a list with commas, "" if there is none. */
static const char *part_of(const char *list, const char *name, char out[VALUE_BYTES]) {
    size_t length = strlen(name);
    out[0] = '\0';
    for (const char *part = list; part != NULL; part = strchr(part, ',')) {
        part += *part == ',';
        if (strncmp(part, name, length) == 0 && part[length] == '=') {
            (void)snprintf(out, VALUE_BYTES, "%.*s", (int)strcspn(part + length + 1, ","),
                           part + length + 1);
            break;
        }
    }
    return out;
}

/* What is said of member `number`; false if there is no such one. */
static bool member_of(const char *text, uint32_t number, char out[VALUE_BYTES]) {
    char key[32];
    (void)snprintf(key, sizeof(key), "raft_peer_%u", number);
    return value_of(text, key, out)[0] != '\0';
}

static const char *or_dash(const char *value) {
    return value[0] == '\0' ? "-" : value;
}

/* ---- as a table ---------------------------------------------------------------------------- */

static void member_print(const char *member, const char *leader) {
    char id[VALUE_BYTES];
    char role[VALUE_BYTES];
    char state[VALUE_BYTES];
    char match[VALUE_BYTES];
    char lag[VALUE_BYTES];
    char contact[VALUE_BYTES];
    (void)part_of(member, "contact_ms", contact);
    bool never = strcmp(contact, "never") == 0;
    (void)part_of(member, "id", id);
    (void)printf("  %-6s %-8s %-10s %12s %10s   %s%s%s\n", id, part_of(member, "role", role),
                 or_dash(part_of(member, "state", state)), or_dash(part_of(member, "match", match)),
                 or_dash(part_of(member, "lag", lag)), contact, never ? "" : " ms ago",
                 strcmp(id, leader) == 0 ? "   leads" : "");
}

/* Nothing, if there were none: only who has led has sent some. */
static void heartbeats_print(const char *what, const char *list) {
    char count[VALUE_BYTES];
    char most[VALUE_BYTES];
    char longest[VALUE_BYTES];
    (void)part_of(list, "count", count);
    if (count[0] == '\0' || strcmp(count, "0") == 0) {
        return;
    }
    (void)printf("heartbeats %s: %s, 99 %% of them at most %s us late, the latest %s us\n", what,
                 count, part_of(list, "late_p99_us", most), part_of(list, "late_max_us", longest));
}

static void table_print(const char *text, bool serves) {
    char value[8][VALUE_BYTES];
    char member[VALUE_BYTES];
    const char *leader = value_of(text, "raft_leader", value[0]);
    (void)printf("node %s of the cluster %s: %s, term %s, ", value_of(text, "node_id", value[1]),
                 value_of(text, "cluster_name", value[2]), value_of(text, "raft_role", value[3]),
                 value_of(text, "raft_term", value[4]));
    if (strcmp(leader, "0") == 0) {
        (void)printf("no leader is known\n");
    } else {
        (void)printf("led by node %s\n", leader);
    }
    if (!serves) {
        (void)printf("it serves nobody: it has yet to learn from a majority what is committed; its "
                     "log says more\n");
    }
    (void)printf("log: last %s, durable %s, committed %s, applied %s\n",
                 value_of(text, "raft_last_index", value[1]),
                 value_of(text, "raft_durable_index", value[2]),
                 value_of(text, "raft_commit_index", value[3]),
                 value_of(text, "raft_applied_index", value[4]));
    (void)printf("connections: %s from members, %s to members; refused %s, of them without the "
                 "secret %s\n",
                 value_of(text, "peers_in_open", value[1]),
                 value_of(text, "peers_out_open", value[2]),
                 value_of(text, "peers_in_refused", value[3]),
                 value_of(text, "peers_in_unauthenticated", value[4]));
    if (!member_of(text, 0, member)) {
        return;
    }
    (void)printf("election time-out: %s ms\n",
                 value_of(text, "raft_election_timeout_ms", value[1]));
    heartbeats_print("sent", value_of(text, "raft_heartbeats_sent", value[1]));
    heartbeats_print("heard", value_of(text, "raft_heartbeats_heard", value[2]));
    (void)printf("\n  %-6s %-8s %-10s %12s %10s   %s\n", "member", "role", "state", "match", "lag",
                 "last heard");
    for (uint32_t i = 0; i < MEMBERS_MAX && member_of(text, i, member); i++) {
        member_print(member, leader);
    }
}

/* ---- as JSON ------------------------------------------------------------------------------- */

/* There are no quotes in what INFO says here: a cluster's name takes none. */
static void json_text(const char *name, const char *value, const char *before) {
    (void)printf("%s\"%s\":\"%s\"", before, name, value);
}

/* A number as it is; other text as a string. */
static void json_value(const char *name, const char *value, const char *before) {
    bool number = value[0] != '\0' && value[strspn(value, "0123456789")] == '\0';
    if (number) {
        (void)printf("%s\"%s\":%s", before, name, value);
    } else {
        json_text(name, value, before);
    }
}

static void json_member(const char *member, const char *before) {
    static const char *const names[] = {"id", "role", "state", "match", "lag", "contact_ms"};
    char value[VALUE_BYTES];
    (void)printf("%s{", before);
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (part_of(member, names[i], value)[0] != '\0' && strcmp(value, "never") != 0) {
            json_value(names[i], value, i == 0 ? "" : ",");
        }
    }
    (void)printf("}");
}

static void json_heartbeats(const char *name, const char *list) {
    static const char *const names[] = {"count", "late_p99_us", "late_max_us"};
    char value[VALUE_BYTES];
    (void)printf(",\"%s\":{", name);
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        json_value(names[i], part_of(list, names[i], value), i == 0 ? "" : ",");
    }
    (void)printf("}");
}

static void json_print(const char *text, bool serves) {
    static const char *const keys[][2] = {
        {"node_id", "node"},
        {"raft_role", "role"},
        {"raft_term", "term"},
        {"raft_leader", "leader"},
        {"raft_last_index", "last_index"},
        {"raft_durable_index", "durable_index"},
        {"raft_commit_index", "commit_index"},
        {"raft_applied_index", "applied_index"},
        {"raft_election_timeout_ms", "election_timeout_ms"},
        {"peers_in_open", "connections_in"},
        {"peers_out_open", "connections_out"},
        {"peers_in_refused", "refused"},
        {"peers_in_unauthenticated", "unauthenticated"},
    };
    char value[VALUE_BYTES];
    char member[VALUE_BYTES];
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
        json_value(keys[i][1], value_of(text, keys[i][0], value), i == 0 ? "{" : ",");
    }
    json_text("cluster", value_of(text, "cluster_name", value), ","); /* also one of digits */
    json_heartbeats("heartbeats_sent", value_of(text, "raft_heartbeats_sent", value));
    json_heartbeats("heartbeats_heard", value_of(text, "raft_heartbeats_heard", value));
    (void)printf(",\"serves\":%s,\"members\":[", serves ? "true" : "false");
    for (uint32_t i = 0; i < MEMBERS_MAX && member_of(text, i, member); i++) {
        json_member(member, i == 0 ? "" : ",");
    }
    (void)printf("]}\n");
}

int status_main(int argc, char **argv) {
    static struct status_options options; /* too large for a stack */
    static char text[STATUS_TEXT_BYTES];
    struct error_text error = {{0}};
    char leader[VALUE_BYTES];
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        print_usage(stdout);
        return 0;
    }
    const int usage = options_parse(argc, argv, &options);
    if (usage != 0) {
        return usage;
    }
    struct config_place place = {.port = options.config.port};
    (void)snprintf(place.host, sizeof(place.host), "%s", options.config.host);
    bool serves = !status_file_find(&place, text);
    if (serves && status_ask(&place, options.config.password, text, &error) != 0) {
        (void)fprintf(stderr, "weir status: %s\n", error.text);
        return EXIT_FAILED;
    }
    (options.json ? json_print : table_print)(text, serves);
    bool led = strcmp(value_of(text, "raft_leader", leader), "0") != 0;
    return serves && led ? 0 : EXIT_FAILED;
}
