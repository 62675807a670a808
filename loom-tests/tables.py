#!/usr/bin/env python3
"""Brings the tables in README.md up to date with a run of the models.

    cargo nextest run --manifest-path loom-tests/Cargo.toml --no-fail-fast --success-output immediate 2>&1 | tee LOG
    loom-tests/tables.py LOG

A row for each model, in the order of its file; which calibrations it has is read out of calibrate.py. Models that the log does
not have keep what stands there.
"""

import pathlib, re, sys

HERE = pathlib.Path(__file__).resolve().parent
HEAD = "| guarantee | actors | preemptions | interleavings | calibrations |\n|---|---|---|---|---|\n"


def explored(log):
    """For each model its actors, its bound, and how many interleavings there were, all searches of it together."""
    found, model = {}, None
    for line in log.splitlines():
        if passed := re.search(r"PASS .*?\] .*?(\w+)$", line):
            model = passed[1]
        elif row := re.search(r"EXPLORED \| (.*?) \| (\d+) \| (\d+) \| all \|", line):
            before = found.get(model, (0, 0, 0))[2]
            found[model] = (row[1], row[2], int(row[3]) + before)
    return found


def calibrations():
    text = (HERE / "calibrate.py").read_text()
    names = {}
    for name, model in re.findall(r'^    \("(\w+)", (?:IN_THE_TIMER \+ )?"(?:\w+ )?(\w+)"', text, re.M):
        names.setdefault(model, []).append(f"`{name}`")
    return names


def main():
    found, names = explored(pathlib.Path(sys.argv[1]).read_text(errors="replace")), calibrations()
    readme = (HERE / "README.md").read_text()

    def table(match):
        title, file, text = match[1], HERE / match[2], match[3]
        if not file.exists():
            file = HERE.parent / match[2]
        old = {cells[0]: cells for row in text.splitlines() if row.startswith("| ") and len(cells := row.strip("| ").split(" | ")) >= 4}
        rows = []
        for model in re.findall(r"#\[test\]\n(?:    )?fn (\w+)\(", file.read_text()):
            guarantee = model.removeprefix("model_").replace("_", " ")
            cells = found.get(model) or tuple(old.get(guarantee, [""] * 4)[1:4])
            rows.append(f"| {guarantee} | {cells[0]} | {cells[1]} | {cells[2]} | {', '.join(names.get(model, []))} |\n")
        return title + text[: text.index(HEAD)] + HEAD + "".join(rows)

    readme = re.sub(r"(### [^\n]*`((?:tests|src)/[\w/]+\.rs)`\n)((?:(?!\n### |\n## ).)*?" + re.escape(HEAD) + r"(?:\|[^\n]*\n)*)", table, readme, flags=re.S)
    (HERE / "README.md").write_text(readme)


main()
