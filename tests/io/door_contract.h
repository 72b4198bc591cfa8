#ifndef WEIR_TESTS_IO_DOOR_CONTRACT_H
#define WEIR_TESTS_IO_DOOR_CONTRACT_H

/*
 * The contract of io/io.h as tests that every door must pass: io_uring and the simulated world run
 * the same ones.  A kind of door supplies what the header has no word for: a door to test, the
 * passing of time, and clients on the far side of its sockets.
 *
 * Nothing here waits for a length of time.  `pump` lets the world go on until something happened,
 * and a test repeats it until what it expects is there; a test that never gets it fails.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/io.h"

/* The far end of a connection; its kind knows what is in it. */
struct door_client;

enum door_client_state {
    DOOR_CLIENT_OPEN,
    DOOR_CLIENT_EOF,   /* the door's side sent FIN, and everything before it was received */
    DOOR_CLIENT_RESET, /* the connection is broken */
};

/* What may stand in place of a file. */
enum door_obstacle { DOOR_SYMBOLIC_LINK, DOOR_DIRECTORY, DOOR_PIPE };

struct door_kind {
    const char *name;

    /* A fresh door, and a path under which directories can be made. */
    struct io *(*open)(void);
    void (*close)(struct io *io);
    const char *(*path)(void);

    /* Another door, of another process: close it before the first one.  And the address under which
     * it is reached, without a port. */
    struct io *(*open_peer)(void);
    const char *peer_host;

    /* Lets time pass until the door may have something, and delivers it; bounded. */
    void (*pump)(struct io *io);

    /* Clients.  Sending and receiving take or give what is possible now, maybe 0 bytes. */
    struct door_client *(*client_connect)(uint16_t port_number);
    size_t (*client_send)(struct door_client *client, const void *bytes, size_t length_bytes);
    size_t (*client_receive)(struct door_client *client, void *bytes, size_t length_bytes);
    enum door_client_state (*client_state)(struct door_client *client);
    void (*client_half_close)(struct door_client *client);
    void (*client_reset)(struct door_client *client); /* and frees it */
    void (*client_close)(struct door_client *client); /* and frees it */

    /* Puts something that is no file into a directory that the door has made. */
    void (*obstruct)(const char *directory, const char *name, enum door_obstacle obstacle);
};

/* Runs the suite; returns the number of failed tests. */
int door_contract_run(const struct door_kind *kind);

#endif
