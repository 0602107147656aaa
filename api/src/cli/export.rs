//! `avance export`: files for other programs. A file is there as a whole or not at all.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use billing::payouts::{self, Export};
use billing::{Billing, Caller};
use billing_primitives::PayoutRunId;
use clap::Subcommand;
use serde_json::json;

use super::Failure;
use super::output::{Output, counted};
use super::session::{OrganizationFlag, with_billing};
use crate::config::Config;

/// What to export.
#[derive(Debug, Subcommand)]
pub enum ExportCommand {
    /// Write the payouts of an approved run for the bank, as CSV with a control total
    Payouts {
        #[command(flatten)]
        organization: OrganizationFlag,
        /// The id of the payout run, prun_...
        run: String,
        /// Where to; without it the file goes to stdout
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// # Errors
/// There is no such run, or it is a draft; the file cannot be written; faults.
pub async fn run(config: &Config, command: ExportCommand, output: Output) -> Result<(), Failure> {
    let ExportCommand::Payouts { organization, run, output: path } = command;
    let export = with_billing(config, async |billing| read(billing, &organization, &run).await).await?;
    let Export { name, csv, payouts, control_total: total } = export;
    let Some(path) = path else {
        // The same bytes either way: a program that wants to look inside reads CSV.
        return output.show(&csv, || json!({ "name": name, "payouts": payouts, "controlTotal": total, "csv": csv }));
    };
    write(&path, csv.as_bytes()).map_err(|error| Failure::fault(format!("{}: {error}", path.display())))?;
    output.show(
        &format!("{}, {total} in all, written to {}\n", counted(payouts, "payout"), path.display()),
        || json!({ "file": path, "payouts": payouts, "controlTotal": total }),
    )
}

async fn read(billing: &Billing, organization: &OrganizationFlag, run: &str) -> Result<Export, Failure> {
    let organization = organization.find(billing).await?;
    let id: PayoutRunId = run.parse().map_err(|error| Failure::usage(format!("{error}")))?;
    Ok(payouts::export(billing, &Caller::operator(organization), id).await?.into_inner())
}

/// Writes beside the target and renames, so that nobody ever reads half a file; readable by its owner alone, for it
/// shows account numbers.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let written = private(&part).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let done = written.and_then(|()| fs::rename(&part, path));
    if done.is_err() {
        // Nothing else can be done about what is left of it.
        let _ = fs::remove_file(&part);
    }
    done
}

fn private(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let folder = std::env::temp_dir().join(format!("avance-export-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("payouts.csv");
        write(&path, b"first").unwrap();
        write(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing is left beside it");
        assert!(write(&folder.join("missing/payouts.csv"), b"x").is_err());
        fs::remove_dir_all(&folder).unwrap();
    }
}
