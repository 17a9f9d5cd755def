//! The contract of the storage ports, on memory.

use std::collections::BTreeMap;

use postrider_testkit::{contract::MemoryHarness, contract_cases};

contract_cases!(contract_memory, MemoryHarness);

/// A case that is written and not in the list runs nowhere, and nobody would notice.
#[test]
fn every_case_is_in_the_list() {
    let rooms = concat!(env!("CARGO_MANIFEST_DIR"), "/src/contract");
    let mut written = BTreeMap::new();
    for file in std::fs::read_dir(rooms).unwrap() {
        let path = file.unwrap().path();
        let source = std::fs::read_to_string(&path).unwrap();
        let cases: Vec<String> = source
            .lines()
            .filter_map(|line| line.strip_prefix("pub async fn ")?.split_once("<H: "))
            .map(|(name, _)| name.to_owned())
            .collect();
        if !cases.is_empty() {
            written.insert(path.file_stem().unwrap().to_str().unwrap().to_owned(), cases);
        }
    }
    let listed = contract_cases! { @list names [] };
    let listed =
        listed.map(|(room, cases)| (room.to_owned(), cases.into_iter().map(str::to_owned).collect()));
    assert_eq!(written, BTreeMap::<String, Vec<String>>::from(listed));
}
