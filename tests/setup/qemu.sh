#!/usr/bin/env bash
# See that guests of kind vm can run: QEMU, and what their disk is built with.
set -euo pipefail
. "$(dirname "$0")/say.sh"

missing=()
command -v qemu-system-x86_64 >/dev/null || missing+=(qemu-system-x86)
command -v qemu-img >/dev/null || missing+=(qemu-utils)
command -v debootstrap >/dev/null || missing+=(debootstrap)
command -v mke2fs >/dev/null || missing+=(e2fsprogs)
command -v ip >/dev/null || missing+=(iproute2)
if [ ${#missing[@]} -eq 0 ]; then
    say qemu "QEMU and debootstrap are here"
    exit
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    say qemu "missing: ${missing[*]}. Install them, or run as root on a Debian, where this does it by itself."
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
run qemu "refreshing the package lists" apt-get update
run qemu "installing ${missing[*]}" apt-get install --yes --no-install-recommends "${missing[@]}"
