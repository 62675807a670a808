#!/usr/bin/env python3
"""The documentation as docs.rs makes it, with all features; and whatever is not there without any feature has to name the one that it
needs. Uses a nightly toolchain, as docs.rs does."""

import os
import re
import subprocess
import sys

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))


def pages(folder, flags, *features):
    """The text of each page, by its path."""
    subprocess.run(["cargo", "+nightly", "doc", "--quiet", "--no-deps", "--lib", *features], check=True,
                   env=os.environ | {"RUSTDOCFLAGS": f"--cfg docsrs {flags}", "CARGO_TARGET_DIR": folder})
    top = f"{folder}/doc/cancel_tree"
    found = [os.path.join(path, name) for path, _, names in os.walk(top) for name in names if name.endswith(".html")]
    return {os.path.relpath(path, top): open(path).read() for path in found}


def methods(page):
    """What a page says of each method of the type's own, by its anchor. A section that is not a method ends one."""
    parts = re.split(r'(?=<section id=")', page.split('id="trait-implementations"')[0])
    ids = [re.match(r'<section id="((?:ty)?method\.[^"]+)"', part) for part in parts]
    return {id.group(1): part for id, part in zip(ids, parts) if id}


# Nothing stale may be compared.
subprocess.run(["rm", "-rf", "target/docsrs/doc", "target/docsrs-bare/doc"], check=True)
full = pages("target/docsrs", "-D warnings", "--all-features")
# Without features, links into them lead nowhere.
bare = pages("target/docsrs-bare", "-A warnings", "--no-default-features")
gated, silent = 0, []


def look(name, text):
    global gated
    gated += 1
    if "Available on" not in text:
        silent.append(name)


# (`figures` is there for the documentation, and in no build; `all.html` and the like are lists.)
for path, page in full.items():
    if path in ("all.html", "sidebar-items.js") or "http-equiv=\"refresh\"" in page:
        continue
    if path not in bare:
        look(path, page)
        continue
    there = methods(bare[path])
    for anchor, text in methods(page).items():
        if anchor not in there:
            look(f"{path}#{anchor}", text)

print("\n".join(f"does not name its feature: {name}" for name in silent))
print(f"docs.rs: {len(full)} pages; {gated} items that need a feature, {len(silent)} of them do not say which")
sys.exit(bool(silent) or not gated)
