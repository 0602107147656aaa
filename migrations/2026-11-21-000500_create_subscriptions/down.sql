DROP TABLE retail_price;
DROP TABLE seat_change;
DROP TABLE subscription;
