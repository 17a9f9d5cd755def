//! The index of a folder lists its pages, each once; decision records are numbered without holes, and listed in order.

use super::{Finding, Page, Repository};

const RECORDS: &str = "docs/adr";
/// Folders whose `README.md` lists every page.
const FOLDERS: [&str; 3] = [RECORDS, "docs/problems", "docs/guide"];

pub(super) fn check(repository: &Repository, pages: &[Page]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for folder in FOLDERS {
        let index = format!("{folder}/README.md");
        let Some(page) = pages.iter().find(|page| page.file == index) else {
            findings.push(Finding::new(
                &index,
                1,
                "is missing",
                "list the pages of the folder there",
            ));
            continue;
        };
        let listed: Vec<(usize, String)> = page
            .links()
            .into_iter()
            .map(|link| {
                let file = link.target.split('#').next().unwrap_or_default().to_owned();
                (link.line, file)
            })
            .collect();
        let prefix = format!("{folder}/");
        let there: Vec<_> = repository
            .markdown()
            .filter_map(|file| file.strip_prefix(&prefix))
            .filter(|name| *name != "README.md" && !name.contains('/'))
            .collect();
        for name in &there {
            if !listed.iter().any(|(_, file)| file == name) {
                let what = format!("{folder}/{name} is not listed");
                findings.push(Finding::new(&index, 1, what, "add it to the index"));
            }
        }
        if folder == RECORDS {
            findings.extend(numbered(&index, &there, &listed));
        }
    }
    findings
}

fn numbered(index: &str, there: &[&str], listed: &[(usize, String)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut expected = 1;
    let mut sorted = there.to_vec();
    sorted.sort_unstable();
    for name in sorted {
        match number(name) {
            None => findings.push(Finding::new(
                index,
                1,
                format!("{name} has no number"),
                "name it as the others are: 0001-what-it-decides.md",
            )),
            Some(number) => {
                if number != expected {
                    findings.push(Finding::new(
                        index,
                        1,
                        format!("{name} stands where number {expected} should"),
                        "number the records without holes, each once",
                    ));
                }
                expected = number + 1;
            }
        }
    }
    let mut last = 0;
    for (line, name) in listed {
        let Some(number) = number(name) else {
            continue;
        };
        if number == last {
            findings.push(Finding::new(
                index,
                *line,
                format!("{name} stands twice"),
                "list it once",
            ));
        } else if number < last {
            let what = format!("{name} stands after number {last}");
            findings.push(Finding::new(
                index,
                *line,
                what,
                "list the records in their order",
            ));
        }
        last = number;
    }
    findings
}

/// Of `0012-address-policy.md`, 12.
fn number(name: &str) -> Option<usize> {
    let (digits, _) = name.split_once('-')?;
    (digits.len() == 4 && !name.contains('/')).then(|| digits.parse().ok())?
}
