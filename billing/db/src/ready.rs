//! Whether the database can be worked with: what a load balancer asks before it sends anybody here.

use std::sync::Arc;
use std::time::Duration;

use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Bool, Text};
use diesel_async::RunQueryDsl;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::distributed::{Distributed, HAS_NODES, IS_SPREAD, no_answer};
use crate::error::DbError;
use crate::migrate::{self, APP_ROLE, MigrateError};
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
        let mut found = match tokio::time::timeout(PATIENCE, self.look()).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => vec![NotReady::of("database", error.to_string())],
            Err(_) => vec![NotReady::of("database", "the database does not answer in time")],
        };
        if self.distributed == Some(Distributed::Citus) && found.is_empty() {
            found.extend(self.probe.ask(self).await);
        }
        found
    }

    async fn look(&self) -> Result<Vec<NotReady>, DbError> {
        let unaware = self.distributed.is_none();
        self.unscoped(async |conn| {
            let mut found = migrations(conn).await?;
            if unaware && is_spread(conn).await? {
                let detail = MigrateError::IsDistributed.to_string();
                found.push(NotReady::of("migrations", format!("{detail}, and start this process again")));
            }
            Ok(found)
        })
        .await
    }
}

const ONE_HANGS: &str = "not all nodes answer in time: look for one that hangs, and stop it";

/// Asks whether the nodes answer, one question at a time: one that hangs holds a connection as long as it does.
#[derive(Clone, Default)]
pub(crate) struct Probe(Arc<Mutex<JoinSet<Vec<NotReady>>>>);

impl Probe {
    async fn ask(&self, db: &Db) -> Vec<NotReady> {
        let answer = async {
            let mut asking = self.0.lock().await;
            if asking.is_empty() {
                let db = db.clone();
                asking.spawn(async move { nodes(&db).await });
            }
            asking.join_next().await
        };
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Some(Ok(found))) => found,
            Ok(Some(Err(error))) => vec![NotReady::of("cluster", error.to_string())],
            Ok(None) => Vec::new(),
            Err(_) => vec![NotReady::of("cluster", ONE_HANGS)],
        }
    }
}

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Bool)]
    answer: bool,
}

/// Whether the tables are on the nodes of a cluster.
async fn is_spread(conn: &mut Conn) -> Result<bool, DbError> {
    for question in [HAS_NODES, IS_SPREAD] {
        let asked: Answer = diesel::sql_query(question).get_result(conn).await?;
        if !asked.answer {
            return Ok(false);
        }
    }
    Ok(true)
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
async fn nodes(db: &Db) -> Vec<NotReady> {
    let asked: Result<Vec<Node>, DbError> = db
        .unscoped(async |conn| {
            let sql = "SELECT nodename AS name, nodeport::bigint AS port, success AS answers
                       FROM run_command_on_workers('SELECT 1')";
            Ok(diesel::sql_query(sql).load(conn).await?)
        })
        .await;
    match asked {
        Ok(nodes) => {
            let away = nodes.into_iter().filter(|node| !node.answers);
            let detail = |node: Node| no_answer(&format!("{}:{}", node.name, node.port), APP_ROLE);
            away.map(|node| NotReady::of("cluster", detail(node))).collect()
        }
        Err(DbError::Timeout) => vec![NotReady::of("cluster", ONE_HANGS)],
        Err(error) => vec![NotReady::of("cluster", error.to_string())],
    }
}
