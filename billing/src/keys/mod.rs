//! API keys: secrets of programs, shown once and kept as a hash.
//!
//! A key belongs to one organization and says its mode. The secret is never written anywhere: not in the table, not in
//! the directory, not in the audit log and not in the outcome that is kept for an idempotency key.

pub mod rules;
pub(crate) mod store;

use billing_db::{Conn, directory};
use billing_primitives::{ApiKeyId, OrganizationId, Timestamp, text_enum};
use diesel::prelude::*;
use subtle::ConstantTimeEq;

pub use self::rules::Secret;
use crate::caller::Caller;
use crate::error::{Error, Refusal};
use crate::organizations::{self, Mode};
use crate::page::{Page, Slice};
use crate::{Applied, Billing, audit};

/// How long a use may go unrecorded, in seconds: a busy key does not write at every request.
const USE_RECORDED_EVERY: i64 = 60;

text_enum! {
    /// What a key may do.
    pub enum Scope { Read = "read", Write = "write" }
}

/// A key as it can be shown.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, serde::Serialize, serde::Deserialize)]
#[diesel(table_name = billing_db::schema::api_key)]
pub struct ApiKey {
    pub organization_id: OrganizationId,
    pub id: ApiKeyId,
    pub name: String,
    /// How the secret begins, to tell keys apart.
    pub shown_prefix: String,
    pub scopes: Vec<Scope>,
    pub created_at: Timestamp,
    /// None: it does not expire.
    pub expires_at: Option<Timestamp>,
    /// To the minute.
    pub last_used_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

/// What is needed to make a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    pub name: String,
    pub scopes: Vec<Scope>,
    pub expires_at: Option<Timestamp>,
}

/// A key that was just made.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CreatedKey {
    pub key: ApiKey,
    /// None when the call was answered from an earlier one: it was shown then.
    #[serde(skip)]
    pub secret: Option<Secret>,
}

/// Who a secret belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticated {
    pub organization: OrganizationId,
    pub key: ApiKeyId,
    pub scopes: Vec<Scope>,
    pub mode: Mode,
}

impl Authenticated {
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

/// Makes a key of the organization's mode; its secret is in the answer and nowhere else.
///
/// # Errors
/// [`Refusal::Invalid`]: no scope, or it would have expired already.
pub async fn create(billing: &Billing, caller: &Caller, input: &NewKey) -> Result<Applied<CreatedKey>, Error> {
    billing
        .db
        .write(caller.organization, caller.key.as_ref(), async |conn| add(conn, billing, caller, input).await)
        .await
}

async fn add(conn: &mut Conn, billing: &Billing, caller: &Caller, input: &NewKey) -> Result<CreatedKey, Error> {
    let now = billing.clock.now(conn).await?;
    let organization = organizations::current(conn, caller.organization).await?;
    let secret = Secret::from_random(organization.mode, rand::random());
    let key = rules::key(organization.id, ApiKeyId::new(), input, &secret, now)?;
    store::insert(conn, &key, &secret.hash()).await?;
    directory::add(conn, directory::Kind::ApiKey, &secret.hash(), organization.id).await?;
    audit::record(conn, caller, now, "api_key.create", key.id, serde_json::json!(key)).await?;
    Ok(CreatedKey { key, secret: Some(secret) })
}

/// Ends a key at once and for good.
///
/// # Errors
/// [`Refusal::NotFound`], [`Refusal::KeyRevoked`].
pub async fn revoke(billing: &Billing, caller: &Caller, id: ApiKeyId) -> Result<Applied<ApiKey>, Error> {
    let work = async |conn: &mut Conn| {
        let key = store::lock(conn, caller.organization, id).await?;
        let key = key.ok_or_else(|| Refusal::not_found("key", "API key", id))?;
        if key.revoked_at.is_some() {
            return Err(Refusal::KeyRevoked.into());
        }
        let now = billing.clock.now(conn).await?;
        store::revoke(conn, caller.organization, id, now).await?;
        audit::record(conn, caller, now, "api_key.revoke", id, serde_json::json!({ "name": key.name })).await?;
        Ok::<_, Error>(ApiKey { revoked_at: Some(now), ..key })
    };
    billing.db.write(caller.organization, caller.key.as_ref(), work).await
}

/// A page of keys in the order in which they were made, revoked ones too.
///
/// # Errors
/// Faults of the database.
pub async fn list(
    billing: &Billing,
    organization: OrganizationId,
    page: &Page<ApiKeyId>,
) -> Result<Slice<ApiKey>, Error> {
    let rows = billing
        .db
        .read(organization, async |conn| Ok::<_, Error>(store::list(conn, organization, page).await?))
        .await?;
    Ok(page.slice(rows))
}

/// # Errors
/// Faults of the database.
pub async fn by_ids(billing: &Billing, organization: OrganizationId, ids: &[ApiKeyId]) -> Result<Vec<ApiKey>, Error> {
    billing.db.read(organization, async |conn| Ok(store::by_ids(conn, organization, ids).await?)).await
}

/// Whose secret it is; none when it is malformed, unknown, revoked or expired, which is one answer.
///
/// What cannot be a key is answered without asking the database.
///
/// # Errors
/// Faults of the database.
pub async fn authenticate(billing: &Billing, secret: &str) -> Result<Option<Authenticated>, Error> {
    let Some(secret) = Secret::parse(secret) else { return Ok(None) };
    let hash = secret.hash();
    let Some(organization) = billing.db.find(directory::Kind::ApiKey, &hash).await? else { return Ok(None) };
    billing
        .db
        .scoped(organization, async |conn| {
            let Some(row) = store::by_hash(conn, organization, &hash).await? else { return Ok(None) };
            let now = billing.clock.now(conn).await?;
            let same: bool = row.secret_hash.as_bytes().ct_eq(hash.as_bytes()).into();
            if !same || row.mode != secret.mode() || !rules::holds(&row.key, now) {
                return Ok(None);
            }
            let stale = now.plus_seconds(-USE_RECORDED_EVERY);
            if row.key.last_used_at.is_none_or(|last| last <= stale) {
                store::touch(conn, organization, row.key.id, now, stale).await?;
            }
            Ok(Some(Authenticated { organization, key: row.key.id, scopes: row.key.scopes, mode: row.mode }))
        })
        .await
}
