//! Errors of the API server, in words for the user.

use kube::core::Status;

use crate::text::line;

/// An error of the Kubernetes client in one line, with advice if there is any.
pub fn describe_error(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => describe_status(status),
        kube::Error::Auth(error) => format!(
            "the credentials of the kubeconfig do not work: {}; log in to the cluster again",
            vertex::one_line(error)
        ),
        kube::Error::HyperError(_) | kube::Error::Service(_)
            if vertex::untrusted_certificate(&vertex::one_line(error)).is_some() =>
        {
            "the certificate of the API server is not trusted: put its authority into the kubeconfig \
             (certificate-authority), or name it in SSL_CERT_FILE"
                .to_owned()
        }
        kube::Error::HyperError(_) | kube::Error::Service(_) => format!(
            "the API server cannot be reached: {}; is the cluster up, and is the context the right one?",
            vertex::one_line(error).trim_start_matches("ServiceError: ")
        ),
        other => vertex::one_line(other),
    }
}

fn describe_status(status: &Status) -> String {
    let message = line(&status.message);
    // Without the kind's definition the path itself is unknown. A message about an absent object names it.
    let unknown_path = message.is_empty() || message.contains("could not find the requested resource");
    match status.code {
        401 => format!("the API server does not accept the credentials ({message}); log in to the cluster again"),
        403 if message.contains("exceeded quota") || message.contains("violates PodSecurity") => message,
        403 => format!("{message}; have a Role bound that permits it, or use another --context or --namespace"),
        // `404 page not found` is the one answer that is not a Status.
        404 if unknown_path || message.contains("page not found") => {
            "Numaflow is not installed in this cluster (its API numaflow.numaproj.io/v1alpha1 is unknown); install Numaflow 1.8, \
             or use another --context"
                .to_owned()
        }
        _ if !message.is_empty() => message,
        code => format!("the API server answered {code} {}", status.reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: u16, reason: &str, message: &str) -> String {
        let status = Status::failure(message, reason).with_code(code);
        describe_error(&kube::Error::Api(status.boxed()))
    }

    #[test]
    fn answers_of_the_api_server() {
        let denied =
            "pipelines.numaflow.numaproj.io is forbidden: User \"me\" cannot create resource \"pipelines\"";
        assert_eq!(
            answer(403, "Forbidden", denied),
            format!("{denied}; have a Role bound that permits it, or use another --context or --namespace")
        );
        let unknown = answer(
            404,
            "NotFound",
            "the server could not find the requested resource",
        );
        assert!(
            unknown.starts_with("Numaflow is not installed in this cluster"),
            "{unknown}"
        );
        assert!(answer(404, "NotFound", "404 page not found").starts_with("Numaflow is not installed"));
        let absent = "pipelines.numaflow.numaproj.io \"x\" not found";
        assert_eq!(answer(404, "NotFound", absent), absent);
        assert!(answer(401, "Unauthorized", "Unauthorized").contains("log in"));
        assert_eq!(
            answer(500, "InternalError", ""),
            "the API server answered 500 InternalError"
        );
    }
}
