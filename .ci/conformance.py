#!/usr/bin/env python3
"""Runs the scenario of tests/conformance on every executor, prints a row for each, and keeps the table in README.md.

    .ci/conformance.py            runs, and writes the table
    .ci/conformance.py --check    runs, and fails if the table is another

What cannot be run on this machine is said plainly, and its row stays as it is."""

import os
import shutil
import subprocess
import sys
import tomllib

sys.dont_write_bytecode = True
import tables

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
MORE = "tests/conformance-more"
BUILT = os.path.abspath("target/conformance-more")
# smol reads it: by default it has one thread.
ENVIRONMENT = os.environ | {"SMOL_THREADS": "3"}


def versions(lock):
    with open(lock, "rb") as file:
        return {package["name"]: package["version"] for package in tomllib.load(file)["package"]}


VERSIONS = versions("Cargo.lock") | {
    name: version for name, version in versions(f"{MORE}/Cargo.lock").items() if name not in versions("Cargo.lock")
}


def run(*command, **options):
    print("+", " ".join(command), flush=True)
    done = subprocess.run(command, env=ENVIRONMENT | options.pop("env", {}), stdout=subprocess.PIPE, text=True, **options)
    print(done.stdout, end="", flush=True)
    if done.returncode:
        sys.exit(f"{command[0]} has failed")
    return done.stdout


def wasm(target):
    skip = None
    if not shutil.which("node"):
        skip = "no Node to run it in"
    elif subprocess.run(["rustup", "target", "add", target], capture_output=True).returncode:
        skip = f"rustup cannot add {target}"
    if skip:
        return f"row|written by hand, {target} in Node|-|StaticTimer|SKIP: {skip}\n"
    run("cargo", "build", "--quiet", "--bins", "--target", target, "--manifest-path", f"{MORE}/Cargo.toml",
        env={"CARGO_TARGET_DIR": BUILT})
    return run("node", "--no-warnings", f"{MORE}/run.mjs", target, f"{BUILT}/{target}/debug")


def main():
    harness = ["--", "--nocapture", "--test-threads=1"]
    out = run("cargo", "test", "--quiet", "--features", "full", "--test", "conformance", *harness)
    out += run("cargo", "test", "--quiet", "--manifest-path", f"{MORE}/Cargo.toml", "--test", "more", *harness,
               env={"CARGO_TARGET_DIR": BUILT})
    out += wasm("wasm32-wasip1") + wasm("wasm32-unknown-unknown")

    there = {row.split(" | ")[0]: row for row in tables.rows("README.md", "conformance")}
    lines = ["| executor | crate | deadlines on | |", "|---|---|---|---|"]
    for line in out.splitlines():
        if not line.startswith("row|"):
            continue
        _, executor, package, timer, result = line.split("|")
        crate = "" if package == "-" else f"{package} {VERSIONS[package]}"
        row = f"| {executor} | {crate} | `{timer}` | {result} |"
        print(row)
        if result.startswith("SKIP"):
            row = there.get(row.split(" | ")[0])
        if row:
            lines.append(row)
    tables.put("README.md", "conformance", lines, "--check" in sys.argv)


main()
