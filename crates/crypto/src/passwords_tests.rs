use super::*;
use crate::{OsRandomness, test_support::poll_once};

const CHEAP: PasswordOptions = PasswordOptions {
    memory_kib: 64,
    iterations: 1,
    parallelism: 1,
    concurrency: 2,
    max_waiting: 8,
};

fn passwords(options: PasswordOptions) -> Argon2Passwords {
    Argon2Passwords::new(options, Arc::new(OsRandomness::new())).unwrap()
}

#[tokio::test]
async fn the_right_password_fits_and_others_do_not() {
    let passwords = passwords(CHEAP);
    let hash = passwords.hash("correct horse".into()).await.unwrap();
    assert!(
        hash.as_phc().starts_with("$argon2id$v=19$m=64,t=1,p=1$"),
        "{}",
        hash.as_phc()
    );
    let right = passwords.verify("correct horse".into(), Some(hash.clone())).await;
    assert_eq!(right.unwrap(), Verified::Right);
    for wrong in ["", "correct horse ", "Correct horse", "correct"] {
        let verified = passwords.verify(wrong.into(), Some(hash.clone())).await;
        assert_eq!(verified.unwrap(), Verified::Wrong, "{wrong}");
    }
    let again = passwords.hash("correct horse".into()).await.unwrap();
    assert!(again != hash, "each hash has a salt of its own");
}

#[tokio::test]
async fn hashes_keep_working_when_the_costs_change_and_are_outdated_then() {
    let old = passwords(CHEAP).hash("secret".into()).await.unwrap();
    for changed in [
        PasswordOptions {
            memory_kib: 128,
            ..CHEAP
        },
        PasswordOptions {
            memory_kib: 32,
            ..CHEAP
        },
        PasswordOptions {
            iterations: 2,
            ..CHEAP
        },
        PasswordOptions {
            parallelism: 2,
            ..CHEAP
        },
    ] {
        let today = passwords(changed);
        let right = today.verify("secret".into(), Some(old.clone())).await.unwrap();
        assert_eq!(right, Verified::RightButOutdated, "{changed:?}");
        let wrong = today.verify("other".into(), Some(old.clone())).await.unwrap();
        assert_eq!(wrong, Verified::Wrong, "{changed:?}");
        let renewed = today.hash("secret".into()).await.unwrap();
        let right = today.verify("secret".into(), Some(renewed)).await.unwrap();
        assert_eq!(right, Verified::Right, "{changed:?}");
    }
    // How many are worked on at a time is no property of a hash.
    let busier = passwords(PasswordOptions {
        concurrency: 1,
        max_waiting: 1,
        ..CHEAP
    });
    let right = busier.verify("secret".into(), Some(old)).await.unwrap();
    assert_eq!(right, Verified::Right);
}

#[tokio::test]
async fn a_hash_of_another_maker_is_understood_and_outdated() {
    // Of the tests of the reference implementation: password, somesalt, t=2, m=2^16, p=1.
    let foreign = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
    let hash = || Some(PasswordHash::from_phc(foreign.to_owned()));
    let verify = |password: &str| {
        let passwords = passwords(CHEAP);
        let password = SecretString::from(password);
        async move { passwords.verify(password, hash()).await.unwrap() }
    };
    assert_eq!(verify("password").await, Verified::RightButOutdated);
    assert_eq!(verify("passwore").await, Verified::Wrong);
}

#[tokio::test]
async fn another_variant_version_or_length_is_outdated_at_the_same_costs() {
    let params = |len| Params::new(64, 1, 1, Some(len)).unwrap();
    for (algorithm, version, len) in [
        (Algorithm::Argon2i, Version::V0x13, 32),
        (Algorithm::Argon2d, Version::V0x13, 32),
        (Algorithm::Argon2id, Version::V0x10, 32),
        (Algorithm::Argon2id, Version::V0x13, 16),
        (Algorithm::Argon2id, Version::V0x13, 64),
    ] {
        let maker = Argon2::new(algorithm, version, params(len));
        let made = hash(&maker, b"secret", &[3; SALT_BYTES]).unwrap();
        let verified = passwords(CHEAP).verify("secret".into(), Some(made)).await;
        assert_eq!(
            verified.unwrap(),
            Verified::RightButOutdated,
            "{algorithm} {version:?} {len}"
        );
    }
    let maker = Argon2::new(Algorithm::Argon2id, Version::V0x13, params(32));
    let made = hash(&maker, b"secret", &[3; SALT_BYTES]).unwrap();
    let verified = passwords(CHEAP).verify("secret".into(), Some(made)).await;
    assert_eq!(verified.unwrap(), Verified::Right);
}

#[tokio::test]
async fn nobody_has_the_decoys_password() {
    let mut passwords = passwords(CHEAP);
    let anything = passwords.verify("anything".into(), None).await.unwrap();
    assert_eq!(anything, Verified::Wrong);
    // The same work: but for salt and output, the decoy is what a hash made today is.
    let real = passwords.hash("real".into()).await.unwrap();
    let form = |hash: &PasswordHash| {
        let hash = phc::PasswordHash::new(hash.as_phc()).unwrap();
        let (salt, output) = (hash.salt.unwrap(), hash.hash.unwrap());
        (
            hash.algorithm,
            hash.version,
            hash.params.to_string(),
            salt.len(),
            output.len(),
        )
    };
    assert_eq!(form(&passwords.decoy), form(&real));
    assert_ne!(passwords.decoy, real);
    // Even whoever knew it would not get in.
    passwords.decoy = passwords.hash("known".into()).await.unwrap();
    let known = passwords.verify("known".into(), None).await.unwrap();
    assert_eq!(known, Verified::Wrong);
}

#[tokio::test]
async fn long_passwords_are_refused_before_any_work() {
    let passwords = passwords(CHEAP);
    let longest: SecretString = "p".repeat(Argon2Passwords::MAX_BYTES).into();
    let too_long: SecretString = "p".repeat(Argon2Passwords::MAX_BYTES + 1).into();
    let hash = passwords.hash(longest.clone()).await.unwrap();
    let verified = passwords.verify(longest, Some(hash.clone())).await.unwrap();
    assert_eq!(verified, Verified::Right);
    // With every place taken, only what needs no place is answered.
    let _all = Arc::clone(&passwords.places).try_acquire_many_owned(10).unwrap();
    let error = passwords.hash(too_long.clone()).await.unwrap_err();
    assert_eq!(
        (error.code(), &*error.violations()[0].rule),
        (ErrorCode::ValidationFailed, "too_long")
    );
    for hash in [Some(hash), None] {
        let verified = passwords.verify(too_long.clone(), hash).await.unwrap();
        assert_eq!(verified, Verified::Wrong);
    }
}

#[tokio::test]
async fn a_broken_hash_is_our_fault_not_a_wrong_password() {
    for broken in [
        "",
        "plain",
        "$argon2id$v=19$m=64",
        "$scrypt$ln=1,r=8,p=1$c29tZXNhbHQ$AAAA",
    ] {
        let verified = passwords(CHEAP)
            .verify("x".into(), Some(PasswordHash::from_phc(broken.into())))
            .await;
        assert_eq!(verified.unwrap_err().code(), ErrorCode::Internal, "{broken}");
    }
}

#[tokio::test]
async fn only_so_many_work_and_only_so_many_wait() {
    let passwords = passwords(PasswordOptions {
        concurrency: 1,
        max_waiting: 1,
        ..CHEAP
    });
    let busy = passwords.turn().await.unwrap();
    let mut waiting = passwords.verify("a".into(), None);
    // Polled once, it has taken its place and waits for the turn.
    assert!(poll_once(&mut waiting).is_pending());
    let refused = passwords.verify("b".into(), None).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Unavailable);
    assert_eq!(refused.wait(), Some(RETRY_AFTER));
    drop(busy);
    assert_eq!(waiting.await.unwrap(), Verified::Wrong);
    assert!(passwords.verify("b".into(), None).await.is_ok());
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_free_the_turn_of_its_work() {
    let passwords = passwords(PasswordOptions {
        concurrency: 1,
        max_waiting: 1,
        ..CHEAP
    });
    let (started, has_started) = tokio::sync::oneshot::channel();
    let (finish, may_finish) = std::sync::mpsc::channel::<()>();
    let mut abandoned = Box::pin(passwords.off_thread(move |_| {
        let _ = started.send(());
        let _ = may_finish.recv();
        Ok(())
    }));
    assert!(poll_once(&mut abandoned).is_pending());
    has_started.await.unwrap();
    drop(abandoned);
    assert_eq!(passwords.turns.available_permits(), 0);
    finish.send(()).unwrap();
    assert!(passwords.verify("a".into(), None).await.is_ok());
}

#[test]
fn senseless_options_are_refused() {
    let refuse = |options| Argon2Passwords::new(options, Arc::new(OsRandomness::new())).unwrap_err();
    assert_eq!(
        refuse(PasswordOptions {
            concurrency: 0,
            ..CHEAP
        }),
        InvalidPasswordOptions::Concurrency
    );
    assert_eq!(
        refuse(PasswordOptions {
            concurrency: usize::MAX,
            ..CHEAP
        }),
        InvalidPasswordOptions::Concurrency
    );
    for options in [
        PasswordOptions {
            memory_kib: 1,
            ..CHEAP
        },
        PasswordOptions {
            iterations: 0,
            ..CHEAP
        },
        PasswordOptions {
            parallelism: 0,
            ..CHEAP
        },
    ] {
        assert!(matches!(refuse(options), InvalidPasswordOptions::Costs(_)));
    }
}
