//! Which node should hold which service.
