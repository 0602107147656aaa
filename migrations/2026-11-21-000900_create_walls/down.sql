DO $$
DECLARE
    item record;
BEGIN
    FOR item IN SELECT tablename, policyname FROM pg_policies WHERE schemaname = current_schema() LOOP
        EXECUTE format('DROP POLICY %I ON %I', item.policyname, item.tablename);
        EXECUTE format('ALTER TABLE %I DISABLE ROW LEVEL SECURITY', item.tablename);
        EXECUTE format('ALTER TABLE %I NO FORCE ROW LEVEL SECURITY', item.tablename);
        EXECUTE format('REVOKE ALL ON %I FROM avance_app', item.tablename);
    END LOOP;
END $$;
