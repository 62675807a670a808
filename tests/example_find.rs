//! `examples/find` as a user runs it: a process over real files.

#![cfg(all(unix, feature = "std", not(miri)))]

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::{env, process};

/// A directory that is removed with all in it.
struct Tree(PathBuf);

impl Tree {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("find-{}-{}", process::id(), NEXT.fetch_add(1, Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn directory(&self, name: impl AsRef<Path>) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    fn file(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// A file that takes longer to read than any test waits, and no room.
    fn endless(&self, name: impl AsRef<Path>) {
        File::create(self.file(name, "")).unwrap().set_len(1 << 40).unwrap();
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What a search that came to its end has said.
struct Outcome {
    status: i32,
    /// Sorted: directories are searched in parallel.
    lines: Vec<String>,
    said: String,
}

impl Outcome {
    #[track_caller]
    fn says(&self, part: &str) -> &Self {
        assert!(self.said.contains(part), "{part:?} is not in:\n{}", self.said);
        self
    }
}

/// Cargo builds the examples for `cargo test`, but not for `cargo test --test example_find`.
fn example() -> PathBuf {
    let test = env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).expect("a test is in target/<profile>/deps");
    let example = profile.join("examples").join("find");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join("find");
    let written = |path: &Path| fs::metadata(path).and_then(|file| file.modified()).ok();
    let is_current = fs::read_dir(&source).unwrap().all(|file| written(&file.unwrap().path()) <= written(&example));
    assert!(is_current, "{} is missing or outdated: run `cargo build --example find` first", example.display());
    example
}

fn command(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(example());
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the program; for a search, checks that it has left no node.
#[track_caller]
fn find(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Outcome {
    end(command(arguments).spawn().unwrap(), "")
}

#[track_caller]
fn end(child: Child, printed_before: &str) -> Outcome {
    let output = child.wait_with_output().unwrap();
    let printed = String::from_utf8(output.stdout).expect("what is printed is text");
    let said = String::from_utf8(output.stderr).expect("what is said is text");
    let status = output.status.code().unwrap_or_else(|| panic!("killed: {}\n{said}", output.status));
    assert!(!said.contains("panicked"), "{said}");
    if status != 2 {
        assert!(said.contains("no node of the token tree is left"), "{said}");
    }
    let mut lines: Vec<_> = printed_before.lines().chain(printed.lines()).map(String::from).collect();
    lines.sort();
    Outcome { status, lines, said }
}

/// Where `path` is, as a text.
fn shown(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn every_matching_line_is_printed_once_with_its_path_and_number() {
    let tree = Tree::new();
    let top = tree.file("top.txt", "needle at the top\nhay\ntwo: needle needle\nneedle at the end");
    let deep = tree.file("a/b/c/deep.txt", "hay\r\n\tneedle\r\nhay\r\n");
    tree.file("a/none.txt", "hay\nneedl\n");
    tree.file("a/empty.txt", "");
    tree.directory("a/empty");

    let outcome = find(["needle".as_ref(), tree.0.as_os_str()]);
    let expected = [
        format!("{}:2:\tneedle", shown(&deep)),
        format!("{}:1:needle at the top", shown(&top)),
        format!("{}:3:two: needle needle", shown(&top)),
        format!("{}:4:needle at the end", shown(&top)),
    ];
    assert_eq!(outcome.lines, expected);
    assert_eq!(outcome.status, 0);
    outcome.says("4 matches in 4 files").says("of 5 directories").says("is left, of 6 ");
}

#[test]
fn a_single_file_can_be_searched() {
    let tree = Tree::new();
    let file = tree.file("only.txt", "hay\nneedle\n");
    let outcome = find(["needle".as_ref(), file.as_os_str()]);
    assert_eq!(outcome.lines, [format!("{}:2:needle", shown(&file))]);
    assert_eq!(outcome.status, 0);
}

#[test]
fn no_match_is_status_1() {
    let tree = Tree::new();
    tree.file("hay.txt", "hay\n");
    let outcome = find(["needle".as_ref(), tree.0.as_os_str()]);
    assert!(outcome.lines.is_empty());
    assert_eq!(outcome.status, 1);
}

#[test]
fn help_is_printed() {
    let output = command(["--help"]).output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8(output.stdout).unwrap().contains("Usage: find [OPTIONS] PATTERN PATH"));
}

#[test]
fn bad_input_is_told_and_is_status_2() {
    let cases: &[(&[&str], &str)] = &[
        (&[], "PATTERN and PATH are missing"),
        (&["needle"], "PATH is missing"),
        (&["needle", ".", "again"], "unexpected argument \"again\""),
        (&["", "."], "the pattern is empty"),
        (&["a\nb", "."], "the pattern contains a newline"),
        (&["needle", "/there/is/no/such/path"], "/there/is/no/such/path: No such file or directory"),
        (&["needle", "/dev/null"], "/dev/null: neither a directory nor a regular file"),
        (&["--no-such-option", "needle", "."], "invalid option '--no-such-option'"),
        (&["--timeout"], "missing argument for option '--timeout'"),
        (&["--timeout", "nonsense", "needle", "."], "--timeout: \"nonsense\" is not a number of seconds"),
        (&["--timeout", "", "needle", "."], "--timeout: \"\" is not a number of seconds"),
        (&["--timeout", "NaN", "needle", "."], "--timeout: \"NaN\" is not a number of seconds"),
        (&["--timeout", "-0.5", "needle", "."], "--timeout: \"-0.5\" is negative"),
        (&["--timeout", "-inf", "needle", "."], "--timeout: \"-inf\" is negative"),
        (&["--timeout", "inf", "needle", "."], "--timeout: \"inf\" is more than can be counted"),
        (&["--timeout", "1e20", "needle", "."], "--timeout: \"1e20\" is more than can be counted"),
        (&["--per-dir-timeout", "soon", "needle", "."], "--per-dir-timeout: \"soon\" is not a number of seconds"),
        (&["--per-dir-timeout=-1", "needle", "."], "--per-dir-timeout: \"-1\" is negative"),
        (&["--max-count", "0", "needle", "."], "--max-count: \"0\" is not a whole number from 1 up"),
        (&["-m", "many", "needle", "."], "--max-count: \"many\" is not a whole number from 1 up"),
        (&["-m", "99999999999999999999", "needle", "."], "is not a whole number from 1 up"),
    ];
    for (arguments, message) in cases {
        let outcome = find(*arguments);
        assert_eq!(outcome.status, 2, "{arguments:?}: {}", outcome.said);
        assert!(outcome.lines.is_empty(), "{arguments:?}");
        assert_eq!(outcome.said.lines().count(), 1, "{arguments:?}: {}", outcome.said);
        outcome.says(message);
    }
}

#[test]
fn a_pattern_may_begin_with_a_dash_and_a_timeout_may_be_longer_than_the_clock_goes() {
    let tree = Tree::new();
    tree.file("dash.txt", "--needle\n");
    let outcome = find(["--timeout".as_ref(), "1e19".as_ref(), "--".as_ref(), "--needle".as_ref(), tree.0.as_os_str()]);
    assert_eq!((outcome.status, outcome.lines.len()), (0, 1), "{}", outcome.said);
}

#[test]
fn an_unreadable_root_is_status_2_and_an_unreadable_entry_is_only_told() {
    let tree = Tree::new();
    tree.file("readable.txt", "needle\n");
    let locked = tree.directory("locked");
    let secret = tree.file("secret.txt", "needle\n");
    for path in [&locked, &secret] {
        fs::set_permissions(path, Permissions::from_mode(0o000)).unwrap();
    }
    if fs::read_dir(&locked).is_ok() {
        println!("nothing is unreadable for this user");
        return;
    }
    let as_root = find(["needle".as_ref(), locked.as_os_str()]);
    let as_entry = find(["needle".as_ref(), tree.0.as_os_str()]);
    // Or it could not be removed.
    fs::set_permissions(&locked, Permissions::from_mode(0o700)).unwrap();

    assert_eq!(as_root.status, 2);
    as_root.says(&format!("{}: Permission denied", shown(&locked)));
    assert_eq!((as_entry.status, as_entry.lines.len()), (0, 1));
    as_entry.says(&format!("{}: Permission denied", shown(&locked)));
    as_entry.says(&format!("{}: Permission denied", shown(&secret))).says("2 errors");
}

#[test]
fn links_and_pipes_are_skipped() {
    let tree = Tree::new();
    let file = tree.file("a/file.txt", "needle\n");
    symlink(&tree.0, tree.0.join("a/loop")).unwrap();
    symlink(&file, tree.0.join("a/link")).unwrap();
    assert!(Command::new("mkfifo").arg(tree.0.join("a/pipe")).status().unwrap().success());
    let outcome = find(["needle".as_ref(), tree.0.as_os_str()]);
    assert_eq!((outcome.status, outcome.lines.len()), (0, 1));
    outcome.says("3 skipped");
}

#[test]
fn what_is_no_text_is_not_printed_as_it_is() {
    let tree = Tree::new();
    let binary = tree.file("binary", b"hay\0\nneedle\nneedle\n");
    let control = tree.file("control.txt", "\x1b[2J needle \u{202e} \u{e4}\u{20ac}\n");
    let latin = tree.file("latin.txt", b"needle \xe4\n");
    let name = OsStr::from_bytes(b"name-\xff-\x1b.txt");
    tree.file(name, "needle\n");
    let outcome = find(["needle".as_ref(), tree.0.as_os_str()]);
    let expected = [
        format!("{}: binary file matches", shown(&binary)),
        format!("{}:1:\\u{{1b}}[2J needle \\u{{202e}} \u{e4}\u{20ac}", shown(&control)),
        format!("{}:1:needle \\xe4", shown(&latin)),
        format!("{}/name-\\xff-\\u{{1b}}.txt:1:needle", shown(&tree.0)),
    ];
    assert_eq!(outcome.lines, expected);
}

#[test]
fn lines_longer_than_a_chunk_are_searched_whole_and_shown_in_part() {
    const CHUNK: usize = 64 * 1024;
    let tree = Tree::new();
    // Around each place where a chunk may end: the match is cut by it, before it, after it.
    for at in CHUNK - 8..CHUNK + 8 {
        let mut content = vec![b'-'; 3 * CHUNK];
        content[at..at + 6].copy_from_slice(b"needle");
        content[2 * CHUNK..2 * CHUNK + 6].copy_from_slice(b"needle");
        content.extend_from_slice(b"\nneedle\n");
        tree.file(format!("{at}.txt"), content);
    }
    let outcome = find(["needle".as_ref(), tree.0.as_os_str()]);
    assert_eq!(outcome.lines.len(), 2 * 16, "one for the long line, one for the short: {:#?}", outcome.lines);
    for pair in outcome.lines.chunks(2) {
        assert!(pair[0].contains(":1:…--") && pair[0].contains("-needle"), "{}", pair[0]);
        assert!(pair[0].len() < 500, "{}", pair[0]);
        assert!(pair[1].ends_with(":2:needle"), "{}", pair[1]);
    }
}

#[test]
fn line_numbers_go_on_over_chunks() {
    let tree = Tree::new();
    let mut content = String::new();
    for number in 1..=30_000 {
        content.push_str(if number % 10_000 == 7 { "a needle\n" } else { "hay and more hay\n" });
    }
    let file = tree.file("long.txt", content);
    let outcome = find(["needle".as_ref(), tree.0.as_os_str()]);
    let expected = [7, 10_007, 20_007].map(|number| format!("{}:{number}:a needle", shown(&file)));
    let mut lines = outcome.lines;
    lines.sort_by_key(|line| line.len());
    assert_eq!(lines, expected);
}

#[test]
fn a_wide_and_deep_tree_is_searched_to_its_end() {
    let tree = Tree::new();
    let mut deepest = PathBuf::from("deep");
    for _ in 0..400 {
        deepest.push("d");
    }
    tree.file(deepest.join("last.txt"), "needle\n");
    for number in 0..500 {
        tree.file(format!("wide/{number}/file.txt"), "needle\n");
    }
    let outcome = find(["needle".as_ref(), tree.0.as_os_str()]);
    assert_eq!((outcome.status, outcome.lines.len()), (0, 501));
    // The root, `deep` and what is below it, `wide` and what is below it.
    outcome.says("501 matches in 501 files").says("of 903 directories").says("is left, of 904 ");
}

#[test]
fn max_count_cancels_after_exactly_so_many_lines() {
    let tree = Tree::new();
    tree.endless("endless/file");
    for directory in 0..8 {
        tree.file(format!("{directory}/file.txt"), "needle\n".repeat(1000));
    }
    let outcome = find(["--max-count".as_ref(), "7".as_ref(), "needle".as_ref(), tree.0.as_os_str()]);
    assert_eq!((outcome.status, outcome.lines.len()), (0, 7));
    outcome.says("--max-count: cancel() took").says("7 matches").says("cancelled by --max-count");
}

#[test]
fn the_timeout_cancels_the_search() {
    let tree = Tree::new();
    tree.endless("endless/file");
    let outcome = find(["--timeout".as_ref(), "0.25".as_ref(), "needle".as_ref(), tree.0.as_os_str()]);
    assert_eq!(outcome.status, 1);
    let unfinished = format!("left unfinished: {} (--timeout)", shown(&tree.0.join("endless")));
    outcome.says("cancelled by --timeout: ").says(" after the deadline").says(&unfinished);
    // That was the timer's thread.
    assert!(!outcome.said.contains("cancel() took"), "{}", outcome.said);
}

#[test]
fn of_two_deadlines_the_one_that_has_passed_is_told() {
    let tree = Tree::new();
    tree.endless("endless/file");
    let search = |timeout: &str, per_dir_timeout: &str| {
        let options = ["--timeout", timeout, "--per-dir-timeout", per_dir_timeout, "needle", shown(&tree.0)];
        let outcome = find(options);
        assert_eq!(outcome.status, 1);
        outcome
    };
    let endless = tree.0.join("endless");
    let outcome = search("1", "3600");
    outcome.says("cancelled by --timeout").says(&format!("left unfinished: {} (--timeout)", shown(&endless)));
    assert!(!outcome.said.contains("--per-dir-timeout"), "{}", outcome.said);
    let outcome = search("3600", "2");
    outcome.says(&format!("cancelled by --per-dir-timeout: {}", shown(&endless)));
    assert!(!outcome.said.contains("--timeout"), "{}", outcome.said);
}

#[test]
fn a_deadline_that_passes_at_once_ends_the_search_before_it_has_found_anything() {
    let tree = Tree::new();
    tree.file("a/file.txt", "needle\n");
    tree.file("file.txt", "needle\n");
    let outcome = find(["--timeout", "0", "needle", shown(&tree.0)]);
    assert_eq!((outcome.status, outcome.lines.len()), (1, 0));
    outcome.says("of 1 directories").says(&format!("left unfinished: {} (--timeout)", shown(&tree.0)));
    let outcome = find(["--per-dir-timeout", "0", "needle", shown(&tree.0)]);
    assert_eq!((outcome.status, outcome.lines.len()), (1, 0));
    outcome.says("of 1 directories").says(&format!("cancelled by --per-dir-timeout: {}", shown(&tree.0)));
}

#[test]
fn nodes_with_deadlines_are_counted_and_given_back() {
    let tree = Tree::new();
    for number in 0..100 {
        tree.file(format!("{number}/file.txt"), "needle\n");
    }
    // The root, the search with its deadline, and a token for each of 101 directories.
    let outcome = find(["--timeout", "3600", "needle", shown(&tree.0)]);
    outcome.says("100 matches").says("is left, of 103 ");
    // And for each, one for the own entries, and the callback that passes on the end of its time.
    let outcome = find(["--timeout", "3600", "--per-dir-timeout", "3600", "needle", shown(&tree.0)]);
    outcome.says("100 matches").says("is left, of 305 ");
    let outcome = find(["--per-dir-timeout", "3600", "needle", shown(&tree.0)]);
    outcome.says("100 matches").says("is left, of 304 ");
}

#[test]
fn a_directory_that_takes_too_long_is_cancelled_alone_with_what_is_below_it() {
    let tree = Tree::new();
    tree.endless("slow/endless");
    tree.endless("slow/below/endless");
    let quick = tree.file("quick/file.txt", "needle\n");
    let outcome = find(["--per-dir-timeout".as_ref(), "2".as_ref(), "needle".as_ref(), tree.0.as_os_str()]);
    assert_eq!(outcome.lines, [format!("{}:1:needle", shown(&quick))]);
    assert_eq!(outcome.status, 0);
    outcome.says(&format!("cancelled by --per-dir-timeout: {}", shown(&tree.0.join("slow"))));
    // The subdirectory was begun at the same time or never: either way it ended with its parent.
    assert!(!outcome.said.contains(shown(&tree.0.join("quick"))), "{}", outcome.said);
}

#[test]
fn ctrl_c_cancels_the_search() {
    let tree = Tree::new();
    tree.endless("endless/file");
    tree.file("file.txt", "needle\n");
    let mut child = command(["needle".as_ref(), tree.0.as_os_str()]).spawn().unwrap();
    let mut line = String::new();
    // Without a buffer of its own: what follows is left to `end`.
    let mut output = child.stdout.take().unwrap();
    BufReader::with_capacity(1, output.by_ref()).read_line(&mut line).unwrap();
    assert!(line.ends_with(":1:needle\n"), "{line:?}");
    interrupt(&child);
    child.stdout = Some(output);
    let outcome = end(child, &line);
    assert_eq!((outcome.status, outcome.lines.len()), (0, 1));
    let unfinished = format!("left unfinished: {} (Ctrl-C)", shown(&tree.0.join("endless")));
    outcome.says("Ctrl-C: cancel() took").says("cancelled by Ctrl-C").says(&unfinished);
}

#[test]
fn the_end_of_the_reader_ends_the_search_quietly() {
    let tree = Tree::new();
    tree.endless("endless/file");
    tree.file("file.txt", "a line with a needle, and more of it\n".repeat(100_000));
    let mut child = command(["needle".as_ref(), tree.0.as_os_str()]).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    drop(output);
    let outcome = end(child, &line);
    assert_eq!(outcome.status, 0);
    outcome.says("cancelled by the end of the output's reader");
    assert!(!outcome.said.contains("Broken pipe"), "{}", outcome.said);
}

fn interrupt(child: &Child) {
    let process = libc::pid_t::try_from(child.id()).unwrap();
    // SAFETY: a signal to a process that this one has begun and not waited for yet; no memory is concerned.
    assert_eq!(unsafe { libc::kill(process, libc::SIGINT) }, 0);
}
