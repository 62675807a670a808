#!/usr/bin/env bash
# Proof that the crate needs no std, and no heap: sysroots with core and alloc, and with core alone, and programs that run
# on them.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(uname -sm)" = "Linux x86_64" ] || { echo "SKIP: made for Linux on x86_64"; exit 0; }
triple=x86_64-unknown-linux-gnu
target=${CARGO_TARGET_DIR:-target}/no-std
from=$(rustc --print sysroot)/lib/rustlib/$triple/lib
link="-Clink-arg=-nostartfiles -Clink-arg=-nostdlib -Clink-arg=-static -Crelocation-model=static"

sysroot() { # name, crates…
  local to=$target/$1/lib/rustlib/$triple/lib crate
  rm -rf "${target:?}/$1"
  mkdir -p "$to"
  for crate in "${@:2}"; do
    ln -sf "$from"/lib"$crate"-*.rlib "$to/"
    ln -sf "$from"/lib"$crate"-*.rmeta "$to/" 2>/dev/null || true
  done
  (cd "$target/$1" && pwd)
}
heap=$(sysroot heap core alloc compiler_builtins)
bare=$(sysroot bare core compiler_builtins)

builds() { # sysroot, features
  RUSTFLAGS="--sysroot=$1" CARGO_TARGET_DIR=$1/target cargo build --quiet --target $triple --no-default-features --features "$2"
}
runs() { # sysroot, arguments
  RUSTFLAGS="--sysroot=$1 $link" CARGO_TARGET_DIR=$1/target \
    cargo run --quiet --release --target $triple --manifest-path .ci/no_std/Cargo.toml "${@:2}"
}

for features in alloc alloc,portable-atomic; do builds "$heap" "$features"; done
for features in "" portable-atomic; do builds "$bare" "$features"; done
if builds "$heap" std 2>/dev/null; then echo "the sysroot has a std after all"; exit 1; fi
if builds "$bare" alloc 2>/dev/null; then echo "the sysroot has an alloc after all"; exit 1; fi
runs "$heap" --features heap --bin heap
runs "$bare" --bin pool
echo "no_std: built without std and without alloc, linked without libc, ran"
