//! `trace(FILE)` in a plan or a flag: the file is read once, and `percentiles(…)` takes its place before values are checked.
//! Only these two may name a file; every other reader of delays refuses one.

use std::path::{Path, PathBuf};

use wire::format_duration;
use wire::settings::{Form, Setting};

use super::flags::{FLAG, values};
use super::yaml::{Key, Node, Value};
use super::{Refusal, fnv1a};
use crate::text::counted;
use crate::trace;

/// Finds traces, and keeps what the journal says of them.
#[derive(Debug)]
pub(super) struct Traces {
    /// Where relative paths begin.
    folder: PathBuf,
    facts: Vec<String>,
}

impl Traces {
    /// Paths begin beside a plan's file; without one, in the working directory.
    pub(super) fn beside(file: &str) -> Self {
        Self {
            folder: Path::new(file).parent().unwrap_or(Path::new("")).to_owned(),
            facts: Vec::new(),
        }
    }

    /// Paths of flags do.
    pub(super) fn begin_in_the_working_directory(&mut self) {
        self.folder = PathBuf::new();
    }

    /// Replaces the traces of a plan.
    pub(super) fn replace(&mut self, document: &mut Node) -> Result<(), Refusal> {
        for (section, node) in entries(document) {
            for (key, node) in entries(node).iter_mut().filter(|(key, _)| is_delay(&key.name)) {
                let field = format!("{}.{}", section.name, key.name);
                match &mut node.value {
                    Value::Scalar(text) => *text = self.read(text, node.line, &field)?,
                    Value::List(items) => {
                        for (index, item) in items.iter_mut().enumerate() {
                            if let Value::Scalar(text) = &mut item.value {
                                *text = self.read(text, item.line, &format!("{field}[{index}]"))?;
                            }
                        }
                    }
                    Value::Map(_) => {}
                }
            }
        }
        Ok(())
    }

    /// The text of a flag without traces.
    pub(super) fn of_flag(&mut self, name: &str, text: &str) -> Result<String, Refusal> {
        if !is_delay(name) {
            return Ok(text.to_owned());
        }
        let levels = values(text).into_iter().map(|text| self.read(text, FLAG, name));
        Ok(levels.collect::<Result<Vec<_>, _>>()?.join(","))
    }

    /// One fact of all files; none without one.
    pub(super) fn fact(&self) -> Option<String> {
        (!self.facts.is_empty()).then(|| self.facts.join("; "))
    }

    fn read(&mut self, text: &str, line: usize, field: &str) -> Result<String, Refusal> {
        let path = text
            .strip_prefix("trace(")
            .and_then(|rest| rest.strip_suffix(')'));
        let Some(path) = path.map(str::trim) else {
            return Ok(text.to_owned());
        };
        let full = self.folder.join(path);
        let refused = |problem| Refusal::at(line, field, format!("`{}`: {problem}", full.display()));
        if path.is_empty() {
            return Err(Refusal::at(line, field, "`trace()` must name a file"));
        }
        let latencies = trace::read(&full).map_err(|error| refused(error.to_string()))?;
        let lines = counted(latencies.len() as u64, "line");
        let texts: Vec<String> = latencies
            .iter()
            .map(|latency| format_duration(*latency))
            .collect();
        let hash = fnv1a(texts.join("\n").as_bytes());
        self.facts.push(format!("{path}, {lines}, FNV-1a {hash:016x}"));
        let delay = trace::delay(latencies).unwrap_or(wire::Delay::ZERO);
        Ok(delay.to_string())
    }
}

fn is_delay(name: &str) -> bool {
    Setting::named(name).is_some_and(|setting| setting.form == Form::Delay)
}

fn entries(node: &mut Node) -> &mut [(Key, Node)] {
    match &mut node.value {
        Value::Map(entries) => entries,
        _ => &mut [],
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::super::Plan;

    const TRIALS: &str = "name: p\nfixed: {rpu: 9, strategy: async";

    fn folder() -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.txt"), "10\n20ms\n30ms\n").unwrap();
        fs::write(folder.path().join("b (1).txt"), "5ms\n").unwrap();
        folder
    }

    fn read(folder: &TempDir, text: &str, flags: &[(&'static str, &str)]) -> Result<(Plan, String), String> {
        let flags = flags.iter().map(|(name, text)| (*name, (*text).to_owned()));
        let file = folder.path().join("plan.yaml").display().to_string();
        Plan::with_flags(Some((text, &file)), &flags.collect::<Vec<_>>()).map_err(|error| {
            error
                .to_string()
                .replace(&folder.path().display().to_string(), "DIR")
        })
    }

    fn delays(plan: &Plan) -> Vec<String> {
        let trials = plan.trials();
        trials
            .iter()
            .map(|trial| trial.settings.io_delay.to_string())
            .collect()
    }

    #[test]
    fn a_plan_has_the_percentiles_of_a_file_beside_it() {
        const A: &str = "percentiles(16.7=10ms,50=20ms,83.3=30ms)";
        let folder = folder();
        for (fixed, delays) in [
            (", io_delay: trace(a.txt)}", vec![A]),
            (
                "}\naxes: {io_delay: ['trace(a.txt)', trace( b (1).txt ), 1ms]}",
                vec![A, "percentiles(50=5ms)", "1ms"],
            ),
        ] {
            let (plan, text) = read(&folder, &format!("{TRIALS}{fixed}"), &[]).unwrap();
            assert_eq!(super::tests::delays(&plan), delays);
            let fact = plan.trace_files.as_ref().unwrap();
            assert!(fact.starts_with("a.txt, 3 lines, FNV-1a "), "{fact}");
            // The text that is kept needs no file.
            let kept = Plan::parse(&text, "kept").unwrap();
            assert_eq!((kept.hash(), kept.trace_files), (plan.hash(), None), "{text}");
        }
    }

    #[test]
    fn a_flag_names_a_file_from_the_working_directory() {
        let folder = folder();
        let path = folder.path().join("a.txt").display().to_string();
        let (plan, _) = read(
            &folder,
            &format!("{TRIALS}}}"),
            &[("io_delay", &format!("1ms,trace({path})"))],
        )
        .unwrap();
        assert_eq!(delays(&plan)[0], "1ms");
        assert!(delays(&plan)[1].starts_with("percentiles(16."));
        let absent = read(&folder, &format!("{TRIALS}}}"), &[("io_delay", "trace(a.txt)")]).unwrap_err();
        assert!(
            absent.starts_with("--io-delay: `a.txt`: cannot be read: "),
            "{absent}"
        );
    }

    #[test]
    fn a_refusal_has_the_lines_of_plan_and_file() {
        let folder = folder();
        let refusal =
            |delay: &str| read(&folder, &format!("{TRIALS}\n  , io_delay: {delay}}}"), &[]).unwrap_err();
        fs::write(folder.path().join("a.txt"), "1ms\nslow").unwrap();
        let refused = refusal("trace(a.txt)");
        assert!(
            refused.starts_with(
                "DIR/plan.yaml:3: fixed.io_delay: `DIR/a.txt`: line 2: `slow` is not a duration"
            ),
            "{refused}"
        );
        assert!(refusal("trace()").contains("must name a file"));
        assert!(refusal("trace(absent)").contains("`DIR/absent`: cannot be read: No such file"));
        assert!(refusal("trace(.)").contains("cannot be read: Is a directory"));
    }

    #[test]
    fn a_plan_without_a_place_opens_no_file() {
        let error = Plan::parse(&format!("{TRIALS}, io_delay: trace(/etc/hostname)}}"), "plan").unwrap_err();
        assert!(
            error.to_string().contains("only a plan and the flag --io-delay"),
            "{error}"
        );
    }
}
