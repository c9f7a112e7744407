#!/usr/bin/env bash
# See that the lab's guests can run: a Docker Engine that answers or a dockerd that
# the lab can start, and debootstrap for the guests' root.
set -euo pipefail
. "$(dirname "$0")/say.sh"

# A docker client on the PATH says nothing about an engine: ask the engine.
engine_answers() { command -v docker >/dev/null && docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

missing=()
engine_answers || command -v dockerd >/dev/null || missing+=(docker.io)
command -v iptables >/dev/null || missing+=(iptables)
command -v debootstrap >/dev/null || missing+=(debootstrap)
if [ ${#missing[@]} -eq 0 ]; then
    say engine "a Docker Engine and debootstrap are here"
    exit
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    say engine "missing: ${missing[*]}. Install them, or run as root on a Debian, where this does it by itself."
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
run engine "refreshing the package lists" apt-get update
run engine "installing ${missing[*]}" apt-get install --yes --no-install-recommends "${missing[@]}"
