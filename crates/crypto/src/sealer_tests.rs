use super::*;
use crate::test_support::{knowing, sealer};

const CONTEXT: &[u8] = b"endpoint-secret:ten_1:ep_1";

#[test]
fn what_was_sealed_opens_under_its_context_only() {
    let ours = sealer(7);
    for plain in [b"".as_slice(), b"x", &[0; 32], &[0xff; 5_000]] {
        let sealed = ours.seal(CONTEXT, plain);
        assert_eq!(sealed.len(), plain.len() + AeadSealer::OVERHEAD_BYTES);
        assert_eq!(ours.open(CONTEXT, &sealed).unwrap(), plain);
        for context in [
            b"".as_slice(),
            b"endpoint-secret:ten_2:ep_1",
            b"endpoint-secret:ten_1:ep_11",
            b"x",
        ] {
            assert_eq!(ours.open(context, &sealed), Err(SealError));
        }
    }
}

#[test]
fn any_flipped_bit_and_any_cut_is_noticed() {
    let ours = sealer(7);
    let sealed = ours.seal(CONTEXT, b"whsec of somebody");
    for position in 0..sealed.len() {
        for bit in 0..8 {
            let mut altered = sealed.clone();
            altered[position] ^= 1 << bit;
            assert_eq!(
                ours.open(CONTEXT, &altered),
                Err(SealError),
                "byte {position} bit {bit}"
            );
        }
        assert_eq!(
            ours.open(CONTEXT, &sealed[..position]),
            Err(SealError),
            "cut at {position}"
        );
    }
    assert_eq!(
        ours.open(CONTEXT, &[sealed.as_slice(), &[0]].concat()),
        Err(SealError)
    );
}

#[test]
fn another_key_does_not_open_it_and_nonces_differ() {
    let sealed = sealer(7).seal(CONTEXT, b"secret");
    assert_eq!(sealer(8).open(CONTEXT, &sealed), Err(SealError));
    let ours = sealer(7);
    assert_ne!(ours.seal(CONTEXT, b"secret"), ours.seal(CONTEXT, b"secret"));
}

#[test]
fn a_body_under_another_key_with_our_header_does_not_open() {
    // The key id is only a hint: what decides is the tag.
    let (ours, theirs) = (sealer(7), sealer(8));
    let mut sealed = theirs.seal(CONTEXT, b"secret");
    sealed[..HEADER_LEN].copy_from_slice(&ours.current.header());
    assert_eq!(ours.open(CONTEXT, &sealed), Err(SealError));
}

#[test]
fn known_keys_open_and_only_the_current_one_seals() {
    let (old, new, both) = (sealer(1), sealer(2), knowing(2, &[1, 3]));
    let (by_old, by_both) = (old.seal(CONTEXT, b"old"), both.seal(CONTEXT, b"new"));
    assert_eq!(both.open(CONTEXT, &by_old).unwrap(), b"old");
    assert_eq!(new.open(CONTEXT, &by_both).unwrap(), b"new");
    assert_eq!(old.open(CONTEXT, &by_both), Err(SealError));
    assert!(both.is_current(&by_both) && new.is_current(&by_both));
    assert!(!both.is_current(&by_old) && old.is_current(&by_old));
    // A key that nobody knows, another context, and what was altered stay closed.
    assert_eq!(both.open(CONTEXT, &sealer(4).seal(CONTEXT, b"x")), Err(SealError));
    assert_eq!(both.open(b"another", &by_old), Err(SealError));
    for position in 0..by_old.len() {
        let mut altered = by_old.clone();
        altered[position] ^= 1;
        assert_eq!(both.open(CONTEXT, &altered), Err(SealError), "byte {position}");
    }
    // A known key's id on what another known key sealed.
    let mut relabelled = by_old.clone();
    relabelled[..HEADER_LEN].copy_from_slice(&both.current.header());
    assert_eq!(both.open(CONTEXT, &relabelled), Err(SealError));
}

#[test]
fn nothing_that_was_never_sealed_is_current() {
    let ours = sealer(1);
    let header = ours.current.header();
    for bytes in [b"".as_slice(), &header[..4], &[0; 40]] {
        assert!(!ours.is_current(bytes));
    }
    let mut of_another_layout = ours.seal(CONTEXT, b"x");
    of_another_layout[0] = 2;
    assert!(!ours.is_current(&of_another_layout));
}

#[test]
fn a_key_that_is_known_twice_does_no_harm() {
    let twice = knowing(1, &[1, 1]);
    let sealed = twice.seal(CONTEXT, b"x");
    assert!(twice.is_current(&sealed));
    assert_eq!(twice.open(CONTEXT, &sealed).unwrap(), b"x");
}

#[test]
fn debug_shows_ids_only() {
    let shown = format!("{:?}", knowing(1, &[2]));
    assert!(
        shown.contains(&sealer(1).key_id().to_string()) && shown.contains(&sealer(2).key_id().to_string())
    );
    assert!(!shown.contains("0101") && !shown.contains("1, 1"), "{shown}");
}
