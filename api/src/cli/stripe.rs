//! `avance stripe`: what came from Stripe, and processing it again.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use billing::inbox::{self, Backfilled, EventFilter, EventReason, EventStatus, StripeEvent};
use billing::{Applied, Caller, Page};
use clap::{ArgGroup, Subcommand};
use serde_json::json;

use super::Failure;
use super::output::{Output, Table, counted};
use super::session::{OrganizationFlag, with_billing};
use crate::config::Config;

/// What to do with events of Stripe's.
#[derive(Debug, Subcommand)]
pub enum StripeCommand {
    /// Process events again, named or by reason; nothing counts twice
    #[command(group(ArgGroup::new("which").args(["events", "reason"]).required(true).multiple(true)))]
    Replay {
        #[command(flatten)]
        organization: OrganizationFlag,
        /// Stripe's id of an event, evt_...; may be given more than once
        #[arg(long = "event", value_name = "ID")]
        events: Vec<String>,
        /// All events with this reason, such as LOOKUP_FAILED
        #[arg(long)]
        reason: Option<EventReason>,
    },
    /// Read the invoices of the past, one JSON object of Stripe's a line, best in the order in which they were paid
    Backfill {
        #[command(flatten)]
        organization: OrganizationFlag,
        /// The file
        file: PathBuf,
    },
    /// List events with what became of them
    Events {
        #[command(flatten)]
        organization: OrganizationFlag,
        /// RECEIVED, PROCESSED or PARKED; all without this flag
        #[arg(long)]
        status: Option<EventStatus>,
        /// Only those with this reason, such as UNKNOWN_CUSTOMER
        #[arg(long)]
        reason: Option<EventReason>,
        /// How many at most, in the order of their ids: 1 to 500
        #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=500))]
        limit: u16,
    },
}

/// # Errors
/// Refusals and faults.
pub async fn run(config: &Config, command: StripeCommand, output: Output) -> Result<(), Failure> {
    match command {
        StripeCommand::Replay { organization, events, reason } => {
            let count = with_billing(config, async |billing| {
                let caller = Caller::operator(organization.find(billing).await?);
                Ok(inbox::replay(billing, &caller, &events, reason).await.map(Applied::into_inner)?)
            })
            .await?;
            output.show(
                &format!("{} will be processed again by the workers.\n", counted(count, "event")),
                || json!({ "events": count }),
            )
        }
        StripeCommand::Backfill { organization, file } => backfill(config, &organization, &file, output).await,
        StripeCommand::Events { organization, status, reason, limit } => {
            let filter = EventFilter { status, reason, customer: None };
            list(config, &organization, &filter, usize::from(limit), output).await
        }
    }
}

/// Batch by batch; the file is never read as a whole, and given again it changes nothing.
async fn backfill(
    config: &Config,
    organization: &OrganizationFlag,
    file: &Path,
    output: Output,
) -> Result<(), Failure> {
    let cannot = |error: std::io::Error| Failure::usage(format!("cannot read {}: {error}", file.display()));
    let mut lines = BufReader::new(File::open(file).map_err(cannot)?).lines();
    let sum = with_billing(config, async |billing| {
        let caller = Caller::operator(organization.find(billing).await?);
        let mut sum = Backfilled::default();
        loop {
            let batch: Vec<String> = lines.by_ref().take(inbox::BATCH).collect::<Result<_, _>>().map_err(cannot)?;
            if batch.is_empty() {
                return Ok(sum);
            }
            let batch: Vec<&str> = batch.iter().map(String::as_str).filter(|line| !line.trim().is_empty()).collect();
            let done = inbox::backfill(billing, &caller, &batch).await?;
            sum = Backfilled { invoices: sum.invoices + done.invoices, steps: sum.steps + done.steps };
            output.note(&counted(sum.invoices, "invoice"));
        }
    })
    .await?;
    let told = format!("Read: {}. Booked: {}.\n", counted(sum.invoices, "invoice"), counted(sum.steps, "step"));
    output.show(&told, || json!({ "invoices": sum.invoices, "steps": sum.steps }))
}

async fn list(
    config: &Config,
    organization: &OrganizationFlag,
    filter: &EventFilter,
    limit: usize,
    output: Output,
) -> Result<(), Failure> {
    let (all, more) = with_billing(config, async |billing| {
        let organization = organization.find(billing).await?;
        let mut all: Vec<StripeEvent> = Vec::new();
        loop {
            let last = all.last().map(|event| event.event_id.clone());
            let wanted = i64::try_from(limit - all.len()).unwrap_or(Page::<String>::MOST);
            let page = Page::new(last, wanted);
            let slice = inbox::events(billing, organization, &page, filter).await?;
            // The bodies are long, and nobody reads them here.
            all.extend(slice.items.into_iter().map(|event| StripeEvent { body: String::new(), ..event }));
            if !slice.has_next || all.len() >= limit {
                return Ok((all, slice.has_next));
            }
        }
    })
    .await?;
    let mut table = Table::new(&["event", "type", "occurred", "status", "reason", "customer", ">tries", "detail"]);
    for event in &all {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        table.row([
            event.event_id.clone(),
            event.kind.clone(),
            event.occurred_at.to_string(),
            event.status.to_string(),
            or_dash(event.reason.map(|reason| reason.to_string())),
            or_dash(event.customer.clone()),
            event.attempts.to_string(),
            or_dash(event.detail.clone()),
        ]);
    }
    if more {
        output.note(&format!("These are the first {}; --limit shows up to 500.", all.len()));
    }
    output
        .show(&table.to_string(), || json!({ "events": all.iter().map(as_json).collect::<Vec<_>>(), "hasNext": more }))
}

fn as_json(event: &StripeEvent) -> serde_json::Value {
    json!({
        "event": event.event_id, "type": event.kind, "livemode": event.livemode, "occurredAt": event.occurred_at,
        "receivedAt": event.received_at, "status": event.status, "reason": event.reason,
        "customer": event.customer, "attempts": event.attempts, "detail": event.detail,
        "processedAt": event.processed_at,
    })
}
