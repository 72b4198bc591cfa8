/*
 * The io_uring door: the contract of io/io.h against real sockets and files, and what only this
 * door has: other threads, features that are switched off, and limits of the host.
 *
 * WEIR_TEST_IO_FEATURES=none runs it without the features beyond the floor.
 * The files are made below $TMPDIR or /tmp.
 */

#include "tests/io/door_fixture.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the kind of door -------------------------------------------------------------------- */

static char base_path[256];

static uint32_t features_allowed(void) {
    const char *value = getenv("WEIR_TEST_IO_FEATURES");
    return value != NULL && strcmp(value, "none") == 0 ? 0 : IO_FEATURES_ALL;
}

static struct io *uring_open(void) {
    struct io_options options = {
        .submissions_max = 64, .completions_max = 128, .features_allowed = features_allowed()};
    struct error_text error = {0};
    struct io *io = NULL;
    int status = io_create(&io, &options, &error);
    if (status != 0)
        fail_msg("%s: %s", error_name(status), error.text);
    return io;
}

static const char *uring_path(void) {
    return base_path;
}

static void uring_pump(struct io *io) {
    io_park(io, 1000000);
}

struct door_client {
    int descriptor;
    enum door_client_state state;
    uint8_t peeked; /* what looking for the end of the stream found instead */
    bool has_peeked;
};

static struct door_client *uring_client_connect(uint16_t port_number) {
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(descriptor >= 0);
    int one = 1;
    assert_int_equal(setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(port_number),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    if (connect(descriptor, (struct sockaddr *)&address, sizeof(address)) != 0) {
        close(descriptor);
        return NULL;
    }
    assert_int_equal(fcntl(descriptor, F_SETFL, O_NONBLOCK), 0);
    struct door_client *client = calloc(1, sizeof(*client));
    assert_non_null(client);
    client->descriptor = descriptor;
    return client;
}

static size_t uring_client_send(struct door_client *client, const void *bytes,
                                size_t length_bytes) {
    ssize_t sent = send(client->descriptor, bytes, length_bytes, MSG_NOSIGNAL);
    return sent < 0 ? 0 : (size_t)sent;
}

static size_t uring_client_receive(struct door_client *client, void *bytes, size_t length_bytes) {
    if (length_bytes == 0)
        return 0;
    if (client->has_peeked) {
        *(uint8_t *)bytes = client->peeked;
        client->has_peeked = false;
        return 1;
    }
    ssize_t received = recv(client->descriptor, bytes, length_bytes, 0);
    if (received > 0)
        return (size_t)received;
    if (received == 0)
        client->state = DOOR_CLIENT_EOF;
    else if (errno != EAGAIN && errno != EINTR)
        client->state = DOOR_CLIENT_RESET;
    return 0;
}

static enum door_client_state uring_client_state(struct door_client *client) {
    if (!client->has_peeked)
        client->has_peeked = uring_client_receive(client, &client->peeked, 1) == 1;
    return client->state;
}

static void uring_client_half_close(struct door_client *client) {
    assert_int_equal(shutdown(client->descriptor, SHUT_WR), 0);
}

static void uring_client_close(struct door_client *client) {
    close(client->descriptor);
    free(client);
}

static void uring_client_reset(struct door_client *client) {
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(client->descriptor, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)),
                     0);
    uring_client_close(client);
}

static void uring_obstruct(const char *directory, const char *name, enum door_obstacle obstacle) {
    char path[600];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    switch (obstacle) {
    case DOOR_SYMBOLIC_LINK: assert_int_equal(symlink("/etc/hostname", path), 0); break;
    case DOOR_DIRECTORY: assert_int_equal(mkdir(path, 0700), 0); break;
    case DOOR_PIPE: assert_int_equal(mkfifo(path, 0600), 0); break;
    }
}

static const struct door_kind URING = {
    .name = "contract of the io_uring door",
    .open = uring_open,
    .close = io_destroy,
    .open_peer = uring_open,
    .peer_host = "127.0.0.1",
    .path = uring_path,
    .pump = uring_pump,
    .client_connect = uring_client_connect,
    .client_send = uring_client_send,
    .client_receive = uring_client_receive,
    .client_state = uring_client_state,
    .client_half_close = uring_client_half_close,
    .client_reset = uring_client_reset,
    .client_close = uring_client_close,
    .obstruct = uring_obstruct,
};

/* ---- what only this door has ------------------------------------------------------------- */

static void features_in_use_are_allowed_ones(void **state) {
    struct door_fixture *fixture = *state;
    assert_int_equal(io_features(fixture->io) & ~features_allowed(), 0);
}

static void accepted_sockets_do_not_delay(void **state) {
    struct door_fixture *fixture = *state;
    struct door_client *client;
    int32_t handle = door_connect(fixture, &client);
    int value = 0;
    socklen_t length = sizeof(value);
    assert_int_equal(getsockopt(handle, IPPROTO_TCP, TCP_NODELAY, &value, &length), 0);
    assert_int_not_equal(value, 0);
    assert_int_equal(fcntl(handle, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    io_close(fixture->io, handle);
    uring_client_close(client);
}

static void who_is_gone_without_a_word_is_missed_after_some_minutes(void **state) {
    struct door_fixture *fixture = *state;
    struct door_client *client;
    int32_t handle = door_connect(fixture, &client);
    int value = 0;
    socklen_t length = sizeof(value);
    assert_int_equal(getsockopt(handle, SOL_SOCKET, SO_KEEPALIVE, &value, &length), 0);
    assert_int_equal(value, 1);
    assert_int_equal(getsockopt(handle, IPPROTO_TCP, TCP_KEEPIDLE, &value, &length), 0);
    assert_int_equal(value, IO_ALIVE_IDLE_S);
    assert_int_equal(getsockopt(handle, IPPROTO_TCP, TCP_KEEPINTVL, &value, &length), 0);
    assert_int_equal(value, IO_ALIVE_INTERVAL_S);
    assert_int_equal(getsockopt(handle, IPPROTO_TCP, TCP_KEEPCNT, &value, &length), 0);
    assert_int_equal(value, IO_ALIVE_PROBES);
    io_close(fixture->io, handle);
    uring_client_close(client);
}

static void *wake_it(void *context) {
    io_wake(context);
    return NULL;
}

static void another_thread_wakes_a_park(void **state) {
    struct door_fixture *fixture = *state;
    for (int round = 0; round < 50; round++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, wake_it, fixture->io), 0);
        io_park(fixture->io, UINT64_MAX); /* hangs if the wake is lost */
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
}

struct adopted {
    struct door_fixture *fixture;
    struct door_client *client;
    int32_t socket;
};

/* Receives on the other thread what the client has sent; assertions stay on the main thread. */
static void *adopt_and_receive(void *context) {
    struct adopted *adopted = context;
    struct door_fixture *fixture = adopted->fixture;
    io_adopt(fixture->io);
    io_receive_start(fixture->port, adopted->socket, 0, 7);
    struct io_completion received = io_wait(fixture->port);
    io_buffer_return(fixture->io, 0, received.buffer);
    while (received.flags & IO_MORE) {
        io_receive_stop(fixture->port, adopted->socket, 7);
        received = io_wait(fixture->port);
    }
    return (void *)(uintptr_t)fixture->buffers[0];
}

static void a_used_door_is_handed_to_another_thread(void **state) {
    struct door_fixture *fixture = *state;
    struct adopted adopted = {.fixture = fixture};
    adopted.socket = door_connect(fixture, &adopted.client); /* this thread owned the ring */
    io_poll(fixture->io);
    assert_int_equal(uring_client_send(adopted.client, "Z", 1), 1);
    pthread_t thread;
    void *first_byte = NULL;
    assert_int_equal(pthread_create(&thread, NULL, adopt_and_receive, &adopted), 0);
    assert_int_equal(pthread_join(thread, &first_byte), 0);
    assert_int_equal((uintptr_t)first_byte, 'Z');
    io_adopt(fixture->io); /* and back */
    io_close(fixture->io, adopted.socket);
    uring_client_close(adopted.client);
}

static void short_write_is_continued_and_its_error_surfaces_once(void **state) {
    struct door_fixture *fixture = *state;
    char path[512];
    int32_t directory = door_directory(fixture, path, "short");
    int32_t file = door_file_open(fixture, directory, "f", IO_OPEN_WRITE | IO_OPEN_CREATE);
    assert_true(file >= 0);
    enum { LIMIT = 3000 };
    struct rlimit before;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct rlimit limit = {.rlim_cur = LIMIT, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    uint8_t bytes[2 * LIMIT];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = door_pattern(i);
    /* The kernel takes LIMIT bytes, then refuses: the door must have asked for the rest. */
    struct iovec pieces[3] = {{bytes, 1000}, {bytes + 1000, 3000}, {bytes + 4000, 2000}};
    io_file_write(fixture->port, file, pieces, 3, 0, IO_SYNC, 1);
    int32_t result = door_expect(fixture, IO_FILE_WRITE, 1).result;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(result, -EFBIG);
    assert_int_equal(io_file_size_bytes(fixture->io, file), LIMIT);
    uint8_t back[LIMIT];
    io_file_read(fixture->port, file, back, sizeof(back), 0, 2);
    assert_int_equal(door_expect(fixture, IO_FILE_READ, 2).result, LIMIT);
    assert_memory_equal(back, bytes, LIMIT);
    io_close(fixture->io, file);
    io_close(fixture->io, directory);
}

static void more_starts_than_the_submission_ring_holds_lose_nothing(void **state) {
    struct door_fixture *fixture = *state;
    enum { COUNT = 1000 };
    char path[512];
    int32_t directory = door_directory(fixture, path, "many");
    int32_t file = door_file_open(fixture, directory, "g", IO_OPEN_WRITE | IO_OPEN_CREATE);
    struct io_port *wide;
    assert_int_equal(io_port_create(fixture->io, &wide, COUNT), 0);
    static uint8_t bytes[COUNT];
    static struct iovec pieces[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        bytes[i] = door_pattern(i);
        pieces[i] = (struct iovec){&bytes[i], 1};
        io_file_write(wide, file, &pieces[i], 1, i, IO_NO_SYNC, i);
    }
    for (uint32_t i = 0; i < COUNT; i++)
        assert_int_equal(io_wait(wide).result, 1);
    static uint8_t back[COUNT];
    io_file_read(wide, file, back, COUNT, 0, 0);
    assert_int_equal(io_wait(wide).result, COUNT);
    assert_memory_equal(back, bytes, COUNT);
    io_port_destroy(wide);
    io_close(fixture->io, file);
    io_close(fixture->io, directory);
}

static void no_descriptor_left_is_an_error_with_a_sentence(void **state) {
    (void)state;
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int next = dup(0);
    assert_true(next >= 0);
    close(next);
    struct rlimit limit = {.rlim_cur = (rlim_t)next + 1, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    struct io_options options = {.submissions_max = 64, .completions_max = 64};
    struct error_text error = {0};
    struct io *io = NULL;
    int status = io_create(&io, &options, &error);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(status, WEIR_ELIMIT);
    assert_null(io);
    assert_non_null(strstr(error.text, "ulimit -n"));
    int after = dup(0);
    assert_int_equal(after, next); /* nothing was left open */
    close(after);
}

/* ---- running ----------------------------------------------------------------------------- */

static int descriptors_open(void) {
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    assert_non_null(directory);
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

int main(void) {
    const char *temporary = getenv("TMPDIR");
    snprintf(base_path, sizeof(base_path), "%s/weir-io-XXXXXX",
             temporary != NULL ? temporary : "/tmp");
    if (mkdtemp(base_path) == NULL) {
        perror(base_path);
        return 1;
    }
    int before = descriptors_open();
    int failed = door_contract_run(&URING);
#define URING_TEST(test) \
    cmocka_unit_test_setup_teardown(test, door_fixture_setup, door_fixture_teardown)
    const struct CMUnitTest tests[] = {
        URING_TEST(features_in_use_are_allowed_ones),
        URING_TEST(accepted_sockets_do_not_delay),
        URING_TEST(who_is_gone_without_a_word_is_missed_after_some_minutes),
        URING_TEST(another_thread_wakes_a_park),
        URING_TEST(a_used_door_is_handed_to_another_thread),
        URING_TEST(short_write_is_continued_and_its_error_surfaces_once),
        URING_TEST(more_starts_than_the_submission_ring_holds_lose_nothing),
        cmocka_unit_test(no_descriptor_left_is_an_error_with_a_sentence),
    };
    failed += cmocka_run_group_tests_name("io_uring only", tests, NULL, NULL);
    int after = descriptors_open();
    if (before != after) {
        fprintf(stderr, "%d descriptors were open before, %d after\n", before, after);
        failed++;
    }
    char command[300];
    snprintf(command, sizeof(command), "rm -r %s", base_path);
    if (system(command) != 0)
        failed++;
    return failed == 0 ? 0 : 1;
}
