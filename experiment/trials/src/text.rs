//! Formats figures for people, in messages, tables and pages: three significant digits and a unit, thousands separators,
//! lists with "and". Plans, flags and records keep the spelling of [`wire::settings`].

use std::time::Duration;

use wire::Delay;

/// A measured or predicted duration with three significant digits: `0`, `200 µs`, `12.3 ms`, `1.02 s`, `1,230 s`.
pub fn duration(duration: Duration) -> String {
    let nanos = duration.as_nanos() as f64;
    if nanos == 0.0 {
        return "0".to_owned();
    }
    // A value that rounds up to the next unit is written in that unit.
    let (value, unit) = match nanos {
        n if n < 999.5 => (n, "ns"),
        n if n < 999_500.0 => (n / 1e3, "µs"),
        n if n < 999_500_000.0 => (n / 1e6, "ms"),
        n => (n / 1e9, "s"),
    };
    let decimals = match value {
        v if v < 9.995 && matches!(unit, "ms" | "s") => 2,
        v if v < 99.95 && matches!(unit, "ms" | "s") => 1,
        v if v < 9.95 => 1,
        _ => 0,
    };
    if decimals == 0 {
        return format!("{} {unit}", count(value.round() as u64));
    }
    let number = format!("{value:.decimals$}");
    let number = match unit {
        "ns" | "µs" => number.trim_end_matches(".0"),
        _ => &number,
    };
    format!("{number} {unit}")
}

/// A configured duration: exact, without trailing zeros, e.g. `1 s`, `200 µs`, `1.5 s`.
pub fn setting(duration: Duration) -> String {
    let text = wire::format_duration(duration);
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    if unit.is_empty() {
        number.to_owned()
    } else {
        format!("{number} {}", unit.replace("us", "µs"))
    }
}

/// A delay: fixed ones like [`setting`], distributions as in the plan.
pub fn delay(delay: &Delay) -> String {
    match delay {
        Delay::Fixed(fixed) => setting(*fixed),
        other => other.to_string(),
    }
}

/// A difference with its sign, e.g. `+3.10 ms`, `−1.00 s`, `0`.
pub fn difference(measured: Duration, expected: Duration) -> String {
    let sign = match measured.cmp(&expected) {
        std::cmp::Ordering::Less => "−",
        std::cmp::Ordering::Equal => "",
        std::cmp::Ordering::Greater => "+",
    };
    format!("{sign}{}", duration(measured.abs_diff(expected)))
}

/// A whole number with commas between thousands.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number and its noun, in the plural unless it is one.
pub fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

/// A ratio with three significant digits and no trailing zeros: `0.0515`, `1.02`, `1,230`.
pub fn ratio(value: f64) -> String {
    if !value.is_finite() {
        return "∞".to_owned();
    }
    if value > 0.0 && value < 0.001 {
        return "< 0.001".to_owned();
    }
    let decimals = match value.abs() {
        v if v >= 999.5 => return count(value.round() as u64),
        v if v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        v if v >= 0.9995 => 2,
        v if v >= 0.09995 => 3,
        _ => 4,
    };
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// A part of a whole, e.g. `2.5 %`.
pub fn share(share: f64) -> String {
    format!("{} %", ratio(share * 100.0))
}

/// A change with its sign, e.g. `+3.1 %`, `−12 %`.
pub fn change(change: f64) -> String {
    signed(change, "%")
}

/// A change of a share with its sign, e.g. `+0.5 points`.
pub fn points(change: f64) -> String {
    signed(change, "points")
}

fn signed(change: f64, unit: &str) -> String {
    let thousandths = (change * 1e5).round();
    let sign = match thousandths {
        less if less < 0.0 => "−",
        more if more > 0.0 => "+",
        _ => "",
    };
    format!("{sign}{} {unit}", ratio(thousandths.abs() / 1e3))
}

/// What is left of a whole of which a part is used, in whole percent, rounded down: never more than there is.
pub fn percent_left(used: f64) -> String {
    format!("{:.0} %", ((1.0 - used) * 100.0 + 1e-9).floor().max(0.0))
}

/// A computed number for other programs: six significant digits, so that `0.051500000000000004` is `0.0515`.
pub fn for_programs(number: f64) -> f64 {
    format!("{number:.5e}").parse().unwrap_or(number)
}

/// Bytes in binary units, e.g. `41.3 MiB`.
pub fn bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1023.95 {
            return format!("{} {unit}", ratio(value));
        }
        value /= 1024.0;
    }
    format!("{} TiB", ratio(value))
}

/// `a`, `a and b`, `a, b and c`.
pub fn list<S: AsRef<str>>(parts: &[S]) -> String {
    match parts {
        [] => String::new(),
        [only] => only.as_ref().to_owned(),
        [most @ .., last] => {
            let most: Vec<&str> = most.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", most.join(", "), last.as_ref())
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_have_three_significant_digits() {
        for (nanos, expected) in [
            (0, "0"),
            (4, "4 ns"),
            (1_000, "1 µs"),
            (1_500, "1.5 µs"),
            (199_600, "200 µs"),
            (999_499, "999 µs"),
            (999_600, "1.00 ms"),
            (12_345_678, "12.3 ms"),
            (999_600_000, "1.00 s"),
            (1_015_000_000, "1.01 s"),
            (99_960_000_000, "100 s"),
            (1_230_000_000_000, "1,230 s"),
        ] {
            assert_eq!(duration(Duration::from_nanos(nanos)), expected, "{nanos}");
        }
    }

    #[test]
    fn changes_have_a_sign() {
        let changes = [0.031, -0.12, 1.5, 0.0, 4e-6, -4e-6, -0.001_234, 0.000_01];
        assert_eq!(
            changes.map(change),
            [
                "+3.1 %",
                "−12 %",
                "+150 %",
                "0 %",
                "0 %",
                "0 %",
                "−0.123 %",
                "+0.001 %"
            ]
        );
        assert_eq!([0.005, -0.02].map(points), ["+0.5 points", "−2 points"]);
    }

    #[test]
    fn settings_are_exact() {
        let delays = ["0", "200us", "1s", "1.5s", "uniform(10ms,50ms)"];
        let texts: Vec<String> = delays.iter().map(|text| delay(&text.parse().unwrap())).collect();
        assert_eq!(texts, ["0", "200 µs", "1 s", "1.5 s", "uniform(10ms,50ms)"]);
    }

    #[test]
    fn numbers_and_lists_read_well() {
        assert_eq!(["1,234,567", "999", "0"], [1_234_567, 999, 0].map(count));
        assert_eq!(
            [
                "1.1", "10", "0.02", "0.0515", "123", "1,235", "999", "1,000", "0", "< 0.001", "∞"
            ],
            [
                1.1,
                10.0,
                0.02,
                0.051_500_000_000_000_004,
                123.4,
                1_234.6,
                999.4,
                999.6,
                0.0,
                0.000_9,
                f64::NAN
            ]
            .map(ratio)
        );
        assert_eq!(
            ["2.5 %", "100 %", "0 %", "33.3 %"],
            [0.025, 1.0, 0.0, 1.0 / 3.0].map(share)
        );
        assert_eq!(
            ["512 B", "1 KiB", "41.3 MiB", "2 TiB"],
            [512, 1024, 43_306_189, 2 << 40].map(bytes)
        );
        assert_eq!(list(&["a", "b", "c"]), "a, b and c");
        assert_eq!(counted(1, "window"), "1 window");
        let second = Duration::from_secs(1);
        assert_eq!(difference(second, second * 3), "−2.00 s");
    }

    #[test]
    fn programs_get_no_rounding_errors() {
        let written = |number: f64| for_programs(number).to_string();
        assert_eq!(written(0.051_500_000_000_000_004), "0.0515");
        assert_eq!(written(1.0 / 3.0), "0.333333");
        assert_eq!(written(300_090.000_000_01), "300090");
        assert_eq!(written(0.0), "0");
        assert!(for_programs(f64::INFINITY).is_infinite());
    }

    proptest! {
        /// Three digits, or half a microsecond, which is finer than what is measured here.
        #[test]
        fn a_duration_is_close_to_its_text(nanos in prop_oneof![0u64..10_000, 0u64..10_000_000, 0u64..100_000_000_000_000]) {
            let text = duration(Duration::from_nanos(nanos)).replace(',', "");
            let (number, unit) = text.split_once(' ').unwrap_or((&text, "ns"));
            let factor = match unit {
                "ns" => 1.0,
                "µs" => 1e3,
                "ms" => 1e6,
                _ => 1e9,
            };
            let written = number.parse::<f64>().unwrap() * factor;
            let off = (written - nanos as f64).abs();
            prop_assert!(off <= (nanos as f64 * 0.005_01).max(500.01), "{nanos} is not {text}");
        }

        #[test]
        fn a_ratio_is_close_to_its_text(value in prop_oneof![0.0f64..0.1, 0.0f64..10.0, 0.0f64..1e9]) {
            let text = ratio(value).replace(',', "");
            match text.strip_prefix("< ") {
                Some(bound) => prop_assert!(value < bound.parse().unwrap()),
                None => {
                    let off = (text.parse::<f64>().unwrap() - value).abs();
                    prop_assert!(off <= (value * 0.005_01).max(0.000_050_1), "{value} is not {text}");
                }
            }
        }
    }
}
