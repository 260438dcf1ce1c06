//! Certificates of the cluster and tokens to join it.
