DROP TABLE ledger_sealed;
DROP TABLE ledger_block;
DROP TABLE ledger_transfer;
DROP TABLE ledger_transaction;
DROP TABLE ledger_account;
