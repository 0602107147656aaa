//! Raw statements that a connection keeps prepared.
//!
//! The library prepares a raw statement anew each time, since its text may be put together at run time. Ours are
//! constants (a test checks it), so keeping them saves a round trip each.

use diesel::QueryResult;
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};

/// See [`Keep::kept`].
#[derive(Debug, Clone, Copy)]
pub struct Kept<Q>(Q);

/// For raw statements that are sent again and again.
pub trait Keep: Query + Sized {
    /// Has the connection keep the statement prepared, by its text.
    fn kept(self) -> Kept<Self> {
        Kept(self)
    }
}

impl<Q: Query> Keep for Q {}

impl<Q: Query> Query for Kept<Q> {
    type SqlType = Q::SqlType;
}

impl<Q: QueryId> QueryId for Kept<Q> {
    type QueryId = Q::QueryId;
    const HAS_STATIC_QUERY_ID: bool = Q::HAS_STATIC_QUERY_ID;
}

impl<Q: QueryFragment<Pg>> QueryFragment<Pg> for Kept<Q> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.0.walk_ast(out)
    }

    fn is_safe_to_cache_prepared(&self, _: &Pg) -> QueryResult<bool> {
        Ok(true)
    }
}
