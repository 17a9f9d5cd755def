//! `cargo xtask generate`: files in the repository that a program writes.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, bail, ensure};

use crate::{cargo, product};

/// Each generated file and the arguments of `postrider` that print it.
const DOCUMENTS: [Document; 4] = [
    Document {
        arguments: &["openapi"],
        file: "docs/openapi.json",
    },
    Document {
        arguments: &["permissions"],
        file: "docs/permissions.md",
    },
    Document {
        arguments: &["config", "schema"],
        file: "docs/configuration.schema.json",
    },
    Document {
        arguments: &["limits"],
        file: "docs/guide/limits.md",
    },
];

struct Document {
    arguments: &'static [&'static str],
    file: &'static str,
}

/// Options of the command.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Options {
    /// Write nothing; fail if a file is not current
    #[arg(long)]
    check: bool,
}

/// Writes the files, or checks that they are current.
pub fn run(options: Options) -> anyhow::Result<ExitCode> {
    let program = product::build(&["--package", "postrider", "--bin", "postrider"], "postrider")?;
    let root = cargo::workspace_root();
    let mut stale = false;
    for document in &DOCUMENTS {
        let text = print(&program, document)?;
        let path = root.join(document.file);
        let stored = std::fs::read_to_string(&path).ok();
        match difference(stored.as_deref(), &text) {
            None => println!("{}: current", document.file),
            Some(where_) if options.check => {
                stale = true;
                println!("{}: {where_}; run `cargo xtask generate`", document.file);
            }
            Some(_) => {
                write(&path, &text)?;
                println!("{}: written", document.file);
            }
        }
    }
    Ok(if stale {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn print(program: &Path, document: &Document) -> anyhow::Result<String> {
    let mut command = Command::new(program);
    command
        .args(document.arguments)
        .current_dir(cargo::workspace_root());
    let output = product::without_own_settings(&mut command)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("postrider could not be started")?;
    if !output.status.success() {
        bail!(
            "`postrider {}` failed ({})",
            document.arguments.join(" "),
            output.status
        );
    }
    let text = String::from_utf8(output.stdout).context("the output is not text")?;
    ensure!(
        !text.trim().is_empty(),
        "`postrider {}` prints nothing",
        document.arguments.join(" ")
    );
    Ok(format!("{}\n", text.trim_end()))
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, text).with_context(|| format!("could not write {}", path.display()))
}

/// Where the stored text first differs from what would be written now.
fn difference(stored: Option<&str>, text: &str) -> Option<String> {
    let Some(stored) = stored else {
        return Some("missing".to_owned());
    };
    if stored == text {
        return None;
    }
    let line = stored
        .lines()
        .zip(text.lines())
        .take_while(|(old, new)| old == new)
        .count();
    let at = |text: &str| text.lines().nth(line).unwrap_or("(end)").trim().to_owned();
    Some(format!(
        "differs from line {}: `{}` should be `{}`",
        line + 1,
        at(stored),
        at(text)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_named() {
        assert_eq!(difference(Some("a\nb\n"), "a\nb\n"), None);
        let said = difference(Some("a\nb\n"), "a\nc\n").unwrap();
        assert!(
            said.contains("line 2") && said.contains("`b`") && said.contains("`c`"),
            "{said}"
        );
        assert!(difference(Some("a\n"), "a\nb\n").unwrap().contains("(end)"));
        assert_eq!(difference(None, "a\n").as_deref(), Some("missing"));
    }
}
