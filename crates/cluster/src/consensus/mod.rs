//! The log, its storage, its network: who agrees on the state.
