//! Routes: which services answer for a model, and what share of the traffic each revision has.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use weir_proto::document::{Fields, Node, Problems, Value};
use weir_sdk::{Error, HeaderList, Origin, Peer, ServerFlags, Target, Travellers};

/// A share of traffic in percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weight(u8);

impl Weight {
    /// All of it.
    pub const ALL: Self = Self(100);
}

/// Where the services of one revision are.
pub(crate) struct Hosts<'a> {
    pub(crate) predictor: &'a str,
    pub(crate) transformer: Option<&'a str>,
    pub(crate) explainer: Option<&'a str>,
}

/// One revision of a service.
pub struct Revision {
    pub(crate) weight: Weight,
    pub(crate) predictor: Arc<Peer>,
    pub(crate) transformer: Option<Arc<Peer>>,
    pub(crate) explainer: Option<Arc<Peer>>,
}

impl Revision {
    pub(crate) fn of(hosts: &Hosts<'_>, weight: Weight, max_message: usize) -> Result<Self, Error> {
        let peer =
            |origin, host: &str| Ok::<_, Error>(Peer::new(origin, Target::parse(host, 80)?, max_message));
        Ok(Self {
            weight,
            predictor: peer(Origin::Predictor, hosts.predictor)?,
            transformer: hosts.transformer.map(|host| peer(Origin::Transformer, host)).transpose()?,
            explainer: hosts.explainer.map(|host| peer(Origin::Explainer, host)).transpose()?,
        })
    }

    /// Returns every service of the revision.
    pub(crate) fn peers(&self) -> impl Iterator<Item = (Origin, &Arc<Peer>)> {
        let transformer = self.transformer.iter().map(|peer| (Origin::Transformer, peer));
        let explainer = self.explainer.iter().map(|peer| (Origin::Explainer, peer));
        std::iter::once((Origin::Predictor, &self.predictor)).chain(transformer).chain(explainer)
    }
}

/// A model's name, and the revisions that answer for it.
pub struct Route {
    /// The model's name.
    pub name: String,
    pub(crate) revisions: Vec<Revision>,
    pub(crate) timeout: Duration,
    /// Which headers travel on; `None` for all that the door lets in.
    pub(crate) travellers: Option<Travellers>,
    drawn: AtomicU64,
}

impl Route {
    /// Creates a route.
    ///
    /// # Errors
    /// `InvalidInput` when the weights do not sum to 100 or the timeout is no time.
    pub fn new(name: String, revisions: Vec<Revision>, timeout_seconds: f64) -> Result<Self, Error> {
        let sum: u32 = revisions.iter().map(|it| u32::from(it.weight.0)).sum();
        if sum != 100 {
            return Err(Error::invalid(format!("route `{name}`: the weights sum to {sum}, expected 100")));
        }
        let timeout = Duration::try_from_secs_f64(timeout_seconds).map_err(|_| {
            Error::invalid(format!("route `{name}`: `{timeout_seconds}` seconds are no timeout"))
        })?;
        Ok(Self { name, revisions, timeout, travellers: None, drawn: AtomicU64::new(0) })
    }

    /// Picks the revision for a request.
    pub(crate) fn pick(&self) -> &Revision {
        if let [only] = self.revisions.as_slice() {
            return only;
        }
        // Steps of 61 visit every residue of 100 before one comes twice: the shares are exact in every hundred requests,
        // and a canary's requests are spread among them, not bunched.
        let mut at = self.drawn.fetch_add(61, Ordering::Relaxed) % 100;
        for revision in &self.revisions {
            match at.checked_sub(u64::from(revision.weight.0)) {
                Some(rest) => at = rest,
                None => return revision,
            }
        }
        unreachable!("the weights sum to 100, checked in Route::new")
    }
}

/// Opens the door to every header that a route wants to travel, and gives each route what the flags say for all of them.
pub(crate) fn settle_headers(routes: &mut [Route], flags: &mut ServerFlags) {
    let for_all = flags.propagate_headers.clone();
    for route in &mut *routes {
        let own = route.travellers.get_or_insert_default();
        own.propagate.extend(&for_all);
        flags.propagate_headers.extend(&own.propagate);
    }
    // Where the door lets in what a route does, there is nothing to be done for a request.
    for route in routes {
        route.travellers = route
            .travellers
            .take()
            .filter(|own| !own.drop.is_empty() || !own.propagate.covers(&flags.propagate_headers));
    }
}

/// Reads the list of `--routes`.
pub(crate) fn read(node: &Node, max_message: usize) -> Result<Vec<Route>, Error> {
    let Value::List(items) = &node.value else {
        return Err(Error::invalid(format!("--routes: expected a list of routes, met {}", node.kind())));
    };
    let problems = Problems::new("--routes");
    let mut routes = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        if let Some(fields) = Fields::of(item, &format!("[{index}]"), &problems) {
            routes.push(read_route(fields, max_message));
        }
    }
    problems.into_result()?;
    routes.into_iter().collect()
}

/// A route has its services itself, or a list of revisions that have them.
fn read_route(fields: Fields<'_>, max_message: usize) -> Result<Route, Error> {
    let name = fields.required_string("name").unwrap_or_default().to_owned();
    let timeout = fields.number("timeout_seconds").unwrap_or(60.0);
    let mut revisions = Vec::new();
    match fields.maps("revisions") {
        Some(maps) => {
            for map in maps {
                let weight = map.integer_in("weight", 0..=100).unwrap_or(100);
                map.accepted(&["name"]);
                revisions.push(read_revision(&map, Weight(u8::try_from(weight).unwrap_or(100)), max_message));
                map.finish();
            }
        }
        None => revisions.push(read_revision(&fields, Weight::ALL, max_message)),
    }
    let travellers = Travellers {
        propagate: header_list(&fields, "propagate_headers", HeaderList::to_propagate),
        drop: header_list(&fields, "drop_headers", HeaderList::to_drop),
    };
    fields.finish();
    let mut route = Route::new(name, revisions.into_iter().collect::<Result<_, _>>()?, timeout)?;
    route.travellers = Some(travellers);
    Ok(route)
}

fn header_list(fields: &Fields<'_>, name: &str, read: fn(&str) -> Result<HeaderList, String>) -> HeaderList {
    read(fields.string(name).unwrap_or_default()).unwrap_or_else(|message| {
        fields.error(name, message);
        HeaderList::default()
    })
}

fn read_revision(fields: &Fields<'_>, weight: Weight, max_message: usize) -> Result<Revision, Error> {
    let hosts = Hosts {
        predictor: fields.required_string("predictor").unwrap_or("missing"),
        transformer: fields.string("transformer"),
        explainer: fields.string("explainer"),
    };
    Revision::of(&hosts, weight, max_message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(text: &str) -> Result<Vec<Route>, String> {
        let node = weir_proto::document::parse_one(text, "--routes").unwrap();
        read(&node, 1024).map_err(|error| error.message)
    }

    #[test]
    fn every_hundred_requests_keep_the_shares_exactly() {
        let text = "[{name: m, revisions: [{weight: 85, predictor: a}, {weight: 15, predictor: b}]}]";
        let route = routes(text).unwrap().remove(0);
        for _ in 0..3 {
            let canary = (0..100).filter(|_| route.pick().weight == Weight(15)).count();
            assert_eq!(canary, 15);
        }
    }

    #[test]
    fn the_door_lets_in_what_any_route_wants_and_only_routes_that_want_less_look() {
        let text = "[{name: a, predictor: p, propagate_headers: \"x-a-*\"}, {name: b, predictor: p}]";
        let mut routes = routes(text).unwrap();
        let mut flags = ServerFlags::default();
        settle_headers(&mut routes, &mut flags);
        assert_eq!(flags.propagate_headers.to_string(), "x-a-*");
        assert!(routes[0].travellers.is_none(), "the door lets in just what this route wants");
        let less = routes[1].travellers.as_ref().unwrap();
        assert!(less.lets("traceparent") && !less.lets("x-a-b"));
    }

    #[test]
    fn a_wrong_route_is_told() {
        let refuse = |text: &str| routes(text).map(|_| ()).unwrap_err();
        assert!(refuse("[{name: m}]").contains("predictor"), "{}", refuse("[{name: m}]"));
        let text = "[{name: m, predictor: a, propagate_headers: host}]";
        assert!(refuse(text).contains("`host` never travels"), "{}", refuse(text));
        assert!(refuse("[{name: m, predictor: a, shadow: b}]").contains("unknown field"));
        let text = "[{name: m, revisions: [{weight: 85, predictor: a}]}]";
        assert_eq!(refuse(text), "route `m`: the weights sum to 85, expected 100");
    }
}
