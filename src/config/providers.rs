//! The provider profiles: those that come with the program, and over them those in `providers.d` beside the configuration.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::Arc,
};

use super::{Problem, problem::Source};
use crate::oauth::profile::{self, Profile};

/// Every profile by name.
pub(super) struct Providers {
    beside: BTreeMap<String, Arc<Profile>>,
    /// Those of the built-in ones that an account has asked for: a box has one or two, and the program twenty.
    built_in: RefCell<BTreeMap<String, Arc<Profile>>>,
    /// The text that they are completed from.
    basis: String,
}

impl Providers {
    /// Reads the profiles beside the configuration at `path`. One of the name of a built-in one replaces it; all are
    /// completed from `generic`. What is wrong goes into `problems`.
    pub fn read(path: &Path, problems: &mut Vec<Problem>) -> Self {
        let texts = texts_beside(path, problems);
        let basis = texts.get(GENERIC).map_or(profile::text_of(GENERIC), |(_, text)| Some(text.as_str()));
        let basis = basis.unwrap_or_default().to_owned();
        let mut beside = BTreeMap::new();
        for (name, (path, text)) in &texts {
            match Profile::read(text, &basis) {
                Ok(profile) => {
                    beside.insert(name.clone(), Arc::new(profile));
                }
                Err(error) => problems.push(Source { path, text }.syntax(&error)),
            }
        }
        Self { beside, built_in: RefCell::default(), basis }
    }

    pub fn find(&self, name: &str) -> Option<Arc<Profile>> {
        self.beside.get(name).cloned().or_else(|| self.find_built_in(name))
    }

    pub fn names(&self) -> Vec<&str> {
        let mut names: BTreeSet<&str> = Profile::names().collect();
        names.extend(self.beside.keys().map(String::as_str));
        names.into_iter().collect()
    }

    /// The profile for an account that names none.
    pub fn generic(&self) -> Arc<Profile> {
        self.find(GENERIC).unwrap_or_default()
    }

    fn find_built_in(&self, name: &str) -> Option<Arc<Profile>> {
        let known = self.built_in.borrow().get(name).cloned();
        known.or_else(|| {
            // The built-in ones are well-formed, so what cannot be completed is the basis, of which it has been told.
            let profile = Arc::new(Profile::read(profile::text_of(name)?, &self.basis).ok()?);
            self.built_in.borrow_mut().insert(name.to_owned(), profile.clone());
            Some(profile)
        })
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
