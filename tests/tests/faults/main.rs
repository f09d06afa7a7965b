//! Faults: failing endpoints, dying processes, large crowds of events, limits of the system. One test for each
//! section of `docs/reliability.md`, on the real programs over real sockets.

// Clippy's exception for tests does not apply to functions that tests share.
#![allow(clippy::unwrap_used)]

mod absence;
mod answers;
mod calls;
mod causes;
mod clients;
mod connections;
mod crowds;
mod deadline;
mod ends;
mod floods;
mod keep_alive;
mod limits;
mod listening;
mod losses;
mod pools;
mod replays;
mod secrets;
