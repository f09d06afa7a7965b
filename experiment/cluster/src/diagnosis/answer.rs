//! What an error of the API server means for the user.

use kube::core::Status;

/// An error of the Kubernetes client in one line, with what to do where that is known.
pub fn describe_error(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => describe_status(status),
        kube::Error::Auth(error) => format!(
            "the credentials of the kubeconfig do not work: {}; log in to the cluster again",
            vertex::one_line(error)
        ),
        kube::Error::HyperError(_) | kube::Error::Service(_) => format!(
            "the API server cannot be reached: {}; is the cluster up, and is the context the right one?",
            vertex::one_line(error).trim_start_matches("ServiceError: ")
        ),
        other => vertex::one_line(other),
    }
}

fn describe_status(status: &Status) -> String {
    let message = super::line(&status.message);
    // The path itself is unknown where the kind's definition is absent; an absent object is named in the message.
    let unknown_path = message.is_empty() || message.contains("could not find the requested resource");
    match status.code {
        401 => format!("the API server does not accept the credentials ({message}); log in to the cluster again"),
        403 if message.contains("exceeded quota") || message.contains("violates PodSecurity") => message,
        403 => format!("{message}; have a Role bound that permits it, or use another --context or --namespace"),
        // Only `404 page not found` comes as no Status at all.
        404 if unknown_path || message.contains("page not found") => {
            "Numaflow is not installed in this cluster (its API numaflow.numaproj.io/v1alpha1 is unknown); install Numaflow 1.8, \
             or use another --context"
                .to_owned()
        }
        _ if !message.is_empty() => message,
        code => format!("the API server answered {code} {}", status.reason),
    }
}
