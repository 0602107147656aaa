//! The walls of the database itself: what the application's role, or a statement that forgot something, cannot do.
//!
//! These tests leave the product aside and speak SQL, as somebody would who got past all of it.

use std::collections::BTreeSet;

use billing::invoicing::run::Goal::Finalized;
use billing_db::{APP_ROLE, DbError};
use billing_primitives::OrganizationId;
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Text};
use diesel_async::RunQueryDsl;
use tests::source::root;
use tests::{App, story, world};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

use crate::life::{everything, readings};

/// Tables with a column `organization_id` that are not an organization's own.
const SHARED: &str = "'directory', 'job'";

#[derive(Clone, Copy)]
enum Role {
    Application,
    Owner,
}

const ROLES: [Role; 2] = [Role::Application, Role::Owner];

/// A connection of `role` that has said which organization it is for, or (none) has not.
async fn session(role: Role, organization: Option<OrganizationId>) -> Client {
    let mut server = world().owner.clone();
    if let Role::Application = role {
        server.options(format!("-c role={APP_ROLE}"));
    }
    let (client, connection) = server.connect(NoTls).await.expect("the server answers");
    tokio::spawn(connection);
    if let Some(organization) = organization {
        let set = format!("SET app.organization = '{}'", organization.uuid());
        client.batch_execute(&set).await.expect("the organization is set");
    }
    client
}

/// How many rows a statement met; none when it is not allowed at all.
async fn met(client: &Client, sql: &str) -> Option<u64> {
    match client.execute(sql, &[]).await {
        Ok(rows) => Some(rows),
        Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => None,
        Err(error) => panic!("{sql}: {error:?}"),
    }
}

async fn count(client: &Client, from: &str) -> i64 {
    let row = client.query_one(&format!("SELECT count(*) FROM {from}"), &[]).await;
    row.unwrap_or_else(|error| panic!("{from}: {error:?}")).get(0)
}

/// Every table of an organization.
async fn tables() -> Vec<String> {
    let sql = format!(
        "SELECT c.relname::text FROM pg_class c
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'organization_id'
         WHERE c.relkind IN ('r', 'p') AND c.relnamespace = current_schema()::regnamespace
           AND c.relname NOT IN ({SHARED}) ORDER BY 1"
    );
    let rows = session(Role::Owner, None).await.query(&sql, &[]).await.expect("tables");
    assert!(rows.len() > 30);
    rows.iter().map(|row| row.get(0)).collect()
}

/// What `client` can do with the rows of an organization that is not its own.
async fn reach(client: &Client, table: &str, of: OrganizationId) {
    let theirs = format!("organization_id = '{}'", of.uuid());
    assert_eq!(count(client, &format!("{table} WHERE {theirs}")).await, 0, "{table} is read");
    let update = format!("UPDATE {table} SET organization_id = organization_id WHERE {theirs}");
    assert!(matches!(met(client, &update).await, None | Some(0)), "{table} is updated");
    let delete = format!("DELETE FROM {table} WHERE {theirs}");
    assert!(matches!(met(client, &delete).await, None | Some(0)), "{table} is deleted from");
    // The wall is looked at before anything that is missing in the row.
    let insert = format!("INSERT INTO {table} (organization_id) VALUES ('{}')", of.uuid());
    assert_eq!(met(client, &insert).await, None, "{table} is inserted into");
}

#[test]
fn nobody_reaches_the_rows_of_another_organization() {
    story(async |app| {
        everything(&app).await;
        let other = App::new(app.billing.db.clone()).await;
        let tables = tables().await;
        let own = session(Role::Application, Some(app.organization)).await;
        for table in &tables {
            assert!(count(&own, table).await > 0, "the story leaves {table} empty, so it shows nothing of it");
        }
        for role in ROLES {
            for organization in [Some(other.organization), None] {
                let stranger = session(role, organization).await;
                for table in &tables {
                    reach(&stranger, table, app.organization).await;
                    let visible = count(&stranger, table).await;
                    let seen = organization.map(|id| format!("{table} WHERE organization_id = '{}'", id.uuid()));
                    let allowed = match &seen {
                        Some(from) => count(&stranger, from).await,
                        None => 0,
                    };
                    assert_eq!(visible, allowed, "{table} shows rows of others");
                }
            }
        }
        for table in &tables {
            assert!(count(&own, table).await > 0, "{table} lost its rows");
        }
    });
}

#[test]
fn the_organization_ends_with_the_transaction() {
    #[derive(QueryableByName)]
    struct Seen {
        #[diesel(sql_type = Text)]
        role: String,
        #[diesel(sql_type = BigInt)]
        rows: i64,
    }
    // One connection, so that each transaction follows the one before on it.
    let (db, _) = world().observed(1);
    world().runtime.block_on(async {
        let app = App::new(db.clone()).await;
        app.customer("C-1", None).await;
        let seen = format!(
            "SELECT current_user::text AS role, count(*) AS rows FROM customer WHERE organization_id = '{}'",
            app.organization.uuid()
        );
        let read = async || -> Result<Seen, DbError> {
            db.read(app.organization, async |conn| Ok(diesel::sql_query(seen.as_str()).get_result(conn).await?)).await
        };
        let before = read().await.unwrap();
        assert_eq!((before.role.as_str(), before.rows), (APP_ROLE, 1));
        let after: Result<Seen, DbError> =
            db.unscoped(async |conn| Ok(diesel::sql_query(seen.as_str()).get_result(conn).await?)).await;
        let after = after.unwrap();
        assert_eq!((after.role.as_str(), after.rows), (APP_ROLE, 0));
    });
}

#[test]
fn finalized_documents_are_beyond_everybodys_reach() {
    story(async |app| {
        everything(&app).await;
        for role in ROLES {
            let client = session(role, Some(app.organization)).await;
            for table in ["invoice", "credit_note"] {
                let finalized = format!("{table} WHERE status = 'FINALIZED'");
                assert_eq!(count(&client, &finalized).await, 2);
                for change in [
                    format!("UPDATE {table} SET content_hash = 'x' WHERE status = 'FINALIZED'"),
                    format!("UPDATE {table} SET status = 'DRAFT', number = NULL WHERE status = 'FINALIZED'"),
                    format!("DELETE FROM {finalized}"),
                    format!("SELECT FROM {finalized} FOR UPDATE"),
                    format!("SELECT FROM {finalized} FOR SHARE"),
                ] {
                    assert_eq!(met(&client, &change).await, Some(0), "{change}");
                }
            }
            // The same statements meet the draft.
            assert_eq!(met(&client, "SELECT FROM invoice FOR UPDATE").await, Some(1));
            assert_eq!(met(&client, "UPDATE invoice SET due_date = due_date").await, Some(1));
        }
        app.verify().await;
    });
}

#[test]
fn what_was_recorded_is_never_taken_back() {
    const RECORDED: [&str; 15] = [
        "audit_entry",
        "event",
        "exchange_rate",
        "ledger_account",
        "ledger_block",
        "ledger_sealed",
        "ledger_transaction",
        "ledger_transfer",
        "payment",
        "price",
        "price_list_version",
        "seat_change",
        "settlement_entry",
        "tier",
        "tier_evaluation",
    ];
    story(async |app| {
        everything(&app).await;
        let application = session(Role::Application, Some(app.organization)).await;
        let owner = session(Role::Owner, Some(app.organization)).await;
        for table in RECORDED {
            let rows = count(&application, table).await;
            for change in [
                format!("UPDATE {table} SET organization_id = organization_id"),
                format!("DELETE FROM {table}"),
                format!("TRUNCATE {table}"),
            ] {
                assert_eq!(met(&application, &change).await, None, "{change}");
                if !change.starts_with("TRUNCATE") {
                    assert_eq!(met(&owner, &change).await, Some(0), "{change}");
                }
            }
            assert_eq!(count(&application, table).await, rows);
        }
        let lines = "UPDATE invoice_line SET organization_id = organization_id";
        assert_eq!(met(&application, lines).await, None, "lines are written once");
        app.verify().await;
    });
}

/// The tables that a statement reads or writes.
fn named(statement: &str) -> BTreeSet<String> {
    let word = |c: char| !(c.is_alphanumeric() || c == '_' || c == '"' || c == '(');
    let words: Vec<&str> = statement.split(word).filter(|word| !word.is_empty()).collect();
    let leads = ["FROM", "JOIN", "INTO", "UPDATE", "ONLY"];
    let behind = words.windows(2).filter(|pair| leads.contains(&pair[0].trim_matches('('))).map(|pair| pair[1]);
    behind.map(|name| name.trim_matches(['"', '(']).to_owned()).collect()
}

#[test]
fn the_tables_of_a_statement_are_read() {
    for (statement, tables) in [
        (r#"SELECT "plan"."id" FROM "plan" WHERE ("plan"."organization_id" = $1)"#, &["plan"][..]),
        (r#"SELECT x FROM ("invoice_line" INNER JOIN "invoice" ON true)"#, &["invoice", "invoice_line"]),
        ("WITH a AS (SELECT FROM customer_owner o) UPDATE job SET x = 1", &["customer_owner", "job"]),
        (r#"INSERT INTO "event" ("id") VALUES ($1)"#, &["event"]),
        ("DELETE FROM\n  late_change", &["late_change"]),
    ] {
        assert_eq!(named(statement).iter().collect::<Vec<_>>(), tables, "{statement}");
    }
}

#[test]
fn every_statement_names_the_organization() {
    let (db, statements) = world().observed(4);
    let (tables, sent) = world().runtime.block_on(async {
        let app = App::new(db).await;
        everything(&app).await;
        readings(&app).await;
        let imported = app.importing(&root().join("tests/data/example")).await;
        imported.on("2025-11-01").run("2025-10", Finalized).await;
        imported.verify().await;
        (tables().await, statements.take())
    });
    let about = |statement: &String| tables.iter().any(|table| named(statement).contains(table));
    let (about, silent): (Vec<String>, Vec<String>) = sent.into_iter().partition(about);
    assert!(about.len() > 300, "only {} statements were seen", about.len());
    let met: BTreeSet<String> = about.iter().flat_map(|statement| named(statement)).collect();
    let unmet: Vec<&String> = tables.iter().filter(|table| !met.contains(*table)).collect();
    assert!(unmet.is_empty(), "no statement of the story names {unmet:?}");
    let forgot: BTreeSet<&String> = about.iter().filter(|sql| !sql.contains("organization_id")).collect();
    assert!(forgot.is_empty(), "{forgot:#?}");
    for statement in silent {
        let table = tables.iter().find(|table| statement.contains(&format!("\"{table}\".")));
        assert!(table.is_none(), "{statement} names {table:?} in a way that this test does not read");
    }
}
