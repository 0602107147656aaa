//! Whether the database can be worked with: what a load balancer asks before it sends anybody here.

use std::time::Duration;

use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Bool, Text};
use diesel_async::RunQueryDsl;

use crate::distributed::Distributed;
use crate::error::DbError;
use crate::migrate;
use crate::pool::{Conn, Db};

/// Who asks wants an answer now, and no answer is one.
const PATIENCE: Duration = Duration::from_secs(2);

/// Something that is not ready, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotReady {
    /// `database`, `migrations` or `cluster`.
    pub check: &'static str,
    pub detail: String,
}

impl NotReady {
    fn of(check: &'static str, detail: impl Into<String>) -> NotReady {
        NotReady { check, detail: detail.into() }
    }
}

#[derive(QueryableByName)]
struct Applied {
    #[diesel(sql_type = Text)]
    version: String,
}

#[derive(QueryableByName)]
struct Node {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    port: i64,
    #[diesel(sql_type = Bool)]
    answers: bool,
}

impl Db {
    /// Everything that keeps this program from working with the database; empty when it is ready.
    pub async fn ready(&self) -> Vec<NotReady> {
        match tokio::time::timeout(PATIENCE, self.look()).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => vec![NotReady::of("database", error.to_string())],
            Err(_) => vec![NotReady::of("database", "the database does not answer in time")],
        }
    }

    async fn look(&self) -> Result<Vec<NotReady>, DbError> {
        let mut conn = self.checkout().await?;
        let mut found = migrations(&mut conn).await?;
        if self.distributed == Some(Distributed::Citus) {
            found.extend(nodes(&mut conn).await);
        }
        Ok(found)
    }
}

/// A newer program may have brought more: those are no obstacle while processes are replaced one by one.
async fn migrations(conn: &mut Conn) -> Result<Vec<NotReady>, DbError> {
    let applied: Vec<Applied> = diesel::sql_query("SELECT version FROM __diesel_schema_migrations").load(conn).await?;
    let applied: Vec<String> = applied.into_iter().map(|row| row.version).collect();
    Ok(match migrate::missing(&applied) {
        Ok(missing) if missing.is_empty() => Vec::new(),
        Ok(missing) => {
            let detail = format!("the database lacks {}: run `avance migrate`", missing.join(", "));
            vec![NotReady::of("migrations", detail)]
        }
        Err(error) => vec![NotReady::of("migrations", error.to_string())],
    })
}

/// Nodes that do not answer; the organizations on the others can be served.
async fn nodes(conn: &mut Conn) -> Vec<NotReady> {
    let asked: Result<Vec<Node>, _> = diesel::sql_query(
        "SELECT nodename AS name, nodeport::bigint AS port, success AS answers FROM run_command_on_workers('SELECT 1')",
    )
    .load(conn)
    .await;
    match asked {
        Ok(nodes) => {
            let away = nodes.into_iter().filter(|node| !node.answers);
            let detail = |node: Node| {
                format!("the node {}:{} does not answer: start it, or look at its log", node.name, node.port)
            };
            away.map(|node| NotReady::of("cluster", detail(node))).collect()
        }
        Err(error) => vec![NotReady::of("cluster", error.to_string())],
    }
}
