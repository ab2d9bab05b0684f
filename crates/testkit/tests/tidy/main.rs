//! What no compiler checks: that the repository keeps the rules its readers rely on.
//!
//! Every test here reads files, collects everything that is wrong, and fails once with the whole list; each finding says what to do about it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod dependencies;
mod layers;
mod manifests;
mod pages;
mod sources;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("this crate lives in crates/testkit").to_owned()
}

/// The text of a file, by its path from the root.
fn read(path: &Path) -> String {
    let full = root().join(path);
    fs::read_to_string(&full).unwrap_or_else(|error| panic!("{}: {error}", full.display()))
}

/// Files below `folder` whose name ends with one of `endings`, as sorted paths from the root.
///
/// Skips what is installed, built or hidden.
fn files(folder: &str, endings: &[&str]) -> Vec<PathBuf> {
    const SKIPPED: &[&str] = &["node_modules", "target", "dist", "steward-data", "test-results", "playwright-report"];
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !name.starts_with('.') && !SKIPPED.contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(path.strip_prefix(&root).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// What is wrong, one line each.
#[derive(Default)]
struct Findings(Vec<String>);

impl Findings {
    fn add(&mut self, place: impl std::fmt::Display, advice: impl std::fmt::Display) {
        self.0.push(format!("{place}: {advice}"));
    }

    #[track_caller]
    fn assert_none(self) {
        let mut list = String::new();
        for finding in &self.0 {
            writeln!(list, "  {finding}").unwrap();
        }
        assert!(self.0.is_empty(), "{} findings:\n{list}", self.0.len());
    }
}
