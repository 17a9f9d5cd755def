//! Postrider's database migrations, for SQLite and PostgreSQL
