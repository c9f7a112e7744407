#!/usr/bin/env bash
# Build the lab. usage: lab.sh OUTPUT
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/say.sh"
mkdir -p "$(dirname "$1")"
output=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
go=$("$here/go.sh")
cd "$here/../lab"
run lab "fetching the lab's Go modules" "$go" mod download
run lab "building the lab (about a minute the first time)" env CGO_ENABLED=0 "$go" build -trimpath -ldflags "-X bonneville.vsphere/lab/program.Go=$go" -o "$output" .
