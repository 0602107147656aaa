DROP TABLE tier_evaluation;
DROP TABLE tier_pin;
DROP TABLE tier;
DROP TABLE tier_table;
DROP TABLE price;
DROP TABLE price_list_version;
DROP TABLE price_list;
DROP TABLE plan;
