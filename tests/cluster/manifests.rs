//! The manifests, applied by the three commands of their README in a namespace of their own.

use std::time::Duration;

use wire::StrategyKind;

use crate::lab::{Lab, Step, path};
use crate::records::await_full;

/// Events of a window as rendered: 100 per second, 10 s.
const FULL: u64 = 1_000;
const FULL_WITHIN: Duration = Duration::from_secs(60);
const GONE_WITHIN: Duration = Duration::from_secs(120);
/// The image that the rendered manifests name; the image under test may have another name.
const RENDERED_IMAGE: &str = "async-reduce:0.1.0";

pub fn applied(lab: &Lab) -> Step {
    let namespace = format!("{}-man", lab.namespace);
    lab.make_namespace(&namespace)?;
    let tested = in_namespace(lab, &namespace);
    let removed = lab.remove_namespace(&namespace);
    tested.and(removed)
}

fn in_namespace(lab: &Lab, namespace: &str) -> Step {
    let before = lab.inventory(namespace)?;
    apply(lab, namespace, "shared")?;
    lab.await_isbsvc(namespace)?;
    for strategy in StrategyKind::ALL {
        let strategy = strategy.to_string();
        apply(lab, namespace, &strategy)?;
        let pipeline = format!("async-reduce-{strategy}");
        await_full(lab, (namespace, &pipeline), 0, FULL, FULL_WITHIN)?;
        delete(lab, namespace, &strategy)?;
    }
    delete(lab, namespace, "shared")?;
    lab.await_gone(namespace, &before, GONE_WITHIN)
}

fn apply(lab: &Lab, namespace: &str, folder: &str) -> Step {
    let files = std::fs::read_dir(path(&format!("manifests/{folder}"))).map_err(|error| error.to_string())?;
    for file in files {
        let file = file.map_err(|error| error.to_string())?.path();
        let text = std::fs::read_to_string(&file).map_err(|error| error.to_string())?;
        let text = text.replace(RENDERED_IMAGE, &lab.image());
        lab.apply(&["-n", namespace, "apply", "-f", "-"], &text)?;
    }
    Ok(())
}

fn delete(lab: &Lab, namespace: &str, folder: &str) -> Step {
    let files = path(&format!("manifests/{folder}"));
    lab.kubectl_in(namespace, &["delete", "-f", &files, "--wait", "--timeout=90s"])
        .map(drop)
}
