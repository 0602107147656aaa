//! The database on a Citus cluster, and what is in it.

use billing_db::{Database, DatabaseSettings, Distributed};
use tokio_postgres::{Client, NoTls};

use crate::Outcome;
use crate::cluster::Cluster;
use crate::month::WRITTEN;
use crate::profile::Profile;
use crate::seed::Seeded;

/// Spreads the tables over the cluster whose coordinator the URL names; its user has to be a superuser.
pub async fn over(url: &str, profile: Option<&Profile>, connections: usize) -> Outcome<Cluster> {
    let distributed = Some(Distributed::Citus);
    let settings = DatabaseSettings { url: Some(url.to_owned()), data: std::env::temp_dir(), connections, distributed };
    let database = Database::start(&settings).await?;
    let (superuser, connection) = database.server.connect(NoTls).await?;
    tokio::spawn(connection);
    Cluster::with(database, superuser, profile, connections).await
}

/// What was seeded is written out before anything is measured, on all nodes.
pub async fn checkpoint(superuser: &Client) -> Outcome<()> {
    superuser.batch_execute("CHECKPOINT").await?;
    if is_citus(superuser).await? {
        superuser.query("SELECT run_command_on_workers('CHECKPOINT')", &[]).await?;
    }
    Ok(())
}

async fn is_citus(superuser: &Client) -> Outcome<bool> {
    Ok(superuser.query_opt("SELECT FROM pg_extension WHERE extname = 'citus'", &[]).await?.is_some())
}

/// What the tables and their indexes take on all nodes together.
pub async fn size_mb(superuser: &Client) -> Outcome<i64> {
    let sql = if is_citus(superuser).await? {
        "SELECT (sum(citus_total_relation_size(logicalrelid)) / 1048576)::bigint FROM pg_dist_partition"
    } else {
        "SELECT pg_database_size(current_database()) / 1048576"
    };
    Ok(superuser.query_one(sql, &[]).await?.get(0))
}

/// The rows that the organization's only run wrote.
pub async fn rows(superuser: &Client, seeded: &Seeded) -> Outcome<i64> {
    let mut rows = 0;
    for table in WRITTEN {
        let sql = format!("SELECT count(*) FROM {table} WHERE organization_id = '{}'", seeded.organization.uuid());
        rows += superuser.query_one(&sql, &[]).await?.get::<_, i64>(0);
    }
    Ok(rows)
}
