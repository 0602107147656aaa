//! Commissions, statements and payouts: buckets, entries, payouts and the books tell the same story.
//!
//! Every check is one statement over the organization; it names what differs and counts what it looked at.

use std::collections::BTreeMap;

use billing_db::Conn;
use billing_ledger::AccountKey;
use billing_primitives::{Currency, EnrollmentId, LedgerAccountId, OrganizationId};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text, Uuid};
use diesel_async::RunQueryDsl;

use crate::chart::{self, kind};
use crate::error::Error;
use crate::reconciliation::Check;

/// At most so many differences of one kind are named.
const MOST: i64 = 100;

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    checked: i64,
}

#[derive(QueryableByName)]
struct Finding {
    #[diesel(sql_type = Text)]
    found: String,
}

/// A check in two statements: what there is, and what is wrong with it. `$1` is the organization.
struct Rule {
    count: &'static str,
    wrong: &'static str,
}

/// The rows of one kind of wrongness; `$2` limits them.
const BUCKETS: Rule = Rule {
    count: "SELECT count(*) AS checked FROM commission WHERE organization_id = $1",
    wrong: "SELECT 'commission com_' || replace(c.id::text, '-', '') || ': its amounts are not the sums of its entries' AS found
            FROM commission c
            LEFT JOIN (SELECT commission_id,
                 coalesce(sum(amount_minor) FILTER (WHERE kind = 'ACCRUAL'), 0) AS earned,
                 coalesce(-sum(amount_minor) FILTER (WHERE kind IN ('CLAWBACK', 'RESTORATION')), 0) AS reversed,
                 sum(counted_minor) AS counted, sum(held_minor) AS held, sum(payable_minor) AS payable,
                 sum(taken_minor) AS taken, sum(owed_minor) AS owed
                 FROM commission_entry WHERE organization_id = $1 GROUP BY commission_id) AS e
              ON e.commission_id = c.id
            WHERE c.organization_id = $1
              AND (c.earned_minor, c.reversed_minor, c.counted_minor, c.held_minor, c.payable_minor, c.taken_minor, c.owed_minor)
                <> (coalesce(e.earned, 0), coalesce(e.reversed, 0), coalesce(e.counted, 0), coalesce(e.held, 0),
                    coalesce(e.payable, 0), coalesce(e.taken, 0), coalesce(e.owed, 0))
            ORDER BY c.id LIMIT $2",
};

/// Nothing is taken back that was not earned, and nothing is in two payouts.
const TAKEN: Rule = Rule {
    count: "SELECT count(*) AS checked FROM commission WHERE organization_id = $1",
    wrong: "SELECT 'commission com_' || replace(c.id::text, '-', '') || ': ' || c.taken_minor || ' taken, and its payouts took '
                || coalesce(i.taken, 0) || '; reversed ' || c.reversed_minor || ' of ' || c.earned_minor AS found
            FROM commission c
            LEFT JOIN (SELECT i.commission_id, sum(i.amount_minor) AS taken FROM payout_item i
                 JOIN payout p ON p.organization_id = $1 AND p.id = i.payout_id
                   AND p.status IN ('APPROVED', 'SENT', 'PAID', 'UNKNOWN')
                 WHERE i.organization_id = $1 GROUP BY i.commission_id) AS i ON i.commission_id = c.id
            WHERE c.organization_id = $1
              AND (c.taken_minor <> coalesce(i.taken, 0) OR c.reversed_minor > greatest(c.earned_minor, 0))
            ORDER BY c.id LIMIT $2",
};

/// A payout is the sum of its items, and nets no more than was owed.
const PAYOUTS: Rule = Rule {
    count: "SELECT count(*) AS checked FROM payout WHERE organization_id = $1",
    wrong: "SELECT 'payout pyt_' || replace(p.id::text, '-', '') || ': ' || p.payable_minor || ', and its items come to ' || coalesce(i.sum, 0) AS found
            FROM payout p
            LEFT JOIN (SELECT payout_id, sum(amount_minor) AS sum FROM payout_item
                 WHERE organization_id = $1 GROUP BY payout_id) AS i ON i.payout_id = p.id
            WHERE p.organization_id = $1 AND p.status <> 'DRAFT' AND p.payable_minor <> coalesce(i.sum, 0)
            UNION ALL
            SELECT 'enrollment enr_' || replace(o.enrollment_id::text, '-', '') || ': payouts netted ' || o.netted || ' of '
                || coalesce(c.owed, 0) || ' owed'
            FROM (SELECT enrollment_id, sum(offset_minor) AS netted FROM payout
                  WHERE organization_id = $1 AND status IN ('APPROVED', 'SENT', 'PAID', 'UNKNOWN')
                  GROUP BY enrollment_id) AS o
            LEFT JOIN (SELECT enrollment_id, sum(owed_minor) AS owed FROM commission
                 WHERE organization_id = $1 GROUP BY enrollment_id) AS c ON c.enrollment_id = o.enrollment_id
            WHERE o.netted > coalesce(c.owed, 0)
            UNION ALL
            SELECT 'payout pyt_' || replace(p.id::text, '-', '') || ': not paid by its payment as a credit' FROM payout p
            LEFT JOIN payment y ON y.organization_id = $1 AND y.id = p.payment_id
            WHERE p.organization_id = $1 AND p.method = 'CREDIT'
              AND (y.id IS NULL OR y.method <> 'COMMISSION' OR y.amount_minor <> p.net_minor
                   OR y.invoice_id <> p.invoice_id OR y.currency <> p.currency)
            LIMIT $2",
};

/// A statement is the sum of what stands on it, and shows each step as it was booked, by the end of its month.
const STATEMENTS: Rule = Rule {
    count: "SELECT count(*) AS checked FROM commission_statement WHERE organization_id = $1",
    wrong: "SELECT 'statement cst_' || replace(t.id::text, '-', '') || ': it is not the sum of what it shows' AS found
            FROM commission_statement t
            LEFT JOIN (SELECT statement_id,
                 coalesce(sum(amount_minor) FILTER (WHERE part = 'EARNED'), 0) AS earned,
                 coalesce(-sum(amount_minor) FILTER (WHERE part = 'CLAWED_BACK'), 0) AS clawed_back
                 FROM commission_statement_entry WHERE organization_id = $1 GROUP BY statement_id) AS s
              ON s.statement_id = t.id
            WHERE t.organization_id = $1
              AND (t.earned_minor, t.clawed_back_minor) <> (coalesce(s.earned, 0), coalesce(s.clawed_back, 0))
            UNION ALL
            SELECT 'statement cst_' || replace(s.statement_id::text, '-', '') || ': step cme_' || replace(s.commission_entry_id::text, '-', '') || ' is shown otherwise than booked'
            FROM commission_statement_entry s
            JOIN commission_statement t ON t.organization_id = $1 AND t.id = s.statement_id
            JOIN commission_entry e ON e.organization_id = $1 AND e.id = s.commission_entry_id
            WHERE s.organization_id = $1
              AND (s.amount_minor <> e.stated_minor OR s.commission_id <> e.commission_id
                   OR t.enrollment_id <> e.enrollment_id
                   OR e.occurred_on >= (t.month + interval '1 month')::date)
            LIMIT $2",
};

/// All checks of commissions and payouts that need no recomputation.
///
/// # Errors
/// Faults of the database.
pub async fn checks(conn: &mut Conn, organization: OrganizationId) -> Result<Vec<Check>, Error> {
    let mut checks = Vec::new();
    for (name, rule) in [
        ("commissions: amounts are the sums of their entries", BUCKETS),
        ("commissions: taken by payouts once, reversed at most what was earned", TAKEN),
        ("payouts: sums of their items, debts netted once", PAYOUTS),
        ("commission statements: sums of what they show", STATEMENTS),
    ] {
        checks.push(run(conn, organization, name, rule).await?);
    }
    checks.push(books(conn, organization).await?);
    Ok(checks)
}

async fn run(conn: &mut Conn, organization: OrganizationId, name: &str, rule: Rule) -> Result<Check, Error> {
    let mut check = Check::new(name);
    let count: Count = diesel::sql_query(rule.count).bind::<Uuid, _>(organization).get_result(conn).await?;
    check.checked = u64::try_from(count.checked).unwrap_or_default();
    let wrong: Vec<Finding> =
        diesel::sql_query(rule.wrong).bind::<Uuid, _>(organization).bind::<BigInt, _>(MOST).load(conn).await?;
    check.differences = wrong.into_iter().map(|finding| finding.found).collect();
    Ok(check)
}

/// What an enrollment's accounts should say.
#[derive(QueryableByName)]
struct Sums {
    #[diesel(sql_type = Uuid)]
    enrollment_id: EnrollmentId,
    #[diesel(sql_type = Text)]
    currency: Currency,
    #[diesel(sql_type = BigInt)]
    held: i64,
    #[diesel(sql_type = BigInt)]
    payable: i64,
    #[diesel(sql_type = BigInt)]
    owed: i64,
    /// Of payouts that stand.
    #[diesel(sql_type = BigInt)]
    netted: i64,
    /// Of payouts that stand and are not paid.
    #[diesel(sql_type = BigInt)]
    under_way: i64,
}

async fn sums(conn: &mut Conn, organization: OrganizationId) -> QueryResult<Vec<Sums>> {
    diesel::sql_query(
        "SELECT enrollment_id, currency, sum(held)::bigint AS held, sum(payable)::bigint AS payable,
             sum(owed)::bigint AS owed, sum(netted)::bigint AS netted, sum(under_way)::bigint AS under_way
         FROM (SELECT enrollment_id, currency, held_minor AS held, payable_minor AS payable, owed_minor AS owed,
                      0 AS netted, 0 AS under_way
               FROM commission WHERE organization_id = $1
               UNION ALL
               SELECT enrollment_id, currency, 0, 0, 0, offset_minor,
                      CASE WHEN status = 'PAID' THEN 0 ELSE net_minor END
               FROM payout WHERE organization_id = $1 AND status IN ('APPROVED', 'SENT', 'PAID', 'UNKNOWN')) AS parts
         GROUP BY enrollment_id, currency",
    )
    .bind::<Uuid, _>(organization)
    .load(conn)
    .await
}

/// Compares the accounts of enrollments, and payout clearing, with commissions and payouts.
async fn books(conn: &mut Conn, organization: OrganizationId) -> Result<Check, Error> {
    let mut check = Check::new("ledger: commissions and payouts are posted as they stand");
    let mut expected: BTreeMap<LedgerAccountId, (AccountKey, i64)> = BTreeMap::new();
    let mut expect = |key: AccountKey, minor: i64| {
        expected.entry(key.id(organization)).or_insert((key, 0)).1 += minor;
    };
    for row in sums(conn, organization).await? {
        let (enrollment, currency) = (row.enrollment_id, row.currency);
        // What is owed to the partner stands on the credit side.
        expect(chart::commission_held(enrollment, currency), -row.held);
        expect(chart::commission_payable(enrollment, currency), -row.payable);
        expect(chart::commission_offset(enrollment, currency), row.owed - row.netted);
        expect(chart::of_organization(kind::PAYOUT_CLEARING, currency), -row.under_way);
    }
    check.count(expected.len());
    let mut strangers: Vec<LedgerAccountId> = Vec::new();
    for balance in billing_ledger::trial_balance(conn, organization).await? {
        match expected.remove(&balance.id) {
            Some((key, minor)) if minor != balance.debit_balance() => {
                check.differences.push(differing(&key, minor, balance.debit_balance()));
            }
            None if balance.debit_balance() != 0 => strangers.push(balance.id),
            _ => (),
        }
    }
    let unposted = expected.into_values().filter(|(_, minor)| *minor != 0);
    check.differences.extend(unposted.map(|(key, minor)| differing(&key, minor, 0)));
    for page in strangers.chunks(1000) {
        for account in billing_ledger::accounts(conn, organization, Some(page), None, 1000).await? {
            if account.kind == kind::PAYOUT_CLEARING || kind::OF_ENROLLMENTS.contains(&account.kind.as_str()) {
                check.differences.push(format!("{} ({}): nothing is behind its balance", account.kind, account.id));
            }
        }
    }
    Ok(check)
}

fn differing(key: &AccountKey, expected: i64, found: i64) -> String {
    let owner = key.owner.map_or_else(|| "the organization".to_owned(), |id| EnrollmentId::from_uuid(id).to_string());
    format!(
        "{} of {owner} in {}: {expected} minor units by commissions and payouts, {found} in the books",
        key.kind, key.currency
    )
}
