//! Deriving many customers again: after what a whole programme rests on changed, to compare what is booked with what it
//! should be, and to see what a draft would change. Customers come in chunks, a transaction each.

use std::collections::BTreeMap;

use billing_db::Conn;
use billing_db::queue::{self, NewJob};
use billing_primitives::{CustomerId, OrganizationId, PartnerId, ProgramId, ProgramVersionId};
use serde::{Deserialize, Serialize};

use super::decide::decide;
use super::derive::{self, Cause};
use super::rules::{Standing, VersionFrom};
use super::situation::{Access, Asked, Situation, Version};
use super::store::rows;
use crate::error::{Error, Refusal};
use crate::programs::terms::Terms;
use crate::{Billing, organizations};

/// The name of the kind in the queue; it is stored, so it never changes.
pub const KIND: &str = "derive_commissions";

/// Customers that are derived in one transaction.
const CHUNK: i64 = 200;

/// What a worker is told: the payload in the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeriveJob {
    /// Whose attributed customers are derived again.
    pub program: ProgramId,
    /// The command behind it, for the entries that are booked.
    pub cause: String,
}

impl DeriveJob {
    /// The wake-up as the queue takes it. It has no unique key: one that runs already may have read too early.
    pub fn of(&self, organization: OrganizationId) -> NewJob {
        NewJob {
            kind: KIND.to_owned(),
            organization: Some(organization),
            payload: serde_json::json!(self),
            unique_key: None,
            run_at: None,
            max_attempts: 8,
        }
    }

    /// Derives the customers chunk by chunk; run twice, it books nothing the second time.
    ///
    /// # Errors
    /// Faults of the database; [`Refusal::AmountOverflow`].
    pub async fn work(&self, billing: &Billing, organization: OrganizationId) -> Result<usize, Error> {
        let zone = organizations::get(billing, organization).await?.time_zone;
        let (mut after, mut steps) = (None, 0);
        loop {
            let work = async |conn: &mut Conn| {
                let customers = rows::customers_of(conn, organization, Some(self.program), after, CHUNK).await?;
                let asked = Asked { customers: &customers, ..Asked::default() };
                let cause = Cause { cause: &self.cause, actor: "schedule" };
                let now = billing.clock.now(conn).await?;
                let derived = derive::derive(conn, organization, &zone, now, asked, cause).await?;
                Ok::<_, Error>((customers.last().copied(), derived.steps))
            };
            let (last, booked) = billing.db.scoped(organization, work).await?;
            steps += booked;
            if last.is_none() {
                return Ok(steps);
            }
            after = last;
        }
    }
}

/// Has the customers of a programme derived again, once the transaction commits.
///
/// # Errors
/// Faults of the database.
pub(crate) async fn enqueue(
    conn: &mut Conn,
    organization: OrganizationId,
    program: ProgramId,
    cause: &str,
) -> Result<(), Error> {
    queue::enqueue(conn, &DeriveJob { program, cause: cause.to_owned() }.of(organization)).await?;
    Ok(())
}

/// As [`enqueue`], of every programme that a partner is in.
///
/// # Errors
/// Faults of the database.
pub(crate) async fn enqueue_of_partner(
    conn: &mut Conn,
    organization: OrganizationId,
    partner: PartnerId,
    cause: &str,
) -> Result<(), Error> {
    for program in rows::programs_of(conn, organization, partner).await? {
        enqueue(conn, organization, program, cause).await?;
    }
    Ok(())
}

/// What a comparison of some customers found.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    /// Customers whose commissions were derived.
    pub customers: usize,
    pub differences: Vec<String>,
    /// The last of them; none when there are no more.
    pub last: Option<CustomerId>,
}

/// Derives the next customers that are or were credited to somebody and says where what is booked differs. Changes
/// nothing.
///
/// # Errors
/// Faults of the database.
pub(crate) async fn compare(
    conn: &mut Conn,
    billing: &Billing,
    organization: OrganizationId,
    after: Option<CustomerId>,
) -> Result<Compared, Error> {
    let zone = organizations::current(conn, organization).await?.time_zone;
    let now = billing.clock.now(conn).await?;
    let customers = rows::customers_of(conn, organization, None, after, CHUNK).await?;
    let asked = Asked { customers: &customers, ..Asked::default() };
    let situation = Situation::load(conn, organization, zone, asked, Access::Look).await?;
    let (plan, _) = derive::compare(&situation, organization, now)?;
    let told = |difference: &derive::Difference| {
        let of = &difference.commission;
        let Standing { earned, reversed } = difference.target;
        format!(
            "{} of {} at level {} for {}: booked {} less {}, the facts say {earned} less {reversed}",
            of.id, of.source_id, of.level, of.enrollment_id, of.earned_minor, of.reversed_minor
        )
    };
    let differences = plan.differences().iter().map(told).collect();
    Ok(Compared { customers: customers.len(), differences, last: customers.last().copied() })
}

/// What one partner would have earned, minor units of the programme's currency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WhatIf {
    /// As the facts and the published versions have it, less what was taken back.
    pub before: i64,
    /// Under the terms tried.
    pub after: i64,
}

/// What terms would have made of the stored history of a programme, partner by partner, had they held from its first
/// version's day on. Writes nothing. What a statement has shown is derived anew, too: this is a comparison of terms.
///
/// # Errors
/// Faults of the database.
pub async fn what_if(
    billing: &Billing,
    organization: OrganizationId,
    program: ProgramId,
    terms: &Terms,
) -> Result<BTreeMap<PartnerId, WhatIf>, Error> {
    let work = async |conn: &mut Conn| {
        let zone = organizations::current(conn, organization).await?.time_zone;
        let (mut after, mut partners): (Option<CustomerId>, BTreeMap<PartnerId, WhatIf>) = (None, BTreeMap::new());
        loop {
            let customers = rows::customers_of(conn, organization, Some(program), after, CHUNK).await?;
            let Some(last) = customers.last().copied() else { return Ok(partners) };
            let asked = Asked { customers: &customers, ..Asked::default() };
            let mut situation = Situation::load(conn, organization, zone.clone(), asked, Access::Look).await?;
            add_up(&situation, program, &mut partners, |of, amount| of.before += amount)?;
            let first = situation.versions.get(&program).and_then(|versions| versions.first());
            let Some(from) = first.map(|version| version.from) else { return Ok(partners) };
            let from = VersionFrom { id: ProgramVersionId::new(), new_customers_only: false, ..from };
            situation.versions.insert(program, vec![Version { from, terms: terms.clone() }]);
            add_up(&situation, program, &mut partners, |of, amount| of.after += amount)?;
            after = Some(last);
        }
    };
    billing.db.patient().read(organization, work).await
}

fn add_up(
    situation: &Situation,
    program: ProgramId,
    partners: &mut BTreeMap<PartnerId, WhatIf>,
    add: impl Fn(&mut WhatIf, i64),
) -> Result<(), Error> {
    for key in &situation.sources {
        let Ok(decision) = decide(situation, key).map_err(Refusal::from)? else { continue };
        if decision.program != program {
            continue;
        }
        for target in &decision.targets {
            add(partners.entry(target.partner).or_default(), target.earned - target.reversed);
        }
    }
    Ok(())
}
