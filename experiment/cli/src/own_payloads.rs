//! The plan's file of payloads: found beside the plan, and checked before anything starts.

use anyhow::anyhow;
use trials::plan::{OwnPayloads, Payloads, Plan, fnv1a};
use trials::text::counted;
use wire::{MAX_PAYLOADS_BYTES, PayloadFile, PayloadKeys};

use crate::failure::Failure;
use crate::plan_args::PlanText;

/// A file that every trial can send.
#[derive(Debug, Clone)]
pub struct CheckedPayloads {
    /// With the path from the working directory.
    pub payloads: OwnPayloads,
    /// What the journal keeps of it.
    pub fact: String,
}

/// Reads the plan's file of payloads, if it names one.
///
/// # Errors
/// Returns an error if the file gives no payloads, or if the plan has another number of keys.
pub fn check(written: &PlanText) -> Result<Option<CheckedPayloads>, Failure> {
    let Some(payloads) = &written.plan.payloads else {
        return Ok(None);
    };
    let refused = |problem: String| Failure::wrong_use(anyhow!("payloads: {problem}"));
    let path = written.beside(&payloads.path)?;
    let key_pointer = payloads.key_pointer.clone();
    let (file, keys) = PayloadFile::open(&path, MAX_PAYLOADS_BYTES, key_pointer.as_deref())
        .map_err(|error| refused(format!("`{}`: {error}", path.display())))?;
    if let Some(pointer) = &key_pointer {
        check_keys(&written.plan, &keys, pointer)?;
    }
    let hash = fnv1a(file.iter().flat_map(|payload| payload.iter().chain(b"\n")));
    let with_keys = key_pointer.is_some().then_some(keys);
    let at = key_pointer.as_ref().map(|pointer| format!(", keys at {pointer}"));
    let lines = counted(file.len() as u64, "line");
    Ok(Some(CheckedPayloads {
        payloads: OwnPayloads {
            payloads: Payloads { path, key_pointer },
            keys: with_keys,
        },
        fact: format!("{lines}, FNV-1a {hash:016x}{}", at.unwrap_or_default()),
    }))
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
