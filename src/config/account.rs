//! Understanding one account.

use std::{collections::BTreeMap, fs, ops::Range, path::PathBuf, sync::Arc, time::Duration};

use toml::Spanned;

use super::{
    AccountSettings, Problem, Rules, access, duration, fragment, problem::Source, providers::Providers, token_file,
};
use crate::{
    account::{AccountName, Schedule},
    oauth::{
        client::{Client, Endpoints, ExtraParameters},
        exchange::Endpoint,
        profile::Profile,
    },
};

/// Turns a fragment into settings. What is wrong goes into `problems`, and then there are no settings.
pub(super) fn understand(
    fragment: fragment::Account,
    name: &AccountName,
    providers: &Providers,
    source: &Source<'_>,
    problems: &mut Vec<Problem>,
) -> Option<AccountSettings> {
    let before = problems.len();
    let mut reader = Reader { name, source, problems, exposed: Vec::new() };
    let mut profile = reader.profile(fragment.provider.as_ref(), providers);
    // Most accounts share their profile with others.
    if !fragment.code_pages.is_empty() {
        Arc::make_mut(&mut profile).code_pages.extend(reader.hosts(&fragment.code_pages));
    }
    let issuer = fragment.issuer.as_ref().map(|issuer| issuer.get_ref().clone()).or(profile.issuer.clone());
    let endpoints = reader.endpoints(&fragment, issuer.as_deref(), &profile);
    let client = Client {
        issuer_pin: fragment.issuer_pin.clone().or_else(|| profile.issuer_pins.get(issuer.as_ref()?).cloned()),
        issuer,
        client_id: reader.client_id(fragment.client_id.as_ref()),
        auth: reader.client_auth(&fragment, &profile),
        scopes: reader.scopes(fragment.scopes).unwrap_or_else(|| profile.scopes.clone()),
        audience: fragment.audience,
        resource: reader.resources(fragment.resource),
        dpop: fragment.dpop.unwrap_or(profile.dpop),
        narrow: fragment.narrow,
        extra: ExtraParameters {
            device: reader.extra(fragment.extra_parameters.device, &profile.extra_parameters.device),
            token: reader.extra(fragment.extra_parameters.token, &profile.extra_parameters.token),
            refresh: reader.extra(fragment.extra_parameters.refresh, &profile.extra_parameters.refresh),
        },
        endpoints,
        profile,
    };
    let min_validity = fragment.min_validity.and_then(|text| reader.duration(&text)).unwrap_or(DEFAULT_MIN_VALIDITY);
    let margin = fragment.refresh_margin.filter(|text| text.get_ref() != "auto");
    let refresh_margin = margin.and_then(|text| reader.duration(&text)).or(client.profile.refresh_margin);
    let ca = fragment.ca_file.and_then(|path| reader.file(&path)).map(Arc::from);
    let exposed = std::mem::take(&mut reader.exposed);
    let rules = Rules { allow: access::understand(fragment.allow, source, reader.problems), clients: Vec::new() };
    let token_file = fragment.file.and_then(|file| token_file::understand(&file, source, problems)).map(Arc::new);
    (problems.len() == before).then(|| AccountSettings {
        client: Arc::new(client),
        ca,
        exposed,
        schedule: Schedule { login: fragment.login.unwrap_or_default(), refresh_margin, ..Schedule::default() },
        min_validity,
        rules,
        token_file,
    })
}

/// One account while it is being understood.
pub(super) struct Reader<'a> {
    name: &'a AccountName,
    source: &'a Source<'a>,
    problems: &'a mut Vec<Problem>,
    /// Files with a secret in them that every user may read.
    pub exposed: Vec<PathBuf>,
}

impl Reader<'_> {
    pub(super) fn wrong(&mut self, span: Range<usize>, message: impl Into<String>, fix: impl Into<String>) {
        self.problems.push(self.source.problem(span, message, fix));
    }

    fn profile(&mut self, provider: Option<&Spanned<String>>, providers: &Providers) -> Arc<Profile> {
        let Some(provider) = provider else { return providers.generic() };
        providers.find(provider.get_ref()).unwrap_or_else(|| {
            let known = providers.names().join(", ");
            let message = format!("there is no provider profile of the name {:?}", provider.get_ref());
            let fix = format!("write one of: {known}; generic works with every server that follows the standards");
            self.wrong(provider.span(), message, fix);
            providers.generic()
        })
    }

    /// The endpoints that are known without discovery: those given by hand, then those of the profile.
    fn endpoints(&mut self, fragment: &fragment::Account, issuer: Option<&str>, profile: &Profile) -> Endpoints {
        if let Some(written) = &fragment.issuer {
            self.endpoint(written);
        }
        // An issuer of the owner's moves everything that the profile has below it, and nothing else.
        let at = |place: &Option<String>| {
            let place = place.as_ref()?;
            let below = || Some(format!("{}{place}", issuer?.trim_end_matches('/')));
            let address = if place.starts_with('/') { below()? } else { place.clone() };
            Endpoint::parse(&address).ok()
        };
        let by_profile = Endpoints {
            device_authorization: at(&profile.device_authorization_endpoint),
            token: at(&profile.token_endpoint),
            revocation: at(&profile.revocation_endpoint),
        };
        let by_hand = Endpoints {
            device_authorization: fragment.device_authorization_endpoint.as_ref().and_then(|text| self.endpoint(text)),
            token: fragment.token_endpoint.as_ref().and_then(|text| self.endpoint(text)),
            revocation: fragment.revocation_endpoint.as_ref().and_then(|text| self.endpoint(text)),
        };
        let both = fragment.device_authorization_endpoint.is_some() && fragment.token_endpoint.is_some();
        if issuer.is_none() && !both && by_profile.clone().complete().is_none() {
            self.problems.push(Problem {
                file: self.source.path.to_owned(),
                place: None,
                message: format!("the account {} does not say where its server is", self.name),
                fix: Some(
                    "add issuer = \"https://…\", or device_authorization_endpoint and token_endpoint together".into(),
                ),
            });
        }
        by_hand.or(by_profile)
    }

    fn endpoint(&mut self, text: &Spanned<String>) -> Option<Endpoint> {
        let parsed = Endpoint::parse(text.get_ref());
        parsed.map_err(|error| self.wrong(text.span(), error.to_string(), "")).ok()
    }

    fn client_id(&mut self, client_id: Option<&Spanned<String>>) -> Option<String> {
        let client_id = client_id?;
        if client_id.get_ref().trim().is_empty() {
            self.wrong(client_id.span(), "the client_id is empty", "fill it in, or take the line out");
        }
        Some(client_id.get_ref().clone())
    }

    pub(super) fn file(&mut self, path: &Spanned<String>) -> Option<Vec<u8>> {
        let read = fs::read(path.get_ref());
        let message = |error| format!("the file {} cannot be read: {error}", path.get_ref());
        read.map_err(|error| self.wrong(path.span(), message(error), "check the path and who may read it")).ok()
    }

    fn duration(&mut self, text: &Spanned<String>) -> Option<Duration> {
        let read = duration(text.get_ref());
        if read.is_none() {
            self.wrong(
                text.span(),
                "this is not a duration",
                "write a number and a unit, as in \"90s\", \"5m\" or \"2h\"",
            );
        }
        read
    }

    fn scopes(&mut self, scopes: Option<Vec<Spanned<String>>>) -> Option<Vec<String>> {
        let scopes = scopes?;
        for scope in &scopes {
            // RFC 6749 §3.3: the characters of a scope token.
            let legal = |b: u8| b == b'!' || (b'#'..=b'~').contains(&b) && b != b'\\';
            if scope.get_ref().is_empty() || !scope.get_ref().bytes().all(legal) {
                self.wrong(
                    scope.span(),
                    "this is not one scope",
                    "write one scope an entry, as in [\"openid\", \"offline\"]",
                );
            }
        }
        Some(scopes.into_iter().map(Spanned::into_inner).collect())
    }

    fn hosts(&mut self, hosts: &[Spanned<String>]) -> Vec<String> {
        for host in hosts {
            // Written as the addresses have it, or they would never be the same.
            let parsed = url::Host::parse(host.get_ref()).map(|parsed| parsed.to_string());
            if !parsed.is_ok_and(|parsed| parsed == *host.get_ref()) {
                let fix = "write the name alone and in lower case, as in [\"login.example.com\"]";
                self.wrong(host.span(), "this is not a host", fix);
            }
        }
        hosts.iter().map(|host| host.get_ref().clone()).collect()
    }

    fn resources(&mut self, resources: Vec<Spanned<String>>) -> Vec<String> {
        for resource in &resources {
            // RFC 8707 §2.
            if !url::Url::parse(resource.get_ref()).is_ok_and(|url| url.fragment().is_none()) {
                self.wrong(resource.span(), "a resource is an absolute URI without a fragment", "");
            }
        }
        resources.into_iter().map(Spanned::into_inner).collect()
    }

    /// What the account adds to the profile's parameters, or has in place of one of them.
    fn extra(
        &mut self,
        parameters: BTreeMap<Spanned<String>, String>,
        profile: &BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let understood = |(name, value): (Spanned<String>, String)| {
            if OURS.contains(&name.get_ref().as_str()) {
                self.wrong(
                    name.span(),
                    "this parameter is bearerd's own",
                    "take it out; there is a key of its own for it",
                );
            }
            (name.into_inner(), value)
        };
        let own: Vec<_> = parameters.into_iter().map(understood).collect();
        profile.clone().into_iter().chain(own).collect()
    }
}

const DEFAULT_MIN_VALIDITY: Duration = Duration::from_secs(60);
/// Set by the requests themselves.
const OURS: [&str; 10] = [
    "grant_type",
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
    "device_code",
    "refresh_token",
    "scope",
    "resource",
    "audience",
];
