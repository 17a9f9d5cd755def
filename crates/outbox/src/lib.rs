//! Postrider's relay: takes committed events to their subscribers, in commit order
