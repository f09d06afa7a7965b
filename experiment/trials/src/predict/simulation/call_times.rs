//! How long the attempts of calls take, drawn from the distribution of their delay.

use std::time::Duration;

use wire::Delay;

use super::{nanos, nanos_of};
use crate::predict::Service;
use crate::trial::TrialSettings;

/// Strata of the delay's distribution; a call in the longest one is drawn within it.
const STRATA: usize = 512;

const SEED: u64 = 0x5eed;

/// Draws how long attempts take.
pub(super) struct CallTimes<'a> {
    service: &'a Service,
    retries: u32,
    first_pause: u64,
    /// The middle of each stratum; one where the delay is fixed.
    strata: Vec<u64>,
    drawn: u64,
}

impl<'a> CallTimes<'a> {
    pub(super) fn new(service: &'a Service, settings: &TrialSettings) -> Self {
        let strata = match &service.delay {
            Delay::Fixed(delay) => vec![nanos_of(*delay)],
            delay => (0..STRATA)
                .map(|stratum| nanos_of(delay.quantile((stratum as f64 + 0.5) / STRATA as f64)))
                .collect(),
        };
        let first_pause = settings.retry_pause.unwrap_or(Duration::from_millis(50));
        Self {
            service,
            retries: settings.retries,
            first_pause: nanos_of(first_pause),
            strata,
            drawn: 0,
        }
    }

    /// From 0 to below 1.
    fn random(&mut self) -> f64 {
        self.drawn += 1;
        (wire::splitmix64(SEED, self.drawn) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// How long an attempt takes, and whether another one follows it.
    pub(super) fn attempt(&mut self, attempts: u32) -> (u64, bool) {
        let limit = nanos(self.service.limit_s * 1e9);
        let fails = if self.service.hanging + self.service.retried > 0.0 {
            self.random()
        } else {
            1.0
        };
        let delay = if fails < self.service.hanging {
            u64::MAX
        } else {
            self.delay()
        };
        let again = attempts < self.retries && (fails < self.service.retried || delay >= limit);
        (
            delay
                .min(limit)
                .saturating_add(nanos(self.service.overhead_s * 1e9)),
            again,
        )
    }

    fn delay(&mut self) -> u64 {
        if let [fixed] = self.strata[..] {
            return fixed;
        }
        let position = self.random();
        let stratum = (position * STRATA as f64) as usize;
        match self.strata.get(stratum) {
            Some(delay) if stratum + 8 < STRATA => *delay,
            _ => nanos_of(self.service.delay.quantile(position)),
        }
    }

    /// Before the attempt after this one, with the UDF's full jitter.
    pub(super) fn pause(&mut self, attempts: u32) -> u64 {
        const LONGEST: u64 = 5_000_000_000;
        let most = self
            .first_pause
            .saturating_mul(1 << attempts.min(16))
            .min(LONGEST.max(self.first_pause));
        (most as f64 * self.random()) as u64
    }
}
