//! The form of docs/architecture.md: its sections, its length, what a line may be, its blocks.

use super::Finding;
use super::markdown::{Kind, Line, Page};

/// A document on one page.
const MOST_LINES: usize = 250;
/// The sections in their order, and the parts that each must name.
const SECTIONS: [(&str, &[&str]); 15] = [
    ("Tech Stack", &[]),
    ("Architecture Pattern Chosen", &[]),
    ("Directory Structure", &[]),
    (
        "CQRS Design",
        &[
            "command objects",
            "query objects",
            "handler structure",
            "mediator",
        ],
    ),
    ("Domain Model", &["aggregates", "entities", "value objects"]),
    ("Domain Events", &[]),
    ("Event Flow Diagram", &[]),
    ("Multi-Tenancy Strategy", &[]),
    (
        "Authorization Strategy",
        &["role-based", "permission-based", "resource-based"],
    ),
    ("Caching Strategy", &[]),
    ("Middleware / Request Pipeline Order", &[]),
    ("API Specification", &[]),
    ("Data Model", &[]),
    ("Observability Plan", &[]),
    ("Standards", &[]),
];
/// The only blocks: in which section, of which language.
const BLOCKS: [(usize, &str); 4] = [(3, "bash"), (7, "mermaid"), (12, "rust"), (13, "rust")];
/// How the diagram begins.
const DIAGRAM: &str = "flowchart TD";

/// A section of the document: its lines, and the blocks in it.
pub(super) struct Section<'a> {
    /// Of its heading.
    pub(super) line: usize,
    pub(super) lines: &'a [Line],
}

impl<'a> Section<'a> {
    pub(super) fn rows(&self) -> impl Iterator<Item = &'a Line> + use<'a> {
        self.lines.iter().filter(|line| line.kind == Kind::Row)
    }
}

/// The section with this number (from 1), by its title; none if it is not there.
pub(super) fn section(page: &Page, number: usize) -> Option<Section<'_>> {
    let title = title(number);
    let mut seconds = page.headings.iter().filter(|heading| heading.level <= 2);
    let start = seconds
        .find(|heading| heading.level == 2 && heading.title == title)?
        .line;
    let end = seconds.next().map_or(page.lines.len(), |next| next.line - 1);
    Some(Section {
        line: start,
        lines: &page.lines[start..end],
    })
}

/// The first block of that language in that section: where its text begins, and the text.
pub(super) fn block<'a>(page: &'a Page, number: usize, language: &str) -> Option<(usize, &'a str)> {
    let section = section(page, number)?;
    let last = section.line + section.lines.len();
    page.blocks
        .iter()
        .find(|block| block.language == language && (section.line..=last).contains(&block.line))
        .map(|block| (block.line + 1, block.text.as_str()))
}

fn title(number: usize) -> String {
    format!("{number}. {}", SECTIONS[number - 1].0)
}

pub(super) fn check(page: &Page) -> Vec<Finding> {
    let mut findings = sections(page);
    findings.extend(parts(page));
    findings.extend(blocks(page));
    let length = page.lines.len();
    if length > MOST_LINES {
        findings.push(Finding::new(
            &page.file,
            length,
            format!("{length} lines, and at most {MOST_LINES} are allowed"),
            "say it shorter",
        ));
    }
    for line in page.lines.iter().filter(|line| line.kind == Kind::Prose) {
        findings.push(Finding::new(
            &page.file,
            line.number,
            "a prose paragraph",
            "make it a list item, a row of a table or a heading",
        ));
    }
    findings
}

fn sections(page: &Page) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut finding = |line, what: String, mend: &str| {
        findings.push(Finding::new(&page.file, line, what, mend));
    };
    let seconds: Vec<_> = page
        .headings
        .iter()
        .filter(|heading| heading.level == 2)
        .collect();
    let mut last = 0;
    for number in 1..=SECTIONS.len() {
        let title = title(number);
        let places: Vec<_> = seconds.iter().filter(|heading| heading.title == title).collect();
        match places.as_slice() {
            [] => finding(
                page.lines.len().max(1),
                format!("the section \"## {title}\" is missing"),
                "add it in its place",
            ),
            [one] if one.line < last => finding(
                one.line,
                format!(
                    "the section \"## {title}\" stands before \"## {}\"",
                    self::title(number - 1)
                ),
                "bring the sections into their order",
            ),
            [one] => last = one.line,
            [_, again, ..] => finding(
                again.line,
                format!("the section \"## {title}\" stands twice"),
                "join them",
            ),
        }
    }
    for heading in seconds {
        if !(1..=SECTIONS.len()).any(|number| title(number) == heading.title) {
            finding(
                heading.line,
                format!("\"## {}\" is none of the fixed sections", heading.title),
                "put what it says into one of them",
            );
        }
    }
    findings
}

fn parts(page: &Page) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, (title, parts)) in SECTIONS.iter().enumerate() {
        let Some(section) = section(page, index + 1) else {
            continue;
        };
        let text: Vec<_> = section
            .lines
            .iter()
            .map(|line| line.text.to_lowercase())
            .collect();
        for part in parts
            .iter()
            .filter(|part| !text.iter().any(|line| line.contains(**part)))
        {
            findings.push(Finding::new(
                &page.file,
                section.line,
                format!("\"{title}\" says nothing of {part}"),
                "name them",
            ));
        }
    }
    findings
}

fn blocks(page: &Page) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, language) in BLOCKS {
        let Some(section) = section(page, number) else {
            continue;
        };
        match block(page, number, language) {
            None => findings.push(Finding::new(
                &page.file,
                section.line,
                format!("\"{}\" has no {language} block", SECTIONS[number - 1].0),
                "it must have one",
            )),
            Some((line, text))
                if language == "mermaid" && text.lines().next().map(str::trim) != Some(DIAGRAM) =>
            {
                findings.push(Finding::new(
                    &page.file,
                    line,
                    format!("the diagram is no {DIAGRAM}"),
                    format!("begin it with `{DIAGRAM}`"),
                ));
            }
            Some(_) => {}
        }
    }
    let wanted: Vec<_> = BLOCKS
        .iter()
        .filter_map(|(number, language)| block(page, *number, language))
        .map(|(line, _)| line - 1)
        .collect();
    for other in page.blocks.iter().filter(|block| !wanted.contains(&block.line)) {
        findings.push(Finding::new(
            &page.file,
            other.line,
            format!("a {} block that has no place here", other.language),
            "allowed are one bash in 3, one mermaid in 7, one rust in 12 and one in 13",
        ));
    }
    findings
}
