#!/usr/bin/env python3
"""Breaks the tree in one place at a time, and runs the sweep: it must notice.

    twins.py EMULATOR              the twins in TWINS
    twins.py EMULATOR NAME...      these
    twins.py EMULATOR --all        each that loom-tests/calibrate.py has; those that need two threads pass, and should

EMULATOR is the command that runs an image for the Cortex-M3, in one word. What a twin leaves out stands in the table of
loom-tests/calibrate.py. Works on a copy of the tree.
"""

import ast, os, pathlib, shlex, shutil, subprocess, sys

FIRMWARE = pathlib.Path(__file__).resolve().parent
ROOT = FIRMWARE.parent
TARGET = "thumbv7m-none-eabi"

# At least one for each operation; the fifth is a fault that the tree had, and interrupts found. All that calibrate.py has takes ten minutes.
TWINS = [
    "retain_before_push",
    "announce_sees_the_cancel",
    "last_pruner_sweeps",
    "walkers_follow_the_heir",
    "a_pin_is_no_detachment",
    "losers_help",
    "prevented_or_run",
]


def guards():
    """name: (file, pairs of texts), as calibrate.py has them."""
    table = {}
    for node in ast.parse((ROOT / "loom-tests/calibrate.py").read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "GUARDS":
            for row in node.value.elts:
                try:
                    name, _, file, *pairs = ast.literal_eval(row)
                except ValueError:  # its texts are put together there
                    continue
                table[name] = (file, pairs)
    return table


def broken(text, pairs):
    for old, new in zip(pairs[::2], pairs[1::2]):
        if text.count(old) != 1:
            return None
        text = text.replace(old, new)
    return text


def sweep(copy, target, emulator):
    """Whether it ends well, and what it says."""
    command = ["cargo", "build", "--quiet", "--release", "-p", "firmware-cortex-m", "--bin", "sweep", "--target", TARGET]
    environment = os.environ | {"CARGO_TARGET_DIR": str(target)}
    built = subprocess.run(command, cwd=copy / "firmware", env=environment, capture_output=True, text=True)
    if built.returncode:
        return True, "does not build"  # some are about the heap
    try:
        done = subprocess.run(
            [*shlex.split(emulator), "-kernel", target / TARGET / "release/sweep"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=20,
        )
    except subprocess.TimeoutExpired as timeout:
        return False, "no end, after: " + (timeout.stdout or b"").decode().splitlines()[-1][:36].strip()
    fault = [line for line in done.stdout.splitlines() if "interrupted at" in line]
    what = [line for line in done.stdout.splitlines()[-2:] if line != "FAIL"]
    return done.returncode == 0, "; ".join(fault + what)


def main(emulator, *names):
    table = guards()
    output = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", FIRMWARE / "target")).resolve()
    copy, target = output / "twins/copy", output / "twins/target"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns("target", ".*", "fuzz", "loom-tests"))
    missed = []
    for name in table if names == ("--all",) else names or TWINS:
        file, pairs = table[name]
        path = copy / "src/tree" / file
        sound = path.read_text()
        text = broken(sound, pairs)
        if text is None:
            sys.exit(f"{name}: the text to be replaced is not in {file}, or not once")
        path.write_text(text)
        passed, said = sweep(copy, target, emulator)
        path.write_text(sound)
        print(f"{name}: {'NOT NOTICED' if passed else 'noticed'}: {said}", flush=True)
        missed += [name] * passed
    print(f"not noticed: {len(missed)}")
    sys.exit(bool(missed))


main(*sys.argv[1:])
