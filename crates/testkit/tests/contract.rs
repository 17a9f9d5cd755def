//! The contract of the storage ports, on memory.

use std::{collections::BTreeMap, path::Path};

use postrider_testkit::{contract::MemoryHarness, contract_cases};

contract_cases!(contract_memory, MemoryHarness);

/// A case that is written and not in the list runs nowhere, and nobody would notice.
#[test]
fn every_case_is_in_the_list() {
    let rooms = concat!(env!("CARGO_MANIFEST_DIR"), "/src/contract");
    let mut written = BTreeMap::new();
    for file in std::fs::read_dir(rooms).unwrap() {
        let path = file.unwrap().path();
        // A room of its own, or one with rooms in it.
        let cases: Vec<String> = if path.is_dir() {
            let mut inner: Vec<_> = std::fs::read_dir(&path)
                .unwrap()
                .map(|file| file.unwrap().path())
                .collect();
            inner.sort();
            inner.iter().flat_map(|path| cases_in(path).unwrap()).collect()
        } else {
            cases_in(&path).unwrap()
        };
        if !cases.is_empty() {
            written.insert(path.file_stem().unwrap().to_str().unwrap().to_owned(), cases);
        }
    }
    let listed = contract_cases! { @list names [] };
    let listed =
        listed.map(|(room, cases)| (room.to_owned(), cases.into_iter().map(str::to_owned).collect()));
    assert_eq!(written, BTreeMap::<String, Vec<String>>::from(listed));
}

/// The cases that a file holds, in its order.
fn cases_in(path: &Path) -> std::io::Result<Vec<String>> {
    let source = std::fs::read_to_string(path)?;
    let cases = source
        .lines()
        .filter_map(|line| line.strip_prefix("pub async fn ")?.split_once("<H: "))
        .map(|(name, _)| name.to_owned());
    Ok(cases.collect())
}
