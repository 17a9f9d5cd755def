//! Postrider's one SQL store on SeaORM, for SQLite and PostgreSQL
