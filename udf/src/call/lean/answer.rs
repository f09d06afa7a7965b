//! Reads one answer to a GET, in whatever pieces it comes: HTTP/1.1 as in RFC 9112. The body goes nowhere; it is counted.

use std::mem::MaybeUninit;

use httparse::{ParserConfig, Response, Status};
use wire::Outcome;

use super::Failure;
use crate::call::http::MAX_BODY_BYTES;

/// Longest head, and longest line of a body in chunks with what follows it.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Read at once: more than an answer of the endpoint.
pub(super) const PIECE_BYTES: usize = 2 * 1024;

/// Most headers of an answer.
const MAX_HEADERS: usize = 100;

/// A whole answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    status: u16,
    /// Whether the connection can carry another request.
    pub(super) reusable: bool,
}

/// What has been read of an answer.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// Bytes that are not enough for the next step.
    rest: Vec<u8>,
    part: Part,
    status: u16,
    keep_alive: bool,
    body_bytes: u64,
}

/// What comes next.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum Part {
    #[default]
    Head,
    /// So many bytes of the body.
    Body(u64),
    ChunkSize,
    /// So many bytes of a chunk.
    Chunk(u64),
    /// The end of a chunk's line.
    ChunkEnd,
    Trailers,
    /// The body goes on to the end of the connection.
    UntilEnd,
    Nothing,
}

/// What a head says of what follows.
struct Head {
    bytes: usize,
    status: u16,
    keep_alive: bool,
    body: Part,
}

impl Answer {
    pub(super) fn outcome(self) -> Outcome {
        if (200..300).contains(&self.status) {
            Outcome::Ok
        } else {
            Outcome::BadStatus
        }
    }
}

impl Reader {
    /// Takes the next piece; gives the answer once it is whole.
    ///
    /// # Errors
    /// [`Failure::BadAnswer`] where it is no HTTP, too long, or in an encoding that nobody asked for.
    pub(super) fn read(&mut self, piece: &[u8]) -> Result<Option<Answer>, Failure> {
        if self.rest.is_empty() {
            let used = self.take(piece)?;
            self.rest.extend_from_slice(&piece[used..]);
        } else {
            let mut bytes = std::mem::take(&mut self.rest);
            bytes.extend_from_slice(piece);
            let used = self.take(&bytes)?;
            bytes.drain(..used);
            self.rest = bytes;
        }
        let over = self.rest.len();
        if self.part != Part::Nothing {
            return if over > MAX_HEAD_BYTES {
                Err(Failure::BadAnswer)
            } else {
                Ok(None)
            };
        }
        Ok(Some(Answer {
            status: self.status,
            // What comes after an answer that nobody asked for must not be taken for the next one.
            reusable: self.keep_alive && over == 0,
        }))
    }

    /// The connection has ended.
    ///
    /// # Errors
    /// Where the answer is not whole by that.
    pub(super) fn end(&self) -> Result<Answer, Failure> {
        match self.part {
            Part::Head => Err(Failure::NoAnswer),
            Part::UntilEnd => Ok(Answer {
                status: self.status,
                reusable: false,
            }),
            _ => Err(Failure::BadAnswer),
        }
    }

    /// Takes as much as there is of the parts to come; says how many bytes that were.
    fn take(&mut self, bytes: &[u8]) -> Result<usize, Failure> {
        let mut used = 0;
        loop {
            let rest = &bytes[used..];
            let step = match self.part {
                Part::Nothing => None,
                Part::Head => self.head(rest)?,
                Part::Body(left) => self.body(rest, left, Part::Body, Part::Nothing)?,
                Part::Chunk(left) => self.body(rest, left, Part::Chunk, Part::ChunkEnd)?,
                Part::UntilEnd => self.body(rest, u64::MAX, |_| Part::UntilEnd, Part::UntilEnd)?,
                Part::ChunkSize => self.chunk_size(rest)?,
                Part::ChunkEnd => match rest {
                    [] | [b'\r'] => None,
                    [b'\r', b'\n', ..] => Some((2, Part::ChunkSize)),
                    _ => return Err(Failure::BadAnswer),
                },
                Part::Trailers => trailers(rest)?,
            };
            let Some((length, next)) = step else {
                return Ok(used);
            };
            used += length;
            self.part = next;
        }
    }

    fn head(&mut self, bytes: &[u8]) -> Result<Option<(usize, Part)>, Failure> {
        let Some(head) = head(bytes)? else { return Ok(None) };
        // Not yet the answer: another head follows (RFC 9110, 15.2). Nobody asked for 101, which would end the talk.
        if (100..200).contains(&head.status) && head.status != 101 {
            return Ok(Some((head.bytes, Part::Head)));
        }
        self.status = head.status;
        self.keep_alive = head.keep_alive;
        if let Part::Body(length) = head.body {
            self.longer(length)?;
        }
        Ok(Some((head.bytes, head.body)))
    }

    fn body(
        &mut self,
        bytes: &[u8],
        left: u64,
        more: impl FnOnce(u64) -> Part,
        after: Part,
    ) -> Result<Option<(usize, Part)>, Failure> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let length = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
        if self.part == Part::UntilEnd {
            self.longer(length as u64)?;
        }
        let left = left - length as u64;
        Ok(Some((length, if left == 0 { after } else { more(left) })))
    }

    fn chunk_size(&mut self, bytes: &[u8]) -> Result<Option<(usize, Part)>, Failure> {
        match httparse::parse_chunk_size(bytes) {
            Ok(Status::Partial) => Ok(None),
            Ok(Status::Complete((length, 0))) => Ok(Some((length, Part::Trailers))),
            Ok(Status::Complete((length, size))) => {
                self.longer(size)?;
                Ok(Some((length, Part::Chunk(size))))
            }
            Err(_) => Err(Failure::BadAnswer),
        }
    }

    /// Counts what the body has or announces.
    fn longer(&mut self, bytes: u64) -> Result<(), Failure> {
        self.body_bytes = self.body_bytes.saturating_add(bytes);
        if self.body_bytes > MAX_BODY_BYTES as u64 {
            return Err(Failure::BadAnswer);
        }
        Ok(())
    }
}

/// A head, once it is whole.
fn head(bytes: &[u8]) -> Result<Option<Head>, Failure> {
    let mut room = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut response = Response::new(&mut []);
    let parsed = ParserConfig::default().parse_response_with_uninit_headers(&mut response, bytes, &mut room);
    let length = match parsed {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(_) => return Err(Failure::BadAnswer),
    };
    let status = response.code.unwrap_or_default();
    let mut keep_alive = response.version == Some(1);
    let (mut body_bytes, mut transfer_encoding) = (None, None);
    for header in response.headers.iter() {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        let text = || std::str::from_utf8(header.value).unwrap_or_default().trim();
        if is("content-length") {
            let given: u64 = decimal(header.value).ok_or(Failure::BadAnswer)?;
            if body_bytes.replace(given).is_some_and(|other| other != given) {
                return Err(Failure::BadAnswer);
            }
        } else if is("transfer-encoding") {
            transfer_encoding = Some(text());
        } else if is("connection") {
            keep_alive &= !has_token(text(), "close");
        } else if is("content-encoding") && text() != "identity" {
            return Err(Failure::BadAnswer);
        }
    }
    let body = match (status, transfer_encoding, body_bytes) {
        (100..200 | 204 | 304, _, _) | (_, None, Some(0)) => Part::Nothing,
        // Before a length, as RFC 9112 has it in 6.3.
        (_, Some(encoding), _) if has_token(encoding, "chunked") => Part::ChunkSize,
        (_, Some(_), _) | (_, None, None) => Part::UntilEnd,
        (_, None, Some(length)) => Part::Body(length),
    };
    Ok(Some(Head {
        bytes: length,
        status,
        keep_alive: keep_alive && status != 101,
        body,
    }))
}

/// What follows the last chunk, which nobody reads.
fn trailers(bytes: &[u8]) -> Result<Option<(usize, Part)>, Failure> {
    let mut room = [httparse::EMPTY_HEADER; MAX_HEADERS];
    match httparse::parse_headers(bytes, &mut room) {
        Ok(Status::Complete((length, _))) => Ok(Some((length, Part::Nothing))),
        Ok(Status::Partial) => Ok(None),
        Err(_) => Err(Failure::BadAnswer),
    }
}

/// Digits and nothing else.
fn decimal(value: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(value).ok()?.trim();
    let only = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    only.then(|| digits.parse().ok()).flatten()
}

fn has_token(list: &str, token: &str) -> bool {
    list.split(',')
        .any(|part| part.trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What comes of an answer in pieces cut at these places, and then the end of the connection.
    fn read(bytes: &[u8], cuts: &[usize]) -> Option<(u16, bool)> {
        let mut reader = Reader::default();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        for piece in cuts.windows(2).filter(|pair| pair[0] < pair[1]) {
            match reader.read(&bytes[piece[0]..piece[1]]) {
                Ok(Some(answer)) => return Some((answer.status, answer.reusable)),
                Ok(None) => {}
                Err(_) => return None,
            }
        }
        reader.end().ok().map(|answer| (answer.status, answer.reusable))
    }

    const WHOLE: [(&str, u16, bool); 9] = [
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\npong\n", 200, true),
        (
            "HTTP/1.1 200 OK\r\nConnection: x, Close\r\ncontent-length: 1\r\n\r\nx",
            200,
            false,
        ),
        ("HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\nx", 200, false),
        ("HTTP/1.1 200 OK\r\n\r\nuntil its end", 200, false),
        ("HTTP/1.1 204 No Content\r\n\r\n", 204, true),
        (
            "HTTP/1.1 503 No\r\nContent-Encoding: identity\r\ncontent-length: 0\r\n\r\n",
            503,
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 7\r\n\r\n4;a=b\r\npong\r\n1\r\nx\r\n0\r\n\r\n",
            200,
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: y\r\n\r\n",
            200,
            true,
        ),
        (
            "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx",
            200,
            true,
        ),
    ];

    const BAD: [&str; 9] = [
        "220 mail.example.org ESMTP\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\npon",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 4\r\n\r\npong\n",
        "HTTP/1.1 200 OK\r\ncontent-length: +5\r\n\r\npong\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1048577\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\npongX",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\npong\r\n",
    ];

    proptest! {
        #[test]
        fn an_answer_is_the_same_in_whatever_pieces(cuts in proptest::collection::vec(any::<usize>(), 0..12)) {
            for (bytes, status, reusable) in WHOLE {
                prop_assert_eq!(read(bytes.as_bytes(), &cuts), Some((status, reusable)), "{}", bytes);
            }
            for bytes in BAD {
                prop_assert_eq!(read(bytes.as_bytes(), &cuts), None, "{}", bytes);
            }
        }

        #[test]
        fn no_bytes_panic_or_are_kept_without_end(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..20),
            head in 0..WHOLE.len(),
        ) {
            let mut reader = Reader::default();
            let start = WHOLE[head].0.as_bytes();
            for piece in std::iter::once(start).chain(pieces.iter().map(Vec::as_slice)) {
                if !matches!(reader.read(piece), Ok(None)) {
                    break;
                }
                prop_assert!(reader.rest.len() <= MAX_HEAD_BYTES);
            }
        }
    }

    #[test]
    fn what_follows_an_answer_ends_the_connection() {
        let twice = [WHOLE[0].0, WHOLE[0].0].concat();
        assert_eq!(read(twice.as_bytes(), &[]), Some((200, false)));
    }

    #[test]
    fn an_endless_head_is_bounded() {
        let mut reader = Reader::default();
        assert!(reader.read(b"HTTP/1.1 200 OK\r\nx: ").is_ok());
        let failed = (0..100).find_map(|_| reader.read(&[b'x'; 1_024]).err());
        assert!(matches!(failed, Some(Failure::BadAnswer)));
        assert!(matches!(Reader::default().end(), Err(Failure::NoAnswer)));
    }
}
