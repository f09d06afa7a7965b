//! Labels and annotations by which objects in the cluster are found.

/// Label of every object that an experiment creates; its value is the run's id.
pub const RUN_LABEL: &str = "async-reduce/run";

/// Annotation of every object that is created for one trial; its value is the trial's id.
pub const TRIAL_ANNOTATION: &str = "async-reduce/trial";

/// Field manager of every object that is applied.
pub const FIELD_MANAGER: &str = "async-reduce";

/// Label that Numaflow puts on the pods and Jobs of a Pipeline (`KeyPipelineName` in its `const.go`).
pub const PIPELINE_NAME_LABEL: &str = "numaflow.numaproj.io/pipeline-name";

/// Label that Numaflow puts on a vertex's pods (`KeyVertexName` in its `const.go`).
pub const VERTEX_NAME_LABEL: &str = "numaflow.numaproj.io/vertex-name";

/// Label with the release that an object belongs to (one of Kubernetes' recommended labels).
pub const INSTANCE_LABEL: &str = "app.kubernetes.io/instance";

/// Label by which Kubernetes' Job controller finds the pods of a Job.
pub const JOB_NAME_LABEL: &str = "batch.kubernetes.io/job-name";

/// Annotation of a chart's hooks.
pub const HELM_HOOK: &str = "helm.sh/hook";
