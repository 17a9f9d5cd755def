//! `cargo xtask follow-docs`: README and guide, followed as a newcomer would: every shell block of a page is pasted
//! into one shell, in order, in an empty folder, with the real binary; programs are saved and run; what is shown is
//! compared with what was printed. A block that cannot be run here has a mark that says where it is.

mod book;
mod expect;
mod marks;
mod page;
mod ports;
mod routes;
mod script;
mod session;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::ensure;

use crate::postgres::Way;
use crate::product::{Binary, Which};
use crate::{cargo, interrupt};
use book::Book;
use marks::Mark;
use page::Page;

/// Options of the command.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Run nothing; look whether every block can be run, or says where it is
    #[arg(long)]
    check: bool,
    /// Follow only this page, `quick-start` or `README.md` (may be repeated)
    #[arg(long, value_name = "PAGE")]
    page: Vec<String>,
    /// Keep the folder of each page, with what its blocks printed
    #[arg(long)]
    keep: bool,
    /// How to come by a PostgreSQL
    #[arg(long, value_name = "WAY")]
    postgres: Option<Way>,
    #[command(flatten)]
    which: Which,
}

/// Checks all pages, then follows them; the last line says how many held.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let book = Book::read(&cargo::workspace_root())?;
    for finding in book.findings() {
        println!("{finding}");
    }
    if options.check || !book.findings().is_empty() {
        println!("{} pages, {} findings", book.pages.len(), book.findings().len());
        return Ok(exit(book.findings().is_empty()));
    }
    let chosen = chosen(&book.pages, &options.page)?;
    let binary = Binary::get(&options.which)?;
    let mut failed = 0;
    for page in &chosen {
        let began = Instant::now();
        let counts = Counts::of(page);
        let outcome = if counts.run == 0 {
            Ok(())
        } else {
            session::follow(&book.way_to(page)?, &binary, options)
        };
        interrupt::check()?;
        let seconds = began.elapsed().as_secs_f64();
        match outcome {
            Ok(()) => println!("{}: {counts}, {seconds:.1} s", page.path),
            Err(error) => {
                failed += 1;
                println!("{}: FAILED after {seconds:.1} s: {error:#}", page.path);
            }
        }
    }
    println!("{} pages held, {failed} failed", chosen.len() - failed);
    Ok(exit(failed == 0))
}

fn exit(good: bool) -> ExitCode {
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The pages of these names, in their order among all; all, if nothing is named. An error for a name that no page has.
fn chosen<'a>(pages: &'a [Page], names: &[String]) -> anyhow::Result<Vec<&'a Page>> {
    for name in names {
        ensure!(
            pages.iter().any(|page| is_named(page, name)),
            "there is no page {name}"
        );
    }
    let wanted = |page: &&Page| names.is_empty() || names.iter().any(|name| is_named(page, name));
    Ok(pages.iter().filter(wanted).collect())
}

fn is_named(page: &Page, name: &str) -> bool {
    page.path == name || page.path.ends_with(&format!("/{name}.md"))
}

/// What becomes of a page's blocks.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    run: usize,
    compared: usize,
    saved: usize,
    elsewhere: usize,
}

impl Counts {
    fn of(page: &Page) -> Self {
        let mut counts = Self::default();
        for block in &page.blocks {
            match &block.mark {
                Some(Mark::By(_)) => counts.elsewhere += 1,
                Some(Mark::Compare | Mark::CompareBackground) => counts.compared += 1,
                Some(Mark::File(_)) => counts.saved += 1,
                _ if block.is_run() => counts.run += 1,
                _ => {}
            }
        }
        counts
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} blocks run, {} compared, {} saved as files, {} run by others",
            self.run, self.compared, self.saved, self.elsewhere
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_chosen_by_its_name_or_path() {
        let page = |path| Page::parse(path, "```sh\nx\n```\n").unwrap();
        let pages = [page("README.md"), page("docs/guide/quick-start.md")];
        let paths = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let pages = chosen(&pages, &names)?;
            anyhow::Ok(pages.iter().map(|page| page.path.as_str()).collect::<Vec<_>>())
        };
        assert_eq!(paths(&[]).unwrap().len(), 2);
        for name in ["quick-start", "docs/guide/quick-start.md"] {
            assert_eq!(paths(&[name]).unwrap(), ["docs/guide/quick-start.md"]);
        }
        assert!(paths(&["start"]).is_err());
        assert!(
            paths(&["README.md", "start"]).is_err(),
            "one that is there does not do for the other"
        );
        assert_eq!(Counts::of(&pages[1]).run, 1);
    }
}
