//! The provider profiles: those that come with the program, and over them those in `providers.d` beside the configuration.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use super::{Problem, problem::Source};
use crate::oauth::profile::{self, Profile};

/// Every profile by name.
pub(super) struct Providers(BTreeMap<String, Arc<Profile>>);

impl Providers {
    /// Reads the profiles beside the configuration at `path`. One of the name of a built-in one replaces it; all are
    /// completed from `generic`. What is wrong goes into `problems`.
    pub fn read(path: &Path, problems: &mut Vec<Problem>) -> Self {
        let texts = texts_beside(path, problems);
        let built_in = || Profile::names().filter_map(|name| Some((name, profile::text_of(name)?)));
        let basis = texts.get(GENERIC).map_or(profile::text_of(GENERIC), |(_, text)| Some(text.as_str()));
        let basis = basis.unwrap_or_default();
        let mut profiles = BTreeMap::new();
        for (name, text) in built_in().filter(|(name, _)| !texts.contains_key(*name)) {
            // The built-in ones are well-formed, so what cannot be completed is the basis, which is told below.
            if let Ok(profile) = Profile::read(text, basis) {
                profiles.insert(name.to_owned(), Arc::new(profile));
            }
        }
        for (name, (path, text)) in &texts {
            match Profile::read(text, basis) {
                Ok(profile) => {
                    profiles.insert(name.clone(), Arc::new(profile));
                }
                Err(error) => problems.push(Source { path, text }.syntax(&error)),
            }
        }
        Self(profiles)
    }

    pub fn find(&self, name: &str) -> Option<&Arc<Profile>> {
        self.0.get(name)
    }

    pub fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    /// The profile for an account that names none.
    pub fn generic(&self) -> Arc<Profile> {
        self.find(GENERIC).cloned().unwrap_or_default()
    }
}

type Texts = BTreeMap<String, (std::path::PathBuf, String)>;

fn texts_beside(path: &Path, problems: &mut Vec<Problem>) -> Texts {
    let folder = path.parent().unwrap_or(Path::new(".")).join("providers.d");
    let mut texts = Texts::new();
    for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
        if path.extension().is_some_and(|extension| extension == "toml")
            && let Some(name) = path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned)
        {
            match super::read(&path) {
                Ok(text) => {
                    texts.insert(name, (path, text));
                }
                Err(problem) => problems.push(problem),
            }
        }
    }
    texts
}

const GENERIC: &str = "generic";
