/*
 * LCS: the longest common subsequence of two values.
 *
 * Happy path: the table of lengths is computed row by row, of which one row is kept; of each cell
 * one bit is kept that says which way its length came from. Then the way back is walked along
 * these bits from the last cell, and gives the subsequence from its end to its beginning.
 *
 *     L(i, j)   length of the longest common subsequence of the first i bytes of a and j of b
 *     bit       L(i - 1, j) > L(i, j - 1): the way back goes to i - 1, else to j - 1
 *
 * The shorter value lies along the row. Redis keeps four bytes a cell and refuses where they were
 * more than proto-max-bulk-len. The same values are refused here, though a cell costs a bit:
 * so 4 million cells at 16 MiB, 134 million at 512 MiB, and at most 1/32 of the longest value in
 * memory, taken from the host while the command runs.
 *
 * Rows are at most sqrt(134 million) = 11586 cells, some 30 us: the smallest step.
 */

#include "machines/kv.h"

enum {
    KV_LCS_CELL_BYTES = 4,  /* in Redis */
    KV_LCS_UNIT_CELLS = 32, /* a cell takes some 3 ns */
    KV_LCS_UNIT_STEPS = 16, /* of the way back */
};

/* At the beginning of the scratch memory. */
struct kv_lcs {
    uint32_t row_bytes; /* length of the shorter value, which lies along the row */
    uint32_t rows;      /* length of the longer one */
    uint32_t row;       /* rows computed */
    uint32_t length;    /* of the subsequence, when all are */
    uint32_t i, j;      /* where the way back is */
    uint32_t left;      /* bytes of the subsequence not yet found */
    uint32_t range_a, range_b, range_end_a, range_end_b; /* the range being walked */
    bool in_range;
    bool is_back;         /* the way back has begun */
    uint8_t *text;        /* of the reply; NULL: none */
    uint64_t match_count; /* ranges written */
    struct reply_mark matches;
    uint8_t *bits;      /* NULL: only the length is asked for */
    uint32_t lengths[]; /* the row, with the cell in front of it */
};

/* The two values of one call, and which of them lies along the row. */
struct kv_lcs_values {
    const uint8_t *a, *b;
    uint32_t a_bytes, b_bytes;
    bool a_is_row;
};

static struct kv_lcs_values kv_lcs_values(const struct kv_call *call) {
    const struct kv_found a = kv_find(call, 0, 0);
    const struct kv_found b = kv_find(call, 1, 1);
    struct kv_lcs_values values = {(const uint8_t *)"", (const uint8_t *)"", 0, 0, false};
    if (a.present != NULL) {
        values.a = kv_value(a.present);
        values.a_bytes = kv_value_bytes(a.present);
    }
    if (b.present != NULL) {
        values.b = kv_value(b.present);
        values.b_bytes = kv_value_bytes(b.present);
    }
    values.a_is_row = values.a_bytes < values.b_bytes;
    return values;
}

void kv_scratch_give(struct kv *kv) {
    if (kv->scratch != NULL)
        kv->host.pages_give(kv->host.context, kv->scratch, kv->scratch_bytes);
    kv->scratch = NULL;
    kv->scratch_bytes = 0;
}

/* Takes the memory; false after the error. */
static bool kv_lcs_begin(struct kv_call *call, const struct kv_lcs_values *values,
                         bool only_length) {
    struct kv *kv = call->kv;
    const uint32_t row_bytes = values->a_is_row ? values->a_bytes : values->b_bytes;
    const uint32_t rows = values->a_is_row ? values->b_bytes : values->a_bytes;
    const uint64_t cells = ((uint64_t)row_bytes + 1) * ((uint64_t)rows + 1);
    kv_scratch_give(kv); /* of a call that was abandoned */
    if (cells > kv->options.value_bytes_max / KV_LCS_CELL_BYTES) {
        kv_error(call->reply, "ERR Insufficient memory, transient memory for LCS exceeds "
                              "proto-max-bulk-len");
        return false;
    }
    const size_t row_size = ALIGN_UP(((size_t)row_bytes + 1) * sizeof(uint32_t), (size_t)8);
    const size_t bit_bytes = only_length ? 0 : cells / 8 + 1;
    const size_t length_bytes =
        ALIGN_UP(sizeof(struct kv_lcs) + row_size + bit_bytes, (size_t)MEMORY_PAGE_BYTES);
    kv->scratch = kv->host.pages_take(kv->host.context, length_bytes);
    if (kv->scratch == NULL) {
        kv_error(call->reply, "ERR Insufficient memory, failed allocating transient memory for "
                              "LCS");
        return false;
    }
    kv->scratch_bytes = length_bytes;
    struct kv_lcs *lcs = kv->scratch;
    lcs->row_bytes = row_bytes;
    lcs->rows = rows;
    lcs->bits = only_length ? NULL : (uint8_t *)lcs->lengths + row_size;
    kv_spend(call, 1 + length_bytes / KV_UNIT_BYTES / 8);
    return true;
}

/* ---- The table ------------------------------------------------------------------------------- */

static uint64_t kv_lcs_cell(const struct kv_lcs *lcs, uint32_t row, uint32_t column) {
    return (uint64_t)row * lcs->row_bytes + column;
}

/* The next row. Its cells' bits lie one behind the other. */
static void kv_lcs_row(struct kv_lcs *lcs, const struct kv_lcs_values *values) {
    const uint8_t *across = values->a_is_row ? values->a : values->b;
    const uint8_t byte = values->a_is_row ? values->b[lcs->row] : values->a[lcs->row];
    uint32_t *lengths = lcs->lengths;
    uint32_t diagonal = 0;
    uint64_t cell = kv_lcs_cell(lcs, lcs->row, 0);
    for (uint32_t column = 0; column < lcs->row_bytes; column++, cell++) {
        const uint32_t above = lengths[column + 1];
        const uint32_t before = lengths[column];
        const uint32_t longer = above > before ? above : before;
        lengths[column + 1] = across[column] == byte ? diagonal + 1 : longer;
        if (lcs->bits != NULL) {
            const bool bit = values->a_is_row ? before > above : above > before;
            lcs->bits[cell / 8] |= (uint8_t)(bit << cell % 8);
        }
        diagonal = above;
    }
    lcs->row++;
}

/* ---- The way back ---------------------------------------------------------------------------- */

static void kv_lcs_range_write(struct kv_call *call, struct kv_lcs *lcs,
                               const struct kv_lcs_options *options) {
    const int64_t length = (int64_t)lcs->range_end_a - lcs->range_a + 1;
    lcs->in_range = false;
    if (!options->indexes || length < options->length_min)
        return;
    reply_array(call->reply, 2 + options->with_lengths);
    reply_array(call->reply, 2);
    reply_integer(call->reply, lcs->range_a);
    reply_integer(call->reply, lcs->range_end_a);
    reply_array(call->reply, 2);
    reply_integer(call->reply, lcs->range_b);
    reply_integer(call->reply, lcs->range_end_b);
    if (options->with_lengths)
        reply_integer(call->reply, length);
    lcs->match_count++;
}

/* One step back: over a byte of the subsequence, or over one that is not in it. */
static void kv_lcs_back(struct kv_call *call, struct kv_lcs *lcs,
                        const struct kv_lcs_values *values, const struct kv_lcs_options *options) {
    if (values->a[lcs->i - 1] != values->b[lcs->j - 1]) {
        const uint32_t row = (values->a_is_row ? lcs->j : lcs->i) - 1;
        const uint32_t column = (values->a_is_row ? lcs->i : lcs->j) - 1;
        const uint64_t cell = kv_lcs_cell(lcs, row, column);
        const bool bit = (lcs->bits[cell / 8] >> cell % 8 & 1) != 0;
        lcs->i -= bit;
        lcs->j -= !bit;
        if (lcs->in_range)
            kv_lcs_range_write(call, lcs, options);
        return;
    }
    lcs->i--;
    lcs->j--;
    ASSERT_HOT(lcs->left > 0);
    lcs->left--;
    if (lcs->text != NULL)
        lcs->text[lcs->left] = values->a[lcs->i];
    if (!lcs->in_range) {
        lcs->in_range = true;
        lcs->range_end_a = lcs->i;
        lcs->range_end_b = lcs->j;
    }
    lcs->range_a = lcs->i;
    lcs->range_b = lcs->j;
    if (lcs->i == 0 || lcs->j == 0)
        kv_lcs_range_write(call, lcs, options);
}

/* The way back begins: what stands in front of the ranges, or room for the text. False: there is no
 * room. */
static bool kv_lcs_turn(struct kv_call *call, struct kv_lcs *lcs,
                        const struct kv_lcs_values *values, const struct kv_lcs_options *options) {
    lcs->is_back = true;
    lcs->i = values->a_bytes;
    lcs->j = values->b_bytes;
    lcs->left = lcs->length = lcs->lengths[lcs->row_bytes];
    if (options->indexes) {
        reply_map(call->reply, 2);
        reply_bulk(call->reply, "matches", strlen("matches"));
        lcs->matches = reply_array_begin(call->reply);
        return true;
    }
    lcs->text = reply_bulk_reserve(call->reply, lcs->length);
    return lcs->text != NULL;
}

static void kv_lcs_finish(struct kv_call *call, struct kv_lcs *lcs,
                          const struct kv_lcs_options *options) {
    ASSERT(lcs->left == 0 && !lcs->in_range);
    if (!options->indexes) {
        reply_bulk_commit(call->reply, lcs->length);
        return;
    }
    reply_array_end(call->reply, lcs->matches, lcs->match_count);
    reply_bulk(call->reply, "len", strlen("len"));
    reply_integer(call->reply, lcs->length);
}

/* The rows, then the way back, as far as the budget goes. */
static enum kv_step kv_lcs_go(struct kv_call *call, const struct kv_lcs_values *values,
                              const struct kv_lcs_options *options) {
    struct kv_lcs *lcs = call->kv->scratch;
    for (; lcs->row < lcs->rows && lcs->row_bytes > 0; kv_lcs_row(lcs, values)) {
        if (call->run->budget == 0)
            return KV_MORE;
        kv_spend(call, 1 + lcs->row_bytes / KV_LCS_UNIT_CELLS);
    }
    if (options->length && !options->indexes) {
        reply_integer(call->reply, lcs->lengths[lcs->row_bytes]);
        return KV_DONE;
    }
    if (!lcs->is_back && !kv_lcs_turn(call, lcs, values, options))
        return KV_DONE; /* counted as overflow */
    for (uint32_t step = 0; lcs->i > 0 && lcs->j > 0; step++) {
        if (step % KV_LCS_UNIT_STEPS == 0) {
            if (call->run->budget == 0)
                return KV_MORE;
            kv_spend(call, 1);
        }
        kv_lcs_back(call, lcs, values, options);
    }
    kv_lcs_finish(call, lcs, options);
    return KV_DONE;
}

/* Whether both keys are strings, or absent; else writes the error, which is LCS's own. */
static bool kv_lcs_typed(struct kv_call *call) {
    for (uint32_t i = 0; i < 2; i++) {
        const struct kv_record *present = kv_find(call, i, i).present;
        if (present != NULL && kv_type_of(present) != KV_TYPE_STRING) {
            kv_error(call->reply, "ERR The specified keys must contain string values");
            return false;
        }
    }
    return true;
}

/* Word 0: whether it has begun. */
enum kv_step kv_lcs(struct kv_call *call) {
    const struct machine_operation *operation = call->operation;
    struct kv_lcs_options options;
    if (call->reply == NULL || !kv_lcs_typed(call) ||
        !kv_options_lcs(operation->arguments, operation->argument_count, &options, call->reply))
        return KV_DONE;
    uint64_t *word = call->cursor->word;
    const struct kv_lcs_values values = kv_lcs_values(call);
    const bool only_length = options.length && !options.indexes;
    if (word[0] == 0 && !kv_lcs_begin(call, &values, only_length))
        return KV_DONE;
    word[0] = 1;
    if (kv_lcs_go(call, &values, &options) == KV_MORE)
        return KV_MORE;
    kv_scratch_give(call->kv);
    return KV_DONE;
}
