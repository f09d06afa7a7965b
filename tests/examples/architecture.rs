//! Prints the dependencies between the crates as a Mermaid graph: `cargo run -p tests --example architecture`.

use cargo_metadata::MetadataCommand;

fn main() -> Result<(), cargo_metadata::Error> {
    let metadata = MetadataCommand::new().no_deps().exec()?;
    println!(
        "{}",
        tests::architecture::picture(&tests::architecture::arrows(&metadata))
    );
    Ok(())
}
