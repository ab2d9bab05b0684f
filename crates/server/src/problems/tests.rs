//! The table and the sources say the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use steward_base::ErrorKind;

use super::*;

/// Crates below the server, itself included: whose codes can reach a client or a terminal.
fn crates() -> Vec<String> {
    let (mut known, mut waiting) = (BTreeSet::new(), vec!["server".to_owned()]);
    while let Some(name) = waiting.pop() {
        let manifest = fs::read_to_string(folder(&name).join("Cargo.toml")).expect("is read");
        let used = manifest.split("[dev-dependencies]").next().unwrap_or_default();
        let names = used.lines().filter_map(|line| line.strip_prefix("steward-")?.split(['.', ' ', '=']).next());
        waiting.extend(names.filter(|name| !known.contains(*name)).map(str::to_owned));
        known.insert(name);
    }
    known.into_iter().collect()
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// The code of each source file, comments and unit tests taken out, by the file's name.
fn sources(folder: &Path, out: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("is read") {
        let path = entry.expect("is read").path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|ending| ending == "rs")
            && !path.ends_with("problems/codes.rs")
            && !path.ends_with("tests.rs")
        {
            let text = fs::read_to_string(&path).expect("is read");
            let shipped = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            let code: Vec<&str> = shipped.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
            out.push((path.file_name().unwrap_or_default().to_string_lossy().into_owned(), code.join(" ")));
        }
    }
}

/// What stands in quotation marks right at the beginning.
fn quoted(text: &str) -> Option<&str> {
    let (word, _) = text.trim_start().strip_prefix('"')?.split_once('"')?;
    let plain = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    plain.then_some(word)
}

/// What follows the first comma that stands in no brackets and no quotation marks.
fn second_argument(arguments: &str) -> Option<&str> {
    let (mut depth, mut text) = (0, false);
    for (at, byte) in arguments.bytes().enumerate() {
        match byte {
            b'"' => text = !text,
            _ if text => {}
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            b',' if depth == 0 => return arguments.get(at + 1..),
            _ => {}
        }
        if depth < 0 {
            return None;
        }
    }
    None
}

/// Codes by the kinds of error that they are made with; none where the source does not say both in one place.
fn used() -> BTreeMap<String, BTreeSet<String>> {
    // What stands before the code of an error or of a field where its kind does not, and in which files; everywhere when none is named.
    const MAKERS: [(&str, &[&str]); 10] = [
        ("refused(", &[]),
        ("refuse(", &[]),
        ("unavailable(", &[]),
        ("wrong(at, ", &[]),
        ("code: ", &[]),
        ("|error| (", &[]),
        ("=> (", &["check.rs", "writer.rs"]),
        ("{ (", &["door.rs", "engine.rs", "folder.rs"]),
        ("later(", &["smtp.rs"]),
        ("Some(", &["failure.rs"]),
    ];
    let mut texts = Vec::new();
    crates().iter().for_each(|name| sources(&folder(name).join("src"), &mut texts));
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (file, text) in &texts {
        for (at, _) in text.match_indices("ErrorKind::") {
            let rest = &text[at + "ErrorKind::".len()..];
            let name: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
            if let Some(code) = rest[name.len()..].trim_start().strip_prefix(',').and_then(quoted) {
                found.entry(code.to_owned()).or_default().insert(name);
            }
        }
        for (at, call) in text.match_indices(".with_field(") {
            if let Some(code) = second_argument(&text[at + call.len()..]).and_then(quoted) {
                found.entry(code.to_owned()).or_default();
            }
        }
        for (maker, _) in MAKERS.iter().filter(|(_, files)| files.is_empty() || files.contains(&file.as_str())) {
            for (at, _) in text.match_indices(maker) {
                if let Some(code) = quoted(&text[at + maker.len()..]) {
                    found.entry(code.to_owned()).or_default();
                }
            }
        }
    }
    found
}

fn status(kind: &str) -> Option<u16> {
    let kinds = [
        ErrorKind::Malformed,
        ErrorKind::Unauthenticated,
        ErrorKind::Forbidden,
        ErrorKind::NotFound,
        ErrorKind::MethodNotAllowed,
        ErrorKind::NotAcceptable,
        ErrorKind::RequestTimeout,
        ErrorKind::Conflict,
        ErrorKind::PreconditionFailed,
        ErrorKind::TooLarge,
        ErrorKind::UnsupportedMedia,
        ErrorKind::Invalid,
        ErrorKind::PreconditionRequired,
        ErrorKind::Limited,
        ErrorKind::HeadersTooLarge,
        ErrorKind::Internal,
        ErrorKind::Unavailable,
    ];
    kinds.into_iter().find(|known| format!("{known:?}") == kind).map(|kind| steward_web::problem::status(kind).as_u16())
}

#[test]
fn every_code_that_the_sources_make_is_explained_with_its_status() {
    let mut findings = Vec::new();
    for (name, kinds) in used() {
        let told: Vec<&Code> = [PROBLEMS, FIELDS, COMMANDS].into_iter().flatten().filter(|code| code.name == name).collect();
        let [code] = told.as_slice() else {
            findings.push(format!("{name} is explained {} times in problems/codes.rs: explain it once", told.len()));
            continue;
        };
        let missing = kinds.iter().filter_map(|kind| status(kind)).find(|status| !code.statuses.contains(status));
        if let (Some(status), false) = (missing, COMMANDS.iter().any(|code| code.name == name)) {
            findings.push(format!("{name} also comes with {status}: say so in problems/codes.rs"));
        }
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

#[test]
fn every_explained_code_is_made_somewhere() {
    let mut texts = Vec::new();
    crates().iter().for_each(|name| sources(&folder(name).join("src"), &mut texts));
    let unused: Vec<&str> = [PROBLEMS, FIELDS, COMMANDS]
        .into_iter()
        .flatten()
        .map(|code| code.name)
        .filter(|name| !texts.iter().any(|(_, text)| text.contains(&format!("\"{name}\""))))
        .collect();
    assert!(unused.is_empty(), "nothing makes {unused:?}: take them out of problems/codes.rs");
}

#[test]
fn the_lists_are_sorted_and_their_texts_are_sentences_without_markup() {
    for list in [PROBLEMS, FIELDS, COMMANDS] {
        assert!(list.is_sorted_by_key(|code| code.name), "{:?}", list.iter().map(|code| code.name).collect::<Vec<_>>());
        for code in list {
            for text in [code.means, code.next] {
                assert!(text.ends_with('.') && !text.contains(['<', '>', '&']), "{}: {text}", code.name);
            }
        }
    }
}
