#!/usr/bin/env python3
"""The public interface, with all features, a line for each item: .ci/public-api.txt.

    .ci/api.py            writes it
    .ci/api.py --check    fails if it is another: a change of the interface is to be seen in the change that makes it

Both then compare it with the last release (the last tag `v*`): what has been there must still be there, unless the version says that it
breaks. Needs cargo-public-api, and a nightly toolchain for rustdoc's JSON."""

import difflib
import os
import subprocess
import sys
import tomllib

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
KEPT = ".ci/public-api.txt"


def output(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return done.stdout if done.returncode == 0 else None


def breaks(old, new):
    """Whether this version may take away what that one had."""
    def left(version):
        numbers = version.split("-")[0].split(".")
        return next((tuple(numbers[: i + 1]) for i, n in enumerate(numbers) if n != "0"), tuple(numbers))
    return left(old) != left(new)


# Without what the compiler derives for every type.
listing = output("cargo", "public-api", "-sss", "--all-features")
if listing is None:
    subprocess.run(["cargo", "public-api", "-sss", "--all-features"])
    sys.exit("cargo public-api has failed: does it know the JSON of this nightly?")
# How things are written may change with the tool.
tool = f"# {output('cargo', 'public-api', '--version').strip()}\n"
listing = tool + listing
kept = open(KEPT).read() if os.path.exists(KEPT) else ""
if "--check" in sys.argv and not kept.startswith(tool):
    print(f"SKIP: {KEPT} was written by another version of cargo-public-api: no verdict")
    sys.stdout.writelines(difflib.unified_diff(kept.splitlines(True), listing.splitlines(True), KEPT, "now", n=0))
elif listing == kept:
    print(f"{KEPT}: {len(kept.splitlines()) - 1} items")
elif "--check" in sys.argv:
    sys.stdout.writelines(difflib.unified_diff(kept.splitlines(True), listing.splitlines(True), KEPT, "now", n=0))
    sys.exit(f"{KEPT} is out of date: if the change is meant, .ci/api.py")
else:
    open(KEPT, "w").write(listing)
    print(f"{KEPT} is new")

tag = (output("git", "describe", "--tags", "--abbrev=0", "--match", "v[0-9]*") or "").strip()
before = tag and output("git", "show", f"{tag}:{KEPT}")
if not before:
    print("SKIP: no release to compare with yet")
else:
    with open("Cargo.toml", "rb") as file:
        version = tomllib.load(file)["package"]["version"]
    gone = sorted(line for line in set(before.splitlines()) - set(listing.splitlines()) if not line.startswith("#"))
    print(f"since {tag}: {len(gone)} items changed or gone")
    print("\n".join(gone))
    if gone and not breaks(tag[1:], version):
        sys.exit(f"version {version} may not take away what {tag} has")
