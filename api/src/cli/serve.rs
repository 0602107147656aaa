//! `avance serve` and `avance worker`: what runs until it is told to stop.
//!
//! The database is let go of last. A second signal ends the process at once; like `kill -9`, that costs nothing but time
//! at the next start.

use std::time::Duration;

use billing::database::Database;
use jobs::WorkerSettings;
use serde_json::json;

use super::Failure;
use super::output::Output;
use super::session::{Asked, asked_to_stop};
use crate::config::Config;
use crate::process::{Door, Process};

/// How long requests are taken after SIGTERM: a load balancer that asks each second has learned by then that nobody is to
/// be sent here any more.
const NOTICE: Duration = Duration::from_secs(3);

/// How to serve.
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// Leave the jobs to `avance worker`
    #[arg(long)]
    no_worker: bool,
}

/// # Errors
/// The port is taken, the database cannot be had, or something ended that should not have.
pub async fn serve(config: &Config, args: &ServeArgs, output: Output) -> Result<(), Failure> {
    let door = Door::open(&config.listen).await?;
    let database = Database::start(&config.database()).await?;
    let url = door.url.clone();
    output.show(&format!("Avance serves GraphQL at {url}/graphql\n"), || json!({ "url": url }))?;
    until_stopped(config, database, Some(door), !args.no_worker).await
}

/// # Errors
/// The database cannot be had, or the workers ended by themselves.
pub async fn work(config: &Config, output: Output) -> Result<(), Failure> {
    let database = Database::start(&config.database()).await?;
    output.note("The workers run.");
    until_stopped(config, database, None, true).await
}

/// Serves and works until a signal comes or one of the two fails, and then lets go of the database.
///
/// # Errors
/// What ended by itself.
pub async fn until_stopped(
    config: &Config,
    database: Database,
    door: Option<Door>,
    with_workers: bool,
) -> Result<(), Failure> {
    // Requests need connections, too.
    let most = (config.database_connections / 4).max(1);
    let jobs = with_workers.then(|| WorkerSettings::default().concurrency.min(most));
    let process = Process { billing: config.billing(&database), door, jobs };
    let done = tokio::select! {
        done = process.run(asked()) => done,
        () = database.watch() => Ok(()),
    };
    let stopped = database.stop().await;
    done?;
    Ok(stopped?)
}

/// Resolves when a signal comes, with how long requests are to be taken yet. A second signal ends the process.
async fn asked() -> Duration {
    let notice = match asked_to_stop().await {
        Asked::Terminate => NOTICE,
        Asked::Interrupt => Duration::ZERO,
    };
    tracing::info!("told to stop; a second signal ends at once");
    tokio::spawn(async {
        asked_to_stop().await;
        std::process::exit(i32::from(Failure::Interrupted.exit_code()));
    });
    notice
}
