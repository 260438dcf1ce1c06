//! Waking the clients that the holder before had.

use standfast_net::{Connection, TICKLE_AGAIN, Tickler};
use standfast_serving::Ends;
use tokio::task::AbortHandle;

/// Wakes each client now, and again for those that did not hear it. Must be called in a runtime.
pub(super) fn wake_clients(service: &str, connections: &[Ends]) -> Result<AbortHandle, String> {
    let tickler = Tickler::new().map_err(|error| error.to_string())?;
    let ends = |(server, client): &Ends| Connection { server: *server, client: *client };
    let connections: Vec<Connection> = connections.iter().map(ends).collect();
    tracing::info!(service, clients = connections.len(), "waking the clients");
    wake(&tickler, &connections);
    let task = async move {
        let begun = tokio::time::Instant::now();
        for after in TICKLE_AGAIN {
            tokio::time::sleep_until(begun + after).await;
            wake(&tickler, &connections);
        }
    };
    Ok(tokio::spawn(task).abort_handle())
}

fn wake(tickler: &Tickler, connections: &[Connection]) {
    for connection in connections {
        if let Err(error) = tickler.tickle(connection) {
            tracing::debug!(%error, client = %connection.client, "a client is not woken");
        }
    }
}
