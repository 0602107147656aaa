ALTER TABLE organization DROP COLUMN payout_four_eyes;
DROP TABLE partner_parent, application, enrollment_evaluation, enrollment_terms, enrollment, program_version, program;
DROP FUNCTION raise_walls(text[], text);
