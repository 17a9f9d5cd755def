//! Which lines are written, of those that the level lets through.

use std::{fmt, sync::Arc};

use tracing::{Event, Subscriber};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use super::{clients::FaultsOfClients, repeats::Repeats};

/// What decides of a line.
#[derive(Debug, Clone)]
pub(super) struct Choice {
    pub(super) clients: Arc<FaultsOfClients>,
    pub(super) repeats: Arc<Repeats>,
}

impl Choice {
    /// Writes by `lines` what is chosen.
    pub(super) const fn of<F>(self, lines: F) -> Chosen<F> {
        Chosen {
            choice: self,
            lines,
            tells: false,
        }
    }

    /// The same, for `lines` that do not tell themselves how many were kept back: that follows on a line of its own.
    pub(super) const fn told_after<F>(self, lines: F) -> Chosen<F> {
        Chosen {
            choice: self,
            lines,
            tells: true,
        }
    }
}

/// Writes the lines that are chosen.
///
/// It stands at the writing of a line: a filter of a layer that decides by the event disturbs the other layers.
pub(super) struct Chosen<F> {
    choice: Choice,
    lines: F,
    tells: bool,
}

impl<S, N, F> FormatEvent<S, N> for Chosen<F>
where
    S: Subscriber + for<'l> LookupSpan<'l>,
    N: for<'l> FormatFields<'l> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if self.choice.clients.hide(event) || self.choice.repeats.hide(event) {
            return Ok(());
        }
        self.lines.format_event(context, writer.by_ref(), event)?;
        if !self.tells {
            return Ok(());
        }
        match self.choice.repeats.kept_back(&event.metadata().callsite()) {
            Some(kept_back) => writeln!(writer, "  ({kept_back} more lines of this place were kept back)"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::{EnvFilter, Layer as _, layer::SubscriberExt as _};

    use super::{
        super::{clients, written::Written},
        *,
    };

    fn choice(directives: &str, most: u32) -> Choice {
        Choice {
            clients: Arc::new(FaultsOfClients::at(directives)),
            repeats: Arc::new(Repeats::new(most)),
        }
    }

    /// What is written of what `say` says.
    fn written(directives: &str, choice: &Choice, say: impl FnOnce()) -> String {
        let written = Written::default();
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(written.clone())
            .map_event_format(|lines| choice.clone().told_after(lines));
        let subscriber = tracing_subscriber::registry().with(layer.with_filter(EnvFilter::new(directives)));
        tracing::subscriber::with_default(subscriber, say);
        written.text()
    }

    #[test]
    fn what_clients_do_wrong_is_no_error_of_ours() {
        let choice = choice("info", 0);
        let say = || {
            for theirs in [
                "request parse error: theirs",
                "request did not complete within the specified timeout",
                "I/O error: Connection reset by peer (os error 104)",
            ] {
                tracing::error!(target: clients::PLACE, "stream error: {theirs}");
            }
            for ours in [
                "body error: ours",
                "internal error",
                "I/O error: Too many open files",
            ] {
                tracing::error!(target: clients::PLACE, "stream error: {ours}");
            }
            tracing::error!(target: clients::PLACE, "Response payload stream error: ours");
            tracing::error!(target: "postrider", "stream error: request parse error: of our own");
        };
        assert_eq!(written("info", &choice, say).lines().count(), 5);
        choice.clients.follow("debug");
        let all = written("debug", &choice, say);
        assert_eq!(all.lines().count(), 8, "{all}");
    }

    #[test]
    fn how_many_were_kept_back_is_told_to_people_too() {
        let choice = choice("info", 1);
        let text = written("info", &choice, || {
            for number in 0..5 {
                if number == 4 {
                    choice.repeats.begin_anew();
                }
                tracing::warn!(number, "the same");
            }
        });
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[0].contains("number=0") && lines[1].contains("number=4"),
            "{text}"
        );
        assert_eq!(lines[2..], ["  (3 more lines of this place were kept back)"]);
    }

    #[test]
    fn lines_are_kept_back_without_disturbing_other_layers() {
        let (some, all) = (Written::default(), Written::default());
        let choice = choice("info", 2);
        let chosen = tracing_subscriber::fmt::layer()
            .with_writer(some.clone())
            .map_event_format(|lines| choice.clone().of(lines))
            .with_filter(EnvFilter::new("info"));
        let beside = tracing_subscriber::fmt::layer()
            .with_writer(all.clone())
            .with_filter(EnvFilter::new("info"));
        let subscriber = tracing_subscriber::registry().with(chosen).with(beside);
        tracing::subscriber::with_default(subscriber, || {
            for number in 0..5 {
                tracing::warn!(number, "the same");
                tracing::debug!("less");
            }
            tracing::warn!("another");
        });
        assert_eq!((some.text().lines().count(), all.text().lines().count()), (3, 6));
        assert_eq!(choice.repeats.suppressed(), 3);
    }
}
