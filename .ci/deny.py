#!/usr/bin/env python3
"""Licences, duplicates and sources of all that the crate can bring with it, on any target, by .ci/deny.toml: the part of
cargo-deny that needs no installation. (Advisories are cargo-deny's.)"""

import json
import os
import re
import subprocess
import sys
import tomllib

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
with open(".ci/deny.toml", "rb") as file:
    CONFIG = tomllib.load(file)
REGISTRY = "registry+https://github.com/rust-lang/crates.io-index"


def allowed(expression):
    """An SPDX expression: `OR` binds less than `AND`."""
    tokens = re.findall(r"[()]|[^\s()/]+(?: WITH [^\s()]+)?|/", expression)

    def either():
        result = both()
        while tokens and tokens[0] in ("OR", "/"):
            tokens.pop(0)
            result = both() or result
        return result

    def both():
        result = one()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            result = one() and result
        return result

    def one():
        token = tokens.pop(0)
        if token != "(":
            return token in CONFIG["licenses"]["allow"]
        result = either()
        tokens.pop(0)
        return result

    return either()


metadata = json.loads(subprocess.run(
    ["cargo", "metadata", "--format-version", "1", "--all-features", "--locked"], check=True, stdout=subprocess.PIPE).stdout)
nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
packages = {package["id"]: package for package in metadata["packages"]}
root = metadata["resolve"]["root"]
found, stack = {root}, [root]
while stack:
    for dependency in nodes[stack.pop()]["deps"]:
        used = any(kind["kind"] != "dev" for kind in dependency["dep_kinds"])
        if used and dependency["pkg"] not in found:
            found.add(dependency["pkg"])
            stack.append(dependency["pkg"])

wrong, versions = [], {}
skipped = {entry["crate"] if isinstance(entry, dict) else entry for entry in CONFIG["bans"]["skip"]}
for package in (packages[id] for id in sorted(found)):
    name = f"{package['name']} {package['version']}"
    if f"{package['name']}@{package['version']}" not in skipped:
        versions.setdefault(package["name"], []).append(package["version"])
    if not package["license"] or not allowed(package["license"]):
        wrong.append(f"{name}: licence {package['license']}")
    if package["id"] != root and package["source"] != REGISTRY:
        wrong.append(f"{name}: comes from {package['source']}")
wrong += [f"{name}: {' and '.join(several)}" for name, several in versions.items() if len(several) > 1]
wrong += [f"{dependency['name']}: any version" for dependency in packages[root]["dependencies"] if dependency["req"] == "*"]
print("\n".join(wrong) or f"{len(found) - 1} packages: licences, versions and sources are allowed")
sys.exit(bool(wrong))
