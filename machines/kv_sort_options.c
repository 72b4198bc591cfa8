/* The options of SORT, with Redis's errors in Redis's order. */

#include "machines/kv_sort.h"

/* LIMIT, BY, GET and STORE with what follows them. Returns how many arguments it took; 0: there is
 * an error. (A pattern that is longer than a key is no BY: it would be looked through often.) */
static uint32_t kv_sort_option(const struct machine_argument *arguments, uint32_t at,
                               uint32_t count, bool stores, struct kv_sort_options *options,
                               struct reply_writer *error) {
    const uint32_t following = count - at - 1;
    const struct machine_argument *word = &arguments[at];
    if (following >= 2 && kv_is_word(word, "LIMIT"))
        return kv_integer(&word[1], &options->limit_start, error) &&
                       kv_integer(&word[2], &options->limit_count, error)
                   ? 3
                   : 0;
    if (following >= 1 && stores && kv_is_word(word, "STORE")) {
        options->store = at + 1;
        return 2;
    }
    if (following >= 1 && kv_is_word(word, "BY") && word[1].length_bytes <= KV_KEY_BYTES_MAX) {
        /* Redis looks for the asterisk in front of a zero byte only. */
        const uint32_t length_bytes = word[1].length_bytes;
        const uint8_t *zero = length_bytes > 0 ? memchr(word[1].data, 0, length_bytes) : NULL;
        const size_t seen = zero != NULL ? (size_t)(zero - word[1].data) : length_bytes;
        options->unsorted = true;
        if (seen == 0 || memchr(word[1].data, '*', seen) == NULL)
            return 2;
        kv_error(error, "ERR BY option of SORT denied in cluster mode.");
        return 0;
    }
    const bool gets = following >= 1 && kv_is_word(word, "GET");
    kv_error(error, gets ? "ERR GET option of SORT denied in cluster mode." : kv_error_syntax);
    return 0;
}

bool kv_options_sort(uint32_t row, const struct machine_argument *arguments, uint32_t count,
                     struct kv_sort_options *options, struct reply_writer *error) {
    *options = (struct kv_sort_options){.limit_count = -1};
    ASSERT_HOT(count >= 1);
    if (count > MACHINE_KEY_ARGUMENTS_MAX) {
        kv_error(error, kv_error_syntax);
        return false;
    }
    for (uint32_t at = 1; at < count;) {
        uint32_t taken = 1;
        if (kv_is_word(&arguments[at], "ASC"))
            options->descending = false;
        else if (kv_is_word(&arguments[at], "DESC"))
            options->descending = true;
        else if (kv_is_word(&arguments[at], "ALPHA"))
            options->alpha = true;
        else
            taken = kv_sort_option(arguments, at, count, row == KV_ROW_SORT, options, error);
        if (taken == 0)
            return false;
        at += taken;
    }
    return true;
}

bool kv_validate_sort(uint32_t row, const struct machine_argument *arguments, uint32_t count,
                      const struct machine_options *options, struct reply_writer *error) {
    struct kv_sort_options sort;
    (void)options;
    return kv_options_sort(row, arguments, count, &sort, error);
}
