//! Tier evaluations: each follows from its users, the pin of its month and the evaluation of the month before.

use std::collections::HashMap;

use billing_db::Conn;
use billing_primitives::{Month, PartnerId};

use super::{Check, store};
use crate::error::Error;
use crate::organizations::Organization;
use crate::tiers::rules::{Ranked, evaluate};
use crate::tiers::{self, TierEvaluation};

/// Evaluates again what is stored; the users are taken as stored, since a finalized month is never reopened.
pub async fn check(conn: &mut Conn, organization: &Organization, partners: &[PartnerId]) -> Result<Check, Error> {
    let mut check = Check::new("tiers");
    let stored = store::evaluations(conn, organization.id, partners).await?;
    let mut months: Vec<Month> = stored.iter().map(|evaluation| evaluation.month).collect();
    months.sort_unstable();
    months.dedup();
    let mut tables: HashMap<Month, Option<Ranked>> = HashMap::new();
    let mut pins: HashMap<Month, HashMap<PartnerId, String>> = HashMap::new();
    for month in months {
        tables.insert(month, tiers::table_for(conn, organization.id, month).await?);
        pins.insert(month, tiers::pins_for(conn, organization.id, partners, month).await?);
    }
    let mut last: Option<&TierEvaluation> = None;
    for evaluation in &stored {
        let previous =
            last.filter(|last| last.partner_id == evaluation.partner_id && last.month.next() == evaluation.month);
        let pin = pins.get(&evaluation.month).and_then(|pins| pins.get(&evaluation.partner_id));
        let table = tables.get(&evaluation.month).and_then(Option::as_ref);
        let again = table.map(|table| {
            evaluate(table, evaluation.users, pin.map(String::as_str), previous.map(TierEvaluation::previous))
        });
        let holds = again.is_some_and(|again| {
            (&again.measured, &again.billed, again.discount, again.reason, again.months_below)
                == (
                    &evaluation.measured_tier,
                    &evaluation.billed_tier,
                    evaluation.discount_bps,
                    evaluation.reason,
                    evaluation.months_below,
                )
        });
        check.expect(holds, || {
            format!("{} {}: the billed tier does not follow", evaluation.partner_id, evaluation.month)
        });
        last = Some(evaluation);
    }
    Ok(check)
}
