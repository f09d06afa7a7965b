//! Closed sets of names: axes and outcomes of the experiment, spelled the same in flags, environment, chart values,
//! file names, records and legends.

use std::fmt;
use std::str::FromStr;

use crate::settings::Value;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A name that does not belong to its closed set.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("unknown {set} `{given}`: expected one of {expected}")]
pub struct UnknownName {
    /// The set that the name should belong to, e.g. `strategy`.
    pub set: &'static str,
    /// The text that was given.
    pub given: String,
    /// The accepted names, separated by commas.
    pub expected: String,
}

macro_rules! closed_set {
    ($(#[$doc:meta])* $type:ident, $set:literal, { $($(#[$vdoc:meta])* $variant:ident = $name:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $type { $($(#[$vdoc])* $variant,)+ }

        impl $type {
            /// Every member, in the order in which tables and legends show them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Their names, in that order.
            pub const NAMES: &'static [&'static str] = &[$($name,)+];

            /// The one spelling of this member.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }

        impl FromStr for $type {
            type Err = UnknownName;
            fn from_str(text: &str) -> Result<Self, UnknownName> {
                Self::ALL.iter().copied().find(|member| member.name() == text).ok_or_else(|| UnknownName {
                    set: $set,
                    given: text.to_owned(),
                    expected: [$($name,)+].join(", "),
                })
            }
        }

        impl Value for $type {
            fn read(text: &str) -> Option<Self> {
                text.parse().ok()
            }
            fn text(&self) -> Option<String> {
                Some(self.name().to_owned())
            }
            fn rank(&self) -> u128 {
                *self as u128
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

closed_set! {
    /// How the calls of one window are scheduled.
    StrategyKind, "strategy", {
        /// One call after another.
        Sequential = "sequential",
        /// Many calls in flight in async tasks.
        Async = "async",
        /// Blocking calls on threads.
        ThreadPool = "thread-pool",
        /// Blocking calls in child processes.
        ProcessPool = "process-pool",
    }
}

closed_set! {
    /// When the call of an event may begin.
    StartRule, "start rule", {
        /// As soon as the event has arrived.
        AtArrival = "at-arrival",
        /// All calls of a window at its close of book.
        AtClose = "at-close",
    }
}

closed_set! {
    /// What a call does.
    Workload, "workload", {
        /// A request to the endpoint.
        Http = "http",
        /// A chosen amount of processor time.
        Cpu = "cpu",
    }
}

closed_set! {
    /// For which events a UDF calls the endpoint, so that its records can be compared with the calls that were served.
    Calls, "calls", {
        /// One call for each event.
        Each = "each",
        /// A call for some events, as in a program that filters.
        Some = "some",
        /// No call, as in a program that computes.
        None = "none",
    }
}

closed_set! {
    /// Which library exchanges requests for answers. The outcomes are the same.
    HttpClient, "HTTP client", {
        /// Connections of hyper that the calling task or thread drives itself: less processor time per call.
        Hyper = "hyper",
        /// Reqwest, whose connections are driven by tasks of their own.
        Reqwest = "reqwest",
    }
}

closed_set! {
    /// The method of a request.
    HttpMethod, "method", {
        /// Asks for something.
        Get = "GET",
        /// Asks for the head of an answer alone.
        Head = "HEAD",
        /// Sets something.
        Put = "PUT",
        /// Removes something.
        Delete = "DELETE",
        /// Adds or does something.
        Post = "POST",
        /// Changes something.
        Patch = "PATCH",
    }
}

impl HttpMethod {
    /// Whether two requests do no more than one (RFC 9110, 9.2.2).
    pub fn is_idempotent(self) -> bool {
        match self {
            Self::Get | Self::Head | Self::Put | Self::Delete => true,
            Self::Post | Self::Patch => false,
        }
    }
}

closed_set! {
    /// How the call of an event ended; every event ends as exactly one of these.
    Outcome, "outcome", {
        /// The answer arrived and was good.
        Ok = "ok",
        /// No answer within the timeout of the last attempt.
        Timeout = "timeout",
        /// In older records only: any of the next five.
        Refused = "refused",
        /// The name of the service could not be resolved.
        Unresolved = "unresolved",
        /// The service could not be connected to: refused or unreachable.
        NoConnection = "no-connection",
        /// The TLS handshake failed, for example because the certificate is not trusted.
        Tls = "tls",
        /// The connection broke before the head of the answer was complete.
        Broken = "broken",
        /// This process or its machine lacked file descriptors, local ports, memory or threads: not the service's failure.
        OwnLimit = "own-limit",
        /// An answer with a status other than 2xx.
        BadStatus = "bad-status",
        /// An answer whose body could not be read; in older records also an event that could not be decoded.
        BadBody = "bad-body",
        /// The call panicked.
        Panic = "panic",
        /// The pool's worker died during the call.
        WorkerDied = "worker-died",
        /// The call could not work with the event: its payload is not what the call expects.
        BadInput = "bad-input",
        /// The call failed in a way that the program has a name of its own for.
        Failed = "failed",
        /// The event had not ended at its window's close deadline, whether its call had begun or not.
        Missed = "missed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_text_and_json() {
        for kind in StrategyKind::ALL {
            assert_eq!(kind.to_string().parse::<StrategyKind>().as_ref(), Ok(kind));
            let json = serde_json::to_string(kind).unwrap();
            assert_eq!(serde_json::from_str::<StrategyKind>(&json).unwrap(), *kind);
        }
        for outcome in Outcome::ALL {
            assert_eq!(outcome.name().parse::<Outcome>().as_ref(), Ok(outcome));
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_known_ones() {
        let error = "threads".parse::<StrategyKind>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown strategy `threads`: expected one of sequential, async, thread-pool, process-pool"
        );
    }
}
