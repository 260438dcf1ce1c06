//! The lease of each service: renewals in memory, replies only while it is valid.
