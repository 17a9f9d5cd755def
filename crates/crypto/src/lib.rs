//! Postrider's cryptography: access tokens, password hashes, sealed secrets, webhook signatures
