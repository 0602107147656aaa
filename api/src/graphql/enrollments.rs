//! Enrollments: partners in programmes, their dated terms and their tiers.

use async_graphql::{ComplexObject, Context, ID, InputObject, Object, Result, SimpleObject};
use billing::payouts::{PayoutFilter, StatementFilter};
use billing::programs::{self, enrollments, evaluations, terms};
use billing_primitives::{self as primitives, EnrollmentId, PartnerId, ProgramId, ProgramVersionId};

use super::commission_statements::{self, CommissionStatement};
use super::connection::{Connection, List};
use super::loaders::{BalancesOf, EnrollmentTermsOf, TierProgressOf};
use super::partners::Partner;
use super::payouts::{self, CommissionBalance, Payout};
use super::program_terms::{
    CommissionPhase, CommissionPlanRule, OverridesInput, ProgramTier, SettlementMode, overrides, phases,
    place_overrides,
};
use super::programs::{Program, ProgramVersion};
use super::scalars::{Count, Date, DateTime, Money, Month};
use super::scope::{Scope, id};
use crate::payloads;

/// A partner in a programme.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct Enrollment {
    /// The global id.
    pub id: ID,
    /// The first day on which it earns.
    pub enrolled_from: Date,
    /// The first day on which it earns nothing any more; null: it goes on.
    pub ended_from: Option<Date>,
    /// When it was made.
    pub created_at: DateTime,
    #[graphql(skip)]
    key: EnrollmentId,
    #[graphql(skip)]
    program: ProgramId,
    #[graphql(skip)]
    partner: PartnerId,
}

impl From<programs::Enrollment> for Enrollment {
    fn from(row: programs::Enrollment) -> Self {
        Enrollment {
            id: row.id.into(),
            enrolled_from: row.enrolled_from.into(),
            ended_from: row.ended_from.map(Into::into),
            created_at: row.created_at.into(),
            key: row.id,
            program: row.program_id,
            partner: row.partner_id,
        }
    }
}

#[ComplexObject]
impl Enrollment {
    /// The programme.
    async fn program(&self, ctx: &Context<'_>) -> Result<Program> {
        Ok(Scope::of(ctx)?.need(self.program).await?.into())
    }

    /// The partner.
    async fn partner(&self, ctx: &Context<'_>) -> Result<Partner> {
        Ok(Scope::of(ctx)?.need(self.partner).await?.into())
    }

    /// How it is settled and what it earns by agreement: the earliest day first, and of one day the row that holds last.
    async fn terms(&self, ctx: &Context<'_>) -> Result<Vec<EnrollmentTerms>> {
        let rows = Scope::of(ctx)?.list(EnrollmentTermsOf(self.key)).await?;
        Ok(rows.into_iter().map(EnrollmentTerms::from).collect())
    }

    /// Its tier of today and what the next one asks; null while its programme has no version in force.
    async fn tier_progress(&self, ctx: &Context<'_>) -> Result<Option<TierProgress>> {
        let progress = Scope::of(ctx)?.list(TierProgressOf(self.key)).await?;
        Ok(progress.into_iter().next().map(TierProgress::from))
    }

    /// Where its amounts stand.
    async fn balance(&self, ctx: &Context<'_>) -> Result<Option<CommissionBalance>> {
        let found = Scope::of(ctx)?.list(BalancesOf(self.key)).await?;
        Ok(found.into_iter().next().map(CommissionBalance::from))
    }

    /// Its payouts, the ones made last first.
    async fn payouts(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<Connection<Payout>> {
        let filter = PayoutFilter { enrollment: Some(self.key), ..PayoutFilter::default() };
        payouts::page(Scope::of(ctx)?, &filter, first, after.as_deref()).await
    }

    /// Its commission statements, the ones made last first.
    async fn commission_statements(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<Connection<CommissionStatement>> {
        let filter = StatementFilter { enrollment: Some(self.key), ..StatementFilter::default() };
        commission_statements::page(Scope::of(ctx)?, &filter, first, after.as_deref()).await
    }

    /// The tiers of its months, the newest first.
    async fn evaluations(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<Connection<EnrollmentEvaluation>> {
        let scope = Scope::of(ctx)?;
        let list = List::of("enrollmentEvaluations", scope.organization(), first, after.as_deref())?;
        let slice = evaluations::list(&scope.billing, scope.organization(), self.key, &list.page).await?;
        list.connection(slice, |evaluation| evaluation.month)
    }
}

/// How a partner is settled and what it earns otherwise than its programme says, from a day on.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct EnrollmentTerms {
    /// The first day; of one day the row written last holds.
    pub effective_from: Date,
    /// How it gets what it earns.
    pub settlement: SettlementMode,
    /// When they were written.
    pub created_at: DateTime,
    #[graphql(skip)]
    enrollment: EnrollmentId,
    #[graphql(skip)]
    said: terms::Overrides,
}

impl From<programs::EnrollmentTerms> for EnrollmentTerms {
    fn from(row: programs::EnrollmentTerms) -> Self {
        EnrollmentTerms {
            effective_from: row.effective_from.into(),
            settlement: row.settlement.into(),
            created_at: row.created_at.into(),
            enrollment: row.enrollment_id,
            said: row.overrides,
        }
    }
}

impl EnrollmentTerms {
    async fn currency(&self, scope: &Scope) -> Result<primitives::Currency> {
        let enrollment = scope.need(self.enrollment).await?;
        Ok(scope.need(enrollment.program_id).await?.currency)
    }
}

#[ComplexObject]
impl EnrollmentTerms {
    /// Whose terms they are.
    async fn enrollment(&self, ctx: &Context<'_>) -> Result<Enrollment> {
        Ok(Scope::of(ctx)?.need(self.enrollment).await?.into())
    }

    /// What it earns instead of tier and phase; null: as the programme says.
    async fn phases(&self, ctx: &Context<'_>) -> Result<Option<Vec<CommissionPhase>>> {
        let Some(rule) = self.said.phases.clone() else { return Ok(None) };
        let currency = self.currency(Scope::of(ctx)?).await?;
        Ok(Some(phases(rule, currency)))
    }

    /// What plans earn, before everything else.
    async fn plan_rules(&self, ctx: &Context<'_>) -> Result<Vec<CommissionPlanRule>> {
        let currency = self.currency(Scope::of(ctx)?).await?;
        let rules = self.said.plan_rules.iter().cloned();
        Ok(rules.map(|rule| CommissionPlanRule::new(rule, currency)).collect())
    }
}

/// Where an enrollment stands. Its tier was evaluated on the first of the month; the figures are those of now.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct TierProgress {
    /// Its tier of this month.
    pub tier: ProgramTier,
    /// Attributed customers with a base still above zero.
    pub converted_customers: Count,
    /// Net bases of the twelve months on which the next evaluation will look back, as far as they are known.
    pub net_revenue: Money,
    /// The tier above; null: it is in the highest one.
    pub next: Option<NextTier>,
    #[graphql(skip)]
    version: ProgramVersionId,
}

impl From<programs::TierProgress> for TierProgress {
    fn from(row: programs::TierProgress) -> Self {
        let currency = row.currency;
        let money = |minor| primitives::Money::new(minor, currency).into();
        TierProgress {
            tier: ProgramTier::new(row.tier, currency),
            converted_customers: Count(row.converted_customers),
            net_revenue: money(row.net_revenue_minor),
            next: row.next.map(|next| NextTier {
                tier: ProgramTier::new(next.tier, currency),
                missing_customers: Count(next.missing_customers),
                missing_revenue: money(next.missing_revenue_minor),
            }),
            version: row.version,
        }
    }
}

#[ComplexObject]
impl TierProgress {
    /// The version that says what the tiers ask.
    async fn program_version(&self, ctx: &Context<'_>) -> Result<ProgramVersion> {
        Ok(Scope::of(ctx)?.need(self.version).await?.into())
    }
}

/// The tier above, and what is missing until it.
#[derive(Debug, Clone, SimpleObject)]
pub struct NextTier {
    /// The tier.
    pub tier: ProgramTier,
    /// Converted customers still missing.
    pub missing_customers: Count,
    /// Net revenue still missing.
    pub missing_revenue: Money,
}

/// The tier of an enrollment's month, from what was known on the month's first day. It is never reopened.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct EnrollmentEvaluation {
    /// The month.
    pub month: Month,
    /// The code of the tier.
    pub tier: String,
    /// Attributed customers with a base still above zero.
    pub converted_customers: Count,
    /// Net bases of the twelve months before.
    pub net_revenue: Money,
    /// When it was written.
    pub created_at: DateTime,
    #[graphql(skip)]
    version: ProgramVersionId,
}

impl From<programs::EnrollmentEvaluation> for EnrollmentEvaluation {
    fn from(row: programs::EnrollmentEvaluation) -> Self {
        EnrollmentEvaluation {
            month: row.month.into(),
            tier: row.tier_code,
            converted_customers: Count(row.converted_customers),
            net_revenue: primitives::Money::new(row.net_revenue_minor, row.currency).into(),
            created_at: row.created_at.into(),
            version: row.program_version_id,
        }
    }
}

#[ComplexObject]
impl EnrollmentEvaluation {
    /// The version it was evaluated by.
    async fn program_version(&self, ctx: &Context<'_>) -> Result<ProgramVersion> {
        Ok(Scope::of(ctx)?.need(self.version).await?.into())
    }
}

#[derive(Default)]
pub struct EnrollmentQuery;

#[Object]
impl EnrollmentQuery {
    /// Enrollments in the order in which they were made: all, those of a programme, or those of a partner.
    async fn enrollments(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of a programme.")] program: Option<ID>,
        #[graphql(desc = "The id of a partner.")] partner: Option<ID>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<Connection<Enrollment>> {
        let scope = Scope::of(ctx)?;
        let filter = enrollments::EnrollmentFilter {
            program: program.map(|program| id("program", "program", &program)).transpose()?,
            partner: partner.map(|partner| id("partner", "partner", &partner)).transpose()?,
        };
        let list = List::of("enrollments", scope.organization(), first, after.as_deref())?;
        let slice = enrollments::list(&scope.billing, scope.organization(), &list.page, &filter).await?;
        list.connection(slice, |enrollment| enrollment.id)
    }
}

/// A partner to enrol.
#[derive(Debug, Clone, InputObject)]
pub struct EnrollPartnerInput {
    /// The id of the programme.
    program: ID,
    /// The id of the partner.
    partner: ID,
    /// The first day on which it earns; today unless said, and it may be dated back.
    enrolled_from: Option<Date>,
    /// How it gets what it earns.
    #[graphql(default_with = "SettlementMode::Payout")]
    settlement: SettlementMode,
    /// What it earns otherwise than the programme says.
    overrides: Option<OverridesInput>,
}

/// Other terms of an enrollment from a day on: all of them, what is left out holds no more.
#[derive(Debug, Clone, InputObject)]
pub struct ChangeEnrollmentTermsInput {
    /// The id of the enrollment.
    enrollment: ID,
    /// The first day; after the enrollment's last commission.
    effective_from: Date,
    /// How it gets what it earns.
    settlement: SettlementMode,
    /// What it earns otherwise than the programme says.
    overrides: Option<OverridesInput>,
}

/// The end of an enrollment.
#[derive(Debug, Clone, InputObject)]
pub struct EndEnrollmentInput {
    /// The id of the enrollment.
    enrollment: ID,
    /// The first day on which it earns nothing any more; after the enrollment's last commission.
    from: Date,
}

payloads! {
    /// What enrolling a partner came to.
    EnrollPartnerPayload {
        /// The new enrollment.
        enrollment: Enrollment as programs::Enrollment
    }
    /// What changing an enrollment's terms came to.
    ChangeEnrollmentTermsPayload {
        /// The terms that hold from that day on.
        enrollment_terms: EnrollmentTerms as programs::EnrollmentTerms
    }
    /// What ending an enrollment came to.
    EndEnrollmentPayload {
        /// The enrollment as it is now.
        enrollment: Enrollment as programs::Enrollment
    }
}

#[derive(Default)]
pub struct EnrollmentMutation;

#[Object]
impl EnrollmentMutation {
    /// Enrols a partner in a programme.
    async fn enroll_partner(&self, ctx: &Context<'_>, input: EnrollPartnerInput) -> Result<EnrollPartnerPayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let enrollment = enrollments::NewEnrollment {
                program: id("program", "program", &input.program)?,
                partner: id("partner", "partner", &input.partner)?,
                enrolled_from: input.enrolled_from.map(Into::into),
                settlement: input.settlement.into(),
                overrides: overrides(input.overrides)?,
            };
            enrollments::enroll(&scope.billing, &scope.caller, &enrollment).await
        };
        let mut payload: EnrollPartnerPayload = scope.command(work).await?;
        place_overrides(&mut payload.user_errors);
        Ok(payload)
    }

    /// Settles an enrollment otherwise, or changes what it earns by agreement, from a day on.
    async fn change_enrollment_terms(
        &self,
        ctx: &Context<'_>,
        input: ChangeEnrollmentTermsInput,
    ) -> Result<ChangeEnrollmentTermsPayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let terms = enrollments::NewTerms {
                enrollment: id("enrollment", "enrollment", &input.enrollment)?,
                effective_from: input.effective_from.into(),
                settlement: input.settlement.into(),
                overrides: overrides(input.overrides)?,
            };
            enrollments::change_terms(&scope.billing, &scope.caller, &terms).await
        };
        let mut payload: ChangeEnrollmentTermsPayload = scope.command(work).await?;
        place_overrides(&mut payload.user_errors);
        Ok(payload)
    }

    /// Ends an enrollment. What it has earned stays, and is paid.
    async fn end_enrollment(&self, ctx: &Context<'_>, input: EndEnrollmentInput) -> Result<EndEnrollmentPayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let enrollment = id("enrollment", "enrollment", &input.enrollment)?;
            enrollments::end(&scope.billing, &scope.caller, enrollment, input.from.into()).await
        };
        scope.command(work).await
    }
}
