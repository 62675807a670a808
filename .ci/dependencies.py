#!/usr/bin/env python3
"""The table in README.md of what each feature brings with it.

    .ci/dependencies.py            writes it
    .ci/dependencies.py --check    fails if it is another"""

import os
import subprocess
import sys
import tomllib

sys.dont_write_bytecode = True
import tables

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
with open("Cargo.toml", "rb") as file:
    FEATURES = [name for name in tomllib.load(file)["features"] if name != "default"]


def crates(features, *options):
    """The names of what is built, on 64-bit Linux; build scripts aside."""
    command = ["cargo", "tree", "--edges", "normal", "--prefix", "none", "--format", "{p}",
               "--target", "x86_64-unknown-linux-gnu", "--no-default-features", "--features", features, *options]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return sorted({line.split()[0] for line in out.splitlines() if line} - {"cancel-tree"})


def row(name, features):
    direct, all_of_them = crates(features, "--depth", "1"), crates(features)
    return f"| {name} | {', '.join(direct)} | {len(all_of_them)} |"


lines = ["| feature alone | direct | all |", "|---|---|---:|", row("none", ""), row("default", "default")]
lines += [row(f"`{name}`", name) for name in FEATURES]
lines.append(row("all", ",".join(FEATURES)))
tables.put("README.md", "dependencies", lines, "--check" in sys.argv)
