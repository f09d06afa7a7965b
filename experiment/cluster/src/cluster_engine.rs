//! The engine that runs trials in Kubernetes by the real Numaflow: each trial's objects are made from the base under a name
//! of their own, applied, measured and removed.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use crate::base::{Base, ForTrial};
use crate::cleanup;
use crate::client::Cluster;
use crate::client::pod_client::PodClient;
use crate::error::ClusterEngineError;
use crate::ownership::Owner;
use crate::payloads::TrialPayloads;
use crate::preflight;
use crate::trial::{TrialObjects, TrialRun};
use engine::windows::events_in;
use engine::{Engine, EngineError, Observation, TrialProgress};
use trials::endpoint_url::{EndpointUrl, check_user_endpoint};
use trials::ledger::Timetable;
use trials::plan::OwnPayloads;
use trials::predict::duration;
use trials::trial::{Trial, TrialSettings};
use vertex::machine;

/// Typical time to apply a trial, wait until it runs, and wait for the first window.
const SET_UP: Duration = Duration::from_secs(35);

/// Typical time to remove a trial: Numaflow checks every 10 s whether a deleted pipeline is drained.
const CLEAN_UP: Duration = Duration::from_secs(25);

/// How long events continue after the last window, so that the watermark passes its end: it lags by a read batch and by
/// the interval at which vertices publish it. Without events it would wait for Numaflow's idle source (5 s or more).
const EVENTS_GO_ON: Duration = Duration::from_secs(5);

/// The settings of the engine that are the same for all trials.
#[derive(Debug, Clone)]
pub struct ClusterConfig {
    /// Time from the last window's end to the cut-off, without Numaflow's own delay.
    pub cut_off: Duration,
    /// How long a trial's pipeline may take until it runs.
    pub patience: Duration,
    /// An option of the local engine, which is refused here.
    pub udf_command: Option<String>,
    /// The user's own endpoint in place of ours.
    pub endpoint_url: Option<EndpointUrl>,
    pub base: Base,
    /// The image of all our containers; the base's if `None`.
    pub image: Option<String>,
    /// The Job that owns the run. Without one the run creates a Lease.
    pub job: Option<String>,
    /// Events of the user's own in place of the generator's.
    pub payloads: Option<OwnPayloads>,
}

pub struct ClusterEngine {
    cluster: Cluster,
    config: ClusterConfig,
    client: PodClient,
    payloads: Option<TrialPayloads>,
    owner: Option<Owner>,
    /// Number of trials that have been started.
    started: u32,
    /// The objects of the current trial, or of one that could not be removed.
    objects: Option<TrialObjects>,
}

impl ClusterEngine {
    /// # Errors
    /// Returns an error if the HTTP client for pods cannot be built, or the payloads cannot be sent in a cluster.
    pub fn new(cluster: Cluster, config: ClusterConfig) -> Result<Self, EngineError> {
        let client = PodClient::new(cluster.clone(), cluster.inside).map_err(ClusterEngineError::from)?;
        let payloads = config.payloads.as_ref();
        let payloads = payloads
            .map(|own| TrialPayloads::new(&own.payloads, &config.base))
            .transpose()
            .map_err(ClusterEngineError::from)?;
        Ok(Self {
            cluster,
            config,
            client,
            payloads,
            owner: None,
            started: 0,
            objects: None,
        })
    }

    /// Before the first trial: removes what earlier runs left behind, then finds or creates the owner of the run's objects.
    async fn prepare(&mut self, note: &(dyn Fn(&str) + Sync)) -> Result<(), ClusterEngineError> {
        if self.owner.is_some() {
            return Ok(());
        }
        if let Err(error) = cleanup::clean(&self.cluster, cleanup::PATIENCE, note).await {
            // This run does not depend on it.
            note(&format!(
                "cannot remove what earlier runs left behind: {}",
                vertex::one_line(&error)
            ));
        }
        let owner = match &self.config.job {
            Some(job) => Owner::job(&self.cluster, job).await?,
            None => Owner::lease(&self.cluster).await?,
        };
        let owner = self.owner.insert(owner);
        if let Some(payloads) = &self.payloads {
            payloads
                .apply(&self.cluster, &owner.run_id, &owner.reference)
                .await?;
        }
        Ok(())
    }

    async fn run_trial(
        &mut self,
        trial: &Trial,
        progress: &dyn TrialProgress,
    ) -> Result<Observation, ClusterEngineError> {
        let note = |line: &str| progress.note(line);
        self.prepare(&note).await?;
        let Some(owner) = &self.owner else {
            return Err(ClusterEngineError::NoOwner);
        };
        self.started += 1;
        let run_name = format!("ar-{}", owner.run_id);
        let pipeline = format!("{run_name}-{}", self.started);
        let endpoint_url = self.config.endpoint_url.as_ref().map(ToString::to_string);
        let manifests = self.config.base.manifests(&ForTrial {
            pipeline: &pipeline,
            run: &owner.run_id,
            owner: Some(&owner.reference),
            // In a Job the base's label stays, by which the release finds the Pipelines when it is uninstalled.
            instance: self.config.job.is_none().then_some(run_name.as_str()),
            trial,
            count: count(&trial.settings),
            endpoint_url: endpoint_url.as_deref(),
            image: self.config.image.as_deref(),
            payloads: self.payloads.as_ref().map(TrialPayloads::for_generator),
        });
        let own_endpoint = manifests.endpoint.is_some();
        let isbsvc = self.config.base.isbsvc();
        let objects = TrialObjects::new(&self.cluster, pipeline, &owner.run_id, isbsvc, own_endpoint);
        let lost = owner.lost();
        self.objects = Some(objects.clone());
        let run = TrialRun {
            objects: &objects,
            client: &self.client,
            settings: &trial.settings,
            patience: self.config.patience,
            cut_off: self.config.cut_off,
            timetable: self.config.payloads.as_ref().map(|own| Timetable {
                settings: &trial.settings,
                payload_keys: own.keys.as_ref(),
            }),
        };
        let observed = tokio::select! {
            observed = run.run(&manifests, progress) => observed,
            lost = lost => Err(lost.into()),
        };
        match objects.remove(&note).await {
            Ok(()) => self.objects = None,
            Err(error) => note(&format!(
                "cleaning up after {}: {}",
                trial.id,
                vertex::one_line(&error)
            )),
        }
        observed
    }
}

#[async_trait]
impl Engine for ClusterEngine {
    fn name(&self) -> &'static str {
        "cluster"
    }

    async fn check(&self, trials: &[Trial], progress: &dyn TrialProgress) -> Result<(), EngineError> {
        if self.config.udf_command.is_some() {
            return Err(ClusterEngineError::UdfCommand.into());
        }
        if self.config.endpoint_url.is_some() || !self.config.base.has_endpoint() {
            check_user_endpoint(trials).map_err(ClusterEngineError::from)?;
        }
        let partitions = self.config.base.partitions();
        if partitions > 1 && trials.iter().any(|trial| !trial.settings.is_keyed()) {
            return Err(ClusterEngineError::UnkeyedPartitions(partitions).into());
        }
        let isbsvc = self.config.base.isbsvc();
        preflight::check(
            &self.cluster,
            self.config.job.is_some(),
            self.payloads.as_ref().is_some_and(TrialPayloads::has_config_map),
            isbsvc,
            self.config.patience,
            &|line: &str| progress.note(line),
        )
        .await?;
        Ok(())
    }

    fn expected(&self, trial: &Trial) -> Duration {
        expected(&trial.settings, self.config.cut_off)
    }

    async fn facts(&self) -> BTreeMap<String, String> {
        let version = self.cluster.client.apiserver_version().await;
        let base = &self.config.base;
        let given = self.config.image.as_deref().filter(|_| !base.has_own_udf());
        let image = given.or(base.image());
        [
            ("kubernetes", version.ok().map(|version| version.git_version)),
            ("namespace", Some(self.cluster.namespace.clone())),
            ("image", image.map(str::to_owned)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
    }

    async fn run(&mut self, trial: &Trial, progress: &dyn TrialProgress) -> Result<Observation, EngineError> {
        Ok(self.run_trial(trial, progress).await?)
    }

    fn stopped(&self) -> Option<EngineError> {
        let loss = self.owner.as_ref()?.loss()?;
        Some(ClusterEngineError::from(loss).into())
    }

    async fn finish(&mut self, progress: &dyn TrialProgress) -> Result<(), EngineError> {
        let removed = match self.objects.take() {
            Some(objects) => objects.remove(&|line: &str| progress.note(line)).await,
            None => Ok(()),
        };
        // Kubernetes deletes what is left together with its owner.
        let released = match self.owner.take() {
            Some(owner) => owner.release().await,
            None => Ok(()),
        };
        removed.and(released).map_err(ClusterEngineError::from)?;
        Ok(())
    }
}

/// Expected duration of a trial, set-up and clean-up included.
pub fn expected(settings: &TrialSettings, cut_off: Duration) -> Duration {
    let windows = duration(settings, machine::cores(), cut_off);
    SET_UP + windows + settings.window / 2 + EVENTS_GO_ON / 2 + CLEAN_UP
}

/// Events that the generator offers: those of all windows, and of as many more as last for [`EVENTS_GO_ON`], at least one,
/// whose first events close the last window.
fn count(settings: &TrialSettings) -> u64 {
    let windows = u64::from(settings.warmup) + u64::from(settings.windows);
    let more = EVENTS_GO_ON
        .as_nanos()
        .div_ceil(settings.window.as_nanos().max(1))
        .max(1);
    events_in(
        settings,
        windows.saturating_add(u64::try_from(more).unwrap_or(u64::MAX)),
    )
}
