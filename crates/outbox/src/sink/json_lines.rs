use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write},
    mem::take,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use postrider_application::ports::{EventSink, LoggedEvent, SinkError};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::{sync::Semaphore, task::spawn_blocking};

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JsonLinesTarget {
    /// Standard output.
    Stdout,
    /// A file, appended to; made if it is not there.
    File(PathBuf),
}

/// An event sink that writes each event as one JSON object in a line of its own.
///
/// Lines are kept in memory until [`EventSink::flush`], which the relay calls before it moves the cursor: then they are
/// written at once, and a file is synced to disk (`fdatasync`), so that what the cursor is past survives a power cut. An
/// error (a full disk) keeps the cursor where it is; the relay tries again until it works, and some lines may then be
/// there twice: each has its `position`. A line that was written by halves is ended before the next one.
///
/// The file is opened anew for every flush: whoever rotates it needs to tell nobody.
pub struct JsonLines {
    target: JsonLinesTarget,
    /// Lines that were not flushed yet; a relay's batch at most.
    waiting: Arc<Mutex<Vec<u8>>>,
    /// One flush is under way at a time: of one that hangs the thread stays, and no second one joins it.
    flushing: Arc<Semaphore>,
}

impl JsonLines {
    /// A sink that writes there.
    pub fn new(target: JsonLinesTarget) -> Self {
        Self {
            target,
            waiting: Arc::default(),
            flushing: Arc::new(Semaphore::new(1)),
        }
    }
}

/// An event as a line: what the log has, and no more. Bodies hold no secrets.
fn line(event: &LoggedEvent) -> Result<String, &'static str> {
    let Ok(Value::Object(mut body)) = serde_json::from_str(&event.body) else {
        return Err("the body of the event is not a JSON object");
    };
    let form = body.remove("v").unwrap_or_default();
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(event.recorded_at.as_micros()) * 1_000);
    let at = at.map_err(|_| "the event's time is out of range")?;
    let at = at
        .format(&Rfc3339)
        .map_err(|_| "the event's time is out of range")?;
    let line = json!({
        "position": event.position,
        "recorded_at": at,
        "tenant": event.tenant.map(|tenant| tenant.to_string()),
        "kind": event.kind,
        "form": form,
        "aggregate": event.aggregate,
        "version": event.version,
        "body": body,
    });
    Ok(format!("{line}\n"))
}

fn append(path: &Path, lines: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .read(true)
        .open(path)?;
    if ends_by_halves(&mut file)? {
        file.write_all(b"\n")?;
    }
    file.write_all(lines)?;
    file.sync_data()
}

/// Whether the last line has no end.
fn ends_by_halves(file: &mut File) -> io::Result<bool> {
    if !file.metadata()?.is_file() || file.metadata()?.len() == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

fn print(lines: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(lines)?;
    out.flush()
}

#[async_trait]
impl EventSink for JsonLines {
    async fn write(&self, event: &LoggedEvent) -> Result<(), SinkError> {
        let line = line(event).map_err(|why| SinkError::Refused(why.into()))?;
        lock(&self.waiting).extend_from_slice(line.as_bytes());
        Ok(())
    }

    async fn flush(&self) -> Result<(), SinkError> {
        let turn = Arc::clone(&self.flushing).acquire_owned().await;
        let turn = turn.map_err(|closed| SinkError::Away(closed.into()))?;
        let (target, waiting) = (self.target.clone(), Arc::clone(&self.waiting));
        let written = spawn_blocking(move || {
            // Held until the thread is done, also when nobody waits for it any more.
            let _turn = turn;
            let lines = take(&mut *lock(&waiting));
            if lines.is_empty() {
                return Ok(());
            }
            let written = match &target {
                JsonLinesTarget::Stdout => print(&lines),
                JsonLinesTarget::File(path) => append(path, &lines),
            };
            if written.is_err() {
                // Before what came meanwhile.
                let mut waiting = lock(&waiting);
                let later = std::mem::replace(&mut *waiting, lines);
                waiting.extend_from_slice(&later);
            }
            written
        });
        match written.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(SinkError::Away(error.into())),
            Err(error) => Err(SinkError::Away(error.into())),
        }
    }

    async fn begin(&self) -> Result<(), SinkError> {
        // What a flush has in hand is written, or put back, before it is forgotten.
        let turn = Arc::clone(&self.flushing).acquire_owned().await;
        let _turn = turn.map_err(|closed| SinkError::Away(closed.into()))?;
        lock(&self.waiting).clear();
        Ok(())
    }
}

/// A panic elsewhere leaves lines that are still good.
fn lock(waiting: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use postrider_application::ports::EventForm;
    use postrider_domain::{TenantId, Timestamp};

    fn event(position: i64, body: &str) -> LoggedEvent {
        LoggedEvent {
            position,
            tenant: Some(TenantId::from_uuid(uuid::Uuid::nil())),
            kind: "tenant.created".to_owned(),
            aggregate: "ten_1".to_owned(),
            version: 3,
            form: EventForm::Known(1),
            body: body.to_owned(),
            recorded_at: Timestamp::from_micros(1_000_000),
        }
    }

    #[tokio::test]
    async fn each_event_is_a_line_once_it_is_flushed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.jsonl");
        let sink = JsonLines::new(JsonLinesTarget::File(path.clone()));
        sink.flush().await.unwrap();
        assert!(!path.exists(), "nothing to write");
        for position in [1, 2] {
            sink.write(&event(position, r#"{"v":1,"name":"a\nb"}"#))
                .await
                .unwrap();
        }
        assert!(!path.exists());
        sink.flush().await.unwrap();
        sink.flush().await.unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(
            lines[0],
            json!({
                "position": 1, "recorded_at": "1970-01-01T00:00:01Z",
                "tenant": "ten_00000000000000000000000000", "kind": "tenant.created", "form": 1,
                "aggregate": "ten_1", "version": 3, "body": {"name": "a\nb"}
            })
        );
    }

    #[tokio::test]
    async fn what_an_earlier_life_left_is_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.jsonl");
        let sink = JsonLines::new(JsonLinesTarget::File(path.clone()));
        sink.write(&event(1, r#"{"v":1}"#)).await.unwrap();
        // The cursor was lost before the flush; another node wrote this and more, and now it is ours again.
        sink.begin().await.unwrap();
        sink.write(&event(9, r#"{"v":1}"#)).await.unwrap();
        sink.flush().await.unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 1);
        assert!(text.contains(r#""position":9"#), "{text}");
    }

    #[tokio::test]
    async fn a_line_by_halves_is_ended_and_an_error_loses_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("logs").join("events.jsonl");
        let sink = JsonLines::new(JsonLinesTarget::File(path.clone()));
        sink.write(&event(1, r#"{"v":1}"#)).await.unwrap();
        assert!(
            matches!(sink.flush().await, Err(SinkError::Away(_))),
            "no such folder"
        );
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "{\"position\":").unwrap();
        sink.flush().await.unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let (half, whole) = text.trim_end().split_once('\n').unwrap();
        assert_eq!(half, "{\"position\":");
        assert_eq!(serde_json::from_str::<Value>(whole).unwrap()["position"], 1);
        let broken = sink.write(&event(2, "nothing")).await;
        assert!(matches!(broken, Err(SinkError::Refused(_))));
    }
}
