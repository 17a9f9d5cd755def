use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use postrider_application::ports::{Clock, OutgoingRequest, Sender, Sent};
use postrider_domain::{
    Timestamp,
    deliveries::{CapturedBody, FailureClass, Outcome},
};
use tokio::sync::{Semaphore, watch};

/// What a scripted receiver does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Answers with this status and no body.
    Status(u16),
    /// Answers with this status and body.
    WithBody(u16, CapturedBody),
    /// Answers with this status and asks to be left alone for this long.
    RetryAfter(u16, Duration),
    /// Does not answer; the attempt fails so.
    Failure(FailureClass),
}

impl Answer {
    fn sent(self) -> Sent {
        let (outcome, retry_after, response_body) = match self {
            Self::Status(status) => (Outcome::of_status(status), None, CapturedBody::default()),
            Self::WithBody(status, body) => (Outcome::of_status(status), None, body),
            Self::RetryAfter(status, wait) => {
                (Outcome::of_status(status), Some(wait), CapturedBody::default())
            }
            Self::Failure(class) => {
                let outcome = Outcome::Failed { class, status: None };
                (outcome, None, CapturedBody::default())
            }
        };
        Sent {
            outcome,
            retry_after,
            response_body,
        }
    }
}

/// A request that was sent.
#[derive(Debug, Clone)]
pub struct RecordedRequest {
    /// When it was sent, by the sender's clock.
    pub at: Timestamp,
    /// Where to.
    pub url: String,
    /// Header names (lower case) and values.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Arc<[u8]>,
    /// How long it was allowed to take.
    pub timeout: Duration,
}

impl RecordedRequest {
    /// The value of a header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(header, _)| *header == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Lets requests through one by one. Until it does, they hang, as with a receiver that does not answer.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Semaphore>);

impl Gate {
    /// Lets `requests` more through.
    pub fn open(&self, requests: usize) {
        self.0.add_permits(requests);
    }
}

#[derive(Default)]
struct Script {
    answers: HashMap<String, VecDeque<Answer>>,
    delay: Duration,
    gate: Option<Gate>,
}

/// A [`Sender`] that sends nothing: it records each request and answers from a script, `204` where there is none.
pub struct RecordingSender {
    clock: Arc<dyn Clock>,
    script: Mutex<Script>,
    requests: watch::Sender<Vec<RecordedRequest>>,
}

impl RecordingSender {
    /// A sender that notes times of `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            script: Mutex::default(),
            requests: watch::Sender::new(Vec::new()),
        }
    }

    /// The next requests to `url` are answered so, one after the other; later ones again with `204`.
    pub fn script(&self, url: &str, answers: impl IntoIterator<Item = Answer>) {
        let mut script = self.lock();
        script.answers.entry(url.to_owned()).or_default().extend(answers);
    }

    /// From now on every answer takes `delay`, by tokio's time.
    pub fn delay(&self, delay: Duration) {
        self.lock().delay = delay;
    }

    /// From now on every request hangs until the gate lets it through.
    pub fn gate(&self) -> Gate {
        let gate = Gate(Arc::new(Semaphore::new(0)));
        self.lock().gate = Some(gate.clone());
        gate
    }

    /// What was sent so far, in order.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.requests.borrow().clone()
    }

    /// Waits until at least `count` requests were sent; all of them.
    pub async fn sent(&self, count: usize) -> Vec<RecordedRequest> {
        let mut requests = self.requests.subscribe();
        // It fails only if the sender is gone, and `self` is the sender.
        match requests.wait_for(|requests| requests.len() >= count).await {
            Ok(requests) => requests.clone(),
            Err(_) => self.requests(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer to a request to `url`, and what stands before it.
    fn next(&self, url: &str) -> (Answer, Duration, Option<Gate>) {
        let mut script = self.lock();
        let scripted = script.answers.get_mut(url).and_then(VecDeque::pop_front);
        (
            scripted.unwrap_or(Answer::Status(204)),
            script.delay,
            script.gate.clone(),
        )
    }
}

#[async_trait]
impl Sender for RecordingSender {
    async fn send(&self, request: OutgoingRequest) -> Sent {
        let url = request.url.as_str().to_owned();
        let (answer, delay, gate) = self.next(&url);
        let recorded = RecordedRequest {
            at: self.clock.now(),
            url,
            headers: request.headers,
            body: request.body,
            timeout: request.timeout,
        };
        self.requests.send_modify(|requests| requests.push(recorded));
        let answered = tokio::time::timeout(request.timeout, async {
            if let Some(Gate(gate)) = gate
                // It fails only if the semaphore was closed, which nobody does.
                && let Ok(permit) = gate.acquire().await
            {
                permit.forget();
            }
            tokio::time::sleep(delay).await;
            answer
        });
        answered
            .await
            .unwrap_or(Answer::Failure(FailureClass::TimeOut))
            .sent()
    }
}
