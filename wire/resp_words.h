/* The words of an inline command, by the quoting rules of Redis (its sdssplitargs):
 *
 *     word        bytes up to a space; quotes may open anywhere in it
 *     "..."       \n \r \t \b \a, \xHH (two hexadecimal digits), \ and any other byte for that byte
 *     '...'       \' for a quote; every other byte stands for itself
 *
 * A closing quote ends the word and must be followed by a space or the line's end. Between words
 * all of isspace separates; inside, \v and \f do not end a word.
 */
#ifndef WEIR_WIRE_RESP_WORDS_H
#define WEIR_WIRE_RESP_WORDS_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/resp_parse.h"

/* What may separate words: isspace in the C locale. */
bool resp_is_space(uint8_t byte);

/* Unquote, in place, the word that begins at bytes[*cursor], which is no space, in a line that ends
 * before bytes[line_end]. On true *word is the result, within the bytes it came from, and *cursor
 * is behind them. On false a quote is not closed, or
 * closed inside a word: the word's bytes and *cursor are then meaningless. Pure. */
bool resp_unquote_word(uint8_t *bytes, uint32_t *cursor, uint32_t line_end,
                       struct resp_argument *word);

#endif
