//! Writes the tables of values into helm/README.md, from the comments of helm/values.yaml.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../helm");
    let readme = chart.join("README.md");
    let values = std::fs::read_to_string(chart.join("values.yaml"))?;
    let page = tests::chart_page::with_values(&std::fs::read_to_string(&readme)?, &values);
    std::fs::write(readme, page)
}
