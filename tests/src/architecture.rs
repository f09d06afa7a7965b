//! The crates of the workspace and their allowed dependencies. Cargo only refuses cycles; the test that reads this
//! table refuses every other dependency that is not listed.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata};

/// A crate of the workspace, and the workspace's crates that its product code uses.
pub type Arrows = BTreeMap<String, BTreeSet<String>>;

/// Every crate from the bottom up, with all dependencies that it may have.
pub const ALLOWED: [(&str, &[&str]); 18] = [
    ("wire", &[]),
    ("dataplane", &[]),
    ("launcher", &[]),
    ("vertex", &["wire"]),
    ("endpoint", &["vertex", "wire"]),
    ("generator", &["vertex", "wire"]),
    ("sink", &["vertex", "wire"]),
    ("async-reduce", &["vertex", "wire"]),
    ("score", &["async-reduce"]),
    ("postgres-lookup", &["async-reduce"]),
    ("trials", &["wire"]),
    ("engine", &["trials", "vertex", "wire"]),
    ("report", &["trials", "wire"]),
    (
        "local",
        &["dataplane", "engine", "launcher", "trials", "vertex", "wire"],
    ),
    ("cluster", &["engine", "trials", "vertex", "wire"]),
    (
        "experiment",
        &["cluster", "engine", "local", "report", "trials", "vertex", "wire"],
    ),
    (
        "bench",
        &[
            "async-reduce",
            "dataplane",
            "launcher",
            "trials",
            "vertex",
            "wire",
        ],
    ),
    ("tests", &["dataplane", "launcher", "vertex", "wire"]),
];

/// Large dependencies, and the only crates that may use them.
pub const HEAVY: [(&str, &[&str]); 6] = [
    ("deadpool-postgres", &["postgres-lookup"]),
    ("k8s-openapi", &["cluster"]),
    ("kube", &["cluster"]),
    ("indicatif", &["experiment"]),
    ("minijinja", &["report"]),
    (
        "numaflow",
        &["async-reduce", "bench", "dataplane", "generator", "sink", "tests"],
    ),
];

/// The dependencies between the crates of the workspace, without those of tests and build scripts.
pub fn arrows(metadata: &Metadata) -> Arrows {
    let packages = metadata.workspace_packages();
    let ours: BTreeSet<String> = packages.iter().map(|package| short(&package.name)).collect();
    let uses = |package: &&cargo_metadata::Package| {
        let names = package
            .dependencies
            .iter()
            .filter(|d| d.kind == DependencyKind::Normal);
        names
            .map(|dependency| short(&dependency.name))
            .filter(|name| ours.contains(name))
            .collect()
    };
    packages
        .iter()
        .map(|package| (short(&package.name), uses(package)))
        .collect()
}

/// A package as the code of the others names it: in a registry its name has to say whose it is.
fn short(name: &str) -> String {
    name.strip_prefix("async-reduce-").unwrap_or(name).to_owned()
}

/// The dependencies as a Mermaid graph. Those implied by another path are left out, so that the layers are visible.
pub fn picture(arrows: &Arrows) -> String {
    let mut lines = vec!["graph TD".to_owned()];
    for (from, to) in arrows {
        for name in to {
            let implied = to
                .iter()
                .any(|other| other != name && reaches(arrows, other, name));
            if !implied {
                lines.push(format!("    {from} --> {name}"));
            }
        }
    }
    lines.join("\n")
}

fn reaches(arrows: &Arrows, from: &str, to: &str) -> bool {
    arrows
        .get(from)
        .is_some_and(|uses| uses.contains(to) || uses.iter().any(|next| reaches(arrows, next, to)))
}
