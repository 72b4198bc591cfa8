/*
 * Compiling happens twice over the same code: first with image == NULL to learn the length, then
 * into the memory of that length. Rendering copies the image and overwrites the digits.
 *
 * What fails is the person's text (no word, open quote, unknown name) or the size; each is answered
 * with a sentence before anything runs.
 */
#include "bench/request_mix.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/decimal.h"
#include "machines/machine.h"

#define REQUEST_BYTES_MAX (UINT32_C(1) << 30)

static const struct {
    const char *name;
    const char *line;
} NAMED[] = {
    {"set", "SET key:__rand__ __data__"},
    {"get", "GET key:__rand__"},
    {"del", "DEL key:__rand__"},
    {"exists", "EXISTS key:__rand__"},
    {"strlen", "STRLEN key:__rand__"},
    {"append", "APPEND key:__rand__ __data__"},
    {"incr", "INCR counter:__rand__"},
    {"mset", "MSET key:__rand__ __data__ key:__rand__ __data__ key:__rand__ __data__ "
             "key:__rand__ __data__ key:__rand__ __data__ key:__rand__ __data__ "
             "key:__rand__ __data__ key:__rand__ __data__ key:__rand__ __data__ "
             "key:__rand__ __data__"},
    {"mget", "MGET key:__rand__ key:__rand__ key:__rand__ key:__rand__ key:__rand__ "
             "key:__rand__ key:__rand__ key:__rand__ key:__rand__ key:__rand__"},
    {"ping", "PING"},
    {"echo", "ECHO __data__"},
    {"log.append", "LOG.APPEND __data__"},
    {"log.len", "LOG.LEN"},
};

const char *request_mix_names(void) {
    return "set get del exists strlen append incr mset mget ping echo log.append log.len";
}

/* One word of a command line, as a span of the line. */
struct word {
    const char *text;
    size_t length_bytes;
};

/* Output of the compiler: counts always, writes only where there is an image. */
struct emitter {
    uint8_t *image;
    uint64_t length_bytes;
    uint32_t key_count;
    uint32_t key_offsets[REQUEST_MIX_KEYS_PER_REQUEST_MAX];
    uint32_t value_count;
    uint32_t value_offsets[REQUEST_MIX_VALUES_PER_REQUEST_MAX];
    uint32_t value_bytes;
};

static int split_words(const char *line, struct word *words, uint32_t *word_count,
                       struct error_text *error) {
    uint32_t count = 0;
    for (const char *at = line;;) {
        while (*at == ' ' || *at == '\t')
            at++;
        if (*at == 0)
            break;
        if (count == REQUEST_MIX_WORDS_MAX) {
            error_text_set(error, "the command has more than %d words: shorten it",
                           REQUEST_MIX_WORDS_MAX);
            return WEIR_EINVAL;
        }
        bool quoted = *at == '"';
        const char *begin = quoted ? at + 1 : at;
        const char *end = begin + strcspn(begin, quoted ? "\"" : " \t");
        if (quoted && *end == 0) {
            error_text_set(error, "the command '%s' has an open quote: close it", line);
            return WEIR_EINVAL;
        }
        words[count++] = (struct word){.text = begin, .length_bytes = (size_t)(end - begin)};
        at = quoted ? end + 1 : end;
    }
    if (count == 0) {
        error_text_set(error, "the command is empty: give one, e.g. 'SET key:__rand__ __data__'");
        return WEIR_EINVAL;
    }
    *word_count = count;
    return 0;
}

static void emit(struct emitter *emitter, const char *bytes, size_t length_bytes) {
    if (emitter->image)
        memcpy(emitter->image + emitter->length_bytes, bytes, length_bytes);
    emitter->length_bytes += length_bytes;
}

/*
 * A value of letters that does not repeat soon, so that it neither compresses nor looks like RESP.
 */
static void emit_value(struct emitter *emitter) {
    if (emitter->image) {
        struct random random;
        random_seed(&random, emitter->value_bytes);
        for (uint32_t i = 0; i < emitter->value_bytes; i++)
            emitter->image[emitter->length_bytes + i] = (uint8_t)('a' + random_below(&random, 26));
    }
    if (emitter->value_count < REQUEST_MIX_VALUES_PER_REQUEST_MAX)
        emitter->value_offsets[emitter->value_count++] = (uint32_t)emitter->length_bytes;
    emitter->length_bytes += emitter->value_bytes;
}

static bool begins_with(struct word rest, const char *prefix) {
    size_t length = strlen(prefix);
    return rest.length_bytes >= length && memcmp(rest.text, prefix, length) == 0;
}

/* Emits the expanded word; WEIR_ELIMIT when it would be one key too many. */
static int emit_word(struct emitter *emitter, struct word rest) {
    while (rest.length_bytes > 0) {
        size_t used = 1;
        bool is_rand_int = begins_with(rest, "__rand_int__");
        if (is_rand_int || begins_with(rest, "__rand__")) {
            if (emitter->key_count == REQUEST_MIX_KEYS_PER_REQUEST_MAX)
                return WEIR_ELIMIT;
            emitter->key_offsets[emitter->key_count++] = (uint32_t)emitter->length_bytes;
            emit(emitter, "000000000000", REQUEST_MIX_KEY_DIGITS);
            used = strlen(is_rand_int ? "__rand_int__" : "__rand__");
        } else if (begins_with(rest, "__data__")) {
            emit_value(emitter);
            used = strlen("__data__");
        } else {
            emit(emitter, rest.text, 1);
        }
        rest.text += used;
        rest.length_bytes -= used;
    }
    return 0;
}

static void emit_header(struct emitter *emitter, char type, uint64_t number) {
    char header[DECIMAL_BYTES_MAX + 4];
    int length = snprintf(header, sizeof header, "%c%llu\r\n", type, (unsigned long long)number);
    emit(emitter, header, (size_t)length);
}

static int compile(struct emitter *emitter, const struct word *words, uint32_t word_count) {
    emitter->length_bytes = 0;
    emitter->key_count = 0;
    emitter->value_count = 0;
    emit_header(emitter, '*', word_count);
    for (uint32_t i = 0; i < word_count; i++) {
        struct emitter measure = {.value_bytes = emitter->value_bytes};
        int status = emit_word(&measure, words[i]);
        if (status != 0)
            return status;
        emit_header(emitter, '$', measure.length_bytes);
        status = emit_word(emitter, words[i]);
        if (status != 0)
            return status;
        emit(emitter, "\r\n", 2);
        if (emitter->length_bytes > REQUEST_BYTES_MAX)
            return WEIR_ELIMIT;
    }
    return 0;
}

/* Whether a command, by its name, changes something. One that is not known may. */
static bool name_is_write(struct word name) {
    static const char *const machines[] = {"kv", "log"};
    static const char *const readers[] = {"ping", "echo", "info", "time", "command", "hello"};
    for (size_t i = 0; i < ARRAY_COUNT(machines); i++) {
        const struct machine_operations *machine = machine_find(machines[i]);
        for (uint32_t j = 0; j < machine->command_count; j++)
            if (strlen(machine->commands[j].name) == name.length_bytes &&
                strncasecmp(machine->commands[j].name, name.text, name.length_bytes) == 0)
                return (machine->commands[j].flags & MACHINE_WRITE) != 0;
    }
    for (size_t i = 0; i < ARRAY_COUNT(readers); i++)
        if (strlen(readers[i]) == name.length_bytes &&
            strncasecmp(readers[i], name.text, name.length_bytes) == 0)
            return false;
    return true;
}

/* What the load generator knows of a template beside its bytes. */
static void describe(struct request_template *template, const struct word *words,
                     uint32_t word_count) {
    template->word_count = word_count;
    template->is_write = name_is_write(words[0]);
    template->key_word[0] = 0;
    if (word_count > 1 && words[1].length_bytes < sizeof template->key_word &&
        memmem(words[1].text, words[1].length_bytes, "__rand", strlen("__rand")) != NULL) {
        memcpy(template->key_word, words[1].text, words[1].length_bytes);
        template->key_word[words[1].length_bytes] = 0;
    }
}

void request_mix_init(struct request_mix *mix) {
    memset(mix, 0, sizeof *mix);
}

void request_mix_fini(struct request_mix *mix) {
    for (uint32_t i = 0; i < mix->template_count; i++)
        free(mix->templates[i].image);
    request_mix_init(mix);
}

int request_mix_add_template(struct request_mix *mix, const char *line, uint64_t weight,
                             uint32_t value_bytes, struct error_text *error) {
    ASSERT(weight >= 1 && weight <= REQUEST_MIX_WEIGHT_MAX);
    struct word words[REQUEST_MIX_WORDS_MAX];
    uint32_t word_count = 0;
    int status = split_words(line, words, &word_count, error);
    if (status != 0)
        return status;
    if (mix->template_count == REQUEST_MIX_TEMPLATES_MAX) {
        error_text_set(error, "more than %d commands in the mix: remove some",
                       REQUEST_MIX_TEMPLATES_MAX);
        return WEIR_ELIMIT;
    }
    struct emitter emitter = {.value_bytes = value_bytes};
    status = compile(&emitter, words, word_count);
    if (status != 0) {
        error_text_set(error,
                       "the command '%.60s' makes a request over %u bytes or with over %d keys",
                       line, REQUEST_BYTES_MAX, REQUEST_MIX_KEYS_PER_REQUEST_MAX);
        return status;
    }
    emitter.image = malloc(emitter.length_bytes);
    if (!emitter.image) {
        error_text_set(error, "no memory for a request of %llu bytes: reduce --value-size",
                       (unsigned long long)emitter.length_bytes);
        return WEIR_ENOMEM;
    }
    status = compile(&emitter, words, word_count);
    ASSERT(status == 0);
    mix->weight_sum += weight;
    struct request_template *template = &mix->templates[mix->template_count++];
    template->image = emitter.image;
    template->image_bytes = (uint32_t)emitter.length_bytes;
    template->key_count = emitter.key_count;
    memcpy(template->key_offsets, emitter.key_offsets, sizeof template->key_offsets);
    template->value_count = emitter.value_count;
    memcpy(template->value_offsets, emitter.value_offsets, sizeof template->value_offsets);
    describe(template, words, word_count);
    template->weight_end = mix->weight_sum;
    if (template->image_bytes > mix->request_bytes_max)
        mix->request_bytes_max = template->image_bytes;
    return 0;
}

static const char *find_named(const char *name, size_t length_bytes) {
    for (size_t i = 0; i < ARRAY_COUNT(NAMED); i++) {
        if (strlen(NAMED[i].name) == length_bytes && memcmp(NAMED[i].name, name, length_bytes) == 0)
            return NAMED[i].line;
    }
    return NULL;
}

int request_mix_add_named(struct request_mix *mix, const char *text, uint32_t value_bytes,
                          struct error_text *error) {
    for (const char *at = text;;) {
        size_t part_bytes = strcspn(at, ",");
        size_t name_bytes = strcspn(at, ":,");
        uint64_t weight = 1;
        if (name_bytes < part_bytes) {
            const char *digits = at + name_bytes + 1;
            size_t digits_bytes = part_bytes - name_bytes - 1;
            if (decimal_parse_u64(digits, digits_bytes, &weight) != 0 || weight < 1 ||
                weight > REQUEST_MIX_WEIGHT_MAX) {
                error_text_set(error, "'%.*s' has no weight from 1 to %d: write e.g. set:50,get:50",
                               (int)part_bytes, at, REQUEST_MIX_WEIGHT_MAX);
                return WEIR_EINVAL;
            }
        }
        const char *line = find_named(at, name_bytes);
        if (!line) {
            error_text_set(error,
                           "'%.*s' is no command of the mix: choose from %s, or use --command",
                           (int)name_bytes, at, request_mix_names());
            return WEIR_EINVAL;
        }
        int status = request_mix_add_template(mix, line, weight, value_bytes, error);
        if (status != 0)
            return status;
        if (at[part_bytes] == 0)
            return 0;
        at += part_bytes + 1;
    }
}

static void write_key_digits(uint8_t *out, uint64_t key) {
    ASSERT_HOT(key < KEY_PICKER_KEYS_MAX);
    for (int i = REQUEST_MIX_KEY_DIGITS - 1; key > 0; i--) {
        out[i] = (uint8_t)('0' + key % 10);
        key /= 10;
    }
}

const struct request_template *request_mix_pick(const struct request_mix *mix,
                                                struct random *random) {
    ASSERT_HOT(mix->template_count > 0);
    const struct request_template *template = mix->templates;
    if (mix->template_count > 1) {
        uint64_t drawn = random_below(random, mix->weight_sum);
        while (drawn >= template->weight_end)
            template ++;
    }
    return template;
}

void request_template_render(const struct request_template *template, struct key_picker *picker,
                             struct random *random, uint8_t *out) {
    memcpy(out, template->image, template->image_bytes);
    for (uint32_t i = 0; i < template->key_count; i++)
        write_key_digits(out + template->key_offsets[i], key_picker_next(picker, random));
}

size_t request_mix_render(const struct request_mix *mix, struct key_picker *picker,
                          struct random *random, uint8_t *out) {
    const struct request_template *template = request_mix_pick(mix, random);
    request_template_render(template, picker, random, out);
    return template->image_bytes;
}

bool request_mix_has_write(const struct request_mix *mix) {
    bool found = false;
    for (uint32_t i = 0; i < mix->template_count; i++)
        found = found || mix->templates[i].is_write;
    return found;
}
