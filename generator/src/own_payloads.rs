//! Payloads of the user's own: lines of a file, read at start with the key of each at a JSON pointer if there is one, or a
//! template.

use std::path::PathBuf;

use wire::settings::{Form, whole_number};
use wire::{
    Keys, MAX_PAYLOADS_BYTES, PayloadFields, PayloadFile, PayloadFileError, PayloadTemplate,
    PayloadTemplateError,
};

use crate::event::Drawn;

/// Flags for payloads of the user's own.
#[derive(Debug, clap::Args)]
pub struct OwnPayloadsArgs {
    /// Send the lines of this file as payloads, in turn, and from the first again after the last; each has its number in
    /// the header `async-reduce-id` (--payload-size has no effect)
    #[arg(long, env, value_name = "FILE", conflicts_with = "payload_template")]
    payloads: Option<PathBuf>,
    /// Send payloads made from this text, with ${key}, ${index} (among all events), ${number} (within the key), ${time_ms}
    /// (event time) and ${uniform:LOW:HIGH} (a random whole number, by --seed); each has its number in a header, too
    #[arg(long, env, value_name = "TEXT")]
    payload_template: Option<String>,
    /// Most bytes of all lines of --payloads together: they are kept in memory
    #[arg(long, env, value_name = "BYTES", default_value_t = MAX_PAYLOADS_BYTES, value_parser = whole_number::<u32>(1, u64::from(u32::MAX)), allow_hyphen_values = true)]
    max_payloads_bytes: u32,
    /// Where a line of --payloads, which is JSON then, has its key: a JSON pointer like /user to a text or a number
    /// (--keys and --key-skew have no effect)
    #[arg(long, env, value_name = "POINTER", requires = "payloads", conflicts_with = "payload_template", value_parser = |text: &str| Form::Pointer.canonical(text))]
    key_pointer: Option<String>,
}

/// Payloads of the user's own.
#[derive(Debug)]
pub enum OwnPayloads {
    Lines(PayloadFile),
    Template(PayloadTemplate),
}

/// Payloads that cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("payloads: `{}`: {error}", path.display())]
    File { path: PathBuf, error: PayloadFileError },
    #[error("payload-template: {0}")]
    Template(#[from] PayloadTemplateError),
}

impl OwnPayloadsArgs {
    /// Reads the file or the template, if there is one, and the keys in the file, if they are wanted.
    ///
    /// # Errors
    /// Returns an error if the file gives no payloads, a line has no key, or the template is none.
    pub fn read(&self, keyed: bool, seed: u64) -> Result<Option<(OwnPayloads, Option<Keys>)>, Refused> {
        if let Some(text) = &self.payload_template {
            let template = PayloadTemplate::new(text, seed)?;
            return Ok(Some((OwnPayloads::Template(template), None)));
        }
        let Some(path) = &self.payloads else {
            return Ok(None);
        };
        let pointer = self.key_pointer.as_deref();
        let read = PayloadFile::open(path, self.max_payloads_bytes, pointer);
        let (file, keys) = read.map_err(|error| Refused::File {
            path: path.clone(),
            error,
        })?;
        let keys = pointer.map(|_| Keys::of_payloads(keys.names, keys.of_payloads, keyed));
        Ok(Some((OwnPayloads::Lines(file), keys)))
    }
}

impl OwnPayloads {
    /// The payload of an event with this key.
    pub fn payload(&self, drawn: &Drawn, key: &str) -> Vec<u8> {
        match self {
            Self::Lines(file) => file.of(drawn.index).to_vec(),
            Self::Template(template) => template.payload(&PayloadFields {
                key,
                index: drawn.index,
                number: drawn.number,
                time_ns: drawn.time_ns,
            }),
        }
    }
}
