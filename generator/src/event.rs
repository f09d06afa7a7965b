//! An event as the state and the windows keep it, before the source turns it into a message.

/// An event with its key and its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drawn {
    /// Number among all events.
    pub index: u64,
    /// Number of the key.
    pub key: u32,
    /// Number within the key that the reduce sees.
    pub number: u64,
    /// Event time, nanoseconds since the Unix epoch.
    pub time_ns: u64,
}
