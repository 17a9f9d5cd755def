//! The directory tree: what is drawn exists, and every crate and every folder of the root is drawn.

use super::form::block;
use super::{Finding, Page, Repository};

/// How far each level is indented.
const INDENT: usize = 4;
const MEND: &str = "draw the tree as it is";

/// A path in the drawing, and its line there.
struct Drawn {
    line: usize,
    path: String,
    is_folder: bool,
}

pub(super) fn check(repository: &Repository, page: &Page) -> Vec<Finding> {
    let Some((first, text)) = block(page, 3, "bash") else {
        return Vec::new();
    };
    let drawn = drawn(first, text);
    let mut findings = Vec::new();
    for entry in &drawn {
        let there = if entry.is_folder {
            repository.has_folder(&entry.path)
        } else {
            repository.has_file(&entry.path)
        };
        if !there {
            let word = if entry.is_folder { "folder" } else { "file" };
            let what = format!("the {word} {} does not exist", entry.path);
            findings.push(Finding::new(&page.file, entry.line, what, MEND));
        }
    }
    let tops = repository.folders_below("").into_iter().map(str::to_owned);
    let crates = repository
        .folders_below("crates")
        .into_iter()
        .map(|name| format!("crates/{name}"));
    for folder in tops.chain(crates) {
        if !drawn.iter().any(|entry| entry.is_folder && entry.path == folder) {
            let what = format!("the folder {folder} is not in the tree");
            findings.push(Finding::new(&page.file, first, what, MEND));
        }
    }
    findings
}

/// Each line is an indentation drawn with lines, names (a folder's ends in `/`), and a comment after `#`. Several names of
/// one level may share a line. The first line is the root.
fn drawn(first: usize, text: &str) -> Vec<Drawn> {
    let mut above: Vec<String> = Vec::new();
    let mut drawn = Vec::new();
    for (index, line) in text.lines().enumerate().skip(1) {
        let names = line.split_once('#').map_or(line, |(names, _)| names);
        let is_drawing = |c: char| matches!(c, '│' | '├' | '└' | '─' | ' ' | '\u{a0}');
        let level = names.chars().take_while(|c| is_drawing(*c)).count() / INDENT;
        above.truncate(level.saturating_sub(1));
        let parent = above.join("/");
        for name in names.trim_start_matches(is_drawing).split_whitespace() {
            let is_folder = name.ends_with('/');
            let name = name.trim_end_matches('/');
            above.truncate(level.saturating_sub(1));
            above.push(name.to_owned());
            drawn.push(Drawn {
                line: first + index,
                path: if parent.is_empty() {
                    name.to_owned()
                } else {
                    format!("{parent}/{name}")
                },
                is_folder,
            });
        }
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_is_read_as_paths() {
        let text = "root/\n├── a/   # first\n│   ├── b/ c.md\n│   └── d/\n│       └── e.rs # last\n└── f/\n";
        let found: Vec<_> = drawn(10, text)
            .into_iter()
            .map(|entry| (entry.line, entry.path, entry.is_folder))
            .collect();
        let expected = [
            (11, "a", true),
            (12, "a/b", true),
            (12, "a/c.md", false),
            (13, "a/d", true),
            (14, "a/d/e.rs", false),
            (15, "f", true),
        ];
        assert_eq!(
            found,
            expected.map(|(line, path, folder)| (line, path.to_owned(), folder))
        );
    }
}
