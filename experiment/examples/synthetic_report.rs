//! Draws the report of a run that never happened, to look at the page while working on it:
//! `cargo run -p experiment --example synthetic_report -- DIR [classic|start-rules|huge]`.

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

#[path = "../tests/report/synthetic.rs"]
#[allow(dead_code, missing_docs, clippy::unwrap_used)]
mod synthetic;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().map(PathBuf::from).ok_or("which folder?")?;
    let lines = match arguments.next().as_deref() {
        None | Some("classic") => synthetic::classic(),
        Some("start-rules") => synthetic::start_rules(),
        Some("huge") => synthetic::huge(400, 247),
        Some(other) => return Err(format!("no synthetic run is called `{other}`").into()),
    };
    std::fs::create_dir_all(&dir)?;
    let start = Instant::now();
    let page = experiment::report::write(&dir, &lines)?;
    let took = start.elapsed();
    print!("{}", experiment::report::table(&lines));
    println!("\n{} in {took:.1?}", page.display());
    Ok(())
}
