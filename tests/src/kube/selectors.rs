//! Label and field selectors of lists, with Kubernetes's semantics.

use serde_json::Value;

/// Selects objects of a list.
#[derive(Debug, Default)]
pub(super) struct Selectors {
    pub labels: String,
    pub fields: String,
}

impl Selectors {
    pub fn choose(&self, object: &Value) -> bool {
        let labels = requirements(&self.labels).all(|one| label_holds(&object["metadata"]["labels"], &one));
        labels && requirements(&self.fields).all(|one| field_holds(object, &one))
    }
}

/// Splits a selector at commas, except those within the parentheses of a set.
fn requirements(selector: &str) -> impl Iterator<Item = String> {
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for c in selector.chars() {
        depth += i32::from(c == '(') - i32::from(c == ')');
        match (c, depth, parts.last_mut()) {
            (',', 0, _) => parts.push(String::new()),
            (c, _, Some(last)) => last.push(c),
            _ => {}
        }
    }
    parts
        .into_iter()
        .map(|part| part.trim().to_owned())
        .filter(|part| !part.is_empty())
}

fn label_holds(labels: &Value, one: &str) -> bool {
    let of = |name: &str| labels.get(name.trim()).and_then(Value::as_str);
    let within = |set: &str, value: Option<&str>| {
        let set = set.trim().trim_start_matches('(').trim_end_matches(')');
        value.is_some_and(|value| set.split(',').any(|one| one.trim() == value))
    };
    if let Some((name, set)) = one.split_once(" notin ") {
        !within(set, of(name))
    } else if let Some((name, set)) = one.split_once(" in ") {
        within(set, of(name))
    } else if let Some((name, value)) = one.split_once("!=") {
        of(name) != Some(value.trim())
    } else if let Some((name, value)) = one.split_once('=') {
        of(name) == Some(value.trim_start_matches('=').trim())
    } else if let Some(name) = one.strip_prefix('!') {
        of(name).is_none()
    } else {
        of(one).is_some()
    }
}

fn field_holds(object: &Value, one: &str) -> bool {
    let (path, value, same) = match (one.split_once("!="), one.split_once('=')) {
        (Some((path, value)), _) => (path, value, false),
        (None, Some((path, value))) => (path, value.trim_start_matches('='), true),
        (None, None) => return false,
    };
    let found = object.pointer(&format!("/{}", path.replace('.', "/")));
    (found.and_then(Value::as_str).unwrap_or_default() == value) == same
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_choose_as_kubernetes_does() {
        let object = json!({"metadata": {"name": "a", "labels": {"async-reduce/run": "abc123", "x": "1"}}, "spec": {"nodeName": "n"}});
        let choose = |labels: &str, fields: &str| {
            let [labels, fields] = [labels, fields].map(str::to_owned);
            Selectors { labels, fields }.choose(&object)
        };
        for labels in [
            "",
            "async-reduce/run",
            "async-reduce/run=abc123,x==1",
            "x in (1,2),!y",
            "x!=2",
            "y notin (1)",
        ] {
            assert!(choose(labels, ""), "{labels}");
        }
        for labels in [
            "y",
            "x=2",
            "!x",
            "x in (2, 3)",
            "x notin (1,2)",
            "async-reduce/run=abc123,y",
        ] {
            assert!(!choose(labels, ""), "{labels}");
        }
        assert!(choose("", "metadata.name=a,spec.nodeName=n") && choose("", "metadata.name!=b"));
        assert!(!choose("", "metadata.name=b"));
    }
}
