//! The first questions of a version: what is slow only once is over before anybody waits for it, and a version that cannot answer
//! them takes no traffic.

use std::time::{Duration, Instant};

use weir_proto::{DecodeLimits, Payload};

use crate::host::model::Live;
use crate::{Call, Context, Verb};

/// How long all of them may take: some engines are built by their first request, for minutes.
const LONGEST: Duration = Duration::from_secs(600);

/// Asks them one after another. It blocks, and is for a thread that may.
///
/// # Errors
/// Which one failed, and why.
pub(super) fn ask(live: &Live, model: &str, questions: &[Payload]) -> Result<(), String> {
    if questions.is_empty() {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("its warm-up requests cannot be sent: {error}"))?;
    let until = Instant::now() + LONGEST;
    for (at, payload) in questions.iter().enumerate() {
        let call = Call {
            verb: Verb::Infer,
            model: model.to_owned(),
            version: live.version().to_owned(),
            payload: payload.clone(),
            want: payload.face,
            context: Context { deadline: Some(until), ..Context::default() },
            limits: DecodeLimits::default(),
        };
        let answer =
            runtime.block_on(async { tokio::time::timeout_at(until.into(), live.answer(call)).await });
        let number = at + 1;
        match answer {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(format!("its warm-up request {number} failed: {}", error.message)),
            Err(_) => {
                return Err(format!("its warm-up request {number} took too long: {LONGEST:?} is the most"));
            }
        }
    }
    Ok(())
}
