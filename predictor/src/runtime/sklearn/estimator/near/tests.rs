//! Neighbours by hand, and what does not fit together.

use weir_proto::Tensor;
use weir_sdk::Model;

use super::super::super::{model, read};
use super::sum;

#[test]
fn sums_are_numpys() {
    // numpy.sum of the same: 1.0, where one after the other would give 0.9999999999999999.
    assert_eq!(sum(&[0.1; 10]), 1.0);
    assert_eq!([0.1; 10].iter().sum::<f64>(), 0.999_999_999_999_999_9);
    assert_eq!(sum(&[0.25; 1000]), 250.0);
}

/// An array as protocol 0 writes it, of objects.
fn array(shape: &str, values: &str) -> String {
    let values: String = values.split(' ').filter(|it| !it.is_empty()).map(|it| format!("{it}\na")).collect();
    format!(
        "cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n({shape}tcnumpy\ndtype\n(S'O8'\ntR\
         (I3\nS'|'\nNNNI-1\nI-1\nI0\ntbI00\n(l{values}tb"
    )
}

/// A model of three points at 0, 1 and 3. Each pair replaces an attribute, or adds one.
fn regressor(changes: &[(&str, &str)]) -> String {
    let points = array("I3\nI1\n", "F0 F1 F3");
    let targets = array("I3\n", "F10 F20 F60");
    let mut attributes = vec![
        ("n_neighbors", "I2\n".to_owned()),
        ("weights", "S'uniform'\n".to_owned()),
        ("effective_metric_", "S'manhattan'\n".to_owned()),
        ("_fit_method", "S'brute'\n".to_owned()),
        ("_fit_X", points),
        ("_y", targets),
    ];
    for (name, value) in changes {
        attributes.retain(|(other, _)| other != name);
        attributes.push((name, (*value).to_owned()));
    }
    let pairs: String = attributes.iter().map(|(name, value)| format!("S'{name}'\n{value}s")).collect();
    format!(
        "ccopy_reg\n_reconstructor\n(csklearn.neighbors.regression\nKNeighborsRegressor\nc__builtin__\nobject\nNtR(d{pairs}b."
    )
}

fn check(changes: &[(&str, &str)], want: &[f64]) {
    let steps = read(regressor(changes).as_bytes()).unwrap_or_else(|refusal| panic!("{refusal:?}"));
    let model = model::Estimator::new(steps, "pickle", false);
    let answer = model.predict(&[Tensor::fp64("input-0", [3, 1], vec![0.0, 2.0, 9.0])], &[0]).unwrap();
    assert_eq!(answer[0].data.to_f64().unwrap(), want, "{changes:?}");
}

fn refused(changes: &[(&str, &str)], want: &str) {
    let refusal =
        read(regressor(changes).as_bytes()).err().unwrap_or_else(|| panic!("{changes:?} was loaded"));
    assert!(format!("{refusal:?}").contains(want), "{changes:?}: {refusal:?}");
}

#[test]
fn neighbours_are_worked_out_by_hand() {
    check(&[], &[15.0, 40.0, 40.0]);
    // Who stands at the place counts alone; else 1 / distance: (20 / 1 + 60 / 1) / 2, (60 / 6 + 20 / 8) / (1 / 6 + 1 / 8).
    let far = (60.0 / 6.0 + 20.0 / 8.0) / (1.0 / 6.0 + 1.0 / 8.0);
    check(&[("weights", "S'distance'\n")], &[10.0, 40.0, far]);
    // 2 is as far from 1 as from 3: the first in the list is taken.
    check(&[("n_neighbors", "I1\n")], &[10.0, 20.0, 60.0]);
    let both = array("I3\nI2\n", "F10 F1 F20 F2 F60 F6");
    check(&[("_y", &both)], &[15.0, 1.5, 40.0, 4.0, 40.0, 4.0]);
}

#[test]
fn what_does_not_fit_is_refused() {
    refused(&[("n_neighbors", "I4\n")], "wants 4 neighbours and was fitted on 3 rows");
    refused(&[("n_neighbors", "I0\n")], "wants 0 neighbours");
    refused(&[("n_neighbors", "Fnan\n")], "wants NaN neighbours");
    refused(&[("_y", &array("I2\n", "F1 F2"))], "does not give each row its targets");
    refused(&[("_y", &array("I3\nI0\n", ""))], "`_y` of shape [3, 0]");
    refused(&[("_fit_X", &array("I0\nI1\n", ""))], "was fitted on 0 rows of 1 columns");
    refused(&[("_fit_X", &array("I3\n", "F1 F2 F3"))], "two dimensions are expected");
    refused(&[("_fit_X", "cscipy.sparse.csr\ncsr_matrix\n)R")], "fitted on sparse rows");
    refused(&[("_fit_method", "S'magic'\n")], "none of brute, kd_tree and ball_tree");
    refused(&[("_fit_method", "S'kd_tree'\n"), ("_tree", "I1\n")], "`_tree` that scikit-learn would refuse");
    refused(&[("effective_metric_", "S'haversine'\n")], "with metric `haversine`");
    refused(&[("effective_metric_", "cos\nsystem\n")], "a metric that is a function");
    refused(&[("effective_metric_", "S'minkowski'\n")], "without its power");
    refused(
        &[("effective_metric_", "S'minkowski'\n"), ("effective_metric_params_", "(dS'p'\nF-1\ns")],
        "of power -1",
    );
    refused(&[("effective_metric_params_", "(dS'w'\nI1\ns")], "with the metric's parameter `w`");
    refused(&[("weights", "cos\nsystem\n")], "with weights that a function makes");
}
