//! The levels of the crates: a crate uses only lower ones, and crates of one level never see each other.

use crate::manifests::{self, SECTIONS};
use crate::{Findings, read};

/// ARCHITECTURE.md explains the levels; a crate is created when its first real code arrives.
const LEVELS: [(u8, &[&str]); 8] = [
    (0, &["base"]),
    (1, &["store", "fabric", "telemetry"]),
    (2, &["auth", "telemetry-sql"]),
    (3, &["web"]),
    (4, &["work"]),
    (5, &["identity", "gateway", "fleet", "observe", "systems", "stream", "automation", "plugin"]),
    (6, &["graphql", "agent", "cli"]),
    (7, &["server"]),
];

/// Used by tests and measurements only, so they may use everything and nothing that ships may use them.
const DEVELOPMENT: [&str; 2] = ["testkit", "bench"];

/// Heavy third-party trees and the one crate that may depend on them.
const WALLS: [(&str, &str); 2] = [("datafusion", "telemetry-sql"), ("wasmtime", "plugin")];

fn level(name: &str) -> Option<u8> {
    LEVELS.iter().find(|(_, names)| names.contains(&name)).map(|(level, _)| *level)
}

#[test]
fn crates_use_only_lower_levels() {
    let mut findings = Findings::default();
    for manifest in manifests::all() {
        if DEVELOPMENT.contains(&manifest.name.as_str()) {
            continue;
        }
        let Some(own) = level(&manifest.name) else {
            findings.add(manifest.path.display(), "give the crate a level in ARCHITECTURE.md and in crates/testkit/tests/tidy/layers.rs");
            continue;
        };
        for section in SECTIONS {
            for used in manifest.dependencies(section).into_keys().filter_map(|name| name.strip_prefix("steward-")) {
                if DEVELOPMENT.contains(&used) {
                    if section != "dev-dependencies" {
                        findings.add(manifest.path.display(), format!("steward-{used} is for [dev-dependencies] only"));
                    }
                } else if level(used).is_none_or(|other| other >= own) {
                    findings.add(
                        manifest.path.display(),
                        format!("[{section}] {} is on level {own} and may not use {used}: let them meet through events or operations, or move what is shared down", manifest.name),
                    );
                }
            }
        }
    }
    findings.assert_none();
}

#[test]
fn heavy_trees_stay_behind_their_wall() {
    let mut findings = Findings::default();
    for manifest in manifests::all() {
        for name in SECTIONS.iter().flat_map(|section| manifest.dependencies(section).into_keys()) {
            for (tree, owner) in WALLS {
                if name.starts_with(tree) && manifest.name != owner {
                    findings.add(manifest.path.display(), format!("only {owner} may depend on {name}"));
                }
            }
        }
    }
    findings.assert_none();
}

#[test]
fn every_crate_is_described_in_the_architecture() {
    let text = read("ARCHITECTURE.md".as_ref());
    let mut findings = Findings::default();
    for manifest in manifests::all() {
        if !text.contains(&format!("`{}`", manifest.name)) {
            findings.add("ARCHITECTURE.md", format!("describe the crate `{}`: its purpose and its invariants", manifest.name));
        }
    }
    findings.assert_none();
}
