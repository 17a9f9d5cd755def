//! The ports that pages name, and free ones of this machine in their place.

use std::collections::BTreeMap;

use anyhow::{Context, bail};

use crate::postgres::free_port;

/// The API.
pub(super) const API: u16 = 8080;
/// The management listener.
pub(super) const MANAGEMENT: u16 = 9464;
/// PostgreSQL.
pub(super) const POSTGRES: u16 = 5432;
/// Receivers.
const RECEIVERS: [u16; 6] = [9000, 9001, 9002, 9003, 9004, 9005];

/// For each port of the pages, the one that is used.
#[derive(Debug)]
pub(super) struct Ports(BTreeMap<u16, u16>);

impl Ports {
    /// Chooses; PostgreSQL's is given, if it was started.
    pub(super) fn choose(postgres: Option<u16>) -> anyhow::Result<Self> {
        let mut chosen: BTreeMap<u16, u16> = postgres.map(|port| (POSTGRES, port)).into_iter().collect();
        for known in [API, MANAGEMENT].into_iter().chain(RECEIVERS) {
            // Asked one after the other, the machine may name one twice.
            let port = (0..100).map(|_| free_port()).find(|port| {
                !port
                    .as_ref()
                    .is_ok_and(|port| chosen.values().any(|taken| taken == port))
            });
            match port {
                Some(port) => chosen.insert(known, port?),
                None => bail!("no free port for {known}"),
            };
        }
        Ok(Self(chosen))
    }

    /// The one that stands for this.
    pub(super) fn of(&self, known: u16) -> anyhow::Result<u16> {
        self.0
            .get(&known)
            .copied()
            .with_context(|| format!("nothing stands for port {known}"))
    }

    /// The text with every number that is one of the ports replaced.
    pub(super) fn put_into(&self, text: &str) -> String {
        let mut put = String::with_capacity(text.len());
        let mut word = String::new();
        for character in text.chars() {
            if character.is_alphanumeric() || character == '_' {
                word.push(character);
            } else {
                self.flush(&mut put, &mut word);
                put.push(character);
            }
        }
        self.flush(&mut put, &mut word);
        put
    }

    fn flush(&self, put: &mut String, word: &mut String) {
        match word.parse().ok().and_then(|number: u16| self.0.get(&number)) {
            Some(port) => put.push_str(&port.to_string()),
            None => put.push_str(word),
        }
        word.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_numbers_are_ports() {
        let ports = Ports(BTreeMap::from([(8080, 41000), (9000, 41001)]));
        let text = "127.0.0.1:8080/x 18080 80801 ord_9000 (\"127.0.0.1\", 9000)";
        let put = "127.0.0.1:41000/x 18080 80801 ord_9000 (\"127.0.0.1\", 41001)";
        assert_eq!(ports.put_into(text), put);
        assert!(ports.of(POSTGRES).is_err());
    }

    #[test]
    fn no_port_is_chosen_twice() {
        let ports = Ports::choose(Some(5)).unwrap();
        let mut all: Vec<_> = ports.0.values().collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), RECEIVERS.len() + 3);
    }
}
