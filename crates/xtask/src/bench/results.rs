//! Everything that was measured.

use std::collections::BTreeMap;

use serde::Serialize;

use super::machine::Machine;
use super::measure::Measured;
use super::targets::Target;
use crate::product::Database;

/// What goes to the table and to JSON.
#[derive(Debug, Serialize)]
pub(super) struct Results {
    pub(super) machine: Machine,
    /// How long a scenario published.
    pub(super) seconds: f64,
    pub(super) figures: Vec<Figure>,
    /// What else was found out: a name and a number for each database.
    pub(super) facts: BTreeMap<String, f64>,
    pub(super) targets: Vec<Target>,
    pub(super) failures: Vec<String>,
}

/// One measurement.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Figure {
    /// What was measured.
    pub(super) name: String,
    /// On which database.
    pub(super) database: &'static str,
    #[serde(flatten)]
    pub(super) measured: Measured,
}

impl Results {
    /// Nothing yet.
    pub(super) fn new(machine: Machine, seconds: f64) -> Self {
        Self {
            machine,
            seconds,
            figures: Vec::new(),
            facts: BTreeMap::new(),
            targets: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// Keeps a measurement.
    pub(super) fn keep(&mut self, name: &str, database: Database, measured: Measured) {
        self.figures.push(Figure {
            name: name.to_owned(),
            database: database.name(),
            measured,
        });
    }

    /// The measurement of this name, if it was made.
    pub(super) fn find(&self, name: &str, database: Database) -> Option<&Measured> {
        let figure = |figure: &&Figure| figure.name == name && figure.database == database.name();
        self.figures
            .iter()
            .rev()
            .find(figure)
            .map(|figure| &figure.measured)
    }

    /// Keeps a fact.
    pub(super) fn note(&mut self, name: &str, database: Database, value: f64) {
        self.facts.insert(fact(name, database), value);
    }

    /// The fact of this name, if it is known.
    pub(super) fn fact(&self, name: &str, database: Database) -> Option<f64> {
        self.facts.get(&fact(name, database)).copied()
    }
}

fn fact(name: &str, database: Database) -> String {
    format!("{name} on {}", database.name())
}
