//! What the field does to it: failing endpoints, dying processes, crowds of events, limits of the system. One test for
//! each section of `docs/reliability.md`, on the real programs over real sockets.

// The lint's exception for tests does not reach the functions they share.
#![allow(clippy::unwrap_used)]

mod absence;
mod answers;
mod calls;
mod clients;
mod connections;
mod crowds;
mod ends;
mod floods;
mod limits;
mod listening;
mod losses;
mod pools;
mod secrets;
