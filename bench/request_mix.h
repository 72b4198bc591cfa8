#ifndef WEIR_BENCH_REQUEST_MIX_H
#define WEIR_BENCH_REQUEST_MIX_H

/*
 * The requests of a load: one or more templates, each with a weight.
 *
 * A template is a command line such as
 *
 *     SET key:__rand__ __data__
 *
 * Words are separated by spaces; double quotes keep spaces inside a word. In any word, __rand__
 * (or __rand_int__, as redis-benchmark has it) stands for a key number in twelve digits, a new one
 * for each occurrence in each request, and __data__ for a value of the configured size, the same
 * bytes in every request. So a template's requests all have the same length: a template is compiled
 * once into the bytes of its RESP array, and a request is a copy with the digits filled in.
 *
 * The common commands have names:  --mix set:50,get:50  takes their templates with these weights.
 *
 * A mix is built before the threads start and only read by them; it owns its images.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/random.h"
#include "bench/key_picker.h"

/* The limits of a mix. A key is always twelve digits, so that requests keep their length. */
enum {
    REQUEST_MIX_TEMPLATES_MAX = 16,
    REQUEST_MIX_KEYS_PER_REQUEST_MAX = 64,
    REQUEST_MIX_WORDS_MAX = 256,
    REQUEST_MIX_KEY_DIGITS = 12,
    REQUEST_MIX_VALUES_PER_REQUEST_MAX = 64,
    REQUEST_MIX_KEY_WORD_BYTES = 64,
    REQUEST_MIX_WEIGHT_MAX = 1000000
};

struct request_template {
    uint8_t *image; /* a complete request, owned by the mix */
    uint32_t image_bytes;
    uint32_t key_count;
    uint32_t key_offsets[REQUEST_MIX_KEYS_PER_REQUEST_MAX]; /* where twelve digits go */
    uint32_t value_count;                                   /* of the first 64 __data__ */
    uint32_t value_offsets[REQUEST_MIX_VALUES_PER_REQUEST_MAX];
    uint32_t word_count;
    bool is_write;                             /* the command is one that writes, or is not known */
    char key_word[REQUEST_MIX_KEY_WORD_BYTES]; /* its first argument, if it has a key in it */
    uint64_t weight_end;                       /* sum of the weights up to this one */
};

struct request_mix {
    uint32_t template_count;
    uint32_t request_bytes_max; /* of the longest template */
    uint64_t weight_sum;
    struct request_template templates[REQUEST_MIX_TEMPLATES_MAX];
};

/* An empty mix. */
void request_mix_init(struct request_mix *mix);

/* Frees the images and leaves an empty mix. */
void request_mix_fini(struct request_mix *mix);

/*
 * Adds the template `line` with `weight`, 1..REQUEST_MIX_WEIGHT_MAX. Allocates.
 * Errors, all with a sentence in `error` and the mix unchanged: WEIR_EINVAL when the line has no
 * word, too many words or keys, or an open quote; WEIR_ELIMIT when the mix is full or the request
 * would exceed 1 GiB; WEIR_ENOMEM.
 */
int request_mix_add_template(struct request_mix *mix, const char *line, uint64_t weight,
                             uint32_t value_bytes, struct error_text *error);

/*
 * Adds the named commands of `text`, "name[:weight],..."; a weight that is not given is 1.
 * Errors as above, and WEIR_EINVAL for an unknown name or a weight out of range; what stood before
 * the fault in the text has then been added.
 */
int request_mix_add_named(struct request_mix *mix, const char *text, uint32_t value_bytes,
                          struct error_text *error);

/*
 * Writes the next request to `out`, which has room for request_bytes_max bytes, and returns its
 * length. The mix has at least one template.
 */
size_t request_mix_render(const struct request_mix *mix, struct key_picker *picker,
                          struct random *random, uint8_t *out);

/* The next request's template: by weight. The mix has at least one. */
const struct request_template *request_mix_pick(const struct request_mix *mix,
                                                struct random *random);

/* Writes a request of one template to `out`, which has room for its image_bytes. */
void request_template_render(const struct request_template *template, struct key_picker *picker,
                             struct random *random, uint8_t *out);

/* Whether one of the templates writes. */
bool request_mix_has_write(const struct request_mix *mix);

/* The names that request_mix_add_named knows, separated by spaces; a string constant. */
const char *request_mix_names(void);

#endif
