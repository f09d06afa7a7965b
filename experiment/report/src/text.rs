//! What text needs on the page beyond the formats of [`trials::text`]: no-break spaces, dates, harmless characters.

pub(crate) use trials::text::{
    bytes, change, count, counted, delay, difference, duration, for_programs, list, percent_left, ratio,
    setting, share,
};

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
    fn a_number_stays_beside_its_unit() {
        assert_eq!(
            unbreakable("of 6.20 s (a), 5 s, 3 sinks"),
            "of 6.20\u{a0}s (a), 5\u{a0}s, 3 sinks"
        );
        assert_eq!(
            unbreakable("5 s; µs 4 µs) 20 %, 3 ms. 1 s"),
            "5\u{a0}s; µs 4\u{a0}µs) 20\u{a0}%, 3\u{a0}ms. 1 s"
        );
        assert_eq!(sanitize("a\u{1b}[31m\nb"), "a\u{fffd}[31m\nb");
    }
}
