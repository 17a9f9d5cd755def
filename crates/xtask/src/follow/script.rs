//! The blocks of a page as one script, so that what one sets the next finds, as in a terminal.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::marks::Mark;
use super::page::{Block, Page};
use super::ports::Ports;

/// What every script begins with. `-e`: a command that fails, fails the page.
const PREAMBLE: &str = r#"set -eo pipefail
blocks="$FOLLOW_BLOCKS"
unset FOLLOW_BLOCKS
follow_await() {
    local tries
    for ((tries = 0; tries < 6000; tries++)); do
        if grep -qF -- "$3" "$blocks/$1.out"; then return 0; fi
        if ! kill -0 "$2" 2>/dev/null; then echo 'it has ended' >> "$blocks/$1.err"; return 1; fi
        sleep 0.1
    done
    return 1
}
follow_end_last() {
    # What it runs, with which it ends; itself, if it runs nothing at this moment.
    pkill -TERM -P "$follow_last" || kill -TERM "$follow_last" || true
    wait "$follow_last" || true
}
"#;

/// A block in the folder of blocks.
#[derive(Debug)]
pub(super) struct Step<'a> {
    /// Its page.
    pub(super) page: &'a Page,
    /// It.
    pub(super) block: &'a Block,
    /// Its number among all of the script.
    number: usize,
}

impl Step<'_> {
    /// What it printed.
    pub(super) fn output(&self, blocks: &Path) -> String {
        read(&self.file(blocks, "out"))
    }

    /// What it complained of.
    pub(super) fn complaints(&self, blocks: &Path) -> String {
        read(&self.file(blocks, "err"))
    }

    fn file(&self, blocks: &Path, kind: &str) -> PathBuf {
        blocks.join(format!("{}.{kind}", self.number))
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

/// The blocks of these pages, numbered.
pub(super) fn steps<'a>(pages: &[&'a Page]) -> Vec<Step<'a>> {
    let blocks = pages
        .iter()
        .flat_map(|page| page.blocks.iter().map(move |block| (*page, block)));
    let step = |(number, (page, block))| Step { page, block, number };
    blocks.enumerate().map(step).collect()
}

/// Writes the blocks into their folder, and the script that runs them.
pub(super) fn write(steps: &[Step<'_>], blocks: &Path, ports: &Ports) -> anyhow::Result<PathBuf> {
    let mut script = PREAMBLE.to_owned();
    for step in steps {
        let number = step.number;
        let mut text = ports.put_into(&step.block.text);
        if step.block.is_in_background() {
            // It is put into the background as a whole, where it can be waited for and ended.
            text = text.trim_end().trim_end_matches('&').to_owned();
        }
        std::fs::write(step.file(blocks, "block"), &text)?;
        let source = format!(". \"$blocks/{number}.block\"");
        let to = format!("> \"$blocks/{number}.out\" 2> \"$blocks/{number}.err\" < /dev/null");
        let command = match &step.block.mark {
            Some(Mark::File(name)) => {
                format!("mkdir -p \"$(dirname '{name}')\"\ncp \"$blocks/{number}.block\" '{name}'")
            }
            _ if !step.block.is_run() => continue,
            Some(Mark::Background(text)) => background(&source, number, &ports.put_into(text)),
            Some(Mark::Again(text)) => {
                format!(
                    "follow_end_last\n{}",
                    background(&source, number, &ports.put_into(text))
                )
            }
            // As a condition, so that a command that fails is one that is not ready yet.
            Some(Mark::Until(text)) => format!(
                "for ((follow_try = 0; follow_try < 150; follow_try++)); do\n\
                 if {{ {source}\n}} {to} && grep -qF -- '{text}' \"$blocks/{number}.out\"; then break; fi\n\
                 sleep 0.2\ndone\ngrep -qF -- '{text}' \"$blocks/{number}.out\""
            ),
            _ => format!("{{ {source}\n}} {to}"),
        };
        writeln!(script, "echo {number} > \"$blocks/at\"\n{command}")?;
    }
    let path = blocks.join("page.sh");
    std::fs::write(&path, script)?;
    Ok(path)
}

fn background(source: &str, number: usize, text: &str) -> String {
    format!(
        "( {source} ) > \"$blocks/{number}.out\" 2>&1 < /dev/null &\nfollow_last=$!\n\
         follow_await {number} $! '{text}'"
    )
}

/// The step that the script had come to.
pub(super) fn reached<'a, 'b>(steps: &'b [Step<'a>], blocks: &Path) -> Option<&'b Step<'a>> {
    steps.get(read(&blocks.join("at")).trim().parse::<usize>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Runs a page and hands over its steps, where its blocks lie, and whether it came to a good end.
    fn run(text: &str, look: impl FnOnce(&[Step<'_>], &Path, bool)) {
        let folder = tempfile::tempdir().unwrap();
        let [blocks, work] = ["blocks", "work"].map(|name| folder.path().join(name));
        std::fs::create_dir(&blocks).unwrap();
        std::fs::create_dir(&work).unwrap();
        let page = Page::parse("p.md", text).unwrap();
        let steps = steps(&[&page]);
        let script = write(&steps, &blocks, &Ports::choose(None).unwrap()).unwrap();
        let ended = Command::new("bash")
            .arg(script)
            .current_dir(&work)
            .env("FOLLOW_BLOCKS", &blocks)
            .output()
            .unwrap();
        look(&steps, &blocks, ended.status.success());
    }

    #[test]
    fn a_block_finds_what_the_one_before_it_left() {
        let text = "```sh\nNAME=fern\nsay() { echo \"$1, $NAME\"; }\ncd ..\ncd work\n```\n\
            <!-- run: as file a/b.txt -->\n```text\nsaved\n```\n```sh\nsay hello\ncat a/b.txt\n```\n";
        run(text, |steps, blocks, good| {
            assert!(good);
            assert_eq!(steps[2].output(blocks), "hello, fern\nsaved\n");
        });
    }

    #[test]
    fn a_command_that_fails_ends_the_page_there() {
        run(
            "```sh\ntrue\n```\n```sh\nls no-such-file\necho on\n```\n```sh\necho after\n```\n",
            |steps, blocks, good| {
                assert!(!good);
                assert_eq!(reached(steps, blocks).unwrap().block.line, 4);
                assert!(steps[1].complaints(blocks).contains("no-such-file"));
                assert_eq!(steps[1].output(blocks) + &steps[2].output(blocks), "");
            },
        );
    }

    #[test]
    fn what_goes_on_is_waited_for_and_its_terminal_taken() {
        let text = "<!-- run: background until \"one\" -->\n```sh\necho one > said; echo one; sleep 60 &\n```\n\
            <!-- run: background again until \"two\" -->\n```sh\necho two; cat said\nsleep 60\n```\n\
            <!-- run: until \"here\" -->\n```sh\necho x >> tries\ntest \"$(wc -l < tries)\" -ge 3\necho here\n```\n\
            ```sh\nfollow_end_last\n```\n";
        run(text, |steps, blocks, good| {
            assert!(good, "{:?}", reached(steps, blocks).map(|step| step.block.line));
            assert!(steps[1].output(blocks).starts_with("two\none\n"));
            assert_eq!(steps[2].output(blocks), "here\n");
        });
        run(
            "<!-- run: background until \"five\" -->\n```sh\necho none\n```\n",
            |steps, blocks, good| {
                assert!(!good);
                assert!(steps[0].complaints(blocks).contains("it has ended"));
            },
        );
    }
}
