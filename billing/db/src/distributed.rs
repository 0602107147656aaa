//! A distributed PostgreSQL: whole organizations on the nodes of a cluster. Nothing but what stands here knows of it.
//!
//! Every table that leads with the organization is spread by it, all of them alike, so that one organization's rows are on
//! one node and foreign keys stay inside it. What is asked before an organization is known stays on the node that
//! everybody connects to.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use tokio_postgres::{Client, Config, NoTls, Transaction};

use crate::migrate::{self, APP_ROLE, LOCK, MigrateError};
use crate::pool::full;

/// The software that spreads the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distributed {
    Citus,
}

impl FromStr for Distributed {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text == "citus" { Ok(Distributed::Citus) } else { Err(()) }
    }
}

impl Distributed {
    /// Start-up options of every connection of the pool. The organization that a transaction works for is set on the node
    /// that has its rows, too, and is gone with the transaction there. A plan that was made without knowing the
    /// organization would go to all nodes.
    pub(crate) const fn options(self) -> &'static str {
        match self {
            Distributed::Citus => " -c citus.propagate_set_commands=local -c plan_cache_mode=force_custom_plan",
        }
    }
}

/// What is to become of rows that are there before the tables are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rows {
    /// They move to the nodes, however long that takes; nobody can work meanwhile.
    Move,
    /// Nothing is spread as long as there are any: only who asked for it moves them.
    Stay,
}

/// Tables of the installation: they stay where everybody connects to. The queue is claimed by one statement over all
/// organizations; the directory is asked before one is known.
const LOCAL: [&str; 4] = ["__diesel_schema_migrations", "directory", "job", "job_tick"];

/// The table that all others are placed beside.
const FIRST: &str = "organization";

/// What Citus must be able to do.
const OLDEST: i32 = 12;

/// What the catalogue says of the tables.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tables {
    /// Whether they are spread already.
    all: BTreeMap<String, bool>,
    /// Primary keys and unique indexes that lack the organization: table and index.
    keys: Vec<(String, String)>,
    /// Foreign keys: from table, to table, name.
    references: Vec<(String, String, String)>,
}

impl Tables {
    /// What has to be spread, each table behind those that it refers to; or what is in the way, all of it.
    fn order(&self) -> Result<Vec<String>, Vec<String>> {
        let local = |table: &str| LOCAL.contains(&table);
        let mut wrong: Vec<String> = Vec::new();
        for (table, index) in self.keys.iter().filter(|(table, _)| !local(table)) {
            wrong.push(format!("{table}: {index} does not lead with organization_id; put it into the key"));
        }
        for (from, to, name) in self.references.iter().filter(|(from, to, _)| local(from) != local(to)) {
            wrong.push(format!("{from}: the foreign key {name} leads to {to}, which is kept elsewhere; drop it"));
        }
        let mut placed: BTreeSet<&str> =
            self.all.iter().filter(|(_, spread)| **spread).map(|(t, _)| t.as_str()).collect();
        let mut left: Vec<&str> =
            self.all.keys().map(String::as_str).filter(|t| !local(t) && !placed.contains(t)).collect();
        left.sort_by_key(|table| (*table != FIRST, *table));
        let mut order = Vec::new();
        while !left.is_empty() {
            let ready = |table: &str| {
                let mut of = self.references.iter().filter(|(from, to, _)| from == table && to != table);
                of.all(|(_, to, _)| placed.contains(to.as_str()) || local(to))
            };
            let (now, later): (Vec<&str>, Vec<&str>) = left.iter().partition(|table| ready(table));
            if now.is_empty() {
                wrong.push(format!("{} refer to each other in a circle", later.join(", ")));
                break;
            }
            placed.extend(&now);
            order.extend(now.into_iter().map(str::to_owned));
            left = later;
        }
        if wrong.is_empty() { Ok(order) } else { Err(wrong) }
    }
}

/// What is in the way of spreading tables, looked at before any is made.
///
/// # Errors
/// [`MigrateError::NotDistributable`]; faults of the server.
pub(crate) async fn prepare(server: &Config) -> Result<(), MigrateError> {
    with_client(server, async |client| {
        if let Some(problem) = extension_problem(client).await.map_err(failed)? {
            return Err(MigrateError::NotDistributable(vec![problem]));
        }
        if !pending(client).await? {
            return Ok(());
        }
        let away = node_problems(client).await.map_err(failed)?;
        if away.is_empty() { Ok(()) } else { Err(MigrateError::NotDistributable(away)) }
    })
    .await
}

/// A process that does not know that the tables are spread would see no row of them, and take that for an answer.
///
/// # Errors
/// [`MigrateError::IsDistributed`]; faults of the server.
pub(crate) async fn refuse_if_spread(server: &Config) -> Result<(), MigrateError> {
    with_client(server, async |client| {
        let asked = async |sql| Ok(client.query_one(sql, &[]).await.map_err(failed)?.get::<_, bool>(0));
        let spread = asked(HAS_NODES).await? && asked(IS_SPREAD).await?;
        if spread { Err(MigrateError::IsDistributed) } else { Ok(()) }
    })
    .await
}

/// Whether the software is there.
pub(crate) const HAS_NODES: &str = "SELECT to_regclass('pg_dist_partition') IS NOT NULL AS answer";

/// Only where there are nodes: their catalogue is asked.
pub(crate) const IS_SPREAD: &str = "SELECT EXISTS (
         SELECT FROM pg_dist_partition WHERE logicalrelid = to_regclass('public.organization')
     ) AS answer";

/// Spreads, behind [`prepare`], every table that is not yet, in one transaction: nothing is half distributed. Repeated, it does nothing.
/// Returns the tables that were spread.
///
/// # Errors
/// [`MigrateError::NotDistributable`] with everything that is in the way and what to do; faults of the server.
pub(crate) async fn distribute(server: &Config, rows: Rows) -> Result<Vec<String>, MigrateError> {
    with_client(server, async |client| spread(client, rows).await).await
}

async fn with_client<T>(
    server: &Config,
    work: impl AsyncFnOnce(&mut Client) -> Result<T, MigrateError>,
) -> Result<T, MigrateError> {
    let (mut client, connection) =
        server.connect(NoTls).await.map_err(|error| MigrateError::Unreachable(full(&error)))?;
    let driver = tokio::spawn(connection);
    let done = work(&mut client).await;
    drop(client);
    driver.abort();
    done
}

fn failed(error: tokio_postgres::Error) -> MigrateError {
    MigrateError::Failed(full(&error))
}

/// Whether there are migrations to be applied.
async fn pending(client: &Client) -> Result<bool, MigrateError> {
    let known = "SELECT to_regclass('public.__diesel_schema_migrations') IS NOT NULL";
    if !client.query_one(known, &[]).await.map_err(failed)?.get::<_, bool>(0) {
        return Ok(true);
    }
    let applied = client.query("SELECT version FROM __diesel_schema_migrations", &[]).await.map_err(failed)?;
    let applied: Vec<String> = applied.iter().map(|row| row.get(0)).collect();
    let missing = migrate::missing(&applied).map_err(|error| MigrateError::Failed(error.to_string()))?;
    Ok(!missing.is_empty())
}

async fn holds_rows(client: &Client) -> Result<bool, tokio_postgres::Error> {
    let sql = format!("SELECT pg_relation_size('{FIRST}') > 0");
    Ok(client.query_one(&sql, &[]).await?.get(0))
}

async fn spread(client: &mut Client, rows: Rows) -> Result<Vec<String>, MigrateError> {
    let settings = "SET statement_timeout = 0; SET lock_timeout = 0; SET citus.multi_task_query_log_level = off";
    client.batch_execute(settings).await.map_err(failed)?;
    client.query("SELECT pg_advisory_lock($1)", &[&LOCK]).await.map_err(failed)?;
    let order = tables(client).await.map_err(failed)?.order().map_err(MigrateError::NotDistributable)?;
    // A node that is away, or hangs, is no obstacle where nothing is to be spread.
    if order.is_empty() {
        return Ok(order);
    }
    let first = order.iter().any(|table| table == FIRST);
    if first && rows == Rows::Stay && holds_rows(client).await.map_err(failed)? {
        let unasked =
            "there are rows, which have to be moved to the nodes first: stop all processes and run `avance migrate`";
        return Err(MigrateError::NotDistributable(vec![unasked.to_owned()]));
    }
    let away = node_problems(client).await.map_err(failed)?;
    if !away.is_empty() {
        return Err(MigrateError::NotDistributable(away));
    }
    // The node that everybody connects to logs in at the others as the role that it works as. What connects from now on has
    // the settings of a cluster, also when it does not ask for them.
    let settings = format!(
        "DO $$ BEGIN
             IF NOT (SELECT rolcanlogin FROM pg_roles WHERE rolname = '{APP_ROLE}') THEN
                 ALTER ROLE {APP_ROLE} LOGIN;
             END IF;
             EXECUTE format('ALTER DATABASE %I SET citus.propagate_set_commands = ''local''', current_database());
         END $$"
    );
    client.batch_execute(&settings).await.map_err(failed)?;
    client.batch_execute(&format!("SET ROLE {APP_ROLE}")).await.map_err(failed)?;
    let turned_away = unreachable_nodes(client).await.map_err(failed)?;
    client.batch_execute("RESET ROLE").await.map_err(failed)?;
    if !turned_away.is_empty() {
        return Err(MigrateError::NotDistributable(turned_away));
    }
    let transaction = client.transaction().await.map_err(failed)?;
    // Foreign keys between tables that are made in one transaction want one connection to each node.
    transaction.batch_execute("SET LOCAL citus.multi_shard_modify_mode = 'sequential'").await.map_err(failed)?;
    for table in &order {
        spread_table(&transaction, table).await.map_err(failed)?;
    }
    for table in &order {
        // Rows of before were copied to the nodes; what is left of them here would only be in the way.
        let sql = "SELECT truncate_local_data_after_distributing_table($1::text::regclass)";
        transaction.query(sql, &[table]).await.map_err(failed)?;
    }
    if first {
        // Who was connected before would see no rows from here on: it has to connect again.
        transaction.execute(END_THE_OTHERS, &[]).await.map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)?;
    Ok(order)
}

/// Rows that are there are copied to the nodes, which row-level security forbids even the owner as long as it is forced.
async fn spread_table(transaction: &Transaction<'_>, table: &str) -> Result<(), tokio_postgres::Error> {
    let asked = "SELECT relforcerowsecurity AND pg_relation_size(oid) > 0 FROM pg_class WHERE oid = $1::text::regclass";
    let lifted: bool = transaction.query_one(asked, &[&table]).await?.get(0);
    if lifted {
        transaction.batch_execute(&format!("ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")).await?;
    }
    let beside = if table == FIRST { "none" } else { FIRST };
    let sql = "SELECT create_distributed_table($1::text::regclass, 'organization_id', colocate_with => $2)";
    transaction.query(sql, &[&table, &beside]).await?;
    if lifted {
        transaction.batch_execute(&format!("ALTER TABLE {table} FORCE ROW LEVEL SECURITY")).await?;
    }
    Ok(())
}

/// But for those that wait to migrate, too.
const END_THE_OTHERS: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND usename = current_user AND backend_type = 'client backend'
         AND pid <> pg_backend_pid() AND wait_event IS DISTINCT FROM 'advisory'";

/// Why the database cannot spread anything, and what to do.
async fn extension_problem(client: &Client) -> Result<Option<String>, tokio_postgres::Error> {
    let version = client.query_opt("SELECT extversion FROM pg_extension WHERE extname = 'citus'", &[]).await?;
    let Some(version) = version.map(|row| row.get::<_, String>(0)) else {
        let missing = "the extension citus is missing in this database: CREATE EXTENSION citus, as a superuser";
        return Ok(Some(missing.to_owned()));
    };
    let major = version.split(['.', '-']).next().and_then(|major| major.parse::<i32>().ok());
    let too_old = major.is_none_or(|major| major < OLDEST);
    Ok(too_old.then(|| format!("Citus {version} is too old: Avance needs {OLDEST} or later")))
}

/// Which nodes are missing or away, and what to do.
async fn node_problems(client: &Client) -> Result<Vec<String>, tokio_postgres::Error> {
    let nodes = client
        .query(
            "SELECT nodename || ':' || nodeport, isactive FROM pg_dist_node WHERE noderole = 'primary' AND shouldhaveshards",
            &[],
        )
        .await?;
    if nodes.is_empty() {
        let none = "the cluster has no node that takes rows: SELECT citus_add_node(host, port) on its coordinator";
        return Ok(vec![none.to_owned()]);
    }
    let away: Vec<String> = nodes.iter().filter(|row| !row.get::<_, bool>(1)).map(|row| row.get(0)).collect();
    let problem = |node| format!("the node {node} is not active: start it, or take it out with citus_remove_node");
    let mut problems: Vec<String> = away.into_iter().map(problem).collect();
    problems.extend(unreachable_nodes(client).await?);
    Ok(problems)
}

/// Nodes that the coordinator cannot reach as who asks.
async fn unreachable_nodes(client: &Client) -> Result<Vec<String>, tokio_postgres::Error> {
    let asked = "SELECT nodename || ':' || nodeport, current_user::text FROM run_command_on_workers('SELECT 1')
                 WHERE NOT success";
    let rows = client.query(asked, &[]).await?;
    Ok(rows.iter().map(|row| no_answer(row.get(0), row.get(1))).collect())
}

/// What to say of a node that did not answer a question of the role's.
pub(crate) fn no_answer(node: &str, role: &str) -> String {
    format!("the node {node} does not answer, or turns {role} away: start it, or look at its log and its pg_hba.conf")
}

async fn tables(client: &Client) -> Result<Tables, tokio_postgres::Error> {
    let mut tables = Tables::default();
    let rows = client
        .query(
            "SELECT c.relname::text, p.logicalrelid IS NOT NULL FROM pg_class c
             LEFT JOIN pg_dist_partition p ON p.logicalrelid = c.oid AND p.partmethod = 'h'
             WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = 'public'::regnamespace",
            &[],
        )
        .await?;
    tables.all = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let rows = client
        .query(
            "SELECT t.relname::text, i.relname::text FROM pg_index x
             JOIN pg_class t ON t.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid
             WHERE x.indisunique AND t.relkind IN ('r', 'p') AND t.relnamespace = 'public'::regnamespace
               AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attname = 'organization_id'
                               AND a.attnum = ANY (x.indkey))
             ORDER BY 1, 2",
            &[],
        )
        .await?;
    tables.keys = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let rows = client
        .query(
            "SELECT DISTINCT t.relname::text, r.relname::text, k.conname::text FROM pg_constraint k
             JOIN pg_class t ON t.oid = k.conrelid JOIN pg_class r ON r.oid = k.confrelid
             WHERE k.contype = 'f' AND t.relnamespace = 'public'::regnamespace ORDER BY 1, 2, 3",
            &[],
        )
        .await?;
    tables.references = rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    Ok(tables)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(all: &[&str], references: &[(&str, &str)]) -> Tables {
        let reference = |(from, to): &(&str, &str)| ((*from).to_owned(), (*to).to_owned(), format!("{from}_{to}"));
        Tables {
            all: all.iter().chain(&LOCAL).map(|table| ((*table).to_owned(), false)).collect(),
            keys: LOCAL.iter().map(|table| ((*table).to_owned(), format!("{table}_pkey"))).collect(),
            references: references.iter().map(reference).collect(),
        }
    }

    #[test]
    fn tables_follow_those_they_refer_to() {
        let known = tables(
            &["line", "invoice", "organization", "partner"],
            &[("line", "invoice"), ("invoice", "partner"), ("partner", "organization"), ("partner", "partner")],
        );
        assert_eq!(known.order().unwrap(), ["organization", "partner", "invoice", "line"]);
        let mut again = known;
        for table in ["organization", "partner", "invoice"] {
            again.all.insert(table.to_owned(), true);
        }
        assert_eq!(again.order().unwrap(), ["line"]);
    }

    #[test]
    fn everything_in_the_way_is_said_at_once() {
        let mut wrong = tables(&["organization", "country"], &[("organization", "job"), ("job", "country")]);
        wrong.keys.push(("country".to_owned(), "country_pkey".to_owned()));
        let said = wrong.order().unwrap_err();
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(said[0].starts_with("country: country_pkey"), "{said:?}");
        let circle = tables(&["a", "b"], &[("a", "b"), ("b", "a")]);
        assert_eq!(circle.order().unwrap_err(), ["a, b refer to each other in a circle"]);
    }
}
