//! Reading stored events of older forms.

use postrider_application::ports::{EventForm, event_form};
use serde_json::{Map, Value};

/// A body, without `v`.
type Body = Map<String, Value>;

/// Brings a body of one version of a kind's form up to the next.
struct Upcast {
    kind: &'static str,
    /// The version that it takes.
    from: u32,
    up: fn(Body) -> Body,
}

/// All of them. So far every kind has had one form.
const UPCASTS: &[Upcast] = &[];

/// In which form an event is, and its body in that form.
pub(crate) fn read(kind: &str, body: String) -> (EventForm, String) {
    match event_form(kind) {
        None => (EventForm::Unknown, body),
        Some(current) => read_by(UPCASTS, kind, current, body),
    }
}

fn read_by(upcasts: &[Upcast], kind: &str, current: u32, body: String) -> (EventForm, String) {
    let Some((version, mut fields)) = parse(&body) else {
        return (EventForm::Unknown, body);
    };
    if version == current {
        return (EventForm::Known(current), body);
    }
    for version in version..current {
        let upcast = upcasts
            .iter()
            .find(|upcast| (upcast.kind, upcast.from) == (kind, version));
        match upcast {
            Some(upcast) => fields = (upcast.up)(fields),
            None => return (EventForm::Unknown, body),
        }
    }
    if version > current {
        return (EventForm::Unknown, body);
    }
    fields.insert("v".to_owned(), current.into());
    (EventForm::Known(current), Value::Object(fields).to_string())
}

/// The version of a body's form, and the rest of it.
fn parse(body: &str) -> Option<(u32, Body)> {
    let Ok(Value::Object(mut fields)) = serde_json::from_str(body) else {
        return None;
    };
    let version = fields.remove("v")?.as_u64()?;
    Some((u32::try_from(version).ok()?, fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `name` became `title`, and then there was `size`.
    const STEPS: &[Upcast] = &[
        Upcast {
            kind: "parcel.sent",
            from: 1,
            up: |mut body| {
                let name = body.remove("name").unwrap_or_default();
                body.insert("title".to_owned(), name);
                body
            },
        },
        Upcast {
            kind: "parcel.sent",
            from: 2,
            up: |mut body| {
                body.insert("size".to_owned(), 1.into());
                body
            },
        },
    ];

    fn sent(body: &str) -> (EventForm, String) {
        read_by(STEPS, "parcel.sent", 3, body.to_owned())
    }

    #[test]
    fn older_forms_are_brought_up_step_by_step() {
        let known = EventForm::Known(3);
        let (form, body) = sent(r#"{"v":1,"name":"a"}"#);
        assert_eq!(form, known);
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body, serde_json::json!({"v": 3, "title": "a", "size": 1}));
        let (form, body) = sent(r#"{"v":2,"title":"b"}"#);
        assert_eq!(form, known);
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body, serde_json::json!({"v": 3, "title": "b", "size": 1}));
        let current = r#"{"v":3,"title":"c","size":9}"#;
        assert_eq!(sent(current), (known, current.to_owned()));
    }

    #[test]
    fn what_a_newer_node_wrote_is_not_guessed_at() {
        for body in [
            r#"{"v":4}"#,
            r#"{"v":0}"#,
            r#"{"v":"1"}"#,
            r#"{"v":-1}"#,
            "{}",
            "[]",
            "",
            "{",
        ] {
            assert_eq!(sent(body), (EventForm::Unknown, body.to_owned()), "{body}");
        }
        let body = r#"{"v":1}"#;
        assert_eq!(
            read("parcel.sent", body.to_owned()),
            (EventForm::Unknown, body.to_owned())
        );
        assert_eq!(
            read_by(&STEPS[1..], "parcel.sent", 3, body.to_owned()).0,
            EventForm::Unknown,
            "a step is missing"
        );
        assert_eq!(
            read("tenant.suspended", r#"{"v":1,"at":9}"#.to_owned()).0,
            EventForm::Known(1)
        );
    }
}
