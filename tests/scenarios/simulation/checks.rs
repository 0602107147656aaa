//! What holds after every step: the product's commissions are the model's, and amounts, payouts and books agree. Read
//! past the product where that can be.

use std::collections::{BTreeMap, BTreeSet};

use billing::commissions::{Commission, CommissionFilter};
use billing_db::{Conn, DbError};
use billing_primitives::EnrollmentId;
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Text, Uuid};
use diesel_async::RunQueryDsl;
use tests::scheme::{Member, Scheme};

use super::model::{Book, Model};

#[derive(QueryableByName)]
struct Source {
    #[diesel(sql_type = Text)]
    source_id: String,
}

/// Accounts of the ledger, debits less credits.
#[derive(QueryableByName)]
struct Account {
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Uuid)]
    owner_id: EnrollmentId,
    #[diesel(sql_type = BigInt)]
    balance: i64,
}

/// Payouts that stand, of one enrollment.
#[derive(QueryableByName)]
struct Gone {
    #[diesel(sql_type = Uuid)]
    enrollment_id: EnrollmentId,
    #[diesel(sql_type = BigInt)]
    payable: i64,
    #[diesel(sql_type = BigInt)]
    netted: i64,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

async fn rows<T>(scheme: &Scheme, sql: &'static str) -> Vec<T>
where
    T: Send + 'static + diesel::deserialize::QueryableByName<diesel::pg::Pg>,
{
    let organization = scheme.app.organization;
    let read = async |conn: &mut Conn| {
        let rows: Vec<T> = diesel::sql_query(sql).bind::<Uuid, _>(organization).load(conn).await?;
        Ok::<_, DbError>(rows)
    };
    scheme.app.billing.db.read(organization, read).await.expect("rows")
}

/// Invoices of which a statement shows something that still stands.
pub async fn stated(scheme: &Scheme) -> BTreeSet<String> {
    let sql = "SELECT DISTINCT c.source_id FROM commission c
               JOIN commission_statement_entry s ON s.organization_id = $1 AND s.commission_id = c.id
               WHERE c.organization_id = $1 AND c.earned_minor <> 0";
    rows::<Source>(scheme, sql).await.into_iter().map(|row| row.source_id).collect()
}

/// Everything that holds after a step.
pub async fn all(scheme: &Scheme, members: &[Member], model: &mut Model) {
    let found = scheme.commissions(&CommissionFilter::default()).await;
    let seats: BTreeMap<EnrollmentId, usize> =
        members.iter().enumerate().map(|(seat, member)| (member.id(), seat)).collect();
    let booked: Book = found
        .iter()
        .filter(|row| row.earned_minor != 0)
        .map(|row| {
            let key = (row.source_id.clone(), row.level, seats[&row.enrollment_id]);
            (key, (row.earned_minor, row.reversed_minor))
        })
        .collect();
    let expected = model.book();
    let difference: Vec<_> = booked
        .iter()
        .filter(|(key, amounts)| expected.get(key) != Some(amounts))
        .map(|(key, amounts)| (key, Some(amounts), expected.get(key)))
        .chain(expected.iter().filter(|(key, _)| !booked.contains_key(*key)).map(|(key, of)| (key, None, Some(of))))
        .collect();
    assert!(difference.is_empty(), "booked and expected: {difference:?}");
    levels(&found, model);
    payouts(scheme, &found).await;
    books(scheme, &found).await;
}

/// Nothing is taken back that was not earned, and all levels together keep the programme's share.
fn levels(found: &[Commission], model: &Model) {
    let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
    for row in found {
        assert!((0..=row.earned_minor).contains(&row.reversed_minor), "{row:?}");
        *sums.entry(&row.source_id).or_default() += row.earned_minor;
    }
    let most = model.rules.iter().map(|rules| rules.max_share).max().unwrap_or(0);
    for (source, sum) in sums {
        let base = model.invoices[source].base();
        assert!(sum * 10_000 <= base * most + 5_000, "{source}: {sum} of {base}");
    }
}

async fn gone(scheme: &Scheme) -> BTreeMap<EnrollmentId, (i64, i64)> {
    let sql = "SELECT enrollment_id, sum(payable_minor)::bigint AS payable, sum(offset_minor)::bigint AS netted
               FROM payout WHERE organization_id = $1 AND status IN ('APPROVED', 'SENT', 'PAID', 'UNKNOWN')
               GROUP BY enrollment_id";
    rows::<Gone>(scheme, sql).await.into_iter().map(|row| (row.enrollment_id, (row.payable, row.netted))).collect()
}

/// Payouts took what commissions gave, once; nothing that had not ripened; and netted no more than was owed.
async fn payouts(scheme: &Scheme, found: &[Commission]) {
    let mut sums: BTreeMap<EnrollmentId, (i64, i64)> = BTreeMap::new();
    for row in found {
        let sum = sums.entry(row.enrollment_id).or_default();
        *sum = (sum.0 + row.taken_minor, sum.1 + row.owed_minor);
    }
    let gone = gone(scheme).await;
    for (enrollment, (taken, owed)) in &sums {
        let (payable, netted) = gone.get(enrollment).copied().unwrap_or_default();
        assert_eq!(*taken, payable, "{enrollment}: taken and paid out");
        assert!(netted <= *owed, "{enrollment}: netted {netted} of {owed}");
    }
    let unripe = "SELECT count(*) AS count FROM commission c WHERE c.organization_id = $1 AND c.taken_minor >
               (SELECT coalesce(sum(e.payable_minor), 0) FROM commission_entry e
                WHERE e.organization_id = $1 AND e.commission_id = c.id AND e.kind = 'MATURITY')";
    assert_eq!(rows::<Count>(scheme, unripe).await[0].count, 0, "taken before it was ripe");
}

/// Each enrollment's accounts say what its commissions say, and debits are credits.
async fn books(scheme: &Scheme, found: &[Commission]) {
    let gone = gone(scheme).await;
    let mut expected: BTreeMap<(String, EnrollmentId), i64> = BTreeMap::new();
    let mut expect = |kind: &str, enrollment, minor: i64| {
        *expected.entry((kind.to_owned(), enrollment)).or_default() += minor;
    };
    for row in found {
        expect("commission_held", row.enrollment_id, -row.held_minor);
        expect("commission_payable", row.enrollment_id, -row.payable_minor);
        expect("commission_offset", row.enrollment_id, row.owed_minor);
    }
    for (enrollment, (_, netted)) in gone {
        expect("commission_offset", enrollment, -netted);
    }
    expected.retain(|_, minor| *minor != 0);
    let sql = "SELECT a.kind, a.owner_id, sum(m.minor)::bigint AS balance
               FROM (SELECT debit_account_id AS id, amount_minor AS minor FROM ledger_transfer WHERE organization_id = $1
                     UNION ALL
                     SELECT credit_account_id, -amount_minor FROM ledger_transfer WHERE organization_id = $1) AS m
               JOIN ledger_account a ON a.organization_id = $1 AND a.id = m.id
               WHERE a.owner_id IS NOT NULL GROUP BY a.kind, a.owner_id";
    let accounts = rows::<Account>(scheme, sql).await.into_iter();
    let accounts: BTreeMap<_, _> =
        accounts.filter(|row| row.balance != 0).map(|row| ((row.kind, row.owner_id), row.balance)).collect();
    assert_eq!(accounts, expected, "the ledger and the commissions");
}
