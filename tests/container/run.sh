#!/usr/bin/env bash
# Builds both images and uses them, without a Docker engine: as root on Debian, with buildah, debootstrap and pip.
#
# The settings of this machine's pip hold for the builds, and are in no image. BASE_IMAGE names an image to build on, in
# place of a Debian that is made here. TMPDIR must have 30 GB.
set -euo pipefail
cd "$(dirname "$0")/../.."

scratch=$(mktemp -d)
export BUILDAH_ISOLATION=chroot
engine=(buildah --storage-driver "${STORAGE_DRIVER:-vfs}" --root "$scratch/storage" --runroot "$scratch/runroot")
clean_up() {
    "${engine[@]}" rm --all >"$scratch/removed" 2>&1 || cat "$scratch/removed"
    rm -rf "$scratch"
}
trap clean_up EXIT

owner=4242  # has no line in /etc/passwd
out=$scratch/out
data=$scratch/data
mkdir -m 755 "$out"
mkdir -m 777 "$data"
chown "$owner:$owner" "$out"
chmod 755 "$scratch"

expect() {
    local what=$1
    shift
    "$@" || { echo "FAILED: $what" >&2; exit 1; }
    echo "ok: $what"
}

make_base_image() {
    local mirror container
    # shellcheck disable=SC2016  # the variables are apt's
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Codename: bookworm' 'Component: main' | sed -n 1p)
    debootstrap --variant=minbase --include=python3,python3-venv,python3-pip,ca-certificates \
        bookworm "$scratch/rootfs" "$mirror" >"$scratch/debootstrap.log" || { cat "$scratch/debootstrap.log" >&2; exit 1; }
    container=$("${engine[@]}" from scratch)
    "${engine[@]}" copy --quiet "$container" "$scratch/rootfs" / >/dev/null
    "${engine[@]}" commit --quiet --rm "$container" localhost/base >/dev/null
    rm -rf "$scratch/rootfs"
    echo localhost/base
}

build() {  # a target of the Dockerfile
    SECONDS=0
    "${engine[@]}" bud --quiet --layers=false --target "$1" --build-arg "BASE_IMAGE=$base_image" "${secrets[@]}" \
        --tag "localhost/hfaudio:$1" . >"$scratch/build.log" 2>&1 || { cat "$scratch/build.log"; exit 1; }
    containers[$1]=$("${engine[@]}" from "localhost/hfaudio:$1")
    echo "built: $1 in $SECONDS s, $("${engine[@]}" images --format '{{.Size}}' "localhost/hfaudio:$1")"
}

# What `docker run --network none --user $owner --volume …` does: in_image TARGET VOLUME… -- COMMAND…
in_image() {
    local target=$1 volumes=()
    shift
    while [ "$1" != -- ]; do
        volumes+=(--volume "$1")
        shift
    done
    unshare --net "${engine[@]}" run --user "$owner:$owner" "${volumes[@]}" "${containers[$target]}" "$@"
}

# Whether hfaudio ends with an exit code: ends_with CODE TARGET VOLUME… -- FLAGS…; what it prints is kept.
ends_with() {
    local code=$1 found=0 before=()
    shift
    while [ "$1" != -- ]; do
        before+=("$1")
        shift
    done
    shift
    in_image "${before[@]}" -- docker-entrypoint.sh "$@" >"$scratch/printed" 2>&1 || found=$?
    [ "$found" = "$code" ] || { cat "$scratch/printed"; return 1; }
}

# Whether what was printed is one sentence with these words.
says() {
    [ "$(grep -c '^error: ' "$scratch/printed")" = 1 ] && grep -q -- "$1" "$scratch/printed" &&
        ! grep -q Traceback "$scratch/printed"
}

owned() { [ "$(stat --format %u:%g "$1")" = "$owner:$owner" ]; }

setting() { "${engine[@]}" inspect --type image --format "{{.OCIv1.Config.$2}}" "localhost/hfaudio:$1"; }

rows() { grep -cE "$1" "$out/predictions.csv"; }

SECONDS=0
mkdir "$scratch/pip"
python3 tests/container/pip_settings.py "$scratch/pip"
secrets=()
for file in "$scratch"/pip/*; do
    secrets+=(--secret "id=$(basename "$file"),src=$file")
done
base_image=${BASE_IMAGE:-$(make_base_image)}
echo "base image: $base_image in $SECONDS s"
declare -A containers
build predict
build train

for target in predict train; do
    expect "$target: starts with the entrypoint" [ "$(setting $target Entrypoint)" = "[docker-entrypoint.sh]" ]
    expect "$target: is not root" [ "$(setting $target User)" = 10001:10001 ]
    # shellcheck disable=SC2016  # expanded inside
    expect "$target: holds neither pip's settings nor certificates of this machine" \
        in_image $target -- sh -c '! ls /etc/pip.conf /run/secrets/* 2>/dev/null && ! env | grep -i ^pip_'
    expect "$target: has no network here" in_image $target -- \
        python -c 'import socket; assert [name for _, name in socket.if_nameindex()] == ["lo"]'
done
for package in torch transformers; do
    expect "predict: no $package" in_image predict -- \
        python -c "from importlib.util import find_spec; assert find_spec('$package') is None"
done
expect "train: torch for a GPU" in_image train -- python -c 'import torch; assert torch.version.cuda, torch.version'

SECONDS=0
expect "train: says what to mount" ends_with 2 train -- train --max_steps 4
expect "… in one sentence" says '--user'
expect "train: four steps" ends_with 0 train "$out:/out" -- train --max_steps 4 --output_dir /out/sounds
expect "train: the model is the caller's" owned "$out/sounds/model.safetensors"
expect "train: a graph" ends_with 0 train "$out:/out" -- export_onnx --model /out/sounds
echo "trained and exported in $SECONDS s"

python3 - "$data" <<'PYTHON'
import random, sys, wave

for number in range(3):
    with wave.open(f"{sys.argv[1]}/noise-{number}.wav", "wb") as file:
        file.setparams((2, 2, 44_100, 0, "NONE", ""))
        file.writeframes(random.Random(number).randbytes(44_100 * 4 * (number + 1)))
PYTHON
echo "no sound" >"$data/broken.wav"
mounts=("$out/sounds:/model:ro" "$data:/data:ro" "$out:/out")

expect "predict: says that a command is missing" ends_with 2 predict --
expect "… in one sentence" says predict
expect "predict: says that a model is missing" ends_with 2 predict -- predict /app
expect "… in one sentence" says 'at /model'
expect "predict: says that the output's folder is missing" \
    ends_with 2 predict "$out/sounds:/model:ro" "$data:/data:ro" -- predict /data --output /out/predictions.csv
expect "… in one sentence" says 'folder /out'
SECONDS=0
expect "predict: a broken file gives exit code 3" \
    ends_with 3 predict "${mounts[@]}" -- predict /data --output /out/predictions.csv
echo "predicted in $SECONDS s"
expect "predict: the table is the caller's" owned "$out/predictions.csv"
expect "predict: three rows with a class" [ "$(rows '^/data/noise-.\.wav,0.0,[1-3].0,[^,]+,0\.[0-9]+,\s*$')" = 3 ]
expect "predict: a row with an error" [ "$(rows '^/data/broken.wav,0.0,0.0,,,not readable')" = 1 ]
expect "predict: nothing else is left in the folder" [ "$(ls -A "$out")" = $'predictions.csv\nsounds' ]
expect "predict: Parquet" ends_with 0 predict "${mounts[@]}" -- predict /data/noise-0.wav --output /out/one.parquet
expect "predict: the recordings were read-only" \
    in_image predict "$data:/data:ro" -- sh -c 'touch /data/written 2>&1 | grep "Read-only"'
mkdir -m 755 "$scratch/foreign"
expect "predict: says that it may not write" ends_with 2 predict "$out/sounds:/model:ro" "$data:/data:ro" \
    "$scratch/foreign:/out" -- predict /data --output /out/predictions.csv
expect "… in one sentence" says '--user'
rm "$out/sounds/model.onnx"
expect "predict: says that the graph is missing" ends_with 2 predict "${mounts[@]}" -- predict /data
expect "… in one sentence" says 'export_onnx'
echo "all well"
