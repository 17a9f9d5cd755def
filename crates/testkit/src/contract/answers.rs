//! What commands with an idempotency key were answered: kept with their change, once, and until their time is over.

use postrider_application::{
    access::TenantScope,
    audit::{Conclusion, Record},
    ports::{
        AnswerKey, ApplicationViews as _, KeptAnswer, NewAnswer, Repository as _, Store as _, StoreError,
        UniqueRule, UnitOfWork as _,
    },
};
use postrider_domain::{Aggregate as _, ApplicationId, TenantId};
use tokio::task::JoinSet;

use super::{Fixture, Harness, Tenancy, paging::first, people_steps::HOUR};

/// The answer to what was `asked` under a key, kept for an hour.
pub(super) fn new_answer(tenant: Option<TenantId>, key: u8, asked: u8) -> NewAnswer {
    NewAnswer {
        key: AnswerKey {
            tenant,
            hash: [key; 32],
        },
        answer: KeptAnswer {
            asked: [asked; 32],
            // Not UTF-8, and with a zero in it: bytes are bytes.
            bytes: vec![0, 0xff, key, asked],
        },
        window: HOUR,
    }
}

/// Creates an application, and keeps `answer` with it.
async fn create<H: Harness>(
    fixture: &Fixture<'_, H>,
    tenant: &Tenancy,
    answer: NewAnswer,
) -> Result<ApplicationId, StoreError> {
    let mut application = fixture.new_application(tenant, None);
    let mut tx = fixture.store().begin(&tenant.scope).await?;
    tx.save(&tenant.scope, &mut application).await?;
    let conclusion = Conclusion {
        record: Record::InHistory,
        answer: Some(answer),
    };
    tx.commit(conclusion).await?;
    Ok(application.state().id)
}

async fn applications<H: Harness>(fixture: &Fixture<'_, H>, scope: &TenantScope) -> usize {
    let all = postrider_domain::access::Visibility::All;
    let page = fixture.store().applications(scope, &all, first()).await.unwrap();
    page.items.len()
}

async fn kept<H: Harness>(fixture: &Fixture<'_, H>, answer: &NewAnswer) -> Option<KeptAnswer> {
    fixture.ports().answers.find(&answer.key).await.unwrap()
}

fn assert_taken<T: std::fmt::Debug>(result: &Result<T, StoreError>) {
    assert!(
        matches!(result, Err(StoreError::Conflict(UniqueRule::IdempotencyKey))),
        "{result:?}"
    );
}

/// A change and its answer are seen together, and the answer byte for byte.
pub async fn an_answer_is_kept_with_its_change<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let answer = new_answer(Some(tenant.id), 1, 1);
    assert_eq!(kept(&fixture, &answer).await, None);
    create(&fixture, &tenant, answer.clone()).await.unwrap();
    assert_eq!(kept(&fixture, &answer).await, Some(answer.answer));
}

/// Where the key is taken, the change is not made; a transaction that is dropped leaves the key free.
pub async fn a_change_is_undone_with_its_answer<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let answer = new_answer(Some(tenant.id), 1, 1);
    let mut tx = fixture.store().begin(&tenant.scope).await.unwrap();
    let mut application = fixture.new_application(&tenant, None);
    tx.save(&tenant.scope, &mut application).await.unwrap();
    drop(tx);
    create(&fixture, &tenant, answer.clone()).await.unwrap();
    for asked in [1, 2] {
        let again = new_answer(Some(tenant.id), 1, asked);
        assert_taken(&create(&fixture, &tenant, again).await);
    }
    assert_eq!(applications(&fixture, &tenant.scope).await, 1);
    assert_eq!(kept(&fixture, &answer).await, Some(answer.answer));
}

/// An answer whose time is over is not found, and makes room for another.
pub async fn a_key_is_taken_until_its_time_is_over<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let (first, second) = (
        new_answer(Some(tenant.id), 1, 1),
        new_answer(Some(tenant.id), 1, 2),
    );
    create(&fixture, &tenant, first.clone()).await.unwrap();
    harness.age(HOUR / 2).await;
    assert_taken(&create(&fixture, &tenant, second.clone()).await);
    harness.age(HOUR / 2).await;
    assert_eq!(kept(&fixture, &first).await, None);
    create(&fixture, &tenant, second.clone()).await.unwrap();
    assert_eq!(kept(&fixture, &first).await, Some(second.answer));
}

/// Of many that come at the same time one is done, and the others find its answer at once.
pub async fn of_racing_commands_with_one_key_one_is_done<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let answer = new_answer(Some(tenant.id), 1, 1);
    let mut racers = JoinSet::new();
    for _ in 0..8 {
        let (store, scope) = (fixture.store().clone(), tenant.scope.clone());
        let (answers, answer) = (fixture.ports().answers.clone(), answer.clone());
        let mut application = fixture.new_application(&tenant, None);
        racers.spawn(async move {
            let mut tx = store.begin(&scope).await.unwrap();
            tx.save(&scope, &mut application).await.unwrap();
            tokio::task::yield_now().await;
            let key = answer.key;
            let conclusion = Conclusion {
                record: Record::InHistory,
                answer: Some(answer),
            };
            let done = tx.commit(conclusion).await;
            (done, answers.find(&key).await.unwrap())
        });
    }
    let mut won = 0;
    for (done, found) in racers.join_all().await {
        assert_eq!(found.as_ref(), Some(&answer.answer));
        if done.is_ok() {
            won += 1;
        } else {
            assert_taken(&done);
        }
    }
    assert_eq!(won, 1);
    assert_eq!(applications(&fixture, &tenant.scope).await, 1);
}

/// One key of two tenants and of the operator are three; and nobody keeps an answer in another's name.
pub async fn an_answer_is_found_by_its_own_tenant_only<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
    create(&fixture, &ours, new_answer(Some(ours.id), 1, 1))
        .await
        .unwrap();
    let (of_theirs, of_operator) = (new_answer(Some(theirs.id), 1, 2), new_answer(None, 1, 3));
    for other in [&of_theirs, &of_operator] {
        assert_eq!(kept(&fixture, other).await, None);
    }
    create(&fixture, &theirs, of_theirs.clone()).await.unwrap();
    let operator = fixture.operator().await;
    let tx = fixture.store().begin_as_operator(&operator).await.unwrap();
    tx.commit(Conclusion {
        record: Record::InHistory,
        answer: Some(of_operator.clone()),
    })
    .await
    .unwrap();
    for answer in [new_answer(Some(ours.id), 1, 1), of_theirs, of_operator] {
        assert_eq!(kept(&fixture, &answer).await, Some(answer.answer));
    }
    for tenant in [Some(theirs.id), None] {
        let planted = create(&fixture, &ours, new_answer(tenant, 9, 1)).await;
        assert!(matches!(planted, Err(StoreError::Internal(_))), "{planted:?}");
        assert_eq!(kept(&fixture, &new_answer(tenant, 9, 1)).await, None);
    }
    // Nobody keeps one of what they do in their own affairs.
    let person = fixture.person_in(ours.id, ours.owner).await;
    let tx = fixture.store().begin_as_person(&person).await.unwrap();
    let planted = tx
        .commit(Conclusion {
            record: Record::InHistory,
            answer: Some(new_answer(Some(ours.id), 9, 1)),
        })
        .await;
    assert!(matches!(planted, Err(StoreError::Internal(_))), "{planted:?}");
    assert_eq!(kept(&fixture, &new_answer(Some(ours.id), 9, 1)).await, None);
}

/// The answer of a command that changed nothing is kept by itself, once.
pub async fn what_changed_nothing_is_kept_by_itself<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    for of in [Some(tenant.id), None] {
        let answer = new_answer(of, 1, 1);
        fixture.ports().answers.keep(answer.clone()).await.unwrap();
        assert_taken(&fixture.ports().answers.keep(new_answer(of, 1, 2)).await);
        assert_eq!(kept(&fixture, &answer).await, Some(answer.answer));
    }
}

/// A store does not take whatever it is given.
pub async fn an_answer_that_is_too_large_is_refused<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let mut answer = new_answer(Some(tenant.id), 1, 1);
    answer.answer.bytes = vec![b'x'; NewAnswer::MAX_BYTES];
    create(&fixture, &tenant, answer.clone()).await.unwrap();
    answer.key.hash = [2; 32];
    answer.answer.bytes.push(b'x');
    assert!(create(&fixture, &tenant, answer.clone()).await.is_err());
    assert!(fixture.ports().answers.keep(answer).await.is_err());
    assert_eq!(applications(&fixture, &tenant.scope).await, 1);
}

/// They go in batches, when their time is over and not before.
pub async fn answers_are_forgotten_when_their_time_is_over<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let answers = &fixture.ports().answers;
    for key in 1..=3 {
        answers.keep(new_answer(Some(tenant.id), key, 1)).await.unwrap();
    }
    answers.keep(new_answer(None, 1, 1)).await.unwrap();
    harness.age(HOUR / 2).await;
    let later = new_answer(Some(tenant.id), 4, 1);
    answers.keep(later.clone()).await.unwrap();
    let housekeeping = &fixture.ports().housekeeping;
    assert_eq!(housekeeping.forget_expired(100).await.unwrap(), 0);
    harness.age(HOUR / 2).await;
    let mut forgotten = Vec::new();
    for _ in 0..3 {
        forgotten.push(housekeeping.forget_expired(3).await.unwrap());
    }
    assert_eq!(forgotten, [3, 1, 0]);
    assert_eq!(kept(&fixture, &later).await, Some(later.answer));
}
