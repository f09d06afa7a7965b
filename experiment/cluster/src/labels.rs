//! Labels and other names by which objects in the cluster are found.

/// Label of everything that an experiment creates; its value is the run's id.
pub const RUN_LABEL: &str = "async-reduce/run";

/// Annotation of what was created for one trial; its value is the trial's id.
pub const TRIAL_ANNOTATION: &str = "async-reduce/trial";

/// Field manager of everything that is applied.
pub const FIELD_MANAGER: &str = "async-reduce";

/// Label that Numaflow puts on the pods and Jobs of a Pipeline (`KeyPipelineName` in its `const.go`).
pub const PIPELINE_NAME_LABEL: &str = "numaflow.numaproj.io/pipeline-name";
