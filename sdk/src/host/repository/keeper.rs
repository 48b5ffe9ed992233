//! The thread of a host that looks after its models: frees what its last request has left, looks for new versions, puts to sleep
//! what nobody asks for.

use std::sync::Weak;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::ModelHost;

/// How often those are looked at that wait for their last request.
const LEAVING: Duration = Duration::from_millis(20);
/// How often it is asked who is idle, at least and at most.
const IDLE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(10));

/// Starts the thread. It ends when the host has gone.
pub(super) fn start(
    host: Weak<ModelHost>,
    inbox: Receiver<()>,
    poll: Option<Duration>,
    idle: Option<Duration>,
) {
    let run = move || {
        let rest = idle.map(|it| (it / 8).clamp(IDLE.0, IDLE.1));
        let (mut look_at, mut rest_at) = (after(poll), after(rest));
        let mut leaving = true;
        loop {
            let next =
                [leaving.then(|| Instant::now() + LEAVING), look_at, rest_at].into_iter().flatten().min();
            let heard = match next {
                Some(next) => inbox.recv_timeout(next.saturating_duration_since(Instant::now())),
                None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            if heard == Err(RecvTimeoutError::Disconnected) {
                return;
            }
            let Some(host) = host.upgrade() else { return };
            let now = Instant::now();
            if look_at.is_some_and(|it| it <= now) {
                host.look();
                look_at = after(poll);
            }
            if let (Some(idle), true) = (idle, rest_at.is_some_and(|it| it <= now)) {
                host.rest(idle);
                rest_at = after(rest);
            }
            leaving = host.shared.reap();
        }
    };
    if let Err(error) = std::thread::Builder::new().name("models".to_owned()).spawn(run) {
        tracing::error!(%error, "cannot start the thread that looks after the models");
    }
}

fn after(wait: Option<Duration>) -> Option<Instant> {
    Instant::now().checked_add(wait?)
}
