DROP TABLE exchange_rate;
DROP TABLE event;
DROP TABLE audit_entry;
DROP TABLE idempotency_key;
DROP TABLE api_key;
DROP TABLE document_counter;
DROP TABLE organization;
