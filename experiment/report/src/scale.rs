//! Scales from a domain of values to a range of coordinates, with round ticks.

use std::time::Duration;

use super::text;

#[derive(Clone, Copy)]
pub(crate) struct Linear {
    pub(crate) domain: (f64, f64),
    pub(crate) range: (f64, f64),
}

/// A logarithmic scale. Values below its domain are drawn at the lower end.
#[derive(Clone, Copy)]
pub(crate) struct Log {
    pub(crate) domain: (f64, f64),
    pub(crate) range: (f64, f64),
}

impl Linear {
    /// The domain is from a round value at or below `lowest` to one at or above `highest`.
    pub(crate) fn around(lowest: f64, highest: f64, range: (f64, f64)) -> Self {
        let step = nice_step(highest - lowest, 5);
        let low = (lowest / step + 1e-9).floor().max(0.0) * step;
        Self {
            domain: (low, ((highest / step).ceil() * step).max(low + step)),
            range,
        }
    }

    pub(crate) fn at(&self, value: f64) -> f64 {
        let fraction = (value - self.domain.0) / (self.domain.1 - self.domain.0).max(f64::MIN_POSITIVE);
        self.range.0 + fraction.clamp(0.0, 1.0) * (self.range.1 - self.range.0)
    }

    /// Round values (1, 2 or 5 times a power of ten apart), about `count` of them.
    pub(crate) fn ticks(&self, count: u32) -> Vec<f64> {
        let step = nice_step(self.domain.1 - self.domain.0, count);
        let first = (self.domain.0 / step).ceil() as i64;
        let last = (self.domain.1 / step + 1e-9).floor() as i64;
        (first..=last).map(|i| i as f64 * step).collect()
    }
}

/// The smallest of 1, 2 and 5 times a power of ten that divides `span` into at most `count` steps.
fn nice_step(span: f64, count: u32) -> f64 {
    if span <= 0.0 || !span.is_finite() {
        return 1.0;
    }
    let raw = span / f64::from(count.max(1));
    let decade = 10f64.powf(raw.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .map(|m| m * decade)
        .into_iter()
        .find(|step| *step >= raw * 0.999_999)
        .unwrap_or(decade * 10.0)
}

impl Log {
    /// The domain is from the decade below `lowest` to the round value (1, 2, 5) at or above `highest`, at least a decade.
    /// Both must be positive.
    pub(crate) fn around(lowest: f64, highest: f64, range: (f64, f64)) -> Self {
        let low = 10f64.powf((lowest.log10() + 1e-9).floor());
        let decade = 10f64.powf((highest.log10() + 1e-9).floor());
        let high = [1.0, 2.0, 5.0, 10.0]
            .map(|m| m * decade)
            .into_iter()
            .find(|v| *v >= highest * 0.999_999);
        Self {
            domain: (low, high.unwrap_or(decade * 10.0).max(low * 10.0)),
            range,
        }
    }

    pub(crate) fn at(&self, value: f64) -> f64 {
        let (low, high) = (self.domain.0.log10(), self.domain.1.log10());
        let fraction = (value.max(self.domain.0).log10() - low) / (high - low);
        self.range.0 + fraction.clamp(0.0, 1.0) * (self.range.1 - self.range.0)
    }

    /// The decades, and 2 and 5 times them where there are fewer than three.
    pub(crate) fn ticks(&self) -> Vec<f64> {
        let (low, high) = (
            self.domain.0.log10().round() as i32,
            self.domain.1.log10().ceil() as i32,
        );
        let steps: &[f64] = if f64::from(high - low) < 3.0 {
            &[1.0, 2.0, 5.0]
        } else {
            &[1.0]
        };
        (low..=high)
            .flat_map(|decade| steps.iter().map(move |step| step * 10f64.powi(decade)))
            .filter(|tick| *tick <= self.domain.1 * 1.000_001)
            .collect()
    }
}

/// The label of a tick in microseconds.
pub(crate) fn micros_label(micros: f64) -> String {
    text::setting(Duration::from_nanos((micros * 1e3).round() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ticks_are_round() {
        let scale = Linear::around(0.0, 11.3, (100.0, 0.0));
        assert_eq!(scale.ticks(5), [0.0, 5.0, 10.0, 15.0]);
        assert_eq!(scale.at(0.0), 100.0);
        assert_eq!(
            Linear::around(10.0, 11.2, (100.0, 0.0)).ticks(5),
            [10.0, 10.5, 11.0, 11.5]
        );
        let log = Log::around(150.0, 1_020_000.0, (100.0, 0.0));
        assert_eq!(
            log.ticks().into_iter().map(micros_label).collect::<Vec<_>>(),
            ["100 µs", "1 ms", "10 ms", "100 ms", "1 s"]
        );
        let narrow = Log::around(1_000_000.0, 1_100_000.0, (100.0, 0.0));
        assert_eq!(
            narrow.ticks().into_iter().map(micros_label).collect::<Vec<_>>(),
            ["1 s", "2 s", "5 s", "10 s"]
        );
    }

    proptest! {
        #[test]
        fn scales_stay_inside_their_range(low in 1e-3f64..1e12, factor in 1.0f64..1e9, value in 0.0f64..1e13) {
            let log = Log::around(low, low * factor, (200.0, 20.0));
            prop_assert!((20.0..=200.0).contains(&log.at(value)));
            prop_assert!(log.at(low) >= log.at(low * factor));
            prop_assert!((1..=60).contains(&log.ticks().len()));
            let linear = Linear::around(low, low * factor, (200.0, 20.0));
            prop_assert!((20.0..=200.0).contains(&linear.at(value)));
            prop_assert!((2..=12).contains(&linear.ticks(5).len()));
        }
    }
}
