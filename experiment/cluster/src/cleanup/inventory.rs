//! The runs that have something in the cluster, from the objects with their label and their Leases. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::labels::RUN_LABEL;
use crate::ownership::lease_name;

/// Kinds of objects that a trial creates, in the order in which they are deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Pipeline,
    Deployment,
    Service,
}

/// An object with a run's label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) uid: Option<String>,
    run: String,
    owner: RunOwner,
}

impl Object {
    pub(super) fn new(kind: Kind, metadata: ObjectMeta) -> Self {
        let owners = metadata.owner_references.unwrap_or_default();
        let job = owners
            .into_iter()
            .find(|owner| owner.kind == "Job" && owner.api_version.starts_with("batch/"));
        Self {
            kind,
            name: metadata.name.unwrap_or_default(),
            uid: metadata.uid,
            run: metadata
                .labels
                .and_then(|mut labels| labels.remove(RUN_LABEL))
                .unwrap_or_default(),
            owner: job.map_or(RunOwner::Lease, |job| RunOwner::Job {
                name: job.name,
                uid: job.uid,
            }),
        }
    }
}

/// The object that shows whether a run is alive.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RunOwner {
    /// The Lease with its id.
    Lease,
    Job {
        name: String,
        uid: String,
    },
}

/// A run that has something in the cluster.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Run {
    pub(super) id: String,
    pub(super) owner: RunOwner,
    pub(super) lease: Option<Lease>,
    /// In the order of their kinds.
    pub(super) objects: Vec<Object>,
}

/// The runs that have objects or a Lease. Objects with the same label but different owners count as two runs.
pub(super) fn runs(objects: &[Object], leases: &[Lease]) -> Vec<Run> {
    let mut by_name: BTreeMap<String, Lease> = BTreeMap::new();
    let mut found: BTreeMap<(String, RunOwner), Vec<Object>> = BTreeMap::new();
    for lease in leases {
        let labels = lease.metadata.labels.as_ref();
        let (Some(name), Some(run)) = (
            &lease.metadata.name,
            labels.and_then(|labels| labels.get(RUN_LABEL)),
        ) else {
            continue;
        };
        // The label alone is not proof: anyone can set it.
        if *name == lease_name(run) {
            by_name.insert(name.clone(), lease.clone());
            found.entry((run.clone(), RunOwner::Lease)).or_default();
        }
    }
    for object in objects {
        found
            .entry((object.run.clone(), object.owner.clone()))
            .or_default()
            .push(object.clone());
    }
    let run = |((id, owner), mut objects): ((String, RunOwner), Vec<Object>)| {
        objects.sort_by_key(|object| object.kind);
        let lease = match owner {
            RunOwner::Lease => by_name.get(&lease_name(&id)).cloned(),
            RunOwner::Job { .. } => None,
        };
        Run {
            id,
            owner,
            lease,
            objects,
        }
    };
    found.into_iter().map(run).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use serde_json::json;

    use super::*;

    fn object(kind: Kind, name: &str, run: &str, owner: serde_json::Value) -> Object {
        let metadata = json!({"name": name, "uid": name, "labels": {"async-reduce/run": run}, "ownerReferences": [owner]});
        Object::new(kind, serde_json::from_value(metadata).unwrap())
    }

    fn lease(name: &str, run: &str) -> Lease {
        let metadata = json!({"name": name, "labels": {"async-reduce/run": run}});
        serde_json::from_value(json!({"metadata": metadata})).unwrap()
    }

    #[test]
    fn objects_are_grouped_by_run_and_owner() {
        let of_lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "name": "async-reduce-aaaaaa", "uid": "1"});
        let of_job = json!({"apiVersion": "batch/v1", "kind": "Job", "name": "exp", "uid": "2"});
        let objects = [
            object(Kind::Service, "ar-aaaaaa-1-endpoint", "aaaaaa", of_lease.clone()),
            object(Kind::Pipeline, "ar-aaaaaa-1", "aaaaaa", of_lease),
            object(Kind::Pipeline, "ar-bbbbbb-1", "bbbbbb", of_job),
        ];
        let leases = [
            lease("async-reduce-aaaaaa", "aaaaaa"),
            lease("async-reduce-cccccc", "cccccc"),
            lease("somebody-elses", "dddddd"),
        ];
        let found = runs(&objects, &leases);
        let summary: Vec<_> = found
            .iter()
            .map(|run| {
                let names: Vec<_> = run.objects.iter().map(|object| object.name.as_str()).collect();
                (run.id.as_str(), names.join(" "), run.lease.is_some())
            })
            .collect();
        assert_eq!(
            summary,
            [
                ("aaaaaa", "ar-aaaaaa-1 ar-aaaaaa-1-endpoint".to_owned(), true),
                ("bbbbbb", "ar-bbbbbb-1".to_owned(), false),
                ("cccccc", String::new(), true),
            ]
        );
        let job = RunOwner::Job {
            name: "exp".to_owned(),
            uid: "2".to_owned(),
        };
        assert_eq!(found[1].owner, job);
    }
}
