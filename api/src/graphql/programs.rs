//! Programmes: affiliate schemes, what their versions say, and what differs between two of them.

use std::cmp::Reverse;

use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use billing::commissions::again;
use billing::programs::{self, rules, terms, versions};
use billing_primitives::{self as primitives, PartnerId, ProgramId, ProgramVersionId};
use serde_json::Value;

use super::connection::{Connection, List};
use super::loaders::ProgramVersionsOf;
use super::program_terms::{ProgramTerms, ProgramTermsInput, place_terms};
use super::scalars::{Currency, Date, DateTime, Money};
use super::scope::{Name, Scope, id, one_of};
use crate::payloads;

/// Whether a version of a programme may still change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "versions::VersionStatus")]
pub enum ProgramVersionStatus {
    /// It may, and nothing is computed with it.
    Draft,
    /// It never changes.
    Published,
}

/// An affiliate scheme in one currency; what it pays stands in its versions.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct Program {
    /// The global id.
    pub id: ID,
    /// What other systems call it.
    pub external_id: String,
    /// Its name, as people read it.
    pub name: String,
    /// The currency of everything it pays.
    pub currency: Currency,
    /// Whether a partner's default code means its enrollment in this programme.
    pub is_default: bool,
    /// When it was made.
    pub created_at: DateTime,
    #[graphql(skip)]
    key: ProgramId,
}

impl From<programs::Program> for Program {
    fn from(row: programs::Program) -> Self {
        Program {
            id: row.id.into(),
            external_id: row.external_id,
            name: row.name,
            currency: row.currency.into(),
            is_default: row.is_default,
            created_at: row.created_at.into(),
            key: row.id,
        }
    }
}

#[ComplexObject]
impl Program {
    /// Its versions, the latest first; a draft comes before all others.
    async fn versions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<Connection<ProgramVersion>> {
        let scope = Scope::of(ctx)?;
        let list = List::of("programVersions", scope.organization(), first, after.as_deref())?;
        let mut versions = scope.list(ProgramVersionsOf(self.key)).await?;
        versions.sort_by_key(|version| Reverse(version.number));
        let slice = list.cut(versions, |version, after| version.number < *after);
        list.connection(slice, |version| version.number)
    }

    /// The version that is being written; null when there is none.
    async fn draft(&self, ctx: &Context<'_>) -> Result<Option<ProgramVersion>> {
        let versions = Scope::of(ctx)?.list(ProgramVersionsOf(self.key)).await?;
        let draft = versions.into_iter().find(|version| version.status == versions::VersionStatus::Draft);
        Ok(draft.map(ProgramVersion::from))
    }

    /// What the draft would have made of the stored history, partner by partner, had it held from the beginning; empty
    /// when there is no draft. It derives every customer of the programme and may take a while.
    async fn draft_preview(&self, ctx: &Context<'_>) -> Result<Vec<ProgramPreview>> {
        let scope = Scope::of(ctx)?;
        let versions = scope.list(ProgramVersionsOf(self.key)).await?;
        let draft = versions.into_iter().find(|version| version.status == versions::VersionStatus::Draft);
        let Some(draft) = draft else { return Ok(Vec::new()) };
        let found = again::what_if(&scope.billing, scope.organization(), self.key, &draft.terms).await?;
        let preview = |(partner, amounts): (PartnerId, again::WhatIf)| ProgramPreview {
            partner_id: partner.into(),
            before: primitives::Money::new(amounts.before, self.currency.0).into(),
            after: primitives::Money::new(amounts.after, self.currency.0).into(),
        };
        Ok(found.into_iter().map(preview).collect())
    }

    /// The version that holds on a day for customers who are attributed then; null when none has begun.
    async fn version(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The day.")] on: Date,
    ) -> Result<Option<ProgramVersion>> {
        let mut published = Scope::of(ctx)?.list(ProgramVersionsOf(self.key)).await?;
        published.retain(|version| version.status == versions::VersionStatus::Published);
        Ok(rules::version_on(&published, on.0).cloned().map(ProgramVersion::from))
    }
}

/// What a draft would change for a partner.
#[derive(Debug, Clone, SimpleObject)]
pub struct ProgramPreview {
    /// The partner.
    pub partner_id: ID,
    /// What it earned by the versions in force, less what was taken back.
    pub before: Money,
    /// What it would have earned by the draft.
    pub after: Money,
}

/// The terms of a programme from a day on. It never changes once it is published.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct ProgramVersion {
    /// The global id.
    pub id: ID,
    /// From 1, in the order of publishing.
    pub number: i32,
    /// Whether it may still change.
    pub status: ProgramVersionStatus,
    /// The first day on which it holds; null: a draft.
    pub effective_from: Option<Date>,
    /// Whether customers who were attributed before that day keep the version they had.
    pub new_customers_only: bool,
    /// When its draft was made.
    pub created_at: DateTime,
    /// When it was published.
    pub published_at: Option<DateTime>,
    #[graphql(skip)]
    program: ProgramId,
    #[graphql(skip)]
    said: terms::Terms,
}

impl From<programs::ProgramVersion> for ProgramVersion {
    fn from(row: programs::ProgramVersion) -> Self {
        ProgramVersion {
            id: row.id.into(),
            number: row.number,
            status: row.status.into(),
            effective_from: row.effective_from.map(Into::into),
            new_customers_only: row.new_customers_only,
            created_at: row.created_at.into(),
            published_at: row.published_at.map(Into::into),
            program: row.program_id,
            said: row.terms,
        }
    }
}

#[ComplexObject]
impl ProgramVersion {
    /// The programme it is of.
    async fn program(&self, ctx: &Context<'_>) -> Result<Program> {
        Ok(Scope::of(ctx)?.need(self.program).await?.into())
    }

    /// What it says.
    async fn terms(&self, ctx: &Context<'_>) -> Result<ProgramTerms> {
        let program = Scope::of(ctx)?.need(self.program).await?;
        Ok(ProgramTerms::new(self.said.clone(), program.currency))
    }
}

/// One place where the terms of two versions differ.
#[derive(Debug, Clone, SimpleObject)]
pub struct ProgramTermsChange {
    /// Where, such as `tiers[GOLD].phases[13].reward`: tiers by code, phases by month, plans by id, sources by name.
    pub path: String,
    /// What the version before says, amounts in minor units; null: nothing.
    pub before: Option<Value>,
    /// What the version after says; null: nothing.
    pub after: Option<Value>,
}

impl From<rules::Change> for ProgramTermsChange {
    fn from(change: rules::Change) -> Self {
        ProgramTermsChange { path: change.path, before: change.before, after: change.after }
    }
}

#[derive(Default)]
pub struct ProgramQuery;

#[Object]
impl ProgramQuery {
    /// One programme by its id or its external id; null when there is none.
    async fn program(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id.")] id: Option<ID>,
        #[graphql(desc = "What other systems call it.")] external_id: Option<String>,
    ) -> Result<Option<Program>> {
        let scope = Scope::of(ctx)?;
        let found = match one_of(id, external_id)? {
            Name::Id(id) => scope.find::<ProgramId>(&id).await?,
            Name::External(name) => programs::by_external_id(&scope.billing, scope.organization(), &name).await?,
        };
        Ok(found.map(Program::from))
    }

    /// All programmes, in the order of their external ids.
    async fn programs(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<Connection<Program>> {
        let scope = Scope::of(ctx)?;
        let list = List::of("programs", scope.organization(), first, after.as_deref())?;
        let slice = programs::list(&scope.billing, scope.organization(), &list.page).await?;
        list.connection(slice, |program| program.external_id.clone())
    }

    /// What differs between the terms of two versions, in the order of paths; null when one of them does not exist.
    async fn program_terms_difference(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the version before.")] before: ID,
        #[graphql(desc = "The id of the version after.")] after: ID,
    ) -> Result<Option<Vec<ProgramTermsChange>>> {
        let scope = Scope::of(ctx)?;
        let before = scope.find::<ProgramVersionId>(&before).await?;
        let after = scope.find::<ProgramVersionId>(&after).await?;
        let (Some(before), Some(after)) = (before, after) else { return Ok(None) };
        let changes = rules::difference(&before.terms, &after.terms);
        Ok(Some(changes.into_iter().map(ProgramTermsChange::from).collect()))
    }
}

/// A new programme.
#[derive(Debug, Clone, InputObject)]
pub struct CreateProgramInput {
    /// What other systems call it: 1 to 100 characters.
    external_id: String,
    /// Its name, as people read it.
    name: String,
    /// The currency of everything it pays.
    currency: Currency,
    /// Whether partners' default codes mean it; takes that from the one that had it.
    #[graphql(default = false)]
    is_default: bool,
    /// What the draft of its first version says; without them it has none yet.
    terms: Option<ProgramTermsInput>,
}

/// What changes of a programme; what is left out stays.
#[derive(Debug, Clone, InputObject)]
pub struct UpdateProgramInput {
    /// The id of the programme.
    program: ID,
    /// Its name, as people read it.
    name: Option<String>,
    /// Whether partners' default codes mean it; takes that from the one that had it.
    is_default: Option<bool>,
}

/// The whole draft of a programme's next version.
#[derive(Debug, Clone, InputObject)]
pub struct SaveProgramDraftInput {
    /// The id of the programme.
    program: ID,
    /// What it says; all of an earlier draft is replaced.
    terms: ProgramTermsInput,
    /// Whether customers who were attributed before it begins keep the version they had.
    #[graphql(default = false)]
    new_customers_only: bool,
}

/// A draft to throw away.
#[derive(Debug, Clone, InputObject)]
pub struct DiscardProgramDraftInput {
    /// The id of the programme.
    program: ID,
}

/// A draft to publish.
#[derive(Debug, Clone, InputObject)]
pub struct PublishProgramVersionInput {
    /// The id of the programme.
    program: ID,
    /// The first day on which it holds: behind every published version, and not in the past but for the first one.
    effective_from: Date,
}

payloads! {
    /// What making a programme came to.
    CreateProgramPayload {
        /// The new programme.
        program: Program as programs::Program
    }
    /// What changing a programme came to.
    UpdateProgramPayload {
        /// The programme as it is now.
        program: Program as programs::Program
    }
    /// What saving a draft came to.
    SaveProgramDraftPayload {
        /// The draft as it is now.
        program_version: ProgramVersion as programs::ProgramVersion
    }
    /// What throwing a draft away came to.
    DiscardProgramDraftPayload {
        /// The programme, without a draft.
        program: Program as programs::Program
    }
    /// What publishing a version came to.
    PublishProgramVersionPayload {
        /// The published version.
        program_version: ProgramVersion as programs::ProgramVersion
    }
}

#[derive(Default)]
pub struct ProgramMutation;

#[Object]
impl ProgramMutation {
    /// Makes a programme, with a draft of its first version when terms are given.
    async fn create_program(&self, ctx: &Context<'_>, input: CreateProgramInput) -> Result<CreateProgramPayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let program = programs::NewProgram {
                external_id: input.external_id,
                name: input.name,
                currency: input.currency.into(),
                is_default: input.is_default,
                terms: input.terms.map(ProgramTermsInput::terms).transpose()?,
            };
            programs::create(&scope.billing, &scope.caller, &program).await
        };
        let mut payload: CreateProgramPayload = scope.command(work).await?;
        place_terms(&mut payload.user_errors);
        Ok(payload)
    }

    /// Renames a programme, makes it the default or takes that from it.
    async fn update_program(&self, ctx: &Context<'_>, input: UpdateProgramInput) -> Result<UpdateProgramPayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let program = id("program", "program", &input.program)?;
            let change = programs::ProgramChange { name: input.name, is_default: input.is_default };
            programs::update(&scope.billing, &scope.caller, program, &change).await
        };
        scope.command(work).await
    }

    /// Makes the draft of a programme's next version, or replaces all of it. Nothing is computed with a draft.
    async fn save_program_draft(
        &self,
        ctx: &Context<'_>,
        input: SaveProgramDraftInput,
    ) -> Result<SaveProgramDraftPayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let program = id("program", "program", &input.program)?;
            let terms = input.terms.terms()?;
            versions::save_draft(&scope.billing, &scope.caller, program, &terms, input.new_customers_only).await
        };
        let mut payload: SaveProgramDraftPayload = scope.command(work).await?;
        place_terms(&mut payload.user_errors);
        Ok(payload)
    }

    /// Throws a programme's draft away.
    async fn discard_program_draft(
        &self,
        ctx: &Context<'_>,
        input: DiscardProgramDraftInput,
    ) -> Result<DiscardProgramDraftPayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let program = id("program", "program", &input.program)?;
            versions::discard_draft(&scope.billing, &scope.caller, program).await
        };
        scope.command(work).await
    }

    /// Publishes a programme's draft from a day on. From then on nothing of it changes.
    async fn publish_program_version(
        &self,
        ctx: &Context<'_>,
        input: PublishProgramVersionInput,
    ) -> Result<PublishProgramVersionPayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let program = id("program", "program", &input.program)?;
            versions::publish(&scope.billing, &scope.caller, program, input.effective_from.into()).await
        };
        scope.command(work).await
    }
}
