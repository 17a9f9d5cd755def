//! Postrider's REST API: routes, wire types, problems, middleware and composition
