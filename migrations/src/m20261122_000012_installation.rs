//! Why: what the installation knows of itself: the keys that sign access tokens (private halves sealed), and small
//! facts that are written once, such as the check value of the master key.

crate::ddl::migration!(
    "CREATE TABLE signing_keys (
        kid @text NOT NULL CONSTRAINT signing_keys_pkey PRIMARY KEY,
        sealed_private_key @bytes NOT NULL,
        created_at @time NOT NULL
    ) @keyed",
    "CREATE TABLE installation (
        name @text NOT NULL CONSTRAINT installation_pkey PRIMARY KEY,
        value @bytes NOT NULL
    ) @keyed",
);
