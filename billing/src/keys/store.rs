//! SQL of API keys. The hash of the secret is read by `by_hash` alone.

use billing_db::schema::{api_key, organization};
use billing_db::{Conn, DbError};
use billing_primitives::{ApiKeyId, OrganizationId, Timestamp};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::ApiKey;
use crate::organizations::Mode;
use crate::page::Page;

/// What decides about a secret.
#[derive(Queryable)]
pub struct KnownKey {
    pub key: ApiKey,
    pub secret_hash: String,
    pub mode: Mode,
}

pub async fn insert(conn: &mut Conn, row: &ApiKey, secret_hash: &str) -> QueryResult<()> {
    diesel::insert_into(api_key::table)
        .values((row, api_key::secret_hash.eq(secret_hash)))
        .execute(conn)
        .await
        .map(|_| ())
}

pub async fn by_hash(
    conn: &mut Conn,
    organization: OrganizationId,
    secret_hash: &str,
) -> QueryResult<Option<KnownKey>> {
    api_key::table
        .inner_join(organization::table.on(organization::organization_id.eq(api_key::organization_id)))
        .filter(api_key::organization_id.eq(organization))
        .filter(api_key::secret_hash.eq(secret_hash))
        .select((ApiKey::as_select(), api_key::secret_hash, organization::mode))
        .first(conn)
        .await
        .optional()
}

pub async fn lock(conn: &mut Conn, organization: OrganizationId, id: ApiKeyId) -> QueryResult<Option<ApiKey>> {
    api_key::table
        .filter(api_key::organization_id.eq(organization))
        .filter(api_key::id.eq(id))
        .select(ApiKey::as_select())
        .for_no_key_update()
        .first(conn)
        .await
        .optional()
}

pub async fn revoke(
    conn: &mut Conn,
    organization: OrganizationId,
    id: ApiKeyId,
    now: Timestamp,
) -> Result<(), DbError> {
    let written = diesel::update(api_key::table)
        .filter(api_key::organization_id.eq(organization))
        .filter(api_key::id.eq(id))
        .set(api_key::revoked_at.eq(now))
        .execute(conn)
        .await?;
    DbError::expect_rows("api_key", 1, written)
}

/// Records a use unless another request recorded one after `stale`; a key that is busy being written waits for nobody.
pub async fn touch(
    conn: &mut Conn,
    organization: OrganizationId,
    id: ApiKeyId,
    now: Timestamp,
    stale: Timestamp,
) -> QueryResult<()> {
    let free = api_key::table
        .filter(api_key::organization_id.eq(organization))
        .filter(api_key::id.eq(id))
        .filter(api_key::last_used_at.is_null().or(api_key::last_used_at.le(stale)))
        .select(api_key::id)
        .for_no_key_update()
        .skip_locked()
        .first::<ApiKeyId>(conn)
        .await
        .optional()?;
    if free.is_some() {
        diesel::update(api_key::table)
            .filter(api_key::organization_id.eq(organization))
            .filter(api_key::id.eq(id))
            .set(api_key::last_used_at.eq(now))
            .execute(conn)
            .await?;
    }
    Ok(())
}

pub async fn by_ids(conn: &mut Conn, organization: OrganizationId, ids: &[ApiKeyId]) -> QueryResult<Vec<ApiKey>> {
    api_key::table
        .filter(api_key::organization_id.eq(organization))
        .filter(api_key::id.eq_any(ids))
        .select(ApiKey::as_select())
        .load(conn)
        .await
}

pub async fn list(conn: &mut Conn, organization: OrganizationId, page: &Page<ApiKeyId>) -> QueryResult<Vec<ApiKey>> {
    let mut query = api_key::table
        .filter(api_key::organization_id.eq(organization))
        .order(api_key::id)
        .limit(page.limit())
        .select(ApiKey::as_select())
        .into_boxed();
    if let Some(after) = page.after {
        query = query.filter(api_key::id.gt(after));
    }
    query.load(conn).await
}
