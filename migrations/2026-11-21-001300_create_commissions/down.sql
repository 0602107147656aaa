DROP TABLE commission_hold, commission_reversal, commission_entry, commission, conversion;
