//! The third-party tree as it is resolved for Linux: where it comes from, under which licences, each crate once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use crate::{Findings, read, root};

/// Licences that allow a self-hosted binary under Apache-2.0 without further duties than naming them.
const ALLOWED: [&str; 14] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// The crates that are there more than once, each with its reason. The list may only shrink.
const DUPLICATES: &str = "crates/testkit/tests/tidy/duplicates.txt";

/// One third-party package of the tree.
struct Package {
    name: String,
    version: String,
    /// Empty for crates.io.
    source: String,
    license: String,
}

/// Asks `cargo tree`, which follows features exactly; `cargo metadata` also names what no feature switches on.
fn third_party() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--workspace", "--locked", "--offline", "--target=x86_64-unknown-linux-gnu"])
        .args(["--edges=normal,build,dev", "--prefix=none", "--format={p};{l}"])
        .current_dir(root())
        .output()
        .expect("cargo runs this test and is there");
    assert!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: BTreeSet<&str> = text.lines().map(|line| line.trim_end_matches(" (*)")).filter(|line| !line.is_empty()).collect();
    let packages = lines.into_iter().map(|line| {
        let (package, license) = line.split_once(';').unwrap();
        let mut words = package.splitn(3, ' ');
        let mut word = || words.next().unwrap_or_default();
        let (name, version) = (word().to_owned(), word().trim_start_matches('v').to_owned());
        let source = word().replace("(proc-macro)", "").trim().to_owned();
        Package { name, version, source, license: license.to_owned() }
    });
    packages.filter(|package| !package.name.starts_with("steward-")).collect()
}

#[test]
fn everything_comes_from_crates_io_under_a_known_licence() {
    let mut findings = Findings::default();
    for package in third_party() {
        let place = format!("{} {}", package.name, package.version);
        if !package.source.is_empty() {
            findings.add(&place, format!("comes from {}: only crates.io is allowed", package.source));
        }
        if package.license.is_empty() {
            findings.add(&place, "names no licence: look at its licence file and choose another crate");
        } else if !satisfied(&package.license) {
            let licence = package.license;
            findings.add(&place, format!("licence `{licence}` is not allowed: choose another crate, or argue for it in a decision record"));
        }
    }
    findings.assert_none();
}

#[test]
fn every_crate_is_there_once() {
    let packages = third_party();
    assert!(packages.len() > 100, "the tree was not read: {} packages", packages.len());
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in &packages {
        versions.entry(&package.name).or_default().insert(&package.version);
    }
    versions.retain(|_, versions| versions.len() > 1);

    let text = read(Path::new(DUPLICATES));
    let mut listed = BTreeMap::new();
    let mut findings = Findings::default();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.split_once(": ") {
            Some((name, reason)) if !reason.trim().is_empty() => drop(listed.insert(name, reason)),
            _ => findings.add(DUPLICATES, format!("`{line}`: write `name: reason`")),
        }
    }
    for (name, versions) in &versions {
        if !listed.contains_key(name) {
            let least = versions.first().unwrap();
            findings.add(
                name,
                format!("is there as {versions:?}: agree on one version (cargo tree --workspace --invert {name}@{least}), or give the reason in {DUPLICATES}"),
            );
        }
    }
    for name in listed.keys().filter(|name| !versions.contains_key(**name)) {
        findings.add(DUPLICATES, format!("{name} is there only once now: remove the line"));
    }
    findings.assert_none();
}

/// Whether an SPDX expression can be satisfied with allowed licences alone. `/` is the old way to write OR.
fn satisfied(expression: &str) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let result = any_of(&words, &mut at);
    assert_eq!(at, words.len(), "cannot read the licence expression `{expression}`");
    result
}

fn any_of(words: &[&str], at: &mut usize) -> bool {
    let mut result = all_of(words, at);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        result |= all_of(words, at);
    }
    result
}

fn all_of(words: &[&str], at: &mut usize) -> bool {
    let mut result = one(words, at);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        result &= one(words, at);
    }
    result
}

fn one(words: &[&str], at: &mut usize) -> bool {
    let word = words[*at];
    *at += 1;
    if word == "(" {
        let result = any_of(words, at);
        assert_eq!(words.get(*at), Some(&")"));
        *at += 1;
        return result;
    }
    if words.get(*at) == Some(&"WITH") {
        *at += 2;
        return ALLOWED.contains(&format!("{word} WITH {}", words[*at - 1]).as_str());
    }
    ALLOWED.contains(&word)
}

#[test]
fn licence_expressions_are_read_as_spdx_says() {
    for expression in ["MIT", "MIT/Apache-2.0", "GPL-3.0 OR MIT", "(MIT OR GPL-2.0) AND Unicode-3.0", "Apache-2.0 WITH LLVM-exception"] {
        assert!(satisfied(expression), "{expression}");
    }
    for expression in
        ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR Apache-2.0) AND OpenSSL", "MIT WITH LLVM-exception", "GPL-2.0 OR AGPL-3.0 AND MIT"]
    {
        assert!(!satisfied(expression), "{expression}");
    }
}
