//! A page's fenced blocks, each with its mark.

use anyhow::{Context, bail, ensure};

use super::marks::{self, Mark};

/// What a reader pastes into a terminal.
const SHELL: [&str; 2] = ["sh", "bash"];
/// What looks like a session: neither to be pasted as a whole nor to be run.
const SESSIONS: [&str; 4] = ["console", "shell", "shell-session", "zsh"];

/// A page of Markdown.
#[derive(Debug)]
pub(super) struct Page {
    /// Where it lies, from the repository's root.
    pub(super) path: String,
    /// The page at whose end it begins.
    pub(super) after: Option<String>,
    /// Its blocks, in order.
    pub(super) blocks: Vec<Block>,
}

/// A fenced block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    /// The line of its fence, from 1.
    pub(super) line: usize,
    /// Its language; empty if it has none.
    pub(super) language: String,
    /// What stands between the fences.
    pub(super) text: String,
    /// Its mark.
    pub(super) mark: Option<Mark>,
}

impl Block {
    /// Whether a reader pastes it into a terminal.
    pub(super) fn is_shell(&self) -> bool {
        SHELL.contains(&self.language.as_str())
    }

    /// Whether it goes on while the page does.
    pub(super) fn is_in_background(&self) -> bool {
        matches!(self.mark, Some(Mark::Background(_) | Mark::Again(_)))
    }

    /// Whether it is run when its page is followed.
    pub(super) fn is_run(&self) -> bool {
        self.is_shell()
            && !matches!(
                self.mark,
                Some(Mark::By(_) | Mark::File(_) | Mark::Compare | Mark::CompareBackground)
            )
    }
}

impl Page {
    /// Reads a page; an error for the first thing that cannot be as it stands.
    pub(super) fn parse(path: &str, text: &str) -> anyhow::Result<Self> {
        let mut page = Self {
            path: path.to_owned(),
            after: None,
            blocks: Vec::new(),
        };
        let mut lines = text.lines().enumerate();
        let mut waiting: Option<Mark> = None;
        while let Some((index, line)) = lines.next() {
            let at = || format!("{path}:{}", index + 1);
            if let Some(fence) = Fence::begins(line) {
                let mut block = Block {
                    line: index + 1,
                    language: fence.language.clone(),
                    text: String::new(),
                    mark: waiting.take(),
                };
                loop {
                    let (_, line) = lines
                        .next()
                        .with_context(|| format!("{}: the block has no end", at()))?;
                    if fence.ends(line) {
                        break;
                    }
                    block.text.push_str(fence.inside(line));
                    block.text.push('\n');
                }
                page.take(block).with_context(at)?;
                continue;
            }
            ensure!(
                !line.trim_start().starts_with("~~~"),
                "{}: a block begins with backticks",
                at()
            );
            match marks::parse(line).with_context(at)? {
                Some(Mark::After(other)) => page.after = Some(other),
                Some(mark) => {
                    ensure!(waiting.is_none(), "{}: two marks for one block", at());
                    waiting = Some(mark);
                }
                None => ensure!(
                    waiting.is_none() || line.trim().is_empty(),
                    "{}: the mark above has no block",
                    at()
                ),
            }
        }
        ensure!(waiting.is_none(), "{path}: the last mark has no block");
        Ok(page)
    }

    /// Holds it to the rules for blocks.
    fn take(&mut self, block: Block) -> anyhow::Result<()> {
        let shell = block.is_shell();
        match &block.mark {
            None | Some(Mark::By(_)) => ensure!(
                !SESSIONS.contains(&block.language.as_str()) || block.mark.is_some(),
                "`{}`: write `sh`, and what it prints as a block of its own with the mark `compare`",
                block.language
            ),
            Some(Mark::Background(_) | Mark::Again(_) | Mark::Until(_)) => {
                ensure!(shell, "only a shell block is run so");
            }
            Some(Mark::File(_)) => {}
            Some(Mark::Compare) => {
                ensure!(!shell, "what is printed is not a shell block");
                let before = self.blocks.last().context("nothing was run before it")?;
                ensure!(
                    before.is_run() && !before.is_in_background(),
                    "the block before it is not run to its end"
                );
            }
            Some(Mark::CompareBackground) => {
                ensure!(!shell, "what is printed is not a shell block");
                ensure!(
                    self.blocks.iter().any(Block::is_in_background),
                    "nothing runs in the background"
                );
            }
            Some(Mark::After(_)) => bail!("not a block's mark"),
        }
        self.blocks.push(block);
        Ok(())
    }
}

/// The line that opens a block.
struct Fence {
    indent: usize,
    ticks: usize,
    language: String,
}

impl Fence {
    fn begins(line: &str) -> Option<Self> {
        let text = line.trim_start();
        let ticks = text.len() - text.trim_start_matches('`').len();
        let info = &text[ticks..];
        (ticks >= 3 && !info.contains('`')).then(|| Self {
            indent: line.len() - text.len(),
            ticks,
            language: info.split([' ', ',']).next().unwrap_or_default().to_owned(),
        })
    }

    fn ends(&self, line: &str) -> bool {
        let text = line.trim();
        text.len() >= self.ticks && text.chars().all(|character| character == '`')
    }

    /// Without the indentation that the fence has as well.
    fn inside<'a>(&self, line: &'a str) -> &'a str {
        let own = line.len() - line.trim_start_matches(' ').len();
        &line[own.min(self.indent)..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# T\n<!-- run: after a.md -->\n\n```sh\none\n```\n\n<!-- run: compare -->\n```text\n1\n```\n\n\
        1. item\n\n   ```json\n   {}\n   ```\n<!-- run: by .ci/run -->\n\n````sh\n```\n````\n";

    #[test]
    fn blocks_have_their_marks() {
        let page = Page::parse("p.md", PAGE).unwrap();
        assert_eq!(page.after.as_deref(), Some("a.md"));
        let found: Vec<_> = page
            .blocks
            .iter()
            .map(|block| {
                (
                    block.line,
                    block.language.as_str(),
                    block.text.as_str(),
                    block.is_run(),
                )
            })
            .collect();
        let wanted = [
            (4, "sh", "one\n", true),
            (9, "text", "1\n", false),
            (15, "json", "{}\n", false),
            (20, "sh", "```\n", false),
        ];
        assert_eq!(found, wanted);
    }

    #[test]
    fn what_cannot_be_followed_is_refused() {
        for (wrong, why) in [
            ("```console\n$ x\n```\n", "sh"),
            ("```sh\nx\n", "no end"),
            ("~~~sh\nx\n~~~\n", "backticks"),
            ("<!-- run: compare -->\n```text\nx\n```\n", "nothing was run"),
            ("<!-- run: until \"x\" -->\nwords\n", "no block"),
            (
                "<!-- run: until \"x\" -->\n```json\n{}\n```\n",
                "only a shell block",
            ),
            ("<!-- run: sometimes -->\n```sh\nx\n```\n", "no mark"),
            ("<!-- run: compare -->\n", "no block"),
        ] {
            let error = format!("{:#}", Page::parse("p.md", wrong).unwrap_err());
            assert!(error.contains(why) && error.contains("p.md"), "{wrong}: {error}");
        }
    }
}
