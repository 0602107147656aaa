//! A run as a file for the bank: one line per payout and a control total. The one place that shows account numbers whole.
//!
//! Amounts are decimals in major units with a point. A text that a spreadsheet would take for a formula is led in by an
//! apostrophe.

use billing_db::Conn;
use billing_primitives::{Money, OrganizationId, PayoutId, PayoutRunId};

use super::model::PayoutRun;
use super::state::RunStatus;
use super::store::payouts::{self as sql, BankLine};
use super::store::runs as run_sql;
use crate::caller::Caller;
use crate::csv::{amount, plain, push};
use crate::error::{Error, Refusal};
use crate::{Applied, Billing, audit};

const HEADER: [&str; 7] = ["payout", "partnerExternalId", "holder", "iban", "amount", "currency", "reference"];

/// The last line names it.
const CONTROL: &str = "CONTROL_TOTAL";

/// A run as a file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Export {
    /// Such as `payouts-2026-10.csv`.
    pub name: String,
    pub csv: String,
    pub payouts: u64,
    pub control_total: Money,
}

/// The file of an approved or sent run; recorded in the audit log, for it shows account numbers. Failed payouts and
/// those of which nobody knows whether they were transferred are not in it.
///
/// # Errors
/// [`Refusal::NotFound`], [`Refusal::PayoutRunStatus`] (a draft).
pub async fn export(billing: &Billing, caller: &Caller, id: PayoutRunId) -> Result<Applied<Export>, Error> {
    let organization = caller.organization;
    let work = async |conn: &mut Conn| {
        let file = of_run(conn, organization, id).await?;
        let now = billing.clock.now(conn).await?;
        let details = serde_json::json!({ "payouts": file.payouts, "controlTotal": file.control_total });
        audit::record(conn, caller, now, "payout_run.export", id, details).await?;
        Ok::<_, Error>(file)
    };
    // No idempotency key: its record would keep the account numbers.
    billing.db.write(organization, None, work).await
}

async fn of_run(conn: &mut Conn, organization: OrganizationId, id: PayoutRunId) -> Result<Export, Error> {
    let run = run_sql::by_ids(conn, organization, &[id]).await?.pop();
    let run = run.ok_or_else(|| Refusal::not_found("payoutRun", "payout run", id))?;
    if !matches!(run.status, RunStatus::Approved | RunStatus::Sent) {
        return Err(Refusal::PayoutRunStatus { status: run.status, needed: "APPROVED or SENT" }.into());
    }
    Ok(file(&run, &sql::bank_lines(conn, organization, id).await?)?)
}

fn file(run: &PayoutRun, lines: &[BankLine]) -> Result<Export, Refusal> {
    let mut csv = String::new();
    push(&mut csv, &HEADER.map(str::to_owned));
    let money = |line: &BankLine| Money::new(line.net_minor, line.currency);
    for line in lines {
        push(
            &mut csv,
            &[
                line.id.to_string(),
                plain(&line.partner_external_id),
                plain(&line.holder),
                line.iban.whole().to_owned(),
                amount(money(line)),
                line.currency.to_string(),
                reference(run, line.id),
            ],
        );
    }
    let control_total = Money::sum(run.currency, lines.iter().map(money))?;
    let empty = String::new;
    let last = [CONTROL.to_owned(), lines.len().to_string(), empty(), empty()];
    let [name, count, holder, iban] = last;
    push(&mut csv, &[name, count, holder, iban, amount(control_total), run.currency.to_string(), plain(&run.run_key)]);
    let safe: String =
        run.run_key.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
    let payouts = u64::try_from(lines.len()).unwrap_or(u64::MAX);
    Ok(Export { name: format!("payouts-{safe}.csv"), csv, payouts, control_total })
}

/// What the partner's bank statement shows: the run, and which payout it is.
fn reference(run: &PayoutRun, id: PayoutId) -> String {
    let id = id.to_string();
    let last = id.get(id.len().saturating_sub(8)..).unwrap_or_default();
    plain(&format!("{} {last}", run.run_key))
}

#[cfg(test)]
mod tests {
    use billing_primitives::{Currency, ProgramId, Timestamp};

    use super::*;
    use crate::payouts::iban::Iban;

    fn run() -> PayoutRun {
        let now: Timestamp = "2026-11-02T12:00:00Z".parse().unwrap();
        PayoutRun {
            organization_id: OrganizationId::new(),
            id: PayoutRunId::new(),
            program_id: ProgramId::new(),
            run_key: "2026-10".to_owned(),
            cut_off: "2026-10-31".parse().unwrap(),
            status: RunStatus::Approved,
            currency: Currency::DKK,
            threshold_minor: 0,
            made_by: "operator".to_owned(),
            approved_by: Some("operator".to_owned()),
            created_at: now,
            computed_at: now,
            approved_at: Some(now),
            sent_at: None,
        }
    }

    fn line(partner: &str, holder: &str, net_minor: i64) -> BankLine {
        BankLine {
            id: PayoutId::new(),
            partner_external_id: partner.to_owned(),
            holder: holder.to_owned(),
            iban: Iban::read("DK5000400440116243").unwrap(),
            net_minor,
            currency: Currency::DKK,
        }
    }

    #[test]
    fn one_line_per_payout_and_the_total_last() {
        let lines = [line("P-1", "Partner, \"A\" ApS", 123_450), line("P-2", "=HYPERLINK(1)", 5)];
        let export = file(&run(), &lines).unwrap();
        let mut reader = ::csv::Reader::from_reader(export.csv.as_bytes());
        let rows: Vec<Vec<String>> =
            reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect();
        assert_eq!(rows.len(), 3);
        assert_eq!(rows[0][1..6], ["P-1", "Partner, \"A\" ApS", "DK5000400440116243", "1234.50", "DKK"]);
        assert_eq!(rows[1][2], "'=HYPERLINK(1)");
        assert_eq!(rows[1][4], "0.05");
        assert_eq!(rows[2], ["CONTROL_TOTAL", "2", "", "", "1234.55", "DKK", "2026-10"]);
        assert_eq!((export.control_total, export.payouts), (Money::new(123_455, Currency::DKK), 2));
        assert_eq!(export.name, "payouts-2026-10.csv");
        assert!(rows[0][6].starts_with("2026-10 "));
    }

    #[test]
    fn nothing_to_pay_is_a_total_of_nothing() {
        let export = file(&run(), &[]).unwrap();
        assert!(export.csv.ends_with("CONTROL_TOTAL,0,,,0.00,DKK,2026-10\r\n"));
    }
}
