//! `avance verify`: computes everything again and says what differs.

use billing::organizations;
use billing::reconciliation::{self, Report};
use serde_json::json;

use super::output::{Output, Table, counted};
use super::session::{OrganizationFlag, with_billing};
use super::{Failure, progress};
use crate::config::Config;

/// What to verify.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// External id or id of one organization; without it all are verified
    #[arg(long, value_name = "NAME")]
    organization: Option<String>,
}

/// Ends with exit code 1 when anything differs.
///
/// # Errors
/// Differences, and faults of the database.
pub async fn verify(config: &Config, args: &VerifyArgs, output: Output) -> Result<(), Failure> {
    let (reports, unverified) = with_billing(config, async |billing| {
        let mut chosen = organizations::directory(billing).await?;
        if args.organization.is_some() {
            let id = OrganizationFlag { organization: args.organization.clone() }.find(billing).await?;
            chosen.retain(|(_, known)| *known == id);
        }
        let bar = progress::bar(output, "Verifying", u64::try_from(chosen.len()).unwrap_or_default());
        let (mut reports, mut unverified) = (Vec::with_capacity(chosen.len()), Vec::new());
        for (name, id) in chosen {
            match reconciliation::verify(billing, id).await {
                Ok(report) => reports.push((name, report)),
                // A node of a cluster may be away: the others are looked at all the same.
                Err(error) => unverified.push(format!("{name}: {error}")),
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok((reports, unverified))
    })
    .await?;
    if reports.is_empty() && !unverified.is_empty() {
        return Err(Failure::Fault(unverified.join("; ")));
    }
    let clean = unverified.is_empty() && reports.iter().all(|(_, report)| report.is_clean());
    output.show(&text(&reports), || {
        let organizations: Vec<_> = reports
            .iter()
            .map(|(name, report)| json!({ "organization": name, "clean": report.is_clean(), "report": report }))
            .collect();
        json!({ "clean": clean, "organizations": organizations, "unverified": unverified })
    })?;
    if !unverified.is_empty() {
        return Err(Failure::Fault(format!("could not be verified: {}", unverified.join("; "))));
    }
    if clean { Ok(()) } else { Err(Failure::Reported) }
}

fn text(reports: &[(String, Report)]) -> String {
    let mut table = Table::new(&["organization", "check", ">checked", ">differences"]);
    for (name, report) in reports {
        for check in &report.checks {
            let (checked, found) = (check.checked.to_string(), check.differences.len().to_string());
            table.row([name.clone(), check.name.clone(), checked, found]);
        }
    }
    let mut text =
        if table.is_empty() { "There is no organization to verify.\n".to_owned() } else { table.to_string() };
    for (name, report) in reports {
        if report.unsealed > 0 {
            let new = counted(report.unsealed, "new row");
            text.push_str(&format!("{name}: {new} to seal, which is in order: the worker seals each minute\n"));
        }
        for (check, found) in report.differences() {
            text.push_str(&format!("{name}: {check}: {found}\n"));
        }
    }
    text
}
