//! Ensembles of any models: boosted, each on a part of the data, voting, or stacked.

mod adaboost;
mod bagging;
mod stacking;
mod voting;

use super::super::numpy::Array;
use super::super::refusal::Refusal;
use super::super::view::View;
use super::fitted::Fitted;
use super::registry::{Class, Family};
use super::{Labels, Steps};

const ADABOOST: &[&str] = &["sklearn.ensemble._weight_boosting", "sklearn.ensemble.weight_boosting"];
const BAGGING: &[&str] = &["sklearn.ensemble._bagging", "sklearn.ensemble.bagging"];
const VOTING: &[&str] =
    &["sklearn.ensemble._voting", "sklearn.ensemble.voting", "sklearn.ensemble.voting_classifier"];
const STACKING: &[&str] = &["sklearn.ensemble._stacking"];

pub(crate) static FAMILY: Family = Family {
    title: "Ensembles of models",
    classes: &[
        Class { name: "AdaBoostClassifier", modules: ADABOOST, read: adaboost::classifier },
        Class { name: "AdaBoostRegressor", modules: ADABOOST, read: adaboost::regressor },
        Class { name: "BaggingClassifier", modules: BAGGING, read: bagging::classifier },
        Class { name: "BaggingRegressor", modules: BAGGING, read: bagging::regressor },
        Class { name: "VotingClassifier", modules: VOTING, read: voting::classifier },
        Class { name: "VotingRegressor", modules: VOTING, read: voting::regressor },
        Class { name: "StackingClassifier", modules: STACKING, read: stacking::classifier },
        Class { name: "StackingRegressor", modules: STACKING, read: stacking::regressor },
    ],
};

/// Returns the columns that each of so many members looks at: `estimators_features_`.
pub(super) fn subsets(fitted: &Fitted<'_>, members: usize) -> Result<Vec<Vec<usize>>, Refusal> {
    let list = fitted.need("estimators_features_")?;
    let wrong = || fitted.malformed("has `estimators_features_` that do not fit its estimators");
    let read = |it: View<'_>| {
        let array = Array::read(it).map_err(|refusal| fitted.about("estimators_features_", refusal))?;
        let columns = array.ints()?.into_iter().map(|it| usize::try_from(it).map_err(|_| wrong()));
        columns.collect::<Result<Vec<usize>, Refusal>>()
    };
    let subsets: Vec<Vec<usize>> = match list.items() {
        Some(items) => items.map(read).collect::<Result<_, _>>()?,
        None => {
            let array = fitted.array("estimators_features_")?;
            array.members().ok_or_else(wrong)?.map(read).collect::<Result<_, _>>()?
        }
    };
    let sound = subsets.len() == members && subsets.iter().all(|it| !it.is_empty());
    if sound { Ok(subsets) } else { Err(wrong()) }
}

/// Returns how many columns a row has of which the members look at those.
pub(super) fn seen(fitted: &Fitted<'_>, subsets: &[Vec<usize>]) -> Result<usize, Refusal> {
    // Before 0.24 it was noted so.
    let name = if fitted.optional("n_features_in_").is_some() { "n_features_in_" } else { "n_features_" };
    let noted = fitted.number(name)?;
    let last = subsets.iter().flatten().max().map_or(0, |it| it + 1);
    // Nothing is allocated for columns that nobody looks at.
    if noted < last as f64 || noted > 1e6 || noted.fract() != 0.0 {
        return Err(fitted.malformed(format!("was fitted on {noted} features and looks at {last}")));
    }
    Ok(noted as usize)
}

/// Returns the class of the ensemble that each class of a member is; members are fitted on the places of the classes.
fn places(fitted: &Fitted<'_>, member: &Steps, classes: &Labels) -> Result<Vec<u32>, Refusal> {
    let of = member.classifier().and_then(|it| it.classes().as_places(classes.len()));
    of.ok_or_else(|| fitted.malformed("has an estimator that is no classifier of its classes"))
}
