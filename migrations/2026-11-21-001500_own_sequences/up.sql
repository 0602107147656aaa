-- The steps of one commission, and of one partner's settlements, are numbered by whoever writes them, behind the lock that
-- they are written under: a sequence of the whole installation says no more, and a node of a cluster would have to ask for it.
ALTER TABLE commission_entry ALTER COLUMN sequence DROP IDENTITY;
ALTER TABLE settlement_entry ALTER COLUMN sequence DROP IDENTITY;
COMMENT ON COLUMN commission_entry.sequence IS 'Order of the steps of one commission, whose row is locked while they are written';
