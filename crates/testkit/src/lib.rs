//! Postrider's test kit: in-memory adapters, test clock, contract cases
