//! Parses a request: verb, object, subresource and query, from its method and path.

use axum::http::Method;

use super::selectors::Selectors;
use super::store::Key;

/// A parsed request.
pub(super) struct Call {
    pub verb: &'static str,
    pub key: Key,
    /// Empty, or the part after the name: `log`, `proxy`, `status`, …
    pub subresource: String,
    /// The path after `proxy`.
    pub rest: String,
    pub query: Query,
}

#[derive(Debug, Default)]
pub(super) struct Query {
    /// As in the request, without the question mark.
    pub text: String,
    parameters: Vec<(String, String)>,
}

/// Parses a request; `None` for paths that lead to no resource.
pub(super) fn understand(method: &Method, path: &str, query: Query) -> Option<Call> {
    let mut parts = path.trim_matches('/').split('/');
    let group = match parts.next()? {
        "api" => String::new(),
        "apis" => parts.next()?.to_owned(),
        _ => return None,
    };
    parts.next()?;
    let mut parts = parts.peekable();
    let mut resource = parts.next()?;
    let mut namespace = "";
    if resource == "namespaces" {
        let name = parts.next();
        match (name, parts.peek()) {
            (Some(name), Some(_)) => {
                namespace = name;
                resource = parts.next()?;
            }
            (name, _) => {
                let key = Key::new(&group, "namespaces", "", name.unwrap_or_default());
                return Some(Call::new(method, key, String::new(), String::new(), query));
            }
        }
    }
    let key = Key::new(&group, resource, namespace, parts.next().unwrap_or_default());
    let subresource = parts.next().unwrap_or_default().to_owned();
    let rest = parts.collect::<Vec<_>>().join("/");
    Some(Call::new(method, key, subresource, rest, query))
}

impl Call {
    fn new(method: &Method, key: Key, subresource: String, rest: String, query: Query) -> Self {
        let named = !key.name.is_empty();
        let verb = match *method {
            Method::GET if named => "get",
            Method::GET if query.is("watch") => "watch",
            Method::GET => "list",
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE if named => "delete",
            _ => "deletecollection",
        };
        Self {
            verb,
            key,
            subresource,
            rest,
            query,
        }
    }

    /// The resource as a Role names it.
    pub fn resource(&self) -> String {
        match self.subresource.as_str() {
            "" => self.key.resource.clone(),
            subresource => format!("{}/{subresource}", self.key.resource),
        }
    }
}

impl Query {
    pub fn parse(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            parameters: form_urlencoded::parse(text.as_bytes()).into_owned().collect(),
        }
    }

    pub fn get(&self, name: &str) -> &str {
        self.parameters
            .iter()
            .find(|(known, _)| known == name)
            .map_or("", |(_, value)| value)
    }

    pub fn is(&self, name: &str) -> bool {
        matches!(self.get(name), "true" | "1")
    }

    pub fn selectors(&self) -> Selectors {
        Selectors {
            labels: self.get("labelSelector").to_owned(),
            fields: self.get("fieldSelector").to_owned(),
        }
    }
}
