//! What `dev` shows: colours on a terminal, plain lines without one.

use std::{io::IsTerminal as _, path::Path, time::Duration};

use owo_colors::{OwoColorize as _, Style};

use super::demo::APPLICATION;

/// Standard output, and whether it takes colours.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Screen {
    color: bool,
}

/// A sample event that arrived.
pub(crate) struct Shown<'a> {
    /// Its type.
    pub(crate) event_type: &'a str,
    /// Its message.
    pub(crate) id: &'a str,
    /// The body's length.
    pub(crate) bytes: usize,
    /// Whether the signature fits.
    pub(crate) verified: bool,
    /// From just before the publish request to the complete arrival.
    pub(crate) latency: Duration,
}

impl Screen {
    /// Colours only on a terminal that wants them (<https://no-color.org>).
    pub(crate) fn new() -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            color: std::io::stdout().is_terminal() && !plain,
        }
    }

    /// Whether colours are used.
    pub(crate) fn color(self) -> bool {
        self.color
    }

    fn paint(self, text: &str, style: Style) -> String {
        if self.color {
            text.style(style).to_string()
        } else {
            text.to_owned()
        }
    }

    /// Who we are and where everything is.
    pub(crate) fn header(self, api: &str, receiver: &str, directory: &Path, wanted_port: Option<u16>) {
        let bold = |text: &str| self.paint(text, Style::new().bold());
        println!("{} {}", bold("Postrider"), env!("CARGO_PKG_VERSION"));
        println!("  API       {api}   documentation {api}/docs");
        if let Some(port) = wanted_port {
            println!("            (port {port} is taken: this is the next free one)");
        }
        println!("  Receiver  {receiver}   verifies every signature");
        println!("  Data      {} (embedded SQLite)", directory.display());
        println!();
    }

    /// Before the ride.
    pub(crate) fn publishing(self, count: usize) {
        let shop = self.paint("Fjord & Fern", Style::new().bold());
        println!("Publishing {count} sample events of {shop}, a shop that sells plants:");
    }

    /// One event arrived.
    pub(crate) fn arrived(self, shown: &Shown<'_>) {
        let (mark, verdict) = if shown.verified {
            (
                self.paint("✓", Style::new().green()),
                "signature verified".to_owned(),
            )
        } else {
            (
                self.paint("✗", Style::new().red()),
                self.paint("signature WRONG", Style::new().red()),
            )
        };
        println!(
            "  {mark} {:<18} {}  {:>4} B  {verdict}  {}",
            shown.event_type,
            self.paint(shown.id, Style::new().dimmed()),
            shown.bytes,
            millis(shown.latency),
        );
    }

    /// One event did not.
    pub(crate) fn missing(self, event_type: &str, id: &str, why: &str) {
        println!(
            "  {} {event_type:<18} {id}  {why}",
            self.paint("✗", Style::new().red())
        );
    }

    /// The one-line summary.
    pub(crate) fn summary(self, published: usize, delivered: usize, latencies: &mut [Duration]) {
        latencies.sort_unstable();
        let times = match (latencies.get(latencies.len() / 2), latencies.last()) {
            (Some(median), Some(slowest)) => {
                format!(
                    ", median {}, slowest {} from publish to verified",
                    millis(*median),
                    millis(*slowest)
                )
            }
            _ => String::new(),
        };
        let style = if delivered == published {
            Style::new().green().bold()
        } else {
            Style::new().red().bold()
        };
        println!(
            "{}{times}.",
            self.paint(
                &format!("{delivered} of {published} delivered and verified"),
                style
            )
        );
    }

    /// Lines to paste.
    pub(crate) fn try_it(self, api: &str, key: &str) {
        println!();
        println!("{}", self.paint("Try it yourself:", Style::new().bold()));
        println!("  export API_KEY={key}");
        println!("  curl -s {api}/v1/applications/{APPLICATION}/messages \\");
        println!("    -H \"Authorization: Bearer $API_KEY\" -H 'Content-Type: application/json' \\");
        println!(
            "    -d '{{\"event_type\": \"order.created\", \"payload\": {{\"order\": \"ord_1\", \"total\": 4200}}}}'"
        );
        println!("  curl -s {api}/v1/applications/{APPLICATION}/messages/<id>/deliveries \\");
        println!("    -H \"Authorization: Bearer $API_KEY\"");
        println!();
        println!("Serving; what arrives is shown below. Ctrl-C ends.");
    }
}

fn millis(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1_000.0)
}
