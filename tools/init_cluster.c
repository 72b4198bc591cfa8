/*
 * The files of a new cluster.  See tools/init_cluster.h.
 *
 * Happy path: the secret, then for each member its configuration and its unit; then what is to be
 * done with them.
 *
 * Failure modes: a file that cannot be made, or is there already.
 */

#include "tools/init_cluster.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "tools/secret_file.h"

enum {
    PASSWORD_BYTES = 24, /* of randomness: 48 digits */
    PLACE_TEXT_BYTES = CONFIG_HOST_BYTES_MAX + 16,
};

/* A new file of the output directory, for its owner only; NULL with a sentence. */
static FILE *file_create(const struct init_cluster *cluster, const char *name,
                         struct error_text *error) {
    char path[CONFIG_PATH_BYTES_MAX + 64];
    (void)snprintf(path, sizeof(path), "%s/%s", cluster->out, name);
    int descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
    FILE *file = descriptor < 0 ? NULL : fdopen(descriptor, "w");
    if (file == NULL) {
        error_text_set(error, "cannot make the file %s: %s; nothing that is there is overwritten",
                       path, strerror(errno));
    }
    return file;
}

/* Ends writing; whether all went well. */
static int file_end(FILE *file, const char *name, struct error_text *error) {
    bool failed = fflush(file) != 0 || ferror(file) != 0 || fsync(fileno(file)) != 0;
    failed |= fclose(file) != 0;
    if (failed) {
        error_text_set(error, "cannot write the file %s: %s", name, strerror(errno));
    }
    return failed ? WEIR_EIO : WEIR_OK;
}

static void peers_write(const struct init_cluster *cluster, FILE *file) {
    for (uint32_t i = 0; i < cluster->members->count; i++) {
        char place[PLACE_TEXT_BYTES];
        const struct config_member *member = &cluster->members->member[i];
        config_place_text(&member->peer, place);
        (void)fprintf(file, "%s%llu=%s", i == 0 ? "" : ",", (unsigned long long)member->node_id,
                      place);
    }
}

static int member_file_write(const struct init_cluster *cluster, const struct config_member *member,
                             const char *password, struct error_text *error) {
    char name[64];
    char place[PLACE_TEXT_BYTES];
    unsigned long long id = member->node_id;
    (void)snprintf(name, sizeof(name), "weir-%llu.conf", id);
    FILE *file = file_create(cluster, name, error);
    if (file == NULL) {
        return WEIR_EEXISTS;
    }
    config_place_text(&member->client, place);
    (void)fprintf(file,
                  "# Node %llu of the cluster %s.  Written by weir init.\n"
                  "cluster-name %s\n"
                  "id %llu\n"
                  "dir \"%s/weir-%llu\"\n\n"
                  "# Where clients connect, and where the members do, this one among them.\n"
                  "listen %s\n"
                  "peers ",
                  id, cluster->cluster, cluster->cluster, id, cluster->var, id, place);
    peers_write(cluster, file);
    (void)fprintf(file,
                  "\n\n# What the members know each other by: the same file on all of them.\n"
                  "secret-file \"%s/secret\"\n",
                  cluster->etc);
    (void)fprintf(
        file,
        "\n# For how many ms a leader is not heard before it is replaced: the same on all\n"
        "# members; more where messages take tens of milliseconds.\n"
        "# election-timeout %d\n",
        NODE_ELECTION_TIMEOUT_MS_DEFAULT);
    if (password[0] != '\0') {
        (void)fprintf(file, "\n# Of clients (AUTH).\nrequirepass %s\n", password);
    }
    return file_end(file, name, error);
}

/* The program that runs now; the one of an installation if that cannot be found out. */
static void program_path(char out[CONFIG_PATH_BYTES_MAX + 1]) {
    ssize_t length = readlink("/proc/self/exe", out, CONFIG_PATH_BYTES_MAX);
    if (length <= 0) {
        (void)snprintf(out, CONFIG_PATH_BYTES_MAX + 1, "/usr/local/bin/weir");
    } else {
        out[length] = '\0';
    }
}

/* A stop may take as long as the last writes do; what ends by itself with 1 is started again, five
 * times in ten seconds, and what is configured wrongly (2) is not. */
static int unit_write(const struct init_cluster *cluster, const struct config_member *member,
                      struct error_text *error) {
    char name[64];
    char program[CONFIG_PATH_BYTES_MAX + 1];
    unsigned long long id = member->node_id;
    program_path(program);
    (void)snprintf(name, sizeof(name), "weir-%llu.service", id);
    FILE *file = file_create(cluster, name, error);
    if (file == NULL) {
        return WEIR_EEXISTS;
    }
    (void)fprintf(file,
                  "# Node %llu of the cluster %s.  Written by weir init.\n"
                  "[Unit]\n"
                  "Description=weir, node %llu of the cluster %s\n"
                  "Wants=network-online.target\n"
                  "After=network-online.target\n\n"
                  "[Service]\n"
                  "User=weir\n"
                  "ExecStart=\"%s\" serve --config \"%s/weir-%llu.conf\"\n"
                  "Restart=on-failure\n"
                  "RestartSec=1\n"
                  "RestartPreventExitStatus=2\n"
                  "TimeoutStopSec=60\n"
                  "LimitNOFILE=65536\n"
                  "LimitMEMLOCK=infinity\n"
                  "NoNewPrivileges=yes\n"
                  "ProtectSystem=full\n"
                  "PrivateTmp=yes\n\n"
                  "[Install]\n"
                  "WantedBy=multi-user.target\n",
                  id, cluster->cluster, id, cluster->cluster, program, cluster->etc, id);
    return file_end(file, name, error);
}

/* ---- the password -------------------------------------------------------------------------- */

static bool needs_password(const struct config_members *members) {
    for (uint32_t i = 0; i < members->count; i++) {
        if (!config_host_is_loopback(members->member[i].client.host)) {
            return true;
        }
    }
    return false;
}

static void password_draw(char out[2 * PASSWORD_BYTES + 1]) {
    uint8_t bytes[PASSWORD_BYTES];
    ssize_t got = getrandom(bytes, sizeof(bytes), 0);
    ASSERT(got == (ssize_t)sizeof(bytes)); /* so few are never cut short */
    for (size_t i = 0; i < sizeof(bytes); i++) {
        (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    }
}

/* ---- what to do with them ------------------------------------------------------------------ */

static void next_steps_print(const struct init_cluster *cluster) {
    (void)printf("wrote to %s: secret", cluster->out);
    for (uint32_t i = 0; i < cluster->members->count; i++) {
        unsigned long long id = cluster->members->member[i].node_id;
        (void)printf(", weir-%llu.conf, weir-%llu.service", id, id);
    }
    (void)printf("\n\nOn the machine of each member N, as root, once:\n"
                 "  useradd --system weir\n"
                 "  install -d -o weir -m 0700 %s %s\n"
                 "  install -o weir -m 0600 secret weir-N.conf %s/\n"
                 "  install -m 0644 weir-N.service /etc/systemd/system/\n"
                 "  setpriv --reuid weir --regid weir --clear-groups weir init --config "
                 "%s/weir-N.conf\n"
                 "  systemctl enable --now weir-N\n"
                 "A new cluster serves when all members have met each other once; after that any\n"
                 "majority does.  The secret and the configurations are for nobody else.\n",
                 cluster->etc, cluster->var, cluster->etc, cluster->etc);
}

/* What the configuration file could not have inside its quotes. */
static int paths_judge(const struct init_cluster *cluster, struct error_text *error) {
    const char *const paths[] = {cluster->etc, cluster->var, cluster->out};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        if (paths[i][0] == '\0' || strpbrk(paths[i], "\"\\\n\r%") != NULL ||
            strlen(paths[i]) > CONFIG_PATH_BYTES_MAX - 64) {
            error_text_set(
                error,
                "the path \"%s\" has quotes, backslashes, ends of lines or %%, or is too "
                "long: choose another one",
                paths[i]);
            return WEIR_EINVAL;
        }
    }
    return WEIR_OK;
}

int init_cluster_write(const struct init_cluster *cluster, struct error_text *error) {
    char secret[CONFIG_PATH_BYTES_MAX + 64];
    char password[2 * PASSWORD_BYTES + 1] = "";
    ASSERT(cluster->members->count >= 2);
    int status = paths_judge(cluster, error);
    if (status != WEIR_OK) {
        return status;
    }
    if (mkdir(cluster->out, S_IRWXU) != 0 && errno != EEXIST) {
        error_text_set(error, "cannot make the directory %s: %s", cluster->out, strerror(errno));
        return WEIR_EIO;
    }
    (void)snprintf(secret, sizeof(secret), "%s/secret", cluster->out);
    status = secret_file_create(secret, error);
    if (needs_password(cluster->members)) {
        password_draw(password);
    }
    for (uint32_t i = 0; status == WEIR_OK && i < cluster->members->count; i++) {
        const struct config_member *member = &cluster->members->member[i];
        bool local = config_host_is_loopback(member->client.host);
        status = member_file_write(cluster, member, local ? "" : password, error);
        if (status == WEIR_OK) {
            status = unit_write(cluster, member, error);
        }
    }
    if (status == WEIR_OK) {
        next_steps_print(cluster);
    }
    return status;
}
