//! What the affiliate side came to, read back from where everybody reads it: partners, what went back, the payout run,
//! why a commission is what it is, and queries to try.

use billing::commissions::{self, Commission, CommissionFilter};
use billing::explain::{self, Explanation};
use billing::organizations::Organization;
use billing::partners::{self, Partner};
use billing::payouts::{self, Balance, LeftOutRow, Payout, PayoutFilter, PayoutRun, RunTotals};
use billing::programs::{Terms, enrollments, evaluations, versions};
use billing::{Billing, Page};
use billing_primitives::{CommissionId, EnrollmentId, Money, OrganizationId, PayoutId, ProgramId};

use super::affiliate::{Affiliate, buyer};
use super::cast::{CHARGEBACK, MEMBERS, REFUND, Return};
use super::stripe;
use crate::cli::Failure;

/// Everything that is told.
pub struct Told {
    pub affiliate: Affiliate,
    pub terms: Terms,
    pub partners: Vec<Row>,
    pub refund: Back,
    pub chargeback: Back,
    pub totals: RunTotals,
    pub payouts: Vec<Payout>,
    pub left_out: Vec<LeftOutRow>,
    /// A commission of which part was taken back.
    pub explained: Explanation,
}

/// What a partner has of the programme.
pub struct Row {
    pub partner: Partner,
    pub enrollment: EnrollmentId,
    /// Code of its tier in the month that was evaluated last.
    pub tier: String,
    pub commissions: usize,
    pub earned: Money,
    pub taken_back: Money,
    pub balance: Balance,
    /// What the run of the last month brings it, if it is in it.
    pub next: Option<Money>,
}

/// Something that went back.
pub struct Back {
    pub invoice: String,
    /// What the customer got back.
    pub amount: Money,
    /// By level: what was taken back of what was earned.
    pub commissions: Vec<Commission>,
}

/// Reads it.
///
/// # Errors
/// Faults.
pub async fn read(billing: &Billing, organization: &Organization, affiliate: Affiliate) -> Result<Told, Failure> {
    let (id, program) = (organization.id, affiliate.program.id);
    let versions = versions::versions_of(billing, id, &[program]).await?;
    let terms = versions.into_iter().next().map(|version| version.terms);
    let terms = terms.ok_or_else(|| Failure::fault("the programme has no version"))?;
    let run = payouts::runs_by_ids(billing, id, &[affiliate.run.id]).await?.pop();
    let affiliate = Affiliate { run: run.unwrap_or_else(|| affiliate.run.clone()), ..affiliate };
    let totals = payouts::totals_of(billing, id, &[affiliate.run.id]).await?.pop();
    let filter = PayoutFilter { run: Some(affiliate.run.id), ..PayoutFilter::default() };
    let mut payouts = payouts::list(billing, id, &Page::<PayoutId>::new(None, Page::<PayoutId>::MOST), &filter).await?;
    payouts.items.reverse();
    let page = Page::<EnrollmentId>::new(None, Page::<EnrollmentId>::MOST);
    let left_out = payouts::left_out(billing, id, affiliate.run.id, &page).await?.items;
    let refund = went_back(billing, id, &affiliate.run, &REFUND).await?;
    let chargeback = went_back(billing, id, &affiliate.run, &CHARGEBACK).await?;
    let explained = refund.commissions.first().ok_or_else(|| Failure::fault("nothing was earned on the refund"))?;
    let explained = explain::commission(billing, id, explained.id).await?;
    let mut partners = Vec::new();
    for member in &MEMBERS {
        partners.extend(row(billing, id, program, member.external_id, &payouts.items).await?);
    }
    let totals = totals.ok_or_else(|| Failure::fault("the payout run is not there"))?;
    let payouts = payouts.items;
    Ok(Told { affiliate, terms, partners, refund, chargeback, totals, payouts, left_out, explained })
}

async fn went_back(
    billing: &Billing,
    organization: OrganizationId,
    run: &PayoutRun,
    of: &Return,
) -> Result<Back, Failure> {
    let invoice = stripe::invoice_id(buyer(of)?, of.paid_in);
    let filter = CommissionFilter { source_id: Some(invoice.clone()), ..CommissionFilter::default() };
    let mut commissions = all(billing, organization, &filter).await?;
    commissions.sort_by_key(|commission| commission.level);
    Ok(Back { invoice, amount: Money::new(of.amount, run.currency), commissions })
}

/// Nothing for a partner that is not in the programme any more.
async fn row(
    billing: &Billing,
    organization: OrganizationId,
    program: ProgramId,
    external_id: &str,
    payouts: &[Payout],
) -> Result<Option<Row>, Failure> {
    let Some(partner) = partners::by_external_id(billing, organization, external_id).await? else { return Ok(None) };
    let enrollments = enrollments::of_partners(billing, organization, &[partner.id]).await?;
    let found = enrollments.into_iter().find(|enrollment| enrollment.program_id == program);
    let Some(enrollment) = found.map(|enrollment| enrollment.id) else { return Ok(None) };
    let balance = payouts::balances_of(billing, organization, &[enrollment]).await?.pop();
    let Some(balance) = balance else { return Ok(None) };
    let evaluated = evaluations::list(billing, organization, enrollment, &Page::new(None, 1)).await?.items.pop();
    let filter = CommissionFilter { enrollment: Some(enrollment), ..CommissionFilter::default() };
    let commissions = all(billing, organization, &filter).await?;
    let sum = |of: fn(&Commission) -> i64| {
        Money::sum(balance.held.currency, commissions.iter().map(|commission| commission.money(of(commission))))
            .map_err(Failure::fault)
    };
    let (earned, taken_back) = (sum(|one| one.earned_minor)?, sum(|one| one.reversed_minor)?);
    let next = payouts.iter().find(|payout| payout.enrollment_id == enrollment).map(Payout::net);
    let (tier, commissions) = (evaluated.map_or_else(|| "-".to_owned(), |one| one.tier_code), commissions.len());
    Ok(Some(Row { partner, enrollment, tier, commissions, earned, taken_back, balance, next }))
}

async fn all(
    billing: &Billing,
    organization: OrganizationId,
    filter: &CommissionFilter,
) -> Result<Vec<Commission>, Failure> {
    let mut all: Vec<Commission> = Vec::new();
    loop {
        let page = Page::new(all.last().map(|last| last.id), Page::<CommissionId>::MOST);
        let slice = commissions::list(billing, organization, &page, filter).await?;
        all.extend(slice.items);
        if !slice.has_next {
            return Ok(all);
        }
    }
}
