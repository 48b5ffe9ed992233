//! Every request that is routed on has a deadline: the caller's, or the route's.

use std::time::Instant;

use weir_sdk::{Call, Error, Verb};

use super::Filter;
use crate::route::Route;

pub(super) struct Deadline;

impl Filter for Deadline {
    fn name(&self) -> &'static str {
        "deadline"
    }

    fn request(&self, call: &mut Call, route: &Route) -> Result<(), Error> {
        // An explanation is thousands of predictions; its explainer has a time limit of its own.
        if call.verb != Verb::Explain {
            call.context.deadline.get_or_insert_with(|| Instant::now() + route.timeout);
        }
        Ok(())
    }
}
