//! The contract of the storage ports, on memory.

use postrider_testkit::{contract::MemoryHarness, contract_cases};

contract_cases!(contract_memory, MemoryHarness);
