//! What a node does to make what is into what should be, step by step.
