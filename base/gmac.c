/*
 * GMAC by libcrypto's EVP_CIPHER: encryption of nothing, with additional data.
 *
 * bench/mac_bench prints what a tag costs, beside HMAC-SHA-256 of the same bytes;
 * docs/architecture.md has the figures of this and of what else was looked at. EVP_MAC offers GMAC
 * too, over the same code; it takes 80 ns more a tag to set a nonce.
 */

#include "base/gmac.h"

#include <limits.h>

#include "base/assert.h"

#include <openssl/evp.h>

enum {
    UPDATE_BYTES_MAX = 1 << 30, /* in one call: EVP counts in int */
};
_Static_assert((int)UPDATE_BYTES_MAX < INT_MAX, "a piece's length is an int");

static const uint8_t no_key[GMAC_KEY_BYTES];

int gmac_create(struct gmac *gmac, struct error_text *error) {
    *gmac = (struct gmac){.context = NULL};
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    if (cipher == NULL) {
        error_text_set(error, "libcrypto does not offer AES-256-GCM: see its configuration");
        return WEIR_EUNSUPPORTED;
    }
    ASSERT(EVP_CIPHER_get_key_length(cipher) == (int)GMAC_KEY_BYTES);
    ASSERT(EVP_CIPHER_get_iv_length(cipher) == (int)GMAC_NONCE_BYTES);
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    /* With a key, so that what a key takes is there from now on. */
    if (context == NULL || EVP_EncryptInit_ex(context, cipher, NULL, no_key, NULL) != 1) {
        EVP_CIPHER_CTX_free(context);
        EVP_CIPHER_free(cipher);
        error_text_set(error, "no memory for the tags of messages");
        return WEIR_ENOMEM;
    }
    EVP_CIPHER_free(cipher); /* the context has it, too */
    gmac->context = context;
    return WEIR_OK;
}

void gmac_destroy(struct gmac *gmac) {
    if (gmac->context == NULL)
        return;
    gmac_key_clear(gmac);
    EVP_CIPHER_CTX_free(gmac->context);
    *gmac = (struct gmac){.context = NULL};
}

static void key_put(struct gmac *gmac, const uint8_t key[GMAC_KEY_BYTES]) {
    ASSERT(gmac->context != NULL);
    const int set = EVP_EncryptInit_ex(gmac->context, NULL, NULL, key, NULL);
    ASSERT(set == 1); /* it cannot fail: the cipher and its context are there */
    gmac->begun = false;
}

void gmac_key_set(struct gmac *gmac, const uint8_t key[GMAC_KEY_BYTES]) {
    key_put(gmac, key);
    gmac->has_key = true;
}

void gmac_key_clear(struct gmac *gmac) {
    if (gmac->has_key)
        key_put(gmac, no_key); /* its tables take the place of the key's */
    gmac->has_key = false;
}

void gmac_begin(struct gmac *gmac, const uint8_t nonce[GMAC_NONCE_BYTES]) {
    ASSERT(gmac->has_key);
    const int set = EVP_EncryptInit_ex(gmac->context, NULL, NULL, NULL, nonce);
    ASSERT(set == 1);
    gmac->begun = true;
}

void gmac_update(struct gmac *gmac, const void *data, size_t length_bytes) {
    const uint8_t *bytes = data;
    ASSERT(gmac->begun && (bytes != NULL || length_bytes == 0));
    while (length_bytes > 0) {
        const size_t piece = length_bytes < UPDATE_BYTES_MAX ? length_bytes : UPDATE_BYTES_MAX;
        int written; /* nothing: additional data has no place to go */
        const int added = EVP_EncryptUpdate(gmac->context, NULL, &written, bytes, (int)piece);
        ASSERT(added == 1);
        bytes += piece;
        length_bytes -= piece;
    }
}

void gmac_end(struct gmac *gmac, uint8_t out[GMAC_BYTES]) {
    uint8_t nothing[GMAC_BYTES];
    int written;
    ASSERT(gmac->begun);
    const int ended = EVP_EncryptFinal_ex(gmac->context, nothing, &written);
    const int tagged = EVP_CIPHER_CTX_ctrl(gmac->context, EVP_CTRL_AEAD_GET_TAG, GMAC_BYTES, out);
    ASSERT(ended == 1 && written == 0 && tagged == 1);
    gmac->begun = false;
}
