//! A command in one text, split as a shell would and without one.

/// A program and its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// Name or path of the program.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
}

/// Splits a command at its blanks, without a shell: quotes and backslashes keep them, and nothing else has a meaning.
pub(super) fn command_line(text: &str) -> Result<CommandLine, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match (char, quote) {
            ('\'' | '"', None) => {
                quote = Some(char);
                word.get_or_insert_default();
            }
            (_, Some(end)) if char == end => quote = None,
            ('\\', None | Some('"')) => {
                let next = chars.next().ok_or("a backslash at its end")?;
                let word = word.get_or_insert_default();
                // Between double quotes it has a meaning before these alone.
                if quote.is_some() && !matches!(next, '"' | '\\' | '$' | '`') {
                    word.push('\\');
                }
                word.push(next);
            }
            (' ' | '\t' | '\n', None) => words.extend(word.take()),
            _ => word.get_or_insert_default().push(char),
        }
    }
    if quote.is_some() {
        return Err("a quote that is not closed".to_owned());
    }
    words.extend(word);
    let mut words = words.into_iter();
    let program = words.next().ok_or("no program")?;
    Ok(CommandLine {
        program,
        args: words.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_split_as_a_shell_would() {
        let split = |text| {
            let CommandLine { program, args } = command_line(text)?;
            Ok::<_, String>([vec![program], args].concat())
        };
        for (text, words) in [
            (
                "python3 w.py legacy:score",
                vec!["python3", "w.py", "legacy:score"],
            ),
            (" a  b\tc\n", vec!["a", "b", "c"]),
            (r#"a 'b c' "d 'e" f" "g"#, vec!["a", "b c", "d 'e", "f g"]),
            (r#"a\ b '' "\"" '\'"#, vec!["a b", "", "\"", "\\"]),
            ("$HOME *;|", vec!["$HOME", "*;|"]),
            (r#""a\b\$""#, vec![r"a\b$"]),
        ] {
            assert_eq!(split(text).unwrap(), words, "{text}");
        }
        for (text, problem) in [
            ("", "no program"),
            (" ", "no program"),
            ("a 'b", "a quote that is not closed"),
            ("a\\", "a backslash at its end"),
        ] {
            assert_eq!(split(text).unwrap_err(), problem, "{text}");
        }
    }
}
