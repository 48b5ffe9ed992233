use super::sum;

#[test]
fn sums_are_numpys() {
    // numpy.sum of the same, which adds 0.1 ten times to 1.0 and not to 0.9999999999999999.
    assert_eq!(sum(&[0.1; 10]), 1.0);
    assert_eq!(sum(&[0.1; 6]), 0.1 + 0.1 + 0.1 + 0.1 + 0.1 + 0.1);
}
