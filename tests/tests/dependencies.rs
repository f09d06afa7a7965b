//! The dependencies are those that `deny.toml` allows and `docs/dependencies.md` explains. Reads the lock file alone,
//! so that it takes a second and needs neither a network nor another program.

#![allow(clippy::unwrap_used, reason = "shared functions of tests are tests too")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};
use spdx::{Expression, ParseMode};
use toml::{Table, Value};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn metadata() -> Metadata {
    let mut command = MetadataCommand::new();
    command.manifest_path(root().join("Cargo.toml"));
    // Not offline: the crates of other platforms need not have been fetched for a build.
    command.other_options(["--locked".to_owned()]);
    command
        .exec()
        .expect("cargo lists the dependencies; they have been fetched to build this")
}

fn read_toml(name: &str) -> Table {
    std::fs::read_to_string(root().join(name))
        .unwrap()
        .parse()
        .unwrap()
}

/// Everything that any program, test or build of ours uses, on any system.
fn used(metadata: &Metadata) -> Vec<&Package> {
    let nodes = &metadata.resolve.as_ref().unwrap().nodes;
    let ids: BTreeSet<&PackageId> = nodes.iter().map(|node| &node.id).collect();
    let found: Vec<&Package> = metadata
        .packages
        .iter()
        .filter(|package| ids.contains(&package.id))
        .collect();
    assert!(found.len() > 100, "they are listed: {}", found.len());
    found
}

#[test]
fn every_licence_is_allowed_and_every_allowed_one_is_needed() {
    let deny = read_toml("deny.toml");
    let allowed: BTreeSet<&str> = deny["licenses"]["allow"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    let metadata = metadata();
    let mut seen = BTreeSet::new();
    for package in used(&metadata) {
        let text = package
            .license
            .as_deref()
            .unwrap_or_else(|| panic!("{} names no licence", package.name));
        let licence = Expression::parse_mode(text, ParseMode::LAX).unwrap();
        let fits = licence.evaluate(|requirement| {
            let name = requirement.to_string();
            seen.insert(name.clone());
            allowed.contains(name.as_str())
        });
        assert!(
            fits,
            "{} {}: `{text}` is not in deny.toml",
            package.name, package.version
        );
    }
    let unneeded: Vec<_> = allowed.iter().filter(|name| !seen.contains(**name)).collect();
    assert!(
        unneeded.is_empty(),
        "deny.toml allows what nothing has: {unneeded:?}"
    );
}

#[test]
fn everything_comes_from_the_public_registry_or_this_repository() {
    let metadata = metadata();
    for package in used(&metadata) {
        match &package.source {
            Some(source) => assert!(source.is_crates_io(), "{} comes from {source}", package.name),
            None => assert!(
                metadata.workspace_members.contains(&package.id),
                "{}",
                package.name
            ),
        }
    }
}

/// The features of the library keep from a UDF of one's own what only an HTTP client needs.
#[test]
fn the_smallest_udf_brings_neither_an_http_client_nor_a_c_compiler() {
    let brings = |features: &[&str]| {
        let output = std::process::Command::new(env!("CARGO"))
            .current_dir(root())
            .args([
                "tree",
                "--locked",
                "--package",
                "async-reduce",
                "--edges",
                "normal,build",
            ])
            .args(["--prefix", "none", "--format", "{lib}"])
            .args(features)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let names = String::from_utf8(output.stdout).unwrap();
        let names: BTreeSet<String> = names.split_whitespace().map(str::to_owned).collect();
        assert!(names.contains("numaflow"), "{names:?}");
        names
    };
    let clients = ["reqwest", "rustls", "ring", "url", "cc"];
    let all = brings(&[]);
    let smallest = brings(&["--no-default-features"]);
    for name in clients {
        assert!(all.contains(name), "{name}: {all:?}");
        assert!(!smallest.contains(name), "{name}: {smallest:?}");
    }
    let with_client = brings(&["--no-default-features", "--features", "http"]);
    assert!(with_client.contains("rustls") && !with_client.contains("reqwest"));
    assert!(
        smallest.len() + 40 < all.len(),
        "{} of {}",
        smallest.len(),
        all.len()
    );
}

#[test]
fn no_crate_needs_a_newer_rust_than_the_workspace_says() {
    let manifest = read_toml("Cargo.toml");
    let said = manifest["workspace"]["package"]["rust-version"].as_str().unwrap();
    let said: Vec<u64> = said.split('.').map(|part| part.parse().unwrap()).collect();
    let metadata = metadata();
    let mut needed = 0;
    for package in used(&metadata) {
        if let Some(version) = &package.rust_version {
            needed = needed.max(version.minor);
            assert!(
                (version.major, version.minor) <= (said[0], said[1]),
                "{} {} needs Rust {version}",
                package.name,
                package.version
            );
        }
    }
    assert_eq!(
        needed, said[1],
        "a lower version than the one that is said would do"
    );
}

#[test]
fn every_duplicate_has_its_reason_and_every_reason_its_duplicate() {
    let deny = read_toml("deny.toml");
    let mut skipped: BTreeMap<(String, String), &str> = BTreeMap::new();
    for entry in deny["bans"]["skip"].as_array().unwrap() {
        let (name, version) = entry["crate"].as_str().unwrap().split_once('@').unwrap();
        let reason = entry["reason"].as_str().unwrap();
        assert!(!reason.is_empty(), "{name}");
        skipped.insert((name.to_owned(), version.to_owned()), reason);
    }
    let metadata = metadata();
    let mut versions: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for package in used(&metadata) {
        let version = package.version.to_string();
        versions.entry(package.name.as_str()).or_default().insert(version);
    }
    let mut needed = BTreeSet::new();
    for (name, versions) in versions.iter().filter(|(_, versions)| versions.len() > 1) {
        let mut without_reason = Vec::new();
        for version in versions {
            let is_named = |(skipped, of): &&(String, String)| {
                skipped == name && (version == of || version.starts_with(&format!("{of}.")))
            };
            match skipped.keys().find(is_named) {
                Some(entry) => drop(needed.insert(entry.clone())),
                None => without_reason.push(version),
            }
        }
        assert!(
            without_reason.len() <= 1,
            "{name} is there as {without_reason:?}: see `skip` in deny.toml"
        );
    }
    let stale: Vec<_> = skipped.keys().filter(|entry| !needed.contains(*entry)).collect();
    assert!(stale.is_empty(), "no longer duplicates: {stale:?}");
}

/// The external dependencies with their features: those of the workspace, and those that one of its crates adds.
fn direct(metadata: &Metadata) -> BTreeMap<String, BTreeSet<String>> {
    let manifest = read_toml("Cargo.toml");
    let listed = manifest["workspace"]["dependencies"].as_table().unwrap();
    let mut direct: BTreeMap<String, BTreeSet<String>> = listed
        .iter()
        .filter(|(_, value)| value.get("path").is_none())
        .map(|(name, value)| (name.clone(), features(value)))
        .collect();
    for package in metadata.workspace_packages() {
        for dependency in &package.dependencies {
            assert!(
                dependency.kind != DependencyKind::Build,
                "{}: no build scripts",
                package.name
            );
            if let Some(features) = direct.get_mut(&dependency.name) {
                features.extend(dependency.features.iter().cloned());
            }
        }
    }
    direct
}

fn features(value: &Value) -> BTreeSet<String> {
    let list = value.get("features").and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .map(|name| name.as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn every_direct_dependency_is_used_and_explained_with_its_features() {
    let metadata = metadata();
    let direct = direct(&metadata);
    let used: BTreeSet<&str> = metadata
        .workspace_packages()
        .iter()
        .flat_map(|package| {
            package
                .dependencies
                .iter()
                .map(|dependency| dependency.name.as_str())
        })
        .collect();
    let text = std::fs::read_to_string(root().join("docs/dependencies.md")).unwrap();
    let mut explained: BTreeMap<&str, (BTreeSet<String>, &str)> = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, features, reason] = cells[..] else {
            panic!("three cells: {line}")
        };
        let features = features
            .split(',')
            .map(|name| name.trim().trim_matches('`').to_owned());
        let features = features.filter(|name| !name.is_empty()).collect();
        explained.insert(name.trim_matches('`'), (features, reason));
    }
    let mut wrong = Vec::new();
    for (name, features) in &direct {
        if !used.contains(name.as_str()) {
            wrong.push(format!(
                "{name}: in the workspace's Cargo.toml, but no crate uses it"
            ));
        }
        match explained.get(name.as_str()) {
            None => wrong.push(format!("{name}: has no line in docs/dependencies.md")),
            Some((listed, reason)) if listed != features || reason.is_empty() => wrong.push(format!(
                "{name}: docs/dependencies.md lists the features {listed:?} and the reason `{reason}`; it has {features:?}"
            )),
            Some(_) => {}
        }
    }
    for name in explained.keys().filter(|name| !direct.contains_key(**name)) {
        wrong.push(format!("{name}: explained, but no dependency of the workspace"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
