//! The blocks of `docs/own-udf.md` that are copies of other files are those files. `make test-examples` runs the page.

#![allow(clippy::unwrap_used, reason = "shared functions of tests are tests too")]

use std::collections::BTreeSet;
use std::fs;

use tests::page::{Block, blocks, file, root};
use toml::{Table, Value};

fn page() -> Vec<Block> {
    blocks("own-udf.md")
}

fn toml(text: &str) -> Table {
    text.parse().unwrap()
}

#[test]
fn its_program_is_the_example() {
    let example = fs::read_to_string(root().join("examples/score/src/main.rs")).unwrap();
    assert_eq!(file(&page(), "src/main.rs"), example);
    let lines = example.lines().count();
    assert!(lines < 80, "{lines} lines");
}

#[test]
fn its_dependencies_are_those_of_the_workspace() {
    let manifest = toml(&file(&page(), "Cargo.toml"));
    let workspace = toml(&fs::read_to_string(root().join("Cargo.toml")).unwrap());
    assert_eq!(
        manifest["package"]["edition"],
        workspace["workspace"]["package"]["edition"]
    );
    for (name, value) in manifest["dependencies"].as_table().unwrap() {
        match value.get("path") {
            Some(path) => {
                let folder = path.as_str().unwrap().strip_prefix("../async-reduce/").unwrap();
                let package = toml(&fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap());
                assert_eq!(package["package"]["name"].as_str(), Some(name.as_str()));
            }
            None => assert_eq!(value, &workspace["workspace"]["dependencies"][name], "{name}"),
        }
    }
}

#[test]
fn its_image_is_built_as_ours_is() {
    let page = page();
    let (own, ours) = (
        file(&page, "Dockerfile"),
        fs::read_to_string(root().join("Dockerfile")).unwrap(),
    );
    let lines = |text: &str, word: &str| -> BTreeSet<String> {
        let lines = text.lines().filter(|line| line.starts_with(word));
        lines.map(str::to_owned).collect()
    };
    for word in ["FROM ", "USER "] {
        assert_eq!(lines(&own, word), lines(&ours, word));
    }
    let manifest = toml(&file(&page, "Cargo.toml"));
    let name = manifest["package"]["name"].as_str().unwrap();
    let library = &manifest["dependencies"]["async-reduce"]["path"];
    // Beside the program's folder in the image as it is outside of it.
    for line in [
        format!("WORKDIR /{name}"),
        "COPY --from=async-reduce . /async-reduce".to_owned(),
        format!("COPY --from=build /{name}/target/release/{name} /usr/local/bin/"),
        format!("ENTRYPOINT [\"/usr/local/bin/{name}\"]"),
    ] {
        assert!(own.lines().any(|found| found == line), "{line}");
    }
    assert_eq!(library, &Value::from("../async-reduce/udf"));
    let build = page
        .iter()
        .find(|block| block.text.contains("docker build"))
        .unwrap();
    assert!(
        build
            .text
            .contains("--build-context async-reduce=../async-reduce ")
    );
}

#[test]
fn every_block_is_a_file_or_commands() {
    for block in page() {
        let known = match (block.language.as_str(), block.name.as_deref()) {
            ("sh", None) => true,
            ("sh", Some("cluster")) => {
                let programs = ["docker ", "kubectl ", "helm ", "experiment collect ", "    "];
                block
                    .text
                    .lines()
                    .all(|line| programs.iter().any(|program| line.starts_with(program)))
            }
            (_, Some(file)) => file.contains('.') || file == "Dockerfile",
            (_, None) => false,
        };
        assert!(known, "{block:?}");
    }
}
