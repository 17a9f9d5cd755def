//! Schemas as the use cases see them: compiled once, and applied by a bounded number of threads.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use moka::sync::Cache;
use postrider_application::{
    Violation,
    ports::{KnownSchema, SchemaError, Schemas},
};
use postrider_domain::{
    TenantId,
    event_types::{Example, SchemaText},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::{LIMITS, apply::Compiled};

/// How schemas are applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchemaOptions {
    /// How many schemas are compiled or applied at the same time; one tenant has at most half of these threads. At
    /// least 2; default 4.
    pub threads: usize,
    /// How long a message waits for a thread, and how long for its answer. Default 2 seconds.
    pub patience: Duration,
    /// How many bytes the compiled schemas that are kept have together, by what each of them takes at most (not by
    /// the length of its text). What is larger than all of it is compiled each time. Default 128 MiB.
    pub compiled_bytes: u64,
    /// How long a compiled schema is kept that nothing is held to. Default 10 minutes.
    pub compiled_idle: Duration,
}

impl Default for SchemaOptions {
    fn default() -> Self {
        Self {
            threads: 4,
            patience: Duration::from_secs(2),
            compiled_bytes: 128 << 20,
            compiled_idle: Duration::from_mins(10),
        }
    }
}

/// Applies schemas in bounded time.
pub struct BoundedSchemas {
    options: SchemaOptions,
    /// By the schema's digest: what is known of a text never changes.
    compiled: Cache<[u8; 32], Arc<Compiled>>,
    threads: Arc<Semaphore>,
    /// The shares of tenants who have work.
    shares: Mutex<HashMap<TenantId, Arc<Semaphore>>>,
}

/// A thread that was promised, and the share that it is of.
struct Turn(#[expect(dead_code, reason = "held until it is dropped")] [OwnedSemaphorePermit; 2]);

impl BoundedSchemas {
    /// Nothing is compiled yet.
    pub fn new(options: SchemaOptions) -> Self {
        let weigh = |_: &[u8; 32], compiled: &Arc<Compiled>| compiled.weight();
        Self {
            options,
            compiled: Cache::builder()
                .max_capacity(options.compiled_bytes)
                .weigher(weigh)
                .time_to_idle(options.compiled_idle)
                .build(),
            threads: Arc::new(Semaphore::new(options.threads.max(2))),
            shares: Mutex::default(),
        }
    }

    fn share_of(&self, tenant: TenantId) -> Arc<Semaphore> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever has or awaits a turn holds its share.
        shares.retain(|_, share| Arc::strong_count(share) > 1);
        let size = (self.options.threads / 2).max(1);
        let share = shares.entry(tenant);
        Arc::clone(share.or_insert_with(|| Arc::new(Semaphore::new(size))))
    }

    async fn turn(&self, tenant: TenantId) -> Result<Turn, SchemaError> {
        let share = self.share_of(tenant);
        let turn = async {
            let theirs = share.acquire_owned().await;
            let thread = Arc::clone(&self.threads).acquire_owned().await;
            theirs.and_then(|theirs| Ok(Turn([theirs, thread?])))
        };
        match timeout(self.options.patience, turn).await {
            Ok(turn) => turn.map_err(|closed| SchemaError::Internal(closed.into())),
            Err(_) => Err(SchemaError::Busy),
        }
    }

    /// Does the work on a thread. Busy if there is none, or if it takes too long: how much work it is was counted
    /// before, so time tells how busy this machine is, and nothing of the work. Then the thread goes on to its end,
    /// and the tenant's share is smaller until then.
    async fn run<T: Send + 'static>(
        &self,
        tenant: TenantId,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, SchemaError> {
        let turn = self.turn(tenant).await?;
        let running = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        match timeout(self.options.patience, running).await {
            Ok(done) => done.map_err(|panicked| SchemaError::Internal(panicked.into())),
            Err(_) => Err(SchemaError::Busy),
        }
    }

    async fn compiled(&self, tenant: TenantId, schema: &KnownSchema) -> Result<Arc<Compiled>, SchemaError> {
        let digest = schema.digest();
        if let Some(compiled) = self.compiled.get(&digest) {
            return Ok(compiled);
        }
        let text = Arc::clone(schema.text().shared());
        let cache = self.compiled.clone();
        // It is compiled once, whoever waits for it, and kept even if nobody waits any more: the next one finds it.
        let compile = move || {
            let compiled = cache.try_get_with(digest, || Compiled::of(&text).map(Arc::new));
            // What has to make room goes now, not with some later call.
            cache.run_pending_tasks();
            compiled
        };
        // It was registered: an older version of us may have taken more than this one does.
        self.run(tenant, compile).await?.map_err(|faults| {
            let rule = faults.first().map_or("", |fault| &fault.rule);
            SchemaError::Internal(format!("a registered schema does not compile: {rule}").into())
        })
    }
}

impl fmt::Debug for BoundedSchemas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundedSchemas").finish_non_exhaustive()
    }
}

#[async_trait]
impl Schemas for BoundedSchemas {
    async fn check(
        &self,
        tenant: TenantId,
        schema: &SchemaText,
        example: Option<&Example>,
    ) -> Result<Vec<Violation>, SchemaError> {
        let schema = Arc::clone(schema.shared());
        let example = example.map(|example| Arc::clone(example.shared()));
        let check = move || match Compiled::of(&schema) {
            Ok(compiled) => {
                example.map_or_else(Vec::new, |example| compiled.apply("example", example.as_bytes()))
            }
            Err(faults) => faults,
        };
        self.run(tenant, check).await
    }

    async fn validate(
        &self,
        tenant: TenantId,
        schema: &KnownSchema,
        field: &'static str,
        payload: &Arc<[u8]>,
    ) -> Result<Vec<Violation>, SchemaError> {
        let compiled = self.compiled(tenant, schema).await?;
        // A thread of its own would cost more than this does.
        if compiled.most(payload.len()) <= LIMITS.small_cost {
            return Ok(compiled.apply(field, payload));
        }
        let payload = Arc::clone(payload);
        self.run(tenant, move || compiled.apply(field, &payload)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use uuid::Uuid;

    fn tenant(n: u128) -> TenantId {
        TenantId::from_uuid(Uuid::from_u128(n))
    }

    fn text(text: &str) -> SchemaText {
        SchemaText::new(text).unwrap()
    }

    fn payload(text: &str) -> Arc<[u8]> {
        text.as_bytes().into()
    }

    #[tokio::test]
    async fn a_schema_is_checked_with_its_example_and_then_applied() {
        let schemas = BoundedSchemas::new(SchemaOptions::default());
        let schema = text(r#"{"required": ["a"]}"#);
        let (good, bad) = (Example::new(r#"{"a": 1}"#).unwrap(), Example::new("{}").unwrap());
        let check = async |example| schemas.check(tenant(1), &schema, example).await.unwrap();
        assert!(check(None).await.is_empty() && check(Some(&good)).await.is_empty());
        assert_eq!(check(Some(&bad)).await[0].field, "example");
        let refused = schemas.check(tenant(1), &text("[]"), None).await.unwrap();
        assert_eq!(refused[0].field, "schema");

        let known = KnownSchema::new(schema);
        // Small ones are applied at once, large ones by a thread.
        let large = format!(r#"{{"b": [{}]}}"#, vec!["1"; 50_000].join(","));
        for body in ["{}", &large] {
            let found = schemas
                .validate(tenant(1), &known, "payload", &payload(body))
                .await;
            assert_eq!(found.unwrap()[0].field, "payload");
        }
        assert_eq!(schemas.compiled.iter().count(), 1, "compiled once");
    }

    #[tokio::test]
    async fn one_tenants_work_leaves_threads_to_others() {
        // Short where the answer does not come, whatever the time; long where it comes, however busy this machine is.
        const SHORT: Duration = Duration::from_millis(10);
        const LONG: Duration = Duration::from_mins(1);
        async fn check(schemas: &BoundedSchemas, n: u128) -> Result<Vec<Violation>, SchemaError> {
            schemas.check(tenant(n), &text("true"), None).await
        }
        let mut schemas = BoundedSchemas::new(SchemaOptions {
            patience: SHORT,
            ..SchemaOptions::default()
        });
        let (mut let_go, mut turns) = (Vec::new(), Vec::new());
        // They do not end while we look.
        for _ in 0..2 {
            let (go, wait) = mpsc::channel::<()>();
            let hangs = schemas.run(tenant(1), move || wait.recv()).await;
            assert!(matches!(hangs, Err(SchemaError::Busy)), "it takes too long");
            let_go.push(go);
        }
        assert!(matches!(check(&schemas, 1).await, Err(SchemaError::Busy)));
        schemas.options.patience = LONG;
        for n in 2..6 {
            assert!(check(&schemas, n).await.unwrap().is_empty());
        }
        turns.push(schemas.turn(tenant(2)).await.unwrap());
        turns.push(schemas.turn(tenant(3)).await.unwrap());
        schemas.options.patience = SHORT;
        assert!(
            matches!(check(&schemas, 4).await, Err(SchemaError::Busy)),
            "no thread is left"
        );
        drop((let_go, turns));
        // The threads end by themselves.
        schemas.options.patience = LONG;
        assert!(check(&schemas, 1).await.unwrap().is_empty());
        assert!(schemas.shares.lock().unwrap().len() <= 2);
    }

    #[tokio::test]
    async fn what_time_cut_short_is_told_as_busy_and_found_the_next_time() {
        let options = SchemaOptions {
            patience: Duration::ZERO,
            ..SchemaOptions::default()
        };
        let schemas = BoundedSchemas::new(options);
        let mut cut = 0;
        for n in 0..50 {
            let schema = text(&format!(
                r#"{{"required": ["a"], "pattern": "^\\p{{L}}{{1,{}}}$"}}"#,
                n + 1
            ));
            match schemas.check(tenant(1), &schema, None).await {
                Ok(found) => assert!(found.is_empty(), "no fault of the schema"),
                Err(error) => assert!(matches!(error, SchemaError::Busy)),
            }
            let known = KnownSchema::new(schema);
            // The thread goes on, nobody waits for it, and what it compiled is there in the end.
            let found = loop {
                match schemas
                    .validate(tenant(2), &known, "payload", &payload("{}"))
                    .await
                {
                    Ok(found) => break found,
                    Err(error) => assert!(matches!(error, SchemaError::Busy)),
                }
                cut += 1;
                tokio::task::yield_now().await;
            };
            assert_eq!((found.len(), &*found[0].rule), (1, "required"));
        }
        assert!(cut > 0, "time is short");
    }

    #[tokio::test]
    async fn many_who_wait_for_a_schema_have_it_compiled_once() {
        let schemas = Arc::new(BoundedSchemas::new(SchemaOptions::default()));
        let known = KnownSchema::new(text(r#"{"pattern": "^[a-z]{1,50}$"}"#));
        let mut all = tokio::task::JoinSet::new();
        for n in 0..20 {
            let (schemas, known) = (Arc::clone(&schemas), known.clone());
            all.spawn(async move { schemas.compiled(tenant(n % 4), &known).await.unwrap() });
        }
        let compiled = all.join_all().await;
        assert!(compiled.iter().all(|one| Arc::ptr_eq(one, &compiled[0])));
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded_by_what_it_takes() {
        let options = SchemaOptions {
            compiled_bytes: 4 << 20,
            ..SchemaOptions::default()
        };
        let schemas = BoundedSchemas::new(options);
        for n in 0..40 {
            // A large program each, of a short text.
            let known = KnownSchema::new(text(&format!(r#"{{"pattern": "\\p{{L}}{{5}}{n}"}}"#)));
            let found = schemas
                .validate(tenant(1), &known, "payload", &payload("1"))
                .await;
            assert!(found.unwrap().is_empty());
        }
        schemas.compiled.run_pending_tasks();
        assert!(schemas.compiled.weighted_size() <= 4 << 20);
        assert!((1..=4).contains(&schemas.compiled.entry_count()));
    }
}
