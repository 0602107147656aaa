//! A private cluster for one measurement. A watchdog process stops it and takes its folder away when the program ends,
//! however it ends.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use billing_db::embedded::SUPERUSER;
use billing_db::{DATABASE, Database, DatabaseSettings, Db, Settings};
use tokio_postgres::{Client, NoTls};

use crate::Outcome;
use crate::profile::Profile;

pub struct Cluster {
    pub database: Database,
    /// The pool that the run works with.
    pub db: Db,
    /// For seeding and for the floor: sees all rows.
    pub superuser: Client,
}

impl Cluster {
    pub async fn start(profile: Option<&Profile>, connections: usize) -> Outcome<Cluster> {
        let folder = tempfile::Builder::new().prefix("avance-bench-").tempdir()?.keep();
        // The server runs as another user, who has to pass.
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755))?;
        watch(&folder)?;
        let settings = DatabaseSettings { url: None, data: folder, connections, distributed: None };
        let database = Database::start(&settings).await?;
        let embedded = database.embedded.as_ref().ok_or("no private cluster was started")?;
        let (superuser, connection) = embedded.config(DATABASE, SUPERUSER).connect(NoTls).await?;
        tokio::spawn(connection);
        Cluster::with(database, superuser, profile, connections).await
    }

    /// One whose server runs.
    pub async fn with(
        database: Database,
        superuser: Client,
        profile: Option<&Profile>,
        connections: usize,
    ) -> Outcome<Cluster> {
        let Some(profile) = profile else { return Ok(Cluster { db: database.db.clone(), database, superuser }) };
        let mut settings = Settings::new(database.server.clone());
        settings.connections = connections;
        settings.observer = Some(profile.observer());
        settings.distributed = database.distributed;
        Ok(Cluster { db: Db::connect(settings).await?, database, superuser })
    }

    pub async fn stop(self) -> Outcome<()> {
        self.db.close();
        drop(self.superuser);
        Ok(self.database.stop().await?)
    }
}

/// Its standard input is a pipe that this process holds open: the pipe ends with the process, by whatever death.
fn watch(data: &Path) -> Outcome<()> {
    const SCRIPT: &str = r#"cat >/dev/null
        pid=$(head -n 1 "$1/postgres/postmaster.pid" 2>/dev/null) || pid=
        if [ -n "$pid" ]; then
            kill -INT "$pid" 2>/dev/null
            tries=0
            while kill -0 "$pid" 2>/dev/null && [ $tries -lt 300 ]; do sleep 0.1; tries=$((tries + 1)); done
        fi
        rm -rf "$1""#;
    let mut watchdog = Command::new("sh")
        .args(["-c", SCRIPT, "sh"])
        .arg(data)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()?;
    std::mem::forget(watchdog.stdin.take());
    Ok(())
}
