//! The blocks of a page of the documentation, which tests compare and run.

use std::path::{Path, PathBuf};

/// A fenced block. The words after its opening fence are its language and, where it is a file or is run in another way than
/// the rest, a second word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    pub language: String,
    pub name: Option<String>,
    pub text: String,
}

/// The folder of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The blocks of a page below `docs`, in their order.
///
/// # Panics
/// Panics if the page cannot be read, or if a block has no language or no end.
pub fn blocks(page: &str) -> Vec<Block> {
    let text = std::fs::read_to_string(root().join("docs").join(page)).expect("a page");
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(words) = line.strip_prefix("```") else {
            continue;
        };
        let mut words = words.split_whitespace().map(str::to_owned);
        let language = words.next().expect("a block has a language");
        let name = words.next();
        let mut text = String::new();
        loop {
            match lines.next().expect("a block has an end") {
                "```" => break,
                line => text.extend([line, "\n"]),
            }
        }
        blocks.push(Block { language, name, text });
    }
    blocks
}

/// The text of a file, from all blocks with its name.
pub fn file(blocks: &[Block], name: &str) -> String {
    let parts = blocks.iter().filter(|block| block.name.as_deref() == Some(name));
    parts.map(|block| block.text.as_str()).collect()
}
