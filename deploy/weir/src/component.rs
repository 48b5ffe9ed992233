//! The four kinds of service, and one of them with all it takes to start it.

use weir_sdk::{BuildError, Launch, Service};

/// A kind of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Holds the model.
    Predictor,
    /// Reshapes requests and answers.
    Transformer,
    /// Explains.
    Explainer,
    /// The front door.
    Router,
}

impl Kind {
    /// Returns its name, which is also its binary's and its subcommand's.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Predictor => "predictor",
            Self::Transformer => "transformer",
            Self::Explainer => "explainer",
            Self::Router => "router",
        }
    }

    /// Returns what builds it.
    pub(crate) fn build(self) -> fn(&Launch) -> Result<Service, BuildError> {
        match self {
            Self::Predictor => weir_predictor::build,
            Self::Transformer => weir_transformer::build,
            Self::Explainer => weir_explainer::build,
            Self::Router => weir_router::build,
        }
    }

    /// Returns the kind of that name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Predictor, Self::Transformer, Self::Explainer, Self::Router]
            .into_iter()
            .find(|it| it.name() == name)
    }
}
