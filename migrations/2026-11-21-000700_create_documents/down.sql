DROP TABLE late_change;
DROP TABLE credit_note_line;
DROP TABLE credit_note;
DROP TABLE invoice_vat;
DROP TABLE invoice_line;
DROP TABLE invoice;
DROP TABLE billing_run_refusal;
DROP TABLE billing_run;
