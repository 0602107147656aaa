//! `avance organization`: making organizations, which only the operator can.

use billing::organizations::{self, Mode, NewOrganization, TermsFrom};
use billing_primitives::{Currency, Month, TimeZone};
use clap::Subcommand;
use serde_json::json;

use super::Failure;
use super::output::{Output, Table};
use super::session::with_billing;
use crate::config::Config;

/// What to do with organizations.
#[derive(Debug, Subcommand)]
pub enum OrganizationCommand {
    /// Make an organization
    Create(Box<CreateArgs>),
    /// List the organizations of this installation
    List,
}

/// What an organization needs before it can bill.
#[derive(Debug, clap::Args)]
pub struct CreateArgs {
    /// The name that other systems use for it
    #[arg(long)]
    external_id: String,
    /// The name on its documents
    #[arg(long)]
    name: String,
    /// LIVE or TEST
    #[arg(long, default_value_t = Mode::Live)]
    mode: Mode,
    /// In which days begin and end, such as Europe/Copenhagen
    #[arg(long)]
    time_zone: TimeZone,
    /// Currency of the books
    #[arg(long)]
    currency: Currency,
    /// Two letters, such as DK
    #[arg(long)]
    country: String,
    /// VAT number, as it stands on documents
    #[arg(long)]
    vat_number: Option<String>,
    /// Number in the register of companies, as it stands on documents
    #[arg(long)]
    registration_number: Option<String>,
    /// Street and number of its address
    #[arg(long)]
    street: String,
    /// Postal code of its address
    #[arg(long)]
    postal_code: String,
    /// City of its address
    #[arg(long)]
    city: String,
    /// E-mail address on its documents
    #[arg(long)]
    email: String,
    /// Before the numbers of invoices; INV- without this flag
    #[arg(long)]
    invoice_prefix: Option<String>,
    /// Before the numbers of credit notes; CRN- without this flag
    #[arg(long)]
    credit_note_prefix: Option<String>,
    /// Days that partners have to pay
    #[arg(long, default_value_t = 30)]
    payment_terms_days: i32,
    /// What these days are counted from: ISSUE_DATE or END_OF_MONTH
    #[arg(long, default_value_t = TermsFrom::IssueDate)]
    payment_terms_from: TermsFrom,
    /// First month that is billed, such as 2026-01
    #[arg(long)]
    billing_from: Month,
    /// When the month's drafts are made, as a cron expression such as "0 6 1 * *"; by hand only without this flag
    #[arg(long, value_name = "CRON")]
    run_schedule: Option<String>,
    /// Payout runs are approved by somebody other than their maker
    #[arg(long)]
    payout_four_eyes: bool,
}

/// # Errors
/// Refusals and faults.
pub async fn run(config: &Config, command: OrganizationCommand, output: Output) -> Result<(), Failure> {
    match command {
        OrganizationCommand::Create(args) => create(config, *args, output).await,
        OrganizationCommand::List => list(config, output).await,
    }
}

async fn create(config: &Config, args: CreateArgs, output: Output) -> Result<(), Failure> {
    let input = NewOrganization {
        external_id: args.external_id,
        name: args.name,
        mode: args.mode,
        time_zone: args.time_zone,
        currency: args.currency,
        country: args.country,
        vat_number: args.vat_number,
        registration_number: args.registration_number,
        street: args.street,
        postal_code: args.postal_code,
        city: args.city,
        email: args.email,
        invoice_prefix: args.invoice_prefix,
        credit_note_prefix: args.credit_note_prefix,
        payment_terms_days: args.payment_terms_days,
        payment_terms_from: args.payment_terms_from,
        billing_from: args.billing_from,
        run_schedule: args.run_schedule,
        payout_four_eyes: Some(args.payout_four_eyes),
    };
    let made = with_billing(config, async |billing| Ok(organizations::create(billing, &input).await?)).await?;
    let text = format!("{} is made, with the external id {}.\n", made.id, made.external_id);
    output.show(
        &text,
        || json!({ "id": made.id.to_string(), "externalId": made.external_id, "name": made.name, "mode": made.mode }),
    )
}

/// The directory alone: the operator sees no rows of an organization here.
async fn list(config: &Config, output: Output) -> Result<(), Failure> {
    let known = with_billing(config, async |billing| Ok(organizations::directory(billing).await?)).await?;
    let mut table = Table::new(&["external id", "id"]);
    for (external_id, id) in &known {
        table.row([external_id.clone(), id.to_string()]);
    }
    output.show(&table.to_string(), || {
        let entry = |(external_id, id): &(String, _)| json!({ "externalId": external_id, "id": format!("{id}") });
        json!({ "organizations": known.iter().map(entry).collect::<Vec<_>>() })
    })
}
