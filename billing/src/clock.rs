//! Time is an argument: only [`Clock`] looks at the wall, and the wall is the database's.
//!
//! Periods and due dates follow one clock, however many machines there are and however wrong theirs may be.

use std::sync::{Arc, RwLock};

use billing_db::Conn;
use billing_primitives::Timestamp;
use diesel::QueryResult;
use diesel_async::RunQueryDsl;

/// Where "now" comes from.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The clock of the database server.
    Database,
    /// A clock that stands until it is set: tests and demos.
    Manual(Arc<RwLock<Timestamp>>),
}

impl Clock {
    pub fn manual(now: Timestamp) -> Clock {
        Clock::Manual(Arc::new(RwLock::new(now)))
    }

    /// Sets a manual clock; the database's cannot be set.
    pub fn set(&self, now: Timestamp) {
        if let Clock::Manual(hand) = self {
            *hand.write().unwrap_or_else(std::sync::PoisonError::into_inner) = now;
        }
    }

    /// The instant at which the transaction of `conn` began.
    ///
    /// # Errors
    /// Faults of the database.
    pub async fn now(&self, conn: &mut Conn) -> QueryResult<Timestamp> {
        match self {
            Clock::Manual(hand) => Ok(*hand.read().unwrap_or_else(std::sync::PoisonError::into_inner)),
            Clock::Database => diesel::select(diesel::dsl::now.into_sql_timestamptz()).get_result(conn).await,
        }
    }
}

trait IntoTimestamptz {
    fn into_sql_timestamptz(self) -> diesel::dsl::AsExprOf<diesel::dsl::now, diesel::sql_types::Timestamptz>;
}

impl IntoTimestamptz for diesel::dsl::now {
    fn into_sql_timestamptz(self) -> diesel::dsl::AsExprOf<diesel::dsl::now, diesel::sql_types::Timestamptz> {
        diesel::IntoSql::into_sql::<diesel::sql_types::Timestamptz>(self)
    }
}
