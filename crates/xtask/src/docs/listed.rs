//! Names that a section lists, compared with those of the code.

use std::collections::BTreeMap;

use super::code::Named;
use super::form::{Section, section};
use super::markdown::{cells, code_spans};
use super::{Finding, Page};

/// Use cases: what stands in backticks in the rows of section 4 and is named as a type is.
pub(super) fn use_cases(page: &Page, there: &[Named]) -> Vec<Finding> {
    let is_type = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_uppercase()) && name.chars().all(|c| c.is_ascii_alphanumeric())
    };
    section(page, 4).map_or_else(Vec::new, |section| {
        let listed = in_rows(&section, is_type);
        compare(page, &section, "use case", there, &listed)
    })
}

/// Events: what stands in backticks in section 6 and is named as an event is.
pub(super) fn events(page: &Page, there: &[Named]) -> Vec<Finding> {
    let is_word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let is_event = |name: &str| {
        name.split_once('.')
            .is_some_and(|(aggregate, verb)| is_word(aggregate) && is_word(verb))
    };
    section(page, 6).map_or_else(Vec::new, |section| {
        let listed = in_rows(&section, is_event);
        compare(page, &section, "event", there, &listed)
    })
}

/// Stations: what stands in backticks in the second column of section 11, from the outside in.
pub(super) fn stations(page: &Page, there: &[Named]) -> Vec<Finding> {
    let Some(section) = section(page, 11) else {
        return Vec::new();
    };
    let mut listed = section.rows().flat_map(|row| {
        let station = cells(&row.text).get(1).copied().unwrap_or_default();
        code_spans(station)
            .into_iter()
            .map(move |name| (row.number, name))
    });
    let mend = "bring the table into the order of the code, from the outside in";
    for place in there {
        let (line, what) = match listed.next() {
            Some((_, name)) if name == place.name => continue,
            Some((line, name)) => (
                line,
                format!("`{name}` stands where the code has `{}`", place.name),
            ),
            None => (section.line, format!("the station `{}` is missing", place.name)),
        };
        let what = format!("{what} ({}:{})", place.file, place.line);
        return vec![Finding::new(&page.file, line, what, mend)];
    }
    listed
        .map(|(line, name)| {
            let what = format!("`{name}` is no station of the code, or comes after its last");
            Finding::new(&page.file, line, what, mend)
        })
        .collect()
}

fn in_rows<'a>(section: &Section<'a>, wanted: impl Fn(&str) -> bool) -> BTreeMap<&'a str, usize> {
    let mut listed = BTreeMap::new();
    for row in section.rows() {
        for name in code_spans(&row.text).into_iter().filter(|name| wanted(name)) {
            listed.entry(name).or_insert(row.number);
        }
    }
    listed
}

fn compare(
    page: &Page,
    section: &Section<'_>,
    word: &str,
    there: &[Named],
    listed: &BTreeMap<&str, usize>,
) -> Vec<Finding> {
    let missing = there
        .iter()
        .filter(|named| !listed.contains_key(named.name.as_str()));
    let mut findings: Vec<_> = missing
        .map(|named| {
            let what = format!(
                "the {word} `{}` ({}:{}) is not listed",
                named.name, named.file, named.line
            );
            Finding::new(&page.file, section.line, what, "add it to this section's table")
        })
        .collect();
    let no_other = listed
        .iter()
        .filter(|(name, _)| !there.iter().any(|named| named.name == **name));
    findings.extend(no_other.map(|(name, line)| {
        let what = format!("`{name}` is no {word} of the code");
        Finding::new(
            &page.file,
            *line,
            what,
            "take it out of the table, or name it as the code does",
        )
    }));
    findings
}
