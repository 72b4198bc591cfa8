#!/usr/bin/env bash
#
# Installs the build into a scratch directory and uses what is there as a stranger would.

set -euo pipefail

prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT

cmake --install "$WEIR_BINARY_DIR" --prefix "$prefix" >"$prefix/log" ||
    { cat "$prefix/log" && exit 1; }

printf '%s\n' '#include "machines/machine.h"' 'struct machine *unused;' >"$prefix/own.c"
gcc -std=c17 -Wall -Wextra -Werror -fsyntax-only -I "$prefix/include/weir" "$prefix/own.c"

cmp LICENSE "$prefix/share/doc/weir/LICENSE"

# The command is there from the day on which the build has one.
if grep -q '^build weir:' "$WEIR_BINARY_DIR/build.ninja"; then
    "$prefix/bin/weir" --version
fi
