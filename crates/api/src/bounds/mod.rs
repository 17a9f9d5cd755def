//! Bounds that no setting moves, as a page of the documentation, from the constants that hold them.

mod doors;
mod inside;
mod things;
mod words;

/// A bound that no setting moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixedBound {
    /// What it belongs to.
    pub subject: &'static str,
    /// What is bounded.
    pub what: &'static str,
    /// How much it may be, with its unit.
    pub most: String,
    /// What becomes of more.
    pub beyond: &'static str,
}

/// What is bounded, how much it may be, and what becomes of more.
type Bound = (&'static str, String, &'static str);

const REFUSED: &str = "422 `validation_failed`";

/// All of them, by subject.
pub fn fixed_bounds() -> Vec<FixedBound> {
    let subjects = [
        ("Requests", doors::requests()),
        ("Connections and callers", doors::callers()),
        ("Management listener", doors::management()),
        ("Lists and exports", doors::lists()),
        ("Resources", things::resources()),
        ("Endpoints", things::endpoints()),
        ("Messages", things::messages()),
        ("Schemas of event types", things::schemas()),
        ("People and credentials", things::people()),
        ("Receivers", inside::receivers()),
        ("Inside a node", inside::insides()),
    ];
    let of_subject = |(subject, bounds): (&'static str, Vec<Bound>)| {
        bounds.into_iter().map(move |(what, most, beyond)| FixedBound {
            subject,
            what,
            most,
            beyond,
        })
    };
    subjects.into_iter().flat_map(of_subject).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract;

    #[test]
    fn each_bound_stands_once_and_says_what_becomes_of_more() {
        let bounds = fixed_bounds();
        for (index, bound) in bounds.iter().enumerate() {
            assert!(!bound.most.is_empty() && !bound.beyond.is_empty(), "{bound:?}");
            let again = bounds[..index]
                .iter()
                .any(|other| (other.subject, other.what) == (bound.subject, bound.what));
            assert!(!again, "{bound:?}");
        }
        let depth = bounds
            .iter()
            .find(|bound| bound.what.starts_with("Arrays"))
            .unwrap();
        assert_eq!(depth.most, extract::MAX_DEPTH.to_string());
    }
}
