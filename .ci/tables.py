"""Tables in documents that a program makes: between `<!-- NAME: made by ... -->` and `<!-- end of NAME -->`."""

import difflib
import re
import sys


def _between(text, name):
    match = re.search(rf"(<!-- {name}: [^\n]*-->\n)(.*?)(<!-- end of {name} -->)", text, re.DOTALL)
    if not match:
        sys.exit(f"there is no place for the table '{name}'")
    return match


def rows(path, name):
    """The table's rows that are there now."""
    return _between(open(path).read(), name).group(2).splitlines()


def put(path, name, lines, check):
    """Writes the table, or, with `check`, only says what would change, and then fails."""
    text = open(path).read()
    match = _between(text, name)
    new = text[: match.start(2)] + "\n".join(lines) + "\n" + text[match.end(2):]
    if new == text:
        print(f"{path}: the table '{name}' is as it should be")
    elif check:
        sys.stdout.writelines(difflib.unified_diff(text.splitlines(True), new.splitlines(True), path, "made anew", n=0))
        sys.exit(f"{path}: the table '{name}' is out of date")
    else:
        open(path, "w").write(new)
        print(f"{path}: the table '{name}' is new")
