#!/bin/sh
# The first argument names a script, the others are its flags: predict /data --output /out/predictions.csv
set -eu

fail() {
    echo "error: $1" >&2
    exit 2
}

name=${1:-}
if [ ! -f "/app/scripts/$name.py" ]; then
    names=$(cd /app/scripts && echo ./*.py | sed 's|\./||g; s|\.py||g')
    fail "Expected one of $names, found '$name'; give it first, and --help after it for its flags."
fi
shift
if [ -d /out ] && [ ! -w /out ] && [ "${1:-}" != --help ]; then
    fail "Expected /out to be a folder that user $(id -u) may write to, found none; run the container with -v \"\$PWD/out:/out\" --user \"\$(id -u):\$(id -g)\"."
fi
exec python "/app/scripts/$name.py" "$@"
