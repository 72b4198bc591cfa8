#ifndef WEIR_TESTS_CMOCKA_WRAPPER_H
#define WEIR_TESTS_CMOCKA_WRAPPER_H

/*
 * cmocka, with what its header expects to be included before it. Every test includes this file
 * and not <cmocka.h>: the order is then right in one place.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Whether a sanitizer slows the test down several times: then it does less of the same. */
#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define WEIR_SANITIZER_BUILD 1
#else
#define WEIR_SANITIZER_BUILD 0
#endif

#endif
