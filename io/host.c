/*
 * The parts of the door that are one plain system call each: time, entropy, addresses,
 * directories.  Those that block are for start-up and tools, as io.h says of each.
 *
 * Failure modes are answers of the host to an operator (an address in use, a directory that is a
 * file, a lock that another process holds); each becomes a code and a sentence that names it.
 */

#include "io/uring.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "io/address.h"

/* ---- time and entropy -------------------------------------------------------------------- */

uint64_t io_monotonic_ns(struct io *io) {
    (void)io;
    return clock_monotonic_ns();
}

uint64_t io_wall_ms(struct io *io) {
    (void)io;
    return clock_wall_ms();
}

void io_entropy(struct io *io, void *memory, size_t length_bytes) {
    (void)io;
    uint8_t *at = memory;
    while (length_bytes > 0) {
        ssize_t got = getrandom(at, length_bytes, 0);
        ASSERT(got > 0 || (got < 0 && errno == EINTR));
        if (got > 0) {
            at += got;
            length_bytes -= (size_t)got;
        }
    }
}

/* ---- listening --------------------------------------------------------------------------- */

static int listen_refused(const char *address, int number, struct error_text *error) {
    switch (number) {
    case EADDRINUSE:
        error_text_set(error,
                       "%s is in use: another server listens there; stop it or choose another port",
                       address);
        return WEIR_EADDRINUSE;
    case EADDRNOTAVAIL:
        error_text_set(error, "%s is not an address of this host", address);
        return WEIR_EINVAL;
    case EACCES:
        error_text_set(error, "this user may not listen on %s: ports below 1024 need a privilege",
                       address);
        return WEIR_EDENIED;
    default:
        error_text_set(error, "cannot listen on %s: %s", address, strerror(number));
        return WEIR_EIO;
    }
}

/* Who is silent is asked whether it is still there: a host that has lost its power says no end. */
static int keep_alive(int descriptor) {
    static const struct {
        int level;
        int name;
        int value;
    } OPTIONS[] = {
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, IO_ALIVE_IDLE_S},
        {IPPROTO_TCP, TCP_KEEPINTVL, IO_ALIVE_INTERVAL_S},
        {IPPROTO_TCP, TCP_KEEPCNT, IO_ALIVE_PROBES},
    };
    int status = 0;
    for (size_t i = 0; i < sizeof(OPTIONS) / sizeof(OPTIONS[0]) && status == 0; i++)
        status = setsockopt(descriptor, OPTIONS[i].level, OPTIONS[i].name, &OPTIONS[i].value,
                            sizeof(OPTIONS[i].value));
    return status;
}

/* A bound and listening socket, or the negative of an errno. */
static int listen_on(const struct addrinfo *where, uint32_t backlog) {
    int descriptor =
        socket(where->ai_family, where->ai_socktype | SOCK_CLOEXEC, where->ai_protocol);
    if (descriptor < 0)
        return -errno;
    int one = 1;
    int status = setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    /* Every accepted socket inherits these two. */
    if (status == 0)
        status = setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (status == 0)
        status = keep_alive(descriptor);
    if (status == 0 && where->ai_family == AF_INET6)
        status = setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
    if (status == 0)
        status = bind(descriptor, where->ai_addr, where->ai_addrlen);
    if (status == 0)
        status = listen(descriptor, backlog > INT32_MAX ? INT32_MAX : (int)backlog);
    if (status == 0)
        return descriptor;
    int number = errno;
    close(descriptor);
    return -number;
}

int io_listen(struct io *io, const char *address, uint32_t backlog, int32_t *handle,
              struct error_text *error) {
    char host[IO_ADDRESS_HOST_BYTES];
    uint16_t port_number;
    if (!io_address_split(address, host, &port_number)) {
        error_text_set(error, "'%s' is not an address: write HOST:PORT, or [V6-ADDRESS]:PORT",
                       address);
        return WEIR_EINVAL;
    }
    char service[8];
    snprintf(service, sizeof(service), "%u", port_number);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | AI_PASSIVE};
    struct addrinfo *found = NULL;
    int status = getaddrinfo(host, service, &hints, &found);
    if (status != 0) {
        error_text_set(error, "'%s' is not an address of this host: %s", address,
                       gai_strerror(status));
        return WEIR_EINVAL;
    }
    int descriptor = listen_on(found, backlog);
    freeaddrinfo(found);
    if (descriptor < 0)
        return listen_refused(address, -descriptor, error);
    if ((uint32_t)descriptor >= io->descriptors_max) {
        close(descriptor);
        return listen_refused(address, EMFILE, error);
    }
    *uring_descriptor(io, descriptor) = (struct uring_descriptor){0};
    *handle = descriptor;
    return 0;
}

uint16_t io_listen_port(struct io *io, int32_t listener) {
    (void)io;
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof(address);
    int status = getsockname(listener, (struct sockaddr *)&address, &length);
    ASSERT(status == 0);
    if (address.ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)(const void *)&address)->sin6_port);
    ASSERT(address.ss_family == AF_INET);
    return ntohs(((const struct sockaddr_in *)(const void *)&address)->sin_port);
}

/* ---- sockets that exist ------------------------------------------------------------------ */

void io_shutdown(struct io *io, int32_t socket) {
    (void)io;
    /* ENOTCONN: the other side was faster. */
    int status = shutdown(socket, SHUT_RDWR);
    ASSERT(status == 0 || errno == ENOTCONN);
}

/* As Redis writes it; "?" stays in out if it is of another family. */
static void name_write(const struct sockaddr_storage *address, char out[64]) {
    char text[INET6_ADDRSTRLEN];
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)address;
        if (inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text)) != NULL)
            snprintf(out, 64, "%s:%u", text, ntohs(v4->sin_port));
    } else if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const void *)address;
        if (inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof(text)) != NULL)
            snprintf(out, 64, "[%s]:%u", text, ntohs(v6->sin6_port));
    }
}

void io_peer_name(struct io *io, int32_t socket, char out[64]) {
    (void)io;
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof(address);
    memcpy(out, "?", 2);
    if (getpeername(socket, (struct sockaddr *)&address, &length) == 0)
        name_write(&address, out);
}

void io_local_name(struct io *io, int32_t socket, char out[64]) {
    (void)io;
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof(address);
    memcpy(out, "?", 2);
    if (getsockname(socket, (struct sockaddr *)&address, &length) == 0)
        name_write(&address, out);
}

void io_close(struct io *io, int32_t handle) {
    struct uring_descriptor *descriptor = uring_descriptor(io, handle);
    ASSERT(descriptor->armed_slot == 0);
    *descriptor = (struct uring_descriptor){0};
    /* The descriptor is gone whatever close says; what had to be durable was synced before. */
    close(handle);
}

/* ---- directories ------------------------------------------------------------------------- */

enum {
    /* 50 steps of 10 ms: the half second of io_directory_lock. */
    LOCK_STEPS = 50,
    LOCK_STEP_NS = 10000000,
};

/* Makes the name of a new directory durable in its parent. */
static void parent_sync(const char *path) {
    char parent[4096];
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    while (length > 0 && path[length - 1] != '/')
        length--;
    if (length >= sizeof(parent))
        return;
    memcpy(parent, length == 0 ? "." : path, length == 0 ? 1 : length);
    parent[length == 0 ? 1 : length] = '\0';
    int descriptor = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0)
        return; /* a parent that may be searched but not read: nothing more can be done */
    fsync(descriptor);
    close(descriptor);
}

int io_directory_open(struct io *io, const char *path, bool create, int32_t *handle,
                      struct error_text *error) {
    int number = 0;
    if (create && mkdir(path, 0750) == 0)
        parent_sync(path);
    else if (create && errno != EEXIST)
        number = errno;
    int descriptor = number == 0 ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (descriptor < 0) {
        number = number == 0 ? errno : number;
        if (create && number == ENOENT)
            error_text_set(error,
                           "cannot create the directory %s: the one above it does not exist; "
                           "create that first (mkdir -p), or choose another place",
                           path);
        else
            error_text_set(error, "cannot open the directory %s: %s", path,
                           number == ENOTDIR ? "something else has that name" : strerror(number));
        switch (number) {
        case ENOENT: return WEIR_ENOENT;
        case ENOTDIR: return WEIR_EEXISTS;
        case EACCES:
        case EPERM: return WEIR_EDENIED;
        default: return WEIR_EIO;
        }
    }
    if ((uint32_t)descriptor >= io->descriptors_max) {
        close(descriptor);
        error_text_set(error, "cannot open the directory %s: too many open files", path);
        return WEIR_EIO;
    }
    *uring_descriptor(io, descriptor) = (struct uring_descriptor){0};
    *handle = descriptor;
    return 0;
}

int io_directory_lock(struct io *io, int32_t directory, struct error_text *error) {
    (void)io;
    const struct timespec step = {.tv_nsec = LOCK_STEP_NS};
    int status = flock(directory, LOCK_EX | LOCK_NB);
    for (uint32_t i = 0; i < LOCK_STEPS && status != 0 && errno == EWOULDBLOCK; i++) {
        (void)nanosleep(&step, NULL);
        status = flock(directory, LOCK_EX | LOCK_NB);
    }
    if (status == 0)
        return 0;
    if (errno == EWOULDBLOCK) {
        error_text_set(error, "the directory is locked: another process uses it");
        return WEIR_ELOCKED;
    }
    error_text_set(error, "the directory cannot be locked: %s", strerror(errno));
    return WEIR_EIO;
}

int io_directory_list(struct io *io, int32_t directory,
                      void (*each)(void *context, const char *name, uint64_t size_bytes,
                                   enum io_entry_sort sort),
                      void *context) {
    (void)io;
    /* A description of its own: reading must not move the handle's position. */
    int descriptor = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0)
        return WEIR_EIO;
    DIR *stream = fdopendir(descriptor);
    if (stream == NULL) {
        close(descriptor);
        return WEIR_EIO;
    }
    int status = 0;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(stream);
        if (entry == NULL) {
            status = errno == 0 ? 0 : WEIR_EIO;
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        struct stat sort;
        if (fstatat(directory, entry->d_name, &sort, AT_SYMLINK_NOFOLLOW) != 0) {
            if (errno == ENOENT)
                continue; /* removed meanwhile */
            status = WEIR_EIO;
            break;
        }
        each(context, entry->d_name, (uint64_t)sort.st_size,
             S_ISREG(sort.st_mode)   ? IO_ENTRY_FILE
             : S_ISDIR(sort.st_mode) ? IO_ENTRY_DIRECTORY
                                     : IO_ENTRY_OTHER);
    }
    closedir(stream);
    return status;
}
