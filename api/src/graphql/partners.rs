//! Partners: who sells on, and is invoiced.

use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use billing::attribution::{self, LeadFilter};
use billing::payouts::PayoutFilter;
use billing::{Refusal, organizations, partners, vat};
use billing_primitives::PartnerId;

use super::claim_links::ClaimLink;
use super::connection::{Connection, List};
use super::enrollments::Enrollment;
use super::errors;
use super::loaders::{CodesOf, CreditBalancesOf, EnrollmentsOf, PayoutDetailsOf};
use super::organization::TermsFrom;
use super::payments::CreditBalance;
use super::payouts::{self, Payout, PayoutDetails};
use super::referrals::{Lead, ReferralCode};
use super::scalars::{Currency, Date, DateTime};
use super::scope::{Name, Scope, id, one_of};
use crate::payloads;

/// Whether a partner may be sold through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "partners::PartnerStatus")]
pub enum PartnerStatus {
    /// It sells.
    Active,
    /// For the time being it does not.
    Suspended,
    /// From a day on it never sells again.
    Terminated,
}

/// What a check of a VAT number said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "vat::VatStatus")]
pub enum VatStatus {
    /// Nobody has checked it since it was entered.
    Unchecked,
    /// It was valid.
    Valid,
    /// It was not valid: reverse charge is refused.
    Invalid,
}

/// A billing entity that sells on; it is invoiced once a month.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct Partner {
    /// The global id.
    pub id: ID,
    /// What other systems call it; runs finalize in the order of these, by bytes.
    pub external_id: String,
    /// The legal name, as it stands on documents.
    pub legal_name: String,
    /// Where invoices are sent.
    pub email: String,
    /// Street and house number.
    pub street: String,
    /// Postal code.
    pub postal_code: String,
    /// City.
    pub city: String,
    /// The country it is taxed in, two capital letters (Greece is `GR`).
    pub country: String,
    /// Its VAT number, beginning with the country.
    pub vat_number: Option<String>,
    /// What the last check of the VAT number said.
    pub vat_status: VatStatus,
    /// When it was checked.
    pub vat_checked_at: Option<DateTime>,
    /// What the register answered, word for word.
    pub vat_answer: Option<String>,
    /// The currency of its documents.
    pub currency: Currency,
    /// Days until an invoice is due; null: the organization's terms.
    pub payment_terms_days: Option<i32>,
    /// What these days are counted from.
    pub payment_terms_from: Option<TermsFrom>,
    /// Whether it may be sold through.
    pub status: PartnerStatus,
    /// The first day of its termination.
    pub terminated_from: Option<Date>,
    /// When it was made.
    pub created_at: DateTime,
    #[graphql(skip)]
    key: PartnerId,
    #[graphql(skip)]
    parent: Option<PartnerId>,
}

impl From<partners::Partner> for Partner {
    fn from(row: partners::Partner) -> Self {
        Partner {
            id: row.id.into(),
            external_id: row.external_id,
            legal_name: row.legal_name,
            email: row.email,
            street: row.street,
            postal_code: row.postal_code,
            city: row.city,
            country: row.country,
            vat_number: row.vat_number,
            vat_status: row.vat_status.into(),
            vat_checked_at: row.vat_checked_at.map(Into::into),
            vat_answer: row.vat_answer,
            currency: row.currency.into(),
            payment_terms_days: row.payment_terms_days,
            payment_terms_from: row.payment_terms_from.map(Into::into),
            status: row.status.into(),
            terminated_from: row.terminated_from.map(Into::into),
            created_at: row.created_at.into(),
            key: row.id,
            parent: row.parent_partner_id,
        }
    }
}

#[ComplexObject]
impl Partner {
    /// The partner that recruited it.
    async fn parent(&self, ctx: &Context<'_>) -> Result<Option<Partner>> {
        let Some(parent) = self.parent else { return Ok(None) };
        Ok(Scope::of(ctx)?.load(parent).await?.map(Partner::from))
    }

    /// What it has paid or been credited beyond what was due, per currency in which that ever happened.
    async fn credit_balances(&self, ctx: &Context<'_>) -> Result<Vec<CreditBalance>> {
        let balances = Scope::of(ctx)?.list(CreditBalancesOf(self.key)).await?;
        Ok(balances.into_iter().map(CreditBalance::from).collect())
    }

    /// Where it is paid; null while nobody said so.
    async fn payout_details(&self, ctx: &Context<'_>) -> Result<Option<PayoutDetails>> {
        let found = Scope::of(ctx)?.list(PayoutDetailsOf(self.key)).await?;
        Ok(found.into_iter().next().map(PayoutDetails::from))
    }

    /// Its payouts of all programmes, the ones made last first.
    async fn payouts(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<Connection<Payout>> {
        let filter = PayoutFilter { partner: Some(self.key), ..PayoutFilter::default() };
        payouts::page(Scope::of(ctx)?, &filter, first, after.as_deref()).await
    }

    /// The programmes it is enrolled in.
    async fn enrollments(&self, ctx: &Context<'_>) -> Result<Vec<Enrollment>> {
        let enrollments = Scope::of(ctx)?.list(EnrollmentsOf(self.key)).await?;
        Ok(enrollments.into_iter().map(Enrollment::from).collect())
    }

    /// Its referral codes, in the order in which they were made.
    async fn referral_codes(&self, ctx: &Context<'_>) -> Result<Vec<ReferralCode>> {
        let codes = Scope::of(ctx)?.list(CodesOf(self.key)).await?;
        Ok(codes.into_iter().map(ReferralCode::from).collect())
    }

    /// Its claim links, the latest first.
    async fn claim_links(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<Connection<ClaimLink>> {
        let scope = Scope::of(ctx)?;
        let list = List::of("claimLinks", scope.organization(), first, after.as_deref())?;
        let slice = attribution::claim_links(&scope.billing, scope.organization(), self.key, &list.page).await?;
        list.connection(slice, |link| link.id)
    }

    /// Who left an address with its forms, the latest first.
    async fn leads(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<Connection<Lead>> {
        let scope = Scope::of(ctx)?;
        let filter = LeadFilter { partner: Some(self.key), status: None };
        let list = List::of("leads", scope.organization(), first, after.as_deref())?;
        let slice = attribution::leads(&scope.billing, scope.organization(), &list.page, &filter).await?;
        list.connection(slice, |lead| lead.id)
    }
}

#[derive(Default)]
pub struct PartnerQuery;

#[Object]
impl PartnerQuery {
    /// One partner by its id or its external id; null when there is none.
    async fn partner(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id.")] id: Option<ID>,
        #[graphql(desc = "What other systems call it.")] external_id: Option<String>,
    ) -> Result<Option<Partner>> {
        let scope = Scope::of(ctx)?;
        let found = match one_of(id, external_id)? {
            Name::Id(id) => scope.find::<PartnerId>(&id).await?,
            Name::External(name) => partners::by_external_id(&scope.billing, scope.organization(), &name).await?,
        };
        Ok(found.map(Partner::from))
    }

    /// All partners, in the order of their external ids.
    async fn partners(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<Connection<Partner>> {
        let scope = Scope::of(ctx)?;
        let list = List::of("partners", scope.organization(), first, after.as_deref())?;
        let slice = partners::list(&scope.billing, scope.organization(), &list.page).await?;
        list.connection(slice, |partner| partner.external_id.clone())
    }
}

/// Everything about a partner that its maker may say.
#[derive(Debug, Clone, InputObject)]
pub struct PartnerProfileInput {
    /// What other systems call it: 1 to 100 characters.
    pub external_id: String,
    /// The legal name, as it will stand on documents.
    pub legal_name: String,
    /// Where invoices are sent.
    pub email: String,
    /// Street and house number.
    pub street: String,
    /// Postal code.
    pub postal_code: String,
    /// City.
    pub city: String,
    /// The country it is taxed in, two capital letters (Greece is `GR`).
    pub country: String,
    /// Its VAT number, beginning with the country; blanks, dots and dashes do not matter.
    pub vat_number: Option<String>,
    /// The currency of its documents.
    pub currency: Currency,
    /// Days until an invoice is due, 0 to 365; without them the organization's terms hold.
    pub payment_terms_days: Option<i32>,
    /// What these days are counted from; `ISSUE_DATE` unless said.
    pub payment_terms_from: Option<TermsFrom>,
    /// The id of the partner that recruited it.
    pub parent: Option<ID>,
}

impl PartnerProfileInput {
    fn profile(self) -> Result<partners::PartnerProfile, Refusal> {
        Ok(partners::PartnerProfile {
            external_id: self.external_id,
            legal_name: self.legal_name,
            email: self.email,
            street: self.street,
            postal_code: self.postal_code,
            city: self.city,
            country: self.country,
            vat_number: self.vat_number,
            currency: self.currency.into(),
            payment_terms: payment_terms(self.payment_terms_days, self.payment_terms_from)?,
            parent: self.parent.map(|parent| id("parent", "partner", &parent)).transpose()?,
        })
    }
}

/// Terms as they were given.
///
/// # Errors
/// [`Refusal::Invalid`] when only one half of them was.
pub fn payment_terms(
    days: Option<i32>,
    from: Option<TermsFrom>,
) -> Result<Option<(i32, organizations::TermsFrom)>, Refusal> {
    match (days, from) {
        (Some(days), from) => Ok(Some((days, from.unwrap_or(TermsFrom::IssueDate).into()))),
        (None, None) => Ok(None),
        (None, Some(_)) => Err(Refusal::invalid("paymentTermsDays", "is missing")),
    }
}

/// A new partner.
#[derive(Debug, Clone, InputObject)]
pub struct CreatePartnerInput {
    #[graphql(flatten)]
    profile: PartnerProfileInput,
}

/// A partner's whole profile: what is left out is removed.
#[derive(Debug, Clone, InputObject)]
pub struct UpdatePartnerInput {
    /// The id of the partner.
    partner: ID,
    #[graphql(flatten)]
    profile: PartnerProfileInput,
}

/// What a check of a partner's VAT number said.
#[derive(Debug, Clone, InputObject)]
pub struct RecordVatNumberCheckInput {
    /// The id of the partner.
    partner: ID,
    /// The outcome; `UNCHECKED` takes back what was recorded.
    status: VatStatus,
    /// When it was checked; now unless said.
    checked_at: Option<DateTime>,
    /// What the register answered, word for word.
    answer: Option<String>,
}

/// A partner's new status.
#[derive(Debug, Clone, InputObject)]
pub struct SetPartnerStatusInput {
    /// The id of the partner.
    partner: ID,
    /// The new status.
    status: PartnerStatus,
    /// The first day of a termination; nothing else has one.
    from: Option<Date>,
}

payloads! {
    /// What making a partner came to.
    CreatePartnerPayload {
        /// The new partner.
        partner: Partner as partners::Partner
    }
    /// What replacing a partner's profile came to.
    UpdatePartnerPayload {
        /// The partner as it is now.
        partner: Partner as partners::Partner
    }
    /// What recording a check came to.
    RecordVatNumberCheckPayload {
        /// The partner as it is now.
        partner: Partner as partners::Partner
    }
    /// What setting a partner's status came to.
    SetPartnerStatusPayload {
        /// The partner as it is now.
        partner: Partner as partners::Partner
    }
}

#[derive(Default)]
pub struct PartnerMutation;

#[Object]
impl PartnerMutation {
    /// Makes a partner, active and with an unchecked VAT number.
    async fn create_partner(&self, ctx: &Context<'_>, input: CreatePartnerInput) -> Result<CreatePartnerPayload> {
        let scope = Scope::of(ctx)?;
        let work = async { partners::create(&scope.billing, &scope.caller, &input.profile.profile()?).await };
        scope.command(work).await
    }

    /// Replaces a partner's profile. A new VAT number is unchecked again; documents that stand keep what they say.
    async fn update_partner(&self, ctx: &Context<'_>, input: UpdatePartnerInput) -> Result<UpdatePartnerPayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let partner = id("partner", "partner", &input.partner)?;
            partners::update(&scope.billing, &scope.caller, partner, &input.profile.profile()?).await
        };
        scope.command(work).await
    }

    /// Records what a check of the VAT number said.
    async fn record_vat_number_check(
        &self,
        ctx: &Context<'_>,
        input: RecordVatNumberCheckInput,
    ) -> Result<RecordVatNumberCheckPayload> {
        let scope = Scope::of(ctx)?;
        let check = partners::VatCheck {
            status: input.status.into(),
            checked_at: input.checked_at.map(Into::into),
            answer: input.answer,
        };
        let work = async {
            let partner = id("partner", "partner", &input.partner)?;
            partners::record_vat_check(&scope.billing, &scope.caller, partner, &check).await
        };
        let mut payload: RecordVatNumberCheckPayload = scope.command(work).await?;
        // The partner has no number.
        errors::place(&mut payload.user_errors, "vatNumber", &["partner"]);
        Ok(payload)
    }

    /// Suspends, reactivates or, from a day on, terminates a partner.
    async fn set_partner_status(
        &self,
        ctx: &Context<'_>,
        input: SetPartnerStatusInput,
    ) -> Result<SetPartnerStatusPayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let partner = id("partner", "partner", &input.partner)?;
            let from = input.from.map(Into::into);
            partners::set_status(&scope.billing, &scope.caller, partner, input.status.into(), from).await
        };
        scope.command(work).await
    }
}
