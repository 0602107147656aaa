//! Applications from the seller's own site. The answer does not depend on the code, nor on whether the address waits
//! for an answer already.

use billing_db::Conn;
use billing_primitives::OrganizationId;

use super::codes;
use crate::Billing;
use crate::caller::Caller;
use crate::error::{Error, Refusal};
use crate::programs::applications::{self, NewApplication};
use crate::{organizations, programs};

/// What an applicant says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applicant {
    /// External id of the programme; none: the default one.
    pub program: Option<String>,
    pub legal_name: String,
    pub contact_name: String,
    pub email: String,
    pub country: String,
    pub website: Option<String>,
    pub message: String,
    /// The code of the partner that recruits it; one that brings nothing is passed over.
    pub code: Option<String>,
}

/// Takes an application.
///
/// # Errors
/// [`Refusal::Invalid`] with the field, [`Refusal::NotFound`] (programme).
pub async fn submit(billing: &Billing, organization: OrganizationId, input: &Applicant) -> Result<(), Error> {
    let caller = Caller::visitor(organization);
    let new = billing.db.read(organization, async |conn| application(conn, billing, organization, input).await).await?;
    match applications::submit(billing, &caller, &new).await {
        Ok(_) | Err(Error::Refused(Refusal::ApplicationPending { .. })) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn application(
    conn: &mut Conn,
    billing: &Billing,
    organization: OrganizationId,
    input: &Applicant,
) -> Result<NewApplication, Error> {
    let program = match &input.program {
        Some(name) => programs::store::by_external_id(conn, organization, name).await?,
        None => programs::default_program(conn, organization).await?,
    };
    let name = input.program.as_deref().unwrap_or("by default");
    let program = program.ok_or_else(|| Refusal::not_found("program", "program", name))?;
    let referred_by = match &input.code {
        None => None,
        Some(code) => {
            let organization = organizations::current(conn, organization).await?;
            let day = organizations::today(conn, billing, &organization).await?;
            codes::resolve(conn, organization.id, code, day).await?.map(|standing| standing.partner_id)
        }
    };
    Ok(NewApplication {
        program: program.id,
        legal_name: input.legal_name.clone(),
        contact_name: input.contact_name.clone(),
        email: input.email.clone(),
        country: input.country.clone(),
        website: input.website.clone(),
        message: input.message.clone(),
        referred_by,
    })
}
