//! The floor: the rows that a run wrote, inserted again by PostgreSQL alone.
//!
//! The copies have the indexes, checks and foreign keys of the real tables, and keep what earlier months put into them,
//! as the real ones do.

use std::time::{Duration, Instant};

use billing_primitives::OrganizationId;
use tokio_postgres::Client;

use crate::Outcome;
use crate::month::WRITTEN;

/// Makes the copies. A foreign key leads to the copy where there is one, to the real table otherwise.
pub async fn make_copies(superuser: &Client) -> Outcome<()> {
    superuser.batch_execute("CREATE SCHEMA floor; CREATE SCHEMA staging").await?;
    for table in WRITTEN {
        superuser.batch_execute(&format!("CREATE TABLE floor.{table} (LIKE public.{table} INCLUDING ALL)")).await?;
        let keys = superuser
            .query(
                "SELECT conname::text, pg_get_constraintdef(oid) FROM pg_constraint
                 WHERE conrelid = ('public.' || $1)::regclass AND contype = 'f'",
                &[&table],
            )
            .await?;
        for key in keys {
            let (name, definition): (String, String) = (key.get(0), key.get(1));
            superuser
                .batch_execute(&format!(
                    "BEGIN; SET LOCAL search_path = floor, public;
                     ALTER TABLE floor.{table} ADD CONSTRAINT {name} {definition}; COMMIT"
                ))
                .await?;
        }
    }
    Ok(())
}

/// A transaction that is newer than all before it and older than all behind it.
pub async fn next_transaction(superuser: &Client) -> Outcome<i64> {
    Ok(superuser.query_one("SELECT pg_current_xact_id()::text::bigint", &[]).await?.get(0))
}

/// Both sides begin with statistics, without vacuuming left to do, and behind a checkpoint.
pub async fn settle(superuser: &Client) -> Outcome<()> {
    for table in WRITTEN {
        superuser.batch_execute(&format!("VACUUM (ANALYZE) public.{table}")).await?;
        superuser.batch_execute(&format!("VACUUM (ANALYZE) floor.{table}")).await?;
    }
    Ok(superuser.batch_execute("CHECKPOINT").await?)
}

/// Copies the rows that transactions after `since` wrote for the organization into tables without indexes.
pub async fn stage(superuser: &Client, organization: OrganizationId, since: i64) -> Outcome<()> {
    for table in WRITTEN {
        let columns = columns(superuser, table).await?;
        superuser
            .batch_execute(&format!(
                "DROP TABLE IF EXISTS staging.{table};
                 CREATE TABLE staging.{table} AS SELECT {columns} FROM public.{table}
                     WHERE organization_id = '{}' AND xmin::text::bigint > {since};
                 ANALYZE staging.{table}",
                organization.uuid()
            ))
            .await?;
    }
    Ok(())
}

/// The columns that can be inserted.
async fn columns(superuser: &Client, table: &str) -> Outcome<String> {
    let row = superuser
        .query_one(
            "SELECT string_agg(quote_ident(column_name), ', ' ORDER BY ordinal_position)
             FROM information_schema.columns
             WHERE table_schema = 'public' AND table_name = $1 AND is_generated = 'NEVER' AND is_identity = 'NO'",
            &[&table],
        )
        .await?;
    Ok(row.get(0))
}

/// Inserts the staged rows into the copies in one transaction. Returns the time it took and the number of rows.
pub async fn insert(superuser: &Client) -> Outcome<(Duration, i64)> {
    let mut statements = Vec::new();
    for table in WRITTEN {
        let columns = columns(superuser, table).await?;
        statements.push(format!("INSERT INTO floor.{table} ({columns}) SELECT {columns} FROM staging.{table}"));
    }
    settle(superuser).await?;
    let start = Instant::now();
    superuser.batch_execute("BEGIN").await?;
    let mut rows = 0;
    for statement in statements {
        rows += i64::try_from(superuser.execute(&statement, &[]).await?)?;
    }
    superuser.batch_execute("COMMIT").await?;
    Ok((start.elapsed(), rows))
}
