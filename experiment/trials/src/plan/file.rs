//! The shape of a plan's file. Every value is checked where it is read, so that an error knows its line.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use wire::parse_duration;

use super::Order;
use super::scalar::scalar;
use super::setting::{NAMES, OF_A_STRATEGY, Setting, above_zero, unknown, whole};

/// A plan as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a plan: name, windows, fixed, axes, …")]
pub(super) struct PlanFile {
    #[serde(deserialize_with = "name")]
    pub name: String,
    #[serde(default = "ten_seconds", deserialize_with = "whole_millis")]
    pub window: Duration,
    #[serde(default = "read_timeout", deserialize_with = "whole_millis")]
    pub read_timeout: Duration,
    #[serde(default = "sixteen", deserialize_with = "windows")]
    pub windows: u32,
    #[serde(default = "two", deserialize_with = "warmup")]
    pub warmup: u32,
    #[serde(default = "one", deserialize_with = "repeats")]
    pub repeats: u32,
    #[serde(default = "thirty_seconds", deserialize_with = "duration")]
    pub cut_off: Duration,
    #[serde(default = "as_written", deserialize_with = "order")]
    pub order: Order,
    #[serde(default, deserialize_with = "seed")]
    pub seed: Option<u64>,
    #[serde(default)]
    pub fixed: Fixed,
    #[serde(default)]
    pub axes: Axes,
}

/// Settings that every trial has, in the order in which they are written.
#[derive(Debug, Default)]
pub(super) struct Fixed(pub Vec<Setting>);

/// The axes in the order in which they are written.
#[derive(Debug, Default)]
pub(super) struct Axes(pub Vec<Axis>);

/// An axis and its levels.
#[derive(Debug)]
pub(super) struct Axis {
    pub name: &'static str,
    pub levels: Vec<Level>,
}

/// One level of an axis: the setting of the axis, then (for `strategy`) settings of its own, sorted by name.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Level(pub Vec<Setting>);

fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

fn read_timeout() -> Duration {
    Duration::from_millis(200)
}

fn thirty_seconds() -> Duration {
    Duration::from_secs(30)
}

fn sixteen() -> u32 {
    16
}

fn two() -> u32 {
    2
}

fn one() -> u32 {
    1
}

fn as_written() -> Order {
    Order::AsWritten
}

fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    scalar(deserializer, |text| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if (1..=64).contains(&text.len()) && text.chars().all(plain) {
            Ok(text.to_owned())
        } else {
            Err(format!(
                "must be 1 to 64 letters, digits, `-`, `_` or `.`, not `{text}`"
            ))
        }
    })
}

fn whole_millis<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    scalar(deserializer, |text| {
        let duration = above_zero(text)?;
        if duration.subsec_nanos() % 1_000_000 == 0 {
            Ok(duration)
        } else {
            Err(format!("must be whole milliseconds, not `{text}`"))
        }
    })
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    scalar(deserializer, |text| {
        parse_duration(text).map_err(|error| error.to_string())
    })
}

fn windows<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    scalar(deserializer, |text| {
        whole(text, 1, 10_000).map(|number| number as u32)
    })
}

fn warmup<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    scalar(deserializer, |text| {
        whole(text, 0, 10_000).map(|number| number as u32)
    })
}

fn repeats<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    scalar(deserializer, |text| {
        whole(text, 1, 10_000).map(|number| number as u32)
    })
}

fn seed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    scalar(deserializer, |text| whole(text, 0, u64::MAX).map(Some))
}

fn order<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Order, D::Error> {
    scalar(deserializer, |text| match text {
        "as-written" => Ok(Order::AsWritten),
        "shuffled" => Ok(Order::Shuffled),
        _ => Err(format!("must be `as-written` or `shuffled`, not `{text}`")),
    })
}

/// The value of the setting with this name.
struct ValueOf(&'static str);

impl<'de> DeserializeSeed<'de> for ValueOf {
    type Value = Setting;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Setting, D::Error> {
        scalar(deserializer, |text| Setting::parse(self.0, text))
    }
}

/// A name out of a closed list.
struct NameIn(&'static [&'static str], fn(&str) -> String);

impl<'de> DeserializeSeed<'de> for NameIn {
    type Value = &'static str;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<&'static str, D::Error> {
        scalar(deserializer, |text| {
            self.0
                .iter()
                .find(|name| **name == text)
                .copied()
                .ok_or_else(|| (self.1)(text))
        })
    }
}

impl<'de> Deserialize<'de> for Fixed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Mapping;
        impl<'de> Visitor<'de> for Mapping {
            type Value = Fixed;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("settings and their values")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fixed, A::Error> {
                let mut settings = Vec::new();
                while let Some(name) = map.next_key_seed(NameIn(&NAMES, unknown))? {
                    settings.push(map.next_value_seed(ValueOf(name))?);
                }
                Ok(Fixed(settings))
            }
        }
        deserializer.deserialize_any(Mapping)
    }
}

impl<'de> Deserialize<'de> for Axes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Mapping;
        impl<'de> Visitor<'de> for Mapping {
            type Value = Axes;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("settings, each with a list of levels")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Axes, A::Error> {
                let mut axes = Vec::new();
                while let Some(name) = map.next_key_seed(NameIn(&NAMES, unknown))? {
                    axes.push(Axis {
                        name,
                        levels: map.next_value_seed(LevelsOf(name))?,
                    });
                }
                Ok(Axes(axes))
            }
        }
        deserializer.deserialize_any(Mapping)
    }
}

/// The levels of the axis with this name.
struct LevelsOf(&'static str);

impl<'de> DeserializeSeed<'de> for LevelsOf {
    type Value = Vec<Level>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Level>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for LevelsOf {
    type Value = Vec<Level>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of levels, like [A, B]")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<Level>, A::Error> {
        let mut levels = Vec::new();
        while let Some(level) = seq.next_element_seed(LevelOf(self.0))? {
            levels.push(level);
        }
        if levels.is_empty() {
            return Err(A::Error::custom("an axis needs at least one level"));
        }
        Ok(levels)
    }
}

/// One level of the axis with this name.
struct LevelOf(&'static str);

impl<'de> DeserializeSeed<'de> for LevelOf {
    type Value = Level;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Level, D::Error> {
        if self.0 == "strategy" {
            deserializer.deserialize_any(StrategyLevel)
        } else {
            ValueOf(self.0)
                .deserialize(deserializer)
                .map(|setting| Level(vec![setting]))
        }
    }
}

/// A strategy's name, or a mapping with `strategy` and settings of its own.
struct StrategyLevel;

const IN_A_LEVEL: [&str; 6] = {
    let [a, b, c, d, e] = OF_A_STRATEGY;
    ["strategy", a, b, c, d, e]
};

impl<'de> Visitor<'de> for StrategyLevel {
    type Value = Level;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a strategy, or a mapping with `strategy` and settings of its own")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Level, E> {
        Setting::parse("strategy", text)
            .map(|setting| Level(vec![setting]))
            .map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Level, A::Error> {
        let unknown = |name: &str| {
            format!(
                "a strategy's level cannot carry `{name}`: expected one of {}",
                IN_A_LEVEL.join(", ")
            )
        };
        let mut settings = Vec::new();
        while let Some(name) = map.next_key_seed(NameIn(&IN_A_LEVEL, unknown))? {
            settings.push(map.next_value_seed(ValueOf(name))?);
        }
        settings.sort_by_key(|setting| (setting.name() != "strategy", setting.name()));
        if settings.first().map(Setting::name) != Some("strategy") {
            return Err(A::Error::custom("a strategy's level must name its `strategy`"));
        }
        Ok(Level(settings))
    }
}
