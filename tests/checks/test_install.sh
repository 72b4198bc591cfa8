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

# What is installed is all that a node needs: it serves load from a directory of nothing else.
cd "$prefix"
mkfifo node.pipe
PATH=$prefix/bin:$PATH
weir --version
weir serve --data data --listen 127.0.0.1:0 </dev/null 2>node.pipe &
node=$!
trap 'kill -KILL "$node" 2>/dev/null || true; rm -rf "$prefix"' EXIT
exec 3<node.pipe
address=
while [ -z "$address" ] && read -r -u 3 line; do
    address=$(sed -n 's/.* event=ready address=\([^ ]*\) .*/\1/p' <<<"$line")
done
weir bench --server "$address" --operations 1000 --mix set:50,get:50
weir top --once --pid "$node" | grep -q '^serialize '
kill -TERM "$node"
cat <&3
wait "$node"
weir inspect --data data | tail -n 1 | grep -qx 'no damage'
