//! Markdown, as far as it is compared with something: lines by what they are, headings, blocks, code spans, links.

use std::collections::BTreeMap;

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Blank,
    Heading,
    Item,
    /// Of a list item: indented, and directly below it.
    Continuation,
    Row,
    /// The fence of a block, or what stands between two.
    Code,
    Prose,
}

/// A line of a page.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// From 1.
    pub(super) number: usize,
    pub(super) kind: Kind,
    pub(super) text: String,
}

/// A heading.
#[derive(Debug, Clone)]
pub(super) struct Heading {
    pub(super) line: usize,
    pub(super) level: usize,
    pub(super) title: String,
}

/// A fenced block.
#[derive(Debug, Clone)]
pub(super) struct Block {
    /// Of its opening fence.
    pub(super) line: usize,
    pub(super) language: String,
    pub(super) text: String,
}

/// A link, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) line: usize,
    pub(super) target: String,
}

/// A Markdown file.
#[derive(Debug, Clone)]
pub(super) struct Page {
    /// From the root.
    pub(super) file: String,
    pub(super) lines: Vec<Line>,
    pub(super) headings: Vec<Heading>,
    pub(super) blocks: Vec<Block>,
}

impl Page {
    pub(super) fn parse(file: &str, text: &str) -> Self {
        let mut page = Self {
            file: file.to_owned(),
            lines: Vec::new(),
            headings: Vec::new(),
            blocks: Vec::new(),
        };
        let mut fence: Option<String> = None;
        let mut above = Kind::Blank;
        for (index, text) in text.lines().enumerate() {
            let number = index + 1;
            let kind = match &fence {
                Some(open) => {
                    if closes(text, open) {
                        fence = None;
                    } else if let Some(block) = page.blocks.last_mut() {
                        block.text.push_str(text);
                        block.text.push('\n');
                    }
                    Kind::Code
                }
                None => match opened(text) {
                    Some((marks, language)) => {
                        page.blocks.push(Block {
                            line: number,
                            language,
                            text: String::new(),
                        });
                        fence = Some(marks);
                        Kind::Code
                    }
                    None => kind_of(text, above),
                },
            };
            if kind == Kind::Heading {
                let level = text.bytes().take_while(|byte| *byte == b'#').count();
                page.headings.push(Heading {
                    line: number,
                    level,
                    title: text[level..].trim().to_owned(),
                });
            }
            above = kind;
            page.lines.push(Line {
                number,
                kind,
                text: text.to_owned(),
            });
        }
        page
    }

    /// Names that links may end in: GitHub's, of headings; and those given in HTML.
    pub(super) fn anchors(&self) -> Vec<String> {
        let mut seen = BTreeMap::<String, usize>::new();
        let mut anchors: Vec<String> = self
            .headings
            .iter()
            .map(|heading| {
                let slug = slug(&heading.title);
                let times = seen.entry(slug.clone()).or_default();
                *times += 1;
                match *times {
                    1 => slug,
                    more => format!("{slug}-{}", more - 1),
                }
            })
            .collect();
        for line in self.lines.iter().filter(|line| line.kind != Kind::Code) {
            for attribute in ["<a id=\"", "<a name=\""] {
                let named = line.text.split(attribute).skip(1);
                anchors
                    .extend(named.filter_map(|rest| rest.split_once('"').map(|(name, _)| name.to_owned())));
            }
        }
        anchors
    }

    /// Links outside of code, with the definitions of references; and references that are defined nowhere, as `[label]`.
    pub(super) fn links(&self) -> Vec<Link> {
        let plain = self.without_code();
        let mut links = Vec::new();
        let mut labels = Vec::new();
        for (line, text) in &plain {
            if let Some((label, target)) = definition(text) {
                labels.push(label.to_lowercase());
                links.push(Link {
                    line: *line,
                    target: target.to_owned(),
                });
            }
            for (at, _) in text.match_indices("](") {
                if let Some(target) = target(&text[at + 2..]) {
                    links.push(Link { line: *line, target });
                }
            }
        }
        for (line, text) in &plain {
            for (at, _) in text.match_indices("][") {
                let label = text[at + 2..].split_once(']').map(|(label, _)| label);
                if let Some(label) = label.filter(|label| !label.is_empty())
                    && !labels.contains(&label.to_lowercase())
                {
                    links.push(Link {
                        line: *line,
                        target: format!("[{label}]"),
                    });
                }
            }
        }
        links
    }

    /// Lines that are not of a block, with blanks in the place of code spans. A span may go on in the next line of a
    /// paragraph; not beyond it.
    fn without_code(&self) -> Vec<(usize, String)> {
        let mut plain = Vec::new();
        let mut paragraph: Vec<&Line> = Vec::new();
        for line in &self.lines {
            let ends = matches!(line.kind, Kind::Blank | Kind::Code | Kind::Heading | Kind::Row);
            if ends || line.kind == Kind::Item {
                blank_spans(&mut plain, &std::mem::take(&mut paragraph));
            }
            match line.kind {
                Kind::Blank | Kind::Code => {}
                Kind::Heading | Kind::Row => blank_spans(&mut plain, &[line]),
                Kind::Item | Kind::Continuation | Kind::Prose => paragraph.push(line),
            }
        }
        blank_spans(&mut plain, &paragraph);
        plain
    }
}

/// What stands in backticks in `text`.
pub(super) fn code_spans(text: &str) -> Vec<&str> {
    spans(text)
        .into_iter()
        .map(|(start, end, ticks)| text[start + ticks..end - ticks].trim())
        .collect()
}

/// The cells of a row of a table. A bar behind a backslash ends none.
pub(super) fn cells(row: &str) -> Vec<&str> {
    row.trim().trim_matches('|').split(" | ").map(str::trim).collect()
}

/// A heading's anchor, as GitHub makes it.
fn slug(title: &str) -> String {
    let mut shown = String::new();
    let mut rest = title;
    // Of a link only its text is shown.
    while let Some(at) = rest.find("](") {
        shown.push_str(&rest[..at]);
        rest = rest[at..].split_once(')').map_or("", |(_, after)| after);
    }
    shown.push_str(rest);
    shown
        .trim()
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

fn opened(text: &str) -> Option<(String, String)> {
    let text = text.trim_start();
    let mark = text.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let length = text.chars().take_while(|c| *c == mark).count();
    let language = text[length..].trim();
    (length >= 3 && !language.contains('`')).then(|| (text[..length].to_owned(), language.to_owned()))
}

fn closes(text: &str, open: &str) -> bool {
    let text = text.trim();
    text.starts_with(open) && text.chars().all(|c| open.starts_with(c))
}

fn kind_of(text: &str, above: Kind) -> Kind {
    let inner = text.trim_start();
    let hashes = text.bytes().take_while(|byte| *byte == b'#').count();
    if inner.is_empty() {
        Kind::Blank
    } else if (1..=6).contains(&hashes) && text[hashes..].starts_with(' ') {
        Kind::Heading
    } else if inner.starts_with('|') {
        Kind::Row
    } else if is_item(inner) {
        Kind::Item
    } else if text.starts_with("  ") && matches!(above, Kind::Item | Kind::Continuation) {
        Kind::Continuation
    } else {
        Kind::Prose
    }
}

fn is_item(text: &str) -> bool {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    ["- ", "* ", "+ "].iter().any(|mark| text.starts_with(mark))
        || (digits > 0 && [". ", ") "].iter().any(|mark| text[digits..].starts_with(mark)))
}

/// Start, end and number of backticks of each code span. A run without an equal one after it is no span.
fn spans(text: &str) -> Vec<(usize, usize, usize)> {
    let bytes = text.as_bytes();
    let run = |at: usize| bytes[at..].iter().take_while(|byte| **byte == b'`').count();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let ticks = run(at);
        if ticks == 0 {
            at += 1;
            continue;
        }
        let mut close = at + ticks;
        while close < bytes.len() && run(close) != ticks {
            close += run(close).max(1);
        }
        if close < bytes.len() {
            found.push((at, close + ticks, ticks));
            at = close + ticks;
        } else {
            at += ticks;
        }
    }
    found
}

fn blank_spans(plain: &mut Vec<(usize, String)>, lines: &[&Line]) {
    let joined = lines
        .iter()
        .map(|line| line.text.as_str())
        .collect::<Vec<_>>()
        .join("\n");
    let mut blanked = String::with_capacity(joined.len());
    let mut from = 0;
    for (start, end, _) in spans(&joined) {
        blanked.push_str(&joined[from..start]);
        blanked.extend(
            joined[start..end]
                .chars()
                .map(|c| if c == '\n' { c } else { ' ' }),
        );
        from = end;
    }
    blanked.push_str(&joined[from..]);
    plain.extend(
        lines
            .iter()
            .map(|line| line.number)
            .zip(blanked.lines().map(str::to_owned)),
    );
}

/// `[label]: target`.
fn definition(text: &str) -> Option<(&str, &str)> {
    let (label, rest) = text.strip_prefix('[')?.split_once("]:")?;
    let target = rest.split_whitespace().next()?;
    (!label.contains(']')).then_some((label, target))
}

/// What stands before the bracket that closes a link's target, without a title.
fn target(text: &str) -> Option<String> {
    if let Some(text) = text.strip_prefix('<') {
        return text.split_once('>').map(|(target, _)| target.to_owned());
    }
    let mut depth = 0;
    let end = text.find(|c| {
        match c {
            '(' => depth += 1,
            ')' if depth == 0 => return true,
            ')' => depth -= 1,
            _ => {}
        }
        false
    })?;
    text[..end].split_whitespace().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::Kind::{Blank, Code, Continuation, Heading, Item, Prose, Row};
    use super::*;

    #[test]
    fn anchors_are_githubs() {
        let page = Page::parse(
            "a.md",
            "# A `b_c` & d: e/f\n## [Link](x.md) it\n## Same\n## Same\n<a id=\"own\"></a>\n```\n# no heading\n```\n",
        );
        assert_eq!(
            page.anchors(),
            ["a-b_c--d-ef", "link-it", "same", "same-1", "own"]
        );
    }

    #[test]
    fn links_are_found_where_they_are_links() {
        let text = "See [a](b.md), ![c](d.png \"title\") and `[no](code.md)`, [e](<f g.md>), [h](i(j).md).\n\
                    A `span over\n[no](lines.md)` ends.\n\n```\n[no](block.md)\n```\n[k][l] [m][n]\n\n[l]: o.md\n";
        let page = Page::parse("a.md", text);
        let found: Vec<_> = page
            .links()
            .into_iter()
            .map(|link| (link.line, link.target))
            .collect();
        let expected = [
            (1, "b.md"),
            (1, "d.png"),
            (1, "f g.md"),
            (1, "i(j).md"),
            (10, "o.md"),
            (8, "[n]"),
        ];
        assert_eq!(found, expected.map(|(line, target)| (line, target.to_owned())));
    }

    #[test]
    fn lines_are_told_apart() {
        let text = "# a\n\n- b\n  c\n\n  d\n1. e\n| f |\ng\n~~~sh\nh\n~~~\n";
        let kinds: Vec<_> = Page::parse("a.md", text)
            .lines
            .iter()
            .map(|line| line.kind)
            .collect();
        assert_eq!(
            kinds,
            [
                Heading,
                Blank,
                Item,
                Continuation,
                Blank,
                Prose,
                Item,
                Row,
                Prose,
                Code,
                Code,
                Code
            ]
        );
    }
}
