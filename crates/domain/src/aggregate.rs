//! What all aggregates share: a guarded state, a version, and the events not yet saved.

/// How often an aggregate has been saved; 0 is one that was never stored. An update is refused when the
/// stored version is not the one that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version(pub u32);

impl Version {
    /// The version after the next save.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// Whether the aggregate was never stored.
    pub const fn is_new(self) -> bool {
        self.0 == 0
    }
}

/// Whether a mutator did anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "an unchanged aggregate needs no save"]
pub enum Change {
    /// The state changed and an event was recorded.
    Made,
    /// It was so already.
    None,
}

/// What a store needs of an aggregate: its state to write, its version to guard, its events to log.
pub trait Aggregate: Sized {
    /// All stored facts of the aggregate.
    type State;
    /// What can happen to it.
    type Event;

    /// The aggregate as it was stored; records no event.
    fn restore(state: Self::State, version: Version) -> Self;

    /// The facts as they are now.
    fn state(&self) -> &Self::State;

    /// The version that was read; new ones have [`Version::default`].
    fn version(&self) -> Version;

    /// The events recorded since it was created or restored, in order; hands them out once.
    fn take_events(&mut self) -> Vec<Self::Event>;
}

/// Writes the struct and [`Aggregate`] for a state and its events, and a private `born` that makes a new one with its
/// first event. Whatever changes the state later keeps an event in `pending`, in the aggregate's own file.
macro_rules! aggregate {
    ($(#[$doc:meta])* $name:ident, $state:ty, $event:ty) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $name {
            state: $state,
            version: $crate::Version,
            pending: Vec<$event>,
        }

        impl $name {
            fn born(state: $state, event: $event) -> Self {
                Self { state, version: $crate::Version::default(), pending: vec![event] }
            }
        }

        impl $crate::Aggregate for $name {
            type State = $state;
            type Event = $event;

            fn restore(state: $state, version: $crate::Version) -> Self {
                Self { state, version, pending: Vec::new() }
            }

            fn state(&self) -> &$state {
                &self.state
            }

            fn version(&self) -> $crate::Version {
                self.version
            }

            fn take_events(&mut self) -> Vec<$event> {
                std::mem::take(&mut self.pending)
            }
        }
    };
}
pub(crate) use aggregate;
