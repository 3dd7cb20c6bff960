# deploy/lib.sh: what the scripts here share. Sourced, not run; the caller sets `root` to the clone's folder.

# say WORDS: one line with the seconds since the script began.
say() { printf '[%4ds] %s\n' "$SECONDS" "$*"; }

# fail WORDS: says why, and ends the script.
fail() {
    printf '[%4ds] %s: %s\n' "$SECONDS" "${0##*/}" "$*" >&2
    exit 1
}

# logged FILE COMMAND...: runs a command with its output in FILE; shows the last lines of it if the command fails.
logged() {
    local log=$1
    shift
    mkdir -p "$(dirname "$log")"
    if "$@" >"$log" 2>&1 </dev/null; then
        return 0
    fi
    printf 'this failed: %s\n' "$*" >&2
    tail -n 20 "$log" | sed 's/^/    /' >&2
    printf 'all of it is in %s\n' "$log" >&2
    return 1
}

# progress: passes a build's output on; away from a terminal only one "[done/all]" line each ten seconds, and everything
# that is no such line (that is, what a compiler complains about).
progress() {
    local line next=0
    while IFS= read -r line; do
        if [[ ! $line =~ ^\[[0-9]+/[0-9]+ ]]; then
            printf '%s\n' "$line"
        elif ((SECONDS >= next)); then
            printf '         %s\n' "${line:0:110}"
            next=$((SECONDS + 10))
        fi
    done
}

# build PRESET [TARGET...]: configures if that was not done yet, and builds.
build() {
    local preset=$1 folder=$root/build/$1 started=$SECONDS
    shift
    if [[ ! -f $folder/build.ninja ]]; then
        logged "$folder/configure.log" cmake --preset "$preset" -S "$root" || return 1
    fi
    if [[ -t 1 ]]; then
        ninja -C "$folder" "$@" || return 1
    else
        ninja -C "$folder" "$@" | progress || return 1
    fi
    say "built preset $preset in $((SECONDS - started)) s"
}

# interpreter VERSION: a Python of that version on this machine; nothing if there is none. A version manager's shims are
# on the PATH even where they refuse to work, so its folder is looked into.
interpreter() {
    local candidate
    for candidate in /usr/bin/python"$1" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$1".*/bin/python \
        "$(UV_PYTHON_DOWNLOADS=never "$root/build/tools/bin/uv" python find --no-project "$1" 2>/dev/null || true)"; do
        if [[ -x $candidate ]] && "$candidate" -c 'import ssl, sqlite3, venv' 2>/dev/null; then
            printf '%s\n' "$candidate"
            return
        fi
    done
}
