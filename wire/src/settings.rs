//! The settings of a trial, each in one place: name, text form, default, bounds, meaning, and the programs that act on
//! it. Flags, environment variables, plans, Pipelines, CSV columns, labels, the plan's page and schema are built from
//! this table, so that a new setting is one entry here and the code that acts on it.

mod form;
mod nearest;
mod table;
mod value;

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

pub use form::{Form, FormError, meant, whole_number};
pub use nearest::nearest;
pub use table::*;
pub use value::{Deadline, Limit, Value};

/// A setting. Its value is text wherever it crosses a process boundary.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Setting {
    /// Name in plans, records and CSV, e.g. `max_workers`.
    pub name: &'static str,
    /// Name of the environment variable, e.g. `MAX_WORKERS`. The flag is the name with dashes: `--max-workers`.
    pub env: &'static str,
    /// What it sets, in one sentence without a full stop.
    pub meaning: &'static str,
    /// Which texts are values, and their bounds.
    pub form: Form,
    /// The value that a program takes where none is given; empty where it depends on other settings.
    pub default: &'static str,
    /// How a plan may give it.
    pub scope: Scope,
    /// Which programs take it by flag and environment.
    pub programs: &'static [Program],
    /// Where a report shows it.
    pub shown: Shown,
    /// What labels call it: before the value, or for [`Shown::Series`] after a count, as in `4 workers`.
    pub label: &'static str,
}

/// How a plan may give a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// In `fixed` or as an axis.
    Cell {
        /// Whether a plan must give it.
        required: bool,
    },
    /// In `fixed`, as an axis, or carried by a level of the axis `strategy`.
    Strategy,
    /// In `fixed`, as an axis, or at the top of the plan.
    Anywhere,
    /// At the top of the plan, once for all trials.
    Plan,
}

/// A program that takes settings by flag and environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// The source.
    Generator,
    /// The reduce UDF.
    Udf,
    /// The backend.
    Endpoint,
}

/// Where a report shows a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// It has an axis or a column of its own.
    Always,
    /// Where it varies, it splits the cells.
    Cell,
    /// Where it varies, it splits a strategy into series.
    Series,
    /// Trials that differ in it are compared as equals.
    Never,
}

/// A setting together with the type of its values.
#[derive(Debug)]
pub struct Typed<T: 'static> {
    setting: Setting,
    values: PhantomData<fn() -> T>,
}

impl<T> Clone for Typed<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Typed<T> {}

impl<T> Deref for Typed<T> {
    type Target = Setting;

    fn deref(&self) -> &Setting {
        &self.setting
    }
}

impl<T: Value> Typed<T> {
    pub(crate) const fn new(setting: Setting) -> Self {
        Self {
            setting,
            values: PhantomData,
        }
    }

    /// Reads a value.
    ///
    /// # Errors
    /// Returns an error that says which values are possible.
    pub fn read(&self, text: &str) -> Result<T, FormError> {
        let text = self.form.canonical(text)?;
        T::read(&text).ok_or(FormError::Unreadable(text))
    }
}

impl<T: Value> Typed<Option<T>> {
    /// Reads a value that is given, as by a flag.
    ///
    /// # Errors
    /// Returns an error that says which values are possible.
    pub fn read_given(&self, text: &str) -> Result<T, FormError> {
        self.read(text)?
            .ok_or_else(|| FormError::Unreadable(text.to_owned()))
    }
}

impl Setting {
    /// The flag without its dashes in front, e.g. `max-workers`.
    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    /// The meaning and the values, for `--help`.
    pub fn help(&self) -> String {
        match self.form {
            Form::Count { most: u64::MAX, .. } | Form::Duration | Form::Deadline | Form::Switch => {
                self.meaning.to_owned()
            }
            form => format!("{} [{}]", self.meaning, form.words().replace('`', "")),
        }
    }

    /// Whether a program takes it.
    pub fn is_for(&self, program: Program) -> bool {
        self.programs.contains(&program)
    }

    /// Whether a plan may give it in `fixed` and as an axis.
    pub fn is_axis(&self) -> bool {
        self.scope != Scope::Plan
    }

    /// Whether a plan must give it.
    pub fn is_required(&self) -> bool {
        self.scope == Scope::Cell { required: true }
    }

    /// Whether a plan may give it at its top.
    pub fn is_at_top(&self) -> bool {
        matches!(self.scope, Scope::Plan | Scope::Anywhere)
    }

    /// The setting with this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        TABLE.iter().find(|setting| setting.name == name)
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Generator => "generator",
            Self::Udf => "udf",
            Self::Endpoint => "endpoint",
        })
    }
}
