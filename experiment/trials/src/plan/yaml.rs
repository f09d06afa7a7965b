//! The one place that knows which YAML library reads plans. It gives typed values, refuses duplicate keys,
//! and tells the line of anything by its path.

use std::collections::HashSet;
use std::fmt;

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

/// Where and why a text is not what was expected.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Line of the text, from 1.
    pub line: usize,
    /// Path of the field and what is wrong with it.
    pub message: String,
}

/// One step from a value into it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step<'a> {
    /// The value of a key.
    Key(&'a str),
    /// An item of a list, from 0.
    Item(usize),
}

/// What is said of a text without any value.
const EMPTY: &str =
    "the plan is empty: expected at least `name`, and `fixed` or `axes` with rpu, strategy, …";

/// Reads a text.
pub(super) fn read<T: DeserializeOwned>(text: &str) -> Result<T, Refusal> {
    // Comments alone are no value either.
    if let Ok(None) = serde_yaml::from_str::<Option<IgnoredAny>>(text) {
        return Err(Refusal {
            line: 1,
            message: EMPTY.to_owned(),
        });
    }
    NoDuplicates
        .deserialize(serde_yaml::Deserializer::from_str(text))
        .and_then(|()| serde_yaml::from_str(text))
        .map_err(refusal)
}

/// The line (from 1) of the key or item at the end of the path; 1 where there is no such thing.
pub(super) fn line_of(text: &str, path: &[Step<'_>]) -> usize {
    match Find(path).deserialize(serde_yaml::Deserializer::from_str(text)) {
        Ok(()) => 1,
        Err(found) => refusal(found).line,
    }
}

fn refusal(error: serde_yaml::Error) -> Refusal {
    let line = error.location().map_or(1, |location| location.line());
    let text = error.to_string();
    let message = match text.rfind(" at line ") {
        Some(end) if error.location().is_some() => &text[..end],
        _ => &text,
    };
    Refusal {
        line,
        message: message.to_owned(),
    }
}

/// Passes over a value and fails at the first key that its mapping had before.
struct NoDuplicates;

impl<'de> DeserializeSeed<'de> for NoDuplicates {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

macro_rules! pass_over_scalars {
    () => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a plan")
        }
        fn visit_bool<E>(self, _: bool) -> Result<(), E> {
            Ok(())
        }
        fn visit_i64<E>(self, _: i64) -> Result<(), E> {
            Ok(())
        }
        fn visit_i128<E>(self, _: i128) -> Result<(), E> {
            Ok(())
        }
        fn visit_u64<E>(self, _: u64) -> Result<(), E> {
            Ok(())
        }
        fn visit_u128<E>(self, _: u128) -> Result<(), E> {
            Ok(())
        }
        fn visit_f64<E>(self, _: f64) -> Result<(), E> {
            Ok(())
        }
        fn visit_str<E>(self, _: &str) -> Result<(), E> {
            Ok(())
        }
        fn visit_unit<E>(self) -> Result<(), E> {
            Ok(())
        }
    };
}

impl<'de> Visitor<'de> for NoDuplicates {
    type Value = ();
    pass_over_scalars!();

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(NoDuplicates)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while map.next_key_seed(NewKey(&mut seen))?.is_some() {
            map.next_value_seed(NoDuplicates)?;
        }
        Ok(())
    }
}

struct NewKey<'a>(&'a mut HashSet<String>);

impl<'de> DeserializeSeed<'de> for NewKey<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NewKey<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<(), E> {
        if self.0.insert(key.to_owned()) {
            Ok(())
        } else {
            Err(E::custom(format_args!(
                "`{key}` is given twice; remove one of them"
            )))
        }
    }
}

/// Walks along a path and fails on purpose at its end: an error knows its line, a value does not.
struct Find<'a>(&'a [Step<'a>]);

const FOUND: &str = "found";

impl<'de> DeserializeSeed<'de> for Find<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.0 {
            [] => deserializer.deserialize_any(Here),
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Find<'_> {
    type Value = ();
    pass_over_scalars!();

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut index = 0;
        loop {
            let more = match self.0 {
                [Step::Item(wanted), rest @ ..] if *wanted == index => {
                    seq.next_element_seed(Find(rest))?.is_some()
                }
                _ => seq.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                return Ok(());
            }
            index += 1;
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(FindKey(self.0))? {
            match self.0 {
                [Step::Key(wanted), rest @ ..] if *wanted == key => map.next_value_seed(Find(rest))?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

struct FindKey<'a>(&'a [Step<'a>]);

impl<'de> DeserializeSeed<'de> for FindKey<'_> {
    type Value = String;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for FindKey<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<String, E> {
        match self.0 {
            [Step::Key(wanted)] if *wanted == key => Err(E::custom(FOUND)),
            _ => Ok(key.to_owned()),
        }
    }
}

/// The value whose line is asked for, whatever it is.
struct Here;

impl<'de> Visitor<'de> for Here {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(FOUND)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "name: x\naxes:\n  rpu: [1, 2]\n  strategy:\n    - async\n    - {strategy: thread-pool,\n       max_workers: 2}\n";

    #[test]
    fn lines_are_those_of_keys_and_items() {
        use Step::{Item, Key};
        assert_eq!(line_of(TEXT, &[Key("name")]), 1);
        assert_eq!(line_of(TEXT, &[Key("axes")]), 2);
        assert_eq!(line_of(TEXT, &[Key("axes"), Key("rpu")]), 3);
        assert_eq!(line_of(TEXT, &[Key("axes"), Key("strategy"), Item(0)]), 5);
        assert_eq!(line_of(TEXT, &[Key("axes"), Key("strategy"), Item(1)]), 6);
        assert_eq!(
            line_of(TEXT, &[Key("axes"), Key("strategy"), Item(1), Key("max_workers")]),
            7
        );
        assert_eq!(line_of(TEXT, &[Key("nowhere")]), 1);
    }

    #[test]
    fn a_key_that_is_given_twice_is_refused_at_its_line() {
        let refused = read::<IgnoredAny>("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n").unwrap_err();
        assert_eq!(refused.line, 5);
        assert!(
            refused.message.contains("`c` is given twice"),
            "{}",
            refused.message
        );
    }

    #[test]
    fn broken_yaml_is_refused_at_its_line() {
        let refused = read::<IgnoredAny>("a: 1\nb: [1, 2\nc: 3\n").unwrap_err();
        assert!(refused.line >= 2, "{refused:?}");
        assert!(!refused.message.contains('\n'), "{refused:?}");
    }
}
