# One voice for the set-up's long steps: what it does, and how long it took.
say() { printf '[setup] %-7s %s\n' "$1" "$2" >&2; }

# run PART WHAT COMMAND...: quiet when it works; shows the command's output when it does not.
run() {
    local part=$1 what=$2 log start
    shift 2
    log=$(mktemp)
    start=$SECONDS
    say "$part" "$what ..."
    if ! "$@" >"$log" 2>&1; then
        say "$part" "failed: $*"
        tail -n 40 "$log" >&2
        rm -f "$log"
        return 1
    fi
    rm -f "$log"
    say "$part" "$what: done in $((SECONDS - start)) s"
}
