//! The engine `local`: the order of steps of a trial.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use engine::windows::{window_ms, window_starts};
use engine::{Engine, EngineError, Observation, TrialProgress};
use launcher::LaunchError;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use trials::endpoint_url::check_user_endpoint;
use trials::ledger::Timetable;
use trials::predict::duration;
use trials::trial::{Trial, TrialSettings};
use vertex::cost::Sampler;
use vertex::machine;
use wire::{Clock, GeneratorStats};

use crate::config::LocalConfig;
use crate::error::LocalError;
use crate::memory::memory_note;
use crate::observation::{TrialData, observation};
use crate::pipeline::{Binaries, Pipeline};
use crate::recorder::Recorder;
use crate::trial_folder::{TrialFolder, sweep};
use crate::user_endpoint;

/// Between two requests for the first event's due time.
const FIRST_EVENT_POLL: Duration = Duration::from_millis(20);

const STATS_TIMEOUT: Duration = Duration::from_secs(5);

/// Set-up and clean-up of a trial, without the wait for the window boundary on which it starts.
const SET_UP: Duration = Duration::from_millis(800);

#[derive(Debug)]
pub struct LocalEngine {
    config: LocalConfig,
    binaries: Binaries,
    http: reqwest::Client,
    clock: Clock,
}

impl LocalEngine {
    /// Finds the binaries in `folder`, removes what killed runs left behind, and raises the descriptor limit.
    ///
    /// # Errors
    /// Returns an error if a binary is missing, or the path of the folder for sockets is too long.
    pub fn new(folder: &Path, config: LocalConfig) -> Result<Self, LocalError> {
        let binaries = Binaries::find(folder)?;
        sweep(&std::env::temp_dir());
        // Found unusable before the first trial.
        TrialFolder::create()?;
        // Each call in flight is a connection with a descriptor at either end, and children inherit the limit.
        machine::raise_descriptor_limit(u64::MAX);
        // Fails only if a provider was chosen before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(STATS_TIMEOUT)
            .build();
        Ok(Self {
            config,
            binaries,
            http: http.map_err(LocalError::Client)?,
            clock: Clock::start(),
        })
    }

    async fn stats<T: DeserializeOwned>(
        &self,
        process: &'static str,
        address: SocketAddr,
    ) -> Result<T, LocalError> {
        let error = |source| LocalError::Stats { process, source };
        let answer = self
            .http
            .get(format!("http://{address}/stats"))
            .send()
            .await
            .map_err(error)?;
        answer
            .error_for_status()
            .map_err(error)?
            .json()
            .await
            .map_err(error)
    }

    /// When event 0 is due, microseconds since the epoch.
    async fn first_due_us(&self, generator: SocketAddr) -> Result<u64, LocalError> {
        let poll = async {
            loop {
                let stats: GeneratorStats = self.stats("generator", generator).await?;
                if let Some(t0_us) = stats.t0_us {
                    return Ok(t0_us);
                }
                sleep(FIRST_EVENT_POLL).await;
            }
        };
        let patience = self.config.patience;
        timeout(patience, poll).await.map_err(|_| LaunchError::NotReady {
            process: "generator".to_owned(),
            patience,
        })?
    }
}

#[async_trait]
impl Engine for LocalEngine {
    fn name(&self) -> &'static str {
        "local"
    }

    async fn check(&self, trials: &[Trial], progress: &dyn TrialProgress) -> Result<(), EngineError> {
        // Another UDF has its own bound.
        if self.config.udf_command.is_none()
            && let Some(note) = memory_note(trials, machine::memory())
        {
            progress.note(&note);
        }
        let Some(url) = &self.config.endpoint_url else {
            return Ok(());
        };
        check_user_endpoint(trials).map_err(LocalError::from)?;
        Ok(user_endpoint::probe(url, self.config.ca_file.as_deref(), self.config.patience).await?)
    }

    fn expected(&self, trial: &Trial) -> Duration {
        expected(&trial.settings, self.config.cut_off)
    }

    async fn run(&mut self, trial: &Trial, progress: &dyn TrialProgress) -> Result<Observation, EngineError> {
        let settings = &trial.settings;
        let folder = TrialFolder::create()?;
        // Dropped after the processes.
        let _cleared = match &self.config.udf_place {
            Some(place) => Some(place.clear().map_err(LocalError::from)?),
            None => None,
        };
        let recorder = Recorder::new(window_ms(settings));
        let mut pipeline = Pipeline::start(&self.binaries, &self.config, settings, folder.path()).await?;
        pipeline.drive(settings, self.config.patience, &recorder).await?;
        let sampler = pipeline.udf_id().and_then(Sampler::start);

        let t0_us = pipeline
            .guard(self.first_due_us(pipeline.generator_address))
            .await?;
        let windows = window_starts(settings, t0_us / 1_000);
        let all = settings.warmup + settings.windows;
        let end = self.clock.instant(t0_us) + settings.window * all + self.config.cut_off;
        let complete = recorder.complete(&windows, |closed| {
            progress.windows(u32::try_from(closed).unwrap_or(u32::MAX), all);
        });
        let observed = async {
            // A timeout is no error: windows without a result are censored below.
            let _ = timeout_at(Instant::from_std(end), complete).await;
            Ok(())
        };
        pipeline.guard(observed).await?;

        let stopped = std::time::Instant::now();
        let counts = pipeline.stop_data_plane(settings.read_timeout).await?;
        let usage = sampler.and_then(Sampler::finish);
        let generator = self.stats("generator", pipeline.generator_address).await?;
        let endpoint = match pipeline.endpoint_address {
            Some(address) => Some(self.stats("endpoint", address).await?),
            None => None,
        };
        pipeline.stop().await;
        let data = TrialData {
            clock: self.clock,
            t0_ms: t0_us / 1_000,
            recorded: recorder.recorded(),
            generator,
            timetable: self.config.payloads.as_ref().map(|own| Timetable {
                settings,
                payload_keys: own.keys.as_ref(),
            }),
            endpoint,
            usage,
            counts: counts.unwrap_or_default(),
            stopped,
        };
        Ok(observation(settings, data))
    }
}

/// Expected duration of a trial, set-up included.
pub fn expected(settings: &TrialSettings, cut_off: Duration) -> Duration {
    // The last window closes only after the next one has begun.
    let closing = settings.window / 2 + settings.read_timeout * 2;
    SET_UP + duration(settings, machine::cores(), cut_off) + closing
}
