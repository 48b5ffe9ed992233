//! Decision trees and what is grown of many of them.

mod boosting;
mod forest;
mod grown;
mod histogram;
mod isolation;
mod walk;

use super::registry::{Class, Family};

pub(super) use self::grown::members;

const TREE: &[&str] = &["sklearn.tree._classes", "sklearn.tree.tree"];
const FOREST: &[&str] = &["sklearn.ensemble._forest", "sklearn.ensemble.forest"];
const BOOSTING: &[&str] = &["sklearn.ensemble._gb", "sklearn.ensemble.gradient_boosting"];
const HISTOGRAM: &[&str] = &["sklearn.ensemble._hist_gradient_boosting.gradient_boosting"];
const ISOLATION: &[&str] = &["sklearn.ensemble._iforest", "sklearn.ensemble.iforest"];

pub(crate) static FAMILY: Family = Family {
    title: "Trees and their ensembles",
    classes: &[
        Class { name: "DecisionTreeClassifier", modules: TREE, read: forest::tree_classifier },
        Class { name: "DecisionTreeRegressor", modules: TREE, read: forest::tree_regressor },
        Class { name: "ExtraTreeClassifier", modules: TREE, read: forest::tree_classifier },
        Class { name: "ExtraTreeRegressor", modules: TREE, read: forest::tree_regressor },
        Class { name: "RandomForestClassifier", modules: FOREST, read: forest::classifier },
        Class { name: "RandomForestRegressor", modules: FOREST, read: forest::regressor },
        Class { name: "ExtraTreesClassifier", modules: FOREST, read: forest::classifier },
        Class { name: "ExtraTreesRegressor", modules: FOREST, read: forest::regressor },
        Class { name: "GradientBoostingClassifier", modules: BOOSTING, read: boosting::classifier },
        Class { name: "GradientBoostingRegressor", modules: BOOSTING, read: boosting::regressor },
        Class { name: "HistGradientBoostingClassifier", modules: HISTOGRAM, read: histogram::classifier },
        Class { name: "HistGradientBoostingRegressor", modules: HISTOGRAM, read: histogram::regressor },
        Class { name: "IsolationForest", modules: ISOLATION, read: isolation::read },
    ],
};
