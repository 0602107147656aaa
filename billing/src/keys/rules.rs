//! How a secret is written and when a key holds. Pure.
//!
//! `avk_live_` or `avk_test_`, 48 hex digits (192 random bits), 8 hex digits of a checksum over all before them.

use std::fmt;

use billing_primitives::{ApiKeyId, OrganizationId, Timestamp};
use sha2::{Digest, Sha256};

use super::{ApiKey, NewKey};
use crate::error::Refusal;
use crate::organizations::Mode;
use crate::organizations::rules::text;

const RANDOM_BYTES: usize = 24;
const CHECKSUM_BYTES: usize = 4;
/// How much of the random part is shown: the rest has 160 bits left.
const SHOWN_DIGITS: usize = 8;

/// The secret of a key. It prints as dots; only [`Secret::reveal`] shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    mode: Mode,
    text: String,
}

impl Secret {
    pub fn from_random(mode: Mode, bits: [u8; RANDOM_BYTES]) -> Secret {
        let body = format!("{}{}", prefix(mode), hex::encode(bits));
        let text = format!("{body}{}", checksum(&body));
        Secret { mode, text }
    }

    /// None when it is no key of ours, as by a typing error or a missing piece.
    pub fn parse(given: &str) -> Option<Secret> {
        let mode = *Mode::ALL.iter().find(|mode| given.starts_with(prefix(**mode)))?;
        let length = prefix(mode).len() + 2 * (RANDOM_BYTES + CHECKSUM_BYTES);
        // Digits only behind the prefix, so cutting by bytes cuts no character.
        let digits = given[prefix(mode).len()..].bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if given.len() != length || !digits {
            return None;
        }
        let (body, sum) = given.split_at(length - 2 * CHECKSUM_BYTES);
        (checksum(body) == sum).then(|| Secret { mode, text: given.to_owned() })
    }

    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The secret itself, for the one answer that shows it.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// SHA-256 in hex: what is stored. The secret is random in all its bits, so it needs no salt and no stretching.
    pub fn hash(&self) -> String {
        hex::encode(Sha256::digest(self.text.as_bytes()))
    }

    /// How it begins.
    pub fn shown_prefix(&self) -> &str {
        &self.text[..prefix(self.mode).len() + SHOWN_DIGITS]
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}...", prefix(self.mode))
    }
}

const fn prefix(mode: Mode) -> &'static str {
    match mode {
        Mode::Live => "avk_live_",
        Mode::Test => "avk_test_",
    }
}

/// Tells a mistyped key from an unknown one; it is no proof of anything.
fn checksum(body: &str) -> String {
    let digest = Sha256::digest(body.as_bytes());
    hex::encode(&digest[..CHECKSUM_BYTES])
}

/// # Errors
/// [`Refusal::Invalid`] with the field.
pub fn key(
    organization: OrganizationId,
    id: ApiKeyId,
    input: &NewKey,
    secret: &Secret,
    now: Timestamp,
) -> Result<ApiKey, Refusal> {
    let mut scopes = input.scopes.clone();
    scopes.sort_unstable();
    scopes.dedup();
    if scopes.is_empty() {
        return Err(Refusal::invalid("scopes", "a key without a scope can do nothing"));
    }
    if input.expires_at.is_some_and(|end| end <= now) {
        return Err(Refusal::invalid("expiresAt", "lies in the past"));
    }
    Ok(ApiKey {
        organization_id: organization,
        id,
        name: text("name", &input.name)?,
        shown_prefix: secret.shown_prefix().to_owned(),
        scopes,
        created_at: now,
        expires_at: input.expires_at,
        last_used_at: None,
        revoked_at: None,
    })
}

/// Whether the key opens anything at `now`; the instant of expiry is the first at which it does not.
pub fn holds(key: &ApiKey, now: Timestamp) -> bool {
    key.revoked_at.is_none() && key.expires_at.is_none_or(|end| now < end)
}

#[cfg(test)]
mod tests {
    use super::super::Scope;
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn input() -> NewKey {
        NewKey { name: "Import".into(), scopes: vec![Scope::Write, Scope::Read, Scope::Write], expires_at: None }
    }

    fn made(input: &NewKey) -> Result<ApiKey, Refusal> {
        let secret = Secret::from_random(Mode::Live, [7; RANDOM_BYTES]);
        key(OrganizationId::new(), ApiKeyId::new(), input, &secret, at("2026-10-01T08:00:00Z"))
    }

    #[test]
    fn a_secret_reads_back_and_says_its_mode() {
        for (mode, prefix) in [(Mode::Live, "avk_live_"), (Mode::Test, "avk_test_")] {
            let secret = Secret::from_random(mode, [0xa5; RANDOM_BYTES]);
            assert!(secret.reveal().starts_with(prefix));
            assert_eq!(secret.reveal().len(), 65);
            assert_eq!(Secret::parse(secret.reveal()), Some(secret.clone()));
            assert_eq!(secret.shown_prefix(), format!("{prefix}a5a5a5a5"));
            assert_eq!(format!("{secret:?}"), format!("{prefix}..."));
            assert_eq!(secret.hash().len(), 64);
        }
    }

    #[test]
    fn what_is_no_key_is_not_read() {
        let good = Secret::from_random(Mode::Live, [0xa5; RANDOM_BYTES]).reveal().to_owned();
        let mut wrong = vec![
            String::new(),
            "avk_live_".into(),
            "avk_live_æøå".into(),
            good.replace("live", "test"),
            good.to_uppercase(),
            format!("{good} "),
            format!(" {good}"),
            good[..good.len() - 1].to_owned(),
            good.replace("avk_", "avq_"),
            format!("{}ø", &good[..good.len() - 2]),
        ];
        // One digit changed anywhere.
        wrong.extend((9..good.len()).map(|index| {
            let other = if &good[index..=index] == "0" { "1" } else { "0" };
            format!("{}{other}{}", &good[..index], &good[index + 1..])
        }));
        for text in wrong {
            assert_eq!(Secret::parse(&text), None, "{text}");
        }
    }

    #[test]
    fn a_key_has_scopes_and_a_future() {
        assert_eq!(made(&input()).unwrap().scopes, [Scope::Read, Scope::Write]);
        for (wrong, field) in [
            (NewKey { scopes: vec![], ..input() }, "scopes"),
            (NewKey { name: String::new(), ..input() }, "name"),
            (NewKey { expires_at: Some(at("2026-10-01T08:00:00Z")), ..input() }, "expiresAt"),
        ] {
            assert_eq!(made(&wrong).unwrap_err().field(), Some(field));
        }
    }

    #[test]
    fn a_key_holds_until_it_ends() {
        let key = made(&NewKey { expires_at: Some(at("2026-11-01T00:00:00Z")), ..input() }).unwrap();
        assert!(holds(&key, at("2026-10-31T23:59:59Z")));
        assert!(!holds(&key, at("2026-11-01T00:00:00Z")));
        let revoked = ApiKey { revoked_at: Some(at("2026-10-02T00:00:00Z")), ..key };
        assert!(!holds(&revoked, at("2026-10-03T00:00:00Z")));
    }

    #[test]
    fn what_is_kept_of_a_new_key_has_no_secret() {
        let secret = Secret::from_random(Mode::Live, [0xa5; RANDOM_BYTES]);
        let key = made(&input()).unwrap();
        let created = super::super::CreatedKey { key, secret: Some(secret.clone()) };
        let kept = serde_json::to_string(&created).unwrap();
        assert!(!kept.contains(secret.reveal()));
        let answered: super::super::CreatedKey = serde_json::from_str(&kept).unwrap();
        assert_eq!((answered.key, answered.secret), (created.key, None));
    }
}
