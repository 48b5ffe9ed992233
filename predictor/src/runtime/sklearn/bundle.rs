//! Models saved inside of something else: a dict, a list, a tuple. What is met there is named.

use super::pickle::Node;
use super::refusal::Refusal;
use super::view::View;

/// Refuses a container and says what it holds.
///
/// # Errors
/// `Unsupported` for a dict, list, tuple or set.
pub(super) fn refuse(root: View<'_>) -> Result<(), Refusal> {
    let held = match root.node() {
        Node::Dict(_) => root.entries().and_then(|mut pairs| {
            pairs.find_map(|(key, value)| Some(format!("{} as `{:.60}`", estimator(value)?, key.text()?)))
        }),
        Node::List(_) | Node::Tuple(_) | Node::Set(_) => root.all().and_then(|members| {
            members.enumerate().find_map(|(at, it)| Some(format!("{} as member {at}", estimator(it)?)))
        }),
        _ => return Ok(()),
    };
    let kind = root.kind();
    Err(match held {
        Some(held) => Refusal::unsupported(
            format!("{kind} that holds {held}"),
            "save the model alone, and serve what else it needs as a transformer",
        ),
        None => Refusal::unsupported(kind, "save a fitted estimator of scikit-learn, and nothing around it"),
    })
}

/// Returns the class of an object that may be an estimator: one with a state, of scikit-learn or of who builds on it.
fn estimator(view: View<'_>) -> Option<String> {
    view.object()?.state?;
    let class = view.class()?;
    (!class.starts_with("numpy") && !class.starts_with("builtins")).then_some(class)
}
