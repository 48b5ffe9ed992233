//! The door lets in what any route wants to travel; here a request keeps of it what its own route lets through.

use weir_sdk::{Call, Error};

use super::Filter;
use crate::route::Route;

pub(super) struct Headers;

impl Filter for Headers {
    fn name(&self) -> &'static str {
        "headers"
    }

    fn request(&self, call: &mut Call, route: &Route) -> Result<(), Error> {
        if let Some(travellers) = &route.travellers {
            call.context.headers.retain(|(name, _)| travellers.lets(name.as_str()));
        }
        Ok(())
    }
}
