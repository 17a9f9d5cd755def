//! From the configuration's sections to the options of the crates that they configure.

use std::{sync::Arc, time::Duration};

use postrider_api::{
    Health, Limits,
    composition::{PlatformOptions, ServerOptions, SystemClock},
};
use postrider_application::Settings;
use postrider_crypto::{MasterKey, PasswordOptions};
use postrider_domain::{endpoints::AttemptTimeout, users::SessionLifetime};
use postrider_engine::{EngineOptions, HttpOptions};
use postrider_persistence::{DatabaseOptions, PostgresOptions, SqliteOptions};
use secrecy::ExposeSecret as _;

use crate::{
    configuration::{Configuration, DatabaseConfig, DeliveryConfig},
    files::Files,
    telemetry::OtelUseCaseMetrics,
};

/// Of the whole platform. The configuration was validated.
pub(crate) fn platform(configuration: &Configuration) -> PlatformOptions {
    let Configuration {
        server,
        database: storage,
        security,
        limits,
        intake,
        delivery,
        replays,
        retention,
        events,
        telemetry,
        ..
    } = configuration;
    PlatformOptions {
        database: database(storage),
        migrate: storage.migrate_on_start,
        master_key: security
            .master_key
            .as_ref()
            .and_then(|key| MasterKey::parse(key.expose_secret()).ok()),
        other_master_keys: security
            .other_master_keys
            .iter()
            .filter_map(|key| MasterKey::parse(key.expose_secret()).ok())
            .collect(),
        issuer: security.issuer.clone(),
        audience: security.audience.clone(),
        operator_token_hashes: security.operator_hashes().unwrap_or_default(),
        passwords: PasswordOptions {
            memory_kib: security.password_hash_memory_kib,
            iterations: security.password_hash_iterations,
            parallelism: security.password_hash_parallelism,
            concurrency: security.password_hash_concurrency,
            max_waiting: security.password_hash_max_waiting,
        },
        trusted_proxies: server.trusted_proxies.clone(),
        erase_grace: Duration::from_secs(security.erase_grace_s),
        cache_ttl: Duration::from_millis(security.credential_cache_ttl_ms),
        settings: Settings {
            access_token_lifetime: Duration::from_secs(security.access_token_lifetime_s),
            session_lifetime: SessionLifetime {
                absolute: Duration::from_secs(security.session_lifetime_s),
                idle: Duration::from_secs(security.session_idle_s),
            },
            invitation_lifetime: Duration::from_secs(security.invitation_lifetime_s),
            password_reset_lifetime: Duration::from_secs(security.password_reset_lifetime_s),
            dedup_window: Duration::from_secs(delivery.dedup_window_s),
            schedule_horizon: Duration::from_secs(delivery.schedule_horizon_s),
            address_policy: delivery.address_policy(),
            max_endpoints_per_application: delivery.max_endpoints_per_application,
            max_event_types_per_tenant: delivery.max_event_types_per_tenant,
            max_replays_per_endpoint: replays.max_per_endpoint,
            max_replays_per_tenant: replays.max_per_tenant,
        },
        limits: Limits::for_payloads(server.max_payload_bytes),
        rates: limits.options(),
        // The configuration was validated.
        allowed_origins: server.origins().unwrap_or_default(),
        intake: intake.options(storage.url.is_none()),
        engine: EngineOptions {
            tenant_labels: telemetry.tenant_labels,
            ..engine(delivery, configuration.drain_limit())
        },
        replays: replays.options(),
        retention: retention.options(),
        relay: events.options(),
        event_sink: events.target(),
        failing: delivery.failing_policy(),
        sender: sender(delivery),
        metrics: Arc::new(OtelUseCaseMetrics::new()),
        health: Arc::new(Health::new(Arc::new(SystemClock::new()))),
    }
}

/// Of the whole platform for a command: it may run beside a server, delivers nothing, and leaves an existing schema as
/// it is. Only a command that may `begin` an installation makes one where there is none.
pub(crate) fn beside(configuration: &Configuration, begin: bool) -> PlatformOptions {
    let mut options = platform(configuration);
    options.migrate &= begin;
    if let DatabaseOptions::Sqlite(sqlite) = &mut options.database {
        sqlite.guest = true;
    }
    options
}

/// Of the database.
pub(crate) fn database(config: &DatabaseConfig) -> DatabaseOptions {
    let acquire_timeout = Duration::from_millis(config.acquire_timeout_ms);
    match &config.url {
        Some(url) => DatabaseOptions::Postgres(PostgresOptions {
            admin_url: config.admin_url.clone(),
            max_connections: config.max_connections,
            acquire_timeout,
            ..PostgresOptions::at(url.clone())
        }),
        None => DatabaseOptions::Sqlite(SqliteOptions {
            acquire_timeout,
            ..SqliteOptions::in_directory(&config.directory)
        }),
    }
}

/// Of the API's listener, in a process that may have so many files open.
pub(crate) fn server(configuration: &Configuration, files: Option<u64>) -> ServerOptions {
    let config = &configuration.server;
    let fewer = Files::wanted(configuration).fewer_clients(files);
    ServerOptions {
        max_connections_per_worker: fewer.unwrap_or(config.connections_per_worker()),
        request_head_timeout: Duration::from_millis(config.request_head_timeout_ms),
        // The end as a whole has a limit of its own, which comes first.
        shutdown_timeout: Duration::from_secs(config.shutdown_timeout_s),
        ..ServerOptions::default()
    }
}

fn engine(config: &DeliveryConfig, drain_timeout: Duration) -> EngineOptions {
    EngineOptions {
        max_in_flight: config.max_in_flight,
        max_in_flight_per_endpoint: config.max_in_flight_per_endpoint.min(config.max_in_flight),
        max_waiting: config.max_waiting,
        max_memory_bytes: config.max_memory_bytes,
        attempt_timeout: AttemptTimeout::from_millis(config.attempt_timeout_ms).unwrap_or_default(),
        retry: config.retry_policy(),
        drain_timeout,
        ..EngineOptions::default()
    }
}

fn sender(config: &DeliveryConfig) -> HttpOptions {
    HttpOptions {
        connect_timeout: Duration::from_millis(config.connect_timeout_ms),
        max_response_body_bytes: config.max_response_body_bytes,
        capture_headers: config.capture_response_headers.into(),
        max_response_read_bytes: HttpOptions::default()
            .max_response_read_bytes
            .max(config.max_response_body_bytes),
        ..HttpOptions::default()
    }
}
