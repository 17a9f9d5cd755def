//! What the intake's tests stand on: messages, and a writer that fails by a script.

use std::{
    collections::{HashSet, VecDeque},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use postrider_application::ports::{ClaimFrom, Dedup, DeliveryQueue as _, Epoch, WriteError, Written};
use postrider_domain::{
    ApplicationId, MessageId, TenantId,
    event_types::EventTypeName,
    messages::{Channels, ContentType, Message, Payload},
};
use postrider_testkit::{TokioClock, memory::MemoryStore};
use tokio::sync::oneshot::Receiver;
use uuid::Uuid;

use super::*;
use crate::{EngineOptions, door::HandedOff, lease::Lease};

pub(super) type Answered = Receiver<Result<Accepted, IntakeError>>;

pub(super) const DEADLINE: Duration = Duration::from_secs(10);

/// A message of tenant `of`, with a payload of so many bytes.
pub(super) fn new_message(id: u128, of: u128, bytes: usize) -> NewMessage {
    let message = Message {
        id: MessageId::from_uuid(Uuid::from_u128(id)),
        tenant: TenantId::from_uuid(Uuid::from_u128(of)),
        application: ApplicationId::from_uuid(Uuid::from_u128(of)),
        event_type: EventTypeName::parse("invoice.paid").unwrap(),
        channels: Channels::default(),
        event_id: None,
        payload: Payload::restore(vec![b'7'; bytes], ContentType::json()),
        created_at: TokioClock::START,
        trace: None,
        deliver_at: None,
    };
    NewMessage {
        message: Arc::new(message),
        dedup: None,
        owner: None,
    }
}

/// The same with a key and a body.
pub(super) fn keyed(id: u128, key: u8, body: u8) -> NewMessage {
    NewMessage {
        dedup: Some(Dedup {
            key_hash: [key; 32],
            body_hash: [body; 32],
            window: Duration::from_hours(24),
        }),
        ..new_message(id, 1, 7)
    }
}

/// What a try to write does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Try {
    /// It fails, and nothing is written.
    Unavailable,
    /// The connection is lost, and it is committed.
    LostAfterCommit,
    /// The connection is lost, and nothing is.
    LostBefore,
    /// It never answers, and nothing is written.
    Hangs,
    /// A bug.
    Panics,
    /// It is committed, and a row is missing in the answer.
    TooShort,
}

/// Which messages a try was to write, and for whom.
type Tried = Vec<(MessageId, Option<Epoch>)>;

/// A memory store that fails.
pub(super) struct Scripted {
    pub(super) store: MemoryStore,
    /// What the next tries do; the others succeed.
    pub(super) script: Mutex<VecDeque<Try>>,
    /// What all tries do, once the script is over.
    pub(super) always: Mutex<Option<Try>>,
    /// Messages that are refused.
    pub(super) poison: Mutex<HashSet<MessageId>>,
    pub(super) tries: Mutex<Vec<Tried>>,
}

impl Scripted {
    fn next(&self) -> Option<Try> {
        self.script
            .lock()
            .unwrap()
            .pop_front()
            .or(*self.always.lock().unwrap())
    }
}

fn lost() -> WriteError {
    WriteError::Unknown(StoreError::Unavailable("connection reset".into()))
}

#[async_trait]
impl MessageWriter for Scripted {
    async fn write(&self, batch: &[NewMessage]) -> Result<Vec<Written>, WriteError> {
        let rows = batch.iter().map(|new| (new.message.id, new.owner)).collect();
        self.tries.lock().unwrap().push(rows);
        let next = self.next();
        match next {
            Some(Try::Unavailable) => {
                return Err(WriteError::Unavailable(StoreError::Unavailable("away".into())));
            }
            Some(Try::LostBefore) => return Err(lost()),
            Some(Try::Hangs) => std::future::pending().await,
            Some(Try::Panics) => panic!("a bug, on purpose"),
            Some(Try::LostAfterCommit | Try::TooShort) | None => {}
        }
        let refused = batch
            .iter()
            .any(|new| self.poison.lock().unwrap().contains(&new.message.id));
        if refused {
            let why = StoreError::Internal("invalid byte sequence".into());
            return Err(WriteError::Refused(why));
        }
        let mut written = self.store.write(batch).await?;
        match next {
            Some(Try::LostAfterCommit) => Err(lost()),
            Some(Try::TooShort) => {
                written.pop();
                Ok(written)
            }
            _ => Ok(written),
        }
    }

    /// Not refused: only the script is followed.
    async fn write_all(&self, batch: &[NewMessage]) -> Result<Vec<Written>, WriteError> {
        let rows = batch.iter().map(|new| (new.message.id, new.owner)).collect();
        self.tries.lock().unwrap().push(rows);
        let next = self.next();
        match next {
            Some(Try::Unavailable) => Err(WriteError::Unavailable(StoreError::Unavailable("away".into()))),
            Some(Try::LostBefore) => Err(lost()),
            Some(Try::Hangs) => std::future::pending().await,
            Some(Try::Panics) => panic!("a bug, on purpose"),
            Some(Try::LostAfterCommit) => {
                self.store.write_all(batch).await?;
                Err(lost())
            }
            Some(Try::TooShort) => {
                self.store.write_all(batch).await?;
                Ok(Vec::new())
            }
            None => self.store.write_all(batch).await,
        }
    }

    async fn forget_expired_keys(&self, limit: u32) -> Result<u32, StoreError> {
        self.store.forget_expired_keys(limit).await
    }
}

/// An intake over a writer that fails by a script, in paused time.
pub(super) struct Scene {
    pub(super) writer: Arc<Scripted>,
    pub(super) engine: EngineHandle,
    pub(super) clock: Arc<TokioClock>,
    pub(super) waiting: Arc<Waiting>,
    /// Its first life, which takes messages in.
    pub(super) life: tokio::sync::mpsc::UnboundedReceiver<HandedOff>,
    pub(super) lease: Arc<Lease>,
    pub(super) shutdown: CancellationToken,
    intake: Option<Intake>,
    running: JoinSet<()>,
    last: AtomicU64,
}

impl Scene {
    pub(super) fn new() -> Self {
        Self::with(IntakeOptions {
            committers: 1,
            ..IntakeOptions::default()
        })
    }

    pub(super) fn with(options: IntakeOptions) -> Self {
        let clock = Arc::new(TokioClock::new());
        let writer = Arc::new(Scripted {
            store: MemoryStore::new(clock.clone()),
            script: Mutex::default(),
            always: Mutex::default(),
            poison: Mutex::default(),
            tries: Mutex::default(),
        });
        let shared = Arc::new(Shared::new(&EngineOptions::default()));
        let engine = EngineHandle { shared };
        let (intake, handle) = Intake::new(writer.clone(), &engine, clock.clone(), options).unwrap();
        let lease = Lease::for_test(Epoch(1), clock.clone(), Duration::from_hours(1));
        Self {
            life: engine.shared.door.open(&lease),
            waiting: handle.waiting,
            writer,
            engine,
            clock,
            lease,
            shutdown: CancellationToken::new(),
            intake: Some(intake),
            running: JoinSet::new(),
            last: AtomicU64::new(1_000),
        }
    }

    /// Begins to commit: what was published before makes one batch.
    pub(super) fn run(&mut self) {
        let intake = self.intake.take().unwrap();
        self.running.spawn(intake.run(self.shutdown.clone()));
    }

    /// Waits for its end.
    pub(super) async fn ended(&mut self) {
        self.running.join_next().await.unwrap().unwrap();
    }

    pub(super) fn push(&self, new: NewMessage) -> Answered {
        self.try_to_push(new).unwrap()
    }

    pub(super) fn try_to_push(&self, new: NewMessage) -> Result<Answered, IntakeError> {
        self.waiting.push(new, self.clock.monotonic() + DEADLINE, false)
    }

    /// A message without a key.
    pub(super) fn publish(&self) -> (MessageId, Answered) {
        let id = self.last.fetch_add(1, Ordering::Relaxed);
        let new = new_message(u128::from(id), 1, 7);
        (new.message.id, self.push(new))
    }

    pub(super) fn fail(&self, tries: impl IntoIterator<Item = Try>) {
        self.writer.script.lock().unwrap().extend(tries);
    }

    /// How many messages each try was to write.
    pub(super) fn sizes(&self) -> Vec<usize> {
        self.writer.tries.lock().unwrap().iter().map(Vec::len).collect()
    }

    /// For whom the rows of a try were.
    pub(super) fn owners(&self, of: usize) -> Vec<Option<Epoch>> {
        self.writer.tries.lock().unwrap()[of]
            .iter()
            .map(|(_, owner)| *owner)
            .collect()
    }

    /// Messages that are stored and that nobody owns.
    pub(super) async fn claimable(&self) -> usize {
        let all = ClaimFrom::Queue { low: None };
        self.writer
            .store
            .claim(Epoch(99), all, 1_000)
            .await
            .unwrap()
            .len()
    }
}

/// The answer that is there.
pub(super) async fn answer(answered: Answered) -> Result<Accepted, IntakeError> {
    let nobody = || IntakeError::OutcomeUnknown(StoreError::Internal("nobody answered".into()));
    answered.await.unwrap_or_else(|_| Err(nobody()))
}

pub(super) fn is_new(answer: &Result<Accepted, IntakeError>) -> bool {
    matches!(answer, Ok(Accepted::New))
}
