//! Postrider's caches: moka decorators of read ports
