//! Derivation: from what is known of sources to what is booked on them.
//!
//! The target of every level is a function of stored facts; the difference to what is booked is what gets booked. So
//! duplicates, retries and the order of facts cannot matter for any amount.

use std::collections::{BTreeMap, HashMap};

use billing_db::Conn;
use billing_primitives::{CommissionId, EnrollmentId, OrganizationId, TimeZone, Timestamp};
use serde_json::{Value, json};

use super::book::{self, BookedStep, Commission, Pen};
use super::decide::{Decision, Skipped, decide};
use super::rules::{Standing, Target, buckets};
use super::situation::{Access, Asked, Booked, Situation, SourceKey};
use super::store::rows;
use crate::error::{Error, Refusal};
use crate::trace;

/// Because of what, and by whom, something is derived again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cause<'a> {
    /// The Stripe event or the command.
    pub cause: &'a str,
    pub actor: &'a str,
}

/// What became of the sources of a derivation.
#[derive(Debug, Clone, Default)]
pub(crate) struct Derived {
    /// Why a source earns nothing.
    pub skipped: BTreeMap<SourceKey, Skipped>,
    /// Steps that were booked.
    pub steps: usize,
}

/// Derives what was asked for and books the differences, in a constant number of statements.
///
/// # Errors
/// [`Refusal::AmountOverflow`]; faults of the database.
pub(crate) async fn derive(
    conn: &mut Conn,
    organization: OrganizationId,
    zone: &TimeZone,
    now: Timestamp,
    asked: Asked<'_>,
    cause: Cause<'_>,
) -> Result<Derived, Error> {
    let situation = Situation::load(conn, organization, zone.clone(), asked, Access::Book).await?;
    let (plan, skipped) = compare(&situation, organization, now)?;
    let steps = plan.book(conn, organization, zone, now, cause).await?;
    Ok(Derived { skipped, steps })
}

/// How what is booked differs from what should be.
#[derive(Default)]
pub(crate) struct Plan {
    opened: Vec<Commission>,
    restated: Vec<Commission>,
    differences: Vec<Difference>,
}

/// One commission that should come to something else.
pub(crate) struct Difference {
    pub commission: Commission,
    pub target: Standing,
    steps: Vec<buckets::Step>,
}

impl Plan {
    pub fn differences(&self) -> &[Difference] {
        &self.differences
    }

    async fn book(
        self,
        conn: &mut Conn,
        organization: OrganizationId,
        zone: &TimeZone,
        now: Timestamp,
        cause: Cause<'_>,
    ) -> Result<usize, Error> {
        if !self.restated.is_empty() {
            rows::restate(conn, organization, &self.restated).await?;
        }
        let steps: Vec<BookedStep> = self.differences.iter().flat_map(|of| of.booked(cause.cause)).collect();
        let pen = Pen { actor: cause.actor, occurred_on: now.date_in(zone), now };
        book::write(conn, organization, &self.opened, &steps, pen).await?;
        Ok(steps.len())
    }
}

impl Difference {
    fn booked(&self, cause: &str) -> Vec<BookedStep> {
        let commission = &self.commission;
        let booked = Standing { earned: commission.earned_minor, reversed: commission.reversed_minor };
        let told = trace::json(&json!({ "booked": booked, "target": self.target, "base": commission.base_minor,
            "baseReversed": commission.base_reversed_minor, "rules": ["R6", "R7"] }));
        let step = |step: &buckets::Step| BookedStep::of(commission, *step, cause.to_owned(), told.clone());
        self.steps.iter().map(step).collect()
    }
}

/// Compares every source of the situation with what is booked on it. Pure.
///
/// # Errors
/// [`Refusal::AmountOverflow`].
pub(crate) fn compare(
    situation: &Situation,
    organization: OrganizationId,
    now: Timestamp,
) -> Result<(Plan, BTreeMap<SourceKey, Skipped>), Error> {
    let (mut plan, mut skipped) = (Plan::default(), BTreeMap::new());
    for key in &situation.sources {
        let decided = decide(situation, key).map_err(Refusal::from)?;
        let booked = situation.booked.get(key).map_or(&[][..], Vec::as_slice);
        match decided {
            Ok(decision) => {
                plan.add(organization, now, key, &decision, booked)?;
                if booked.is_empty() && decision.is_without_revenue(key.kind) {
                    skipped.insert(key.clone(), Skipped::NoRevenue);
                }
            }
            Err(reason) => {
                plan.undo(booked, &HashMap::new())?;
                skipped.insert(key.clone(), reason);
            }
        }
    }
    Ok((plan, skipped))
}

impl Plan {
    fn add(
        &mut self,
        organization: OrganizationId,
        now: Timestamp,
        key: &SourceKey,
        decision: &Decision,
        booked: &[Booked],
    ) -> Result<(), Error> {
        let known: HashMap<(i32, EnrollmentId), &Commission> =
            booked.iter().map(|of| ((of.commission.level, of.commission.enrollment_id), &of.commission)).collect();
        let mut wanted = HashMap::new();
        for target in &decision.targets {
            wanted.insert((target.level, target.enrollment), ());
            let stated = stated(organization, now, key, decision, target);
            match known.get(&(target.level, target.enrollment)) {
                Some(commission) => self.meet(commission, stated, target)?,
                None if target.earned != 0 => {
                    self.opened.push(stated.clone());
                    self.differ(stated, target)?;
                }
                None => {}
            }
        }
        self.undo(booked, &wanted)
    }

    /// A commission that is booked meets its target.
    fn meet(&mut self, booked: &Commission, stated: Commission, target: &Target) -> Result<(), Error> {
        let stated = Commission {
            id: booked.id,
            settlement: booked.settlement,
            earned_minor: booked.earned_minor,
            reversed_minor: booked.reversed_minor,
            counted_minor: booked.counted_minor,
            held_minor: booked.held_minor,
            payable_minor: booked.payable_minor,
            taken_minor: booked.taken_minor,
            owed_minor: booked.owed_minor,
            created_at: booked.created_at,
            ..stated
        };
        if stated != *booked {
            self.restated.push(stated.clone());
        }
        self.differ(stated, target)
    }

    fn differ(&mut self, commission: Commission, target: &Target) -> Result<(), Error> {
        self.note(commission, Standing { earned: target.earned, reversed: target.reversed })
    }

    /// What is booked on a source and wanted no more is taken back.
    fn undo(&mut self, booked: &[Booked], wanted: &HashMap<(i32, EnrollmentId), ()>) -> Result<(), Error> {
        let stale = booked.iter().map(|of| &of.commission);
        for commission in stale.filter(|of| !wanted.contains_key(&(of.level, of.enrollment_id))) {
            // Nobody's tier counts a base on which it earns nothing any more.
            let undone = Commission { base_minor: 0, base_reversed_minor: 0, ..commission.clone() };
            if undone != *commission {
                self.restated.push(undone.clone());
            }
            self.note(undone, Standing::default())?;
        }
        Ok(())
    }

    fn note(&mut self, commission: Commission, target: Standing) -> Result<(), Error> {
        let booked = Standing { earned: commission.earned_minor, reversed: commission.reversed_minor };
        let steps =
            buckets::book(commission.buckets(), booked, target, commission.settlement).map_err(Refusal::from)?;
        if !steps.is_empty() {
            self.differences.push(Difference { commission, target, steps });
        }
        Ok(())
    }
}

/// The commission as the decision says it, with nothing earned yet.
fn stated(
    organization: OrganizationId,
    now: Timestamp,
    key: &SourceKey,
    decision: &Decision,
    target: &Target,
) -> Commission {
    let rule: Value = serde_json::from_str(&target.trace).unwrap_or_default();
    Commission {
        organization_id: organization,
        id: CommissionId::new(),
        source_kind: key.kind,
        source_id: key.id.clone(),
        level: target.level,
        enrollment_id: target.enrollment,
        partner_id: target.partner,
        program_id: decision.program,
        program_version_id: decision.version,
        customer_id: decision.customer,
        attribution_id: decision.attribution,
        settlement: target.settlement,
        currency: decision.currency,
        base_minor: decision.base,
        base_reversed_minor: decision.base_reversed,
        earned_minor: 0,
        reversed_minor: 0,
        counted_minor: 0,
        held_minor: 0,
        payable_minor: 0,
        taken_minor: 0,
        owed_minor: 0,
        earned_at: decision.earned_at,
        payable_at: decision.payable_at,
        on_hold: decision.on_hold,
        trace: json!({ "basis": decision.basis, "rule": rule }),
        created_at: now,
    }
}
