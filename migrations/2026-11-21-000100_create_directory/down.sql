DROP TABLE job_tick;
DROP TABLE job;
DROP TABLE directory;
