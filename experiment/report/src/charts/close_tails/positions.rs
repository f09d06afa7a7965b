//! Where the values of the x axis stand: proportionally to a number, logarithmically where the numbers span a decade,
//! evenly where they are no numbers. Series stand side by side around their value.

use crate::scale::{Linear, Log};

/// Distance of neighbouring series where there is room.
const STEP: f64 = 15.0;
/// Part of the distance of two values that their series fill.
const FILLED: f64 = 0.8;
/// Half of a mark's width.
const MARK: f64 = 6.0;

/// The x coordinates of values and of the series around them.
pub(super) struct Positions {
    pub(super) centres: Vec<f64>,
    /// Where the axis is interrupted, between 0 and a logarithmic scale.
    pub(super) gap: Option<f64>,
    pub(super) logarithmic: bool,
    step: f64,
    lines: usize,
}

impl Positions {
    /// `numbers` are in ascending order; `None` if the `count` values are no numbers.
    pub(super) fn new(
        numbers: Option<&[f64]>,
        count: usize,
        lines: usize,
        (left, right): (f64, f64),
    ) -> Self {
        let width = right - left;
        let room = (lines.max(1) - 1) as f64 / 2.0;
        // Half of a place of an even division.
        let even = (width / count.max(1) as f64 / 2.0).max(MARK);
        let numbers = numbers.filter(|_| count > 1);
        let inset = match numbers {
            Some(_) => (room * STEP + 3.0 * MARK).min(even),
            None => even,
        };
        let range = (left + inset, right - inset);
        let (centres, gap, logarithmic) = match numbers {
            Some(numbers) => along(numbers, range),
            None => (evenly(count, range), None, false),
        };
        let narrowest = centres
            .windows(2)
            .map(|pair| pair[1] - pair[0])
            .fold(width, f64::min);
        let step = if lines > 1 {
            STEP.min(narrowest * FILLED / lines as f64)
                .min((inset - MARK).max(0.0) / room)
        } else {
            0.0
        };
        Self {
            centres,
            gap,
            logarithmic,
            step,
            lines,
        }
    }

    /// The mark of a line at a value.
    pub(super) fn at(&self, level: usize, line: usize) -> f64 {
        let centre = self.centres.get(level).copied().unwrap_or_default();
        centre + (line as f64 - (self.lines.max(1) - 1) as f64 / 2.0) * self.step
    }

    /// The size of marks: smaller where they stand close.
    pub(super) fn radius(&self) -> f64 {
        match self.lines {
            0 | 1 => 4.5,
            _ => (1.5 + self.step / 3.0).min(4.5),
        }
    }
}

fn evenly(count: usize, (first, last): (f64, f64)) -> Vec<f64> {
    let distance = (last - first) / (count.max(2) - 1) as f64;
    (0..count).map(|index| first + index as f64 * distance).collect()
}

/// A logarithmic scale has no place for 0, which stands before it.
fn along(numbers: &[f64], range: (f64, f64)) -> (Vec<f64>, Option<f64>, bool) {
    let positive = || numbers.iter().copied().filter(|number| *number > 0.0);
    let (low, high) = positive().fold((f64::INFINITY, 0.0_f64), |(low, high), number| {
        (low.min(number), high.max(number))
    });
    if high < low * 10.0 || positive().count() < 2 {
        let domain = (numbers.first().copied().unwrap_or(0.0), high);
        let scale = Linear { domain, range };
        return (
            numbers.iter().map(|number| scale.at(*number)).collect(),
            None,
            false,
        );
    }
    let before = numbers.len() > positive().count();
    let start = match before {
        true => range.0 + (range.1 - range.0) / numbers.len() as f64,
        false => range.0,
    };
    let scale = Log {
        domain: (low, high),
        range: (start, range.1),
    };
    let at = |number: &f64| if *number > 0.0 { scale.at(*number) } else { range.0 };
    (
        numbers.iter().map(at).collect(),
        before.then_some((range.0 + start) / 2.0),
        true,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn centres(numbers: &[f64]) -> (Vec<f64>, Option<f64>, bool) {
        let positions = Positions::new(Some(numbers), numbers.len(), 1, (0.0, 100.0));
        let rounded = positions.centres.iter().map(|x| x.round()).collect();
        (rounded, positions.gap, positions.logarithmic)
    }

    #[test]
    fn numbers_stand_where_they_belong() {
        assert_eq!(centres(&[10.0, 20.0, 50.0]).0, [17.0, 33.0, 83.0]);
        assert_eq!(
            centres(&[10.0, 100.0, 1_000.0]),
            (vec![17.0, 50.0, 83.0], None, true)
        );
        assert_eq!(centres(&[0.0, 5.0]), (vec![18.0, 82.0], None, false));
        let (with_zero, gap, logarithmic) = centres(&[0.0, 0.2, 1_000.0]);
        assert_eq!((with_zero, logarithmic), (vec![17.0, 39.0, 83.0], true));
        assert!(gap.is_some_and(|x| (17.0..39.0).contains(&x)));
        let words = Positions::new(None, 4, 1, (0.0, 100.0));
        assert_eq!(words.centres, [12.5, 37.5, 62.5, 87.5]);
    }

    proptest! {
        #[test]
        fn marks_stay_inside_and_in_order(
            mut numbers in prop::collection::vec(0u64..1_000_000_000, 1..40), lines in 1usize..17, width in 200.0f64..900.0,
            are_numbers: bool,
        ) {
            numbers.sort_unstable();
            numbers.dedup();
            let values: Vec<f64> = numbers.iter().map(|number| *number as f64).collect();
            let count = values.len();
            let positions = Positions::new(are_numbers.then_some(values.as_slice()), count, lines, (62.0, 62.0 + width));
            for level in 0..count {
                for line in 0..lines {
                    let (x, radius) = (positions.at(level, line), positions.radius());
                    prop_assert!(x - radius >= 62.0 - 1e-6 && x + radius <= 62.0 + width + 1e-6, "{x} of {level} {line}");
                }
                if level > 0 {
                    prop_assert!(positions.at(level, 0) >= positions.at(level - 1, lines - 1) - 1e-6);
                }
            }
        }
    }
}
