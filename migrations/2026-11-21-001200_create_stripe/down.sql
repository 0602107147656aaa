DROP TABLE stripe_fact, stripe_event, stripe_endpoint, stripe_account;
