//! The manifests by the three commands of their README, in a namespace of their own.

use std::time::Duration;

use crate::lab::{Lab, Step, path, wait};
use crate::records::await_full;

/// Events of a window as rendered: 100 per second, 10 s.
const FULL: u64 = 1_000;
const FULL_WITHIN: Duration = Duration::from_secs(60);
const GONE_WITHIN: Duration = Duration::from_secs(120);

pub fn applied(lab: &Lab) -> Step {
    let namespace = format!("{}-man", lab.namespace);
    lab.make_namespace(&namespace)?;
    let tested = in_namespace(lab, &namespace);
    let removed = lab.remove_namespace(&namespace);
    tested.and(removed)
}

fn in_namespace(lab: &Lab, namespace: &str) -> Step {
    let before = lab.inventory(namespace)?;
    let rendered_with = "async-reduce:0.1.0";
    for folder in ["shared", "async"] {
        for file in
            std::fs::read_dir(path(&format!("manifests/{folder}"))).map_err(|error| error.to_string())?
        {
            let file = file.map_err(|error| error.to_string())?.path();
            let text = std::fs::read_to_string(&file).map_err(|error| error.to_string())?;
            // They name the released image; the one under test may have another name.
            let text = text.replace(rendered_with, &lab.image());
            lab.apply(&["-n", namespace, "apply", "-f", "-"], &text)?;
        }
    }
    lab.await_isbsvc(namespace)?;
    await_full(lab, (namespace, "async-reduce-async"), 0, FULL, FULL_WITHIN)?;
    for folder in ["async", "shared"] {
        let delete = [
            "delete",
            "-f",
            &path(&format!("manifests/{folder}")),
            "--wait",
            "--timeout=90s",
        ];
        lab.kubectl_in(namespace, &delete)?;
    }
    wait("delete leaves nothing", GONE_WITHIN, || {
        Ok(lab.inventory(namespace)?.is_subset(&before).then_some(()))
    })
}
