#!/usr/bin/env bash
# A compiler for bare-metal targets, where rustup cannot add them.
#
#   toolchain.sh FOLDER TARGET...
#
# Unpacks Debian's packaged rustc and the source of its library into FOLDER, compiles core and alloc for each TARGET, and puts
# them to where rustup would have. Installs nothing. FOLDER/bin/rustc is then what cargo needs as RUSTC. A second call does
# what is left to be done; the folder must stay where it is.
# Takes what apt would install, or RUST_DEB_VERSION. Needs apt's lists, a cargo, and an lld: rustup's or Debian's.
set -euo pipefail
mkdir -p "$1"
folder=$(cd "$1" && pwd)
shift

version=${RUST_DEB_VERSION:-$(apt-cache policy rustc-web | sed -n 's/^ *Candidate: //p')}
[ -n "$version" ] && [ "$version" != "(none)" ] || { echo "apt knows no rustc-web"; exit 1; }
release=${version%%+*}  # 1.96.0
library=libstd-rust-web-${release%.*}

fetch() { # the files of packages
  rm -rf "$folder/debs"
  mkdir "$folder/debs"
  (cd "$folder/debs" && apt-get -qq download "$@") 2>"$folder/apt.log" || { cat "$folder/apt.log"; exit 1; }
}

compiler() {
  local llvm lld deb
  llvm=$(apt-cache show "$library=$version" | grep -o 'libllvm[0-9]*' | head -n 1)
  fetch "rustc-web=$version" "$library=$version" "libstd-rust-web-dev=$version" "$llvm"
  for deb in "$folder"/debs/*.deb; do dpkg-deb -x "$deb" "$folder"; done
  # The targets link by `rust-lld`, which Debian's rustc does not bring.
  lld=$(rustc --print sysroot 2>/dev/null || true)/lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld
  [ -x "$lld" ] || lld=$(command -v rust-lld ld.lld ld.lld-14 | head -n 1)
  [ -n "$lld" ] || { echo "no lld: apt-get install lld"; exit 1; }
  mkdir -p "$folder/bin" "$folder/usr/lib/rustlib/x86_64-unknown-linux-gnu/bin"
  ln -sf "$lld" "$folder/usr/lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld"
  cat >"$folder/rustc" <<END
#!/bin/sh
LD_LIBRARY_PATH='$folder/usr/lib/x86_64-linux-gnu' exec '$folder/usr/bin/rustc' "\$@"
END
  chmod +x "$folder/rustc"
  "$folder/rustc" -V
  mv "$folder/rustc" "$folder/bin/rustc"  # last: all is there
}

source_of_library() {
  fetch "rust-web-src=$version"
  dpkg-deb --fsys-tarfile "$folder"/debs/*.deb |
    tar -C "$folder" -x ./usr/lib/rustlib/src "./usr/src/rustc-$release/library" "./usr/src/rustc-$release/Cargo.lock"
}

core_for() { # target
  local to=$folder/usr/lib/rustlib/$1/lib work
  compgen -G "$to/libcore-*.rlib" >/dev/null && return
  work=$(mktemp -d)
  mkdir "$work/src"
  echo '#![no_std]' >"$work/src/lib.rs"
  printf '[package]\nname = "nothing"\nedition = "2021"\n\n[workspace]\n' >"$work/Cargo.toml"
  # Bitcode, for link-time optimisation.
  (cd "$work" && env -u CARGO_ENCODED_RUSTFLAGS RUSTC="$folder/bin/rustc" RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Cembed-bitcode=yes \
    CARGO_TARGET_DIR="$work/target" cargo build --quiet --release -Z build-std=core,alloc --target "$1")
  mkdir -p "$to"
  find "$work/target/$1/release/deps" -name '*.rlib' ! -name 'libnothing-*' -exec cp -t "$to" {} +
  rm -rf "$work"
  echo "core and alloc for $1"
}

[ -x "$folder/bin/rustc" ] || compiler
[ $# = 0 ] || [ -e "$folder/usr/lib/rustlib/src/rust/library/Cargo.lock" ] || source_of_library
rm -rf "$folder/debs"
for target; do core_for "$target"; done
