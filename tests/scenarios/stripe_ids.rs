//! Plans and Stripe: each price or product there is one plan here at most.

use billing::catalog::Pricing;
use billing::{Error, Refusal, catalog};
use tests::story;

#[test]
fn a_stripe_price_is_one_plan() {
    story(async |app| {
        let (pro, basic) = (app.plan("pro", Pricing::PerSeat).await, app.plan("basic", Pricing::Flat).await);
        let set = async |plan: &catalog::Plan, ids: &[&str]| {
            let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
            catalog::stripe_ids::set(&app.billing, &app.caller(), plan.id, &ids).await.map(|_| ())
        };
        set(&pro, &["price_1", "prod_1"]).await.unwrap();
        assert!(
            matches!(set(&basic, &["price_1"]).await, Err(Error::Refused(Refusal::StripeIdTaken { stripe_id })) if stripe_id == "price_1")
        );
        set(&pro, &["prod_1", "price_2"]).await.unwrap();
        set(&basic, &["price_1"]).await.unwrap();
        let known = catalog::stripe_ids::of_plans(&app.billing, app.organization, &[pro.id, basic.id]).await.unwrap();
        let of = |plan: &catalog::Plan| {
            known.iter().filter(|row| row.plan_id == plan.id).map(|row| row.stripe_id.as_str()).collect::<Vec<_>>()
        };
        assert_eq!((of(&pro), of(&basic)), (vec!["price_2", "prod_1"], vec!["price_1"]));
    });
}
