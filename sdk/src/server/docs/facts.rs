//! What a component offers at this moment, asked of itself: the one source of the document and of the page.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use weir_proto::{Origin, Signature};

use super::super::Limits;
use super::super::app::App;
use crate::host::method::{classified, regressed};
use crate::{ModelState, ModelStatus, Verb};

/// How long a model may take to tell what it takes and gives; without that it is described in general terms.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a component offers.
pub(super) struct Facts {
    pub(super) component: Origin,
    pub(super) limits: Limits,
    pub(super) repository: bool,
    pub(super) draining: bool,
    /// Those that answer.
    pub(super) models: Vec<Offer>,
    /// Those that do not.
    pub(super) away: Vec<ModelStatus>,
}

/// What a model offers.
pub(super) struct Offer {
    pub(super) name: String,
    /// The versions that a path may name.
    pub(super) versions: Vec<String>,
    /// What it takes and gives, where the component knows.
    pub(super) signature: Option<Signature>,
    pub(super) infers: bool,
    pub(super) explains: bool,
    /// What clients send is reshaped before the model meets it, so the signature tells no form of theirs.
    pub(super) reshaped: bool,
    /// What stands for the model in names that know no more than letters, digits, `-`, `_` and dots.
    pub(super) key: String,
}

impl Offer {
    /// The signature, where it tells what clients send and read.
    pub(super) fn form(&self) -> Option<&Signature> {
        self.signature.as_ref().filter(|_| !self.reshaped)
    }

    /// Whether rows made from the signature can be explained. Rows are explained as clients send them: where a transformer
    /// stands before a model with names for its columns, those are most likely objects, and perhaps words.
    pub(super) fn has_rows_to_explain(&self) -> bool {
        !self.reshaped || self.signature.as_ref().is_some_and(|it| it.columns.is_empty())
    }

    pub(super) fn classifies(&self) -> bool {
        self.takes_examples() && self.signature.as_ref().and_then(classified).is_some()
    }

    pub(super) fn regresses(&self) -> bool {
        self.takes_examples() && self.signature.as_ref().and_then(regressed).is_some()
    }

    /// A feature of an example is a scalar or a list of scalars, and nothing deeper.
    fn takes_examples(&self) -> bool {
        let flat = |it: &Signature| it.inputs.iter().all(|it| matches!(it.shape.len(), 1 | 2));
        self.infers && self.signature.as_ref().is_some_and(flat)
    }
}

impl Facts {
    /// Asks the component for all its models, or for that one.
    pub(super) async fn of(app: &Arc<App>, only: Option<&str>) -> Self {
        let handle = &app.handle;
        let mut statuses = handle.models().await;
        statuses.retain(|it| only.is_none_or(|name| it.name == name));
        let (ready, away): (Vec<_>, Vec<_>) = statuses.into_iter().partition(ModelStatus::is_ready);
        let signatures = signatures(app, &ready).await;
        let infers = handle.verbs().contains(&Verb::Infer);
        let offers = ready.into_iter().zip(signatures).enumerate().map(|(at, (status, told))| {
            let (versions, signature) = match told {
                Some((versions, signature)) => (versions, Some(signature)),
                None => (vec![status.version.clone()], None),
            };
            Offer {
                versions: versions.into_iter().filter(|it| !it.is_empty()).collect(),
                signature,
                infers,
                explains: handle.explains(&status.name),
                reshaped: handle.reshapes(&status.name),
                key: key_of(&status.name, at),
                name: status.name,
            }
        });
        Self {
            component: handle.component(),
            limits: app.limits,
            repository: handle.has_repository(),
            draining: app.is_draining(),
            models: offers.collect(),
            away,
        }
    }

    /// The models that can be loaded: all but those that do not answer for another reason than that they were unloaded.
    pub(super) fn unloaded(&self) -> impl Iterator<Item = &ModelStatus> {
        self.away.iter().filter(|it| it.state == ModelState::Unloaded)
    }
}

/// Asks every model for its signature, all at once.
async fn signatures(app: &Arc<App>, models: &[ModelStatus]) -> Vec<Option<(Vec<String>, Signature)>> {
    let mut asked = JoinSet::new();
    for (at, name) in models.iter().map(|it| it.name.clone()).enumerate() {
        let handle = Arc::clone(&app.handle);
        asked.spawn(async move {
            let told = tokio::time::timeout(PATIENCE, handle.metadata(&name, "")).await;
            (at, told.ok().and_then(Result::ok).map(|it| (it.versions, it.signature)))
        });
    }
    let mut told: Vec<_> = models.iter().map(|_| None).collect();
    while let Some(joined) = asked.join_next().await {
        if let Ok((at, answer)) = joined {
            told[at] = answer;
        }
    }
    told
}

/// A model's own name where it may be used as a key; names made up instead have a dot, which no other has.
fn key_of(name: &str, at: usize) -> String {
    let plain = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_');
    if !name.is_empty() && name.bytes().all(plain) { name.to_owned() } else { format!("model.{}", at + 1) }
}
