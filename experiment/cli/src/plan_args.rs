//! The plan of `run` and `predict`: a file or standard input, flags for its fields, or both. The flags are built from the
//! table of settings.

use std::fs::{self, File};
use std::io::{Read, stdin};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, value_parser};
use trials::plan::{FlagField, Plan, PlanError, THRESHOLD, flag_fields};
use trials::search::{Effort, Quantity};
use wire::Delay;
use wire::settings::IO_DELAY;

use crate::failure::Failure;

/// Names standard input in place of a file.
const STDIN: &str = "-";

/// A longer file is no plan.
const MAX_PLAN_BYTES: u64 = 4 << 20;

/// The file in the folder of a run that keeps a plan of which there is no other file.
const KEPT: &str = "plan.yaml";

/// The first line of such a file. A file without it is somebody's own and stays as it is.
const KEPT_HEADER: &str = "# Made by `experiment run`; run it again with `experiment run` and this file.\n";

#[derive(Debug, Clone)]
pub struct PlanArgs {
    file: Option<PathBuf>,
    /// Names of fields and their texts, in the order of the command line.
    flags: Vec<(&'static str, String)>,
}

/// A plan with its text.
pub struct PlanText {
    pub plan: Plan,
    pub text: String,
    /// Where the plan's file is; empty without one.
    folder: PathBuf,
    /// Whether the user has no file with this text.
    made: bool,
}

impl PlanArgs {
    /// Reads the plan.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, or if the plan cannot be run.
    pub fn read(&self) -> Result<PlanText, Failure> {
        self.read_by(|file| Plan::with_flags(file, &self.flags))
    }

    /// The same plan with this delay, if it is flags alone and they give none.
    #[must_use]
    pub fn or_delay(mut self, delay: Option<&Delay>) -> Self {
        let is_given = self.file.is_some() || self.flags.iter().any(|(name, _)| *name == IO_DELAY.name);
        if let Some(delay) = delay.filter(|_| !is_given) {
            self.flags.push((IO_DELAY.name, delay.to_string()));
        }
        self
    }

    /// Reads the plan of a search under its thresholds and these.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, or if the plan cannot be run.
    pub fn for_search(
        &self,
        quantity: Quantity,
        effort: &Effort,
        objective: &[String],
    ) -> Result<PlanText, Failure> {
        let mut flags = self.flags.clone();
        flags.extend(objective.iter().map(|text| (THRESHOLD, text.clone())));
        self.read_by(|file| Plan::for_search(file, &flags, quantity, effort))
    }

    /// Reads the settings that an advice chooses from, under the plan's thresholds and these.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, or if the plan cannot be run.
    pub fn for_advice(&self, objective: &[String]) -> Result<PlanText, Failure> {
        let mut flags = self.flags.clone();
        flags.extend(objective.iter().map(|text| (THRESHOLD, text.clone())));
        self.read_by(|file| Plan::for_advice(file, &flags))
    }

    fn read_by(
        &self,
        plan: impl FnOnce(Option<(&str, &str)>) -> Result<(Plan, String), PlanError>,
    ) -> Result<PlanText, Failure> {
        let (name, text) = match &self.file {
            Some(file) if file.as_os_str() == STDIN => ("stdin".to_owned(), Some(read(stdin().lock()))),
            Some(file) => (file.display().to_string(), Some(File::open(file).and_then(read))),
            None => (String::new(), None),
        };
        let text = text
            .transpose()
            .with_context(|| format!("cannot read the plan `{name}`"));
        let text = text.map_err(Failure::wrong_use)?;
        let file = text.as_deref().map(|text| (text, name.as_str()));
        let (plan, text) = plan(file).map_err(Failure::wrong_use)?;
        let made = !self.flags.is_empty() || name == "stdin" || plan.trace_files.is_some();
        let folder = Path::new(&name).parent().unwrap_or(Path::new("")).to_owned();
        Ok(PlanText {
            plan,
            text,
            folder,
            made,
        })
    }
}

impl PlanText {
    /// Reads a plan's file, whose cells are run in so many rounds whatever its `repeats` are.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, or if the plan cannot be run.
    pub fn in_rounds(path: &Path, rounds: u32) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let text = File::open(path).and_then(read);
        let text = text.with_context(|| format!("cannot read the plan `{name}`"));
        let text = text.map_err(Failure::wrong_use)?;
        let (plan, text) = Plan::in_rounds(&text, &name, rounds).map_err(Failure::wrong_use)?;
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        Ok(Self {
            plan,
            text,
            folder,
            made: true,
        })
    }

    /// A plan of which there is no file.
    pub fn made(plan: Plan, text: String) -> Self {
        Self {
            plan,
            text,
            folder: PathBuf::new(),
            made: true,
        }
    }

    /// The path of a file that the plan names.
    ///
    /// # Errors
    /// Returns an error if the plan, which is kept in another folder, would no longer name the same file.
    pub fn beside(&self, path: &Path) -> Result<PathBuf, Failure> {
        if self.made && path.is_relative() {
            let problem =
                "must be an absolute path in a plan from standard input, which is kept with its run";
            return Err(Failure::wrong_use(anyhow!("payloads: {problem}")));
        }
        Ok(self.folder.join(path))
    }

    /// Checks that [`Self::keep`] would not replace a file of the user.
    ///
    /// # Errors
    /// Returns an error if the folder has a plan that no run has made.
    pub fn check(&self, folder: &Path) -> Result<(), Failure> {
        let path = folder.join(KEPT);
        let is_ours = |text: String| text.starts_with(KEPT_HEADER);
        if !self.made || fs::read_to_string(&path).map_or(!path.exists(), is_ours) {
            return Ok(());
        }
        Err(Failure::wrong_use(anyhow!(
            "--out: `{}` was not made by a run: choose another folder",
            path.display()
        )))
    }

    /// Keeps the plan in the folder of its run, which exists, where there is no other file of it.
    ///
    /// # Errors
    /// Returns an error if it cannot be written.
    pub fn keep(&self, folder: &Path) -> Result<(), Failure> {
        let path = folder.join(KEPT);
        if self.made {
            fs::write(&path, format!("{KEPT_HEADER}{}", self.text))
                .with_context(|| format!("cannot write `{}`", path.display()))?;
        }
        Ok(())
    }
}

fn read(from: impl Read) -> std::io::Result<String> {
    let mut text = String::new();
    from.take(MAX_PLAN_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_PLAN_BYTES {
        return Err(std::io::Error::other(format!(
            "it is longer than {MAX_PLAN_BYTES} bytes"
        )));
    }
    Ok(text)
}

impl Args for PlanArgs {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new("plan")
            .value_name("PLAN")
            .value_parser(value_parser!(PathBuf))
            .help("The plan, in YAML; `-` for standard input. Flags can stand in its place: --strategy, --rpu, --io-delay, …");
        let threshold = Arg::new(THRESHOLD)
            .long(THRESHOLD)
            .value_name("THRESHOLD")
            .action(ArgAction::Append)
            .help("What must hold for each cell, like `close_tail p95 < 1.2s`, `failed < 1%` or `ledger balances`; several times for several")
            .help_heading("Fields of a plan");
        flag_fields()
            .into_iter()
            .fold(command.arg(file), |command, field| command.arg(flag(field)))
            .arg(threshold)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn flag(field: FlagField) -> Arg {
    // Clap keeps names for the life of the process, and each is built once or twice.
    let long: &'static str = field.name.replace('_', "-").leak();
    let flag = Arg::new(field.name)
        .long(long)
        .value_name(if field.is_axis { "VALUE,…" } else { "VALUE" })
        .help(field.help)
        .help_heading("Fields of a plan")
        .allow_hyphen_values(true);
    if field.is_switch {
        flag.num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
    } else {
        flag
    }
}

/// The text as a plan would have it: a flag's path is one from the working directory.
fn flag_text(field: &FlagField, text: &str) -> String {
    let absolute = field.is_path.then(|| std::path::absolute(text).ok()).flatten();
    absolute.map_or_else(|| text.to_owned(), |path| path.to_string_lossy().into_owned())
}

impl FromArgMatches for PlanArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags: Vec<(Option<usize>, &'static str, String)> = flag_fields()
            .into_iter()
            .filter_map(|field| {
                let text = matches.get_one::<String>(field.name)?;
                Some((matches.index_of(field.name), field.name, flag_text(&field, text)))
            })
            .collect();
        let thresholds = matches.get_many::<String>(THRESHOLD).into_iter().flatten();
        let indices = matches.indices_of(THRESHOLD).into_iter().flatten();
        flags.extend(
            thresholds
                .zip(indices)
                .map(|(text, index)| (Some(index), THRESHOLD, text.clone())),
        );
        flags.sort_by_key(|(index, ..)| *index);
        Ok(Self {
            file: matches.get_one("plan").cloned(),
            flags: flags.into_iter().map(|(_, name, text)| (name, text)).collect(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
