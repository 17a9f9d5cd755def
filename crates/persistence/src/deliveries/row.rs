use std::time::Duration;

use postrider_application::ports::{AttemptView, DeliveryView, StoreError};
use postrider_domain::{
    EndpointId, MessageId,
    deliveries::{
        CapturedBody, CapturedHeaders, Delivery, DeliveryStatus, FailureClass, FailureReason, Outcome,
    },
};
use sea_orm::FromQueryResult;
use uuid::Uuid;

use crate::{
    codec::{read_count, timestamp},
    error::corrupt,
};

/// Where a delivery stands: a row of `deliveries`, or of the queue in the same columns.
#[derive(FromQueryResult)]
pub(super) struct DeliveryRow {
    message: Uuid,
    endpoint: Uuid,
    status: String,
    reason: Option<String>,
    due_at: Option<i64>,
    attempts: i32,
    failures: i32,
    updated_at: i64,
}

/// The stored name of why a delivery is where it is.
pub(super) fn reason(status: DeliveryStatus) -> Option<&'static str> {
    match status {
        DeliveryStatus::Failed(reason) => Some(reason.as_str()),
        DeliveryStatus::Pending { .. } | DeliveryStatus::Delivered | DeliveryStatus::Cancelled => None,
    }
}

impl DeliveryRow {
    fn status(&self) -> Result<DeliveryStatus, StoreError> {
        match (self.status.as_str(), self.due_at, self.reason.as_deref()) {
            ("pending", Some(due_at), None) => Ok(DeliveryStatus::Pending {
                due_at: timestamp(due_at),
            }),
            ("delivered", None, None) => Ok(DeliveryStatus::Delivered),
            ("cancelled", None, None) => Ok(DeliveryStatus::Cancelled),
            ("failed", None, Some(reason)) => FailureReason::parse(reason)
                .map(DeliveryStatus::Failed)
                .ok_or_else(|| corrupt("reason of a failed delivery", "it is unknown")),
            _ => Err(corrupt(
                "status of a delivery",
                "status, due time and reason do not fit",
            )),
        }
    }

    pub(super) fn delivery(&self) -> Result<Delivery, StoreError> {
        Ok(Delivery {
            message: MessageId::from_uuid(self.message),
            endpoint: EndpointId::from_uuid(self.endpoint),
            status: self.status()?,
            attempts: read_count("attempts of a delivery", self.attempts)?,
            failures: read_count("failures of a delivery", self.failures)?,
        })
    }

    pub(super) fn view(&self) -> Result<DeliveryView, StoreError> {
        let delivery = self.delivery()?;
        Ok(DeliveryView {
            message: delivery.message,
            endpoint: delivery.endpoint,
            status: delivery.status,
            attempts: delivery.attempts,
            updated_at: timestamp(self.updated_at),
        })
    }
}

/// A row of `attempts`.
#[derive(FromQueryResult)]
pub(super) struct AttemptRow {
    n: i32,
    started_at: i64,
    latency_us: i64,
    failure: Option<String>,
    http_status: Option<i32>,
    body: Vec<u8>,
    body_truncated: bool,
    response_headers: Option<String>,
}

/// An outcome as it is stored: the class of its failure, and the HTTP status.
pub(super) fn stored_outcome(outcome: Outcome) -> (Option<&'static str>, Option<i32>) {
    let failure = match outcome {
        Outcome::Delivered { .. } => None,
        Outcome::Failed { class, .. } => Some(class.as_str()),
    };
    (failure, outcome.status().map(i32::from))
}

/// The headers of an answer as they are stored: a JSON array of pairs. None if none were kept.
pub(super) fn stored_headers(headers: &CapturedHeaders) -> Result<Option<String>, StoreError> {
    if headers.is_empty() {
        return Ok(None);
    }
    let json = serde_json::to_string(headers.pairs());
    json.map(Some).map_err(|why| corrupt("headers of an answer", why))
}

impl AttemptRow {
    pub(super) fn number(&self) -> Result<u32, StoreError> {
        read_count("number of an attempt", self.n)
    }

    fn outcome(&self) -> Result<Outcome, StoreError> {
        let status = self.http_status.map(u16::try_from).transpose();
        let status = status.map_err(|why| corrupt("HTTP status of an attempt", why))?;
        match (self.failure.as_deref(), status) {
            (Some(class), status) => FailureClass::parse(class)
                .map(|class| Outcome::Failed { class, status })
                .ok_or_else(|| corrupt("failure of an attempt", "its class is unknown")),
            (None, Some(status)) => Ok(Outcome::Delivered { status }),
            (None, None) => Err(corrupt(
                "outcome of an attempt",
                "it has neither status nor failure",
            )),
        }
    }

    pub(super) fn view(self) -> Result<AttemptView, StoreError> {
        let latency = u64::try_from(self.latency_us).map_err(|why| corrupt("latency of an attempt", why))?;
        let headers = match &self.response_headers {
            Some(json) => serde_json::from_str(json).map_err(|why| corrupt("headers of an answer", why))?,
            None => Vec::new(),
        };
        Ok(AttemptView {
            number: self.number()?,
            started_at: timestamp(self.started_at),
            latency: Duration::from_micros(latency),
            outcome: self.outcome()?,
            response_body: CapturedBody {
                bytes: self.body,
                truncated: self.body_truncated,
                headers: CapturedHeaders::restore(headers),
            },
        })
    }
}
