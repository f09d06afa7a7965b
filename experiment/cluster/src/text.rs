//! Texts from the cluster, shortened for messages.

/// The text in one line of at most 600 characters.
pub(crate) fn line(text: &str) -> String {
    const MAX_CHARS: usize = 600;
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words,
    }
}
