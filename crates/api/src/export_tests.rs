use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{Arc, Mutex, Weak},
};

use async_trait::async_trait;
use postrider_application::{
    ErrorCode,
    access::OnTenant,
    authentication::Authenticator,
    ports::{
        AccessClaims, AccessTokens, ApiKeyRecord, Clock as _, Credentials, PortalRecord, SessionRecord,
        StoreError, Subject, TokenError,
    },
};
use postrider_domain::{
    ApiKeyId, ApplicationId, SessionId, TenantId, Timestamp, UserId,
    access::{Grant, Permission, Role},
    tenants::TenantStatus,
};
use postrider_testkit::{TokioClock, memory::NoKeyUses};
use tokio::time::sleep;
use uuid::Uuid;

use super::*;

const TENANT: TenantId = TenantId::from_uuid(Uuid::from_u128(1));
const USER: UserId = UserId::from_uuid(Uuid::from_u128(2));
const SESSION: SessionId = SessionId::from_uuid(Uuid::from_u128(3));
const TOKEN: &str = "a-token";
const SECOND: Duration = Duration::from_secs(1);

/// One session that is stored, as long as it is.
struct OneSession(Mutex<Option<SessionRecord>>);

#[async_trait]
impl Credentials for OneSession {
    async fn api_key(&self, _: ApiKeyId) -> Result<Option<ApiKeyRecord>, StoreError> {
        Ok(None)
    }

    async fn session(&self, id: SessionId) -> Result<Option<SessionRecord>, StoreError> {
        Ok(self.0.lock().unwrap().clone().filter(|session| session.id == id))
    }

    async fn portal(&self, _: TenantId, _: ApplicationId) -> Result<Option<PortalRecord>, StoreError> {
        Ok(None)
    }
}

/// Knows one token, of that session and good until then.
struct OneToken(Timestamp);

#[async_trait]
impl AccessTokens for OneToken {
    fn issue(&self, _: &AccessClaims) -> Result<String> {
        unreachable!("nothing is issued")
    }

    fn verify(&self, token: &str, now: Timestamp) -> Result<AccessClaims, TokenError> {
        if token != TOKEN {
            return Err(TokenError::Malformed);
        }
        if self.0 <= now {
            return Err(TokenError::Expired);
        }
        Ok(AccessClaims {
            subject: Subject::User(USER, SESSION),
            tenant: TENANT,
            issued_at: TokioClock::START,
            expires_at: self.0,
        })
    }

    async fn refresh_keys(&self) -> Result<()> {
        Ok(())
    }

    fn jwks(&self) -> String {
        unreachable!("nobody asks")
    }
}

/// Pages of so many rows; nothing after them, or a failure.
struct Script {
    pages: VecDeque<Vec<ExportRow>>,
    then_fails: bool,
    _held: Arc<()>,
}

impl Pages for Script {
    async fn next(&mut self) -> Result<Option<Vec<ExportRow>>> {
        match self.pages.pop_front() {
            None if self.then_fails => Err(StoreError::Unavailable("away".into()).into()),
            page => Ok(page),
        }
    }
}

fn row(number: usize) -> ExportRow {
    ExportRow {
        kind: "message",
        json: format!("{{\"n\":{number}}}"),
    }
}

/// So many pages of one row each.
fn small(pages: usize) -> Vec<Vec<ExportRow>> {
    (0..pages).map(|number| vec![row(number)]).collect()
}

struct World {
    session: Arc<OneSession>,
    clock: Arc<TokioClock>,
    token_expires_at: Timestamp,
    then_fails: bool,
}

impl World {
    fn new() -> Self {
        let clock = Arc::new(TokioClock::new());
        let forever = clock.now().plus(Duration::from_hours(24));
        let session = SessionRecord {
            id: SESSION,
            tenant: TENANT,
            tenant_status: TenantStatus::Active,
            tenant_settings: postrider_domain::tenants::TenantSettings::default(),
            user: USER,
            grants: vec![Grant::tenant(Role::Owner)],
            expires_at: forever,
        };
        Self {
            session: Arc::new(OneSession(Mutex::new(Some(session)))),
            clock,
            token_expires_at: forever,
            then_fails: false,
        }
    }

    fn standing(&self, tenant: TenantId) -> Standing {
        let authenticator = Authenticator::new(
            self.session.clone(),
            Arc::new(OneToken(self.token_expires_at)),
            Arc::new(NoKeyUses),
            self.clock.clone(),
        );
        Standing::of_bearer(
            Arc::new(authenticator),
            TOKEN,
            tenant,
            OnTenant(Permission::TenantExport),
        )
    }

    /// An export, and what is gone once nothing of it is held any more.
    fn export(&self, pages: Vec<Vec<ExportRow>>) -> (ExportStream, Weak<()>) {
        let turn = Arc::new(());
        let weak = Arc::downgrade(&turn);
        let script = Script {
            pages: pages.into(),
            then_fails: self.then_fails,
            _held: turn,
        };
        let head = Bytes::from_static(b"head\n");
        (ExportStream::begin(head, script, self.standing(TENANT)), weak)
    }

    fn change(&self, change: impl FnOnce(&mut SessionRecord)) {
        change(self.session.0.lock().unwrap().as_mut().unwrap());
    }

    fn revoke(&self) {
        *self.session.0.lock().unwrap() = None;
    }
}

async fn next(stream: &mut ExportStream) -> Option<Result<Bytes, Cut>> {
    poll_fn(|context| Pin::new(&mut *stream).poll_next(context)).await
}

/// What is still to be read, and whether it was cut off.
async fn rest(stream: &mut ExportStream) -> (String, bool) {
    let (mut text, mut cut) = (String::new(), false);
    while let Some(piece) = next(stream).await {
        assert!(!cut, "nothing follows");
        match piece {
            Ok(piece) => text.push_str(std::str::from_utf8(&piece).unwrap()),
            Err(Cut) => cut = true,
        }
    }
    (text, cut)
}

#[tokio::test(start_paused = true)]
async fn all_lines_in_small_pieces_and_an_end() {
    let world = World::new();
    let rows: Vec<_> = (0..20_000).map(row).collect();
    let (mut stream, turn) = world.export(vec![rows, Vec::new(), vec![row(20_000)]]);
    let mut text = String::new();
    while let Some(piece) = next(&mut stream).await {
        let piece = piece.unwrap();
        assert!((1..=PIECE_BYTES).contains(&piece.len()));
        text.push_str(std::str::from_utf8(&piece).unwrap());
    }
    let lines: Vec<_> = text.lines().collect();
    assert_eq!((lines.len(), lines[0]), (20_003, "head"));
    assert_eq!(lines[20_001], "{\"kind\":\"message\",\"data\":{\"n\":20000}}");
    assert_eq!(lines[20_002], "{\"kind\":\"end\",\"rows\":{\"message\":20001}}");
    assert!(next(&mut stream).await.is_none());
    assert!(turn.upgrade().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_revoked_session_ends_it_within_a_piece_and_without_an_end() {
    let world = World::new();
    let (mut stream, turn) = world.export(small(100));
    for _ in 0..10 {
        next(&mut stream).await.unwrap().unwrap();
    }
    // One piece was on its way.
    sleep(SECOND).await;
    world.revoke();
    let (text, cut) = rest(&mut stream).await;
    assert_eq!(text, "{\"kind\":\"message\",\"data\":{\"n\":9}}\n");
    assert!(cut && turn.upgrade().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_revoked_while_the_last_line_waits_for_its_turn_gets_none() {
    let world = World::new();
    let (mut stream, _) = world.export(Vec::new());
    // The head is there, and the end only waits until it is taken.
    sleep(SECOND).await;
    world.revoke();
    assert_eq!(rest(&mut stream).await, ("head\n".to_owned(), true));
}

#[tokio::test(start_paused = true)]
async fn less_grants_a_deletion_or_an_expiry_end_it_and_a_suspension_does_not() {
    type Change = fn(&mut SessionRecord);
    let ends: [(Change, bool); 5] = [
        (|session| session.grants = vec![Grant::tenant(Role::Admin)], true),
        (|session| session.grants.clear(), true),
        (|session| session.tenant_status = TenantStatus::Deleting, true),
        (|session| session.expires_at = TokioClock::START, true),
        (|session| session.tenant_status = TenantStatus::Suspended, false),
    ];
    for (number, (change, ends)) in ends.into_iter().enumerate() {
        let world = World::new();
        let (mut stream, _) = world.export(small(10));
        next(&mut stream).await.unwrap().unwrap();
        world.change(change);
        let (text, cut) = rest(&mut stream).await;
        assert_eq!((cut, text.contains("end")), (ends, !ends), "{number}: {text}");
    }

    let world = World {
        token_expires_at: TokioClock::START.plus(Duration::from_mins(10)),
        ..World::new()
    };
    let (mut stream, _) = world.export(small(100));
    for _ in 0..10 {
        next(&mut stream).await.unwrap().unwrap();
        sleep(UNTAKEN.saturating_sub(SECOND)).await;
    }
    next(&mut stream).await.unwrap().unwrap();
    sleep(11 * SECOND).await;
    let (text, cut) = rest(&mut stream).await;
    assert!(cut && text.lines().count() == 1, "one was on its way: {text}");
}

#[tokio::test]
async fn whoever_acts_in_another_tenant_has_no_standing_here() {
    let world = World::new();
    assert!(world.standing(TENANT).check().await.is_ok());
    let other = TenantId::from_uuid(Uuid::from_u128(9));
    let error = world.standing(other).check().await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Forbidden);
    world.revoke();
    let error = world.standing(TENANT).check().await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Unauthenticated);
}

#[tokio::test(start_paused = true)]
async fn an_export_that_nobody_takes_is_let_go_of_after_a_minute() {
    let world = World::new();
    let (mut stream, turn) = world.export(small(100));
    next(&mut stream).await.unwrap().unwrap();
    sleep(UNTAKEN.saturating_sub(SECOND)).await;
    assert!(turn.upgrade().is_some());
    sleep(2 * SECOND).await;
    // Though nobody looked.
    assert!(turn.upgrade().is_none());
    // What had waited is not handed out any more.
    assert_eq!(rest(&mut stream).await, (String::new(), true));
}

#[tokio::test(start_paused = true)]
async fn who_takes_it_slowly_gets_it_but_not_for_ever() {
    let slowly = UNTAKEN.saturating_sub(SECOND);
    let world = World::new();
    let (mut stream, _) = world.export(small(100));
    let mut taken = 0;
    while let Some(piece) = next(&mut stream).await {
        assert!(piece.is_ok(), "{taken}");
        taken += 1;
        sleep(slowly).await;
    }
    assert_eq!(taken, 102);

    let (mut stream, turn) = world.export(small(1_000));
    let began = world.clock.monotonic();
    while next(&mut stream).await.unwrap().is_ok() {
        assert!(turn.upgrade().is_some() || world.clock.monotonic() >= began + LONGEST);
        sleep(slowly).await;
    }
    let took = world.clock.monotonic().saturating_sub(began);
    assert!((LONGEST..LONGEST + UNTAKEN).contains(&took), "{took:?}");
    assert!(turn.upgrade().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_failure_ends_it_without_an_end() {
    let world = World {
        then_fails: true,
        ..World::new()
    };
    let (mut stream, _) = world.export(small(1));
    let lines = "head\n{\"kind\":\"message\",\"data\":{\"n\":0}}\n".to_owned();
    assert_eq!(rest(&mut stream).await, (lines, true));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_takes_the_export_with_it() {
    let world = World::new();
    let (mut stream, turn) = world.export(small(100));
    next(&mut stream).await.unwrap().unwrap();
    drop(stream);
    sleep(SECOND).await;
    assert!(turn.upgrade().is_none());
}
