//! Bodies as every version of every kind stored them: each must become what the present version takes. A file is never edited or removed; a
//! kind that changes in a way that old bodies do not bear gets a step in its `UPGRADES` and a file for its new version.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value};

use crate::app::kinds;

fn stored(kind: &str, version: i32) -> Option<Map<String, Value>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/stored_bodies/{kind}.v{version}.json"));
    let text = std::fs::read_to_string(path).ok()?;
    Some(serde_json::from_str(&text).expect("a file holds an object"))
}

#[test]
fn every_version_of_every_kind_is_understood() {
    let kinds = kinds();
    let mut missing = Vec::new();
    for kind in kinds.iter() {
        for version in 1..=kind.version() {
            let Some(mut body) = stored(kind.name(), version) else {
                missing.push(format!("{}.v{version}.json", kind.name()));
                continue;
            };
            kind.upgrade(version, &mut body);
            let checked = kind.check_stored(body.clone());
            assert!(checked.is_ok(), "{} of version {version}: {:?}", kind.name(), checked.err());
            // A field that the schema does not know any more was forgotten by the upgrade.
            let known = |name: &str| kind.schema()["properties"].get(name).is_some();
            let lost: Vec<&String> = body.keys().filter(|name| !known(name)).collect();
            assert!(lost.is_empty(), "{} of version {version}: {lost:?} went away without an upgrade", kind.name());
        }
    }
    assert!(missing.is_empty(), "no stored body is kept of {missing:?}: add one to src/stored_bodies");
}

#[test]
fn every_file_is_of_a_kind() {
    let kinds = kinds();
    let names: BTreeSet<String> = kinds.iter().map(|kind| kind.name().to_owned()).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/stored_bodies");
    for entry in std::fs::read_dir(folder).expect("is there").flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        let kind = file.split_once(".v").map_or(file.as_str(), |(kind, _)| kind);
        assert!(names.contains(kind), "{file} is of a kind that went away: installations may still hold its records");
    }
}
