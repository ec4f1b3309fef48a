use std::path::PathBuf;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::{Engine, prelude::BASE64_STANDARD};
use tempfile::TempDir;

use super::*;
use crate::{
    config::{AccountSettings, Settings},
    oauth::client_auth::AssertionAudience,
};

/// A folder with a secret, a key that can sign, one that is in the wrong form, and a certificate that is none.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
    let key = BASE64_STANDARD.encode(key.to_pkcs8v1().expect("PKCS#8").as_ref());
    for (name, text) in [
        ("secret", "s3cret\n"),
        ("key.pem", &*format!("-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n")),
        ("old.pem", "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n"),
        ("certificate.pem", "no certificate"),
    ] {
        fs::write(folder.path().join(name), text).expect("a file");
        fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(0o600)).expect("its rights");
    }
    folder
}

/// The account with these lines, in which `@` stands for the folder.
fn load(folder: &TempDir, lines: &str) -> Result<AccountSettings, String> {
    let path = folder.path().join("bearerd.toml");
    let lines = lines.replace('@', &folder.path().display().to_string());
    fs::write(&path, format!("[accounts.a]\nissuer = \"https://a.example\"\n{lines}\n")).expect("a file");
    let settings = Settings::load(&path).map_err(|error| error.to_string())?;
    Ok(settings.accounts.into_values().next().expect("an account"))
}

fn taken(lines: &str) -> ClientAuth {
    let account = load(&folder(), &format!("client_id = \"x\"\n{lines}")).unwrap_or_else(|error| panic!("{error}"));
    account.client.auth.clone()
}

const SECRET: &str = "client_secret_file = \"@/secret\"";
const KEY: &str = "private_key_file = \"@/key.pem\"";
const CERTIFICATE: &str = "certificate_file = \"@/certificate.pem\"";

#[test]
fn what_is_given_says_which_method_is_meant_and_the_profile_which_with_a_secret() {
    assert!(matches!(taken(""), ClientAuth::None));
    assert!(matches!(taken(SECRET), ClientAuth::Basic(secret, _) if secret.expose() == "s3cret"));
    for (provider, post) in [("google", true), ("rauthy", true), ("okta", false)] {
        let auth = taken(&format!("provider = \"{provider}\"\n{SECRET}"));
        assert_eq!(matches!(auth, ClientAuth::Post(_)), post, "{provider}");
        assert!(matches!(taken(&format!("provider = \"{provider}\"")), ClientAuth::None), "{provider}");
        let written = taken(&format!("provider = \"{provider}\"\nclient_auth = \"client_secret_basic\"\n{SECRET}"));
        assert!(matches!(written, ClientAuth::Basic(..)), "{provider}: what the account says counts");
    }
    let shared = taken(&format!("client_auth = \"client_secret_jwt\"\n{SECRET}"));
    assert!(matches!(shared, ClientAuth::Assertion(_, AssertionAudience::Issuer)));
    assert!(matches!(taken(KEY), ClientAuth::Assertion(_, AssertionAudience::Issuer)));
    let okta = taken(&format!("provider = \"okta\"\n{KEY}"));
    assert!(matches!(okta, ClientAuth::Assertion(_, AssertionAudience::Endpoint)));
    let own = taken(&format!("provider = \"okta\"\nassertion_audience = \"https://b.example/\"\n{KEY}"));
    assert!(matches!(own, ClientAuth::Assertion(_, AssertionAudience::Other(at)) if at == "https://b.example/"));
}

#[test]
fn what_is_missing_too_much_or_unfit_is_shown_with_the_fix() {
    let folder = folder();
    for (lines, parts) in [
        ("client_auth = \"private_key_jwt\"", ["needs a private key", "private_key_file or private_key_credential"]),
        ("client_auth = \"client_secret_post\"", ["needs a secret", "client_secret_file"]),
        (CERTIFICATE, ["tls_client_auth needs a private key", "private_key_file"]),
        (&*format!("{SECRET}\n{KEY}"), ["has no use for a secret", "take it out"]),
        (&*format!("{SECRET}\nclient_auth = \"none\""), ["by none", "has no use for a secret"]),
        (&*format!("{KEY}\nprivate_key_credential = \"k\""), ["private key is configured twice", "keep the file"]),
        (&*format!("{SECRET}\nprivate_key_id = \"7\""), ["signs no assertion with that", "private_key_jwt"]),
        ("assertion_audience = \"endpoint\"", ["signs no assertion with that", "take it out"]),
        (&*format!("{KEY}\nassertion_audience = \"isuer\""), ["\"issuer\", \"endpoint\" or an address", "isuer"]),
        (&*format!("{KEY}\nassertion_algorithm = \"PS256\""), ["is for ES256", "assertion_algorithm"]),
        (&*format!("{KEY}\nassertion_algorithm = \"none\""), ["unknown variant `none`", "ES256"]),
        ("private_key_file = \"@/old.pem\"", ["not in PKCS#8", "openssl pkey -in old.pem"]),
        ("private_key_file = \"@/secret\"", ["no private key in PEM", "openssl genpkey"]),
        ("private_key_file = \"@/nowhere\"", ["cannot be read", "check the path"]),
        ("private_key_credential = \"k\"", ["systemd passed no credentials", "LoadCredential="]),
        (&*format!("{KEY}\n{CERTIFICATE}"), ["cannot be used together", "certificate in PEM"]),
        ("client_auth = \"secret\"", ["unknown variant `secret`", "self_signed_tls_client_auth"]),
    ] {
        let shown = load(&folder, &format!("client_id = \"x\"\n{lines}")).err();
        let shown = shown.unwrap_or_else(|| panic!("taken: {lines}"));
        for part in parts {
            assert!(shown.contains(part), "{part:?} is not in what is said of {lines}:\n{shown}");
        }
        assert!(!shown.contains("s3cret"), "{shown}");
    }
    assert!(load(&folder, KEY).err().is_some_and(|shown| shown.contains("needs a client_id")));
}

#[test]
fn a_secret_that_everybody_can_read_is_told_of() {
    let folder = folder();
    let lines = format!("client_id = \"x\"\n{KEY}");
    let exposed = || load(&folder, &lines).unwrap_or_else(|error| panic!("{error}")).exposed;
    assert_eq!(exposed(), Vec::<PathBuf>::new());
    let key = folder.path().join("key.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("its rights");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).expect("its rights");
    assert_eq!(exposed(), Vec::<PathBuf>::new(), "the folder is closed");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("its rights");
    assert_eq!(exposed(), [key]);
}
