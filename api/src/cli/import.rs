//! `avance import`: a folder of CSV files, all of it or nothing, and every bad row named.

use std::io::Write;
use std::path::PathBuf;

use billing::Billing;
use billing::import::{self, Folder, ImportError, Report};
use billing_primitives::OrganizationId;
use serde_json::json;

use super::output::{Output, Table};
use super::session::{OrganizationFlag, with_billing};
use super::{Failure, progress};
use crate::config::Config;

/// Problems that the table on stderr lists; JSON has all of them.
const LISTED: usize = 1000;

/// What to import.
#[derive(Debug, clap::Args)]
pub struct ImportArgs {
    /// The folder with the CSV files
    folder: PathBuf,
    #[command(flatten)]
    organization: OrganizationFlag,
}

/// # Errors
/// Refused rows, a folder that cannot be read, faults.
pub async fn import(config: &Config, args: &ImportArgs, output: Output) -> Result<(), Failure> {
    let folder = Folder::open(&args.folder).map_err(|error| Failure::usage(error.to_string()))?;
    let names_itself = args.folder.join("organization.csv").exists();
    let done = with_billing(config, async |billing| {
        let organization = match &args.organization.organization {
            None if names_itself => None,
            _ => Some(args.organization.find(billing).await?),
        };
        Ok(read(billing, &folder, organization, output).await)
    })
    .await?;
    match done {
        Ok(report) => output.show(&summary(&report), || json!({ "imported": true, "report": report })),
        Err(error) => Err(refused(error, output)?),
    }
}

/// Imports with a progress bar.
///
/// # Errors
/// See [`ImportError`].
pub async fn read(
    billing: &Billing,
    folder: &Folder,
    organization: Option<OrganizationId>,
    output: Output,
) -> Result<Report, ImportError> {
    let bar = progress::bar(output, "Importing", 0);
    let report = import::import(billing, folder, organization, &|file: &str, done: u64, total: u64| {
        bar.set_message(file.to_owned());
        bar.set_length(total.max(done));
        bar.set_position(done);
    })
    .await;
    bar.finish_and_clear();
    report
}

/// Says why nothing was imported; what is left to do is the exit code.
///
/// # Errors
/// Stdout cannot be written to.
pub fn refused(error: ImportError, output: Output) -> Result<Failure, Failure> {
    match error {
        ImportError::Refused(report) => {
            if output.json {
                output.show("", || json!({ "imported": false, "report": report }))?;
            } else {
                // Nobody may be listening; the exit code says it all the same.
                let _ = std::io::stderr().write_all(problems(&report).as_bytes());
            }
            Ok(Failure::Reported)
        }
        ImportError::Unreadable { .. } => Ok(Failure::usage(error.to_string())),
        ImportError::Failed(error) => Ok(error.into()),
    }
}

fn summary(report: &Report) -> String {
    let mut table = Table::new(&["file", ">rows", ">made", ">changed", ">unchanged"]);
    for file in &report.files {
        let counts = &file.counts;
        table.row([
            file.file.name().to_owned(),
            counts.rows().to_string(),
            counts.made.to_string(),
            counts.changed.to_string(),
            counts.unchanged.to_string(),
        ]);
    }
    table.to_string()
}

fn problems(report: &Report) -> String {
    let mut table = Table::new(&["file", ">line", "column", "code", "reason"]);
    for problem in report.problems.iter().take(LISTED) {
        table.row([
            problem.file.clone(),
            problem.line.map_or_else(|| "-".to_owned(), |line| line.to_string()),
            problem.column.unwrap_or("-").to_owned(),
            problem.code.to_owned(),
            problem.reason.clone(),
        ]);
    }
    let total = report.total();
    let unlisted = u64::try_from(report.problems.len().saturating_sub(LISTED)).unwrap_or_default();
    let unlisted = unlisted.saturating_add(report.problems_left_out);
    let mut text = table.to_string();
    if unlisted > 0 {
        text.push_str(&format!("... and {unlisted} more\n"));
    }
    text.push_str(&format!("avance: {} of {} rows are refused", total.refused, total.rows()));
    if total.skipped > 0 {
        text.push_str(&format!(", {} that depend on them were not judged", total.skipped));
    }
    text.push_str("; nothing is imported\n");
    text
}
