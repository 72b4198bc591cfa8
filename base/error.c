/* Names and sentences for errors; nothing here can fail. */

#include "base/error.h"

#include "base/assert.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *error_name(int error) {
    switch ((enum weir_error)error) { /* without default: the compiler names a forgotten one */
    case WEIR_OK: return "WEIR_OK";
    case WEIR_EINVAL: return "WEIR_EINVAL";
    case WEIR_ENOMEM: return "WEIR_ENOMEM";
    case WEIR_EFULL: return "WEIR_EFULL";
    case WEIR_EAGAIN: return "WEIR_EAGAIN";
    case WEIR_EIO: return "WEIR_EIO";
    case WEIR_ENOSPC: return "WEIR_ENOSPC";
    case WEIR_ECORRUPT: return "WEIR_ECORRUPT";
    case WEIR_EEXISTS: return "WEIR_EEXISTS";
    case WEIR_ENOENT: return "WEIR_ENOENT";
    case WEIR_EIDENTITY: return "WEIR_EIDENTITY";
    case WEIR_ELOCKED: return "WEIR_ELOCKED";
    case WEIR_EVERSION: return "WEIR_EVERSION";
    case WEIR_EUNSUPPORTED: return "WEIR_EUNSUPPORTED";
    case WEIR_ELIMIT: return "WEIR_ELIMIT";
    case WEIR_ECANCELED: return "WEIR_ECANCELED";
    case WEIR_ECLOSED: return "WEIR_ECLOSED";
    case WEIR_EPROTOCOL: return "WEIR_EPROTOCOL";
    case WEIR_EDENIED: return "WEIR_EDENIED";
    case WEIR_ETIMEDOUT: return "WEIR_ETIMEDOUT";
    case WEIR_EADDRINUSE: return "WEIR_EADDRINUSE";
    }
    return "unknown error";
}

void error_text_set(struct error_text *text, const char *format, ...) {
    ASSERT(format != NULL);
    if (text == NULL)
        return;

    struct error_text fresh; /* arguments may point into *text */
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(fresh.text, sizeof(fresh.text), format, arguments);
    va_end(arguments);
    ASSERT(length >= 0);

    if ((size_t)length >= sizeof(fresh.text))
        memcpy(fresh.text + sizeof(fresh.text) - sizeof("..."), "...", sizeof("..."));
    memcpy(text->text, fresh.text, strlen(fresh.text) + 1);
}
