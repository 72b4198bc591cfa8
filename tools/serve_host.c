/*
 * The checks of the host.
 */

#include "tools/serve_host.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/decimal.h"

enum {
    KERNEL_MAJOR_MIN = 6,
    KERNEL_MINOR_MIN = 1,
    /* Descriptors that are no clients: standard ones, the log's segments, snapshots, the rings of
       up to 16 cores, and as many again. */
    DESCRIPTORS_RESERVED = 128,
    LISTEN_AGAIN_NS = 10 * 1000 * 1000,
};

/* The kernel closes the sockets of an io_uring some time after the process has ended: a node that
 * was killed and starts again at once finds its own ports in use. */
#define LISTEN_PATIENCE_NS UINT64_C(2000000000)

/* "6.18.44-generic": the two numbers at the front; anything may follow them. */
static bool release_parse(const char *release, unsigned *major, unsigned *minor) {
    size_t first = strspn(release, "0123456789");
    if (release[first] != '.') {
        return false;
    }
    const char *second = release + first + 1;
    int64_t numbers[2];
    if (decimal_parse_i64(release, first, &numbers[0]) != WEIR_OK ||
        decimal_parse_i64(second, strspn(second, "0123456789"), &numbers[1]) != WEIR_OK ||
        numbers[0] > UINT16_MAX || numbers[1] > UINT16_MAX) {
        return false;
    }
    *major = (unsigned)numbers[0];
    *minor = (unsigned)numbers[1];
    return true;
}

int serve_host_kernel_release(const char *release, struct error_text *error) {
    unsigned major = 0;
    unsigned minor = 0;
    if (!release_parse(release, &major, &minor) || major < KERNEL_MAJOR_MIN ||
        (major == KERNEL_MAJOR_MIN && minor < KERNEL_MINOR_MIN)) {
        error_text_set(error,
                       "this kernel is Linux %s; weir needs %d.%d or newer, for io_uring with "
                       "multishot receive: run it on Debian 12 or anything as new",
                       release, KERNEL_MAJOR_MIN, KERNEL_MINOR_MIN);
        return WEIR_EUNSUPPORTED;
    }
    return 0;
}

int serve_host_kernel(struct error_text *error) {
    struct utsname name;
    if (uname(&name) != 0) {
        error_text_set(error, "cannot ask for the kernel's version: %s", strerror(errno));
        return WEIR_EUNSUPPORTED;
    }
    return serve_host_kernel_release(name.release, error);
}

uint32_t serve_host_clients(uint64_t descriptors_max) {
    uint64_t clients =
        descriptors_max > DESCRIPTORS_RESERVED ? descriptors_max - DESCRIPTORS_RESERVED : 0;
    return clients > UINT32_MAX ? UINT32_MAX : (uint32_t)clients;
}

int serve_host_descriptors(struct config *config, struct error_text *error) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        error_text_set(error, "cannot ask for the limit of open files: %s", strerror(errno));
        return WEIR_ELIMIT;
    }
    rlim_t wanted = (rlim_t)config->connections_max + DESCRIPTORS_RESERVED;
    if (limit.rlim_cur < wanted) {
        limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
            error_text_set(error, "cannot raise the limit of open files to %llu: %s",
                           (unsigned long long)limit.rlim_cur, strerror(errno));
            return WEIR_ELIMIT;
        }
    }
    uint32_t clients = serve_host_clients(limit.rlim_cur);
    if (clients >= config->connections_max) {
        return 0;
    }
    if (config->connections_max_given || clients == 0) {
        error_text_set(error,
                       "maxclients %u needs %llu open files, the limit is %llu: raise it (ulimit "
                       "-n, or LimitNOFILE= of the service) or configure a smaller maxclients",
                       config->connections_max, (unsigned long long)wanted,
                       (unsigned long long)limit.rlim_max);
        return WEIR_ELIMIT;
    }
    log_warn("maxclients_lowered", "from=%u to=%u open_files_max=%llu", config->connections_max,
             clients, (unsigned long long)limit.rlim_max);
    config->connections_max = clients;
    return 0;
}

void serve_host_locked_memory(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        /* If it stays as it is, io_create says whether that is enough. */
        (void)setrlimit(RLIMIT_MEMLOCK, &limit);
    }
}

int serve_host_exposure(const struct config *config, struct error_text *error) {
    if (config->password[0] != '\0' || config_host_is_loopback(config->host)) {
        return 0;
    }
    error_text_set(error,
                   "%s %s, and there is no password: put requirepass into the configuration file "
                   "(--config), or listen on 127.0.0.1",
                   config->host,
                   config_host_is_name(config->host)
                       ? "is a name that may stand for an address which other machines can reach"
                       : "is an address that other machines can reach");
    return WEIR_EDENIED;
}

/* Listens and lets it be; as long as the address is in use, until `until_ns`. */
static int listen_try(struct io *io, const char *address, uint64_t until_ns,
                      struct error_text *error) {
    static const struct timespec pause = {.tv_nsec = LISTEN_AGAIN_NS};
    int32_t listener = -1;
    int status = io_listen(io, address, 1, &listener, error);
    while (status == WEIR_EADDRINUSE && clock_monotonic_ns() < until_ns) {
        (void)nanosleep(&pause, NULL);
        status = io_listen(io, address, 1, &listener, error);
    }
    if (status == WEIR_OK) {
        io_close(io, listener);
    }
    return status;
}

int serve_host_address(struct io *io, const struct config *config, struct error_text *error) {
    char address[CONFIG_HOST_BYTES_MAX + 16];
    uint64_t until_ns = clock_monotonic_ns() + LISTEN_PATIENCE_NS;
    config_address(config, address);
    int status = listen_try(io, address, until_ns, error);
    if (status == WEIR_OK && config->peers.count > 0) {
        config_place_text(config_peer_place(config), address);
        status = listen_try(io, address, until_ns, error);
    }
    return status;
}
