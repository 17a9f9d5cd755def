//! Which metrics and labels an expression of `PromQL` names. Not a parser: promtool judges the grammar.

use std::collections::BTreeSet;

/// Words of the language that are neither metrics nor functions.
const KEYWORDS: [&str; 14] = [
    "and", "or", "unless", "bool", "offset", "atan2", "inf", "nan", "start", "end", "by", "without", "on",
    "ignoring",
];
/// Operators that may be followed by `by (...)` before their parentheses.
const AGGREGATIONS: [&str; 12] = [
    "sum",
    "min",
    "max",
    "avg",
    "group",
    "stddev",
    "stdvar",
    "count",
    "count_values",
    "bottomk",
    "topk",
    "quantile",
];
/// Words that a list of labels in parentheses may follow.
const BEFORE_LABELS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

/// What an expression names.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Named {
    /// Series, each with the labels that its selector asks for.
    pub(super) series: Vec<(String, Vec<String>)>,
    /// Labels that results are grouped, matched or joined by.
    pub(super) grouping: BTreeSet<String>,
}

/// Reads an expression. A query of Grafana's variables, `label_values(series, label)`, is read too.
pub(super) fn named(expression: &str) -> Named {
    let mut reader = Reader {
        rest: expression,
        named: Named::default(),
    };
    if let Some(inner) = expression.trim().strip_prefix("label_values(")
        && let Some((series, label)) = inner.trim_end_matches(')').rsplit_once(',')
    {
        reader.rest = series;
        reader.named.grouping.insert(label.trim().to_owned());
    }
    reader.read();
    reader.named
}

struct Reader<'a> {
    rest: &'a str,
    named: Named,
}

impl Reader<'_> {
    fn read(&mut self) {
        while let Some(first) = self.rest.chars().next() {
            match first {
                '"' | '\'' | '`' => self.skip_text(first),
                '#' => self.skip_past('\n'),
                '[' => self.skip_past(']'),
                '{' => {
                    let labels = self.matchers();
                    // A selector without a name has its labels still.
                    self.named.series.push((String::new(), labels));
                }
                _ if first.is_ascii_digit() => self.skip_while(|c| c.is_ascii_alphanumeric() || c == '.'),
                '$' => {
                    self.advance(1);
                    self.skip_while(is_part_of_a_name);
                }
                _ if is_part_of_a_name(first) => self.word(),
                _ => self.advance(first.len_utf8()),
            }
        }
    }

    fn word(&mut self) {
        let word = self.take_while(is_part_of_a_name);
        self.skip_while(char::is_whitespace);
        if BEFORE_LABELS.contains(&word.as_str()) {
            if self.rest.starts_with('(') {
                let inner = self.inside('(', ')');
                self.named.grouping.extend(
                    inner
                        .split(',')
                        .map(|label| label.trim().to_owned())
                        .filter(|label| !label.is_empty()),
                );
            }
            return;
        }
        let known = word.to_ascii_lowercase();
        let is_of_the_language = KEYWORDS.contains(&known.as_str()) || AGGREGATIONS.contains(&known.as_str());
        if !self.rest.starts_with('(') && !is_of_the_language {
            let labels = if self.rest.starts_with('{') {
                self.matchers()
            } else {
                Vec::new()
            };
            self.named.series.push((word, labels));
        }
    }

    /// The labels that a selector's braces name.
    fn matchers(&mut self) -> Vec<String> {
        self.advance(1);
        let mut labels = Vec::new();
        while let Some(first) = self.rest.chars().next() {
            match first {
                '}' => {
                    self.advance(1);
                    break;
                }
                '"' | '\'' | '`' => self.skip_text(first),
                _ if is_part_of_a_name(first) => labels.push(self.take_while(is_part_of_a_name)),
                _ => self.advance(first.len_utf8()),
            }
        }
        labels
    }

    /// What stands between an opening and the next closing.
    fn inside(&mut self, open: char, close: char) -> String {
        self.advance(open.len_utf8());
        let inner = self.take_while(|c| c != close);
        self.skip_while(|c| c == close);
        inner
    }

    fn skip_text(&mut self, quote: char) {
        self.advance(1);
        let mut escaped = false;
        let end = self
            .rest
            .char_indices()
            .find(|(_, c)| {
                let ends = *c == quote && !escaped;
                escaped = *c == '\\' && quote != '`' && !escaped;
                ends
            })
            .map_or(self.rest.len(), |(at, c)| at + c.len_utf8());
        self.advance(end);
    }

    fn skip_past(&mut self, end: char) {
        let at = self
            .rest
            .find(end)
            .map_or(self.rest.len(), |at| at + end.len_utf8());
        self.advance(at);
    }

    fn skip_while(&mut self, belongs: impl Fn(char) -> bool) {
        self.take_while(belongs);
    }

    fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> String {
        let end = self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len());
        let taken = self.rest[..end].to_owned();
        self.advance(end);
        taken
    }

    fn advance(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
    }
}

fn is_part_of_a_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_' || character == ':'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(expression: &str) -> Vec<String> {
        named(expression)
            .series
            .into_iter()
            .map(|(name, _)| name)
            .collect()
    }

    #[test]
    fn metrics_are_told_from_functions_keywords_labels_and_texts() {
        let expression = r#"
            histogram_quantile(0.99, sum by (le, route) (rate(http_seconds_bucket{job="a", code=~"5.. by x"}[5m]))) > 1e3
            and on (instance) max_over_time(up[1h:30s] offset 5m) unless group:recorded:rate5m # comment_metric"#;
        let named = named(expression);
        assert_eq!(
            named.series,
            [
                (
                    "http_seconds_bucket".to_owned(),
                    vec!["job".to_owned(), "code".to_owned()]
                ),
                ("up".to_owned(), vec![]),
                ("group:recorded:rate5m".to_owned(), vec![]),
            ]
        );
        assert_eq!(
            named.grouping,
            ["instance", "le", "route"].map(str::to_owned).into()
        );
    }

    #[test]
    fn what_looks_odd_is_read_all_the_same() {
        assert_eq!(
            series("rate(a_total{x=\"\\\"}\"}[$__rate_interval]) / on () group_left b"),
            ["a_total", "b"]
        );
        assert_eq!(series("vector(0) or time() - c"), ["c"]);
        assert_eq!(series("sum without (x) (d) > bool 5m"), ["d"]);
        assert_eq!(series("{x=\"y\"}"), [""]);
    }

    #[test]
    fn a_query_of_a_variable_names_its_series_and_its_label() {
        let named = named("label_values(up{job=\"postrider\"}, instance)");
        assert_eq!(named.series, [("up".to_owned(), vec!["job".to_owned()])]);
        assert!(named.grouping.contains("instance"));
    }
}
