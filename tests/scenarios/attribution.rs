//! Attribution: who brought a customer, told by visits, codes, forms and links; the first touch locks.

use billing::attribution::claims::{self, NewClaim};
use billing::attribution::codes::{self, NewCode};
use billing::attribution::leads::{self, NewLead};
use billing::attribution::touches::{self, Clues, NewTouch};
use billing::attribution::{self, Attribution, ByHand, ClaimKind, CodeStatus, LeadFilter, LeadStatus, Registration};
use billing::catalog::Pricing;
use billing::customers::{self, Customer};
use billing::partners::{self, Partner, PartnerStatus};
use billing::programs::enrollments::Enrollment;
use billing::programs::terms::{SelfReferral, Terms, TouchSource};
use billing::programs::{self, ProgramChange};
use billing::{Error, Page, Refusal, subscriptions};
use billing_primitives::{CustomerId, ProgramId};
use serde_json::json;
use tests::{App, date, dkk, plain_terms, story};

/// Two partners, A and B, in the organization's default programme.
struct Scheme {
    app: App,
    program: ProgramId,
    partners: [Partner; 2],
    enrollments: [Enrollment; 2],
}

impl Scheme {
    async fn of(app: &App, terms: Terms) -> Scheme {
        app.on("2026-05-01");
        let program = app.program("AFF", terms).await;
        let change = ProgramChange { name: None, is_default: Some(true) };
        programs::update(&app.billing, &app.caller(), program.id, &change).await.unwrap();
        let partner = async |name: &str| {
            let email = format!("post@{}.example", name.to_lowercase());
            app.partner_as(partners::PartnerProfile { email, ..App::profile(name) }).await
        };
        let partners = [partner("PARTNER-A").await, partner("PARTNER-B").await];
        let enrollments = [app.enroll(&program, partners[0].id).await, app.enroll(&program, partners[1].id).await];
        Scheme { app: app.clone(), program: program.id, partners, enrollments }
    }

    /// A visit by code, and the token that the visitor carries afterwards.
    async fn visit(&self, code: &str, source: TouchSource, visitor: Option<&str>) -> String {
        let clues = Clues { url: Some("https://saelger.example/?ref=x".to_owned()), ..Clues::default() };
        let noted = touches::note(&self.app.billing, self.app.organization, code, source, visitor, &clues).await;
        noted.unwrap().reveal().to_owned()
    }

    async fn register(&self, input: Registration) -> Customer {
        attribution::register(&self.app.billing, &self.app.caller(), &input).await.unwrap().into_inner()
    }

    async fn rows(&self, customer: CustomerId) -> Vec<Attribution> {
        attribution::attributions_of(&self.app.billing, self.app.organization, &[customer]).await.unwrap()
    }

    /// Which of the two partners the customer is credited to on a day, from when and how.
    async fn credited(&self, customer: CustomerId, on: &str) -> Option<(&str, String, TouchSource)> {
        let rows = self.rows(customer).await;
        let row = attribution::rules::on(&rows, date(on))?;
        let place = self.enrollments.iter().position(|known| Some(known.id) == row.enrollment_id)?;
        Some((["A", "B"][place], row.effective_from.to_string(), row.source))
    }

    async fn touches(&self, customer: CustomerId) -> usize {
        attribution::touches_of(&self.app.billing, self.app.organization, &[customer]).await.unwrap().len()
    }

    async fn claim(&self, input: NewClaim) -> String {
        let made = claims::create(&self.app.billing, &self.app.caller(), &input).await.unwrap().into_inner();
        made.token.unwrap().reveal().to_owned()
    }

    async fn redeem(&self, token: &str, email: &str) -> Result<Customer, Error> {
        claims::redeem(&self.app.billing, &self.app.caller(), token, email).await.map(billing::Applied::into_inner)
    }
}

fn somebody(external_id: &str, visitors: &[&str]) -> Registration {
    Registration {
        external_id: external_id.to_owned(),
        name: format!("Kunde {external_id}"),
        email: Some(format!("{}@kunde.example", external_id.to_lowercase())),
        country: None,
        stripe_customer_id: None,
        visitors: visitors.iter().map(|token| (*token).to_owned()).collect(),
        code: None,
        registered_at: None,
        clues: Clues::default(),
    }
}

fn claim_of(partner: &Partner, kind: ClaimKind, external_id: &str) -> NewClaim {
    NewClaim {
        partner: partner.id,
        kind,
        enrollment: None,
        customer_external_id: external_id.to_owned(),
        customer_name: format!("Kunde {external_id}"),
        email: None,
        plan: None,
        seats: None,
        expires_in_days: None,
    }
}

#[test]
fn the_first_touch_survives_later_clicks() {
    use TouchSource::Link;
    story(async |app| {
        let scheme = Scheme::of(&app, plain_terms()).await;
        let visitor = scheme.visit("partner-a", Link, None).await;
        app.on("2026-05-10");
        assert_eq!(scheme.visit("PARTNER-B", Link, Some(&visitor)).await, visitor, "the token is carried on");
        app.on("2026-05-12");
        let customer = scheme.register(somebody("C-1", &[&visitor])).await;
        let credited = Some(("A", "2026-05-12".to_owned(), Link));
        assert_eq!(scheme.credited(customer.id, "2026-05-12").await, credited);
        assert_eq!(scheme.credited(customer.id, "2026-05-11").await, None);
        // Later clicks, and a better source, are kept and change nothing; nor does registering again.
        app.on("2026-05-13");
        scheme.visit("PARTNER-B", TouchSource::Code, Some(&visitor)).await;
        let again =
            scheme.register(Registration { code: Some("partner-b".into()), ..somebody("C-1", &[&visitor]) }).await;
        assert_eq!(again.id, customer.id);
        assert_eq!(scheme.credited(customer.id, "2026-06-01").await, credited);
        assert_eq!((scheme.touches(customer.id).await, scheme.rows(customer.id).await.len()), (3, 1));
        let conflicts = attribution::conflicts(&app.billing, app.organization, &Page::new(None, 10)).await.unwrap();
        let told: Vec<_> = conflicts.items.iter().map(|row| (row.customer_id, row.enrollments.len())).collect();
        assert_eq!(told, [(customer.id, 2)]);
        // The same person registers another customer: it is credited as well, and the first one keeps its touches.
        let other = scheme.register(somebody("C-2", &[&visitor])).await;
        assert_eq!(
            scheme.credited(other.id, "2026-05-13").await.map(|row| row.0),
            Some("B"),
            "the code typed comes first"
        );
        assert_eq!(scheme.touches(customer.id).await, 3);
    });
}

#[test]
fn windows_close_and_an_open_competition_ends_with_the_first_payment() {
    use TouchSource::Link;
    story(async |app| {
        let scheme = Scheme::of(&app, plain_terms()).await;
        let visitor = scheme.visit("partner-a", Link, None).await;
        app.on("2026-06-01");
        let customer = scheme.register(somebody("C-1", &[&visitor])).await;
        assert_eq!(scheme.credited(customer.id, "2026-06-01").await, None, "31 days are more than 30");
        // Nobody won, nothing is paid: a later touch still does, from its own day on.
        app.on("2026-06-03");
        scheme.visit("partner-b", Link, Some(&visitor)).await;
        assert_eq!(scheme.credited(customer.id, "2026-06-03").await, Some(("B", "2026-06-03".to_owned(), Link)));

        let stripe = Some("cus_late".to_owned());
        let paying = scheme.register(Registration { stripe_customer_id: stripe.clone(), ..somebody("C-2", &[]) }).await;
        assert_eq!(paying.stripe_customer_id, stripe);
        let other = Registration { stripe_customer_id: Some("cus_other".to_owned()), ..somebody("C-2", &[]) };
        let other = attribution::register(&app.billing, &app.caller(), &other).await.map(|_| ());
        assert!(matches!(other, Err(Error::Refused(Refusal::Invalid { field: "stripeCustomerId", .. }))), "{other:?}");
        paid(&app, "cus_late").await;
        let late = NewTouch {
            code: "partner-a".to_owned(),
            source: Link,
            visitor: None,
            customer: Some(paying.id),
            occurred_at: None,
            clues: Clues::default(),
        };
        touches::record(&app.billing, &app.caller(), &late).await.unwrap();
        assert_eq!((scheme.credited(paying.id, "2026-06-03").await, scheme.touches(paying.id).await), (None, 1));
        // What was paid before the registration was known makes no difference to it.
        paid(&app, "cus_known").await;
        let code = Some("PARTNER-A".to_owned());
        let stripe_customer_id = Some("cus_known".to_owned());
        let known = scheme.register(Registration { code, stripe_customer_id, ..somebody("C-3", &[]) }).await;
        assert_eq!(scheme.credited(known.id, "2026-06-03").await.map(|row| row.0), Some("A"));
        let taken = Registration { stripe_customer_id: Some("cus_known".to_owned()), ..somebody("C-4", &[]) };
        let taken = attribution::register(&app.billing, &app.caller(), &taken).await;
        assert!(matches!(taken, Err(Error::Refused(Refusal::StripeCustomerTaken { .. }))), "{taken:?}");
    });
}

/// Stripe told of a paid invoice.
async fn paid(app: &App, stripe_customer: &str) {
    let fact = json!({ "status": "paid", "total": 1000 });
    app.billing
        .db
        .scoped(app.organization, async |conn| {
            use diesel::sql_types::{Jsonb, Text, Uuid};
            use diesel_async::RunQueryDsl;
            diesel::sql_query(
                "INSERT INTO stripe_fact (organization_id, kind, stripe_id, as_of, rank, customer, fact)
                 VALUES ($1, 'INVOICE', 'in_' || $2, now(), 1, $2, $3)",
            )
            .bind::<Uuid, _>(app.organization)
            .bind::<Text, _>(stripe_customer)
            .bind::<Jsonb, _>(&fact)
            .execute(conn)
            .await
            .map_err(billing_db::DbError::from)
        })
        .await
        .unwrap();
}

#[test]
fn codes_that_bring_nothing_are_answered_like_others() {
    use TouchSource::Link;
    story(async |app| {
        let scheme = Scheme::of(&app, plain_terms()).await;
        let known =
            attribution::codes_of_partners(&app.billing, app.organization, &[scheme.partners[0].id]).await.unwrap();
        assert_eq!(
            known.iter().map(|code| (code.code.as_str(), code.is_default)).collect::<Vec<_>>(),
            [("PARTNER-A", true)]
        );
        // The same letters are one code, whoever asks for it.
        let new = |code: &str| NewCode {
            partner: scheme.partners[1].id,
            enrollment: Some(scheme.enrollments[1].id),
            code: code.to_owned(),
            stripe_promotion_code: None,
        };
        let taken = codes::create(&app.billing, &app.caller(), &new("partner-a")).await;
        assert!(matches!(taken, Err(Error::Refused(Refusal::CodeTaken { .. }))), "{taken:?}");
        let summer = codes::create(&app.billing, &app.caller(), &new("Sommer_26")).await.unwrap().into_inner();
        // A name like another's is told apart.
        let twin = app.partner("partner.a").await;
        let codes = attribution::codes_of_partners(&app.billing, app.organization, &[twin.id]).await.unwrap();
        assert!(codes[0].code.starts_with("PARTNER-A-"), "{}", codes[0].code);

        let credited = async |external_id: &str, code: &str| {
            let visitor = scheme.visit(code, Link, None).await;
            let customer = scheme.register(somebody(external_id, &[&visitor])).await;
            (scheme.credited(customer.id, "2026-05-01").await.map(|row| row.0), scheme.touches(customer.id).await)
        };
        assert_eq!(credited("C-1", "SOMMER_26").await, (Some("B"), 1));
        assert_eq!(credited("C-2", "nobodys").await, (None, 0));
        codes::set_status(&app.billing, &app.caller(), summer.id, CodeStatus::Disabled).await.unwrap();
        assert_eq!(credited("C-3", "sommer_26").await, (None, 0));
        let suspended = PartnerStatus::Suspended;
        partners::set_status(&app.billing, &app.caller(), scheme.partners[0].id, suspended, None).await.unwrap();
        assert_eq!(credited("C-4", "partner-a").await, (None, 0));
        partners::set_status(&app.billing, &app.caller(), scheme.partners[0].id, PartnerStatus::Active, None)
            .await
            .unwrap();
        let terminated = (PartnerStatus::Terminated, Some(date("2026-05-02")));
        partners::set_status(&app.billing, &app.caller(), scheme.partners[0].id, terminated.0, terminated.1)
            .await
            .unwrap();
        assert_eq!(credited("C-5", "partner-a").await, (Some("A"), 1), "until the day before");
        app.on("2026-05-02");
        assert_eq!(credited("C-6", "partner-a").await, (None, 0));
        // A default code means the default programme of the moment.
        let change = ProgramChange { name: None, is_default: Some(false) };
        programs::update(&app.billing, &app.caller(), scheme.program, &change).await.unwrap();
        assert_eq!(credited("C-7", "partner-b").await, (None, 0));
    });
}

#[test]
fn whoever_refers_itself_is_blocked_or_flagged() {
    story(async |app| {
        let scheme = Scheme::of(&app, plain_terms()).await;
        let own = Registration {
            email: Some("kim@partner-a.example".into()),
            code: Some("partner-a".into()),
            ..somebody("C-1", &[])
        };
        let blocked = scheme.register(own.clone()).await;
        assert_eq!(scheme.credited(blocked.id, "2026-05-01").await, None);
        let touch = attribution::touches_of(&app.billing, app.organization, &[blocked.id]).await.unwrap().remove(0);
        assert_eq!(touch.touch.evidence["selfReferral"], json!(true));
        // The other partner's later link wins over one that does not compete.
        let visitor = scheme.visit("partner-b", TouchSource::Link, None).await;
        let both = Registration { visitors: vec![visitor], external_id: "C-2".into(), ..own.clone() };
        let both = scheme.register(both).await;
        assert_eq!(scheme.credited(both.id, "2026-05-01").await.map(|row| row.0), Some("B"));
        assert!(flagged(&app).await.is_empty());

        let mut terms = plain_terms();
        terms.attribution.self_referral = SelfReferral::Flag;
        programs::versions::save_draft(&app.billing, &app.caller(), scheme.program, &terms, false).await.unwrap();
        programs::versions::publish(&app.billing, &app.caller(), scheme.program, date("2026-05-02")).await.unwrap();
        app.on("2026-05-02");
        let marked = scheme.register(Registration { external_id: "C-3".into(), ..own }).await;
        assert_eq!(scheme.credited(marked.id, "2026-05-02").await.map(|row| row.0), Some("A"));
        assert_eq!(flagged(&app).await, [(marked.id, vec!["SELF_REFERRAL".to_owned()])]);
    });
}

async fn flagged(app: &App) -> Vec<(CustomerId, Vec<String>)> {
    let page = Page::new(None, 10);
    let rows = attribution::flagged(&app.billing, app.organization, &page).await.unwrap();
    rows.items.into_iter().map(|row| (row.customer_id, row.flags)).collect()
}

#[test]
fn a_lead_becomes_the_partners_customer() {
    story(async |app| {
        let scheme = Scheme::of(&app, plain_terms()).await;
        let lead = |code: &str, email: &str| NewLead {
            code: code.to_owned(),
            name: "Kim Kunde".to_owned(),
            email: email.to_owned(),
            company: None,
            message: Some("Ring mig op".to_owned()),
            visitor: None,
            clues: Clues::default(),
        };
        for (code, email) in
            [("partner-a", "C-1@kunde.example"), ("partner-a", "c-1@Kunde.example"), ("nobodys", "x@y.example")]
        {
            leads::submit(&app.billing, app.organization, &lead(code, email)).await.unwrap();
        }
        leads::submit(&app.billing, app.organization, &lead("partner-b", "gone@kunde.example")).await.unwrap();
        let all = async || {
            attribution::leads(&app.billing, app.organization, &Page::new(None, 10), &LeadFilter::default())
                .await
                .unwrap()
                .items
        };
        assert_eq!(all().await.len(), 2, "an address is one lead of a partner");
        let gone = all().await.remove(0);
        leads::set_status(&app.billing, &app.caller(), gone.id, LeadStatus::Closed).await.unwrap();
        app.on("2026-05-20");
        let customer = scheme.register(somebody("C-1", &[])).await;
        let credited = Some(("A", "2026-05-20".to_owned(), TouchSource::LeadForm));
        assert_eq!(scheme.credited(customer.id, "2026-05-20").await, credited);
        let told: Vec<_> = all().await.iter().map(|lead| (lead.status, lead.customer_id)).collect();
        assert_eq!(told, [(LeadStatus::Closed, None), (LeadStatus::Converted, Some(customer.id))]);
        let converted = all().await.remove(1);
        let closed = leads::set_status(&app.billing, &app.caller(), converted.id, LeadStatus::Closed).await;
        assert!(matches!(closed, Err(Error::Refused(Refusal::Invalid { .. }))));
    });
}

#[test]
fn a_claim_link_makes_a_resellers_or_an_affiliates_customer() {
    story(async |app| {
        let scheme = Scheme::of(&app, plain_terms()).await;
        let plan = app.plan("pro", Pricing::PerSeat).await;
        app.prices("2025-01-01", &[(&plan, dkk(10_000))]).await;
        let wholesale = NewClaim {
            plan: Some(plan.id),
            seats: Some(7),
            ..claim_of(&scheme.partners[0], ClaimKind::Wholesale, "C-1")
        };
        let token = scheme.claim(wholesale).await;
        app.on("2026-05-05");
        let resold = scheme.redeem(&token, "kim@kunde.example").await.unwrap();
        let owners = customers::owners_of(&app.billing, app.organization, &[resold.id]).await.unwrap();
        assert_eq!(
            owners.iter().map(|row| (row.owned_from, row.partner_id)).collect::<Vec<_>>(),
            [(date("2026-05-05"), Some(scheme.partners[0].id))]
        );
        let sold = subscriptions::of_customers(&app.billing, app.organization, &[resold.id]).await.unwrap();
        let seats = subscriptions::seat_changes_of(&app.billing, app.organization, &[sold[0].id]).await.unwrap();
        assert_eq!((sold[0].plan_id, sold[0].starts_on, seats[0].quantity), (plan.id, date("2026-05-05"), Some(7)));
        assert_eq!((resold.email.as_deref(), scheme.rows(resold.id).await.len()), (Some("kim@kunde.example"), 0));

        let token = scheme.claim(claim_of(&scheme.partners[1], ClaimKind::Affiliate, "C-2")).await;
        let referred = scheme.redeem(&token, "ole@kunde.example").await.unwrap();
        let credited = Some(("B", "2026-05-05".to_owned(), TouchSource::ClaimLink));
        assert_eq!(scheme.credited(referred.id, "2026-05-05").await, credited);
        // A direct customer that is nobody's may be claimed; one that is somebody's may not.
        let third = scheme.claim(claim_of(&scheme.partners[1], ClaimKind::Wholesale, "C-3")).await;
        let direct = scheme.register(somebody("C-3", &[])).await;
        let token = scheme.claim(claim_of(&scheme.partners[0], ClaimKind::Affiliate, "C-3")).await;
        let second = scheme.claim(claim_of(&scheme.partners[1], ClaimKind::Affiliate, "C-3")).await;
        assert_eq!(scheme.redeem(&token, "c-3@kunde.example").await.unwrap().id, direct.id);
        for token in [second, third] {
            assert!(matches!(
                scheme.redeem(&token, "c-3@kunde.example").await,
                Err(Error::Refused(Refusal::ClaimLinkInvalid))
            ));
        }
        assert_eq!(scheme.credited(direct.id, "2026-05-05").await.map(|row| row.0), Some("A"));
        // A link for one that nobody could claim is not made.
        for (kind, name) in
            [(ClaimKind::Wholesale, "C-3"), (ClaimKind::Affiliate, "C-3"), (ClaimKind::Affiliate, "C-1")]
        {
            let claim = claim_of(&scheme.partners[1], kind, name);
            let refused = claims::create(&app.billing, &app.caller(), &claim).await.map(|_| ());
            assert!(
                matches!(refused, Err(Error::Refused(Refusal::Invalid { field: "customerExternalId", .. }))),
                "{name} {refused:?}"
            );
        }
    });
}

#[test]
fn whatever_is_wrong_with_a_claim_link_is_one_answer() {
    story(async |app| {
        let scheme = Scheme::of(&app, plain_terms()).await;
        let [a, b] = &scheme.partners;
        let bound = NewClaim {
            email: Some("kim@kunde.example".into()),
            expires_in_days: Some(10),
            ..claim_of(a, ClaimKind::Affiliate, "C-1")
        };
        let (bound, revoked, used) =
            (scheme.claim(bound.clone()).await, bound, scheme.claim(claim_of(a, ClaimKind::Affiliate, "C-2")).await);
        let revoked = NewClaim { customer_external_id: "C-3".into(), ..revoked };
        let made = claims::create(&app.billing, &app.caller(), &revoked).await.unwrap().into_inner();
        claims::revoke(&app.billing, &app.caller(), made.link.id).await.unwrap();
        scheme.redeem(&used, "ole@kunde.example").await.unwrap();
        let of_suspended = scheme.claim(claim_of(b, ClaimKind::Wholesale, "C-4")).await;
        partners::set_status(&app.billing, &app.caller(), b.id, PartnerStatus::Suspended, None).await.unwrap();
        let own = scheme.claim(claim_of(a, ClaimKind::Affiliate, "C-5")).await;
        let revoked = made.token.unwrap().reveal().to_owned();
        let unknown = format!("avc_{}", "0".repeat(48));
        let mut told = Vec::new();
        for (token, email) in [
            (bound.as_str(), "ole@kunde.example"),
            (&used, "ole@kunde.example"),
            (&revoked, "kim@kunde.example"),
            (&of_suspended, "kim@kunde.example"),
            (&own, "kim@partner-a.example"),
            (&unknown, "kim@kunde.example"),
            ("", "kim@kunde.example"),
            (&own, "no address"),
        ] {
            told.push(format!("{:?}", scheme.redeem(token, email).await.unwrap_err()));
        }
        app.on("2026-05-11");
        told.push(format!("{:?}", scheme.redeem(&bound, "kim@kunde.example").await.unwrap_err()));
        told.dedup();
        assert_eq!(told, ["Refused(ClaimLinkInvalid)"]);
        for name in ["C-1", "C-3", "C-4", "C-5"] {
            assert_eq!(customers::by_external_id(&app.billing, app.organization, name).await.unwrap(), None, "{name}");
        }
        let late = claims::create(&app.billing, &app.caller(), &claim_of(b, ClaimKind::Wholesale, "C-9")).await;
        assert!(matches!(late, Err(Error::Refused(Refusal::PartnerNotActive { .. }))));
    });
}

#[test]
fn of_two_who_use_a_link_at_once_one_comes_second() {
    story(async |app| {
        let scheme = Scheme::of(&app, plain_terms()).await;
        let token = scheme.claim(claim_of(&scheme.partners[0], ClaimKind::Affiliate, "C-1")).await;
        let tries = (0..4).map(|_| scheme.redeem(&token, "kim@kunde.example"));
        let outcomes = futures::future::join_all(tries).await;
        let (done, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
        assert_eq!((done.len(), refused.len()), (1, 3));
        for error in refused {
            assert!(matches!(error, Err(Error::Refused(Refusal::ClaimLinkInvalid))), "{error:?}");
        }
        let customer = customers::by_external_id(&app.billing, app.organization, "C-1").await.unwrap().unwrap();
        assert_eq!(scheme.rows(customer.id).await.len(), 1);
    });
}

#[test]
fn registering_at_once_makes_one_customer_and_one_attribution() {
    story(async |app| {
        let scheme = Scheme::of(&app, plain_terms()).await;
        let input = Registration { code: Some("partner-a".into()), ..somebody("C-1", &[]) };
        let all = futures::future::join_all((0..4).map(|_| scheme.register(input.clone()))).await;
        assert!(all.iter().all(|customer| customer.id == all[0].id));
        assert_eq!((scheme.rows(all[0].id).await.len(), scheme.touches(all[0].id).await), (1, 1));
    });
}

#[test]
fn by_hand_needs_a_reason_and_is_appended() {
    story(async |app| {
        let scheme = Scheme::of(&app, plain_terms()).await;
        let customer = scheme.register(Registration { code: Some("partner-a".into()), ..somebody("C-1", &[]) }).await;
        app.on("2026-06-01");
        let set = async |enrollment: Option<usize>, from: &str, reason: &str| {
            let enrollment = enrollment.map(|place| scheme.enrollments[place].id);
            let input = ByHand { customer: customer.id, enrollment, from: date(from), reason: reason.to_owned() };
            attribution::attribute(&app.billing, &app.caller(), &input).await.map(|_| ())
        };
        assert!(matches!(
            set(Some(1), "2026-05-20", " ").await,
            Err(Error::Refused(Refusal::Invalid { field: "reason", .. }))
        ));
        set(Some(1), "2026-05-20", "Aftalt med begge").await.unwrap();
        set(None, "2026-05-25", "Trukket tilbage").await.unwrap();
        set(Some(0), "2026-05-20", "Rettet").await.unwrap();
        let on = async |day: &str| scheme.credited(customer.id, day).await.map(|row| row.0);
        assert_eq!(
            (on("2026-05-10").await, on("2026-05-20").await, on("2026-05-25").await),
            (Some("A"), Some("A"), None)
        );
        assert_eq!(scheme.rows(customer.id).await.len(), 4);
        let early = set(Some(0), "2019-12-31", "For tidligt").await;
        assert!(matches!(early, Err(Error::Refused(Refusal::EnrollmentEnded { .. }))));
        // Nobody's by hand is decided, too.
        scheme.register(Registration { code: Some("partner-b".into()), ..somebody("C-1", &[]) }).await;
        assert_eq!(on("2026-06-01").await, None);
    });
}
