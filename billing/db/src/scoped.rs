//! One command, one transaction, one organization.

use std::future::Future;
use std::ops::DerefMut;
use std::time::Duration;

use billing_primitives::OrganizationId;
use diesel_async::pooled_connection::deadpool::Object;
use diesel_async::{AnsiTransactionManager, AsyncPgConnection, SimpleAsyncConnection, TransactionManager};
use rand::RngExt;
use tokio_postgres::NoTls;

use crate::error::{DbError, Fault};
use crate::pool::{Conn, Db};

/// How often a transaction that met another one is run again.
const ATTEMPTS: u32 = 5;

/// An async closure over the connection that can be called again and whose future is `Send`.
///
/// It may run several times: it borrows what it needs, moves nothing and mutates no capture.
pub trait Work<A, R>: AsyncFnMut(A) -> R + FnMut(A) -> <Self as Work<A, R>>::Fut {
    type Fut: Future<Output = R>;
}

impl<F, A, R, Fut> Work<A, R> for F
where
    F: AsyncFnMut(A) -> R + FnMut(A) -> Fut,
    Fut: Future<Output = R>,
{
    type Fut = Fut;
}

impl Db {
    /// Runs `work` in one transaction that sees the rows of `organization` alone, and commits if it returns `Ok`.
    ///
    /// # Errors
    /// What `work` returns, after a rollback; or a fault of the database. Deadlocks and serialization failures are
    /// tried up to five times.
    pub async fn scoped<T, E, F>(&self, organization: OrganizationId, work: F) -> Result<T, E>
    where
        F: for<'c> AsyncFnMut(&'c mut Conn) -> Result<T, E>
            + for<'c> Work<&'c mut Conn, Result<T, E>, Fut: Send>
            + Send,
        T: Send,
        E: Fault,
    {
        self.again("BEGIN", &self.scope(organization), work).await
    }

    /// As [`Db::scoped`], but nothing can be written and all statements see one moment.
    ///
    /// # Errors
    /// As [`Db::scoped`].
    pub async fn read<T, E, F>(&self, organization: OrganizationId, work: F) -> Result<T, E>
    where
        F: for<'c> AsyncFnMut(&'c mut Conn) -> Result<T, E>
            + for<'c> Work<&'c mut Conn, Result<T, E>, Fut: Send>
            + Send,
        T: Send,
        E: Fault,
    {
        self.again("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", &self.scope(organization), work).await
    }

    /// A transaction of no organization: it sees the directory, the queue and no organization's rows.
    ///
    /// # Errors
    /// As [`Db::scoped`].
    pub async fn unscoped<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: for<'c> AsyncFnMut(&'c mut Conn) -> Result<T, E>
            + for<'c> Work<&'c mut Conn, Result<T, E>, Fut: Send>
            + Send,
        T: Send,
        E: Fault,
    {
        self.again("BEGIN", self.local, work).await
    }

    fn scope(&self, organization: OrganizationId) -> String {
        // A typed id: nothing can be injected. `set_config()` would not reach the nodes of a distributed database.
        format!("SET LOCAL app.organization = '{}'; {}", organization.uuid(), self.local)
    }

    async fn again<T, E, F>(&self, begin: &'static str, settings: &str, mut work: F) -> Result<T, E>
    where
        F: for<'c> AsyncFnMut(&'c mut Conn) -> Result<T, E>
            + for<'c> Work<&'c mut Conn, Result<T, E>, Fut: Send>
            + Send,
        T: Send,
        E: Fault,
    {
        let mut attempt = 1;
        loop {
            let once = self.once(begin, settings, &mut work);
            let done = match self.limit {
                Some(limit) => tokio::time::timeout(limit, once).await.unwrap_or_else(|_| Err(DbError::Timeout.into())),
                None => once.await,
            };
            match done {
                Err(error) if attempt < ATTEMPTS && error.db().is_some_and(DbError::is_contention) => {
                    let jitter = rand::rng().random_range(5..25_u64);
                    tokio::time::sleep(Duration::from_millis(jitter * u64::from(attempt))).await;
                    attempt += 1;
                }
                done => return done,
            }
        }
    }

    async fn begin(&self, conn: &mut Conn, begin: &'static str, settings: &str) -> Result<(), DbError> {
        if self.distributed.is_none() {
            let together = format!("{begin}; {settings}");
            return Ok(AnsiTransactionManager::begin_transaction_sql(conn, &together).await?);
        }
        // The text that a setting came with is repeated on the node, where a second BEGIN would be warned of.
        AnsiTransactionManager::begin_transaction_sql(conn, begin).await?;
        if settings.is_empty() { Ok(()) } else { Ok(conn.batch_execute(settings).await?) }
    }

    async fn once<T, E, F>(&self, begin: &'static str, settings: &str, work: &mut F) -> Result<T, E>
    where
        F: for<'c> AsyncFnMut(&'c mut Conn) -> Result<T, E>
            + for<'c> Work<&'c mut Conn, Result<T, E>, Fut: Send>
            + Send,
        T: Send,
        E: Fault,
    {
        let mut open = Open(Some(self.checkout().await?));
        self.begin(open.conn()?, begin, settings).await?;
        let result = work(open.conn()?).await;
        let ended = match &result {
            Ok(_) => AnsiTransactionManager::commit_transaction(open.conn()?).await,
            Err(_) => AnsiTransactionManager::rollback_transaction(open.conn()?).await,
        };
        match (result, ended) {
            (Ok(value), Ok(())) => {
                open.close();
                Ok(value)
            }
            (Ok(_), Err(error)) => Err(DbError::from(error).into()),
            // A rollback that failed leaves the connection to the guard, which throws it away.
            (Err(error), Err(_)) => Err(error),
            (Err(error), Ok(())) => {
                open.close();
                Err(error)
            }
        }
    }
}

/// A connection with an open transaction. Dropped half-way (a caller hung up), it takes the connection out of the
/// pool, closes it and cancels what it runs; otherwise the transaction would stay open until the next checkout.
struct Open(Option<Object<AsyncPgConnection>>);

impl Open {
    fn conn(&mut self) -> Result<&mut Conn, DbError> {
        let object = self.0.as_mut().ok_or_else(|| DbError::Unreachable("the connection was given back".to_owned()))?;
        Ok(object.deref_mut())
    }

    fn close(&mut self) {
        self.0.take();
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let Some(object) = self.0.take() else { return };
        let connection = Object::take(object);
        let cancel = connection.cancel_token();
        drop(connection);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            // Nobody waits for the answer, and a server that is gone has nothing to cancel.
            runtime.spawn(async move { cancel.cancel_query(NoTls).await.ok() });
        }
    }
}
