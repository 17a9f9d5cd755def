//! The files that are read, as git would take them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;

use crate::arch::Sources;

/// The repository's files. What a test puts in their place is read instead.
#[derive(Debug, Clone, Default)]
pub struct Repository {
    sources: Sources,
    changed: BTreeMap<String, String>,
}

impl Repository {
    /// Lists the files below `root`.
    pub fn open(root: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            sources: Sources::list(root)?,
            changed: BTreeMap::new(),
        })
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &str> {
        self.sources.files.iter().map(String::as_str)
    }

    pub(super) fn markdown(&self) -> impl Iterator<Item = &str> {
        self.files().filter(|file| {
            Path::new(file)
                .extension()
                .is_some_and(|extension| extension == "md")
        })
    }

    pub(super) fn read(&self, file: &str) -> anyhow::Result<String> {
        match self.changed.get(file) {
            Some(text) => Ok(text.clone()),
            None => std::fs::read_to_string(self.sources.root.join(file))
                .with_context(|| format!("could not read {file}")),
        }
    }

    pub(super) fn has_file(&self, path: &str) -> bool {
        self.files().any(|file| file == path)
    }

    /// Git knows of no folders: one is there if a file is in it. The root is.
    pub(super) fn has_folder(&self, path: &str) -> bool {
        path.is_empty()
            || self
                .files()
                .any(|file| file.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')))
    }

    /// The folders directly below `path` (all of the root's, if that is empty).
    pub(super) fn folders_below(&self, path: &str) -> Vec<&str> {
        let prefix = if path.is_empty() {
            String::new()
        } else {
            format!("{path}/")
        };
        let mut folders: Vec<&str> = self
            .files()
            .filter_map(|file| file.strip_prefix(&prefix))
            .filter_map(|rest| rest.split_once('/').map(|(folder, _)| folder))
            .collect();
        folders.sort_unstable();
        folders.dedup();
        folders
    }

    #[cfg(test)]
    pub(super) fn with(mut self, file: &str, text: impl Into<String>) -> Self {
        if !self.has_file(file) {
            self.sources.files.push(file.to_owned());
        }
        self.changed.insert(file.to_owned(), text.into());
        self
    }

    #[cfg(test)]
    pub(super) fn without(mut self, file: &str) -> Self {
        self.sources.files.retain(|known| known != file);
        self
    }
}
