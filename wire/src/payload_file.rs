//! A file of payloads, one a line, kept in memory: a user's own events. The generator sends them; the experiment checks
//! the file before its first trial.

mod keys;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

pub use keys::PayloadKeys;

/// Longest line. JetStream refuses longer messages for ever.
pub const MAX_PAYLOAD_LINE_BYTES: usize = 1_000_000;

/// Default bound of the payloads of a file, all together: 256 MiB.
pub const MAX_PAYLOADS_BYTES: u32 = 256 << 20;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// The payloads of a file, at least one.
#[derive(Clone, PartialEq, Eq)]
pub struct PayloadFile {
    /// All payloads, one after the other.
    bytes: Vec<u8>,
    /// Where each payload ends.
    ends: Vec<u32>,
}

/// Why a file gives no payloads.
#[derive(Debug, thiserror::Error)]
pub enum PayloadFileError {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    /// There is no line that is not blank.
    #[error("has no line with a payload")]
    Empty,
    /// A line is too long.
    #[error("line {line} is longer than {MAX_PAYLOAD_LINE_BYTES} bytes, the most that a message may have")]
    LongLine {
        /// Its number, from 1.
        line: u64,
    },
    /// The payloads are too many to be kept.
    #[error("its payloads have more than {most} bytes by line {line}: use a part of the file")]
    TooLarge {
        /// The bound of all payloads.
        most: u32,
        /// Number of the line that exceeds it, from 1.
        line: u64,
    },
    /// A line does not have what the reader looks for in it.
    #[error("line {line}: {problem}")]
    Line {
        /// Its number, from 1.
        line: u64,
        /// The problem.
        problem: String,
    },
}

impl PayloadFile {
    /// Reads a file with payloads of at most `most` bytes all together, and the keys that they have at a JSON pointer; no
    /// keys without one.
    ///
    /// A byte order mark, carriage returns before line feeds, and blank lines are left out.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, has no payload or is too large, or if a payload has no key there.
    pub fn open(path: &Path, most: u32, key: Option<&str>) -> Result<(Self, PayloadKeys), PayloadFileError> {
        let mut keys = PayloadKeys::default();
        let file = Self::read(File::open(path)?, most, |payload| match key {
            Some(pointer) => keys.add(payload, pointer),
            None => Ok(()),
        })?;
        Ok((file, keys))
    }

    /// Reads payloads, each of which `check` accepts.
    fn read(
        from: impl Read,
        most: u32,
        mut check: impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<Self, PayloadFileError> {
        // Room for a byte order mark and the end of a line.
        const LONGEST: u64 = MAX_PAYLOAD_LINE_BYTES as u64 + 5;
        let mut from = BufReader::new(from);
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for line in 1.. {
            let start = bytes.len();
            if from.by_ref().take(LONGEST).read_until(b'\n', &mut bytes)? == 0 {
                break;
            }
            if line == 1 && bytes.starts_with(BOM) {
                bytes.drain(..BOM.len());
            }
            for end in [b"\n", b"\r"] {
                if bytes[start..].ends_with(end) {
                    bytes.pop();
                }
            }
            let payload = &bytes[start..];
            if payload.len() > MAX_PAYLOAD_LINE_BYTES {
                return Err(PayloadFileError::LongLine { line });
            }
            if payload.trim_ascii().is_empty() {
                bytes.truncate(start);
                continue;
            }
            check(payload).map_err(|problem| PayloadFileError::Line { line, problem })?;
            let end = u32::try_from(bytes.len()).ok().filter(|end| *end <= most);
            ends.push(end.ok_or(PayloadFileError::TooLarge { most, line })?);
        }
        if ends.is_empty() {
            return Err(PayloadFileError::Empty);
        }
        bytes.shrink_to_fit();
        ends.shrink_to_fit();
        Ok(Self { bytes, ends })
    }

    /// How many payloads there are, at least one.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The payload of an event: from the first again after the last.
    pub fn of(&self, index: u64) -> &[u8] {
        self.at((index % self.ends.len() as u64) as usize)
    }

    /// All payloads in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|place| self.at(place))
    }

    fn at(&self, place: usize) -> &[u8] {
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start as usize..self.ends[place] as usize]
    }
}

/// Without the payloads, which may hold secrets.
impl std::fmt::Debug for PayloadFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PayloadFile")
            .field("payloads", &self.len())
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &[u8], most: u32) -> Result<PayloadFile, PayloadFileError> {
        PayloadFile::read(text, most, |_| Ok(()))
    }

    #[test]
    fn blank_lines_and_what_editors_add_are_left_out() {
        for (text, payloads) in [
            (&b"a\nb\n"[..], &[&b"a"[..], b"b"][..]),
            (b"a\nb", &[b"a", b"b"]),
            (b"\xef\xbb\xbfa\r\n\r\n \t\nb c \r\n", &[b"a", b"b c "]),
            (b"\xef\xbb\xbf\na", &[b"a"]),
            (b"\n\n\xff\x00\n", &[b"\xff\x00"]),
            (b"a\rb\n\xef\xbb\xbfc", &[b"a\rb", b"\xef\xbb\xbfc"]),
        ] {
            let file = read(text, 100).unwrap();
            assert_eq!(file.iter().collect::<Vec<_>>(), payloads, "{text:?}");
            let round: Vec<&[u8]> = (0..2 * payloads.len() as u64)
                .map(|index| file.of(index))
                .collect();
            assert_eq!(round, [payloads, payloads].concat(), "{text:?}");
        }
    }

    #[test]
    fn what_gives_no_payloads_is_refused_with_its_line() {
        let refusal = |text: &[u8], most| read(text, most).unwrap_err().to_string();
        for empty in [&b""[..], b"\n\r\n \n", BOM] {
            assert_eq!(refusal(empty, 100), "has no line with a payload");
        }
        let longest = vec![b'x'; MAX_PAYLOAD_LINE_BYTES];
        for end in [&b""[..], b"\n", b"\r\n"] {
            let text = [BOM, &longest, end].concat();
            assert_eq!(read(&text, u32::MAX).unwrap().of(0), longest);
            let text = [b"a\n\n", &longest[..], b"x", end].concat();
            assert!(refusal(&text, u32::MAX).starts_with("line 3 is longer than 1000000 bytes"));
        }
        assert_eq!(read(b"abc\ndef\n", 6).unwrap().len(), 2);
        assert_eq!(
            refusal(b"abc\n\ndefg\n", 6),
            "its payloads have more than 6 bytes by line 3: use a part of the file"
        );
        let odd = |payload: &[u8]| match payload {
            b"b" => Err("no".to_owned()),
            _ => Ok(()),
        };
        let refused = PayloadFile::read(&b"a\n\nb\n"[..], 9, odd);
        assert_eq!(refused.unwrap_err().to_string(), "line 3: no");
    }

    proptest! {
        #[test]
        fn any_bytes_give_lines_or_a_refusal(text in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b' '), any::<u8>()], 0..60)) {
            if let Ok(file) = read(&text, 1_000) {
                for payload in file.iter() {
                    prop_assert!(!payload.trim_ascii().is_empty() && !payload.contains(&b'\n'));
                }
            }
        }
    }
}
