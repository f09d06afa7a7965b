//! Payloads of the user's own: read from their file at start, with the key of each at a JSON pointer if there is one.

use std::path::PathBuf;

use wire::settings::{Form, whole_number};
use wire::{Keys, MAX_PAYLOADS_BYTES, PayloadFile, PayloadFileError};

/// Flags for payloads of the user's own.
#[derive(Debug, clap::Args)]
pub struct OwnPayloads {
    /// Send the lines of this file as payloads, in turn, and from the first again after the last; each has its number in
    /// the header `async-reduce-id` (--payload-size has no effect)
    #[arg(long, env, value_name = "FILE")]
    payloads: Option<PathBuf>,
    /// Most bytes of all lines of --payloads together: they are kept in memory
    #[arg(long, env, value_name = "BYTES", default_value_t = MAX_PAYLOADS_BYTES, value_parser = whole_number::<u32>(1, u64::from(u32::MAX)), allow_hyphen_values = true)]
    max_payloads_bytes: u32,
    /// Where a line of --payloads, which is JSON then, has its key: a JSON pointer like /user to a text or a number
    /// (--keys and --key-skew have no effect)
    #[arg(long, env, value_name = "POINTER", requires = "payloads", value_parser = |text: &str| Form::Pointer.canonical(text))]
    key_pointer: Option<String>,
}

/// A file that cannot be sent.
#[derive(Debug)]
pub struct Refused {
    path: PathBuf,
    error: PayloadFileError,
}

impl OwnPayloads {
    /// Reads the file, if there is one, and the keys in it, if they are wanted.
    ///
    /// # Errors
    /// Returns an error if the file gives no payloads or a line has no key.
    pub fn read(&self, keyed: bool) -> Result<Option<(PayloadFile, Option<Keys>)>, Refused> {
        let Some(path) = &self.payloads else {
            return Ok(None);
        };
        let pointer = self.key_pointer.as_deref();
        let read = PayloadFile::open(path, self.max_payloads_bytes, pointer);
        let (file, keys) = read.map_err(|error| Refused {
            path: path.clone(),
            error,
        })?;
        let keys = pointer.map(|_| Keys::of_payloads(keys.names, keys.of_payloads, keyed));
        Ok(Some((file, keys)))
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "payloads: `{}`: {}", self.path.display(), self.error)
    }
}
