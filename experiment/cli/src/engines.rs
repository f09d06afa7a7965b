//! The arguments that choose and set up the engine, and the engine that they describe; the only place that builds one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::ValueEnum;
use clap::builder::NonEmptyStringValueParser;
use cluster::base::Base;
use cluster::{ClusterConfig, ClusterEngine, ClusterEngineError};
use engine::{Engine, EngineError};
use local::{FixedPlace, LocalConfig, LocalEngine, LocalError, Place};
use trials::endpoint_url::EndpointUrl;
use trials::journal;
use trials::plan::OwnPayloads;
use trials::trial::Trial;
use vertex::machine;

use crate::cluster_args::ClusterArgs;
use crate::failure::Failure;
use crate::given::Given;
use crate::job_run::JobRun;
use crate::url_parser::UrlParser;

/// Default time for processes to become ready.
pub const LOCAL_PATIENCE: Duration = Duration::from_secs(10);

/// Default time for a pipeline to run in a cluster, where images may have to be pulled.
const CLUSTER_PATIENCE: Duration = Duration::from_secs(180);

/// Where trials run, and what of theirs is the user's own. Flatten it before all others.
#[derive(Debug, clap::Args)]
pub struct EngineArgs {
    #[command(flatten)]
    given: Given,
    /// Where the trials run
    #[arg(long, env = "ENGINE", value_enum, default_value_t = EngineKind::Local)]
    engine: EngineKind,
    /// Shell command that starts your own reduce UDF; its environment has SOCKET, SERVER_INFO, ENDPOINT_URL, IO_DELAY,
    /// STRATEGY, MAX_WORKERS, …
    #[arg(long, env = "UDF_COMMAND", value_name = "COMMAND", value_parser = shell_command)]
    udf_command: Option<String>,
    /// Where that UDF serves if it does not take the path in SOCKET: Numaflow's SDKs use /var/run/numaflow/reduce.sock unless
    /// told otherwise. The file is removed before and after each trial
    #[arg(long, value_name = "PATH", requires_all = ["udf_command", "udf_server_info"])]
    udf_socket: Option<PathBuf>,
    /// Its server-info file, with --udf-socket: /var/run/numaflow/reducer-server-info
    #[arg(long, value_name = "PATH", requires = "udf_socket")]
    udf_server_info: Option<PathBuf>,
    /// Use your own endpoint: every call is `GET URL/ping?delay=…`
    #[arg(long, env = "ENDPOINT_URL", value_name = "URL", hide_env_values = true, value_parser = UrlParser)]
    endpoint_url: Option<EndpointUrl>,
    /// PEM file with authorities to trust beside those of the system, for an endpoint of your own behind TLS; the variable
    /// SSL_CERT_FILE replaces those of the system
    #[arg(long, env = "CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// How long the processes or pods of a trial may take to become ready [default: 10s; in a cluster 3m]
    #[arg(long, env = "PATIENCE", value_name = "DURATION", value_parser = wire::parse_duration)]
    patience: Option<Duration>,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Name of the Job that this runs in: it owns all objects, and the journal goes to standard output
    #[arg(long, env = "JOB_NAME", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    job: Option<String>,
    /// Manifests of a trial in a cluster, rendered by the chart [default: built in]
    #[arg(long, env = "BASE", value_name = "FILE")]
    base: Option<PathBuf>,
    /// Image of our containers in a cluster [default: the one in --base]; a UDF of your own in --base keeps its image
    #[arg(long, value_name = "IMAGE", value_parser = NonEmptyStringValueParser::new())]
    image: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EngineKind {
    /// On this machine, with an embedded data plane
    Local,
    /// In Kubernetes, by Numaflow
    Cluster,
}

/// Options of one engine that the other one ignores: their ids and flags.
const OF_THE_CLUSTER: [(&str, &str); 5] = [
    ("namespace", "--namespace"),
    ("context", "--context"),
    ("job", "--job"),
    ("base", "--base"),
    ("image", "--image"),
];
const OF_THIS_MACHINE: [(&str, &str); 4] = [
    ("udf_command", "--udf-command"),
    ("udf_socket", "--udf-socket"),
    ("udf_server_info", "--udf-server-info"),
    ("ca_file", "--ca-file"),
];

impl EngineArgs {
    pub const fn kind(&self) -> EngineKind {
        self.engine
    }

    /// Refuses an option of the engine that is not chosen. The environment may name one for another command.
    ///
    /// # Errors
    /// Returns an error that names the option.
    pub fn refuse_options_of_the_other(&self) -> Result<(), Failure> {
        let (others, other) = match self.engine {
            EngineKind::Local => (OF_THE_CLUSTER.as_slice(), "--engine cluster"),
            EngineKind::Cluster => (OF_THIS_MACHINE.as_slice(), "--engine local"),
        };
        match others.iter().find(|(id, _)| self.given.has(id)) {
            Some((_, flag)) => Err(Failure::wrong_use(anyhow!(
                "{flag}: has an effect with {other} only: leave it out, or add {other}"
            ))),
            None => Ok(()),
        }
    }

    /// The first option that the command line gives.
    pub fn given(&self) -> Option<&'static str> {
        let of_both = [
            ("engine", "--engine"),
            ("endpoint_url", "--endpoint-url"),
            ("patience", "--patience"),
        ];
        let all = of_both.iter().chain(&OF_THE_CLUSTER).chain(&OF_THIS_MACHINE);
        all.copied()
            .find(|(id, _)| self.given.has(id))
            .map(|(_, flag)| flag)
    }

    /// The option by which the user's own service would be called.
    pub fn own_service(&self) -> Option<&'static str> {
        let own = [
            ("--endpoint-url", self.endpoint_url.is_some()),
            ("--udf-command", self.udf_command.is_some()),
            ("--base", self.base.is_some()),
        ];
        own.into_iter()
            .find(|(_, is_given)| *is_given)
            .map(|(flag, _)| flag)
    }

    /// The Job that owns the run. `JOB_NAME` may be inherited by other programs, so it counts only with `--engine cluster`.
    ///
    /// # Errors
    /// Returns an error if the journal of these trials would not fit into the log of the Job.
    pub async fn job(&self, trials: &[Trial], plan_text: &str) -> Result<Option<JobRun>, Failure> {
        let (Some(name), EngineKind::Cluster) = (&self.job, self.engine) else {
            return Ok(None);
        };
        let cluster = self.cluster.connect().await?;
        JobRun::new(cluster, name.clone(), trials, plan_text).map(Some)
    }

    /// The machine's facts, and the user's own endpoint, UDF and payloads if given.
    pub fn facts(&self, [file, template]: [Option<String>; 2]) -> BTreeMap<String, String> {
        let mut facts = machine::facts();
        let endpoint = self.endpoint_url.as_ref().map(ToString::to_string);
        facts.extend(journal::replaced([
            endpoint,
            self.udf_command.clone(),
            file,
            template,
        ]));
        facts
    }

    /// # Errors
    /// Returns an error if the engine cannot be set up, or there is no cluster.
    pub async fn engine(
        &self,
        cut_off: Duration,
        payloads: Option<OwnPayloads>,
    ) -> Result<Box<dyn Engine>, Failure> {
        match self.engine {
            EngineKind::Local => local(LocalConfig {
                cut_off,
                patience: self.patience.unwrap_or(LOCAL_PATIENCE),
                udf_command: self.udf_command.clone(),
                udf_place: fixed_place(self.udf_socket.as_ref(), self.udf_server_info.as_ref())?,
                endpoint_url: self.endpoint_url.clone(),
                ca_file: self.ca_file.clone(),
                payloads,
            }),
            EngineKind::Cluster => self.cluster_engine(cut_off, payloads).await,
        }
    }

    async fn cluster_engine(
        &self,
        cut_off: Duration,
        payloads: Option<OwnPayloads>,
    ) -> Result<Box<dyn Engine>, Failure> {
        let base = Base::read(self.base.as_deref())
            .map_err(ClusterEngineError::from)
            .map_err(EngineError::from)?;
        let cluster = self
            .cluster
            .connect()
            .await
            .map_err(ClusterEngineError::from)
            .map_err(EngineError::from)?;
        let config = ClusterConfig {
            cut_off,
            patience: self.patience.unwrap_or(CLUSTER_PATIENCE),
            udf_command: self.udf_command.clone(),
            endpoint_url: self.endpoint_url.clone(),
            base,
            image: self.image.clone(),
            job: self.job.clone(),
            payloads,
        };
        let engine = ClusterEngine::new(cluster, config)?;
        Ok(Box::new(engine))
    }
}

/// The shell would run nothing, and end at once.
pub fn shell_command(text: &str) -> Result<String, &'static str> {
    match text.trim() {
        "" => Err("must be a command, like 'exec python3 udf.py'"),
        _ => Ok(text.to_owned()),
    }
}

/// The paths at which a UDF serves that does not let them be chosen, claimed for this command.
///
/// # Errors
/// Returns an error if it cannot serve there.
pub fn fixed_place(
    socket: Option<&PathBuf>,
    server_info: Option<&PathBuf>,
) -> Result<Option<Arc<FixedPlace>>, Failure> {
    let Some((socket, server_info)) = socket.cloned().zip(server_info.cloned()) else {
        return Ok(None);
    };
    let claimed = FixedPlace::claim(&Place { socket, server_info }).map_err(LocalError::from);
    Ok(Some(Arc::new(claimed.map_err(EngineError::from)?)))
}

/// The engine of this machine, which starts the programs beside this one.
pub fn local(config: LocalConfig) -> Result<Box<dyn Engine>, Failure> {
    let program = std::env::current_exe().context("cannot find the path of this program")?;
    let folder = program.parent().unwrap_or(Path::new("."));
    let engine = LocalEngine::new(folder, config).map_err(EngineError::from)?;
    Ok(Box::new(engine))
}
