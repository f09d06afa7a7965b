//! `udf worker`: the main loop of a child process of the process pool. Reads events from standard input, makes the
//! blocking calls, writes the outcomes to standard output, and exits at the end of its input.

pub(crate) mod frame;

use std::io::{self, BufReader, ErrorKind, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use wire::Outcome;

use crate::call::Call;

/// Makes calls until standard input ends.
///
/// # Errors
/// Returns an error if a frame is malformed or a pipe cannot be read or written.
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
        let began = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| call.call_blocking(&event)))
            .unwrap_or_else(|_| Err(Outcome::Panic.into()));
        let answer = frame::Answer {
            result,
            reconnects: event.reconnects.get(),
            took: began.elapsed(),
        };
        // Flushed at once, because the next call may take long.
        stdout.write_all(&frame::encode_answer(&answer))?;
        stdout.flush()?;
    }
}
