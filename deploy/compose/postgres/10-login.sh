#!/bin/sh
# The account of the nodes, in a new database: no rights of its own, and it inherits none. `postrider migrate` lets it
# become Postrider's roles. The password is read from a file, so that no command line and no log shows it.
set -eu
# psql takes the file's content as a variable, and the server's log is told not to keep the statement.
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
SET log_min_error_statement = panic;
SET log_statement = 'none';
\set password `cat /run/secrets/postrider_password`
CREATE ROLE postrider LOGIN NOINHERIT PASSWORD :'password';
SQL
