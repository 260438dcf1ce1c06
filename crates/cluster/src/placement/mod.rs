//! Which node should hold which service.
//!
//! [`plan`] says where everything should be; [`Steward`], on the leader, brings the leases there, one
//! safe step at a time.

mod advice;
mod agreed;
mod plan;
mod steward;

pub use advice::{Membership, failover_advice};
pub use plan::{
    Failback, NoPlace, NodeView, Placement, PlacementPolicy, ServiceView, Target, Why, plan,
};
pub use steward::{Sight, Steward, StewardOutput};
