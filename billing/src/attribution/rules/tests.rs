//! Tables: competitions, addresses, codes, links.

use billing_primitives::{AttributionId, CustomerId};

use super::*;
use crate::programs::terms::Window;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn terms(sources: &[(TouchSource, u32)], self_referral: SelfReferral) -> AttributionTerms {
    let sources = sources.iter().map(|(source, days)| Window { source: *source, days: *days }).collect();
    AttributionTerms { sources, self_referral }
}

/// A field of touches, each of an enrollment of its own.
struct Field(Vec<(TouchSource, &'static str, AttributionTerms, bool, TouchId, EnrollmentId)>);

impl Field {
    fn of(touches: Vec<(TouchSource, &'static str, AttributionTerms, bool)>) -> Field {
        let row = |(source, when, terms, own)| (source, when, terms, own, TouchId::new(), EnrollmentId::new());
        Field(touches.into_iter().map(row).collect())
    }

    /// Places of the winner and of those that were blocked, whatever the order in which touches are given.
    fn ends(&self, when: &str) -> (Option<usize>, Vec<usize>) {
        let mut touches = Vec::new();
        for row in &self.0 {
            let (source, when, terms, own, touch, enrollment) = row;
            touches.push(Competitor {
                touch: *touch,
                enrollment: *enrollment,
                source: *source,
                occurred_at: at(when),
                terms,
                own: *own,
            });
        }
        let place = |id: TouchId| self.0.iter().position(|row| row.4 == id).unwrap();
        let told = |outcome: Outcome| {
            let mut blocked: Vec<usize> = outcome.blocked.into_iter().map(place).collect();
            blocked.sort_unstable();
            (outcome.winner.map(|winner| place(winner.touch)), blocked)
        };
        let one = told(compete(&touches, at(when)));
        touches.reverse();
        assert_eq!(told(compete(&touches, at(when))), one, "the order matters");
        one
    }
}

#[test]
fn touches_compete() {
    use SelfReferral::{Block, Flag};
    use TouchSource::{Code, LeadForm, Link};
    let usual = || terms(&[(Code, 30), (Link, 60), (LeadForm, 90)], Block);
    let link_first = || terms(&[(Link, 60), (Code, 30)], Flag);
    let cases = [
        ("nobody", vec![], None, vec![]),
        (
            "the earlier of two",
            vec![(Link, "2026-05-02T00:00:00Z", usual(), false), (Link, "2026-05-01T00:00:00Z", usual(), false)],
            Some(1),
            vec![],
        ),
        (
            "a better source beats an earlier one",
            vec![(Link, "2026-05-01T00:00:00Z", usual(), false), (Code, "2026-05-20T00:00:00Z", usual(), false)],
            Some(1),
            vec![],
        ),
        ("the last instant of the window", vec![(Code, "2026-05-02T12:00:00Z", usual(), false)], Some(0), vec![]),
        ("one second outside", vec![(Code, "2026-05-02T11:59:59Z", usual(), false)], None, vec![]),
        (
            "outside it blocks nobody's way",
            vec![(Code, "2026-04-01T00:00:00Z", usual(), false), (LeadForm, "2026-04-02T00:00:00Z", usual(), false)],
            Some(1),
            vec![],
        ),
        ("after the registration", vec![(Link, "2026-06-01T12:00:01Z", usual(), false)], None, vec![]),
        ("at the registration", vec![(Link, "2026-06-01T12:00:00Z", usual(), false)], Some(0), vec![]),
        (
            "a source that is not named",
            vec![(TouchSource::Manual, "2026-05-31T00:00:00Z", usual(), false)],
            None,
            vec![],
        ),
        (
            "each by its own programme",
            vec![
                (Code, "2026-05-31T00:00:00Z", link_first(), false),
                (Link, "2026-05-31T01:00:00Z", link_first(), false),
                (Code, "2026-05-31T02:00:00Z", usual(), false),
            ],
            Some(1),
            vec![],
        ),
        (
            "itself, blocked",
            vec![(Code, "2026-05-31T00:00:00Z", usual(), true), (Link, "2026-05-31T00:00:00Z", usual(), false)],
            Some(1),
            vec![0],
        ),
        (
            "itself, flagged",
            vec![(Link, "2026-05-31T00:00:00Z", link_first(), true), (Link, "2026-05-31T01:00:00Z", usual(), false)],
            Some(0),
            vec![],
        ),
        (
            "all blocked",
            vec![(Code, "2026-05-31T00:00:00Z", usual(), true), (Code, "2026-05-30T00:00:00Z", usual(), true)],
            None,
            vec![0, 1],
        ),
    ];
    for (name, touches, winner, blocked) in cases {
        assert_eq!(Field::of(touches).ends("2026-06-01T12:00:00Z"), (winner, blocked), "{name}");
    }
}

#[test]
fn of_equal_touches_the_one_written_first_wins() {
    let usual = || terms(&[(TouchSource::Link, 30)], SelfReferral::Flag);
    let touch = || (TouchSource::Link, "2026-05-31T00:00:00Z", usual(), false);
    assert_eq!(Field::of(vec![touch(), touch(), touch()]).ends("2026-06-01T12:00:00Z").0, Some(0));
}

#[test]
fn an_attribution_holds_until_the_next_and_the_last_word_of_a_day_counts() {
    let row = |from: &str, sequence| Attribution {
        organization_id: OrganizationId::new(),
        id: AttributionId::new(),
        sequence,
        customer_id: CustomerId::new(),
        enrollment_id: Some(EnrollmentId::new()),
        effective_from: from.parse().unwrap(),
        source: TouchSource::Link,
        touch_id: None,
        reason: None,
        flags: Vec::new(),
        actor: "operator".into(),
        created_at: at("2026-01-01T00:00:00Z"),
    };
    let rows = [row("2026-03-01", 4), row("2026-01-01", 1), row("2026-03-01", 2), row("2026-02-01", 3)];
    for (day, expected) in
        [("2025-12-31", None), ("2026-01-31", Some(1)), ("2026-02-28", Some(3)), ("2026-03-01", Some(4))]
    {
        assert_eq!(on(&rows, day.parse().unwrap()).map(|row| row.sequence), expected, "{day}");
    }
}

#[test]
fn who_lives_in_one_house() {
    for (one, other, same) in [
        ("ole@partner.example", "Ole@Partner.example", true),
        ("ole+shop@partner.example", "kim@partner.example", true),
        ("ole@partner.example", "ole@other.example", false),
        ("ole@sub.partner.example", "ole@partner.example", false),
        ("ole@gmail.com", "kim@gmail.com", false),
        ("ole+shop@gmail.com", "OLE@gmail.com", true),
        ("ole", "ole", false),
    ] {
        assert_eq!(same_house(one, other), same, "{one} {other}");
    }
    assert!(PUBLIC_DOMAINS.is_sorted());
    assert!(same_address(" A@b.example", "a@B.example "));
}

#[test]
fn codes_are_spelled() {
    for (external, legal, code) in [
        ("P-1", "Bager ApS", "P-1"),
        ("7", "Bager Bro & Sønner ApS", "BAGER-BRO-SOENNER-APS"),
        ("__", "æ", "PARTNER"),
        ("??", "Ægir", "AEGIR"),
        ("a partner whose name is so long that no code can hold it", "", "A-PARTNER-WHOSE-NAME-IS-SO-LONG"),
    ] {
        let made = derived_code(external, legal);
        assert_eq!(made, code);
        assert!(super::code(&made).is_ok() && super::code(&told_apart(&made, [0xab, 0, 1])).is_ok(), "{made}");
    }
    assert_eq!(told_apart("BAGER", [0xab, 0, 1]), "BAGER-AB0001");
    for wrong in ["", "ab", "a b c", "æbler", "a/b", &"A".repeat(41)] {
        assert!(super::code(wrong).is_err(), "{wrong}");
    }
    assert_eq!(code_key(" Sommer_26 "), "SOMMER_26");
    assert!(promotion_code("promo_1Abc").is_ok() && promotion_code("promo_").is_err());
}

#[test]
fn links_carry_the_code() {
    for (page, url) in [
        ("https://saelger.example", "https://saelger.example?ref=ABC"),
        ("https://saelger.example/pris?x=1", "https://saelger.example/pris?x=1&ref=ABC"),
        ("https://saelger.example/?", "https://saelger.example/?ref=ABC"),
        ("http://saelger.example:8080/a#top", "http://saelger.example:8080/a?ref=ABC#top"),
    ] {
        assert_eq!(link(&destination(page).unwrap(), "ABC"), url);
    }
    for wrong in [
        "",
        "saelger.example",
        "ftp://saelger.example",
        "javascript:alert(1)",
        "https://",
        "https:///x",
        "https://a@b.example/",
        "https://saelger.example/a b",
        "https://saelger.example/\"><script>",
        "https://saelger.example/?ref=X",
        "https://saelger.example/?a=1&ref=X#y",
    ] {
        assert!(destination(wrong).is_err(), "{wrong}");
    }
    assert!(destination("https://saelger.example/?preref=X#ref=1").is_ok());
}

#[test]
fn tokens_read_back_as_their_own_kind_alone() {
    let token = Token::from_random(TokenKind::Claim, [0xa5; 24]);
    assert_eq!(token.reveal().len(), 52);
    assert_eq!(Token::parse(TokenKind::Claim, token.reveal()), Some(token.clone()));
    assert_eq!(Token::parse(TokenKind::Visitor, token.reveal()), None);
    assert_eq!(format!("{token:?}"), "avc_...");
    for wrong in ["", "avc_", "avc_zz", &token.reveal().to_uppercase(), &format!("{} ", token.reveal())] {
        assert_eq!(Token::parse(TokenKind::Claim, wrong), None, "{wrong}");
    }
}

#[test]
fn addresses_are_told_apart_by_one_organization_alone() {
    let (ours, theirs) = (OrganizationId::new(), OrganizationId::new());
    assert_eq!(address_hash(ours, "192.0.2.1"), address_hash(ours, "192.0.2.1"));
    assert_ne!(address_hash(ours, "192.0.2.1"), address_hash(theirs, "192.0.2.1"));
}
