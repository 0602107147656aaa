//! What every table keeps, asked of the database itself: organization first, comments, walls, money with its currency.

use std::collections::BTreeSet;

use billing_db::embedded::SUPERUSER;
use billing_db::{APP_ROLE, OWNER_ROLE};
use tests::source::read;
use tests::world;
use tokio_postgres::{Client, Config, NoTls};

use crate::none;

/// Tables of no organization, with the reason.
const WITHOUT_ORGANIZATION: [(&str, &str); 4] = [
    ("__diesel_schema_migrations", "belongs to the installation: which migrations it has"),
    ("directory", "is read before the organization is known"),
    ("job", "jobs of all organizations are claimed by one statement"),
    ("job_tick", "schedules belong to the installation"),
];

/// Tables whose rows stand as they were written.
const APPEND_ONLY: [&str; 18] = [
    "ledger_account",
    "ledger_transaction",
    "ledger_transfer",
    "ledger_block",
    "ledger_sealed",
    "audit_entry",
    "event",
    "tier_evaluation",
    "payment",
    "seat_change",
    "settlement_entry",
    "enrollment_terms",
    "enrollment_evaluation",
    "attribution",
    "commission_entry",
    "commission_reversal",
    "commission_statement",
    "commission_statement_entry",
];

/// Every table of the schema except the four above.
const TABLES: &str = "SELECT c.oid, c.relname::text AS name FROM pg_class c
    WHERE c.relkind IN ('r', 'p') AND c.relnamespace = current_schema()::regnamespace
      AND c.relname <> ALL (ARRAY['__diesel_schema_migrations', 'directory', 'job', 'job_tick'])";

async fn connect(server: &Config) -> Client {
    let (client, connection) = server.connect(NoTls).await.expect("the server answers");
    tokio::spawn(connection);
    client
}

/// Asks the shared database, as the owner of the tables: rows of one text each.
fn ask(sql: &str) -> Vec<String> {
    let world = world();
    world.runtime.block_on(async {
        let rows = connect(&world.owner).await.query(sql, &[]).await.expect("an answer");
        rows.iter().map(|row| row.get(0)).collect()
    })
}

/// Asks for what breaks a rule: `sql` follows the words `WITH tables AS (every table of an organization)`.
fn broken(rule: &str, sql: &str) {
    none(rule, ask(&format!("WITH tables AS ({TABLES}) {sql}")));
}

#[test]
fn tables_without_an_organization_stand_in_one_list() {
    let listed: BTreeSet<String> = WITHOUT_ORGANIZATION.iter().map(|(name, _)| (*name).to_owned()).collect();
    let found = ask("SELECT c.relname::text FROM pg_class c
         WHERE c.relkind IN ('r', 'p') AND c.relnamespace = current_schema()::regnamespace
           AND (c.relname = 'directory' OR NOT EXISTS (SELECT FROM pg_attribute a
               WHERE a.attrelid = c.oid AND a.attname = 'organization_id' AND a.attnotnull))");
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), listed);
    assert!(listed.iter().all(|name| TABLES.contains(&format!("'{name}'"))), "the statement above says the same");
    assert!(ask(&format!("SELECT name FROM ({TABLES}) AS tables")).len() > 30);
}

#[test]
fn keys_begin_with_the_organization() {
    broken(
        "each table has a primary key, and each index begins with the organization",
        "SELECT t.name || ' has no primary key' FROM tables t
         WHERE NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = t.oid AND i.indisprimary)
         UNION ALL
         SELECT i.indexrelid::regclass || ' does not begin with organization_id'
         FROM tables t JOIN pg_index i ON i.indrelid = t.oid
         LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = i.indkey[0]
         WHERE a.attname IS DISTINCT FROM 'organization_id'",
    );
}

#[test]
fn foreign_keys_stay_inside_the_organization() {
    broken(
        "foreign keys name the organization first, on both sides",
        "SELECT f.conname || ' of ' || t.name FROM tables t
         JOIN pg_constraint f ON f.conrelid = t.oid AND f.contype = 'f'
         JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = f.conkey[1]
         JOIN pg_attribute b ON b.attrelid = f.confrelid AND b.attnum = f.confkey[1]
         WHERE a.attname <> 'organization_id' OR b.attname <> 'organization_id'",
    );
    broken(
        "each table leads to its organization, by itself or over others, by a key that is never null",
        "SELECT t.name || ' leads to no organization' FROM tables t
         WHERE t.oid NOT IN (
             WITH RECURSIVE reached AS (
                 SELECT 'organization'::regclass::oid AS oid
                 UNION
                 SELECT f.conrelid FROM reached r
                 JOIN pg_constraint f ON f.confrelid = r.oid AND f.contype = 'f'
                 WHERE NOT EXISTS (SELECT FROM pg_attribute a
                     WHERE a.attrelid = f.conrelid AND a.attnum = ANY (f.conkey) AND NOT a.attnotnull)
             ) SELECT oid FROM reached)",
    );
    none(
        "tables of no organization keep no foreign key and none leads to them",
        ask(&format!(
            "SELECT f.conname::text FROM pg_constraint f WHERE f.contype = 'f'
               AND NOT (f.conrelid IN (SELECT oid FROM ({TABLES}) AS a) AND f.confrelid IN (SELECT oid FROM ({TABLES}) AS b))"
        )),
    );
}

#[test]
fn every_table_says_what_it_is() {
    none(
        "tables without a comment",
        ask("SELECT c.relname::text FROM pg_class c
             WHERE c.relkind IN ('r', 'p') AND c.relnamespace = current_schema()::regnamespace
               AND c.relname <> '__diesel_schema_migrations'
               AND coalesce(length(obj_description(c.oid, 'pg_class')), 0) < 10"),
    );
}

#[test]
fn walls_stand_around_every_table_of_an_organization() {
    broken(
        "row-level security is on and holds for the owner, too",
        "SELECT t.name FROM tables t JOIN pg_class c ON c.oid = t.oid
         WHERE NOT c.relrowsecurity OR NOT c.relforcerowsecurity",
    );
    broken(
        "each policy compares the organization",
        "SELECT p.polname || ' on ' || t.name FROM tables t JOIN pg_policy p ON p.polrelid = t.oid
         WHERE NOT p.polpermissive OR p.polroles <> ARRAY[0::oid]
            OR coalesce(pg_get_expr(p.polqual, t.oid), '(organization_id = ') NOT LIKE '%(organization_id = %'
            OR coalesce(pg_get_expr(p.polwithcheck, t.oid), '(organization_id = ') NOT LIKE '%(organization_id = %'
            OR pg_get_expr(p.polqual, t.oid) ILIKE '%SELECT%'
            OR pg_get_expr(p.polqual, t.oid) ILIKE '% OR %'",
    );
    let without: Vec<String> = WITHOUT_ORGANIZATION.iter().map(|(name, _)| format!("'{name}'")).collect();
    none(
        "tables of no organization have no walls",
        ask(&format!(
            "SELECT relname::text FROM pg_class WHERE relname IN ({}) AND relrowsecurity",
            without.join(", ")
        )),
    );
}

#[test]
fn money_is_whole_minor_units_with_a_currency() {
    broken(
        "money columns are bigint and stand beside their currency",
        "SELECT t.name || '.' || m.attname FROM tables t
         JOIN pg_attribute m ON m.attrelid = t.oid AND m.attname LIKE '%\\_minor'
         WHERE m.atttypid <> 'bigint'::regtype OR NOT EXISTS (
             SELECT FROM pg_attribute c WHERE c.attrelid = t.oid AND c.atttypid = 'text'::regtype
               AND (c.attname = replace(m.attname, '_minor', '_currency') OR (c.attname = 'currency' AND c.attnotnull
                   AND m.attname <> 'vat_books_minor')))",
    );
    none(
        "no number is a float, no amount the server's money, no instant without a zone",
        ask("SELECT attrelid::regclass || '.' || attname FROM pg_attribute a
             JOIN pg_class c ON c.oid = a.attrelid AND c.relnamespace = current_schema()::regnamespace
             WHERE a.attnum > 0 AND c.relname <> '__diesel_schema_migrations' AND a.atttypid::regtype IN
                 ('real', 'double precision', 'money', 'timestamp without time zone', 'time without time zone')"),
    );
}

#[test]
fn the_application_is_no_owner_and_no_superuser() {
    none(
        "the application's role",
        ask(&format!(
            "SELECT rolname || ' may too much' FROM pg_roles WHERE rolname = '{APP_ROLE}'
               AND (rolsuper OR rolbypassrls OR rolcanlogin OR rolcreaterole OR rolcreatedb OR rolreplication)
             UNION ALL
             SELECT rolname || ' is a role it can become' FROM pg_roles
             WHERE pg_has_role('{APP_ROLE}', oid, 'MEMBER') AND rolname <> '{APP_ROLE}'
             UNION ALL
             SELECT relname || ' is its own' FROM pg_class WHERE pg_get_userbyid(relowner) = '{APP_ROLE}'
             UNION ALL
             SELECT 'it makes tables' WHERE has_schema_privilege('{APP_ROLE}', current_schema(), 'CREATE')"
        )),
    );
    assert_eq!(ask(&format!("SELECT rolname::text FROM pg_roles WHERE rolname = '{APP_ROLE}'")), [APP_ROLE]);
}

#[test]
fn the_application_takes_nothing_back_that_was_recorded() {
    let listed: Vec<String> = APPEND_ONLY.iter().map(|name| format!("'{name}'")).collect();
    let listed = listed.join(", ");
    none(
        "rights that nobody needs",
        ask(&format!(
            "SELECT c.relname || ' ' || right_ FROM pg_class c
             CROSS JOIN unnest(ARRAY['TRUNCATE', 'REFERENCES', 'TRIGGER']) AS right_
             WHERE c.relkind IN ('r', 'p') AND c.relnamespace = current_schema()::regnamespace
               AND has_table_privilege('{APP_ROLE}', c.oid, right_)
             UNION ALL
             SELECT c.relname || ' ' || right_ FROM pg_class c CROSS JOIN unnest(ARRAY['UPDATE', 'DELETE']) AS right_
             WHERE c.relname IN ({listed}) AND has_table_privilege('{APP_ROLE}', c.oid, right_)
             UNION ALL
             SELECT c.relname || ' UPDATE of a column' FROM pg_class c
             WHERE c.relname IN ({listed}) AND has_any_column_privilege('{APP_ROLE}', c.oid, 'UPDATE')"
        )),
    );
    let there = ask(&format!("SELECT relname::text FROM pg_class WHERE relname IN ({listed})"));
    assert_eq!(there.len(), APPEND_ONLY.len(), "{there:?}");
}

#[test]
fn the_generated_schema_is_the_databases() {
    let printed = ask(&read("tests/support/schema.sql")).remove(0);
    let file = read("billing/db/src/schema.rs");
    let differs = file.lines().zip(printed.lines()).find(|(a, b)| a != b);
    assert!(
        file.trim_end() == printed.trim_end(),
        "billing/db/src/schema.rs is not what tests/support/schema.sql prints: {differs:?}"
    );
}

/// A database of its own on the same server, owned by the owner of the tables.
async fn database_of_its_own(name: &str) -> (Config, Client) {
    let world = world();
    let (admin, owner) = match &world.database.embedded {
        Some(embedded) => (embedded.config("postgres", SUPERUSER), OWNER_ROLE),
        None => (world.owner.clone(), ""),
    };
    let admin = connect(&admin).await;
    let owned = if owner.is_empty() { String::new() } else { format!(" OWNER {owner}") };
    admin.batch_execute(&format!("CREATE DATABASE {name}{owned}")).await.expect("a database");
    let mut server = world.owner.clone();
    server.dbname(name);
    (server, admin)
}

#[test]
fn migrations_go_up_and_down_and_up() {
    const LEFT: &str = "SELECT relname::text FROM pg_class WHERE relnamespace = current_schema()::regnamespace
         AND relkind IN ('r', 'p', 'v', 'S') AND relname <> '__diesel_schema_migrations'
         UNION ALL SELECT proname::text FROM pg_proc WHERE pronamespace = current_schema()::regnamespace
         UNION ALL SELECT polname::text FROM pg_policy";
    let name = format!("tidy_migrations_{}", std::process::id());
    world().runtime.block_on(async {
        let (server, admin) = database_of_its_own(&name).await;
        let print = async || -> String {
            let row = connect(&server).await.query_one(&read("tests/support/schema.sql"), &[]).await;
            row.expect("a printed schema").get(0)
        };
        let up = billing_db::migrate(&server, None).await.expect("up");
        let first = print().await;
        billing_db::revert_all(&server).await.expect("down");
        let left = connect(&server).await.query(LEFT, &[]).await.expect("what is left");
        none("down leaves something behind", left.iter().map(|row| row.get(0)).collect());
        let again = billing_db::migrate(&server, None).await.expect("up again");
        assert_eq!(again, up);
        assert_eq!(print().await, first);
        assert!(billing_db::migrate(&server, None).await.expect("nothing to do").applied.is_empty());
        admin.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await.expect("gone");
    });
}
