//! Receivers that answer as they are told, one by one, and remember what arrived.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use postrider_application::ports::{Clock, OutgoingRequest, Sender, Sent};
use postrider_domain::{
    MessageId,
    deliveries::{CapturedBody, FailureClass, Outcome},
};
use tokio::sync::watch;

/// How a receiver behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// Answers at once.
    Answers(u16),
    /// Answers after this time.
    AnswersAfter(u16, Duration),
    /// Never answers.
    Hangs,
}

/// A request that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub(crate) url: String,
    pub(crate) message: String,
    /// By the monotonic clock.
    pub(crate) at: Duration,
}

/// All receivers, by URL. Whom nobody told anything answers 204.
pub(crate) struct Receivers {
    clock: Arc<dyn Clock>,
    behaviours: watch::Sender<HashMap<String, Behaviour>>,
    arrivals: Mutex<Vec<Arrival>>,
    /// Requests under way, and the most that there ever were, by URL.
    under_way: Mutex<HashMap<String, (usize, usize)>>,
}

/// Counts a request for as long as it is under way, however it ends.
struct UnderWay<'r>(&'r Receivers, String);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some((now, _)) = self.0.under_way.lock().unwrap().get_mut(&self.1) {
            *now -= 1;
        }
    }
}

impl Receivers {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            clock,
            behaviours: watch::Sender::new(HashMap::new()),
            arrivals: Mutex::default(),
            under_way: Mutex::default(),
        })
    }

    /// From now on `url` behaves so: to requests that hang there as well.
    pub(crate) fn behave(&self, url: &str, behaviour: Behaviour) {
        self.behaviours.send_modify(|all| {
            all.insert(url.to_owned(), behaviour);
        });
    }

    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.arrivals.lock().unwrap().clone()
    }

    /// How often each message arrived at each URL.
    pub(crate) fn counts(&self) -> BTreeMap<(String, String), usize> {
        let mut counts = BTreeMap::new();
        for arrival in self.arrivals.lock().unwrap().iter() {
            let key = (arrival.message.clone(), arrival.url.clone());
            *counts.entry(key).or_default() += 1;
        }
        counts
    }

    /// How many requests arrived at `url`.
    pub(crate) fn at(&self, url: &str) -> usize {
        let arrivals = self.arrivals.lock().unwrap();
        arrivals.iter().filter(|arrival| arrival.url == url).count()
    }

    /// How often `message` arrived at `url`.
    pub(crate) fn times(&self, message: MessageId, url: &str) -> usize {
        let key = (message.to_string(), url.to_owned());
        self.counts().get(&key).copied().unwrap_or(0)
    }

    /// How many requests are under way now.
    pub(crate) fn under_way(&self) -> usize {
        self.under_way.lock().unwrap().values().map(|(now, _)| now).sum()
    }

    /// The most requests to `url` that were ever under way at one time.
    pub(crate) fn most_under_way(&self, url: &str) -> usize {
        self.under_way
            .lock()
            .unwrap()
            .get(url)
            .map_or(0, |(_, most)| *most)
    }

    fn enter(&self, request: &OutgoingRequest) -> UnderWay<'_> {
        let url = request.url.as_str().to_owned();
        let message = request.headers.iter().find(|(name, _)| *name == "webhook-id");
        self.arrivals.lock().unwrap().push(Arrival {
            url: url.clone(),
            message: message.unwrap().1.clone(),
            at: self.clock.monotonic(),
        });
        let mut under_way = self.under_way.lock().unwrap();
        let (now, most) = under_way.entry(url.clone()).or_default();
        *now += 1;
        *most = (*most).max(*now);
        drop(under_way);
        UnderWay(self, url)
    }

    async fn answer(&self, url: &str) -> u16 {
        let mut behaviours = self.behaviours.subscribe();
        loop {
            let behaviour = behaviours.borrow_and_update().get(url).copied();
            match behaviour.unwrap_or(Behaviour::Answers(204)) {
                Behaviour::Answers(status) => return status,
                Behaviour::AnswersAfter(status, wait) => {
                    tokio::time::sleep(wait).await;
                    return status;
                }
                Behaviour::Hangs => behaviours.changed().await.unwrap(),
            }
        }
    }
}

#[async_trait]
impl Sender for Receivers {
    async fn send(&self, request: OutgoingRequest) -> Sent {
        let under_way = self.enter(&request);
        let answered = tokio::time::timeout(request.timeout, self.answer(&under_way.1)).await;
        let outcome = answered.map_or(
            Outcome::Failed {
                class: FailureClass::TimeOut,
                status: None,
            },
            Outcome::of_status,
        );
        Sent {
            outcome,
            retry_after: None,
            response_body: CapturedBody::default(),
        }
    }
}
