/*
 * Members' names.  See tools/serve_names.h.
 *
 * Happy path: asked; looked up; answered with the first address, as the system sorts them.  The
 * next question comes when a connection has failed or ended, and mostly brings the same address.
 *
 * Failure modes: the name is not known, or no name server answers: logged, and answered with
 * nothing, so that it is asked again.  The name has several addresses and nobody is at the one
 * said last: the next one is said.
 */

#include "tools/serve_names.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/assert.h"
#include "base/clock.h"

enum {
    /* getaddrinfo and the modules that it loads use some 70 KiB. */
    NAME_STACK_BYTES = 512 * 1024,
};

/* ---- a turn -------------------------------------------------------------------------------- */

/* Which one of those found is to be tried. */
static const char *choose(const struct names_job *job, const struct names_found *found,
                          bool has_failed) {
    ASSERT(found->count > 0 && found->count <= NAME_FOUND_MAX);
    for (uint32_t i = 0; i < found->count; i++) {
        if (strcmp(found->hosts[i], job->host) == 0) {
            return found->hosts[has_failed ? (i + 1) % found->count : i];
        }
    }
    return found->hosts[0];
}

static void log_failure(struct names_job *job, const char *reason, uint64_t now_ns) {
    struct log_quoted name;
    if (job->logged_ns != 0 && now_ns - job->logged_ns < NAME_LOG_NS) {
        return;
    }
    job->logged_ns = now_ns;
    log_warn("peer_name_unknown",
             "peer=%lu name=%s reason=\"%s\" advice=\"it is asked for again until it is known; see "
             "to the name server or /etc/hosts of this machine, or write its number in peers\"",
             job->name->node_id, log_quote(&name, job->name->host, strlen(job->name->host)),
             reason);
}

static void log_address(struct names_job *job, const char *address, bool is_first) {
    struct log_quoted name;
    (void)log_quote(&name, job->name->host, strlen(job->name->host));
    if (is_first) {
        log_info_limited("peer_address", "peer=%lu name=%s address=%s", job->name->node_id,
                         name.text, address);
    } else {
        log_info_limited("peer_address", "peer=%lu name=%s address=%s before=%s",
                         job->name->node_id, name.text, address, job->host);
    }
}

/* Longer each time that nothing new was found, unless it was not asked for a while. */
static void pause_set(struct names_job *job, uint64_t asked_ns, uint64_t now_ns, bool is_new) {
    bool was_quiet = asked_ns >= job->due_ns + NAME_PAUSE_NS_MAX;
    bool is_short = is_new || was_quiet || job->pause_ns == 0;
    job->pause_ns = is_short ? NAME_PAUSE_NS_MIN : 2 * job->pause_ns;
    if (job->pause_ns > NAME_PAUSE_NS_MAX) {
        job->pause_ns = NAME_PAUSE_NS_MAX;
    }
    job->due_ns = now_ns + job->pause_ns;
}

uint64_t names_job_turn(struct names_job *job) {
    bool has_failed = false;
    struct names_found found = {.count = 0};
    char address[CONFIG_HOST_BYTES_MAX + 16] = "";
    if (!peer_name_asked(job->name, &has_failed)) {
        return UINT64_MAX;
    }
    uint64_t asked_ns = job->door->now_ns(job->door->context);
    if (asked_ns < job->due_ns) {
        return job->due_ns;
    }
    const char *reason = job->door->look_up(job->door->context, job->name->host, &found);
    uint64_t now_ns = job->door->now_ns(job->door->context);
    bool is_new = false;
    if (reason != NULL) {
        log_failure(job, reason, now_ns);
    } else {
        struct config_place place = {.port = job->name->port};
        const char *host = choose(job, &found, has_failed);
        (void)snprintf(place.host, sizeof(place.host), "%s", host);
        config_place_text(&place, address);
        is_new = strcmp(job->host, host) != 0;
        if (is_new) {
            log_address(job, address, job->host[0] == '\0');
            memcpy(job->host, host, sizeof(job->host));
        }
        job->logged_ns = 0;
    }
    pause_set(job, asked_ns, now_ns, is_new);
    peer_name_answer(job->name, address);
    return UINT64_MAX;
}

/* ---- the world ----------------------------------------------------------------------------- */

static const char *system_look_up(void *context, const char *host, struct names_found *found) {
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    (void)context;
    int status = getaddrinfo(host, NULL, &hints, &list);
    if (status != 0) {
        return status == EAI_SYSTEM ? strerror(errno) : gai_strerror(status);
    }
    for (const struct addrinfo *each = list; each != NULL && found->count < NAME_FOUND_MAX;
         each = each->ai_next) {
        char *number = found->hosts[found->count];
        /* A link-local one with its interface is none that a connection can be made to. */
        if (getnameinfo(each->ai_addr, each->ai_addrlen, number, PEER_NAME_ADDRESS_BYTES, NULL, 0,
                        NI_NUMERICHOST) == 0 &&
            strchr(number, '%') == NULL) {
            found->count++;
        }
    }
    freeaddrinfo(list);
    return found->count > 0 ? NULL : "it has no address that can be connected to";
}

static uint64_t system_now_ns(void *context) {
    (void)context;
    return clock_monotonic_ns();
}

static const struct names_door system_door = {.look_up = system_look_up, .now_ns = system_now_ns};

/* ---- the threads --------------------------------------------------------------------------- */

/* A name with its thread; never freed. */
struct names_thread {
    struct peer_name *name;
    struct names_job job; /* the thread's */
    sem_t bell;
};

/* Write's thread: never blocks. */
static void ring(void *context) {
    struct names_thread *thread = context;
    (void)sem_post(&thread->bell); /* EOVERFLOW: it has more than enough to wake up for */
}

static void sleep_until(sem_t *bell, uint64_t due_ns) {
    if (due_ns == UINT64_MAX) {
        (void)sem_wait(bell); /* EINTR: the turn looks, and comes back */
        return;
    }
    const struct timespec until = {.tv_sec = (time_t)(due_ns / 1000000000),
                                   .tv_nsec = (long)(due_ns % 1000000000)};
    (void)sem_clockwait(bell, CLOCK_MONOTONIC, &until);
}

static void *thread_main(void *context) {
    struct names_thread *thread = context;
    for (;;) { /* until the process ends */
        sleep_until(&thread->bell, names_job_turn(&thread->job));
    }
    return NULL;
}

static int thread_start(struct names_thread *thread) {
    pthread_attr_t attributes;
    pthread_t started;
    if (pthread_attr_init(&attributes) != 0) {
        return WEIR_ENOMEM;
    }
    (void)pthread_attr_setstacksize(&attributes, NAME_STACK_BYTES);
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int status = pthread_create(&started, &attributes, thread_main, thread);
    (void)pthread_attr_destroy(&attributes);
    return status == 0 ? WEIR_OK : WEIR_ENOMEM;
}

int serve_names_add(struct peer_name **out, const struct config_member *member,
                    struct error_text *error) {
    struct names_thread *thread = calloc(1, sizeof(*thread));
    struct peer_name *name = aligned_alloc(CACHE_LINE_BYTES, sizeof(*name));
    char *host = strdup(member->peer.host);
    ASSERT(config_host_is_name(member->peer.host) && member->peer.port != 0);
    if (thread == NULL || name == NULL || host == NULL || sem_init(&thread->bell, 0, 0) != 0) {
        goto failed;
    }
    memset(name, 0, sizeof(*name));
    name->node_id = member->node_id;
    name->host = host;
    name->port = member->peer.port;
    name->wake = ring;
    name->context = thread;
    thread->name = name;
    thread->job = (struct names_job){.name = name, .door = &system_door};
    (void)peer_name_ask(name, false); /* so that mostly it is known when it is needed */
    if (thread_start(thread) != WEIR_OK) {
        goto failed;
    }
    *out = name;
    return WEIR_OK;

failed:
    free(host);
    free(name);
    free(thread);
    error_text_set(error,
                   "cannot start a thread for the name %s: raise the limit of processes "
                   "(ulimit -u), or write its number in peers",
                   member->peer.host);
    return WEIR_ENOMEM;
}
