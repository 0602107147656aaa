//! `avance demo`: the example organization with its months billed, ready to be looked at.
//!
//! It can be run again and again: importing twice changes nothing, finalized months stay, and the key of the first
//! time is found in `demo.json`. Nothing here is a path of its own: it is import, key, run, the affiliate year
//! ([`affiliate`]) and serve.

mod affiliate;
mod cast;
mod customers;
mod said;
mod stripe;
mod told;

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use billing::database::Database;
use billing::import::Folder;
use billing::invoicing::documents::RunStatus;
use billing::invoicing::run::Goal;
use billing::keys::{self, NewKey, Scope};
use billing::organizations::{self, Organization};
use billing::{Billing, Caller, Page, invoicing};
use billing_primitives::PartnerId;
use serde_json::{Value, json};

use super::Failure;
use super::import;
use super::output::Output;
use super::run::{self, RunReport};
use super::serve::until_stopped;
use super::session::asked_to_stop;
use crate::config::Config;
use crate::process::Door;
use told::Told;

/// What was printed, for scripts; in the data folder.
const FILE: &str = "demo.json";

/// The folder of the imported files, in the data folder, to check the invoices against.
const EXAMPLE: &str = "example";

/// Code of the refusal that ends the months: only the database's clock knows which of them are over.
const NOT_OVER: &str = "MONTH_NOT_OVER";

macro_rules! example {
    ($($name:literal),*) => {
        [$(($name, include_str!(concat!("../../../../tests/data/example/", $name)))),*]
    };
}

/// The example organization.
const FILES: [(&str, &str); 11] = example!(
    "README.md",
    "organization.csv",
    "partners.csv",
    "plans.csv",
    "prices.csv",
    "tiers.csv",
    "customers.csv",
    "subscriptions.csv",
    "seat_changes.csv",
    "retail_prices.csv",
    "exchange_rates.csv"
);

/// How to demonstrate.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Prepare everything and end
    #[arg(long)]
    no_serve: bool,
}

/// # Errors
/// The port is taken, the database cannot be had, faults.
pub async fn demo(config: &Config, args: &DemoArgs, output: Output) -> Result<(), Failure> {
    let door = if args.no_serve { None } else { Some(Door::open(&config.listen).await?) };
    let url = door.as_ref().map_or_else(|| format!("http://{}", config.listen), |door| door.url.clone());
    output.note(&format!("The data folder is {}.", config.data.display()));
    let database = Database::start(&config.database()).await?;
    let billing = config.billing(&database);
    let prepared = tokio::select! {
        prepared = prepare(&billing, config, &url, output) => prepared,
        _ = asked_to_stop() => Err(Failure::Interrupted),
    };
    if prepared.is_err() || args.no_serve {
        let stopped = database.stop().await;
        prepared?;
        return Ok(stopped?);
    }
    output.note("Ctrl-C stops it. `make demo` goes on where it stopped.");
    until_stopped(config, database, door, true).await
}

async fn prepare(billing: &Billing, config: &Config, url: &str, output: Output) -> Result<(), Failure> {
    let example = config.data.join(EXAMPLE);
    unpack(&example).map_err(|error| Failure::Fault(format!("cannot write to {}: {error}", example.display())))?;
    let folder = Folder::of(FILES.iter().map(|(name, text)| (*name, text.as_bytes())));
    let report = match import::read(billing, &folder, None, output).await {
        Ok(report) => report,
        Err(error) => return Err(import::refused(error, output)?),
    };
    let id = report.organization.ok_or_else(|| Failure::fault("the import names no organization"))?;
    let rows = report.total();
    output.note(&format!("Imported {} rows: {} new, {} known.", rows.rows(), rows.made, rows.unchanged));
    let organization = organizations::get(billing, id).await?;
    let place = config.data.join(FILE);
    let before = said_before(&place);
    let token = token(billing, &organization, before.as_ref()).await?;
    let last = bill(billing, &organization, output).await?;
    let affiliate = match &last {
        Some(last) => {
            let secret = before.as_ref().and_then(|json| json["affiliate"]["stripe"]["secret"].as_str());
            let secret = secret.map(str::to_owned);
            let affiliate = affiliate::tell(billing, &organization, last.run.month, secret, output).await?;
            Some(told::read(billing, &organization, affiliate).await?)
        }
        None => None,
    };
    let (last, affiliate) = (last.as_ref(), affiliate.as_ref());
    let said = Said { config, url, token: &token, organization: &organization, last, affiliate };
    let json = said.json();
    write_secret(&place, &format!("{json:#}\n"))
        .map_err(|error| Failure::Fault(format!("cannot write {}: {error}", place.display())))?;
    output.show(&said.text(&place), || json)
}

/// Lays the files beside the data, to check invoices against by hand.
fn unpack(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    FILES.iter().try_for_each(|(name, text)| std::fs::write(folder.join(name), text))
}

/// What was said the last time.
fn said_before(place: &Path) -> Option<Value> {
    std::fs::read(place).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok())
}

/// The key of the last time, as long as it opens this organization, or a new one.
async fn token(billing: &Billing, organization: &Organization, before: Option<&Value>) -> Result<String, Failure> {
    if let Some(token) = before.and_then(|json| json.get("token")).and_then(Value::as_str) {
        let found = keys::authenticate(billing, token).await?;
        if found.is_some_and(|found| found.organization == organization.id) {
            return Ok(token.to_owned());
        }
    }
    let input = NewKey { name: "demo".to_owned(), scopes: Scope::ALL.to_vec(), expires_at: None };
    let made = keys::create(billing, &Caller::operator(organization.id), &input).await?.into_inner();
    let secret = made.secret.ok_or_else(|| Failure::fault("the new key has no secret"))?;
    Ok(secret.reveal().to_owned())
}

/// Finalizes every month that is over; returns the last of them, if there is one.
async fn bill(billing: &Billing, organization: &Organization, output: Output) -> Result<Option<RunReport>, Failure> {
    let mut last = None;
    let mut month = organization.billing_from;
    loop {
        let done = invoicing::run_of_month(billing, organization.id, month).await?;
        let report = match done {
            Some(run) if run.status == RunStatus::Finalized && is_whole(billing, &run).await? => {
                run::report(billing, run).await
            }
            _ => run::walk(billing, organization.id, month, Goal::Finalized, output).await,
        };
        match report {
            Err(Failure::Refused { code, .. }) if code == NOT_OVER => return Ok(last),
            report => last = Some(report?),
        }
        month = month.next();
    }
}

/// Whether no partner was left out.
async fn is_whole(billing: &Billing, run: &invoicing::documents::BillingRun) -> Result<bool, Failure> {
    let page = Page::<PartnerId>::new(None, 1);
    let left_out = invoicing::refusals(billing, run.organization_id, run.id, &page).await?;
    Ok(left_out.items.is_empty())
}

/// A file that only its owner reads, put in its place in one step.
fn write_secret(place: &Path, text: &str) -> std::io::Result<()> {
    let unfinished = place.with_extension("json.unfinished");
    let _ = std::fs::remove_file(&unfinished);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&unfinished, place)
}

/// What the demonstration has to say.
struct Said<'a> {
    config: &'a Config,
    url: &'a str,
    token: &'a str,
    organization: &'a Organization,
    last: Option<&'a RunReport>,
    affiliate: Option<&'a Told>,
}

impl Said<'_> {
    fn json(&self) -> Value {
        let Said { config, url, token, organization, last, affiliate } = self;
        json!({
            "url": url,
            "graphql": format!("{url}/graphql"),
            "token": token,
            "organization": {
                "id": organization.id.to_string(), "externalId": organization.external_id, "name": organization.name,
                "publishableKey": organization.publishable_key,
            },
            "data": config.data,
            "example": config.data.join(EXAMPLE),
            "links": { "graphql": format!("{url}/graphql"), "health": format!("{url}/healthz") },
            "month": last.map(|report| report.run.month),
            "lastRun": last.map(RunReport::json),
            "affiliate": affiliate.map(|told| told.json(url)),
        })
    }

    fn text(&self, place: &Path) -> String {
        let Said { config, url, token, organization, last, affiliate } = self;
        let mut text = format!("\n{} ({})\n", organization.name, organization.external_id);
        match last {
            Some(report) => text.push_str(&report.text()),
            None => text.push_str(&format!("No month since {} is over yet.\n", organization.billing_from)),
        }
        if let Some(told) = affiliate {
            text.push_str(&told.text(url, token));
        }
        let query = r#"{"query":"{ organization { name } }"}"#;
        let site = organization.publishable_key.as_deref().unwrap_or("-");
        text.push_str(&format!(
            "\nGraphQL   {url}/graphql\nToken     {token}\nSite key  {site}\nData      {}\nCSV files {}\n\
             All this  {}\n\n\
             curl -s {url}/graphql -H 'Authorization: Bearer {token}' -H 'Content-Type: application/json' -d '{query}'\n",
            config.data.display(),
            config.data.join(EXAMPLE).display(),
            place.display(),
        ));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_months_end_is_told_by_a_code_that_exists() {
        assert!(billing::Refusal::CODES.contains(&NOT_OVER));
    }
}
