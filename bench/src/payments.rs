//! A user's own events for the rows that send such: payments in a file, one a line.

use std::path::{Path, PathBuf};

use crate::error::BenchError;

/// Bytes of a payment.
pub const PAYMENT_BYTES: usize = 200;

/// How many there are before they repeat.
const COUNT: usize = 1_000;

/// Writes them to a file in `folder`.
pub fn write(folder: &Path) -> Result<PathBuf, BenchError> {
    let path = folder.join("payments.jsonl");
    let lines: Vec<String> = (0..COUNT).map(payment).collect();
    match std::fs::write(&path, lines.join("\n")) {
        Ok(()) => Ok(path),
        Err(source) => Err(BenchError::File {
            doing: "writing",
            path,
            source,
        }),
    }
}

/// A payment of [`PAYMENT_BYTES`], most of which are the user's name: a program that reads it and writes it again sends as
/// many.
fn payment(number: usize) -> String {
    let (start, end) = (r#"{"user":"u"#, format!(r#"","amount":{}.5}}"#, number % 100));
    let digits = PAYMENT_BYTES - start.len() - end.len();
    format!("{start}{number:0digits$}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payments_are_json_of_one_length() {
        let folder = crate::pipeline::folder().unwrap();
        let text = std::fs::read_to_string(write(folder.path()).unwrap()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), COUNT);
        assert!(lines.iter().all(|line| line.len() == PAYMENT_BYTES));
        let payment: serde_json::Value = serde_json::from_str(lines[123]).unwrap();
        assert_eq!(payment["amount"], 23.5);
        assert!(payment["user"].as_str().unwrap().ends_with("00123"));
    }
}
