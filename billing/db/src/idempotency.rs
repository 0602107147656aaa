//! Doing it twice is doing it once: a write and its idempotency key commit together.

use billing_primitives::OrganizationId;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::error::{DbError, Fault};
use crate::pool::{Conn, Db};
use crate::schema::idempotency_key;
use crate::scoped::Work;

/// What a caller sends to be able to send it again: at most 255 characters, and a fingerprint of what it asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    key: String,
    fingerprint: String,
}

impl IdempotencyKey {
    /// # Errors
    /// [`KeyError::Malformed`] when the key is empty, longer than 255 characters or not printable ASCII.
    pub fn new(key: &str, fingerprint: String) -> Result<Self, KeyError> {
        if !(1..=255).contains(&key.len()) || !key.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Err(KeyError::Malformed);
        }
        Ok(IdempotencyKey { key: key.to_owned(), fingerprint })
    }
}

/// Why a key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyError {
    #[error("an idempotency key is 1 to 255 printable ASCII characters")]
    Malformed,
    #[error("this idempotency key was used for another request")]
    Conflict,
}

/// Which of the two happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied<T> {
    /// Just now.
    Now(T),
    /// By an earlier call with the same key; nothing was done this time.
    Before(T),
}

impl<T> Applied<T> {
    pub fn into_inner(self) -> T {
        match self {
            Applied::Now(value) | Applied::Before(value) => value,
        }
    }
}

/// What is known of a key that was used before.
#[derive(Debug, Clone, PartialEq)]
pub enum RecordedAnswer {
    /// The key is new, or the write it belongs to is under way.
    None,
    /// Done, but the answer was not kept (the process died in between): run the request again, the write will be
    /// answered from its outcome.
    OutcomeOnly,
    /// Done and answered.
    Response(serde_json::Value),
}

impl Db {
    /// As [`Db::scoped`], once per idempotency key: the key, what `work` wrote and what it returned commit together.
    ///
    /// A call that meets another one with the same key waits for it and returns what that one did.
    ///
    /// # Errors
    /// As [`Db::scoped`], and [`KeyError::Conflict`] when the key was used for another request.
    pub async fn write<T, E, F>(
        &self,
        organization: OrganizationId,
        key: Option<&IdempotencyKey>,
        mut work: F,
    ) -> Result<Applied<T>, E>
    where
        F: for<'c> AsyncFnMut(&'c mut Conn) -> Result<T, E>
            + for<'c> Work<&'c mut Conn, Result<T, E>, Fut: Send>
            + Send,
        T: Serialize + DeserializeOwned + Send,
        E: Fault + From<KeyError>,
    {
        let Some(key) = key else {
            return self.scoped(organization, work).await.map(Applied::Now);
        };
        // The transaction may run again, and the closure below is called through a shared name each time.
        let work = tokio::sync::Mutex::new(&mut work);
        self.scoped(organization, async |conn| {
            if !claim(conn, organization, key).await? {
                let outcome = earlier::<E>(conn, organization, key).await?;
                return serde_json::from_value(outcome).map(Applied::Before).map_err(unreadable).map_err(E::from);
            }
            let done = {
                let mut work = work.lock().await;
                (**work)(conn).await?
            };
            let outcome = serde_json::to_value(&done).map_err(unreadable)?;
            keep(conn, organization, key, &outcome).await?;
            Ok(Applied::Now(done))
        })
        .await
    }

    /// What was answered under this key in the last 24 hours.
    ///
    /// # Errors
    /// [`KeyError::Conflict`] when the key was used for another request; faults of the database.
    pub async fn recorded<E>(&self, organization: OrganizationId, key: &IdempotencyKey) -> Result<RecordedAnswer, E>
    where
        E: Fault + From<KeyError>,
    {
        self.read(organization, async |conn| {
            let row: Option<(String, Option<serde_json::Value>, Option<serde_json::Value>)> = idempotency_key::table
                .filter(idempotency_key::organization_id.eq(organization))
                .filter(idempotency_key::key.eq(&key.key))
                .select((idempotency_key::fingerprint, idempotency_key::outcome, idempotency_key::response))
                .first(conn)
                .await
                .optional()
                .map_err(DbError::from)?;
            match row {
                None => Ok(RecordedAnswer::None),
                Some((fingerprint, _, _)) if fingerprint != key.fingerprint => Err(KeyError::Conflict.into()),
                Some((_, _, Some(response))) => Ok(RecordedAnswer::Response(response)),
                Some((_, Some(_), None)) => Ok(RecordedAnswer::OutcomeOnly),
                Some((_, None, None)) => Ok(RecordedAnswer::None),
            }
        })
        .await
    }

    /// Keeps the answer as it was sent. Refusals are kept too, so that a retry reads what the first call read.
    ///
    /// # Errors
    /// Faults of the database.
    pub async fn record_response(
        &self,
        organization: OrganizationId,
        key: &IdempotencyKey,
        response: &serde_json::Value,
    ) -> Result<(), DbError> {
        self.scoped(organization, async |conn| {
            claim(conn, organization, key).await?;
            diesel::update(idempotency_key::table)
                .filter(idempotency_key::organization_id.eq(organization))
                .filter(idempotency_key::key.eq(&key.key))
                .filter(idempotency_key::fingerprint.eq(&key.fingerprint))
                .filter(idempotency_key::response.is_null())
                .set(idempotency_key::response.eq(response))
                .execute(conn)
                .await?;
            Ok(())
        })
        .await
    }

    /// Forgets keys older than 24 hours; returns how many.
    ///
    /// # Errors
    /// Faults of the database.
    pub async fn forget_old_keys(&self, organization: OrganizationId) -> Result<usize, DbError> {
        self.scoped(organization, async |conn| {
            diesel::sql_query(
                "DELETE FROM idempotency_key WHERE organization_id = $1 AND created_at < now() - interval '24 hours'",
            )
            .bind::<diesel::sql_types::Uuid, _>(organization)
            .execute(conn)
            .await
            .map_err(DbError::from)
        })
        .await
    }
}

fn unreadable(error: serde_json::Error) -> DbError {
    DbError::Query(diesel::result::Error::DeserializationError(Box::new(error)))
}

/// True when the key is ours; waits for a transaction that holds it.
async fn claim(conn: &mut Conn, organization: OrganizationId, key: &IdempotencyKey) -> Result<bool, DbError> {
    let inserted = diesel::insert_into(idempotency_key::table)
        .values((
            idempotency_key::organization_id.eq(organization),
            idempotency_key::key.eq(&key.key),
            idempotency_key::fingerprint.eq(&key.fingerprint),
        ))
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    Ok(inserted == 1)
}

async fn earlier<E>(conn: &mut Conn, organization: OrganizationId, key: &IdempotencyKey) -> Result<serde_json::Value, E>
where
    E: Fault + From<KeyError>,
{
    let (fingerprint, outcome): (String, Option<serde_json::Value>) = idempotency_key::table
        .filter(idempotency_key::organization_id.eq(organization))
        .filter(idempotency_key::key.eq(&key.key))
        .select((idempotency_key::fingerprint, idempotency_key::outcome))
        .first(conn)
        .await
        .map_err(DbError::from)?;
    match outcome {
        Some(outcome) if fingerprint == key.fingerprint => Ok(outcome),
        // A refusal was kept under this key, and refusals are answered before any work begins.
        _ => Err(KeyError::Conflict.into()),
    }
}

async fn keep(
    conn: &mut Conn,
    organization: OrganizationId,
    key: &IdempotencyKey,
    outcome: &serde_json::Value,
) -> Result<(), DbError> {
    let kept = diesel::update(idempotency_key::table)
        .filter(idempotency_key::organization_id.eq(organization))
        .filter(idempotency_key::key.eq(&key.key))
        .set(idempotency_key::outcome.eq(outcome))
        .execute(conn)
        .await?;
    DbError::expect_rows("idempotency_key", 1, kept)
}
