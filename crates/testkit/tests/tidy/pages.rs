//! What is written for people and for package managers: links lead somewhere, pages are listed, versions are exact.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use crate::{Findings, files, read, root};

/// The Markdown pages of the repository.
fn pages() -> Vec<PathBuf> {
    ["README.md", "ARCHITECTURE.md"].into_iter().map(PathBuf::from).chain(files("docs", &[".md"])).chain(files("bench", &[".md"])).collect()
}

/// The targets of `[text](target)` outside code, with their line.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("``");
        for part in prose.split("](").skip(1) {
            let target = part.split([')', ' ']).next().unwrap();
            found.push((number + 1, target.to_owned()));
        }
    }
    found
}

/// The anchors that headings get.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title.chars().filter(|character| character.is_alphanumeric() || " -_".contains(*character));
            kept.map(|character| if character == ' ' { '-' } else { character }).collect()
        })
        .collect()
}

/// The path without `.` and `..`.
fn straight(path: &Path) -> PathBuf {
    let mut result = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(result.pop()),
            Component::CurDir => {}
            other => result.push(other),
        }
    }
    result
}

#[test]
fn relative_links_lead_somewhere() {
    let mut findings = Findings::default();
    for page in pages() {
        for (line, target) in links(&read(&page)) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let place = format!("{}:{line}", page.display());
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let path = if file.is_empty() { page.clone() } else { straight(&page.parent().unwrap().join(file)) };
            if !root().join(&path).exists() {
                findings.add(place, format!("`{target}` does not exist"));
            } else if !anchor.is_empty() && path.extension().is_some_and(|ending| ending == "md") && !anchors(&read(&path)).contains(anchor)
            {
                findings.add(place, format!("{} has no heading `#{anchor}`", path.display()));
            }
        }
    }
    findings.assert_none();
}

#[test]
fn every_page_of_the_book_is_in_its_summary() {
    let summary = Path::new("docs/src/SUMMARY.md");
    let listed: BTreeSet<PathBuf> =
        links(&read(summary)).into_iter().map(|(_, target)| straight(&Path::new("docs/src").join(target))).collect();
    let mut findings = Findings::default();
    for page in files("docs/src", &[".md"]).into_iter().filter(|page| page != summary) {
        if !listed.contains(&page) {
            findings.add(page.display(), "is not in docs/src/SUMMARY.md: nobody would find it");
        }
    }
    findings.assert_none();
}

#[test]
fn decision_records_have_a_number_a_date_and_three_parts() {
    let mut findings = Findings::default();
    for (index, record) in files("docs/adr", &[".md"]).iter().enumerate() {
        let name = record.file_name().unwrap().to_string_lossy();
        if !name.starts_with(&format!("{:04}-", index + 1)) {
            findings.add(record.display(), format!("records are numbered without a gap: expected {:04}-…", index + 1));
        }
        let text = read(record);
        for part in ["\nDate: ", "\n## Context\n", "\n## Decision\n", "\n## Consequences\n"] {
            if !text.contains(part) {
                findings.add(record.display(), format!("lacks `{}`", part.trim()));
            }
        }
    }
    findings.assert_none();
}

#[test]
fn npm_and_python_versions_are_exact() {
    let mut findings = Findings::default();
    for manifest in files("", &["package.json"]) {
        let package: Value = serde_json::from_str(&read(&manifest)).unwrap();
        for section in ["dependencies", "devDependencies", "optionalDependencies", "overrides"] {
            for (name, version) in package[section].as_object().into_iter().flatten() {
                if version.as_str().is_none_or(|version| !is_exact(version)) {
                    findings.add(manifest.display(), format!("{name}: pin one version instead of {version}"));
                }
            }
        }
        let lock = manifest.with_file_name("package-lock.json");
        if !root().join(&lock).exists() {
            findings.add(manifest.display(), "commit its package-lock.json: `npm ci` installs nothing else");
        }
    }
    for requirements in files("", &["requirements.txt"]) {
        for line in read(&requirements).lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if !line.split_once("==").is_some_and(|(_, version)| is_exact(version)) {
                findings.add(requirements.display(), format!("`{line}`: pin one version with =="));
            }
        }
    }
    findings.assert_none();
}

fn is_exact(version: &str) -> bool {
    version.starts_with(|character: char| character.is_ascii_digit())
        && version.chars().all(|character| character.is_ascii_alphanumeric() || ".-+".contains(character))
        && !version.ends_with(".x")
}
