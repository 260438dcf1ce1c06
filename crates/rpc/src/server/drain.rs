//! Letting calls come to their end before a service goes elsewhere.
//!
//! While a server drains, no call begins: what clients send stays in the sockets, unanswered, and
//! they send it again to whoever holds the service then. Connections stay as they are.

use std::time::Duration;

use super::Server;

/// A server is looked at this often whether its last call has ended: the pause of a planned move
/// is about ten times as long.
const LOOK: Duration = Duration::from_millis(1);

impl Server {
    /// From now on no call begins. Waits until those that run have ended and their replies are
    /// with the kernel; gives whether they are, within `limit`.
    pub async fn drain(&self, limit: Duration) -> bool {
        self.draining.send_replace(true);
        let idle = async {
            // Each call holds a part of the budget until its reply has left.
            while self.budget.used() > 0 {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(limit, idle).await.is_ok()
    }

    /// Calls begin again, those first that arrived meanwhile.
    pub fn resume(&self) {
        self.draining.send_replace(false);
    }

    /// Whether no call may begin.
    pub fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }
}
