//! The crates depend on one another as `docs/architecture.md` shows; large dependencies are used only where allowed.

#![allow(clippy::unwrap_used, reason = "shared functions of tests are tests too")]

use std::collections::BTreeSet;
use std::path::Path;

use cargo_metadata::{Metadata, MetadataCommand};
use tests::architecture::{ALLOWED, Arrows, HEAVY, arrows, picture};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn metadata() -> Metadata {
    let mut command = MetadataCommand::new();
    command.manifest_path(root().join("Cargo.toml")).no_deps();
    command.exec().unwrap()
}

#[test]
fn the_arrows_between_the_crates_are_those_that_are_allowed() {
    let allowed: Arrows = ALLOWED
        .iter()
        .map(|(name, uses)| {
            (
                (*name).to_owned(),
                uses.iter().map(|name| (*name).to_owned()).collect(),
            )
        })
        .collect();
    assert_eq!(arrows(&metadata()), allowed);
}

#[test]
fn a_heavy_dependency_is_named_where_it_may_be_and_nowhere_else() {
    let metadata = metadata();
    for (heavy, allowed) in HEAVY {
        let named: BTreeSet<&str> = metadata
            .workspace_packages()
            .into_iter()
            .filter(|package| package.dependencies.iter().any(|uses| uses.name == heavy))
            .map(|package| package.name.as_str())
            .collect();
        assert_eq!(named, allowed.iter().copied().collect(), "{heavy}");
    }
}

#[test]
fn the_picture_in_the_architecture_page_is_the_one_that_the_crates_give() {
    let page = std::fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let picture = picture(&arrows(&metadata()));
    assert!(
        page.contains(&format!("```mermaid\n{picture}\n```")),
        "put this into docs/architecture.md:\n{picture}"
    );
}

/// Every manifest is copied before the dependencies are built, so that they are rebuilt only after a manifest has
/// changed.
#[test]
fn the_image_is_built_of_every_crate() {
    let dockerfile = std::fs::read_to_string(root().join("Dockerfile")).unwrap();
    let copied: BTreeSet<&str> = dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("COPY ")?.split_once("/Cargo.toml "))
        .map(|(folder, _)| folder)
        .collect();
    let root = root().canonicalize().unwrap();
    let metadata = metadata();
    let members: BTreeSet<&str> = metadata
        .workspace_packages()
        .into_iter()
        .map(|package| package.manifest_path.as_std_path().strip_prefix(&root).unwrap())
        .map(|manifest| manifest.parent().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(copied, members);
    // The folders that the builder is given; it is given nothing else.
    let ignored = std::fs::read_to_string(root.join(".dockerignore")).unwrap();
    let given: BTreeSet<&str> = ignored
        .lines()
        .filter_map(|line| line.strip_prefix('!'))
        .collect();
    for member in members {
        let folder = member.split('/').next().unwrap();
        assert!(given.contains(folder), ".dockerignore leaves {folder} out");
    }
}
