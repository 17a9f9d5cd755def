//! Marks: comments beside a block that readers do not see, and that say how it is run. There are no others than these.

use anyhow::{Context, bail, ensure};

const BEGIN: &str = "<!-- run: ";
const END: &str = " -->";

/// What a mark says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mark {
    /// `background until "TEXT"`: it does not end; what follows waits until it has said this.
    Background(String),
    /// `background again until "TEXT"`: likewise, in the terminal of the last one, which is ended first.
    Again(String),
    /// `until "TEXT"`: again and again until it says this, as somebody would who waits for something.
    Until(String),
    /// `as file NAME`: the block is saved under this name before the page is followed.
    File(String),
    /// `compare`: the block is what the one before it prints.
    Compare,
    /// `compare background`: the block is what the last one in the background printed first.
    CompareBackground,
    /// `by WHAT`: not here, but there.
    By(Elsewhere),
    /// `after PAGE`: the page goes on where that page ended; not beside a block.
    After(String),
}

/// Where a block is run that is not run here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Elsewhere {
    /// `cargo xtask NAME`.
    Chore(String),
    /// `test NAME`: a Rust test.
    Test(String),
    /// A script of the repository.
    Script(String),
}

/// The mark in this line; `None` if it holds none.
pub(super) fn parse(line: &str) -> anyhow::Result<Option<Mark>> {
    let Some(rest) = line.trim().strip_prefix(BEGIN) else {
        ensure!(!line.contains("<!-- run"), "not a mark: {}", line.trim());
        return Ok(None);
    };
    let words = rest.strip_suffix(END).context("a mark ends with ` -->`")?.trim();
    Ok(Some(if words == "compare" {
        Mark::Compare
    } else if words == "compare background" {
        Mark::CompareBackground
    } else if let Some(text) = words.strip_prefix("background until ") {
        Mark::Background(quoted(text)?)
    } else if let Some(text) = words.strip_prefix("background again until ") {
        Mark::Again(quoted(text)?)
    } else if let Some(text) = words.strip_prefix("until ") {
        Mark::Until(quoted(text)?)
    } else if let Some(name) = words.strip_prefix("as file ") {
        Mark::File(file_name(name)?)
    } else if let Some(page) = words.strip_prefix("after ") {
        Mark::After(page.to_owned())
    } else if let Some(place) = words.strip_prefix("by ") {
        Mark::By(elsewhere(place))
    } else {
        bail!("there is no mark `{words}`");
    }))
}

fn quoted(text: &str) -> anyhow::Result<String> {
    let inner = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .filter(|text| !text.is_empty() && !text.contains('\''))
        .context("a mark's text stands between double quotes, and has no single one")?;
    Ok(inner.to_owned())
}

/// Below the page's folder, and nowhere else.
fn file_name(name: &str) -> anyhow::Result<String> {
    let plain = |part: &str| !part.is_empty() && !part.starts_with('.');
    ensure!(name.split('/').all(plain), "`{name}` is no name of a file");
    Ok(name.to_owned())
}

fn elsewhere(place: &str) -> Elsewhere {
    if let Some(chore) = place.strip_prefix("cargo xtask ") {
        Elsewhere::Chore(chore.to_owned())
    } else if let Some(test) = place.strip_prefix("test ") {
        Elsewhere::Test(test.to_owned())
    } else {
        Elsewhere::Script(place.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(words: &str) -> Mark {
        parse(&format!("<!-- run: {words} -->")).unwrap().unwrap()
    }

    #[test]
    fn marks_say_how() {
        assert_eq!(mark("compare"), Mark::Compare);
        assert_eq!(mark("compare background"), Mark::CompareBackground);
        assert_eq!(
            mark("background until \"ready now\""),
            Mark::Background("ready now".to_owned())
        );
        assert_eq!(mark("background again until \"x\""), Mark::Again("x".to_owned()));
        assert_eq!(mark("until \"x\""), Mark::Until("x".to_owned()));
        assert_eq!(mark("as file src/main.rs"), Mark::File("src/main.rs".to_owned()));
        assert_eq!(mark("after a.md"), Mark::After("a.md".to_owned()));
        assert_eq!(
            mark("by .ci/run"),
            Mark::By(Elsewhere::Script(".ci/run".to_owned()))
        );
        assert_eq!(
            mark("by cargo xtask test"),
            Mark::By(Elsewhere::Chore("test".to_owned()))
        );
        assert_eq!(
            mark("by test a_name"),
            Mark::By(Elsewhere::Test("a_name".to_owned()))
        );
    }

    #[test]
    fn nothing_else_is_a_mark() {
        assert_eq!(parse("<!-- a comment -->").unwrap(), None);
        for wrong in [
            "never",
            "until x",
            "until \"\"",
            "as file ../x",
            "as file /x",
            "background",
        ] {
            assert!(parse(&format!("<!-- run: {wrong} -->")).is_err(), "{wrong}");
        }
        assert!(parse("<!-- run:compare -->").is_err());
        assert!(parse("<!-- run: compare").is_err());
    }
}
