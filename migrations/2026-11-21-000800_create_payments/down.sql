DROP TABLE credit_balance;
DROP TABLE settlement_entry;
DROP TABLE payment;
DROP TABLE settlement;
