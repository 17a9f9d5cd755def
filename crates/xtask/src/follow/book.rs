//! All pages that are followed, and the rules that hold without running anything.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, ensure};

use super::marks::{Elsewhere, Mark};
use super::page::Page;
use super::routes::{self, Routes};

const FRONT: &str = "README.md";
const GUIDE: &str = "docs/guide";
const CONTENTS: &str = "docs/guide/README.md";
const CHORE: &str = "cargo xtask ";
/// Where the chores are listed.
const CHORES: &str = "crates/xtask/src/main.rs";

/// The pages, in the order of the table of contents.
#[derive(Debug)]
pub(super) struct Book {
    /// Them.
    pub(super) pages: Vec<Page>,
    findings: Vec<String>,
}

impl Book {
    /// Reads all pages below this root.
    pub(super) fn read(root: &Path) -> anyhow::Result<Self> {
        let mut book = Self {
            pages: Vec::new(),
            findings: Vec::new(),
        };
        let contents = text(root, CONTENTS)?;
        let mut paths = vec![FRONT.to_owned(), CONTENTS.to_owned()];
        let named = links(&contents).into_iter().filter(|link| !link.contains('/'));
        for path in named.map(|link| format!("{GUIDE}/{link}")) {
            if root.join(&path).is_file() && !paths.contains(&path) {
                paths.push(path);
            }
        }
        for name in pages_of_folder(root)? {
            let path = format!("{GUIDE}/{name}");
            // Nobody links to it; it is followed all the same.
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
        let chores = text(root, CHORES)?;
        let routes = Routes::of(&text(root, routes::DOCUMENT)?)?;
        for path in paths {
            let text = text(root, &path)?;
            let unknown = routes.unknown(&text).into_iter();
            book.findings
                .extend(unknown.map(|route| format!("{path}: the API has no `{route}`")));
            book.look_at_chores(&path, &text, &chores);
            match Page::parse(&path, &text) {
                Ok(page) => book.pages.push(page),
                Err(error) => book.findings.push(format!("{error:#}")),
            }
        }
        book.look_at_marks(root, &chores)?;
        Ok(book)
    }

    /// What cannot be followed.
    pub(super) fn findings(&self) -> &[String] {
        &self.findings
    }

    /// The pages whose blocks are run to follow this one: it, and before it the one that it goes on from.
    pub(super) fn way_to<'a>(&'a self, page: &'a Page) -> anyhow::Result<Vec<&'a Page>> {
        let Some(name) = &page.after else {
            return Ok(vec![page]);
        };
        let before = self
            .pages
            .iter()
            .find(|other| other.path == format!("{GUIDE}/{name}"))
            .with_context(|| format!("{}: goes on from {name}, which is not in the guide", page.path))?;
        ensure!(
            before.after.is_none(),
            "{}: goes on from {name}, which goes on from another page itself",
            page.path
        );
        Ok(vec![before, page])
    }

    /// Every chore that a page names exists.
    fn look_at_chores(&mut self, path: &str, text: &str, chores: &str) {
        for rest in text.split(CHORE).skip(1) {
            let name: String = rest
                .chars()
                .take_while(|letter| letter.is_ascii_lowercase() || *letter == '-')
                .collect();
            if name.starts_with(|first: char| first.is_ascii_lowercase()) && !has_chore(chores, &name) {
                self.findings.push(format!("{path}: there is no `{CHORE}{name}`"));
            }
        }
    }

    /// What marks name exists.
    fn look_at_marks(&mut self, root: &Path, chores: &str) -> anyhow::Result<()> {
        let mut tests = None;
        let mut findings = Vec::new();
        for page in &self.pages {
            if let Err(error) = self.way_to(page) {
                findings.push(format!("{error:#}"));
            }
            for block in &page.blocks {
                let Some(Mark::By(place)) = &block.mark else {
                    continue;
                };
                let is_there = match place {
                    Elsewhere::Chore(name) => has_chore(chores, name),
                    Elsewhere::Script(path) => root.join(path).is_file(),
                    Elsewhere::Test(name) => {
                        if tests.is_none() {
                            tests = Some(all_tests(root)?);
                        }
                        tests.as_ref().is_some_and(|tests| tests.contains(name))
                    }
                };
                if !is_there {
                    findings.push(format!(
                        "{}:{}: there is nothing like {place:?}",
                        page.path, block.line
                    ));
                }
            }
        }
        self.findings.append(&mut findings);
        Ok(())
    }
}

fn text(root: &Path, path: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(root.join(path)).with_context(|| path.to_owned())
}

fn pages_of_folder(root: &Path) -> anyhow::Result<BTreeSet<String>> {
    let entries = std::fs::read_dir(root.join(GUIDE)).context(GUIDE)?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let names: BTreeSet<String> = names.collect::<anyhow::Result<_>>()?;
    Ok(names
        .into_iter()
        .filter(|name| {
            Path::new(name)
                .extension()
                .is_some_and(|extension| extension == "md")
        })
        .collect())
}

/// Links to files of the repository, outside of blocks, without what they name inside of the file.
fn links(text: &str) -> Vec<String> {
    let mut inside = false;
    let lines = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        inside ^= fence;
        !inside && !fence
    });
    lines
        .flat_map(|line| line.split("](").skip(1))
        .filter_map(|rest| rest.split_once(')'))
        .map(|(link, _)| link.split('#').next().unwrap_or_default().to_owned())
        .filter(|link| !link.is_empty() && !link.contains("://") && !link.starts_with("mailto:"))
        .collect()
}

/// `check-deploy` is `CheckDeploy` there.
fn has_chore(chores: &str, name: &str) -> bool {
    let variant: String = name
        .split('-')
        .map(|word| {
            let (first, rest) = word.split_at(word.len().min(1));
            first.to_ascii_uppercase() + rest
        })
        .collect();
    chores.lines().any(|line| {
        line.trim()
            .strip_prefix(&variant)
            .is_some_and(|rest| rest.starts_with('(') || rest == ",")
    })
}

/// The names of all functions below `#[test]` or one of its relatives; other attributes may stand between them.
fn all_tests(root: &Path) -> anyhow::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let mut folders = vec![root.join("crates"), root.join("migrations")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path)?;
                names.extend(tests_of(&text));
            }
        }
    }
    Ok(names)
}

fn tests_of(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut expected = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[") && line.contains("test]") {
            expected = true;
        } else if expected && let Some((_, rest)) = line.split_once("fn ") {
            expected = false;
            found.extend(rest.split_once('(').map(|(name, _)| name.to_owned()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cargo;

    /// README and guide as they are now.
    #[test]
    fn every_block_is_run_here_or_where_its_mark_says() {
        let book = Book::read(&cargo::workspace_root()).unwrap();
        assert!(book.findings().is_empty(), "{}", book.findings().join("\n"));
        let run = book
            .pages
            .iter()
            .flat_map(|page| &page.blocks)
            .filter(|block| block.is_run());
        assert!(run.count() > 0);
    }

    fn book(readme: &str, contents: &str, page: &str) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in [
            (FRONT, readme),
            (CONTENTS, contents),
            ("docs/guide/one.md", page),
            (CHORES, "enum Command {\n    CheckDeploy(deploy::Options),\n}\n"),
            (routes::DOCUMENT, r#"{"paths":{"/v1/me":{"get":{}}}}"#),
            ("migrations/src/lib.rs", "#[test]\nfn it_holds() {}\n"),
        ] {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        std::fs::create_dir_all(root.path().join("crates")).unwrap();
        Book::read(root.path()).unwrap().findings
    }

    #[test]
    fn what_pages_name_exists() {
        let good = "`cargo xtask check-deploy`, `cargo xtask --help`\n\n<!-- run: by test it_holds -->\n```sh\nx\n```\n";
        assert_eq!(book(good, "[one](one.md#part)", good), Vec::<String>::new());
        for (wrong, why) in [
            ("`cargo xtask no-such`", "no `cargo xtask no-such`"),
            ("`GET /v1/you`", "no `GET /v1/you`"),
            (
                "<!-- run: by cargo xtask nothing -->\n```sh\nx\n```\n",
                "nothing like",
            ),
            (
                "<!-- run: by test that_is_not_there -->\n```sh\nx\n```\n",
                "nothing like",
            ),
            ("<!-- run: by no/script -->\n```sh\nx\n```\n", "nothing like"),
            ("<!-- run: after two.md -->\n", "not in the guide"),
            ("```console\n$ x\n```\n", "write `sh`"),
        ] {
            let findings = book("", "[one](one.md)", wrong);
            assert!(
                findings.iter().any(|finding| finding.contains(why)),
                "{wrong}: {findings:?}"
            );
        }
    }
}
