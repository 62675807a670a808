#!/usr/bin/env python3
"""Whether the version allows what has changed in the interface, by cargo-semver-checks.

    .ci/semver.py        compares with the last release (the last tag `v*`), and fails if the version should be another
    .ci/semver.py REV    compares with that revision instead, and fails in the same way

Before the first release there is nobody to break: then it says what the last commit would have broken, and that is no failure.
Nothing is asked of a registry but the dependencies. Uses the rustdoc of the default toolchain."""

import os
import re
import subprocess
import sys
import tomllib

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
# What cargo-semver-checks says where it cannot read the JSON of that rustdoc.
UNREADABLE = re.compile("unsupported rustdoc format|rustc version is not high enough")
WRONG_VERSION = 100


def git(*arguments):
    done = subprocess.run(["git", *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def skip(why):
    print(f"SKIP: {why}")
    sys.exit()


tag = git("describe", "--tags", "--abbrev=0", "--match", "v[0-9]*")
base = sys.argv[1] if len(sys.argv) > 1 else tag or "HEAD^"
released = tag or len(sys.argv) > 1
if not git("rev-parse", "--verify", "--quiet", f"{base}^{{commit}}"):
    if len(sys.argv) > 1:
        sys.exit(f"no such revision: {base}")
    skip("no release, and no history here to compare with")
print(f"compared with {base}: {git('log', '-1', '--format=%h %s', base)}", flush=True)
done = subprocess.run(["cargo", "semver-checks", "--all-features", "--baseline-rev", base],
                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
print(done.stdout, end="", flush=True)
if done.returncode == 0:
    sys.exit()
if UNREADABLE.search(done.stdout):
    skip("cargo-semver-checks and this rustc do not go together")
if done.returncode != WRONG_VERSION:
    if not released:
        skip("the last commit cannot be compared, and there is no release yet")
    sys.exit("cargo-semver-checks has not come to a verdict")
if not released:
    print("there is no release yet, so this breaks nobody: no failure")
    sys.exit()
with open("Cargo.toml", "rb") as file:
    version = tomllib.load(file)["package"]["version"]
sys.exit(f"version {version} may not change in this way what {base} has")
