#!/usr/bin/env bash
# Proof that the crate needs no std: a sysroot with core and alloc alone, and a program that runs on it.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(uname -sm)" = "Linux x86_64" ] || { echo "SKIP: made for Linux on x86_64"; exit 0; }
triple=x86_64-unknown-linux-gnu
target=${CARGO_TARGET_DIR:-target}/no-std
sysroot=$(mkdir -p "$target/sysroot" && cd "$target/sysroot" && pwd)
from=$(rustc --print sysroot)/lib/rustlib/$triple/lib
to=$sysroot/lib/rustlib/$triple/lib
mkdir -p "$to"
for crate in core alloc compiler_builtins; do
  ln -sf "$from"/lib$crate-*.rlib "$to/"
  ln -sf "$from"/lib$crate-*.rmeta "$to/" 2>/dev/null || true
done
export CARGO_TARGET_DIR=$target
for features in "" alloc alloc,portable-atomic; do
  RUSTFLAGS="--sysroot=$sysroot" cargo build --target $triple --no-default-features --features "$features"
done
if RUSTFLAGS="--sysroot=$sysroot" cargo build --target $triple --features std 2>/dev/null; then
  echo "the sysroot has a std after all"; exit 1
fi
RUSTFLAGS="--sysroot=$sysroot -Clink-arg=-nostartfiles -Clink-arg=-nostdlib -Clink-arg=-static -Crelocation-model=static" \
  cargo run --release --target $triple --manifest-path .ci/no_std/Cargo.toml
echo "no_std: built without std, linked without libc, ran"
