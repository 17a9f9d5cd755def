use async_trait::async_trait;
use postrider_domain::{
    MessageId,
    deliveries::{Attempt, CapturedBody, Delivery, Outcome},
};
use postrider_testkit::memory::TestClock;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::*;
use crate::{EngineOptions, handle::Shared};

/// Notes what it is given, and may refuse it.
#[derive(Default)]
struct Written {
    refuses: Mutex<u32>,
    attempts: Mutex<Vec<u64>>,
    usage: Mutex<UsageFigures>,
}

#[async_trait]
impl FigureStore for Written {
    async fn add_figures(&self, hours: &[EndpointHour], days: &[TenantDay]) -> Result<(), StoreError> {
        let mut refuses = self.refuses.lock().unwrap();
        if *refuses > 0 {
            *refuses -= 1;
            return Err(StoreError::Stale);
        }
        let attempts = hours.iter().map(|hour| hour.figures.attempts);
        self.attempts.lock().unwrap().push(attempts.sum());
        for day in days {
            self.usage.lock().unwrap().merge(&day.figures);
        }
        Ok(())
    }

    async fn forget_figures(&self, _: Timestamp, _: Timestamp, _: u32) -> Result<u32, StoreError> {
        Ok(0)
    }
}

fn concluded(endpoint: u128, status: u16) -> Concluded {
    let at = Timestamp::from_micros(1);
    let mut delivery = Delivery::begin(
        MessageId::from_uuid(Uuid::nil()),
        EndpointId::from_uuid(Uuid::from_u128(endpoint)),
        at,
    );
    let outcome = Outcome::of_status(status);
    delivery.status = postrider_domain::deliveries::DeliveryStatus::Delivered;
    Concluded {
        delivery,
        attempt: Some(Attempt {
            number: 1,
            started_at: at,
            latency: Duration::from_millis(1),
            outcome,
            response_body: CapturedBody::default(),
        }),
        retry: None,
    }
}

fn settle(figures: &Figures, endpoint: u128) {
    let nil = Uuid::nil();
    let (tenant, application) = (TenantId::from_uuid(nil), ApplicationId::from_uuid(nil));
    let concluded = concluded(endpoint, 204);
    figures.settled(std::iter::once((tenant, application, &concluded)));
}

#[tokio::test(start_paused = true)]
async fn figures_are_written_now_and_then_and_at_the_end() {
    let handle = EngineHandle {
        shared: Arc::new(Shared::new(&EngineOptions::default())),
    };
    let store = Arc::new(Written {
        refuses: Mutex::new(1),
        ..Written::default()
    });
    let clock = Arc::new(TestClock::new());
    let writer = FigureWriter::new(&handle, store.clone(), clock, FigureOptions::default());
    let (shutdown, mut running) = (CancellationToken::new(), JoinSet::new());
    running.spawn(writer.run(shutdown.clone()));
    let figures = &handle.shared.figures;
    settle(figures, 1);
    settle(figures, 1);
    // Refused, it waits for the next time.
    time::sleep(Duration::from_secs(15)).await;
    assert!(store.attempts.lock().unwrap().is_empty());
    settle(figures, 2);
    time::sleep(Duration::from_secs(10)).await;
    assert_eq!(*store.attempts.lock().unwrap(), [3]);
    // Nothing happened: nothing is written.
    time::sleep(Duration::from_secs(30)).await;
    assert_eq!(*store.attempts.lock().unwrap(), [3]);
    settle(figures, 1);
    shutdown.cancel();
    running.join_next().await.unwrap().unwrap();
    assert_eq!(*store.attempts.lock().unwrap(), [3, 1]);
    assert_eq!(store.usage.lock().unwrap().delivered, 4);
}

#[test]
fn memory_is_bounded() {
    let figures = Figures::default();
    for endpoint in 0..u128::try_from(MAX_ROWS).unwrap() + 10 {
        settle(&figures, endpoint);
    }
    settle(&figures, 0);
    let (hours, days, uncounted) = figures.take();
    assert_eq!((hours.len(), days.len(), uncounted), (MAX_ROWS, 1, 10));
    let usage = days[0].figures;
    assert_eq!(
        usage.attempts,
        MAX_ROWS as u64 + 11,
        "the tenant's are all counted"
    );
}
