//! What the engine needs to know besides the trial.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use trials::endpoint_url::EndpointUrl;
use trials::plan::OwnPayloads;

use crate::fixed_place::FixedPlace;

#[derive(Debug, Clone)]
pub struct LocalConfig {
    /// How long a trial waits for results after its last window.
    pub cut_off: Duration,
    /// How long processes may take to become ready.
    pub patience: Duration,
    /// Shell command that starts another reduce UDF instead of ours.
    pub udf_command: Option<String>,
    /// Where that UDF serves, if it does not take the paths that it is given. Engines that take turns may share it.
    pub udf_place: Option<Arc<FixedPlace>>,
    /// The user's own endpoint instead of ours.
    pub endpoint_url: Option<EndpointUrl>,
    /// PEM file with authorities to trust beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// The user's own events instead of the generator's.
    pub payloads: Option<OwnPayloads>,
}
