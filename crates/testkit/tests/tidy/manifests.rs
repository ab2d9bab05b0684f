//! The manifests of our own crates, and what each must say.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::{Findings, files, read};

/// One crate of the workspace.
pub(crate) struct Manifest {
    /// From the root, `crates/store/Cargo.toml`.
    pub(crate) path: PathBuf,
    /// The short name, `store` for `steward-store`.
    pub(crate) name: String,
    table: Table,
}

impl Manifest {
    /// Every dependency of a section (`dependencies`, `dev-dependencies`, `build-dependencies`), those for one target included.
    pub(crate) fn dependencies(&self, section: &str) -> BTreeMap<&str, &Value> {
        let plain = self.table.get(section).and_then(Value::as_table);
        let targets = self.table.get("target").and_then(Value::as_table);
        let for_target = targets.into_iter().flat_map(Table::values).filter_map(|target| target.get(section)?.as_table());
        plain.into_iter().chain(for_target).flatten().map(|(name, value)| (name.as_str(), value)).collect()
    }
}

const FUZZ: &str = "fuzz/Cargo.toml";

/// The sections that name dependencies.
pub(crate) const SECTIONS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

/// All crates of the workspace.
pub(crate) fn all() -> Vec<Manifest> {
    files("crates", &["Cargo.toml"])
        .into_iter()
        .filter(|path| path.components().count() == 3)
        .map(|path| {
            let table: Table = read(&path).parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let package = table["package"]["name"].as_str().unwrap().to_owned();
            let name = package.strip_prefix("steward-").unwrap_or(&package).to_owned();
            Manifest { path, name, table }
        })
        .collect()
}

fn workspace() -> Table {
    read(Path::new("Cargo.toml")).parse().unwrap()
}

#[test]
fn packages_inherit_what_the_workspace_decides() {
    let mut findings = Findings::default();
    for manifest in all() {
        let place = manifest.path.display();
        let package = &manifest.table["package"];
        let folder = manifest.path.parent().unwrap().file_name().unwrap().to_string_lossy();
        if package["name"].as_str() != Some(&format!("steward-{folder}")) {
            findings.add(place.to_string(), format!("the package in crates/{folder} is named steward-{folder}"));
        }
        for key in ["version", "edition", "rust-version", "license", "publish"] {
            if package.get(key).and_then(|value| value.get("workspace")) != Some(&Value::Boolean(true)) {
                findings.add(place.to_string(), format!("write `{key}.workspace = true`"));
            }
        }
        if package.get("description").and_then(Value::as_str).is_none_or(str::is_empty) {
            findings.add(place.to_string(), "say in one line what the crate is for: `description = \"…\"`");
        }
        if manifest.table.get("lints").and_then(|lints| lints.get("workspace")) != Some(&Value::Boolean(true)) {
            findings.add(place.to_string(), "inherit the lints: `[lints]` with `workspace = true`");
        }
    }
    findings.assert_none();
}

#[test]
fn every_dependency_comes_from_the_workspace_table() {
    let mut findings = Findings::default();
    for manifest in all() {
        for (section, name, value) in
            SECTIONS.iter().flat_map(|section| manifest.dependencies(section).into_iter().map(move |(name, value)| (section, name, value)))
        {
            let inherited = value.get("workspace") == Some(&Value::Boolean(true));
            if !inherited || value.get("version").is_some() {
                findings.add(
                    manifest.path.display(),
                    format!("[{section}] {name}: move the version to [workspace.dependencies] and write `{name}.workspace = true`"),
                );
            }
        }
    }
    findings.assert_none();
}

#[test]
fn the_workspace_table_is_sorted_and_holds_nothing_unused() {
    let text = read(Path::new("Cargo.toml"));
    let table = workspace();
    let declared: BTreeSet<&str> = table["workspace"]["dependencies"].as_table().unwrap().keys().map(String::as_str).collect();
    let manifests = all();
    let used: BTreeSet<&str> =
        manifests.iter().flat_map(|manifest| SECTIONS.iter().flat_map(|section| manifest.dependencies(section).into_keys())).collect();

    let mut findings = Findings::default();
    for name in declared.difference(&used) {
        findings.add("Cargo.toml", format!("no crate uses {name}: remove it from [workspace.dependencies]"));
    }
    let lines = text.lines().skip_while(|line| *line != "[workspace.dependencies]").skip(1);
    let names = lines.take_while(|line| !line.starts_with('[')).map(|line| line.split([' ', '.', '=']).next().unwrap());
    let mut previous = "";
    for name in names {
        if name < previous && !name.is_empty() {
            findings.add("Cargo.toml", format!("[workspace.dependencies]: {name} belongs before {previous}"));
        }
        previous = name;
    }
    findings.assert_none();
}

/// The fuzz targets are a workspace of their own, so that no daily build tells that its versions are to be locked anew.
#[test]
fn the_fuzz_targets_lock_what_our_crates_depend_on() {
    let mut findings = Findings::default();
    let lock: Table = read(Path::new("fuzz/Cargo.lock")).parse().unwrap();
    let manifests: BTreeMap<String, Manifest> =
        all().into_iter().map(|manifest| (format!("steward-{}", manifest.name), manifest)).collect();
    for package in lock["package"].as_array().unwrap() {
        let Some(manifest) = manifests.get(package["name"].as_str().unwrap()) else { continue };
        let locked = package.get("dependencies").and_then(Value::as_array).into_iter().flatten();
        // Where there are several versions, the line names one.
        let locked: BTreeSet<&str> = locked.filter_map(|line| line.as_str()?.split(' ').next()).collect();
        let wanted = ["dependencies", "build-dependencies"].into_iter().flat_map(|section| manifest.dependencies(section).into_keys());
        if locked != wanted.collect() {
            let told = format!("has other dependencies than fuzz/Cargo.lock says: run `cargo update --workspace --manifest-path {FUZZ}`");
            findings.add(manifest.path.display().to_string(), told);
        }
    }
    findings.assert_none();
}
