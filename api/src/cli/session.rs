//! What commands have in common: an open database, the organization they are for, and an end when somebody asks.

use billing::Billing;
use billing::database::Database;
use billing::organizations;
use billing_primitives::OrganizationId;
use tokio::signal::unix::{SignalKind, signal};

use super::Failure;
use crate::config::Config;

/// Names the organization that a command is for.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct OrganizationFlag {
    /// External id or id of the organization; not needed when there is only one
    #[arg(long, value_name = "NAME")]
    pub organization: Option<String>,
}

impl OrganizationFlag {
    /// The organization that is named, or the only one.
    ///
    /// # Errors
    /// There is no such organization, none at all, or more than one and none is named.
    pub async fn find(&self, billing: &Billing) -> Result<OrganizationId, Failure> {
        if let Some(name) = &self.organization {
            return Ok(organizations::find(billing, name).await?);
        }
        let known = organizations::directory(billing).await?;
        match known.as_slice() {
            [(_, id)] => Ok(*id),
            [] => Err(Failure::usage(
                "there is no organization yet: make one with `avance organization create`, or import one",
            )),
            many => {
                let names: Vec<&str> = many.iter().take(10).map(|(name, _)| name.as_str()).collect();
                let more = if many.len() > names.len() { ", ..." } else { "" };
                Err(Failure::usage(format!("say which one with --organization: {}{more}", names.join(", "))))
            }
        }
    }
}

/// Opens the database, does the work, and lets go of the database again, also when somebody stops the command.
///
/// # Errors
/// What the work fails with; the database cannot be had or does not let go.
pub async fn with_billing<T>(
    config: &Config,
    work: impl AsyncFnOnce(&Billing) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let database = Database::start(&config.database()).await?;
    let billing = config.billing(&database);
    let done = tokio::select! {
        done = work(&billing) => done,
        _ = asked_to_stop() => Err(Failure::Interrupted),
    };
    let stopped = database.stop().await;
    let value = done?;
    stopped?;
    Ok(value)
}

/// How a process is told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// SIGTERM, by whoever manages processes.
    Terminate,
    /// Ctrl-C, by somebody who waits.
    Interrupt,
}

/// Resolves when the process is told to end.
pub async fn asked_to_stop() -> Asked {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        // Then the signals end the process at once, as they do without anybody who listens.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => Asked::Terminate,
        _ = interrupt.recv() => Asked::Interrupt,
    }
}
