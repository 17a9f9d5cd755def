use crate::{InvalidValue, Rule, text::check_token};

/// A tenant's own sub-address within an application, say a project: 1 to 128 of `A-Z a-z 0-9 . _ - : /`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Channel(String);

impl Channel {
    /// The most characters of a channel.
    pub const MAX_CHARS: usize = 128;

    /// Parses a channel.
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        check_token(text, Self::MAX_CHARS, "._-:/")?;
        Ok(Self(text.to_owned()))
    }

    /// The channel as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The channels of a message: at most ten, each once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Channels(Vec<Channel>);

impl Channels {
    /// The most channels of a message.
    pub const MAX: usize = 10;

    /// Checks the list.
    pub fn new(mut channels: Vec<Channel>) -> Result<Self, InvalidValue> {
        if channels.len() > Self::MAX {
            return Err(InvalidValue::new(Rule::TooLong, "must have at most 10 entries"));
        }
        let given = channels.len();
        channels.sort();
        channels.dedup();
        if channels.len() != given {
            return Err(InvalidValue::new(
                Rule::Duplicate,
                "must not name the same channel twice",
            ));
        }
        Ok(Self(channels))
    }

    /// The channels, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &Channel> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_few_channels_each_once() {
        let channel = |i: usize| Channel::parse(&format!("c{i}")).unwrap();
        assert!(Channels::new((0..10).map(channel).collect()).is_ok());
        assert_eq!(
            Channels::new((0..11).map(channel).collect()).unwrap_err().rule,
            Rule::TooLong
        );
        assert_eq!(
            Channels::new(vec![channel(1), channel(1)]).unwrap_err().rule,
            Rule::Duplicate
        );
        assert!(Channel::parse("a b").is_err());
    }
}
