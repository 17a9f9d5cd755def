//! Whether what was printed is what the page shows. Ids and times are of one's own, and `…` stands for anything.

use anyhow::{Context, ensure};
use serde_json::Value;

const ANYTHING: char = '…';
/// Public ids: a short word, an underscore, and so many letters of base 32.
const ID_LENGTH: usize = 26;
/// `2026-11-23T03:00:00`, which more digits and a zone may follow.
const TIME: &str = "dddd-dd-ddTdd:dd:dd";

/// An error that says where they differ.
pub(super) fn same(language: &str, shown: &str, printed: &str) -> anyhow::Result<()> {
    if language == "json" {
        let shown: Value = serde_json::from_str(shown).context("what the page shows is no JSON")?;
        let printed: Value = serde_json::from_str(printed)
            .with_context(|| format!("printed was no JSON, but: {}", printed.trim()))?;
        return same_value("", &shown, &printed);
    }
    // Headers of HTTP end with both.
    let printed = printed.replace("\r\n", "\n");
    ensure!(
        same_text(shown, &printed),
        "the page shows `{}`, printed was `{}`",
        shown.trim_end(),
        printed.trim_end()
    );
    Ok(())
}

/// An error unless what was printed begins with what is shown.
pub(super) fn begins(shown: &str, printed: &str) -> anyhow::Result<()> {
    let shown = shown.trim_end();
    ensure!(
        same_text(&format!("{shown}{ANYTHING}"), printed),
        "the page shows `{shown}`, printed was `{}`",
        printed.trim_end()
    );
    Ok(())
}

fn same_value(at: &str, shown: &Value, printed: &Value) -> anyhow::Result<()> {
    match (shown, printed) {
        (Value::Object(shown), Value::Object(printed)) => {
            for (key, value) in shown.iter().filter(|(key, _)| *key != "…") {
                let inner = printed
                    .get(key)
                    .with_context(|| format!("{at}: no `{key}` was printed"))?;
                same_value(&format!("{at}/{key}"), value, inner)?;
            }
            let more = printed.keys().find(|key| !shown.contains_key(*key));
            ensure!(
                more.is_none() || shown.contains_key("…"),
                "{at}: `{}` was printed, and is not shown",
                more.map_or("", String::as_str)
            );
        }
        (Value::Array(shown), Value::Array(printed)) => {
            let open = shown.last().is_some_and(|last| last == "…");
            let first = &shown[..shown.len() - usize::from(open)];
            ensure!(
                printed.len() == first.len() || (open && printed.len() > first.len()),
                "{at}: {} entries were printed",
                printed.len()
            );
            for (index, (shown, printed)) in first.iter().zip(printed).enumerate() {
                same_value(&format!("{at}/{index}"), shown, printed)?;
            }
        }
        (Value::String(shown), _) if shown == "…" => {}
        (Value::String(shown), Value::String(printed)) => ensure!(
            same_text(shown, printed),
            "{at}: the page shows `{shown}`, printed was `{printed}`"
        ),
        // How long something took is nobody's to foretell.
        (Value::Number(_), Value::Number(_)) if at.ends_with("_ms") => {}
        _ => ensure!(
            shown == printed,
            "{at}: the page shows `{shown}`, printed was `{printed}`"
        ),
    }
    Ok(())
}

/// Ids and times are alike, `…` is anything.
fn same_text(shown: &str, printed: &str) -> bool {
    let (shown, printed) = (without_ids(shown.trim_end()), without_ids(printed.trim_end()));
    let parts: Vec<&str> = shown.split(ANYTHING).collect();
    let [first, middle @ .., last] = parts.as_slice() else {
        return shown == printed;
    };
    let Some(mut rest) = printed.strip_prefix(first) else {
        return false;
    };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// The text with every id and every time replaced by a word of its kind.
fn without_ids(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some(length) = time_length(rest) {
            kept.push_str("<time>");
            rest = &rest[length..];
        } else if let Some(length) = id_length(rest) {
            kept.push_str("_<id>");
            rest = &rest[length..];
        } else {
            kept.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    kept
}

fn time_length(text: &str) -> Option<usize> {
    let digits_stand = text.len() >= TIME.len()
        && TIME
            .bytes()
            .zip(text.bytes())
            .all(|(wanted, found)| match wanted {
                b'd' => found.is_ascii_digit(),
                _ => found == wanted,
            });
    digits_stand.then(|| {
        let fraction = text[TIME.len()..]
            .bytes()
            .take_while(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'Z'))
            .count();
        TIME.len() + fraction
    })
}

/// From the underscore on: what kind of id it is matters.
fn id_length(text: &str) -> Option<usize> {
    let rest = text.strip_prefix('_')?;
    let length = rest
        .bytes()
        .take_while(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase())
        .count();
    (length == ID_LENGTH).then_some(1 + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "msg_01jd8x3v9ce2sbm4w8f1q7k5zt";
    const OTHER: &str = "msg_01m83t2t4bett9k69vf48tff76";

    #[test]
    fn ids_and_times_are_alike() {
        let line = |id: &str, time: &str| format!("{id} at {time}");
        let shown = line(ONE, "2026-11-23T03:00:00Z");
        assert!(same("text", &shown, &line(OTHER, "2031-01-02T10:11:12.123456Z")).is_ok());
        assert!(
            same(
                "text",
                &shown,
                &line(&OTHER.replace("msg", "app"), "2031-01-02T10:11:12Z")
            )
            .is_err()
        );
        assert!(same("text", &shown, &line(OTHER, "soon")).is_err());
    }

    #[test]
    fn an_ellipsis_is_anything() {
        assert!(
            same(
                "text",
                "tenant …\npassword … (once)\n",
                "tenant x\npassword y (once)\n"
            )
            .is_ok()
        );
        assert!(same("text", "one\n…\nfour\n", "one\ntwo\nthree\nfour\n").is_ok());
        assert!(same("text", "one\n", "one\ntwo\n").is_err());
        assert!(same("text", "one\ntwo\n", "one\n").is_err());
        assert!(same("text", "a … b", "a b").is_err());
        assert!(same("text", "a\nb\n", "a\r\nb\r\n").is_ok());
    }

    #[test]
    fn what_runs_may_go_on() {
        assert!(begins("one\n", "one\ntwo\n").is_ok());
        assert!(begins("two\n", "one\ntwo\n").is_err());
    }

    #[test]
    fn json_is_compared_by_its_fields() {
        let shown = r#"{"id":"msg_01jd8x3v9ce2sbm4w8f1q7k5zt","latency_ms":3,"data":[{"status":"delivered","…":"…"}]}"#;
        let good = format!(r#"{{"id":"{OTHER}","latency_ms":8,"data":[{{"status":"delivered","more":1}}]}}"#);
        same("json", shown, &good).unwrap();
        for (from, to) in [
            ("\"delivered\"", "\"failed\""),
            ("\"latency_ms\":8,", ""),
            ("\"latency_ms\":8", "\"latency_ms\":8,\"x\":1"),
            ("[{", "[{},{"),
            ("msg_", "ep_"),
            ("8", "\"8\""),
        ] {
            assert!(same("json", shown, &good.replace(from, to)).is_err(), "{to}");
        }
    }
}
