//! What templates accept, what they render, and that no value becomes more than a value.

use std::borrow::Cow;
use std::fs;

use percent_encoding::percent_decode_str;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;

type Events = Template<EventField>;

const PAYLOAD: &str = r#" {"user": "u1", "amount": 12.50, "id": 123456789012345678901234567890, "on": true,
    "no": null, "list": [1, {"a/b~": "x\"y\n"}], "text": "a b/ä?&#%+", "": "empty", "amount": 1e2} "#;

/// Of an event with the keys `a` and `b c`, the header `h: v w` and a payload.
fn value<'a>(field: &EventField, payload: &Payload<'a>) -> Result<Value<'a>, Problem> {
    match field {
        EventField::Key => Ok(Value::Text(Cow::Borrowed("a:b c"))),
        EventField::Pointer(pointer) => payload.at(pointer).map(Value::Json),
        EventField::Header(name) if name == "h" => Ok(Value::Text(Cow::Borrowed("v w"))),
        EventField::Header(_) => Err(Problem::Absent),
    }
}

fn render(template: &Events, payload: &str) -> Result<String, String> {
    let payload = Payload::new(payload.as_bytes());
    let mut out = String::new();
    let rendered = template.render(&mut out, |field| value(field, &payload));
    rendered.map(|()| out).map_err(|error| error.to_string())
}

fn url(text: &str) -> UrlTemplate<EventField> {
    UrlTemplate::parse(text).unwrap()
}

#[test]
fn fields_are_read_once_and_dollars_are_dollars() {
    for (text, rendered) in [
        ("", ""),
        ("${key}", "a:b c"),
        ("$${key} $${} $$${ $ $$ $x $", "${key} ${} $${ $ $$ $x $"),
        ("<${/user}>${/user}", "<u1>u1"),
        (
            "${/amount} ${/id} ${/on}",
            "1e2 123456789012345678901234567890 true",
        ),
        ("${/list/0} ${/list/1/a~1b~0}", "1 x\"y\n"),
        ("${/}${header:h}", "emptyv w"),
    ] {
        let template = Events::text(text).unwrap();
        assert_eq!(render(&template, PAYLOAD).unwrap(), rendered, "{text}");
    }
    let refused = |text: &str| Events::text(text).unwrap_err().to_string();
    assert!(refused("a ${key").starts_with("`${` is not closed by `}`"));
    for unknown in ["", "user", "header:", "keys", " key", "Key"] {
        let said = refused(&format!("${{{unknown}}}"));
        let expected = format!(
            "`${{{unknown}}}` is no field: known are `${{key}}`, `${{/pointer}}`, `${{header:NAME}}`, `${{env:NAME}}` and \
             `${{file:PATH}}`; write `$${{` for a literal `${{`"
        );
        assert_eq!(said, expected);
    }
    let template = Events::text("$${a}${env:CARGO_PKG_NAME}").unwrap();
    assert_eq!(template.constant(), Some(concat!("${a}", env!("CARGO_PKG_NAME"))));
    assert_eq!(Events::text("${key}").unwrap().constant(), None);
}

#[test]
fn a_secret_that_is_absent_is_one_sentence_and_a_present_one_is_never_printed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let field = format!("${{file:{}}}", path.display());
    let refused = |text: &str| Events::header(text).unwrap_err().to_string();
    assert_eq!(
        refused("Bearer ${env:NO_SUCH_VARIABLE}"),
        "`${env:NO_SUCH_VARIABLE}`: the environment variable NO_SUCH_VARIABLE is not set"
    );
    let said = refused(&field);
    assert!(
        said.ends_with("cannot be read: No such file or directory (os error 2)"),
        "{said}"
    );
    for (written, read) in [
        ("hunter2", "hunter2"),
        ("hunter2\n", "hunter2"),
        ("hunter2\r\n", "hunter2"),
        (" hunter2 ", " hunter2 "),
    ] {
        fs::write(&path, written).unwrap();
        let template = Events::header(&format!("Bearer {field}")).unwrap();
        assert_eq!(template.constant(), Some(&*format!("Bearer {read}")));
        assert!(!format!("{template:?}").contains("hunter2"));
        let url = UrlTemplate::<EventField>::parse(&format!("http://me:{field}@e/?t={field}")).unwrap();
        assert!(!format!("{url:?}").contains("hunter2"));
    }
    for (secret, reason) in [
        (&b"hunter2\n\n"[..], "has a control character"),
        (b"hunter2\x00", "has a control character"),
        (b"hunter2\xff", "stream did not contain valid UTF-8"),
        (&[b'x'; 1024 * 1024 + 1], "it is longer than 1048576 bytes"),
    ] {
        fs::write(&path, secret).unwrap();
        let said = refused(&field);
        assert!(said.contains(reason) && !said.contains("hunter2"), "{said}");
    }
}

#[test]
fn a_url_has_its_values_percent_encoded() {
    for (text, origin, path) in [
        ("http://e", "http://e", "/"),
        ("http://e?a=1", "http://e", "/?a=1"),
        ("HTTPS://me:p@e:1/ä/{x}", "HTTPS://me:p@e:1", "/%C3%A4/%7Bx%7D"),
        ("http://e/u/${/user}/${key}", "http://e", "/u/u1/a%3Ab%20c"),
        (
            "http://e/${/text}?q=${/text}&h=${header:h}&x=${/}",
            "http://e",
            "/a%20b%2F%C3%A4%3F%26%23%25%2B?q=a%20b%2F%C3%A4%3F%26%23%25%2B&h=v%20w&x=empty",
        ),
        ("http://e?${/list/0}", "http://e", "/?1"),
        ("http://e/$${key}/..${/user}.", "http://e", "/$%7Bkey%7D/..u1."),
        (
            "http://${env:CARGO_PKG_VERSION}:x@e/${env:CARGO_PKG_VERSION}",
            concat!("http://", env!("CARGO_PKG_VERSION"), ":x@e"),
            concat!("/", env!("CARGO_PKG_VERSION")),
        ),
    ] {
        let url = url(text);
        assert_eq!(url.origin(), origin);
        assert_eq!(render(url.path(), PAYLOAD).unwrap(), path, "{text}");
    }
}

#[test]
fn the_beginning_of_a_url_may_come_from_the_environment_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("base");
    let field = format!("${{file:{}}}", path.display());
    for (base, rest, origin, rendered) in [
        ("http://e:80/a?b=", "${/user}", "http://e:80", "/a?b=u1"),
        ("http://e", "/x/${/user}", "http://e", "/x/u1"),
        ("http", "://e/", "http", ""),
    ] {
        fs::write(&path, base).unwrap();
        let parsed = url(&format!("{field}{rest}"));
        if base == "http" {
            assert_eq!(parsed.origin(), "http://e");
            continue;
        }
        assert_eq!(parsed.origin(), origin);
        assert_eq!(render(parsed.path(), PAYLOAD).unwrap(), rendered);
    }
    fs::write(&path, "http://e").unwrap();
    let refused = UrlTemplate::<EventField>::parse(&format!("{field}${{/user}}")).unwrap_err();
    assert!(
        refused
            .to_string()
            .starts_with("`${/user}` stands in the scheme, host or port")
    );
}

#[test]
fn no_field_may_say_where_a_request_goes() {
    let refused = |text: &str| UrlTemplate::<EventField>::parse(text).unwrap_err().to_string();
    for text in [
        "${key}://e/",
        "${/url}",
        "http://${/host}/",
        "http://${/user}@e/",
        "http://e${key}/",
        "http://e:${key}/",
        "http://e:80${key}",
        "http:/${key}/",
        "http:${key}//e/",
        "http://${env:CARGO_PKG_NAME}/",
        "http://e:${env:CARGO_PKG_NAME}/",
        "http://me@${env:CARGO_PKG_NAME}/",
        "http${env:CARGO_PKG_NAME}://e/",
        "http://${env:CARGO_PKG_NAME}",
    ] {
        assert!(
            refused(text).contains("stands in the scheme, host or port"),
            "{text}: {}",
            refused(text)
        );
    }
    for (text, reason) in [
        ("", "must begin with http"),
        ("e/${key}", "must begin with http"),
        ("://e/${key}", "must begin with http"),
        ("http:///e/${key}", "has no host"),
        ("http:///${key}", "has no host"),
        ("http://\\${key}", "a backslash"),
        ("http://e/ /${key}", "a space"),
        ("http://\t/e/${key}", "a space or a control"),
        ("http://e/a#${key}", "a fragment"),
        ("http://e/../${key}", "a segment"),
        ("http://e/%2E./${key}", "a segment"),
        ("http://e/a/.", "a segment"),
    ] {
        let said = match refused(text) {
            said if text.contains("e/${key}") && said.contains("scheme, host or port") => continue,
            said => said,
        };
        assert!(said.contains(reason), "{text}: {said}");
    }
}

#[test]
fn a_value_that_cannot_stand_there_is_refused_with_its_field() {
    let header = |text: &str| Events::header(text).unwrap();
    let path = |text: &str| url(&format!("http://e/{text}")).path().clone();
    let dots =
        r#"{"one": ".", "two": "..", "none": "", "break": "a\r\nb: c", "nul": "\u0000", "half": "\ud800"}"#;
    for (template, payload, said) in [
        (header("${/x}"), "no JSON", "`${/x}`: the payload is no JSON"),
        (header("${/x}"), "{} {}", "`${/x}`: the payload is no JSON"),
        (header("${/x}"), "[1]", "`${/x}`: the event has no such value"),
        (
            header("${/list/01}"),
            PAYLOAD,
            "`${/list/01}`: the event has no such value",
        ),
        (
            header("${header:x}"),
            PAYLOAD,
            "`${header:x}`: the event has no such value",
        ),
        (
            header("${/no}"),
            PAYLOAD,
            "`${/no}`: expected a text, a number or a boolean",
        ),
        (
            header("${/list}"),
            PAYLOAD,
            "`${/list}`: expected a text, a number or a boolean",
        ),
        (
            header("${/half}"),
            dots,
            "`${/half}`: expected a text, a number or a boolean",
        ),
        (
            header("${/break}"),
            dots,
            "`${/break}`: the value has a control character, which no header can have",
        ),
        (
            header("${/nul}"),
            dots,
            "`${/nul}`: the value has a control character, which no header can have",
        ),
        (
            path("a/${/none}/b"),
            dots,
            "`${/none}`: the value is empty, which would make another path of the URL's",
        ),
        (
            path("a/${/two}/b"),
            dots,
            "`${/two}`: the value makes a segment of dots in the URL's path",
        ),
        (
            path("%2e${/one}?x=${/none}"),
            dots,
            "`${/one}`: the value makes a segment of dots in the URL's path",
        ),
    ] {
        assert_eq!(render(&template, payload).unwrap_err(), said);
    }
    assert_eq!(render(&path("${/one}a?${/two}/../"), dots).unwrap(), "/.a?../../");
    assert_eq!(render(&header("${key}"), "no JSON").unwrap(), "a:b c");
}

#[test]
fn a_body_takes_values_as_json_and_texts_within_strings() {
    for (text, rendered) in [
        (
            r#"{"u": ${/user}, "a": ${/amount}, "l": ${/list}, "n": ${/no}, "k": ${key}}"#,
            json!({"u": "u1", "a": 1e2, "l": [1, {"a/b~": "x\"y\n"}], "n": null, "k": "a:b c"}),
        ),
        (
            r#"{"${/user}": "\"${/user}\\", "b": "<${/list/1/a~1b~0}> ${/amount} ${header:h}"}"#,
            json!({"u1": "\"u1\\", "b": "<x\"y\n> 1e2 v w"}),
        ),
        (
            r#"["${env:CARGO_PKG_VERSION}", ${env:CARGO_PKG_VERSION}, "$${key}"]"#,
            json!([env!("CARGO_PKG_VERSION"), env!("CARGO_PKG_VERSION"), "${key}"]),
        ),
        ("${/list}\n", json!([1, {"a/b~": "x\"y\n"}])),
    ] {
        let template = Events::json(text).unwrap();
        let found = render(&template, PAYLOAD).unwrap();
        assert_eq!(serde_json::from_str::<Json>(&found).unwrap(), rendered, "{found}");
    }
    let id = render(&Events::json("[${/id}]").unwrap(), PAYLOAD).unwrap();
    assert_eq!(id, "[123456789012345678901234567890]", "no digit is lost");
    for text in [
        "",
        "${key",
        "a=${/a}",
        "{${key}: 1}",
        "1${/a}",
        "${/a}${/a}",
        "\"${/a}",
        "[${/a},]",
        "\"a\"${/a}",
    ] {
        assert!(Events::json(text).is_err(), "{text}");
    }
    let template = Events::json("\"${/list}\"").unwrap();
    assert!(render(&template, PAYLOAD).is_err());
}

fn any_json() -> impl Strategy<Value = Json> {
    let name = || prop_oneof!["[a-c/~0-2]{0,3}", ".{0,3}"];
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        ".{0,6}".prop_map(Json::from),
        "[\"\\\\{}\\[\\],: ]{0,6}".prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 30, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            proptest::collection::hash_map(name(), inner, 0..4)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn a_pointer_finds_what_a_parsed_document_has(json in any_json(), pointer in "(/[a-c/~0-2]{0,3}){1,3}", pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&json) } else { serde_json::to_string(&json) }.unwrap();
        let found = Pointer::read(&pointer).unwrap().find(&text).map(|found| serde_json::from_str::<Json>(found).unwrap());
        prop_assert_eq!(found.as_ref(), json.pointer(&pointer));
    }

    #[test]
    fn a_value_stays_one_segment_and_one_parameter(text in any::<String>(), other in any::<String>()) {
        let payload = json!({"a": text, "b": other}).to_string();
        let template = url("http://e/x/${/a}/y?b=${/b}&c=1");
        match render(template.path(), &payload) {
            Ok(path) => {
                prop_assert!(path.is_ascii());
                let parts: Vec<&str> = path.split(['/', '?', '&', '#']).collect();
                prop_assert_eq!(parts.len(), 6, "{}", path);
                let decoded = |text: &str| percent_decode_str(text).decode_utf8().unwrap().into_owned();
                prop_assert_eq!(decoded(parts[2]), text);
                prop_assert_eq!(decoded(parts[4].strip_prefix("b=").unwrap()), other);
            }
            Err(_) => prop_assert!(matches!(&*text, "" | "." | ".."), "{}", text),
        }
    }

    #[test]
    fn a_header_stays_one_line(text in any::<String>()) {
        let payload = json!([text]).to_string();
        let rendered = render(&Events::header("Bearer ${/0}").unwrap(), &payload);
        prop_assert_eq!(rendered.is_ok(), !text.chars().any(|char| char.is_ascii_control() && char != '\t'));
        if let Ok(line) = rendered {
            prop_assert_eq!(line, format!("Bearer {text}"));
        }
    }

    #[test]
    fn a_body_is_json_whatever_the_values_are(value in any_json(), text in any::<String>()) {
        let payload = json!([value, text]).to_string();
        let template = Events::json(r#"{"value": ${/0}, "text": ${/1}, "within": "<${/1}>"}"#).unwrap();
        let rendered: Json = serde_json::from_str(&render(&template, &payload).unwrap()).unwrap();
        prop_assert_eq!(rendered, json!({"value": value, "text": text, "within": format!("<{text}>")}));
    }

    #[test]
    fn any_text_can_be_written_as_a_template(text in any::<String>()) {
        let template = Events::text(&text.replace("${", "$${")).unwrap();
        prop_assert_eq!(template.constant(), Some(&*text));
    }

    #[test]
    fn any_bytes_are_a_template_or_a_refusal(text in "(\\$|\\{|\\}|\"|/|:|http://|key|env:|é|\\?){0,12}", payload in any::<Vec<u8>>()) {
        for template in [Events::text(&text), Events::header(&text), Events::json(&text)].into_iter().flatten() {
            let _ = render(&template, &String::from_utf8_lossy(&payload));
        }
        let _ = UrlTemplate::<EventField>::parse(&text);
    }
}
