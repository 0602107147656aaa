//! SQL of attribution, by what it is about.

pub mod attributions;
pub mod claims;
pub mod codes;
pub mod leads;
pub mod parties;
pub mod touches;

/// Reads rows of one table by their ids, in no order.
macro_rules! by_ids {
    ($table:ident, $id:ty => $row:ty) => {
        pub async fn by_ids(conn: &mut Conn, organization: OrganizationId, ids: &[$id]) -> QueryResult<Vec<$row>> {
            $table::table
                .filter($table::organization_id.eq(organization))
                .filter($table::id.eq_any(ids))
                .select(<$row>::as_select())
                .load(conn)
                .await
        }
    };
}
use by_ids;
