//! Who asks: an API key in `Authorization: Bearer avk_…` becomes a [`Session`].
//!
//! Everybody without a valid key gets the same answer, and nothing is executed for them.

use billing::keys::{self, Scope};
use billing::{Actor, Billing, Caller};
use poem::http::{HeaderMap, header};

/// What a request may do, and in whose name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub caller: Caller,
    pub scopes: Vec<Scope>,
}

impl Session {
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

/// Why nobody is let in.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    #[error("an API key is needed: Authorization: Bearer avk_…")]
    Missing,
    /// Unknown, revoked and expired keys are not told apart.
    #[error("the API key is not valid")]
    Invalid,
    #[error(transparent)]
    Fault(#[from] billing::Error),
}

/// Finds the session of the key that a request carries.
///
/// # Errors
/// As said.
pub async fn session(billing: &Billing, headers: &HeaderMap) -> Result<Session, AuthError> {
    let secret = bearer(headers)?;
    let found = keys::authenticate(billing, secret).await?.ok_or(AuthError::Invalid)?;
    let caller = Caller { organization: found.organization, actor: Actor::ApiKey(found.key), key: None };
    Ok(Session { caller, scopes: found.scopes })
}

fn bearer(headers: &HeaderMap) -> Result<&str, AuthError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(AuthError::Missing)?;
    if values.next().is_some() {
        return Err(AuthError::Invalid);
    }
    let (scheme, secret) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(AuthError::Invalid)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(secret.trim()) } else { Err(AuthError::Invalid) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_bearer_is_read() {
        let read = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, (*value).parse().unwrap());
            }
            bearer(&headers).map(str::to_owned).ok()
        };
        assert_eq!(read(&["Bearer avk_test_x"]).as_deref(), Some("avk_test_x"));
        assert_eq!(read(&["bearer avk_test_x"]).as_deref(), Some("avk_test_x"));
        for wrong in [&[] as &[&str], &["Basic eDp5"], &["avk_test_x"], &["Bearer a", "Bearer b"]] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }
}
