#!/usr/bin/env bash
# Packs prebuilt service binaries into images, one a service: `weir-predictor:latest` and so on.
#
#   cargo build --release -p weir-predictor -p weir-transformer -p weir-explainer -p weir-router
#   deploy/images/build.sh [--bin-dir target/release] [--tag latest] [--build-id ID] [service...]
#
# Without a service it packs all four. The build id is the label `org.opencontainers.image.revision`; by default it is what
# `git describe` says. The client is `docker`, or what $DOCKER says, such as `podman`.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
docker=${DOCKER:-docker}
bin_dir=${CARGO_TARGET_DIR:-$root/target}/release
tag=latest
build_id=
services=()

die() {
    echo "build.sh: $*" >&2
    exit 1
}

while [ $# -gt 0 ]; do
    case $1 in
    --bin-dir | --tag | --build-id) [ $# -ge 2 ] || die "$1 needs a value" ;;
    esac
    case $1 in
    --bin-dir) bin_dir=$2 && shift 2 ;;
    --tag) tag=$2 && shift 2 ;;
    --build-id) build_id=$2 && shift 2 ;;
    -h | --help) sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit 0 ;;
    predictor | transformer | explainer | router) services+=("$1") && shift ;;
    *) die "unknown argument \`$1\`; expected --bin-dir, --tag, --build-id, predictor, transformer, explainer or router" ;;
    esac
done
[ ${#services[@]} -gt 0 ] || services=(predictor transformer explainer router)
[ -n "$build_id" ] || build_id=$(git -C "$root" describe --always --dirty 2>/dev/null || echo unknown)
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' "$root/Cargo.toml")

context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT

# Copies a file to its own path below the root of the image. Links are followed: the loader knows the name, not the target.
pack() {
    local target="$context/rootfs$1"
    [ -e "$target" ] || install -D -m 0755 "$1" "$target"
}

# Packs what the binary is linked to. A static binary is linked to nothing.
pack_libraries() {
    local linked library
    linked=$(ldd "$1" 2>&1) || case $linked in
    *"not a dynamic executable"* | *"statically linked"*) return 0 ;;
    *) die "ldd $1: $linked" ;;
    esac
    case $linked in *"not found"*) die "$1 lacks a library: $linked" ;; esac
    # `libc.so.6 => /lib/libc.so.6 (0x...)`, and the loader itself: `/lib64/ld-linux-x86-64.so.2 (0x...)`.
    while read -r library; do
        pack "$library"
        case $library in
        */libc.so.6)
            # glibc before 2.34 looks host names up with libraries that it opens by name, so ldd does not know them.
            for library in "${library%/*}"/lib{nss_dns,nss_files,resolv}.so.2; do
                if [ -e "$library" ]; then pack "$library"; fi
            done
            ;;
        esac
    done < <(sed -n 's/.* => \(\/[^ ]*\) (.*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) (.*/\1/p' <<<"$linked")
}

for service in "${services[@]}"; do
    binary=$bin_dir/$service
    [ -x "$binary" ] || die "$binary is not there; build it with: cargo build --release -p weir-$service"
    rm -rf "$context/rootfs"
    install -D -m 0755 "$binary" "$context/rootfs/service"
    pack_libraries "$binary"
    cp "$here/Dockerfile" "$context/Dockerfile"
    "$docker" build --quiet --tag "weir-$service:$tag" \
        --build-arg "SERVICE=$service" --build-arg "VERSION=$version" --build-arg "BUILD_ID=$build_id" \
        "$context" >/dev/null
    echo "weir-$service:$tag"
done
