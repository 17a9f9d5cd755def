//! Where files lie and what stands in them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use super::rules::{Restricted, Rules, fits};
use super::{FILE, Finding};

/// The files of the repository, as git would take them.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The root folder.
    pub root: PathBuf,
    /// Paths from the root, with `/`; tracked files and new ones that are not ignored.
    pub files: Vec<String>,
}

impl Sources {
    /// Lists the files: by git, or by walking where git knows of none. An error if there are none at all: whatever is
    /// checked of no files passes.
    pub fn list(root: &Path) -> anyhow::Result<Self> {
        let mut files = by_git(root);
        if files.is_empty() {
            walk(root, root, &mut files).context("could not list the files")?;
        }
        ensure!(!files.is_empty(), "{} holds no files", root.display());
        Ok(Self {
            root: root.to_path_buf(),
            files: files.into_iter().collect(),
        })
    }

    fn rust(&self) -> impl Iterator<Item = &String> {
        self.files.iter().filter(|file| {
            Path::new(file)
                .extension()
                .is_some_and(|extension| extension == "rs")
        })
    }
}

/// None if there is no git, or if a repository around the folder ignores it.
fn by_git(root: &Path) -> BTreeSet<String> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .stderr(Stdio::null())
        .output()
        .ok()
        .filter(|output| output.status.success());
    let names = listed.map_or_else(Vec::new, |output| output.stdout);
    String::from_utf8_lossy(&names)
        .split('\0')
        // A file deleted but not yet committed is still listed.
        .filter(|name| !name.is_empty() && root.join(name).exists())
        .map(str::to_owned)
        .collect()
}

/// Without git nothing tells what is ignored; build and data folders are known by name.
fn walk(root: &Path, folder: &Path, files: &mut BTreeSet<String>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            let left_out =
                name == ".git" || (folder == root && (name.starts_with("target") || name == "data"));
            if !left_out {
                walk(root, &path, files)?;
            }
        } else if let Ok(inside) = path.strip_prefix(root) {
            files.insert(inside.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

/// What lies at the top of the repository and should not.
pub fn check_layout(rules: &Rules, sources: &Sources) -> Vec<Finding> {
    let tops: BTreeSet<(bool, &str)> = sources
        .files
        .iter()
        .map(|file| {
            file.split_once('/')
                .map_or((false, file.as_str()), |(folder, _)| (true, folder))
        })
        .collect();
    let known = |is_folder: bool, name: &str| {
        let list = if is_folder {
            &rules.layout.folders
        } else {
            &rules.layout.files
        };
        name.starts_with('.') || list.iter().any(|allowed| allowed == name)
    };
    tops.into_iter()
        .filter(|(is_folder, name)| !known(*is_folder, name))
        .map(|(is_folder, name)| {
            Finding::violation(
                format!("{name}{} at the top of the repository", if is_folder { "/" } else { "" }),
                format!("only these folders: {}, and the usual files", rules.layout.folders.join(", ")),
                format!("move it into one of them (documents: docs/; deployment: deploy/), or see [layout] in {FILE}"),
            )
        })
        .collect()
}

/// What stands in Rust files and should not, and rules about words that stand nowhere.
pub fn check_sources(rules: &Rules, sources: &Sources) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut unmet: BTreeSet<&String> = rules.restricted.keys().collect();
    for file in sources.rust() {
        let bytes =
            std::fs::read(sources.root.join(file)).with_context(|| format!("could not read {file}"))?;
        let text = String::from_utf8_lossy(&bytes);
        findings.extend(check_text(rules, file, &text));
        unmet.retain(|word| !code_lines(&text).any(|(_, line)| has_word(line, word).next().is_some()));
    }
    findings.extend(unmet.into_iter().map(|word| {
        Finding::violation(
            format!("{FILE} restricts {word}, which stands in no file"),
            "a rule about a word that is gone holds nothing",
            "name what took its place, or remove the rule",
        )
    }));
    Ok(findings)
}

/// With their numbers, from 1; lines that are comments are left out.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    numbered.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn check_text(rules: &Rules, file: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let limit = rules.sources.long_file_lines;
    let length = text.lines().count();
    if length > limit {
        findings.push(Finding::warning(
            format!("{file} has {length} lines"),
            format!("a file of more than {limit} lines is about more than one thing"),
            "split it by what its parts are about",
        ));
    }
    for (number, line) in code_lines(text) {
        let place = format!("{file}:{number}");
        for name in &rules.sources.forbidden_macros {
            if has_word(line, name).any(|end| line[end..].starts_with("!(")) {
                findings.push(Finding::violation(
                    format!("{place}: {name}!"),
                    "nothing unfinished is committed",
                    "finish it, or return an error that says what is missing",
                ));
            }
        }
        for (word, restricted) in &rules.restricted {
            if has_word(line, word).next().is_some() && !is_allowed(restricted, file) {
                findings.push(Finding::violation(
                    format!("{place}: {word}"),
                    format!(
                        "{} (allowed in: {})",
                        restricted.reason,
                        restricted.allowed.join(", ")
                    ),
                    format!("send a command or query instead, or see [restricted.{word}] in {FILE}"),
                ));
            }
        }
    }
    findings
}

fn is_allowed(restricted: &Restricted, file: &str) -> bool {
    restricted
        .allowed
        .iter()
        .any(|place| fits(place, file) || (place.ends_with('/') && file.starts_with(place)))
}

/// Where a word ends, for each time it stands in the line as a word of its own.
fn has_word<'a>(line: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part_of_a_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).filter_map(move |(start, _)| {
        let end = start + word.len();
        let alone = !line[..start].ends_with(part_of_a_name) && !line[end..].starts_with(part_of_a_name);
        alone.then_some(end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        Rules::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("arch.toml")).unwrap()
    }

    fn found(file: &str, text: &str) -> Vec<String> {
        check_text(&rules(), file, text)
            .into_iter()
            .map(|finding| finding.what)
            .collect()
    }

    #[test]
    fn unfinished_code_is_found_with_its_place() {
        let line = format!("    {}!(\"later\")", "todo");
        assert_eq!(
            found("crates/x/src/lib.rs", &format!("fn f() {{\n{line}\n}}\n")),
            ["crates/x/src/lib.rs:2: todo!"]
        );
        assert_eq!(
            found("crates/x/src/lib.rs", &format!("// {line}\n")),
            Vec::<String>::new()
        );
        assert_eq!(
            found("crates/x/src/lib.rs", "my_todo!(); todos();"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_port_with_few_users_is_kept_to_them() {
        // Put together here, because this file is searched too.
        let queue = ["Delivery", "Queue"].concat();
        let line = &format!("use postrider_application::{queue};\n");
        assert_eq!(found("crates/api/src/routes/messages.rs", line).len(), 1);
        assert_eq!(found("crates/engine/src/lib.rs", line), Vec::<String>::new());
        assert_eq!(found("crates/api/src/composition.rs", line), Vec::<String>::new());
        assert_eq!(
            found("crates/api/src/composition/stores.rs", line),
            Vec::<String>::new()
        );
        assert_eq!(
            found("crates/api/src/lib.rs", &format!("struct {queue}Depth;\n")),
            Vec::<String>::new()
        );
        assert_eq!(
            found("crates/api/src/lib.rs", &format!("/// See `{queue}`.\n")),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_rule_about_a_word_that_is_gone_is_found() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("src")).unwrap();
        let found = |text: &str| {
            std::fs::write(folder.path().join("src/a.rs"), text).unwrap();
            let mut rules = rules();
            for restricted in rules.restricted.values_mut() {
                restricted.allowed.push("src/".to_owned());
            }
            let findings = check_sources(&rules, &Sources::list(folder.path()).unwrap()).unwrap();
            findings
                .into_iter()
                .map(|finding| finding.what)
                .collect::<Vec<_>>()
        };
        let all: Vec<String> = rules().restricted.into_keys().collect();
        assert_eq!(
            found(&format!("use x::{{{}}};", all.join(", "))),
            Vec::<String>::new()
        );
        assert!(!all.is_empty());
        assert_eq!(found(&format!("// {}", all.join(" "))).len(), all.len());
    }

    #[test]
    fn a_long_file_is_only_a_warning() {
        let findings = check_text(&rules(), "crates/x/src/lib.rs", &"\n".repeat(451));
        assert!(findings.len() == 1 && findings[0].is_warning);
    }

    #[test]
    fn the_top_of_the_repository_is_kept_tidy() {
        let files = [
            "crates/x/src/lib.rs",
            ".github/workflows/ci.yml",
            "README.md",
            "scripts/a.sh",
            "notes.txt",
        ];
        let sources = Sources {
            root: PathBuf::new(),
            files: files.map(str::to_owned).to_vec(),
        };
        let findings = check_layout(&rules(), &sources);
        let whats: Vec<&str> = findings.iter().map(|finding| finding.what.as_str()).collect();
        assert_eq!(
            whats,
            [
                "notes.txt at the top of the repository",
                "scripts/ at the top of the repository"
            ]
        );
    }

    #[test]
    fn without_git_the_folder_is_walked() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["src/a.rs", "target/b.rs", "data/dev/c"] {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        assert_eq!(Sources::list(folder.path()).unwrap().files, ["src/a.rs"]);
    }

    #[test]
    fn a_folder_that_a_repository_around_it_ignores_is_walked() {
        let around = tempfile::tempdir().unwrap();
        let inner = around.path().join("unpacked");
        std::fs::create_dir(&inner).unwrap();
        std::fs::write(around.path().join(".gitignore"), "unpacked\n").unwrap();
        let git = Command::new("git")
            .args(["init", "--quiet"])
            .current_dir(around.path())
            .status();
        assert!(git.unwrap().success());
        assert!(Sources::list(&inner).is_err(), "nothing is no list");
        std::fs::write(inner.join("a.rs"), "").unwrap();
        assert_eq!(Sources::list(&inner).unwrap().files, ["a.rs"]);
    }
}
