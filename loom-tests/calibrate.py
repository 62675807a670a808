#!/usr/bin/env python3
"""Breaks the core in one place at a time; the models must notice.

    calibrate.py                 each guard, re-check and order of steps is removed once (the table below)
    calibrate.py --orderings     each memory ordering is weakened once
    calibrate.py ... NAME        only those whose name contains NAME

Works on a copy of the tree, at the bounds that the models have by themselves. A twin that is not noticed, or a text that
is no longer found, fails the run. What a weakened ordering may do without being noticed is listed in ARGUED, each with
its reason; nothing else may survive.
"""

import argparse, os, pathlib, re, shutil, subprocess, sys, tempfile, time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
TREE = "src/tree/"

# name, file, what stands there, what the broken twin has instead
GUARDS = [
    ("retry", "state.rs", "(State(left.0 | RETRY), Duty::None)", "(left, Duty::None)"),
    ("retain_before_push", "birth.rs", "        at(parent).state.add_child();\n", "        // late\n",
     "Ok(()) => return true,", "Ok(()) => {\n at(parent).state.add_child();\n return true;\n }",
     "        at(parent).state.cancel_child();\n", ""),
    ("born_cancelled_flags_the_parent", "birth.rs", "        raise_flag(parent);\n", ""),
    ("temporary_claim", "release.rs", "at(parent).state.add_child();", "",
     "claims = CHILD * (1 + reap(parent, node, bin));",
     "claims = CHILD * (Word::from(duty != Duty::Relocate) + reap(parent, node, bin));"),
    ("handed", "release.rs", "if !at(node).state.hand_over().is_linked() {\n                bin.put(node);\n            }",
     "at(node).state.hand_over();\n            bin.put(node);"),
    ("handed_by_pin_holder", "release.rs", "if state.is_dead() { state.unpinned().handed() } else { state.unpinned() }",
     "state.unpinned()"),
    ("news_by_read_modify_write", "prune.rs", "            if head.is_pruning() {\n                // A read-modify-write",
     "            if head.has_news() {\n                return 0;\n            }\n            if head.is_pruning() {\n                // A read-modify-write"),
    ("mark_before_stack", "prune.rs",
     "if at(parent).head.replace(head, head.without(MARKED), Acquire, Relaxed).is_ok() {\n                    todo = at(parent).dead.swap(ptr::null_mut(), Acquire); // Acquire (E3).\n                }",
     "todo = at(parent).dead.swap(ptr::null_mut(), Acquire);\n at(parent).head.change(Acquire, |head| head.without(MARKED));"),
    ("limbo", "prune.rs", "return claims + leave_cancelled(parent, unlinked, bin);",
     "bin.put_all(unlinked.0);\n                return claims + leave_cancelled(parent, Unlinked(ptr::null_mut()), bin);"),
    ("last_pruner_sweeps", "prune.rs", ".is_done() { sweep(parent, bin) } else { 0 }",
     ".is_done() { 0 } else { let _ = sweep; let _ = bin; 0 }"),
    ("dead_stack_is_closed", "sweep.rs", "at(parent).dead.swap(Node::CLOSED, AcqRel)", "at(parent).dead.swap(ptr::null_mut(), AcqRel)"),
    ("fixed_steps_off", "prune.rs", "            if ptr::eq(*fixed, node) {", "            if false && ptr::eq(*fixed, node) {"),
    ("claim_check", "collapse.rs", "if at(relay).state.load(Acquire).has_one_child_only() {",
     "if at(relay).state.load(Acquire).has_one_child_only() || true {"),
    ("commit_excludes_cancel", "collapse.rs",
     "if at(relay).head.replace(head.with(PRUNING), forwarded, AcqRel, Relaxed).is_ok() {",
     "let _ = forwarded;\n            at(relay).head.change(AcqRel, |head| head.without(PRUNING).with(MARKED));\n            if true {"),
    ("child_is_pinned", "collapse.rs", "        if !pin(heir) {", "        if !pin(heir) && false {"),
    ("next_before_parent", "collapse.rs", "                    at(heir).next.store(next_of(relay), Relaxed);\n", "",
     "                    replace(parent, relay, heir);\n",
     "                    let next = next_of(relay);\n                    replace(parent, relay, heir);\n                    at(heir).next.store(next, Relaxed);\n"),
    ("link_of_a_child_with_handles", "collapse.rs",
     "Commit::Failed { died: if release_pin(heir) { ptr::null_mut() } else { heir } }", "Commit::Failed { died: heir }"),
    ("unpin_only_as_seen", "collapse.rs", "unsafe { at(node).state.replace(seen, seen.unpinned(), Release, Relaxed).is_ok() }",
     "let _ = seen;\n    unsafe { release_pin(node) }"),
    ("sweep_leaves_the_pinned", "sweep.rs", "if state.is_pinned() {", "if false {"),
    ("next_before_unlink", "sweep.rs", "            let next = next_of(node);\n            let state = at(node).state.unlink();",
     "            let state = at(node).state.unlink();\n            let next = next_of(node);"),
    ("losers_help", "cancel.rs", "                if head.is_done() {\n                    return Mark::Skip;\n                }\n                break;",
     "                return Mark::Skip;"),
    ("losers_flag", "cancel.rs", "                raise_flag(node);\n                if head.is_done()", "                if head.is_done()"),
    ("done_flags", "cancel.rs", "            raise_flag(root);\n            return;", "            return;"),
    ("flag_before_wake", "cancel.rs", "                    at(node).flag.store(1, Release); // Release (E6, C11).\n", "",
     "                    if marked.is_done() {", "                    at(node).flag.store(1, Release);\n                    if marked.is_done() {"),
    ("last_visitor_sweeps", "cancel.rs", "Ok(_) if left == CLOSED => break,", "Ok(_) if visit & CLOSED == 0 => break,"),
    ("no_visitor_after_the_last", "cancel.rs", "while visit & CLOSED == 0 {", "while visit & CLOSED == 0 || true {"),
    ("sweep_waits_for_the_pruner", "cancel.rs", "if !at(owner).head.change(AcqRel, |head| head.with(MARKED)).is_pruning() {",
     "if !at(owner).head.change(AcqRel, |head| head.with(MARKED)).is_pruning() || true {"),
    ("walkers_follow_the_heir", "cancel.rs", "            if head.is_forwarded() {\n                return Mark::Alias(head.first());\n            }",
     "            if head.is_forwarded() {\n                return Mark::Skip;\n            }\n            if false {\n                return Mark::Alias(head.first());\n            }"),
    ("walkers_come_back_past_the_relay", "cancel.rs", "if at(parent).head.load(Acquire).is_forwarded() {",
     "if at(parent).head.load(Acquire).is_forwarded() && false {"),
    ("no_handle_no_waker", "wake.rs", "            if !at(node).state.try_retain() {\n                return;\n            }",
     "            if !at(node).state.try_retain() {\n                at(node).state.retain();\n            }"),
    ("waited_is_announced", "slot.rs", "        if announce(node) {\n            return Arm::Armed;", "        let _ = announce;\n        if true {\n            return Arm::Armed;"),
    ("announce_sees_the_cancel", "slot.rs", "            if head.is_cancelled() {\n                raise_flag(node);\n                return false;\n            }", "            let _ = raise_flag;"),
    ("a_cancelled_registration_is_taken_back", "slot.rs", "        match disarm(node) {\n            Some(waker) => Arm::Cancelled(waker),",
     "        match disarm(node).filter(|_| false) {\n            Some(waker) => Arm::Cancelled(waker),"),
    ("a_fired_slot_is_not_published", "slot.rs", "        take(node)\n    }\n}\n\n/// Takes the waker out of a BUSY slot",
     "        let _ = take(node);\n        None\n    }\n}\n\n/// Takes the waker out of a BUSY slot"),
    ("fire_ends_the_slot", "slot.rs", "at(node).slot.fetch_or(FIRED, AcqRel) == SET", "at(node).slot.fetch_or(0, AcqRel) == SET"),
]

# A weakened ordering that no model notices, and why the stronger one stays.   file:ordering:text of the line
ARGUED = []

ORDERING = re.compile(r"\b(AcqRel|Acquire|Release)\b")
WEAKER = {"AcqRel": ["Acquire", "Release"], "Acquire": ["Relaxed"], "Release": ["Relaxed"]}


def guards():
    for name, file, *pairs in GUARDS:
        path = TREE + file
        text = (ROOT / path).read_text()
        for old, new in zip(pairs[::2], pairs[1::2]):
            if text.count(old) != 1:
                sys.exit(f"{name}: the text to be replaced stands {text.count(old)} times in {path}:\n{old}")
            text = text.replace(old, new)
        yield name, path, text


def orderings():
    for file in sorted((ROOT / TREE).glob("*.rs")):
        path, text = TREE + file.name, file.read_text()
        for match in ORDERING.finditer(text):
            number = text.count("\n", 0, match.start()) + 1
            line = text.splitlines()[number - 1].strip()
            code = line.split("//")[0]
            column = match.start() - text.rfind("\n", 0, match.start()) - 1
            indent = len(text.splitlines()[number - 1]) - len(text.splitlines()[number - 1].lstrip())
            if column - indent >= len(code) or line.startswith("use "):
                continue
            for weaker in WEAKER[match[1]]:
                yield f"{file.name}:{number} {match[1]}->{weaker}  {line[:80]}", path, text[: match.start()] + weaker + text[match.end() :]


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--orderings", action="store_true")
    options.add_argument("--seconds", type=int, default=1200, help="limit for one run of the models")
    options.add_argument("name", nargs="?", default="")
    options = options.parse_args()
    copy = pathlib.Path(os.environ.get("CALIBRATE_DIR") or tempfile.mkdtemp(prefix="calibrate-"))
    for part in ("src", "loom-tests"):
        shutil.rmtree(copy / part, ignore_errors=True) if part == "src" else None
        shutil.copytree(ROOT / part, copy / part, dirs_exist_ok=True, ignore=shutil.ignore_patterns("target"))
    shutil.copy(ROOT / "README.md", copy / "README.md")
    run = ["cargo", "nextest", "run", "--manifest-path", str(copy / "loom-tests/Cargo.toml"), "--no-capture" if False else "--fail-fast"]
    env = os.environ | {"RUST_BACKTRACE": "0", "CARGO_TERM_COLOR": "never"}
    noticed, survived = 0, []
    for name, path, text in orderings() if options.orderings else guards():
        if options.name not in name:
            continue
        original = (copy / path).read_text()
        (copy / path).write_text(text)
        start = time.time()
        try:
            done = subprocess.run(run, env=env, capture_output=True, text=True, timeout=options.seconds, start_new_session=True)
            output = done.stdout + done.stderr
            if "could not compile" in output:
                verdict = "invalid" if "invalid_atomic_ordering" in output or "is not a valid" in output else "BROKEN: does not compile"
            else:
                failed = re.findall(r"(?:FAIL|SIGABRT|SIGSEGV|TRY).*?\] .*?(\S+ \S+)$", output, re.M)
                verdict = f"noticed by {failed[0].split()[-1]}" if done.returncode and failed else "SURVIVED"
        except subprocess.TimeoutExpired:
            verdict = "noticed: does not end"
        finally:
            (copy / path).write_text(original)
        if verdict == "SURVIVED" and any(all(part in name for part in argued[:3]) for argued in ARGUED):
            verdict = "argued"
        noticed += verdict.startswith("noticed")
        if verdict.startswith(("SURVIVED", "BROKEN")):
            survived.append(name)
            if verdict.startswith("BROKEN"):
                print(output[-1500:])
        print(f"{name}: {verdict} [{time.time() - start:.0f} s]", flush=True)
    print(f"{noticed} noticed, {len(survived)} not")
    sys.exit(bool(survived))


main()
