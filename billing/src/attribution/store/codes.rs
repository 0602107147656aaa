//! SQL of referral codes and links.

use billing_db::schema::{referral_code, referral_link};
use billing_db::{Conn, DbError};
use billing_primitives::{OrganizationId, PartnerId, ReferralCodeId, ReferralLinkId};
use diesel::dsl::exists;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::by_ids;
use crate::attribution::{ReferralCode, ReferralLink};

by_ids!(referral_code, ReferralCodeId => ReferralCode);

/// False when the code, or the promotion code, is taken.
pub async fn insert(conn: &mut Conn, row: &ReferralCode) -> QueryResult<bool> {
    let written = diesel::insert_into(referral_code::table).values(row).on_conflict_do_nothing().execute(conn).await?;
    Ok(written == 1)
}

pub async fn update_status(conn: &mut Conn, row: &ReferralCode) -> Result<(), DbError> {
    let written = diesel::update(referral_code::table)
        .filter(referral_code::organization_id.eq(row.organization_id))
        .filter(referral_code::id.eq(row.id))
        .set(referral_code::status.eq(row.status))
        .execute(conn)
        .await?;
    DbError::expect_rows("referral_code", 1, written)
}

pub async fn lock(
    conn: &mut Conn,
    organization: OrganizationId,
    id: ReferralCodeId,
) -> QueryResult<Option<ReferralCode>> {
    referral_code::table
        .filter(referral_code::organization_id.eq(organization))
        .filter(referral_code::id.eq(id))
        .select(ReferralCode::as_select())
        .for_no_key_update()
        .first(conn)
        .await
        .optional()
}

pub async fn is_taken(conn: &mut Conn, organization: OrganizationId, code_key: &str) -> QueryResult<bool> {
    let taken = referral_code::table
        .filter(referral_code::organization_id.eq(organization))
        .filter(referral_code::code_key.eq(code_key));
    diesel::select(exists(taken)).get_result(conn).await
}

pub async fn has_promotion(conn: &mut Conn, organization: OrganizationId, promotion_code: &str) -> QueryResult<bool> {
    let taken = referral_code::table
        .filter(referral_code::organization_id.eq(organization))
        .filter(referral_code::stripe_promotion_code.eq(promotion_code));
    diesel::select(exists(taken)).get_result(conn).await
}

pub async fn of_partners(
    conn: &mut Conn,
    organization: OrganizationId,
    partners: &[PartnerId],
) -> QueryResult<Vec<ReferralCode>> {
    referral_code::table
        .filter(referral_code::organization_id.eq(organization))
        .filter(referral_code::partner_id.eq_any(partners))
        .order((referral_code::partner_id, referral_code::id))
        .select(ReferralCode::as_select())
        .load(conn)
        .await
}

pub async fn insert_link(conn: &mut Conn, row: &ReferralLink) -> QueryResult<()> {
    diesel::insert_into(referral_link::table).values(row).execute(conn).await.map(|_| ())
}

pub async fn links_by_ids(
    conn: &mut Conn,
    organization: OrganizationId,
    ids: &[ReferralLinkId],
) -> QueryResult<Vec<ReferralLink>> {
    referral_link::table
        .filter(referral_link::organization_id.eq(organization))
        .filter(referral_link::id.eq_any(ids))
        .select(ReferralLink::as_select())
        .load(conn)
        .await
}

pub async fn links_of(
    conn: &mut Conn,
    organization: OrganizationId,
    codes: &[ReferralCodeId],
) -> QueryResult<Vec<ReferralLink>> {
    referral_link::table
        .filter(referral_link::organization_id.eq(organization))
        .filter(referral_link::referral_code_id.eq_any(codes))
        .order((referral_link::referral_code_id, referral_link::id))
        .select(ReferralLink::as_select())
        .load(conn)
        .await
}
