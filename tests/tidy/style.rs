//! Sizes, headers and words that a file does without.

use tests::source::{files, line_of, rust, word_positions};

use crate::none;

/// Longest file, in lines.
const FILE: usize = 500;

/// Longest function, in lines.
const FUNCTION: usize = 70;

/// Files that a program writes.
const GENERATED: [&str; 1] = ["billing/db/src/schema.rs"];

/// Words that no Rust file says in its code.
const BANNED: [&str; 8] = ["dbg!", "f32", "f64", "todo!", "unimplemented!", "#[ignore", "#[allow(", "#![allow("];

/// Tests that wait, with the reason.
const SLEEPS: [(&str, &str); 4] = [
    ("billing/db/src/embedded/tests.rs", "asks again whether another process has ended"),
    ("tests/faults/processes.rs", "a balancer asks again, and clients that were turned away come again"),
    ("tests/outages.rs", "a server stays away, and how far a run is gets looked at again, for a limited time"),
    ("tests/faults/support.rs", "asks again until a condition holds, for a limited time"),
];

/// Folders in which a developer's or builder's own files lie.
const PRIVATE_FOLDERS: [&str; 4] = ["home", "root", "Users", "work"];

#[test]
fn files_are_short_and_begin_with_what_they_are() {
    let mut found = Vec::new();
    for source in rust().iter().filter(|source| !GENERATED.contains(&source.path.as_str())) {
        let lines = source.text.lines().count();
        if lines > FILE {
            found.push(format!("{} has {lines} lines, {FILE} are allowed", source.path));
        }
    }
    for source in rust() {
        let first = source.text.lines().next().unwrap_or_default();
        if first.strip_prefix("//! ").is_none_or(|says| says.len() < 10) {
            found.push(format!("{} does not begin with what it is", source.path));
        }
    }
    none("files", found);
}

#[test]
fn functions_are_short() {
    let mut found = Vec::new();
    for source in rust() {
        let long = source.functions().into_iter().filter(|function| function.lines > FUNCTION);
        found.extend(long.map(|function| {
            format!("{}:{} {} has {} lines", source.path, function.line, function.name, function.lines)
        }));
    }
    none("functions", found);
}

#[test]
fn some_words_are_never_said() {
    let mut found = Vec::new();
    for source in rust() {
        for word in BANNED {
            let places = word_positions(&source.code, word).into_iter();
            found.extend(places.map(|at| format!("{}:{} says {word}", source.path, line_of(&source.code, at))));
        }
    }
    none("words", found);
}

#[test]
fn tests_wait_for_conditions_and_never_for_time() {
    let mut found = Vec::new();
    for source in rust() {
        let test = source.path.starts_with("tests/") || source.file() == "tests.rs" || source.below("tests");
        let from = if test { 0 } else { source.shipped().len() };
        let sleeps = word_positions(&source.code[from..], "sleep(");
        if !SLEEPS.iter().any(|(path, _)| *path == source.path) {
            let line = |at: &usize| line_of(&source.code, from + at);
            found.extend(sleeps.iter().map(|at| format!("{}:{} sleeps", source.path, line(at))));
        }
    }
    none("sleeps", found);
}

#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    let mut found = Vec::new();
    for path in files() {
        // Pictures and fonts say nothing.
        let Ok(text) = String::from_utf8(std::fs::read(tests::source::root().join(&path)).expect("a file")) else {
            continue;
        };
        for folder in PRIVATE_FOLDERS {
            let place = format!("/{folder}/");
            let outside = |at: &usize| text[..*at].chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '.');
            let places = text.match_indices(&place).map(|(at, _)| at).filter(outside);
            found.extend(places.map(|at| format!("{path}:{} names {place}", line_of(&text, at))));
        }
    }
    none("paths", found);
}

#[test]
fn lists_of_exceptions_name_files_that_are_there() {
    let all = files();
    let named = SLEEPS.iter().map(|(path, _)| *path).chain(GENERATED);
    let gone = named.filter(|path| !all.iter().any(|file| file == path)).map(str::to_owned);
    none("exceptions of files that are gone", gone.collect());
}
