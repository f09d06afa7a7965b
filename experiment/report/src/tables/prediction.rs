//! Prediction against measurement, with the reason below each row.

use trials::predict::{Prediction, Verdict};

use super::{median, named, verdict, windows};
use crate::summary::{Agreement, Row, Summary};
use crate::table::{Entry, Table, TableRow, Tone, numbers, words};
use crate::{sentences, text};

/// A row for each row of the summary.
pub(crate) fn prediction(summary: &Summary<'_>) -> Table {
    let mut columns = numbers(&["load factor"]);
    columns.extend([words("predicted"), words("measured"), words("verdict")]);
    columns.extend(numbers(&[
        "predicted close tail",
        "explained",
        "measured median",
        "difference",
    ]));
    let rows = summary.rows.iter().filter_map(|row| {
        let prediction = row.prediction()?;
        Some(TableRow {
            note: text::unbreakable(&prediction.why),
            ..named(summary, row, "", entries(summary, row, prediction))
        })
    });
    Table {
        columns,
        rows: rows.collect(),
        left_out: 0,
    }
}

fn entries(summary: &Summary<'_>, row: &Row<'_>, prediction: &Prediction) -> Vec<Entry> {
    let tone = match prediction.verdict {
        Verdict::KeepsUp => Tone::Good,
        Verdict::Critical => Tone::Edge,
        Verdict::Cannot => Tone::Bad,
    };
    let agreement = match row.agreement() {
        Some(Agreement::Agrees) => Entry::new("✓ right", Tone::Good),
        Some(Agreement::Disagrees) => Entry::new("✗ wrong", Tone::Bad),
        Some(Agreement::Undecided) => Entry::new("edge: either", Tone::Edge),
        None => Entry::or_dash(None),
    };
    // The table has no column of windows, so censored ones are shown beside the median.
    let mut measured = median(row, row.close_tail);
    if row.censored > 0 && row.measured > 0 {
        measured.text.push_str(&format!(" ({})", windows(row).text));
    }
    vec![
        Entry::plain(text::ratio(prediction.load_factor)),
        Entry::new(sentences::predicted_verdict(prediction.verdict), tone),
        verdict(row),
        agreement,
        tail(prediction),
        match summary.explained(row) {
            Some(explained) => tail(explained),
            None if summary.explains() => Entry::new("not recorded", Tone::Muted),
            None => Entry::or_dash(None),
        },
        measured,
        difference(row),
    ]
}

fn tail(prediction: &Prediction) -> Entry {
    match prediction.close_tail() {
        Some(_) => Entry::plain(prediction.close_tail_in_words()),
        None => Entry::new(prediction.close_tail_in_words(), Tone::Muted),
    }
}

fn difference(row: &Row<'_>) -> Entry {
    let (Some((predicted, measured)), Some(near)) = (row.tails(), row.tail_as_predicted()) else {
        return Entry::or_dash(None);
    };
    let difference = text::difference(measured, predicted);
    if near {
        Entry::plain(difference)
    } else {
        Entry::new(format!("≠ {difference}"), Tone::Edge)
    }
}
