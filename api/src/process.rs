//! What serves and works until it is told to stop.
//!
//! The way out: the process says that it is not ready, nothing new is let in, and running requests and jobs may end within
//! their limits. Requests and jobs know nothing of each other; when one of the two ends by itself, so does the other.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use billing::Billing;
use jobs::{BillingHandler, Heartbeat, WorkerSettings, Workers};
use poem::listener::{Acceptor, Listener, TcpAcceptor, TcpListener};
use tokio::sync::watch;

use crate::cli::Failure;
use crate::health::{Life, Readiness};
use crate::server;

/// How long requests that run may go on after the door is closed.
const DRAIN: Duration = Duration::from_secs(20);

/// A place to listen at that is ours already, so that a port in use is known before anything else is begun.
pub struct Door {
    acceptor: TcpAcceptor,
    /// `http://127.0.0.1:8080`
    pub url: String,
}

impl Door {
    /// `listen` is a host and a port; port 0 is any that is free.
    ///
    /// # Errors
    /// The address cannot be listened at.
    pub async fn open(listen: &str) -> Result<Door, Failure> {
        let cannot = |error: std::io::Error| {
            let other = "choose another with --listen or AVANCE_LISTEN";
            Failure::Fault(format!("cannot listen at {listen}: {error}; {other}"))
        };
        let acceptor = TcpListener::bind(listen.to_owned()).into_acceptor().await.map_err(cannot)?;
        let address = acceptor.local_addr().into_iter().find_map(|address| address.as_socket_addr().copied());
        let url = address.map_or_else(|| format!("http://{listen}"), |address| format!("http://{address}"));
        Ok(Door { acceptor, url })
    }
}

/// What a process does.
pub struct Process {
    pub billing: Billing,
    /// None: nobody is served.
    pub door: Option<Door>,
    /// Jobs at a time; none: they are left to others.
    pub jobs: Option<usize>,
}

impl Process {
    /// Serves and works until `told` resolves, with how long requests are still taken, or one of the two fails.
    ///
    /// # Errors
    /// What ended by itself.
    pub async fn run(self, told: impl Future<Output = Duration> + Send + 'static) -> Result<(), Failure> {
        let Process { billing, door, jobs } = self;
        let (life, living) = watch::channel(Life::Working);
        let telling = tokio::spawn(tell(life.clone(), told));
        let heartbeat = Heartbeat::default();
        let readiness = Readiness { workers: jobs.map(|_| heartbeat.clone()), life: living.clone() };
        let http = async {
            let Some(door) = door else { return Ok(()) };
            let closing = async { tokio::time::sleep(ending(living.clone()).await).await };
            let done = answer(&billing, readiness, door, closing).await;
            life.send_if_modified(|life| end(life, Duration::ZERO));
            done
        };
        let workers = async {
            let Some(concurrency) = jobs else { return Ok(()) };
            let settings = WorkerSettings { concurrency, heartbeat, ..WorkerSettings::default() };
            let handler = Arc::new(BillingHandler::new(billing.clone()));
            let closing = async {
                ending(living.clone()).await;
            };
            let done = Workers::run(billing.db.clone(), handler, settings, closing).await;
            life.send_if_modified(|life| end(life, Duration::ZERO));
            done
        };
        let (http, workers) = tokio::join!(http, workers);
        telling.abort();
        http?;
        Ok(workers?)
    }
}

async fn answer(
    billing: &Billing,
    readiness: Readiness,
    door: Door,
    closing: impl Future<Output = ()> + Send,
) -> Result<(), Failure> {
    let routes = server::routes(billing, readiness).map_err(Failure::fault)?;
    poem::Server::new_with_acceptor(door.acceptor)
        .name("avance")
        .run_with_graceful_shutdown(routes, closing, Some(DRAIN))
        .await
        .map_err(Failure::fault)
}

async fn tell(life: watch::Sender<Life>, told: impl Future<Output = Duration>) {
    let notice = told.await;
    life.send_if_modified(|life| end(life, notice));
}

/// Resolves when the process shall end, with how long it takes requests yet.
async fn ending(mut living: watch::Receiver<Life>) -> Duration {
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
