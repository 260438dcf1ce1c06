//! Thousands of clusters at simulated time.
