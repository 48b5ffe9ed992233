//! The classes of scikit-learn that are evaluated here. To add one, name it in the list of its family's file, and a new family
//! in [`FAMILIES`].

use super::super::refusal::Refusal;
use super::fitted::Fitted;
use super::steps::Steps;

/// A class, where it lives, and how it is read.
pub(crate) struct Class {
    /// The name its users know.
    pub(crate) name: &'static str,
    /// The modules it lives in or lived in: before scikit-learn 0.22 they had no underscore.
    pub(crate) modules: &'static [&'static str],
    pub(super) read: fn(&Fitted<'_>, &mut Steps) -> Result<(), Refusal>,
}

/// A part of scikit-learn: a title for documents, and its classes.
pub(crate) struct Family {
    pub(crate) title: &'static str,
    pub(crate) classes: &'static [Class],
}

/// Every family this build evaluates.
pub(crate) static FAMILIES: &[&Family] = &[
    &super::logistic::FAMILY,
    &super::linear::FAMILY,
    &super::svc::FAMILY,
    &super::support::FAMILY,
    &super::trees::FAMILY,
    &super::ensemble::FAMILY,
    &super::dummy::FAMILY,
    &super::boosters::FAMILY,
    &super::bayes::FAMILY,
    &super::discriminant::FAMILY,
    &super::network::FAMILY,
    &super::near::FAMILY,
    &super::cluster::FAMILY,
    &super::decomposition::FAMILY,
    &super::scalers::FAMILY,
    &super::features::FAMILY,
    &super::bins::FAMILY,
    &super::spline::FAMILY,
    &super::encoders::FAMILY,
    &super::label_encoder::FAMILY,
    &super::text::FAMILY,
    &super::pipeline::FAMILY,
    &super::columns::FAMILY,
    &super::meta::FAMILY,
    &super::codes::FAMILY,
    &super::chains::FAMILY,
    &super::calibrated::FAMILY,
    &super::target::FAMILY,
    &super::isotonic::FAMILY,
];

/// Returns the class of that full name, such as `sklearn.svm._classes.SVC`.
pub(super) fn find(class: &str) -> Option<&'static Class> {
    let (module, name) = class.rsplit_once('.')?;
    let mut all = FAMILIES.iter().flat_map(|family| family.classes);
    all.find(|it| it.name == name && it.modules.contains(&module))
}
