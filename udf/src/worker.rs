//! `udf worker`: a child of the process pool. Reads events from standard input, calls the blocking function, writes
//! outcomes to standard output, and ends when its input does.

pub(crate) mod frame;

use std::io::{self, BufReader, ErrorKind, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use wire::Outcome;

use crate::call::Call;

/// Works until standard input ends.
pub(crate) fn work(call: &dyn Call) -> io::Result<()> {
    let mut stdin = BufReader::new(io::stdin().lock());
    let mut stdout = io::stdout().lock();
    loop {
        let bytes = match frame::read_blocking(&mut stdin) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        };
        let event = frame::decode_event(&bytes)?;
        let since = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| call.call_blocking(&event))).unwrap_or(Outcome::Panic);
        // At once: nobody knows how long the next call will take.
        stdout.write_all(&frame::encode_outcome(outcome, since.elapsed()))?;
        stdout.flush()?;
    }
}
