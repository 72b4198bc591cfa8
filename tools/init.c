/*
 * weir init.  See tools/init.h.
 *
 * Happy path: parse; then either open (creating) and lock a data directory, identity_create, say
 * what was made; or write the files of a whole cluster.
 *
 * Failure modes: a wrong option or member list (usage), anything identity_create or
 * init_cluster_write refuses.
 */

#include "tools/init.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/decimal.h"
#include "io/io.h"
#include "storage/identity.h"
#include "tools/config.h"
#include "tools/init_cluster.h"

enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* What was given; NULL: not given. */
struct init_options {
    const char *data;
    const char *cluster;
    const char *id;
    const char *members;
    const char *config;
    const char *out;
    const char *etc;
    const char *var;
};

/* What is made of it. */
struct init {
    struct init_options given;
    struct config config; /* of --config, or what was given instead */
};

static void print_usage(FILE *stream) {
    (void)fprintf(
        stream,
        "usage: weir init --cluster NAME --members LIST --out DIR [--etc DIR] [--var DIR]\n"
        "       weir init --config FILE\n"
        "       weir init --data DIR --cluster NAME --id N --members LIST\n\n"
        "The first writes the files of a new cluster: for each member a configuration and a\n"
        "systemd unit, and a secret, which all have in common.  The others make the data\n"
        "directory of one member: once, on its machine, before it is started first.\n\n"
        "  --cluster NAME  the same on every member; 1 to 64 printable characters,\n"
        "                  no spaces and none of \" \\ %% # '\n"
        "  --members LIST  all members and where they reach each other, such as\n"
        "                  1=10.0.0.1:7380,2=10.0.0.2:7380,3=10.0.0.3:7380; with --out also where\n"
        "                  clients reach each: 1=10.0.0.1:7380/10.0.0.1:7379,... (if that is not\n"
        "                  named: the same host, port %d)\n"
        "  --out DIR       where the files are put; nothing that is there is overwritten\n"
        "  --etc DIR       where configuration and secret will be; /etc/weir\n"
        "  --var DIR       above the data directories, weir-N; /var/lib/weir\n"
        "  --config FILE   a member's configuration, with dir, id, peers and cluster-name\n"
        "  --data DIR      created if it is not there; must hold nothing of weir's\n"
        "  --id N          this node's number, one of the members'\n"
        "  --help          this text\n",
        INIT_CLIENT_PORT_DEFAULT);
}

static int usage_error(const char *what, const char *value) {
    (void)fprintf(stderr, "weir init: %s \"%s\"; weir init --help shows what it takes\n", what,
                  value);
    return EXIT_USAGE;
}

/* ---- options ------------------------------------------------------------------------------ */

/* Where an option's value goes; NULL: there is no such option. */
static const char **option_place(struct init_options *options, const char *name) {
    const struct {
        const char *name;
        const char **place;
    } places[] = {
        {"--cluster", &options->cluster}, {"--config", &options->config},
        {"--data", &options->data},       {"--etc", &options->etc},
        {"--id", &options->id},           {"--members", &options->members},
        {"--out", &options->out},         {"--var", &options->var},
    };
    for (size_t i = 0; i < ARRAY_COUNT(places); i++) {
        if (strcmp(places[i].name, name) == 0)
            return places[i].place;
    }
    return NULL;
}

/* 0, or EXIT_USAGE after saying why. */
static int options_read(int argc, char **argv, struct init_options *options) {
    *options = (struct init_options){0};
    for (int i = 1; i < argc; i += 2) {
        if (strncmp(argv[i], "--", 2) != 0)
            return usage_error("do not know what to do with", argv[i]);
        const char **place = option_place(options, argv[i]);
        if (i + 1 >= argc)
            return usage_error("a value is missing after", argv[i]);
        if (place == NULL)
            return usage_error("do not know the option", argv[i]);
        *place = argv[i + 1];
    }
    return 0;
}

/* The names of options that do not go together, or are missing; NULL: all is well. */
static const char *one_of_both(const struct init_options *given) {
    if (given->config != NULL)
        return given->data != NULL || given->cluster != NULL || given->id != NULL ||
                       given->members != NULL || given->out != NULL
                   ? "--config"
                   : NULL;
    return given->out != NULL && (given->data != NULL || given->id != NULL) ? "--out" : NULL;
}

static int options_missing(const struct init_options *given) {
    if (given->out == NULL && given->data == NULL)
        return usage_error("the option is missing:", "--data");
    if (given->cluster == NULL)
        return usage_error("the option is missing:", "--cluster");
    if (given->out == NULL && given->id == NULL)
        return usage_error("the option is missing:", "--id");
    return given->members == NULL ? usage_error("the option is missing:", "--members") : 0;
}

/* The keys of a configuration that the command line names instead. */
static int line_configured(struct init *init) {
    const struct init_options *given = &init->given;
    struct error_text error = {{0}};
    const int missing = options_missing(given);
    if (missing != 0)
        return missing;
    if (given->id != NULL && config_set(&init->config, "id", given->id, "--id", &error) != 0)
        return usage_error("--id takes a positive number, not", given->id);
    if (config_set(&init->config, "cluster-name", given->cluster, "--cluster", &error) != 0)
        return usage_error("--cluster takes 1 to 64 printable characters, none of \" \\ % # ', not",
                           given->cluster);
    if (!config_members_parse(&init->config.peers, given->members, true))
        return usage_error("--members takes up to 16 different N=HOST:PORT, not", given->members);
    if (given->data != NULL && config_set(&init->config, "dir", given->data, "--data", &error) != 0)
        return usage_error("--data takes a path, not", given->data);
    return 0;
}

/* Those of the file. */
static int file_configured(struct init *init) {
    struct error_text error = {{0}};
    int status = config_read(&init->config, init->given.config, &error);
    if (status == 0)
        status = config_cluster_check(&init->config, &error);
    if (status == 0 && (init->config.peers.count == 0 || init->config.cluster_name[0] == '\0')) {
        error_text_set(
            &error,
            "%s names no %s, so it is no member's: a node alone makes its data directory "
            "itself, and weir init --out writes the configurations of members",
            init->given.config, init->config.peers.count == 0 ? "peers" : "cluster-name");
        status = WEIR_EINVAL;
    }
    if (status == 0)
        return 0;
    (void)fprintf(stderr, "weir init: %s\n", error.text);
    return EXIT_USAGE;
}

/* 0, or EXIT_USAGE after saying why. */
static int options_parse(int argc, char **argv, struct init *init) {
    config_default(&init->config);
    const int status = options_read(argc, argv, &init->given);
    if (status != 0)
        return status;
    const char *alone = one_of_both(&init->given);
    if (alone != NULL)
        return usage_error("the other options do not go together with", alone);
    if ((init->given.etc != NULL || init->given.var != NULL) && init->given.out == NULL)
        return usage_error("the option is missing:", "--out");
    return init->given.config != NULL ? file_configured(init) : line_configured(init);
}

/* Puts a member in its place by number. */
static void member_add(struct configuration *members, uint64_t node_id) {
    uint32_t at = members->member_count;
    while (at > 0 && members->members[at - 1].node_id > node_id) {
        members->members[at] = members->members[at - 1];
        at--;
    }
    members->members[at] = (struct configuration_member){
        .node_id = node_id, .incarnation = 0, .roles = CONFIGURATION_VOTER};
    members->member_count++;
}

static struct configuration members_of(const struct config *config) {
    struct configuration members = {.member_count = 0};
    for (uint32_t i = 0; i < config->peers.count; i++)
        member_add(&members, config->peers.member[i].node_id);
    return members;
}

/* ---- creating ----------------------------------------------------------------------------- */

static void print_created(const struct config *config, const struct identity *identity) {
    (void)printf("created %s: node %llu of cluster \"%s\"\n", config->data_directory,
                 (unsigned long long)identity->node_id, identity->cluster_name);
    (void)printf("  cluster id   %016llx\n  incarnation  %016llx\n  members     ",
                 (unsigned long long)identity->cluster_id,
                 (unsigned long long)identity->incarnation);
    for (uint32_t i = 0; i < identity->members.member_count; i++)
        (void)printf(" %llu", (unsigned long long)identity->members.members[i].node_id);
    (void)printf("\n");
}

static int directory_create(struct io *io, const struct config *config) {
    const struct configuration members = members_of(config);
    const char *path = config->data_directory;
    struct error_text error = {{0}};
    struct identity identity;
    int32_t directory;
    int result = io_directory_open(io, path, true, &directory, &error);
    if (result == 0) {
        result = io_directory_lock(io, directory, &error);
        if (result == 0)
            result = identity_create(io, directory, config->cluster_name, config->node_id, &members,
                                     &identity, &error);
        io_close(io, directory);
    }
    if (result != 0) {
        (void)fprintf(stderr, "weir init: %s: %s\n", path,
                      error.text[0] != '\0' ? error.text : error_name(result));
        return result == WEIR_EINVAL ? EXIT_USAGE : EXIT_FAILED;
    }
    print_created(config, &identity);
    return 0;
}

static int directory_make(const struct config *config) {
    const struct io_options io_options = {
        .submissions_max = 64, .completions_max = 128, .features_allowed = IO_FEATURES_ALL};
    struct error_text error = {{0}};
    struct io *io;
    if (io_create(&io, &io_options, &error) != 0) {
        (void)fprintf(stderr, "weir init: %s\n", error.text);
        return EXIT_FAILED;
    }
    const int status = directory_create(io, config);
    io_destroy(io);
    return status;
}

/* Whether clients' port of member `index` is one of the others', or of the members' own. */
static bool client_place_is_taken(const struct config_members *members, uint32_t index) {
    const struct config_place *place = &members->member[index].client;
    for (uint32_t i = 0; i < members->count; i++) {
        if (config_places_are_equal(place, &members->member[i].peer) ||
            (i < index && config_places_are_equal(place, &members->member[i].client)))
            return true;
    }
    return false;
}

/* The files of all members, none of whose directories is made here. */
static int files_write(struct init *init) {
    struct config_members *members = &init->config.peers;
    struct error_text error = {{0}};
    if (members->count < 2)
        return usage_error("--members of a cluster are two or more, not", init->given.members);
    for (uint32_t i = 0; i < members->count; i++) {
        struct config_member *member = &members->member[i];
        if (member->client.host[0] == '\0') {
            member->client = member->peer;
            member->client.port = INIT_CLIENT_PORT_DEFAULT;
        }
        if (client_place_is_taken(members, i))
            return usage_error(
                "two ports of --members are the same one; name those of clients, too, "
                "as N=HOST:PORT/HOST:PORT, in",
                init->given.members);
    }
    const struct init_cluster cluster = {
        .cluster = init->config.cluster_name,
        .members = members,
        .out = init->given.out,
        .etc = init->given.etc == NULL ? "/etc/weir" : init->given.etc,
        .var = init->given.var == NULL ? "/var/lib/weir" : init->given.var};
    if (init_cluster_write(&cluster, &error) == 0)
        return 0;
    (void)fprintf(stderr, "weir init: %s\n", error.text);
    return EXIT_FAILED;
}

int init_main(int argc, char **argv) {
    static struct init init; /* too large for a stack */
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        print_usage(stdout);
        return 0;
    }
    const int usage = options_parse(argc, argv, &init);
    if (usage != 0)
        return usage;
    return init.given.out != NULL ? files_write(&init) : directory_make(&init.config);
}
