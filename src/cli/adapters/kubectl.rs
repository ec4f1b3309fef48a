//! `bearerd kubectl-credential`: a credential plugin of kubectl and other clients of Kubernetes (`ExecCredential` of
//! `client.authentication.k8s.io`).

use clap::Args;
use serde::Deserialize;
use serde_json::json;

use super::{Issued, issue};
use crate::{
    account::AccountName,
    cli::{Exit, Failure, client::Client, screen::Screen},
    platform::systemd,
};

/// `bearerd kubectl-credential`
#[derive(Debug, Args)]
pub struct KubectlCredential {
    /// The account
    pub account: Option<AccountName>,
}

/// What the client says in `KUBERNETES_EXEC_INFO`; of that only the version matters, for the answer has to be in it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    api_version: String,
}

/// Prints the credential.
pub async fn run(client: &Client, arguments: KubectlCredential, screen: &Screen) -> Result<Exit, Failure> {
    let version = version(systemd::kubernetes_exec_info().as_deref())?;
    let issued = issue(client, arguments.account.as_ref(), None).await?;
    screen.json(&credential(&version, &issued).to_string())?;
    Ok(Exit::Success)
}

/// The version to answer in: the one that is asked for, or the newest when the verb is called by hand.
fn version(asked: Option<&str>) -> Result<String, Failure> {
    let Some(asked) = asked else { return Ok(NEWEST.to_owned()) };
    let Asked { api_version } = serde_json::from_str(asked).map_err(|error| {
        Failure::new(Exit::Arguments, format!("KUBERNETES_EXEC_INFO does not say what is asked for: {error}"))
    })?;
    if KNOWN.contains(&api_version.as_str()) {
        return Ok(api_version);
    }
    let text = format!("the client asks for {api_version:?}; write apiVersion: {NEWEST} into its configuration");
    Err(Failure::new(Exit::Arguments, text))
}

fn credential(version: &str, issued: &Issued) -> serde_json::Value {
    let mut status = json!({ "token": issued.access_token });
    let end = issued.expires_at.and_then(|end| jiff::Timestamp::from_second(end.try_into().ok()?).ok());
    if let Some(end) = end {
        status["expirationTimestamp"] = end.to_string().into();
    }
    json!({ "apiVersion": version, "kind": "ExecCredential", "status": status })
}

const NEWEST: &str = "client.authentication.k8s.io/v1";
const KNOWN: [&str; 2] = [NEWEST, "client.authentication.k8s.io/v1beta1"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_in_the_version_that_was_asked_for() {
        let asked = |version: &str| format!(r#"{{"apiVersion":"{version}","kind":"ExecCredential","spec":{{}}}}"#);
        for known in KNOWN {
            assert_eq!(version(Some(&asked(known))).as_deref(), Ok(known));
        }
        assert_eq!(version(None).as_deref(), Ok(NEWEST));
        for bad in [asked("client.authentication.k8s.io/v1alpha1"), "{}".into(), "x".into()] {
            assert_eq!(version(Some(&bad)).expect_err("not understood").exit, Exit::Arguments, "{bad}");
        }
    }

    #[test]
    fn the_end_is_a_timestamp_where_there_is_one() {
        let issued = |text| serde_json::from_str::<Issued>(text).expect("an answer");
        let with = credential(NEWEST, &issued(r#"{"access_token":"at-1","expires_at":1800000000}"#));
        assert_eq!(with["status"], json!({ "token": "at-1", "expirationTimestamp": "2027-01-15T08:00:00Z" }));
        assert_eq!(credential(NEWEST, &issued(r#"{"access_token":"at-1"}"#))["status"], json!({ "token": "at-1" }));
    }
}
