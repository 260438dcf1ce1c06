//! The replicated state and the commands on it: pure, deterministic.
