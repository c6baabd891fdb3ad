//! Tests each algorithm, key and claim.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use aws_lc_rs::{hmac, rsa};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use madang_wire::{Role, RoomName, SourceKind};
use serde_json::{Value, json};

use super::*;

/// The current time in these tests, in seconds since 1970.
const NOW: i64 = 1_800_000_000;
const SECRET: &str = "kQ3v0m9Xc1hZb7Yt5Lr2Wn8Ud6Sg4Pa0Ef";

#[test]
fn each_algorithm_is_verified_by_its_own_key_alone() {
    let verifier = verifier();
    for signer in &*SIGNERS {
        for key_id in [Some(signer.name), None] {
            let token = signer.sign(&header(signer.name, key_id), &claims());
            let grant = verifier.verify(&token, now()).unwrap();
            assert_eq!(grant.user, "하나", "{}", signer.name);
        }
        for other in SIGNERS.iter().filter(|other| other.name != signer.name) {
            let token = signer.sign(&header(other.name, Some(other.name)), &claims());
            let verdict = verifier.verify(&token, now());
            assert_eq!(verdict, Err(AuthError::BadSignature), "{} {}", signer.name, other.name);
        }
    }
}

#[test]
fn what_is_not_signed_by_a_known_key_is_refused() {
    let verifier = verifier();
    let es256 = signer("ES256");
    let good = es256.sign(&header("ES256", Some("ES256")), &claims());
    let (head, rest) = good.split_once('.').unwrap();
    let (body, signature) = rest.split_once('.').unwrap();
    let changed = |claims: Value| format!("{head}.{}.{signature}", encode(&claims));
    let unsigned = |alg: &str| format!("{}.{body}.", encode(&json!({ "alg": alg })));
    let mut more = claims();
    more["room"] = json!("*");

    for (token, says) in [
        (changed(more), "signature is wrong"),
        (format!("{head}.{body}."), "signature is wrong"),
        (format!("{head}.{body}.{}", "A".repeat(86)), "signature is wrong"),
        (format!("{head}.{body}.!"), "signature is wrong"),
        (unsigned("none"), "\"none\" is not accepted here; accepted: ES256"),
        (unsigned("NONE"), "not accepted"),
        (unsigned("HS512"), "not accepted"),
        (es256.sign(&header("ES256", Some("elsewhere")), &claims()), "\"elsewhere\", which is not"),
        (es256.sign(&json!({ "alg": "ES256", "crit": ["b64"], "b64": false }), &claims()), "crit"),
        (es256.sign(&json!({ "kid": "ES256" }), &claims()), "missing field `alg`"),
        (String::new(), "three parts"),
        ("a.b".to_owned(), "three parts"),
        ("a.b.c.d".to_owned(), "three parts"),
        ("!.b.c".to_owned(), "header part is not in base64url"),
        ("YQ.YQ.YQ".to_owned(), "header can't be read"),
        (format!("{head}=.{body}.{signature}"), "not in base64url"),
        ("a".repeat(10_000), "more than 8192 bytes"),
    ] {
        let error = verifier.verify(&token, now()).unwrap_err().to_string();
        assert!(error.contains(says), "{token}\n{error}");
        assert!(token.len() < 20 || !error.contains(&token), "{error}");
    }
}

#[test]
fn a_public_key_is_no_shared_secret() {
    // The classic algorithm confusion: HS256 keyed with the text of a public key.
    let jwks = jwks().to_string();
    let keys = Keys::parse(jwks.as_bytes()).unwrap();
    let verifier = Verifier::new(None, None, None).with_keys(Arc::new(keys));
    for signer in SIGNERS.iter().filter(|signer| signer.jwk.is_some()) {
        let public = signer.jwk.as_ref().unwrap();
        let raw = ["x", "n"].iter().find_map(|part| public[part].as_str()).unwrap();
        for secret in [public.to_string().into_bytes(), BASE64.decode(raw).unwrap()] {
            let forger = hs256(&secret);
            let token = forger.sign(&header("HS256", Some(signer.name)), &claims());
            let error = verifier.verify(&token, now()).unwrap_err();
            assert!(matches!(error, AuthError::Algorithm(..)), "{error}");
        }
    }
}

#[test]
fn claims_become_a_grant() {
    let token = mint(json!({
        "sub": "u-1", "name": " 김하나 ", "exp": NOW + 60, "nbf": NOW, "room": "주간회의",
        "role": "host", "publish": ["microphone", "screen"], "moderate": false, "jti": "t-1",
        "email": "somebody@example.com",
    }));

    let grant = verifier().verify(&token, now()).unwrap();

    let scope = Scope::One(RoomName::parse("주간회의").unwrap());
    let expected = Grant {
        user: "u-1".to_owned(),
        is_guest: false,
        name: Some("김하나".to_owned()),
        destinations: Destinations::of(None, scope.room()).unwrap(),
        scope,
        role: Some(Role::Host),
        publish: Some(vec![SourceKind::Microphone, SourceKind::Screen]),
        moderate: Some(false),
        expires_at: Timestamp::from_second(NOW + 60).ok(),
        token_id: Some("t-1".to_owned()),
    };
    assert_eq!(grant, expected);
}

#[test]
fn nothing_is_allowed_that_a_token_does_not_say() {
    let verifier = verifier();
    for (claim, value, says) in [
        ("sub", Value::Null, "`sub` is missing"),
        ("sub", json!(""), "1 to 128 characters"),
        ("sub", json!(" \t"), "1 to 128 characters"),
        ("sub", json!("a".repeat(129)), "1 to 128 characters"),
        ("sub", json!("a\nb"), "1 to 128 characters"),
        ("sub", json!(7), "invalid type"),
        ("name", json!("하".repeat(65)), "at most 64 characters"),
        ("name", json!("a\u{7}"), "no control characters"),
        ("exp", Value::Null, "`exp` is missing"),
        (
            "exp",
            json!(NOW),
            "expired at 2027-01-15T08:00:00Z; the server's clock shows 2027-01-15T08:00:00Z",
        ),
        ("exp", json!(-1), "expired at 1969"),
        ("exp", json!("soon"), "invalid type"),
        ("exp", json!(1e300), "`exp` must be a time"),
        ("exp", json!(u64::MAX), "`exp` must be a time"),
        ("exp", json!(i64::MIN), "`exp` must be a time"),
        ("nbf", json!(NOW + 31), "not valid before"),
        ("nbf", json!(i64::MAX), "`nbf` must be a time"),
        ("room", Value::Null, "`room` is missing"),
        ("room", json!(""), "`room`"),
        ("room", json!("a b"), "`room`"),
        ("room", json!("**"), "`room`"),
        ("room", json!(["a"]), "invalid type"),
        ("role", json!("admin"), "unknown variant `admin`"),
        ("publish", json!("camera"), "invalid type"),
        ("publish", json!(["everything"]), "unknown variant"),
        ("publish", json!(["screen_audio"]), "`publish` may list"),
        ("moderate", json!("true"), "invalid type"),
        ("jti", json!(""), "`jti` must have"),
        ("jti", json!("x".repeat(129)), "`jti` must have"),
    ] {
        let mut claims = claims();
        claims[claim] = value.clone();
        let error = verifier.verify(&mint(claims), now()).unwrap_err().to_string();
        assert!(error.contains(says), "{claim}: {value}\n{error}");
    }
    for claims in ["[]", "7", "null", "", "{", r#"{"sub":"a","sub":"b"}"#] {
        let token = hs256(SECRET.as_bytes()).sign_text(&header("HS256", None), claims.as_bytes());
        assert!(verifier.verify(&token, now()).is_err(), "{claims}");
    }
}

#[test]
fn what_is_at_the_edge_is_good() {
    let verifier = verifier();
    for (claim, value) in [
        ("sub", json!("가".repeat(128))),
        ("sub", json!("auth0|7/a b")),
        ("name", json!("")),
        ("name", Value::Null),
        ("exp", json!(NOW + 1)),
        ("exp", json!(NOW as f64 + 1.5)),
        ("exp", json!(253_402_207_200_i64)),
        ("nbf", json!(NOW + 30)),
        ("nbf", json!(-5)),
        ("room", json!("*")),
        ("role", json!("listener")),
        ("publish", json!([])),
        ("moderate", json!(true)),
    ] {
        let mut claims = claims();
        claims[claim] = value.clone();
        let verdict = verifier.verify(&mint(claims), now());
        assert!(verdict.is_ok(), "{claim}: {value}: {verdict:?}");
    }
}

#[test]
fn issuer_and_audience_are_checked_when_they_are_known() {
    let secret = Secret::new(SECRET);
    let picky = Verifier::new(
        Some(&secret),
        Some("https://id.example".to_owned()),
        Some("madang".to_owned()),
    );
    for (iss, aud, is_good) in [
        (json!("https://id.example"), json!("madang"), true),
        (json!("https://id.example"), json!(["other", "madang"]), true),
        (json!("https://id.example"), json!(["other"]), false),
        (json!("https://id.example"), json!([]), false),
        (json!("https://id.example"), Value::Null, false),
        (json!("https://id.example/"), json!("madang"), false),
        (Value::Null, json!("madang"), false),
    ] {
        let mut claims = claims();
        (claims["iss"], claims["aud"]) = (iss, aud);
        let token = mint(claims);
        assert_eq!(picky.verify(&token, now()).is_ok(), is_good, "{token}");
        assert!(verifier().verify(&token, now()).is_ok());
    }
}

#[test]
fn a_set_may_have_keys_that_are_of_no_use() {
    let mut set = jwks();
    let good = set["keys"].as_array().unwrap().len();
    let rsa = signer("RS256").jwk.clone().unwrap();
    let with = |name: &str, value: Value| {
        let mut key = rsa.clone();
        key[name] = value;
        key
    };
    let useless = [
        json!({ "kty": "oct", "k": "c2VjcmV0", "kid": "x" }),
        json!({ "kty": "OKP", "crv": "Ed448", "x": "AA" }),
        json!({ "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA" }),
        json!({ "kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA" }),
        json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB" }),
        json!({ "kty": "AKP", "alg": "ML-DSA-44", "pub": "AA" }),
        with("use", json!("enc")),
        with("key_ops", json!(["encrypt"])),
        with("alg", json!("RSA-OAEP")),
        with("n", json!("not base64!")),
        json!("a text"),
    ];
    set["keys"].as_array_mut().unwrap().extend(useless.clone());

    let keys = Keys::parse(set.to_string().as_bytes()).unwrap();

    assert_eq!((keys.len(), keys.skipped().len()), (good, useless.len()));
    let nothing_else = json!({ "keys": useless }).to_string();
    assert!(
        Keys::parse(nothing_else.as_bytes()).unwrap_err().to_string().contains("shared secret")
    );
    for text in ["", "[]", "{}", r#"{"keys":{}}"#, "<html>"] {
        assert!(Keys::parse(text.as_bytes()).is_err(), "{text}");
    }
    assert!(Keys::parse(br#"{"keys":[]}"#).unwrap().is_empty(), "an issuer may take all back");
    let many = json!({ "keys": vec![rsa; 101] }).to_string();
    assert!(Keys::parse(many.as_bytes()).is_err());
}

#[test]
fn a_key_without_a_name_is_for_tokens_whose_key_nobody_has() {
    let mut key = signer("EdDSA").jwk.clone().unwrap();
    key.as_object_mut().unwrap().remove("kid");
    let set = json!({ "keys": [key] }).to_string();
    let verifier =
        Verifier::new(None, None, None).with_keys(Arc::new(Keys::parse(set.as_bytes()).unwrap()));

    for key_id in [None, Some("any")] {
        let token = signer("EdDSA").sign(&header("EdDSA", key_id), &claims());
        assert!(verifier.verify(&token, now()).is_ok());
    }
}

#[test]
fn minted_tokens_are_good_here() {
    let secret = Secret::new(SECRET);
    let (issuer, audience) = (Some("me".to_owned()), Some("you".to_owned()));
    let minter = Minter::new(&secret, issuer.clone(), audience.clone());
    let new = NewToken {
        user: "u".to_owned(),
        name: Some("하나".to_owned()),
        scope: Scope::Every,
        role: Some(Role::Listener),
        publish: Some(vec![SourceKind::Camera]),
        moderate: Some(true),
        destinations: None,
        ttl: Duration::from_secs(60),
    };

    let minted = minter.mint(&new, now()).unwrap();
    let other = minter.mint(&new, now()).unwrap();
    let verifier = Verifier::new(Some(&secret), issuer, audience);
    let grant = verifier.verify(minted.token.expose(), now()).unwrap();

    assert_eq!(grant.expires_at, Some(minted.expires_at));
    assert_eq!(grant.token_id, Some(minted.id.clone()));
    assert_ne!(minted.id, other.id);
    assert_eq!((grant.role, grant.moderate), (new.role, new.moderate));
    assert_eq!((grant.name, grant.publish), (new.name.clone(), new.publish.clone()));
    for ttl in [Duration::ZERO, LONGEST_TTL + Duration::from_secs(1), Duration::MAX] {
        assert!(minter.mint(&NewToken { ttl, ..new.clone() }, now()).is_err(), "{ttl:?}");
    }
}

#[test]
fn nothing_that_a_client_shows_makes_it_panic() {
    let verifier = verifier();
    let good = mint(claims());
    for cut in 0..good.len() {
        assert!(verifier.verify(&good[..cut], now()).is_err());
        let mut bytes = good.clone().into_bytes();
        bytes[cut] = bytes[cut].wrapping_add(1);
        // The last character of a signature has unused bits, which must be zero.
        assert!(verifier.verify(&String::from_utf8_lossy(&bytes), now()).is_err(), "{cut}");
    }
}

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

fn claims() -> Value {
    json!({ "sub": "하나", "exp": NOW + 600, "room": "a" })
}

fn header(algorithm: &str, key_id: Option<&str>) -> Value {
    match key_id {
        Some(id) => json!({ "alg": algorithm, "typ": "JWT", "kid": id }),
        None => json!({ "alg": algorithm }),
    }
}

fn mint(claims: Value) -> String {
    hs256(SECRET.as_bytes()).sign(&header("HS256", None), &claims)
}

/// A verifier with the secret and all public keys.
fn verifier() -> Verifier {
    let keys = Keys::parse(jwks().to_string().as_bytes()).unwrap();
    Verifier::new(Some(&Secret::new(SECRET)), None, None).with_keys(Arc::new(keys))
}

fn jwks() -> Value {
    let keys: Vec<_> = SIGNERS.iter().filter_map(|signer| signer.jwk.clone()).collect();
    json!({ "keys": keys })
}

fn signer(name: &str) -> &'static Signer {
    SIGNERS.iter().find(|signer| signer.name == name).unwrap()
}

type Sign = Box<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;

/// One key for each algorithm, made by a library that is independent of JWTs.
struct Signer {
    name: &'static str,
    jwk: Option<Value>,
    sign: Sign,
}

static SIGNERS: LazyLock<Vec<Signer>> = LazyLock::new(|| {
    vec![
        hs256(SECRET.as_bytes()),
        ecdsa("ES256", "P-256", &ECDSA_P256_SHA256_FIXED_SIGNING),
        ecdsa("ES384", "P-384", &ECDSA_P384_SHA384_FIXED_SIGNING),
        rsa_signer("RS256", &RSA_PKCS1_SHA256),
        rsa_signer("PS256", &RSA_PSS_SHA256),
        ed25519(),
    ]
});

impl Signer {
    fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(header, claims.to_string().as_bytes())
    }

    fn sign_text(&self, header: &Value, claims: &[u8]) -> String {
        let signed = format!("{}.{}", encode(header), BASE64.encode(claims));
        let signature = (self.sign)(signed.as_bytes());
        format!("{signed}.{}", BASE64.encode(signature))
    }
}

fn encode(value: &Value) -> String {
    BASE64.encode(value.to_string())
}

fn hs256(secret: &[u8]) -> Signer {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let sign = Box::new(move |text: &[u8]| hmac::sign(&key, text).as_ref().to_vec());
    Signer { name: "HS256", jwk: None, sign }
}

fn ecdsa(
    name: &'static str,
    curve: &str,
    algorithm: &'static aws_lc_rs::signature::EcdsaSigningAlgorithm,
) -> Signer {
    let pair = EcdsaKeyPair::generate(algorithm).unwrap();
    let point = pair.public_key().as_ref()[1..].to_vec();
    let (x, y) = point.split_at(point.len() / 2);
    let jwk = json!({ "kty": "EC", "crv": curve, "kid": name, "use": "sig", "x": BASE64.encode(x), "y": BASE64.encode(y) });
    let sign = Box::new(move |text: &[u8]| {
        pair.sign(&SystemRandom::new(), text).unwrap().as_ref().to_vec()
    });
    Signer { name, jwk: Some(jwk), sign }
}

fn rsa_signer(name: &'static str, encoding: &'static dyn RsaEncoding) -> Signer {
    let pair: RsaKeyPair = rsa::KeyPair::generate(KeySize::Rsa2048).unwrap();
    let public = pair.public_key();
    let (n, e) = (public.modulus(), public.exponent());
    let (n, e) = (n.big_endian_without_leading_zero(), e.big_endian_without_leading_zero());
    let jwk = json!({ "kty": "RSA", "kid": name, "alg": name, "n": BASE64.encode(n), "e": BASE64.encode(e) });
    let sign = Box::new(move |text: &[u8]| {
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(encoding, &SystemRandom::new(), text, &mut signature).unwrap();
        signature
    });
    Signer { name, jwk: Some(jwk), sign }
}

fn ed25519() -> Signer {
    let pair = Ed25519KeyPair::generate().unwrap();
    let x = BASE64.encode(pair.public_key().as_ref());
    let jwk =
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": "EdDSA", "key_ops": ["verify"], "x": x });
    let sign = Box::new(move |text: &[u8]| pair.sign(text).as_ref().to_vec());
    Signer { name: "EdDSA", jwk: Some(jwk), sign }
}
