//! The sources: how long a file is, what it opens with, which words and calls it may not contain.

use std::path::Path;

use crate::{Findings, files, read};

/// Above this a file is split. It aims at 120 lines and is large at 400.
const LONGEST: usize = 600;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 8] = ["util", "utils", "common", "helper", "helpers", "manager", "misc", "impl"];

/// Words that mark work as unfinished or switch a check off, and what to do instead.
const WORDS: [(&str, &str); 7] = [
    ("todo!", "finish it, or leave it out and say so in the documentation"),
    ("unimplemented!", "finish it, or leave it out and say so in the documentation"),
    ("TODO", "do it or write an issue; a mark in the source is neither"),
    ("FIXME", "fix it or write an issue; a mark in the source is neither"),
    ("XXX", "fix it or write an issue; a mark in the source is neither"),
    ("#[allow(", "use #[expect(lint, reason = \"…\")]: it disappears when it is no longer true"),
    ("#![allow(", "use #![expect(lint, reason = \"…\")]: it disappears when it is no longer true"),
];

/// The only crates whose shipped code makes a request context: from a credential, a stored job, a stored event.
const MINTERS: [&str; 4] = ["base", "auth", "store", "work"];

/// This test names the words it looks for.
const SELF: &str = "crates/testkit/tests/tidy";

fn is_test(path: &Path) -> bool {
    let name = path.to_string_lossy();
    name.contains("/tests/") || name.contains("/e2e/") || name.contains(".test.") || name.ends_with("tests.rs")
}

fn is_generated(path: &Path) -> bool {
    path.ends_with("src/api/schema.d.ts") || path.to_string_lossy().contains("/locales/")
}

/// The text without a closing `#[cfg(test)]` module.
fn shipped(text: &str) -> &str {
    match text.find("\n#[cfg(test)]\nmod tests {") {
        Some(end) => &text[..end],
        None => text,
    }
}

#[test]
fn files_are_short_enough_to_read() {
    let mut findings = Findings::default();
    let rust = files("crates", &[".rs"]);
    let console = files("console", &[".ts", ".tsx", ".css"]);
    for path in rust.iter().chain(&console).filter(|path| !is_test(path) && !is_generated(path)) {
        let lines = shipped(&read(path)).lines().count();
        if lines > LONGEST {
            findings.add(path.display(), format!("{lines} lines: split it by what its parts are about ({LONGEST} is the end)"));
        }
    }
    findings.assert_none();
}

#[test]
fn rust_files_open_with_their_module_doc() {
    let mut findings = Findings::default();
    for path in files("crates", &[".rs"]) {
        let text = read(&path);
        let first = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with("#!["));
        if !first.is_some_and(|line| line.starts_with("//! ")) {
            findings.add(path.display(), "open with `//! …`: what this file is and which invariants it keeps");
        }
    }
    findings.assert_none();
}

#[test]
fn nothing_is_marked_unfinished_or_silenced() {
    let mut findings = Findings::default();
    let rust = files("crates", &[".rs"]);
    let console = files("console", &[".ts", ".tsx", ".mjs", ".css", ".html"]);
    let scripts = files("scripts", &[".sh"]);
    for path in rust.iter().chain(&console).chain(&scripts).filter(|path| !path.starts_with(SELF)) {
        for (number, line) in read(path).lines().enumerate() {
            for (word, advice) in WORDS {
                if line.match_indices(word).any(|(at, _)| stands_alone(line, at, word)) {
                    findings.add(format!("{}:{}", path.display(), number + 1), format!("`{word}`: {advice}"));
                }
            }
        }
    }
    findings.assert_none();
}

/// Whether the match is a word of its own and not a part of a longer one.
fn stands_alone(line: &str, at: usize, word: &str) -> bool {
    let part = |character: char| character.is_alphanumeric() || character == '_';
    let opens_with_letter = word.starts_with(part);
    let before = line[..at].chars().next_back().is_some_and(part);
    let after = word.ends_with(part) && line[at + word.len()..].chars().next().is_some_and(part);
    !(after || opens_with_letter && before)
}

#[test]
fn modules_have_names_that_say_something() {
    let mut findings = Findings::default();
    let rust = files("crates", &[".rs"]);
    let console = files("console", &[".ts", ".tsx"]);
    for path in rust.iter().chain(&console) {
        for part in path.components().map(|part| part.as_os_str().to_string_lossy().into_owned()) {
            let stem = part.split('.').next().unwrap().to_lowercase();
            if EMPTY_NAMES.contains(&stem.as_str()) {
                findings.add(path.display(), format!("`{stem}` says nothing: name it after what it holds"));
            }
        }
    }
    findings.assert_none();
}

#[test]
fn only_auth_store_and_work_mint_a_context() {
    let mut findings = Findings::default();
    for path in files("crates", &[".rs"]).into_iter().filter(|path| !is_test(path)) {
        let owner = path.components().nth(1).unwrap().as_os_str().to_string_lossy().into_owned();
        if !MINTERS.contains(&owner.as_str()) && shipped(&read(&path)).contains("Ctx::mint(") {
            findings.add(path.display(), "take the context from the caller: only auth mints one, and store and work restore one");
        }
    }
    findings.assert_none();
}
