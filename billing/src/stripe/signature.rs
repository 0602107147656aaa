//! Whether a delivery came from Stripe: the `Stripe-Signature` header against the endpoint's secrets. Pure.
//!
//! The signature is over the raw bytes of the body. While a secret is being rolled there are two, and a header may
//! carry one signature of each; one match is enough. Comparing takes the same time however much of it is right.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use thiserror::Error;

/// Why a delivery is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SignatureError {
    #[error("there is no secret to check the signature with")]
    NoSecret,
    #[error("the header has no timestamp or no signature of version 1")]
    Malformed,
    #[error("no signature is by one of the secrets")]
    NoMatch,
    #[error("the signature is too old or of the future")]
    OutsideTolerance,
}

/// Accepts the body when a `v1` signature in the header is by one of `secrets` and its time is at most
/// `tolerance_seconds` from `now_unix` (seconds since 1970).
///
/// # Errors
/// [`SignatureError`].
pub fn verify(
    header: &str,
    body: &[u8],
    secrets: &[String],
    now_unix: i64,
    tolerance_seconds: i64,
) -> Result<(), SignatureError> {
    // Anybody can sign with an empty secret.
    if secrets.is_empty() || secrets.iter().any(|secret| secret.trim().is_empty()) {
        return Err(SignatureError::NoSecret);
    }
    let (signed_at, signatures) = read(header).ok_or(SignatureError::Malformed)?;
    let mut matches = false;
    for secret in secrets {
        let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_err(|_| SignatureError::NoSecret)?;
        let mac = mac.chain_update(signed_at.text).chain_update(b".").chain_update(body);
        for signature in &signatures {
            matches |= mac.clone().verify_slice(signature).is_ok();
        }
    }
    if !matches {
        return Err(SignatureError::NoMatch);
    }
    let distance = now_unix.abs_diff(signed_at.seconds);
    if distance > u64::try_from(tolerance_seconds).unwrap_or(0) {
        return Err(SignatureError::OutsideTolerance);
    }
    Ok(())
}

/// The header with which Stripe delivers a body that it signs with a secret at a time (seconds since 1970).
///
/// # Errors
/// [`SignatureError::NoSecret`].
pub fn sign(secret: &str, at_unix: i64, body: &[u8]) -> Result<String, SignatureError> {
    if secret.trim().is_empty() {
        return Err(SignatureError::NoSecret);
    }
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_err(|_| SignatureError::NoSecret)?;
    let mac = mac.chain_update(at_unix.to_string()).chain_update(b".").chain_update(body);
    Ok(format!("t={at_unix},v1={}", hex::encode(mac.finalize().into_bytes())))
}

/// The time as it stands in the header, which is what was signed, and as a number.
struct SignedAt<'a> {
    text: &'a str,
    seconds: i64,
}

/// The time and all `v1` signatures of a header such as `t=1772445605,v1=ab12..,v1=cd34..,v0=..`.
fn read(header: &str) -> Option<(SignedAt<'_>, Vec<Vec<u8>>)> {
    let mut signed_at = None;
    let mut signatures = Vec::new();
    for part in header.split(',') {
        match part.trim().split_once('=') {
            Some(("t", text)) => signed_at = Some(SignedAt { text, seconds: text.parse().ok()? }),
            Some(("v1", signature)) => signatures.extend(hex::decode(signature)),
            _ => (),
        }
    }
    Some((signed_at?, signatures)).filter(|(_, signatures)| !signatures.is_empty())
}
