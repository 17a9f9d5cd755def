use crate::{
    InvalidValue, Rule,
    event_types::EventTypeName,
    messages::{Channel, Channels},
};

/// What an endpoint wants to hear of. An empty list filters nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    event_types: Vec<EventTypeName>,
    channels: Vec<Channel>,
}

impl Filter {
    /// The most event types, and the most channels, of a filter.
    pub const MAX_ENTRIES: usize = 100;

    /// A filter by event types and channels; each entry may stand once.
    pub fn new(
        mut event_types: Vec<EventTypeName>,
        mut channels: Vec<Channel>,
    ) -> Result<Self, InvalidValue> {
        if event_types.len() > Self::MAX_ENTRIES || channels.len() > Self::MAX_ENTRIES {
            return Err(InvalidValue::new(Rule::TooLong, "must have at most 100 entries"));
        }
        let (types, names) = (event_types.len(), channels.len());
        event_types.sort();
        event_types.dedup();
        channels.sort();
        channels.dedup();
        if event_types.len() != types || channels.len() != names {
            return Err(InvalidValue::new(
                Rule::Duplicate,
                "must not name the same entry twice",
            ));
        }
        Ok(Self {
            event_types,
            channels,
        })
    }

    /// Whether a message of `event_type` on `channels` passes. A message on no channel reaches only endpoints
    /// that filter by none.
    pub fn wants(&self, event_type: &EventTypeName, channels: &Channels) -> bool {
        (self.event_types.is_empty() || self.event_types.binary_search(event_type).is_ok())
            && (self.channels.is_empty()
                || channels
                    .iter()
                    .any(|channel| self.channels.binary_search(channel).is_ok()))
    }

    /// The wanted event types, sorted; empty for all.
    pub fn event_types(&self) -> &[EventTypeName] {
        &self.event_types
    }

    /// The wanted channels, sorted; empty for all.
    pub fn channels(&self) -> &[Channel] {
        &self.channels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> EventTypeName {
        EventTypeName::parse(text).unwrap()
    }

    fn channels(texts: &[&str]) -> Channels {
        Channels::new(texts.iter().map(|t| Channel::parse(t).unwrap()).collect()).unwrap()
    }

    #[test]
    fn an_empty_filter_wants_everything() {
        assert!(Filter::default().wants(&name("a.b"), &channels(&[])));
        assert!(Filter::default().wants(&name("a.b"), &channels(&["eu"])));
    }

    #[test]
    fn both_lists_must_agree() {
        let filter = Filter::new(vec![name("b"), name("a")], vec![Channel::parse("eu").unwrap()]).unwrap();
        assert!(filter.wants(&name("a"), &channels(&["us", "eu"])));
        assert!(!filter.wants(&name("a"), &channels(&["us"])));
        assert!(!filter.wants(&name("a"), &channels(&[])));
        assert!(!filter.wants(&name("c"), &channels(&["eu"])));
    }

    #[test]
    fn an_entry_stands_once() {
        assert_eq!(
            Filter::new(vec![name("a"), name("a")], vec![]).unwrap_err().rule,
            Rule::Duplicate
        );
    }
}
