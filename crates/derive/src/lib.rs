//! The derive macro for Gradus modules.
