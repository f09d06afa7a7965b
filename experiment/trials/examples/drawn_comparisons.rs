//! Draws comparisons of 5 trials against 5 from a kept run of many repeats of one build, and counts what they find: none of
//! them should be worse or better. `cargo run -p trials --example drawn_comparisons -- FOLDER METRIC COMPARISONS SEED`

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use trials::comparison::{Design, Side, compare};
use trials::journal;
use trials::metric::Metric;
use trials::outcome::TrialOutcome;

const ON_EACH_SIDE: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [folder, metric, comparisons, seed] = args.as_slice() else {
        return Err("expected FOLDER METRIC COMPARISONS SEED".into());
    };
    let metric = Metric::named(metric).ok_or("no such metric")?;
    let (comparisons, seed): (u64, u64) = (comparisons.parse()?, seed.parse()?);
    let lines = journal::read(Path::new(folder))?;
    let outcomes: Vec<&TrialOutcome> = journal::latest(&lines).into_values().collect();
    let mut found: BTreeMap<&str, u64> = BTreeMap::new();
    for number in 0..comparisons {
        let mut drawn: Vec<(u64, &TrialOutcome)> = (0u64..)
            .zip(&outcomes)
            .map(|(index, outcome)| (wire::splitmix64(seed ^ (number << 32), index), *outcome))
            .collect();
        drawn.sort_by_key(|(key, _)| *key);
        let mut sides = drawn
            .chunks(ON_EACH_SIDE)
            .map(|side| side.iter().map(|(_, outcome)| *outcome).collect::<Vec<_>>());
        let (a, b) = sides.next().zip(sides.next()).ok_or("too few trials")?;
        let machine = BTreeMap::new();
        let side = |outcomes| Side {
            outcomes,
            machine: &machine,
        };
        for cell in compare(metric, side(&a), side(&b), Design::Kept, 0.1) {
            *found.entry(cell.finding.name()).or_default() += 1;
        }
    }
    println!(
        "{} trials, {comparisons} comparisons of {ON_EACH_SIDE} against {ON_EACH_SIDE} by {}, seed {seed}: {found:?}",
        outcomes.len(),
        metric.name()
    );
    Ok(())
}
