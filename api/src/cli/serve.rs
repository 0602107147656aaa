//! `avance serve` and `avance worker`: what runs until it is told to stop.
//!
//! The way out: the process says that it is not ready, nothing new is let in, running requests and jobs may end within
//! their limits, and the database is let go of last. A second signal ends the process at once; like `kill -9`, that costs nothing but time at the next start.

use std::sync::Arc;
use std::time::Duration;

use billing::Billing;
use billing::database::Database;
use jobs::{BillingHandler, Heartbeat, WorkerSettings, Workers};
use poem::listener::{Acceptor, Listener, TcpAcceptor, TcpListener};
use serde_json::json;
use tokio::sync::watch;

use super::Failure;
use super::output::Output;
use super::session::{Asked, asked_to_stop};
use crate::config::Config;
use crate::health::{Life, Readiness};
use crate::server;

/// How long requests are taken after SIGTERM: a load balancer that asks each second has learned by then that nobody is to
/// be sent here any more.
const NOTICE: Duration = Duration::from_secs(3);

/// How long requests that run may go on after that.
const DRAIN: Duration = Duration::from_secs(20);

/// How to serve.
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// Leave the jobs to `avance worker`
    #[arg(long)]
    no_worker: bool,
}

/// A place to listen at that is ours already, so that a port in use is known before anything else is begun.
pub struct Door {
    acceptor: TcpAcceptor,
    /// `http://127.0.0.1:8080`
    pub url: String,
}

impl Door {
    /// # Errors
    /// The address cannot be listened at.
    pub async fn open(config: &Config) -> Result<Door, Failure> {
        let listen = &config.listen;
        let cannot = |error: std::io::Error| Failure::Fault(format!("cannot listen at {listen}: {error}"));
        let acceptor = TcpListener::bind(listen.clone()).into_acceptor().await.map_err(cannot)?;
        let address = acceptor.local_addr().into_iter().find_map(|address| address.as_socket_addr().copied());
        let url = address.map_or_else(|| format!("http://{listen}"), |address| format!("http://{address}"));
        Ok(Door { acceptor, url })
    }
}

/// # Errors
/// The port is taken, the database cannot be had, or something ended that should not have.
pub async fn serve(config: &Config, args: &ServeArgs, output: Output) -> Result<(), Failure> {
    let door = Door::open(config).await?;
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
    let billing = config.billing(&database);
    let (life, living) = watch::channel(Life::Working);
    let signals = tokio::spawn(tell_when_asked(life.clone()));
    let heartbeat = Heartbeat::default();
    let readiness = Readiness { workers: with_workers.then(|| heartbeat.clone()), life: living.clone() };
    let http = async {
        let Some(door) = door else { return Ok(()) };
        let closing = async { tokio::time::sleep(told(living.clone()).await).await };
        let done = answer(&billing, readiness, door, closing).await;
        life.send_if_modified(|life| end(life, Duration::ZERO));
        done
    };
    let workers = async {
        if !with_workers {
            return Ok(());
        }
        let closing = async {
            told(living.clone()).await;
        };
        let done = run_workers(config, &billing, heartbeat, closing).await;
        life.send_if_modified(|life| end(life, Duration::ZERO));
        done
    };
    let both = async { tokio::join!(http, workers) };
    let (http, workers) = tokio::select! {
        done = both => done,
        () = database.watch() => (Ok(()), Ok(())),
    };
    signals.abort();
    let stopped = database.stop().await;
    http.and(workers)?;
    Ok(stopped?)
}

async fn answer(
    billing: &Billing,
    readiness: Readiness,
    door: Door,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), Failure> {
    let routes = server::routes(billing, readiness).map_err(Failure::fault)?;
    poem::Server::new_with_acceptor(door.acceptor)
        .name("avance")
        .run_with_graceful_shutdown(routes, stop, Some(DRAIN))
        .await
        .map_err(Failure::fault)
}

async fn run_workers(
    config: &Config,
    billing: &Billing,
    heartbeat: Heartbeat,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), Failure> {
    let usual = WorkerSettings::default();
    // Requests need connections, too.
    let concurrency = usual.concurrency.min(config.database_connections / 4).max(1);
    let settings = WorkerSettings { concurrency, heartbeat, ..usual };
    let handler = Arc::new(BillingHandler::new(billing.clone()));
    Ok(Workers::run(billing.db.clone(), handler, settings, stop).await?)
}

/// Resolves when the process shall end, with how long it takes requests yet.
async fn told(mut living: watch::Receiver<Life>) -> Duration {
    match living.wait_for(|life| *life != Life::Working).await.as_deref() {
        Ok(Life::Ending { notice }) => *notice,
        // Nobody is left who could say so.
        Ok(Life::Working) | Err(_) => Duration::ZERO,
    }
}

/// The first who says it decides.
fn end(life: &mut Life, notice: Duration) -> bool {
    let working = *life == Life::Working;
    if working {
        *life = Life::Ending { notice };
    }
    working
}

async fn tell_when_asked(life: watch::Sender<Life>) {
    let notice = match asked_to_stop().await {
        Asked::Terminate => NOTICE,
        Asked::Interrupt => Duration::ZERO,
    };
    tracing::info!("told to stop; a second signal ends at once");
    life.send_if_modified(|life| end(life, notice));
    asked_to_stop().await;
    std::process::exit(i32::from(Failure::Interrupted.exit_code()));
}
