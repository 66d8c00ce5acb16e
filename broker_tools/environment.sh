# What broker_tools/run and tests/run share: a Python, a virtual environment in .venv with this checkout installed
# in it, and the way to install a program of the system. Plain POSIX sh; ROOT is the checkout.

say() {
    printf 'otafleet: %s\n' "$*" >&2
}

stop() {
    say "$*"
    exit 1
}

# Root's rights without a question, or not at all: nobody may be there to type a password.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

# system_install WHAT APT_PACKAGE BREW_PACKAGE: install with the system's package manager, or say what to type.
system_install() {
    if command -v apt-get >/dev/null 2>&1; then
        if as_root true 2>/dev/null; then
            say "installing $2"
            # The package lists of a fresh container are empty: get them only when the first try fails.
            as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y "$2" >/dev/null 2>&1 && return 0
            as_root apt-get update -qq >&2
            as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y "$2" >&2 && return 0
        fi
        stop "$1 is missing; install it with: sudo apt-get install $2"
    fi
    if [ -n "$3" ] && command -v brew >/dev/null 2>&1; then
        say "installing $3"
        brew install --quiet "$3" >&2 && return 0
        stop "$1 is missing; install it with: brew install $3"
    fi
    stop "$1 is missing; install it and try again"
}

# Print the path of a usable Python: 3.11 to 3.14, for which there are wheels of MicroPython and the embedded broker.
find_python() {
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.14 python3.13 python3.12 python3.11; do
        "$candidate" -c '
import sys
if not (3, 11) <= sys.version_info < (3, 15):
    sys.exit(1)
print(sys.executable)' 2>/dev/null && return 0
    done
    return 1
}

# Debian ships Python without the parts that make a virtual environment.
require_venv() {
    "$1" -c 'import ensurepip, venv' 2>/dev/null && return 0
    version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    system_install "Python's venv module" "python$version-venv" ""
}

# prepare EXTRA: make .venv if it is missing or broken and install this checkout into it with that extra ("" or "test").
# A stamp of what was installed makes the second time fast; the checkout is part of it, because a moved .venv is broken.
prepare() {
    stamp="$(cksum <"$ROOT/pyproject.toml") $ROOT"
    installed=$(cat "$ROOT/.venv/otafleet-stamp" 2>/dev/null)
    if "$ROOT/.venv/bin/python" -c '' 2>/dev/null; then
        # What the tests need includes what the command needs.
        case "$installed" in
            "test $stamp" | "$1 $stamp") return 0 ;;
        esac
    fi
    case "$installed" in
        "test "*) extra=test ;;
        *) extra=$1 ;;
    esac

    python=$(find_python) || {
        if command -v apt-get >/dev/null 2>&1; then
            system_install "Python 3.11 or newer" python3 ""
        fi
        python=$(find_python) || stop "Python 3.11 to 3.14 is missing; install it, or name it: PYTHON=/path/to/python3"
    }
    require_venv "$python"
    say "preparing $ROOT/.venv with $python (once, about a minute)"
    "$python" -m venv --clear "$ROOT/.venv" || stop "$python could not make $ROOT/.venv (see above)"
    "$ROOT/.venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --editable "$ROOT${extra:+[$extra]}" >&2 || stop "pip could not install what otafleet needs (see above)"
    printf '%s %s' "$extra" "$stamp" >"$ROOT/.venv/otafleet-stamp"
}
