//! `udf worker`: the main loop of a child process of the process pool. Reads events from standard input, makes the
//! blocking calls, writes the answers to standard output, and exits at the end of its input.

pub(crate) mod frame;

use std::io::{self, BufReader, ErrorKind, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use wire::Outcome;

use crate::call::{Answer, BlockingCall};

/// Makes calls until standard input ends. `event_id` is where a payload has its identity.
///
/// # Errors
/// Returns an error if a frame is malformed or a pipe cannot be read or written.
pub(crate) fn work<A: Answer>(
    call: &dyn BlockingCall<Answer = A>,
    event_id: Option<&Arc<str>>,
) -> io::Result<()> {
    let mut stdin = BufReader::new(io::stdin().lock());
    let mut stdout = io::stdout().lock();
    stdout.write_all(&frame::greeting())?;
    stdout.flush()?;
    loop {
        let bytes = match frame::read_blocking(&mut stdin) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        };
        let event = frame::decode_event(bytes, event_id)?;
        let began = Instant::now();
        let answer = catch_unwind(AssertUnwindSafe(|| call.call_blocking(&event)));
        let answer = answer.unwrap_or_else(|_| Err(Outcome::Panic.into()));
        let answered = frame::Answered {
            answer,
            reconnects: event.reconnects(),
            took: began.elapsed(),
        };
        // Flushed at once, because the next call may take long.
        stdout.write_all(&frame::encode_answer(answered))?;
        stdout.flush()?;
    }
}
