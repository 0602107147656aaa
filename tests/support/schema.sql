-- Writes billing/db/src/schema.rs from the database's own catalogue.
WITH columns AS (
    SELECT c.relname AS name, a.attnum, a.attname AS col,
        CASE t.typname
            WHEN 'uuid' THEN 'Uuid' WHEN 'text' THEN 'Text' WHEN 'int4' THEN 'Integer' WHEN 'int8' THEN 'BigInt'
            WHEN 'bool' THEN 'Bool' WHEN 'date' THEN 'Date' WHEN 'timestamptz' THEN 'Timestamptz'
            WHEN 'jsonb' THEN 'Jsonb' WHEN 'json' THEN 'Json' WHEN 'numeric' THEN 'Numeric' WHEN '_text' THEN 'Array<Text>'
            ELSE 'Unknown_' || t.typname END AS kind,
        a.attnotnull AS required
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = current_schema()
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type t ON t.oid = a.atttypid
    WHERE c.relkind IN ('r', 'p') AND c.relname <> '__diesel_schema_migrations'
), keys AS (
    SELECT c.relname AS name, string_agg(a.attname, ', ' ORDER BY k.ord) AS cols
    FROM pg_index i
    JOIN pg_class c ON c.oid = i.indrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = current_schema()
    CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, ord)
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
    WHERE i.indisprimary GROUP BY c.relname
), tables AS (
    SELECT columns.name,
        E'diesel::table! {\n    ' || columns.name || ' (' || keys.cols || E') {\n' ||
        string_agg('        ' || col || ' -> ' || CASE WHEN required THEN kind ELSE 'Nullable<' || kind || '>' END
            || E',\n', '' ORDER BY attnum) || E'    }\n}\n' AS text
    FROM columns JOIN keys USING (name) GROUP BY columns.name, keys.cols
)
SELECT E'//! The tables as diesel sees them. Written from the database; a test compares the two.\n\n'
    || string_agg(text, E'\n' ORDER BY name COLLATE "C")
    || E'\ndiesel::allow_tables_to_appear_in_same_query!(\n' || string_agg('    ' || name || E',\n', '' ORDER BY name COLLATE "C") || E');\n'
FROM tables
