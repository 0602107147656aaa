//! One private cluster per test program. A watchdog process stops it and takes its folder away when the program ends,
//! however it ends.

use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, LazyLock, Mutex};

use billing_db::embedded::SUPERUSER;
use billing_db::{Database, DatabaseSettings, Db, OWNER_ROLE, Observer};
use tokio::runtime::Runtime;
use tokio_postgres::{Config, NoTls};

use crate::app::App;

/// The texts of the statements that the pool has sent.
#[derive(Clone, Default)]
pub struct Statements(Arc<Mutex<Vec<String>>>);

impl Statements {
    /// Takes what was seen since the last call.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn observer(&self) -> Observer {
        let seen = Arc::clone(&self.0);
        Arc::new(move |statement| {
            seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(statement.to_owned());
        })
    }
}

/// The database that all stories of a test program share.
pub struct World {
    pub runtime: Runtime,
    pub database: Database,
    /// The server as the owner of the tables: for tests that play the attacker or the careless administrator.
    pub owner: Config,
}

/// Made by a thread of its own: a test that is inside a runtime already may be the first to ask.
static WORLD: LazyLock<World> = LazyLock::new(|| std::thread::spawn(make).join().expect("a world"));

fn make() -> World {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let database = runtime.block_on(start());
    let owner = database.server.clone();
    World { runtime, database, owner }
}

pub fn world() -> &'static World {
    &WORLD
}

impl World {
    /// A pool of its own whose statements are seen.
    pub fn observed(&self, connections: usize) -> (Db, Statements) {
        let statements = Statements::default();
        let observer = statements.observer();
        let mut settings = billing_db::Settings::new(self.owner.clone());
        settings.connections = connections;
        settings.observer = Some(observer);
        settings.distributed = self.database.distributed;
        let db = self.runtime.block_on(Db::connect(settings)).expect("a pool");
        (db, statements)
    }
}

impl World {
    /// A database of its own on the same server, owned by the owner of the tables and still empty. A private cluster
    /// takes it away in the end.
    pub async fn database_of_its_own(&self, name: &str) -> Config {
        let (admin, owned) = match &self.database.embedded {
            Some(embedded) => (embedded.config("postgres", SUPERUSER), format!(" OWNER {OWNER_ROLE}")),
            None => (self.owner.clone(), String::new()),
        };
        console(&admin, &format!("CREATE DATABASE {name}{owned}")).await;
        let mut server = self.owner.clone();
        server.dbname(name);
        server
    }
}

/// Runs statements past the application, one after the other: as somebody with a database console could.
pub async fn console(server: &Config, sql: &str) {
    let (client, connection) = server.connect(NoTls).await.expect("a connection");
    let driver = tokio::spawn(connection);
    for statement in sql.split(';').filter(|statement| !statement.trim().is_empty()) {
        client.batch_execute(statement).await.expect("the statement");
    }
    driver.abort();
}

/// Tells a story in an organization of its own.
pub fn story<F: Future<Output = ()>>(tell: impl FnOnce(App) -> F) {
    let world = world();
    world.runtime.block_on(async { tell(App::new(world.database.db.clone()).await).await });
}

async fn start() -> Database {
    let url = std::env::var("AVANCE_TEST_DATABASE_URL").ok();
    let distributed = std::env::var("AVANCE_TEST_DATABASE_DISTRIBUTED").ok();
    let distributed = distributed.map(|software| software.parse().expect("citus"));
    let data = temporary_folder();
    if url.is_none() {
        watch(&data);
    }
    let settings = DatabaseSettings { url, data, connections: 24, distributed };
    Database::start(&settings).await.expect("PostgreSQL for the tests")
}

/// A folder that a server running as another user can pass.
fn temporary_folder() -> PathBuf {
    let folder = tempfile::Builder::new().prefix("avance-tests-").tempdir().expect("a temporary folder").keep();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).expect("permissions");
    folder
}

/// Its standard input is a pipe that this process holds open: the pipe ends with the process, by whatever death.
#[expect(clippy::zombie_processes, reason = "it outlives this process, which it waits for")]
fn watch(data: &Path) {
    const SCRIPT: &str = r#"cat >/dev/null
        pid=$(head -n 1 "$1/postgres/postmaster.pid" 2>/dev/null) || pid=
        if [ -n "$pid" ]; then
            kill -INT "$pid" 2>/dev/null
            tries=0
            while kill -0 "$pid" 2>/dev/null && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
        fi
        rm -rf "$1""#;
    let mut watchdog = Command::new("sh")
        .args(["-c", SCRIPT, "sh"])
        .arg(data)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("sh");
    std::mem::forget(watchdog.stdin.take());
}
