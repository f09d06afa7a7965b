//! What the engine needs to know besides the trial.

use std::path::PathBuf;
use std::time::Duration;

use launcher::Place;
use trials::endpoint_url::EndpointUrl;
use trials::plan::OwnPayloads;

#[derive(Debug, Clone)]
pub struct LocalConfig {
    /// How long a trial waits for results after its last window.
    pub cut_off: Duration,
    /// How long processes may take to become ready.
    pub patience: Duration,
    /// Shell command that starts another reduce UDF instead of ours.
    pub udf_command: Option<String>,
    /// Where that UDF serves, if it does not take the paths that it is given.
    pub udf_place: Option<Place>,
    /// The user's own endpoint instead of ours.
    pub endpoint_url: Option<EndpointUrl>,
    /// PEM file with authorities to trust beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// The user's own events instead of the generator's.
    pub payloads: Option<OwnPayloads>,
}
