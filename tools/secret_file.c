/* The file with a cluster's secret.  See tools/secret_file.h. */

#include "tools/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is wrong with a file that is open, if it is not its bytes. */
static int file_judge(int descriptor, const char *path, struct error_text *error) {
    struct stat status;
    if (fstat(descriptor, &status) != 0) {
        error_text_set(error, "cannot look at the secret file %s: %s", path, strerror(errno));
        return WEIR_EIO;
    }
    if (!S_ISREG(status.st_mode)) {
        error_text_set(error, "the secret file %s is no file: give the path of one", path);
        return WEIR_EINVAL;
    }
    if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        error_text_set(
            error,
            "the secret file %s can be used by others than its owner (its mode is %04o): "
            "chmod 600 %s, and make a new secret if somebody may have read this one",
            path, (unsigned)(status.st_mode & 07777), path);
        return WEIR_EDENIED;
    }
    if (status.st_uid != geteuid() && status.st_uid != 0) {
        error_text_set(error,
                       "the secret file %s belongs to user %u, and this is user %u: chown it to "
                       "the user who runs the node",
                       path, (unsigned)status.st_uid, (unsigned)geteuid());
        return WEIR_EDENIED;
    }
    return WEIR_OK;
}

/* The number of bytes that count. */
static size_t trimmed(const char *secret, size_t length) {
    while (length > 0 && strchr(" \t\r\n", secret[length - 1]) != NULL && secret[length - 1] != 0) {
        length--;
    }
    return length;
}

static int bytes_judge(const char *path, size_t length, struct error_text *error) {
    if (length >= SECRET_BYTES_MIN && length <= SECRET_BYTES_MAX) {
        return WEIR_OK;
    }
    error_text_set(error,
                   "the secret file %s has %s than %d bytes: put the secret of the cluster there, "
                   "or make one with (umask 077; openssl rand -hex 32 > FILE)",
                   path, length < SECRET_BYTES_MIN ? "less" : "more",
                   length < SECRET_BYTES_MIN ? SECRET_BYTES_MIN : SECRET_BYTES_MAX);
    return WEIR_EINVAL;
}

int secret_file_read(const char *path, struct mac_key *key, struct error_text *error) {
    char secret[SECRET_BYTES_MAX + 64]; /* with what does not count */
    /* A FIFO must not hold up the start. */
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) {
        int status = errno == ENOENT ? WEIR_ENOENT : WEIR_EIO;
        error_text_set(error, "cannot read the secret file %s: %s", path, strerror(errno));
        return status;
    }
    int status = file_judge(descriptor, path, error);
    size_t length = 0;
    ssize_t got = 1;
    while (status == WEIR_OK && got != 0 && length < sizeof(secret)) {
        got = read(descriptor, secret + length, sizeof(secret) - length);
        if (got < 0 && errno != EINTR) {
            error_text_set(error, "cannot read the secret file %s: %s", path, strerror(errno));
            status = WEIR_EIO;
        }
        length += got > 0 ? (size_t)got : 0;
    }
    (void)close(descriptor);
    length = trimmed(secret, length);
    if (status == WEIR_OK) {
        status = bytes_judge(path, length, error);
    }
    if (status == WEIR_OK) {
        mac_key_set(key, secret, length);
    }
    explicit_bzero(secret, sizeof(secret));
    return status;
}

int secret_file_create(const char *path, struct error_text *error) {
    uint8_t bytes[SECRET_BYTES_MIN];
    char text[2 * SECRET_BYTES_MIN + 2];
    int descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (descriptor < 0) {
        int status = errno == EEXIST ? WEIR_EEXISTS : WEIR_EIO;
        error_text_set(error, "cannot make the secret file %s: %s", path, strerror(errno));
        return status;
    }
    bool made = getrandom(bytes, sizeof(bytes), 0) == (ssize_t)sizeof(bytes);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    }
    text[2 * SECRET_BYTES_MIN] = '\n';
    made = made && write(descriptor, text, sizeof(text) - 1) == (ssize_t)sizeof(text) - 1 &&
           fsync(descriptor) == 0;
    if (!made) {
        error_text_set(error, "cannot write the secret file %s: %s", path, strerror(errno));
        (void)unlink(path);
    }
    (void)close(descriptor);
    explicit_bzero(bytes, sizeof(bytes));
    explicit_bzero(text, sizeof(text));
    return made ? WEIR_OK : WEIR_EIO;
}
