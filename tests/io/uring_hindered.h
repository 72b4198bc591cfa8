#ifndef WEIR_TESTS_IO_URING_HINDERED_H
#define WEIR_TESTS_IO_URING_HINDERED_H

/* How the io_uring door is hindered: system calls that fail, and entries that are changed before
 * they are submitted. */

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

#include "base/bytes.h"
#include "io/uring.h"
#include "tests/cmocka_wrapper.h"

/* From now on this process gets `action` for one system call. */
static inline bool filter_call(uint32_t number, uint32_t action) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = ARRAY_COUNT(code), .filter = code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* The entries that are queued and not submitted. */
static inline uint32_t queued(struct io *io, struct io_uring_sqe *entries[64]) {
    uint32_t count = 0;
    const struct io_uring_sq *sq = &io->ring.sq;
    for (unsigned at = sq->sqe_head; at != sq->sqe_tail; at++)
        entries[count++] = &sq->sqes[at & sq->ring_mask];
    assert_true(count < 64);
    return count;
}

#endif
