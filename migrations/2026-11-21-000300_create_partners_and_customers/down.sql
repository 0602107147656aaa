DROP TABLE customer_owner;
DROP TABLE customer;
DROP TABLE partner;
