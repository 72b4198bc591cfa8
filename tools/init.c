/*
 * weir init.  See tools/init.h.
 *
 * Happy path: parse, open (creating) and lock the directory, identity_create, say what was made.
 *
 * Failure modes: a wrong option or member list (usage), anything identity_create refuses.
 */

#include "tools/init.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/decimal.h"
#include "io/io.h"
#include "storage/identity.h"

enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct init_options {
    const char *data;
    const char *cluster;
    uint64_t node_id;
    struct configuration members;
};

static void print_usage(FILE *stream) {
    (void)fprintf(stream,
                  "usage: weir init --data DIR --cluster NAME --id N --members LIST\n\n"
                  "Creates the data directory of one node of a cluster.\n\n"
                  "  --data DIR      created if it is not there; must hold nothing of weir's\n"
                  "  --cluster NAME  the same on every member; 1 to 64 printable characters\n"
                  "  --id N          this node's number, one of the members'\n"
                  "  --members LIST  all members, e.g. 1=10.0.0.1:7380,2=10.0.0.2:7380\n"
                  "                  (their numbers are kept; addresses are given to serve)\n"
                  "  --help          this text\n");
}

static int usage_error(const char *what, const char *value) {
    (void)fprintf(stderr, "weir init: %s \"%s\"; weir init --help shows what it takes\n", what,
                  value);
    return EXIT_USAGE;
}

/* ---- options ------------------------------------------------------------------------------ */

/* Puts a member in its place by number; false if the number is there already or none fits. */
static bool member_add(struct configuration *members, uint64_t node_id) {
    if (members->member_count == CONFIGURATION_MEMBERS_MAX || node_id == 0)
        return false;
    uint32_t at = members->member_count;
    while (at > 0 && members->members[at - 1].node_id > node_id) {
        members->members[at] = members->members[at - 1];
        at--;
    }
    if (at > 0 && members->members[at - 1].node_id == node_id)
        return false;
    members->members[at] = (struct configuration_member){
        .node_id = node_id, .incarnation = 0, .roles = CONFIGURATION_VOTER};
    members->member_count++;
    return true;
}

/* "1=host:port,2=host:port": numbers strict decimals, addresses not empty. */
static bool members_parse(const char *text, struct configuration *members) {
    *members = (struct configuration){.member_count = 0};
    for (const char *item = text;;) {
        const size_t item_length = strcspn(item, ",");
        const char *equals = memchr(item, '=', item_length);
        if (equals == NULL)
            return false;
        const size_t address_length = item_length - (size_t)(equals - item) - 1;
        const char *colon = memchr(equals + 1, ':', address_length);
        uint64_t node_id;
        if (colon == NULL || colon == equals + 1 || colon + 1 == equals + 1 + address_length)
            return false;
        if (decimal_parse_u64(item, (size_t)(equals - item), &node_id) != 0 ||
            !member_add(members, node_id))
            return false;
        item += item_length;
        if (*item == '\0')
            return true;
        item++;
    }
}

/* 0, or EXIT_USAGE after saying why. */
static int options_parse(int argc, char **argv, struct init_options *options) {
    bool has_id = false;
    *options = (struct init_options){0};
    for (int i = 1; i < argc; i += 2) {
        const char *name = argv[i];
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strncmp(name, "--", 2) != 0)
            return usage_error("do not know what to do with", name);
        if (value == NULL)
            return usage_error("a value is missing after", name);
        if (strcmp(name, "--data") == 0) {
            options->data = value;
        } else if (strcmp(name, "--cluster") == 0) {
            options->cluster = value;
        } else if (strcmp(name, "--id") == 0) {
            has_id = decimal_parse_u64(value, strlen(value), &options->node_id) == 0 &&
                     options->node_id > 0;
            if (!has_id)
                return usage_error("--id takes a positive number, not", value);
        } else if (strcmp(name, "--members") == 0) {
            if (!members_parse(value, &options->members))
                return usage_error("--members takes up to 16 different N=HOST:PORT, not", value);
        } else {
            return usage_error("do not know the option", name);
        }
    }
    if (options->data == NULL)
        return usage_error("the option is missing:", "--data");
    if (options->cluster == NULL)
        return usage_error("the option is missing:", "--cluster");
    if (!has_id)
        return usage_error("the option is missing:", "--id");
    if (options->members.member_count == 0)
        return usage_error("the option is missing:", "--members");
    return 0;
}

/* ---- creating ----------------------------------------------------------------------------- */

static void print_created(const struct init_options *options, const struct identity *identity) {
    (void)printf("created %s: node %llu of cluster \"%s\"\n", options->data,
                 (unsigned long long)identity->node_id, identity->cluster_name);
    (void)printf("  cluster id   %016llx\n  incarnation  %016llx\n  members     ",
                 (unsigned long long)identity->cluster_id,
                 (unsigned long long)identity->incarnation);
    for (uint32_t i = 0; i < identity->members.member_count; i++)
        (void)printf(" %llu", (unsigned long long)identity->members.members[i].node_id);
    (void)printf("\n");
    if (identity->members.member_count > 1)
        (void)printf("note: this version of `weir serve` runs clusters of one member only\n");
}

static int directory_create(struct io *io, const struct init_options *options) {
    struct error_text error = {{0}};
    struct identity identity;
    int32_t directory;
    int result = io_directory_open(io, options->data, true, &directory, &error);
    if (result == 0) {
        result = io_directory_lock(io, directory, &error);
        if (result == 0)
            result = identity_create(io, directory, options->cluster, options->node_id,
                                     &options->members, &identity, &error);
        io_close(io, directory);
    }
    if (result != 0) {
        (void)fprintf(stderr, "weir init: %s: %s\n", options->data,
                      error.text[0] != '\0' ? error.text : error_name(result));
        return result == WEIR_EINVAL ? EXIT_USAGE : EXIT_FAILED;
    }
    print_created(options, &identity);
    return 0;
}

int init_main(int argc, char **argv) {
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        print_usage(stdout);
        return 0;
    }
    struct init_options options;
    const int usage = options_parse(argc, argv, &options);
    if (usage != 0)
        return usage;
    const struct io_options io_options = {
        .submissions_max = 64, .completions_max = 128, .features_allowed = IO_FEATURES_ALL};
    struct error_text error = {{0}};
    struct io *io;
    if (io_create(&io, &io_options, &error) != 0) {
        (void)fprintf(stderr, "weir init: %s\n", error.text);
        return EXIT_FAILED;
    }
    const int status = directory_create(io, &options);
    io_destroy(io);
    return status;
}
