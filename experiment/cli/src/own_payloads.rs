//! The plan's payloads: a file is found beside the plan, and checked before anything starts.

use std::path::Path;

use anyhow::anyhow;
use trials::plan::{OwnPayloads, Payloads, Plan, fnv1a};
use trials::text::counted;
use wire::{MAX_PAYLOADS_BYTES, PayloadFile, PayloadKeys};

use crate::failure::Failure;
use crate::plan_args::PlanText;

/// Events that every trial can send.
#[derive(Debug, Clone, Default)]
pub struct CheckedPayloads {
    /// A file has its path from the working directory.
    pub payloads: Option<OwnPayloads>,
    /// What the journal keeps of a file, and of a template.
    pub facts: [Option<String>; 2],
}

/// Reads the plan's file of payloads, if it names one.
///
/// # Errors
/// Returns an error if the file gives no payloads, or if the plan has another number of keys.
pub fn check(written: &PlanText) -> Result<CheckedPayloads, Failure> {
    match &written.plan.payloads {
        None => Ok(CheckedPayloads::default()),
        Some(Payloads::File { path, key_pointer }) => file(written, path, key_pointer.as_deref()),
        Some(Payloads::Template(text)) => {
            let hash = fnv1a(text.as_bytes());
            let bytes = counted(text.len() as u64, "byte");
            Ok(CheckedPayloads {
                payloads: Some(OwnPayloads {
                    payloads: Payloads::Template(text.clone()),
                    keys: None,
                }),
                facts: [None, Some(format!("{bytes}, FNV-1a {hash:016x}"))],
            })
        }
    }
}

fn file(written: &PlanText, path: &Path, key_pointer: Option<&str>) -> Result<CheckedPayloads, Failure> {
    let refused = |problem: String| Failure::wrong_use(anyhow!("payloads: {problem}"));
    let path = written.beside(path)?;
    let (file, keys) = PayloadFile::open(&path, MAX_PAYLOADS_BYTES, key_pointer)
        .map_err(|error| refused(format!("`{}`: {error}", path.display())))?;
    if let Some(pointer) = key_pointer {
        check_keys(&written.plan, &keys, pointer)?;
    }
    let hash = fnv1a(file.iter().flat_map(|payload| payload.iter().chain(b"\n")));
    let at = key_pointer.map(|pointer| format!(", keys at {pointer}"));
    let lines = counted(file.len() as u64, "line");
    Ok(CheckedPayloads {
        payloads: Some(OwnPayloads {
            payloads: Payloads::File {
                path,
                key_pointer: key_pointer.map(str::to_owned),
            },
            keys: key_pointer.map(|_| keys),
        }),
        facts: [
            Some(format!("{lines}, FNV-1a {hash:016x}{}", at.unwrap_or_default())),
            None,
        ],
    })
}

/// Prediction and report take the number of keys from the plan.
fn check_keys(plan: &Plan, keys: &PayloadKeys, pointer: &str) -> Result<(), Failure> {
    let found = keys.names.len() as u64;
    let trials = plan.trials();
    if let Some(other) = trials.iter().find(|trial| trial.settings.keys.get() != found) {
        let keys = other.settings.keys;
        return Err(Failure::wrong_use(anyhow!(
            "keys: must be {found}, as many as the payloads have at {pointer}, not {keys}"
        )));
    }
    if trials.iter().any(|trial| trial.settings.key_skew != 0.0) {
        return Err(Failure::wrong_use(anyhow!(
            "key_skew: has no effect with key_pointer: leave it out"
        )));
    }
    Ok(())
}
