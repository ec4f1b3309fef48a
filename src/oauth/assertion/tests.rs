use aws_lc_rs::{
    encoding::AsDer,
    signature::{
        ECDSA_P256_SHA256_FIXED, ED25519, EcdsaKeyPair, KeyPair, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
        UnparsedPublicKey, VerificationAlgorithm,
    },
};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};

use super::*;

fn pem(label: &str, der: &[u8]) -> Secret {
    Secret::new(format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64_STANDARD.encode(der)))
}

/// A new key in PEM, its public half, the algorithm to ask for and the one it is for, and how to verify what it signs.
type Made = (Secret, Vec<u8>, Option<Algorithm>, &'static str, &'static dyn VerificationAlgorithm);

fn keys() -> Vec<Made> {
    let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
    let ec_pem = pem("PRIVATE KEY", ec.to_pkcs8v1().expect("PKCS#8").as_ref());
    let ed = Ed25519KeyPair::generate().expect("a key");
    let ed_pem = pem("PRIVATE KEY", ed.to_pkcs8v1().expect("PKCS#8").as_ref());
    let rsa = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).expect("a key");
    let rsa_pem = pem("PRIVATE KEY", rsa.as_der().expect("PKCS#8").as_ref());
    let rsa_public = rsa.public_key().as_ref().to_vec();
    vec![
        (ec_pem, ec.public_key().as_ref().to_vec(), None, "ES256", &ECDSA_P256_SHA256_FIXED),
        (ed_pem, ed.public_key().as_ref().to_vec(), None, "EdDSA", &ED25519),
        (rsa_pem.clone(), rsa_public.clone(), None, "RS256", &RSA_PKCS1_2048_8192_SHA256),
        (rsa_pem, rsa_public, Some(Algorithm::Ps256), "PS256", &RSA_PSS_2048_8192_SHA256),
    ]
}

fn signed_by(key: &AssertionKey, id: &str) -> String {
    let audience = "https://as.example/".to_owned();
    let assertion = Assertion { key: key.clone(), client_id: "box".to_owned(), audience };
    assertion.sign(1_800_000_000, id).expect("an assertion").expose().to_owned()
}

fn part(jwt: &str, number: usize) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD.decode(jwt.split('.').nth(number).expect("three parts")).expect("base64url")
}

fn json_of(jwt: &str, number: usize) -> Value {
    serde_json::from_slice(&part(jwt, number)).expect("JSON")
}

#[test]
fn every_kind_of_key_signs_what_its_public_half_verifies_and_no_other() {
    let all = keys();
    for (pem, public, wanted, name, verification) in &all {
        let key = AssertionKey::read(pem, *wanted, None).unwrap_or_else(|error| panic!("{name}: {error}"));
        let jwt = signed_by(&key, "id-1");
        assert_eq!(json_of(&jwt, 0), json!({"typ": "JWT", "alg": name}));
        let (input, _) = jwt.rsplit_once('.').expect("three parts");
        let verifies = |public: &[u8], input: &str| {
            UnparsedPublicKey::new(*verification, public).verify(input.as_bytes(), &part(&jwt, 2)).is_ok()
        };
        assert!(verifies(public, input), "{name}");
        assert!(!verifies(public, "another"), "{name}");
        let other = &keys().into_iter().find(|(.., other, _)| other == name).expect("another key").1;
        assert!(!verifies(other, input), "{name}: another key verifies it too");
    }
}

#[test]
fn an_assertion_names_the_client_twice_and_its_reader_once_and_ends_soon() {
    let key = AssertionKey::read(&keys()[0].0, None, Some("key-7".to_owned())).expect("a key");
    let jwt = signed_by(&key, "id-1");
    assert_eq!(json_of(&jwt, 0)["kid"], "key-7");
    assert_eq!(
        json_of(&jwt, 1),
        json!({"iss": "box", "sub": "box", "aud": "https://as.example/", "jti": "id-1", "iat": 1_800_000_000u64,
               "exp": 1_800_000_120u64})
    );
    assert_eq!(json_of(&signed_by(&key, "id-2"), 1)["jti"], "id-2");
}

#[test]
fn a_shared_secret_signs_with_hs256() {
    let jwt = signed_by(&AssertionKey::shared(&Secret::new("s3cret")), "id-1");
    assert_eq!(json_of(&jwt, 0)["alg"], "HS256");
    let (input, _) = jwt.rsplit_once('.').expect("three parts");
    let verifies = |secret: &str| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        hmac::verify(&key, input.as_bytes(), &part(&jwt, 2)).is_ok()
    };
    assert!(verifies("s3cret") && !verifies("s3cret2"));
}

#[test]
fn what_is_no_key_to_sign_with_is_told_apart() {
    let p384 = EcdsaKeyPair::generate(&aws_lc_rs::signature::ECDSA_P384_SHA384_FIXED_SIGNING).expect("a key");
    let p384 = pem("PRIVATE KEY", p384.to_pkcs8v1().expect("PKCS#8").as_ref());
    for (text, expected) in [
        (Secret::new("hunter2"), BadKey::NotPem),
        (pem("CERTIFICATE", b"x"), BadKey::NotPem),
        (pem("PUBLIC KEY", b"x"), BadKey::NotPem),
        (pem("EC PRIVATE KEY", b"x"), BadKey::NotPkcs8),
        (pem("RSA PRIVATE KEY", b"x"), BadKey::NotPkcs8),
        (pem("ENCRYPTED PRIVATE KEY", b"x"), BadKey::NotPkcs8),
        (pem("PRIVATE KEY", b"x"), BadKey::OtherKind),
        (p384, BadKey::OtherKind),
    ] {
        assert_eq!(AssertionKey::read(&text, None, None).err(), Some(expected), "{}", text.expose());
    }
    let all = keys();
    let wanted = |at: usize, algorithm| AssertionKey::read(&all[at].0, Some(algorithm), None).err();
    assert_eq!(wanted(0, Algorithm::Es256), None);
    assert_eq!(wanted(0, Algorithm::Ps256), Some(BadKey::OtherAlgorithm("ES256")));
    assert_eq!(wanted(2, Algorithm::EdDsa), Some(BadKey::OtherAlgorithm(RSA)));
}

#[test]
fn keys_are_the_same_where_a_server_would_not_see_a_difference() {
    let (one, rsa) = (&keys()[0].0, &keys()[2].0);
    let read = |pem, wanted, id: Option<&str>| AssertionKey::read(pem, wanted, id.map(str::to_owned)).expect("a key");
    assert!(read(one, None, None) == read(one, None, None));
    assert!(read(one, None, None) == read(one, Some(Algorithm::Es256), None));
    assert!(read(one, None, None) != read(one, None, Some("x")));
    assert!(read(one, None, None) != read(rsa, None, None));
    assert!(read(rsa, None, None) != read(rsa, Some(Algorithm::Ps256), None));
}
