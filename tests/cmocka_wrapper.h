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

#endif
