//! Draws the report of a synthetic run, for working on the page, or writes its journal, for measuring `experiment report`:
//! `cargo run -p report --example synthetic_report -- DIR [classic|start-rules|long|huge|grid] [--journal]`.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use trials::journal::{FILE_NAME, JournalLine};

#[path = "../tests/report/synthetic.rs"]
#[allow(dead_code, missing_docs, clippy::unwrap_used)]
mod synthetic;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let journal_only = arguments.iter().any(|argument| argument == "--journal");
    arguments.retain(|argument| argument != "--journal");
    let mut arguments = arguments.into_iter();
    let dir = arguments.next().map(PathBuf::from).ok_or("which folder?")?;
    let lines = match arguments.next().as_deref() {
        None | Some("classic") => synthetic::classic(),
        Some("start-rules") => synthetic::start_rules(),
        // The same 100,000 windows in few trials, in some, and in as many as a plan's grid has.
        Some("long") => synthetic::huge(8, 12_497),
        Some("huge") => synthetic::huge(400, 247),
        Some("grid") => synthetic::grid(6_250),
        Some(other) => return Err(format!("no synthetic run is called `{other}`").into()),
    };
    std::fs::create_dir_all(&dir)?;
    if journal_only {
        return write_journal(&dir, &lines);
    }
    let start = Instant::now();
    let page = report::write(&dir, &lines)?;
    let took = start.elapsed();
    print!("{}", report::table(&lines));
    println!("\n{} in {took:.1?}", page.display());
    Ok(())
}

fn write_journal(dir: &Path, lines: &[JournalLine]) -> Result<(), Box<dyn Error>> {
    let path = dir.join(FILE_NAME);
    let mut out = BufWriter::new(File::create(&path)?);
    for line in lines {
        serde_json::to_writer(&mut out, line)?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    println!("{}", path.display());
    Ok(())
}
