CREATE TABLE accounts (id integer PRIMARY KEY, rating double precision NOT NULL);
INSERT INTO accounts SELECT id, id / 10.0 FROM generate_series(1, 100) AS id;

-- Stands for a query that takes 20 ms.
CREATE FUNCTION rating_of(account integer) RETURNS SETOF double precision LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_sleep(0.02);
  RETURN QUERY SELECT rating FROM accounts WHERE id = account;
END $$;
