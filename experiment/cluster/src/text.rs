//! Texts of the cluster, shortened for messages.

/// A text of the cluster in one line of bounded length.
pub(crate) fn line(text: &str) -> String {
    const MAX_CHARS: usize = 600;
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words,
    }
}
