//! Formats figures for people: three significant digits and a unit, thousands separators, lists with "and".

use std::time::Duration;

use wire::Delay;

/// A measured duration with three significant digits: `0`, `200 µs`, `12.3 ms`, `1.02 s`, `1230 s`.
pub(crate) fn duration(duration: Duration) -> String {
    let micros = duration.as_nanos() as f64 / 1e3;
    if micros == 0.0 {
        return "0".to_owned();
    }
    // A value that rounds up to the next unit is written in that unit.
    let (value, unit) = match micros {
        m if m < 999.5 => (m, "µs"),
        m if m < 999_500.0 => (m / 1e3, "ms"),
        m => (m / 1e6, "s"),
    };
    let decimals = match value {
        v if v < 9.995 && unit != "µs" => 2,
        v if v < 99.95 && unit != "µs" => 1,
        v if v < 9.95 => 1,
        _ => 0,
    };
    let number = format!("{value:.decimals$}");
    let number = if unit == "µs" {
        number.trim_end_matches(".0")
    } else {
        &number
    };
    format!("{number} {unit}")
}

/// A configured duration: exact, without trailing zeros, e.g. `1 s`, `200 µs`, `1.5 s`.
pub(crate) fn setting(duration: Duration) -> String {
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
pub(crate) fn delay(delay: &Delay) -> String {
    match delay {
        Delay::Fixed(fixed) => setting(*fixed),
        other => other.to_string(),
    }
}

/// A difference with its sign, e.g. `+3.10 ms`, `−1.00 s`, `0`.
pub(crate) fn difference(measured: Duration, expected: Duration) -> String {
    let sign = match measured.cmp(&expected) {
        std::cmp::Ordering::Less => "−",
        std::cmp::Ordering::Equal => "",
        std::cmp::Ordering::Greater => "+",
    };
    format!("{sign}{}", duration(measured.abs_diff(expected)))
}

/// A whole number with commas between thousands.
pub(crate) fn count(number: u64) -> String {
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
pub(crate) fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

/// A ratio with three significant digits and no trailing zeros.
pub(crate) fn ratio(value: f64) -> String {
    if !value.is_finite() {
        return "∞".to_owned();
    }
    if value > 0.0 && value < 0.001 {
        return "< 0.001".to_owned();
    }
    let decimals = match value.abs() {
        v if v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        v if v >= 0.9995 => 2,
        _ => 3,
    };
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// Bytes in binary units, e.g. `41.3 MiB`.
pub(crate) fn bytes(bytes: u64) -> String {
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
pub(crate) fn list<S: AsRef<str>>(parts: &[S]) -> String {
    match parts {
        [] => String::new(),
        [only] => only.as_ref().to_owned(),
        [most @ .., last] => {
            let most: Vec<&str> = most.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", most.join(", "), last.as_ref())
        }
    }
}

/// Puts a no-break space between a number and its unit.
pub(crate) fn unbreakable(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut after_digit = false;
    for (index, c) in text.char_indices() {
        let is_unit_gap = c == ' ' && after_digit && starts_with_unit(&text[index + 1..]);
        out.push(if is_unit_gap { '\u{a0}' } else { c });
        after_digit = c.is_ascii_digit();
    }
    out
}

/// Whether a text starts with a unit as a whole word.
fn starts_with_unit(text: &str) -> bool {
    let rest = ["µs", "ms", "s", "%"]
        .iter()
        .find_map(|unit| text.strip_prefix(unit));
    rest.is_some_and(|rest| rest.starts_with([' ', ')', ',', '.', ';']))
}

/// A timestamp in microseconds since the epoch, as UTC.
pub(crate) fn date(stamp_us: u64) -> String {
    let date = i64::try_from(stamp_us)
        .ok()
        .and_then(chrono::DateTime::from_timestamp_micros);
    date.map_or_else(
        || "an unknown date".to_owned(),
        |date| date.format("%Y-%m-%d %H:%M UTC").to_string(),
    )
}

/// Replaces characters that are not allowed in XML or would control a terminal.
pub(crate) fn sanitize(text: &str) -> String {
    text.chars()
        .map(|c| if is_harmful(c) { '\u{fffd}' } else { c })
        .collect()
}

fn is_harmful(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\t')) || matches!(c, '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_significant_digits() {
        for (nanos, expected) in [
            (0, "0"),
            (1_000, "1 µs"),
            (1_500, "1.5 µs"),
            (199_600, "200 µs"),
            (999_499, "999 µs"),
            (999_600, "1.00 ms"),
            (12_345_678, "12.3 ms"),
            (999_600_000, "1.00 s"),
            (1_015_000_000, "1.01 s"),
            (99_960_000_000, "100 s"),
            (1_230_000_000_000, "1230 s"),
        ] {
            assert_eq!(duration(Duration::from_nanos(nanos)), expected, "{nanos}");
        }
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
            ["1.1", "10", "0.02", "123", "0", "∞"],
            [1.1, 10.0, 0.02, 123.4, 0.0, f64::NAN].map(ratio)
        );
        assert_eq!(
            ["512 B", "1 KiB", "41.3 MiB", "2 TiB"],
            [512, 1024, 43_306_189, 2 << 40].map(bytes)
        );
        assert_eq!(
            unbreakable("of 6.20 s (a), 5 s, 3 sinks"),
            "of 6.20\u{a0}s (a), 5\u{a0}s, 3 sinks"
        );
        assert_eq!(
            unbreakable("5 s; µs 4 µs) 20 %, 3 ms. 1 s"),
            "5\u{a0}s; µs 4\u{a0}µs) 20\u{a0}%, 3\u{a0}ms. 1 s"
        );
        assert_eq!(list(&["a", "b", "c"]), "a, b and c");
        assert_eq!(counted(1, "window"), "1 window");
        let second = Duration::from_secs(1);
        assert_eq!(difference(second, second * 3), "−2.00 s");
        assert_eq!(sanitize("a\u{1b}[31m\nb"), "a\u{fffd}[31m\nb");
    }
}
