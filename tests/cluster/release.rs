//! A release of the chart, from its install to the check that nothing of it is left.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::lab::{Lab, Step, path, wait};

/// How long after the start of the uninstall everything must be gone.
const GONE_WITHIN: Duration = Duration::from_secs(120);

pub struct Release<'a> {
    pub lab: &'a Lab,
    /// Its name, and the name of its Pipeline.
    pub name: String,
    pub namespace: String,
    /// When the install started.
    pub since: Instant,
    before: BTreeSet<String>,
    streams: Option<u64>,
}

impl<'a> Release<'a> {
    /// Installs it with these values in a namespace that has an isbsvc called `default`.
    pub fn install(lab: &'a Lab, namespace: &str, name: &str, values: &[&str]) -> Step<Self> {
        let streams = lab.streams(namespace)?;
        Self::helm_install(lab, namespace, name, &sets(values), Some(streams))
    }

    /// Installs it with these values and an isbsvc of its own.
    pub fn install_whole(lab: &'a Lab, namespace: &str, name: &str, values: &[&str]) -> Step<Self> {
        let values = [&["isbsvc.create=true"], values].concat();
        Self::helm_install(lab, namespace, name, &sets(&values), None)
    }

    /// Installs it with a file of values.
    pub fn install_with(lab: &'a Lab, namespace: &str, name: &str, values: &Path) -> Step<Self> {
        let streams = lab.streams(namespace)?;
        Self::helm_install(
            lab,
            namespace,
            name,
            &["-f", &values.display().to_string()],
            Some(streams),
        )
    }

    fn helm_install(
        lab: &'a Lab,
        namespace: &str,
        name: &str,
        more: &[&str],
        streams: Option<u64>,
    ) -> Step<Self> {
        let release = Self {
            lab,
            // If the release's name contains the chart's, the objects have the release's name.
            name: format!("async-reduce-{name}"),
            namespace: namespace.to_owned(),
            before: lab.inventory(namespace)?,
            streams,
            since: Instant::now(),
        };
        let (images, chart) = (lab.image_values(), path("helm"));
        let mut args = vec!["install", &release.name, &chart];
        args.extend(images.iter().flat_map(|value| ["--set", value.as_str()]));
        args.extend(more);
        lab.helm(namespace, &args)?;
        Ok(release)
    }

    /// Namespace and Pipeline.
    pub fn place(&self) -> (&str, &str) {
        (&self.namespace, &self.name)
    }

    /// Changes values of the running release, by the command in NOTES.
    pub fn tune(&self, value: &str) -> Step {
        let args = [
            "upgrade",
            &self.name,
            &path("helm"),
            "--reset-then-reuse-values",
            "--set",
            value,
        ];
        self.lab.helm(&self.namespace, &args).map(drop)
    }

    /// Uninstalls it and waits until only what was there before is left, streams included.
    pub fn uninstall(self) -> Step {
        let began = Instant::now();
        self.lab
            .helm(&self.namespace, &["uninstall", &self.name, "--timeout", "4m"])?;
        let left = GONE_WITHIN.saturating_sub(began.elapsed());
        self.lab.await_gone(&self.namespace, &self.before, left)?;
        let Some(streams) = self.streams else {
            return Ok(());
        };
        let left = GONE_WITHIN.saturating_sub(began.elapsed());
        wait("JetStream holds no more streams than before", left, || {
            Ok((self.lab.streams(&self.namespace)? <= streams).then_some(()))
        })
    }
}

/// Values as arguments of helm.
fn sets<'v>(values: &[&'v str]) -> Vec<&'v str> {
    values.iter().flat_map(|value| ["--set", *value]).collect()
}
