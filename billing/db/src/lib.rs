//! PostgreSQL: the pool, the scoped transaction, idempotent writes, migrations and the private cluster.
//!
//! The only way to an organization's rows is [`Db::scoped`] (or [`Db::read`], [`Db::write`]): each sets the
//! organization for the length of one transaction, so no connection ever carries it over to somebody else.

pub mod directory;
mod distributed;
pub mod embedded;
mod error;
mod idempotency;
mod kept;
mod migrate;
mod pool;
pub mod queue;
mod ready;
#[rustfmt::skip]
pub mod schema;
mod scoped;
mod start;

pub use distributed::Distributed;
pub use error::{Constraint, DbError, Fault};
pub use idempotency::{Applied, IdempotencyKey, KeyError, RecordedAnswer};
pub use kept::{Keep, Kept};
pub use migrate::{APP_ROLE, MigrateError, Migrations, migrate, revert_all};
pub use pool::{Conn, ConnectError, Db, Observer, Settings};
pub use ready::NotReady;
pub use scoped::Work;
pub use start::{DATABASE, Database, DatabaseSettings, OWNER_ROLE, StartError};
