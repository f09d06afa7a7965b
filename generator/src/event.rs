//! An event before it is a message: state and windows keep this of it, and the source writes it.

/// An event that has been given its key and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drawn {
    /// Number among all events.
    pub index: u64,
    /// Its key.
    pub key: u32,
    /// Number within the key.
    pub number: u64,
    /// Event time, nanoseconds since the Unix epoch.
    pub time_ns: u64,
}
