//! `check_manifests RENDERS EXPECTED`: checks every render of the chart (RENDERS/*.yaml), and compares it with the
//! objects and values in the file of the same name in EXPECTED. `make test-chart` calls it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;

use serde::Deserialize;
use serde_json::Value;
use tests::manifests::{Object, admitted_by_openshift, faults, read};

/// What a render must contain.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    /// Whether OpenShift gives the pods their users.
    #[serde(default)]
    openshift: bool,
    /// `Kind/name` of every object; `*` at the end stands for a hash.
    objects: BTreeSet<String>,
    /// By object and path, the value there; null if there must be none.
    values: BTreeMap<String, BTreeMap<String, Value>>,
}

fn main() -> ExitCode {
    let folders: Vec<String> = std::env::args().skip(1).collect();
    let [renders, expected] = folders.as_slice() else {
        eprintln!("usage: check_manifests RENDERS EXPECTED");
        return ExitCode::from(2);
    };
    let names = names(renders);
    if names.is_empty() || names != self::names(expected) {
        eprintln!("{renders} and {expected} do not hold the same files: {names:?}");
        return ExitCode::FAILURE;
    }
    let mut found = Vec::new();
    for name in &names {
        let objects = read(&Path::new(renders).join(name));
        let expected = read_expected(&Path::new(expected).join(name));
        found.extend(differences(name, &objects, &expected));
        if expected.openshift {
            let (admitted, refused) = admitted_by_openshift(&objects);
            found.extend(refused);
            found.extend(faults(&admitted));
        } else {
            found.extend(faults(&objects));
        }
    }
    for line in &found {
        eprintln!("{line}");
    }
    eprintln!("{} renders checked, {} faults", names.len(), found.len());
    ExitCode::from(u8::from(!found.is_empty()))
}

fn names(folder: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let names = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.ends_with(".yaml")).collect()
}

fn read_expected(file: &Path) -> Expected {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn differences(file: &str, objects: &[Object], expected: &Expected) -> Vec<String> {
    let mut found = Vec::new();
    let is = |object: &Object, id: &str| match id.strip_suffix('*') {
        Some(start) => object.id().starts_with(start),
        None => object.id() == id,
    };
    for object in objects
        .iter()
        .filter(|object| !expected.objects.iter().any(|id| is(object, id)))
    {
        found.push(format!("{file}: {} is not expected", object.id()));
    }
    for id in expected
        .objects
        .iter()
        .filter(|id| !objects.iter().any(|object| is(object, id)))
    {
        found.push(format!("{file}: {id} is missing"));
    }
    for (id, values) in &expected.values {
        let Some(object) = objects.iter().find(|object| is(object, id)) else {
            found.push(format!("{file}: {id} is missing"));
            continue;
        };
        for (path, value) in values {
            let there = object.at(path).unwrap_or(&Value::Null);
            if there != value {
                found.push(format!("{file}: {id}: {path} is {there}, expected {value}"));
            }
        }
    }
    found
}
