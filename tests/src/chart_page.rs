//! The tables of values in the chart's README, made from the comments of its values.yaml: `# --` before a key describes
//! the value, other comments introduce the section that follows, and `## @section` names one.

use std::fmt::Write as _;

use serde_json::Value;

/// A described value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// The keys that lead to it.
    pub path: Vec<String>,
    pub text: String,
}

/// The values of a top-level key, or those below a `## @section`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Section {
    pub title: String,
    pub intro: String,
    pub values: Vec<Described>,
}

/// Replaces what stands between the two marks of a README.
///
/// # Panics
/// Panics if the README lacks the marks, or values.yaml is not YAML.
pub fn with_values(readme: &str, values_yaml: &str) -> String {
    let (begin, end) = ("<!-- values -->\n", "<!-- end of values -->");
    let (before, rest) = readme
        .split_once(begin)
        .unwrap_or_else(|| panic!("the README has no {begin}"));
    let (_, after) = rest
        .split_once(end)
        .unwrap_or_else(|| panic!("the README has no {end}"));
    format!("{before}{begin}{}{end}{after}", tables(values_yaml))
}

fn tables(values_yaml: &str) -> String {
    let defaults: Value =
        serde_yaml::from_str(values_yaml).unwrap_or_else(|error| panic!("values.yaml: {error}"));
    let mut page = String::new();
    for section in sections(values_yaml) {
        if !section.title.is_empty() {
            let _ = write!(page, "\n### {}\n", section.title);
        }
        if !section.intro.is_empty() {
            let _ = write!(page, "\n{}\n", section.intro);
        }
        if !section.values.is_empty() {
            page += "\n| value | default | meaning |\n|---|---|---|\n";
        }
        for value in section.values {
            let default = value.path.iter().fold(&defaults, |value, key| &value[key]);
            let _ = writeln!(
                page,
                "| `{}` | `{default}` | {} |",
                value.path.join("."),
                value.text
            );
        }
    }
    page + "\n"
}

/// The sections of a values.yaml.
pub fn sections(values_yaml: &str) -> Vec<Section> {
    let mut sections = vec![Section::default()];
    let mut path: Vec<(usize, &str)> = Vec::new();
    let mut comment: Option<String> = None;
    let mut intro = Vec::new();
    for line in values_yaml.lines() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        let current = sections.len() - 1;
        if let Some(title) = text.strip_prefix("## @section ") {
            let title = title.to_owned();
            sections.push(Section {
                title,
                ..Section::default()
            });
        } else if let Some(text) = text.strip_prefix("# -- ") {
            comment = Some(text.to_owned());
        } else if let Some(text) = text.strip_prefix("# ") {
            match &mut comment {
                Some(comment) => *comment = format!("{comment} {text}"),
                None => intro.push(text),
            }
        } else if text.is_empty() {
            // Comments that a blank line ends belong to the section before.
            sections[current].intro += &std::mem::take(&mut intro).join(" ");
        } else if let Some((key, _)) = text.split_once(':').filter(|(key, _)| !key.starts_with("- ")) {
            path.retain(|(at, _)| *at < indent);
            path.push((indent, key));
            match comment.take() {
                Some(text) => sections[current].values.push(Described {
                    path: path.iter().map(|(_, key)| (*key).to_owned()).collect(),
                    text,
                }),
                None if indent == 0 => sections.push(Section {
                    title: format!("`{key}`"),
                    intro: std::mem::take(&mut intro).join(" "),
                    values: Vec::new(),
                }),
                None => {}
            }
        }
    }
    sections
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    const VALUES: &str = "\
# What they are.

## @section Names
# Of objects.

# -- First
# name
name: \"\"

# The pump.
pump:
  # -- How fast
  speed: 5
  engine:
    # -- Its oil
    oil: {kind: a}
  # -- Its limits
  limits:
    cpu: 1
";

    #[test]
    fn comments_become_tables() {
        let page = with_values("a\n<!-- values -->\nold\n<!-- end of values -->\nb", VALUES);
        let expected = "a
<!-- values -->

What they are.

### Names

Of objects.

| value | default | meaning |
|---|---|---|
| `name` | `\"\"` | First name |

### `pump`

The pump.

| value | default | meaning |
|---|---|---|
| `pump.speed` | `5` | How fast |
| `pump.engine.oil` | `{\"kind\":\"a\"}` | Its oil |
| `pump.limits` | `{\"cpu\":1}` | Its limits |

<!-- end of values -->
b";
        assert_eq!(page, expected);
    }
}
