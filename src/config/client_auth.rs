//! Understanding how an account's client proves who it is: by which method, and with what.

use std::{fs, ops::Range, os::unix::fs::PermissionsExt, path::Path};

use toml::Spanned;

use super::{account::Reader, fragment};
use crate::{
    oauth::{
        assertion::AssertionKey,
        client_auth::{ClientAuth, Method},
        profile::Profile,
    },
    platform::{provider::Provider, systemd},
    secret::Secret,
};

/// What a client may prove itself with, as far as it is configured.
struct Means<'a> {
    secret: Given<'a>,
    key: Given<'a>,
    certificate: Given<'a>,
}

/// One of them: a file or a credential.
#[derive(Clone, Copy)]
struct Given<'a> {
    file: Option<&'a Spanned<String>>,
    credential: Option<&'a Spanned<String>>,
}

impl<'a> Means<'a> {
    fn of(fragment: &'a fragment::Account) -> Self {
        let given = |file: Option<&'a _>, credential: Option<&'a _>| Given { file, credential };
        Self {
            secret: given(fragment.client_secret_file.as_ref(), fragment.client_secret_credential.as_ref()),
            key: given(fragment.private_key_file.as_ref(), fragment.private_key_credential.as_ref()),
            certificate: given(fragment.certificate_file.as_ref(), fragment.certificate_credential.as_ref()),
        }
    }

    /// The method that they are for, where none is written.
    fn method(&self, profile: &Profile) -> Method {
        if self.certificate.span().is_some() {
            Method::TlsClientAuth
        } else if self.key.span().is_some() {
            Method::PrivateKeyJwt
        } else if self.secret.span().is_some() {
            profile.client_auth.filter(|method| method.needs_secret()).unwrap_or(Method::ClientSecretBasic)
        } else {
            Method::None
        }
    }
}

impl Given<'_> {
    fn span(self) -> Option<Range<usize>> {
        self.file.or(self.credential).map(Spanned::span)
    }
}

impl Reader<'_> {
    /// The method and what it needs. Nothing is guessed: what is configured and not used is a mistake, as is what is
    /// missing.
    pub(super) fn client_auth(&mut self, fragment: &fragment::Account, profile: &Profile) -> ClientAuth {
        let means = Means::of(fragment);
        let written = fragment.client_auth.as_ref();
        let method = written.map_or_else(|| means.method(profile), |written| *written.get_ref());
        self.only_with_assertions(method, fragment);
        let given = [means.certificate, means.key, means.secret].into_iter().find_map(Given::span);
        let Some(place) = written.map(Spanned::span).or(given) else { return ClientAuth::None };
        if method != Method::None && fragment.client_id.is_none() {
            let message = format!("a client that proves who it is by {} needs a client_id", method.as_str());
            self.wrong(place.clone(), message, "add the client_id that the server has given out");
        }
        let needs = [
            (means.secret, method.needs_secret(), "secret", "client_secret"),
            (means.key, method.needs_key(), "private key", "private_key"),
            (means.certificate, method.needs_certificate(), "certificate", "certificate"),
        ];
        let misfits = needs.into_iter().filter(|need| !self.fits(method, *need, &place)).count();
        let auth = (misfits == 0).then(|| self.read_means(method, &means, fragment, profile));
        auth.flatten().unwrap_or_default()
    }

    fn read_means(
        &mut self,
        method: Method,
        means: &Means<'_>,
        fragment: &fragment::Account,
        profile: &Profile,
    ) -> Option<ClientAuth> {
        let audience = || {
            let written = fragment.assertion_audience.as_ref().map(|audience| audience.get_ref().clone());
            written.or_else(|| profile.assertion_audience.clone()).unwrap_or_default()
        };
        Some(match method {
            Method::None => ClientAuth::None,
            Method::ClientSecretBasic => ClientAuth::Basic(self.secret(means.secret)?, profile.basic_halves),
            Method::ClientSecretPost => ClientAuth::Post(self.secret(means.secret)?),
            Method::ClientSecretJwt => {
                ClientAuth::Assertion(AssertionKey::shared(&self.secret(means.secret)?), audience())
            }
            Method::PrivateKeyJwt => ClientAuth::Assertion(self.signing_key(means.key, fragment)?, audience()),
            Method::TlsClientAuth | Method::SelfSignedTlsClientAuth => {
                ClientAuth::Certificate(self.identity(means.certificate, means.key)?)
            }
        })
    }

    /// Whether this is there if it is needed, and not there otherwise.
    fn fits(
        &mut self,
        method: Method,
        (given, needed, what, key): (Given<'_>, bool, &str, &str),
        place: &Range<usize>,
    ) -> bool {
        let method = method.as_str();
        match (given.span(), needed) {
            (None, true) => {
                let fix = format!("add {key}_file or {key}_credential");
                self.wrong(place.clone(), format!("{method} needs a {what}"), fix);
            }
            (Some(span), false) => {
                let message = format!("the client proves who it is by {method}, and that has no use for a {what}");
                self.wrong(span, message, "take it out, or set client_auth to a method that it is for");
            }
            (Some(_), true) | (None, false) => {
                let twice = given.credential.filter(|_| given.file.is_some()).map(Spanned::span);
                let Some(span) = twice else { return true };
                self.wrong(span, format!("the {what} is configured twice"), "keep the file or the credential");
            }
        }
        false
    }

    fn only_with_assertions(&mut self, method: Method, fragment: &fragment::Account) {
        let for_key = matches!(method, Method::PrivateKeyJwt);
        let for_any = for_key || matches!(method, Method::ClientSecretJwt);
        let keys = [
            (fragment.private_key_id.as_ref().map(Spanned::span), for_key),
            (fragment.assertion_algorithm.as_ref().map(Spanned::span), for_key),
            (fragment.assertion_audience.as_ref().map(Spanned::span), for_any),
        ];
        for span in keys.into_iter().filter(|(_, used)| !used).filter_map(|(span, _)| span) {
            let message =
                format!("the client proves who it is by {}, which signs no assertion with that", method.as_str());
            self.wrong(span, message, "take it out, or set client_auth to private_key_jwt");
        }
    }

    fn signing_key(&mut self, key: Given<'_>, fragment: &fragment::Account) -> Option<AssertionKey> {
        let pem = self.secret(key)?;
        let wanted = fragment.assertion_algorithm.as_ref().map(|algorithm| *algorithm.get_ref());
        let id = fragment.private_key_id.as_ref().map(|id| id.get_ref().clone());
        let read = AssertionKey::read(&pem, wanted, id);
        read.map_err(|error| self.wrong(key.span().unwrap_or_default(), error.to_string(), error.remedy())).ok()
    }

    /// Certificate and private key as one text.
    fn identity(&mut self, certificate: Given<'_>, key: Given<'_>) -> Option<Secret> {
        let (chain, private) = (self.read(certificate)?, self.secret(key)?);
        let identity = Secret::new(format!("{chain}\n{}\n", private.expose()));
        let wrong = Provider::check_identity(&identity).err();
        if let Some(cause) = &wrong {
            let message = format!("certificate and private key cannot be used together: {cause}");
            let fix = "give a certificate in PEM, with those between it and its authority after it, and the private key that \
                       it was made for, without a password";
            self.wrong(certificate.span().unwrap_or_default(), message, fix);
        }
        wrong.is_none().then_some(identity)
    }

    fn secret(&mut self, given: Given<'_>) -> Option<Secret> {
        let text = self.read(given)?;
        let path = given.file.map(|file| Path::new(file.get_ref()));
        self.exposed.extend(path.filter(|path| everybody_reads(path)).map(Path::to_owned));
        Some(Secret::new(text.trim_end_matches(['\r', '\n'])))
    }

    fn read(&mut self, given: Given<'_>) -> Option<String> {
        let bytes = match (given.file, given.credential) {
            (Some(path), _) => self.file(path)?,
            (None, Some(name)) => self.credential(name)?,
            (None, None) => return None,
        };
        let text = String::from_utf8(bytes).ok();
        if text.is_none() {
            self.wrong(
                given.span().unwrap_or_default(),
                "this is not text",
                "a secret is text, keys and certificates are PEM",
            );
        }
        text
    }

    fn credential(&mut self, name: &Spanned<String>) -> Option<Vec<u8>> {
        let Some(folder) = systemd::credentials_directory() else {
            let fix = "add LoadCredential= to the unit, or name a file instead";
            self.wrong(name.span(), "systemd passed no credentials to this process", fix);
            return None;
        };
        let path = folder.join(Path::new(name.get_ref()).file_name()?);
        self.file(&Spanned::new(name.span(), path.display().to_string()))
    }
}

/// Whether the rights of a file and of all folders above it let every user read it.
fn everybody_reads(path: &Path) -> bool {
    let lets = |path: &Path, right| fs::metadata(path).is_ok_and(|found| found.permissions().mode() & right != 0);
    let path = fs::canonicalize(path).unwrap_or_default();
    lets(&path, 0o004) && path.ancestors().skip(1).all(|folder| lets(folder, 0o001))
}

#[cfg(test)]
mod tests;
